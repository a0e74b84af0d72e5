//! Who takes part: the behaviour of every endpoint and the pairs that talk.
//!
//! * Deterministic for a seed. Behaviours are shuffled, so that neighbours are independent and a ring mixes them too.
//! * Endpoint i belongs to worker i mod W, where its number is i / W; a pair is sent by the one's worker and received by
//!   the other's.
//! * Pure.

use crate::error::Error;
use crate::random::Random;
use crate::units;
use nat::{Behaviour, Mix};
use std::fmt;
use std::str::FromStr;

/// Endpoints and pairs of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The behaviour of each endpoint.
    pub behaviours: Vec<Behaviour>,
    /// Sender and receiver of each pair.
    pub pairs: Vec<(u32, u32)>,
    /// Whether pairs stand two by two, each with the other way round.
    pub is_two_way: bool,
}

impl Plan {
    /// Draws up a plan of at least two endpoints.
    pub fn new(endpoints: u32, mix: &Mix, pattern: Pattern, seed: u64) -> Self {
        let assignment = mix.assignment();
        let mut behaviours: Vec<Behaviour> =
            (0..endpoints.max(2)).map(|index| assignment.behaviour_of(index as usize)).collect();
        Random::new(seed, PURPOSE_BEHAVIOURS).shuffle(&mut behaviours);
        Self { behaviours, pairs: pattern.pairs(endpoints.max(2), seed), is_two_way: pattern.is_two_way() }
    }
}

/// Who sends to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Every endpoint to so many others, drawn at random.
    Random(u32),
    /// Every endpoint to the next, the last to the first.
    Ring,
    /// Every endpoint to the first, and the first to every other.
    Star,
    /// Two and two, both ways; of an odd number the last one is silent.
    Calls,
    /// Rooms of so many, each endpoint to every other of its room; the last room may be smaller.
    Groups(u32),
}

impl Pattern {
    /// How many pairs so many endpoints make.
    pub fn pair_count(self, endpoints: u32) -> u64 {
        let count = u64::from(endpoints.max(2));
        match self {
            Self::Random(others) => count * u64::from(others),
            Self::Ring => count,
            Self::Star => 2 * (count - 1),
            Self::Calls => count / 2 * 2,
            Self::Groups(size) => {
                let (rooms, rest) = (count / u64::from(size), count % u64::from(size));
                rooms * u64::from(size) * (u64::from(size) - 1) + rest * rest.saturating_sub(1)
            }
        }
    }

    /// Whether each pair is followed or preceded by the same pair the other way round.
    pub fn is_two_way(self) -> bool {
        matches!(self, Self::Star | Self::Calls | Self::Groups(_))
    }

    fn pairs(self, endpoints: u32, seed: u64) -> Vec<(u32, u32)> {
        let both = |one, other| [(one, other), (other, one)];
        let mut pairs = Vec::with_capacity(usize::try_from(self.pair_count(endpoints)).unwrap_or(0));
        match self {
            Self::Random(others) => {
                let mut random = Random::new(seed, PURPOSE_PAIRS);
                // Skipping oneself keeps every other equally likely.
                let mut other = |from| {
                    let drawn = random.below(endpoints - 1);
                    if drawn >= from { drawn + 1 } else { drawn }
                };
                let mut all = |from| pairs.extend((0..others).map(|_| (from, other(from))));
                (0..endpoints).for_each(&mut all);
            }
            Self::Ring => pairs.extend((0..endpoints).map(|from| (from, (from + 1) % endpoints))),
            Self::Star => pairs.extend((1..endpoints).flat_map(|leaf| both(leaf, 0))),
            Self::Calls => pairs.extend((0..endpoints / 2).flat_map(|call| both(2 * call, 2 * call + 1))),
            Self::Groups(size) => {
                let room = |first: u32| first..first.saturating_add(size).min(endpoints);
                let in_room = |first: u32| {
                    room(first).flat_map(move |one| {
                        (one + 1..room(first).end).flat_map(move |other| both(one, other))
                    })
                };
                pairs.extend((0..endpoints).step_by(size as usize).flat_map(in_room));
            }
        }
        pairs
    }
}

impl FromStr for Pattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let number = |text: &str, least: u32| {
            let count = units::count(text).ok().and_then(|count| u32::try_from(count).ok());
            count.filter(|count| (least..=MOST_PARTNERS).contains(count))
        };
        let (name, count) = text.split_once(':').unwrap_or((text, ""));
        let pattern = match (name, count) {
            ("random", "") if name == text => Some(Self::Random(1)),
            ("random", count) => number(count, 1).map(Pattern::Random),
            ("groups", count) => number(count, 2).map(Pattern::Groups),
            ("ring", "") if name == text => Some(Self::Ring),
            ("star", "") if name == text => Some(Self::Star),
            ("calls", "") if name == text => Some(Self::Calls),
            _ => None,
        };
        pattern.ok_or_else(|| {
            let shown = units::quote(text);
            Error::Usage(format!(
                "{shown} is not random, random:N, ring, star, calls or groups:N, with N up to {MOST_PARTNERS}"
            ))
        })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random(1) => f.write_str("random"),
            Self::Random(others) => write!(f, "random:{others}"),
            Self::Ring => f.write_str("ring"),
            Self::Star => f.write_str("star"),
            Self::Calls => f.write_str("calls"),
            Self::Groups(size) => write!(f, "groups:{size}"),
        }
    }
}

/// The worker that an endpoint belongs to.
pub const fn worker_of(endpoint: u32, workers: u32) -> u32 {
    endpoint % workers
}

/// The number of an endpoint at its worker.
pub const fn place_of(endpoint: u32, workers: u32) -> u32 {
    endpoint / workers
}

const PURPOSE_BEHAVIOURS: u64 = 1;
const PURPOSE_PAIRS: u64 = 2;
const MOST_PARTNERS: u32 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn shares_are_exact_and_neighbours_independent() {
        let plan = Plan::new(100_000, &Mix::default(), Pattern::Ring, 1);
        let mut counts: BTreeMap<Behaviour, usize> = BTreeMap::new();
        for behaviour in &plan.behaviours {
            *counts.entry(*behaviour).or_default() += 1;
        }
        let expected =
            [("eim/eif", 10_000), ("eim/adf", 20_000), ("eim/apdf", 50_000), ("apdm/apdf", 20_000)];
        assert_eq!(counts, expected.map(|(name, count)| (name.parse().unwrap(), count)).into());
        let symmetric: Behaviour = "symmetric".parse().unwrap();
        let both = plan
            .pairs
            .iter()
            .filter(|(a, b)| [a, b].iter().all(|end| plan.behaviours[**end as usize] == symmetric));
        // 20 % of 20 % of 100,000, within five standard deviations.
        assert!(both.count().abs_diff(4_000) < 310);
    }

    #[test]
    fn nobody_sends_to_itself_and_everybody_sends() {
        for pattern in [
            Pattern::Random(1),
            Pattern::Random(3),
            Pattern::Ring,
            Pattern::Star,
            Pattern::Calls,
            Pattern::Groups(4),
        ] {
            for endpoints in [2, 3, 10, 1000] {
                let plan = Plan::new(endpoints, &Mix::default(), pattern, 9);
                assert!(
                    plan.pairs.iter().all(|(from, to)| from != to && *from < endpoints && *to < endpoints)
                );
                let mut senders: Vec<u32> = plan.pairs.iter().map(|(from, _)| *from).collect();
                senders.sort_unstable();
                senders.dedup();
                // Of an odd number somebody has nobody to call, or a room alone.
                let all = endpoints as usize;
                let alone = usize::from(pattern.is_two_way() && all % 2 == 1 && pattern != Pattern::Star);
                assert!(senders.len() == all || senders.len() + alone == all, "{pattern} {endpoints}");
                assert_eq!(plan.pairs.len() as u64, pattern.pair_count(endpoints), "{pattern}");
            }
        }
        assert_eq!(Plan::new(3, &Mix::default(), Pattern::Star, 0).pairs, [(1, 0), (0, 1), (2, 0), (0, 2)]);
    }

    #[test]
    fn partners_are_drawn_evenly_and_by_seed() {
        let plan = |seed| Plan::new(11, &Mix::default(), Pattern::Random(1), seed);
        assert_eq!(plan(4), plan(4));
        let mut counts = [0_u32; 11];
        for seed in 0..10_000 {
            counts[plan(seed).pairs[5].1 as usize] += 1;
        }
        assert_eq!(counts[5], 0);
        // 1,000 expected each, five standard deviations are 150.
        assert!(
            counts.iter().enumerate().all(|(to, count)| to == 5 || count.abs_diff(1_000) < 150),
            "{counts:?}"
        );
    }

    #[test]
    fn forms() {
        for text in ["random", "random:5", "ring", "star", "calls", "groups:6"] {
            assert_eq!(text.parse::<Pattern>().unwrap().to_string(), text);
        }
        for text in ["mesh", "random:0", "random:", "groups", "groups:1", "groups:1001", "ring:2", "calls:"] {
            let error = text.parse::<Pattern>().unwrap_err();
            assert!(error.to_string().contains("calls or groups:N"), "{text}");
        }
    }

    #[test]
    fn the_other_way_round_stands_beside() {
        for pattern in [Pattern::Star, Pattern::Calls, Pattern::Groups(4)] {
            let plan = Plan::new(31, &Mix::default(), pattern, 9);
            assert!(pattern.is_two_way() && plan.pairs.len().is_multiple_of(2));
            for (place, (from, to)) in plan.pairs.iter().enumerate() {
                assert_eq!(plan.pairs[place ^ 1], (*to, *from), "{pattern}");
            }
        }
        let plan = Plan::new(5, &Mix::default(), Pattern::Groups(3), 9);
        assert_eq!(plan.pairs, [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1), (3, 4), (4, 3)]);
    }
}
