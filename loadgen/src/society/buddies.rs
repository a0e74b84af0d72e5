//! Who is whose buddy: a union of random rings, so that everybody has nearly the same number and nobody is cut off.
//!
//! * Mutual, never with oneself, at most once; the same seed gives the same friendships.
//! * Pure.

use crate::random::Random;
use std::collections::BTreeSet;

/// The friendships of a population.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buddies {
    of: Vec<Vec<u32>>,
}

impl Buddies {
    /// About `each` for everybody, as many rings as half of it; a pair that two rings join counts once.
    pub fn new(endpoints: u32, each: u32, random: &mut Random) -> Self {
        let mut of: Vec<BTreeSet<u32>> = (0..endpoints).map(|_| BTreeSet::new()).collect();
        let mut order: Vec<u32> = (0..endpoints).collect();
        for _ in 0..each.div_ceil(2) {
            random.shuffle(&mut order);
            let next = order.iter().skip(1).chain(order.first());
            for (one, other) in order.iter().zip(next).filter(|(one, other)| one != other) {
                for (from, to) in [(one, other), (other, one)] {
                    if let Some(friends) = of.get_mut(*from as usize) {
                        friends.insert(*to);
                    }
                }
            }
        }
        Self { of: of.into_iter().map(|friends| friends.into_iter().collect()).collect() }
    }

    /// The buddies of an endpoint, by number.
    pub fn of(&self, endpoint: u32) -> &[u32] {
        self.of.get(endpoint as usize).map_or(&[], Vec::as_slice)
    }

    /// Every friendship once, the lower number first.
    pub fn pairs(&self) -> impl Iterator<Item = (u32, u32)> {
        let all = (0_u32..).zip(&self.of);
        all.flat_map(|(one, friends)| friends.iter().map(move |other| (one, *other)))
            .filter(|(one, other)| one < other)
    }

    /// Pairs of buddies in which nobody is twice, at most `most` of them: who talks to whom.
    pub fn matching(&self, most: usize, random: &mut Random) -> Vec<(u32, u32)> {
        let mut pairs: Vec<(u32, u32)> = self.pairs().collect();
        random.shuffle(&mut pairs);
        let mut taken = BTreeSet::new();
        pairs.retain(|(one, other)| {
            let free = !taken.contains(one) && !taken.contains(other) && taken.len() < 2 * most;
            if free {
                taken.extend([*one, *other]);
            }
            free
        });
        pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn friendships_are_mutual_and_nearly_equal_in_number() {
        let buddies = Buddies::new(500, 8, &mut Random::new(7, 1));
        for one in 0..500 {
            let friends = buddies.of(one);
            assert!((6..=8).contains(&friends.len()), "{one}: {friends:?}");
            assert!(friends.iter().all(|other| *other != one && buddies.of(*other).contains(&one)));
        }
        let pairs = buddies.pairs().count();
        assert!((1_900..=2_000).contains(&pairs), "{pairs}");
        assert_eq!(buddies, Buddies::new(500, 8, &mut Random::new(7, 1)));
    }

    #[test]
    fn few_are_no_trouble() {
        assert_eq!(Buddies::new(0, 8, &mut Random::new(1, 1)).pairs().count(), 0);
        assert_eq!(Buddies::new(1, 8, &mut Random::new(1, 1)).pairs().count(), 0);
        assert_eq!(Buddies::new(2, 8, &mut Random::new(1, 1)).pairs().collect::<Vec<_>>(), [(0, 1)]);
    }

    #[test]
    fn nobody_talks_to_two_at_once() {
        let mut random = Random::new(3, 1);
        let buddies = Buddies::new(100, 6, &mut random);
        let pairs = buddies.matching(20, &mut random);
        assert_eq!(pairs.len(), 20);
        let all: BTreeSet<u32> = pairs.iter().flat_map(|(one, other)| [*one, *other]).collect();
        assert_eq!(all.len(), 40);
        assert!(pairs.iter().all(|(one, other)| buddies.of(*one).contains(other)));
    }
}
