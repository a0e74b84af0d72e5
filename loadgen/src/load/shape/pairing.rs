//! The pairs of a plan, split by worker: what a sender has to know of each, and what a receiver has.
//!
//! ```text
//!   plan (a, b)  ->  worker of a: Outgoing { from a, to b, slot }     worker of b: Incoming[slot] { from a, to b }
//! ```
//!
//! * Plain arrays; the slot travels in the stamp, so that a receiver finds its pair without a search.
//! * Pairs of which an endpoint has no contact are left out.

#![deny(clippy::disallowed_types)]

use crate::load::shape::plan;
use crate::load::shape::plan::Plan;
use crate::load::socket::tracker::Tracker;
use crate::load::watch::tally;
use crate::random::Random;
use wire::TransportAddress;

/// A pair at its sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// The capability's tag.
    pub tag: u64,
    /// Unix seconds after which it proves nothing; 0 before it is minted.
    pub expires: u32,
    /// The sender, by its number at this worker.
    pub from: u32,
    /// The receiver, by its number in the plan.
    pub to: u32,
    /// The pair's place at the receiver's worker.
    pub slot: u32,
    /// The number of the next datagram.
    pub sequence: u32,
    /// The ports of both contacts when the tag was made.
    pub ports: (u16, u16),
    /// Behaviours of both; see [`tally::cell`].
    pub cell: u8,
    /// Whether neither sees the other's address.
    pub sealed: bool,
}

/// A pair at its receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Incoming {
    /// What arrived so far.
    pub tracker: Tracker,
    /// The sender, by its number in the plan.
    pub from: u32,
    /// The receiver, by its number at this worker.
    pub to: u32,
    /// The same pair the other way round, by its place among what this worker sends; [`NO_BACK`] without one.
    pub back: u32,
    /// Behaviours of both; see [`tally::cell`].
    pub cell: u8,
    /// Whether neither sees the other's address.
    pub sealed: bool,
}

/// Which pairs are sealed: a share of them, drawn by their seed.
#[derive(Clone, Copy, Debug)]
pub struct Sealing {
    /// The fraction, 0 to 1.
    pub share: f64,
    /// The seed of the run.
    pub seed: u64,
}

impl Sealing {
    /// Whether these two are, in both directions.
    fn of(&self, a: u32, b: u32) -> bool {
        let both = u64::from(a.min(b)) << 32 | u64::from(a.max(b));
        self.share > 0.0 && Random::new(self.seed ^ PURPOSE_SEALED, both).unit() <= self.share
    }
}

/// All pairs of one worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// Those that it sends, one kind of flows after the other.
    pub outgoing: Vec<Outgoing>,
    /// How many of them are of each kind.
    pub of_kind: Vec<u32>,
    /// Those that it receives.
    pub incoming: Vec<Incoming>,
}

/// Something of every endpoint in the order of the plan, from that of each worker.
pub fn in_order<T: Copy>(workers: &[Vec<T>]) -> Vec<T> {
    let longest = workers.iter().map(Vec::len).max().unwrap_or(0);
    (0..longest).flat_map(|place| workers.iter().filter_map(move |own| own.get(place).copied())).collect()
}

/// A pair that can talk, by the numbers of both in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The sender.
    pub from: u32,
    /// The receiver.
    pub to: u32,
    /// Behaviours of both; see [`tally::cell`].
    pub cell: u8,
}

/// The plan's pairs of which both have a contact, in the plan's order.
pub fn reachable<'a>(
    plan: &'a Plan,
    contacts: &'a [Option<TransportAddress>],
) -> impl Iterator<Item = Pair> + 'a {
    let known = |endpoint: u32| contacts.get(endpoint as usize).is_some_and(Option::is_some);
    let behaviour = |endpoint: u32| plan.behaviours.get(endpoint as usize).copied();
    plan.pairs.iter().filter(move |(from, to)| known(*from) && known(*to)).filter_map(move |(from, to)| {
        let cell = tally::cell(behaviour(*from)?, behaviour(*to)?);
        Some(Pair { from: *from, to: *to, cell })
    })
}

/// Splits as many of the plan's pairs as `kinds` of flows has, in its order; pairs beyond are silent.
pub fn split(
    plan: &Plan,
    contacts: &[Option<TransportAddress>],
    workers: u32,
    kinds: &[u64],
    sealing: Sealing,
) -> Vec<Pairs> {
    let empty = Pairs { of_kind: vec![0; kinds.len()], ..Pairs::default() };
    let mut split = vec![empty; workers as usize];
    let kind_of = |number: usize| {
        let above = |(kind, count): (usize, &u64)| (kind, kinds.iter().take(kind).sum::<u64>() + count);
        kinds.iter().enumerate().map(above).find(|(_, end)| (number as u64) < *end).map(|(kind, _)| kind)
    };
    // Where the pair before has its places: the other way round, where the plan has pairs two by two.
    let mut before: Option<(u32, u32)> = None;
    for (number, Pair { from, to, cell }) in reachable(plan, contacts).enumerate() {
        let Some(kind) = kind_of(number) else { break };
        let Some(pairs) = split.get_mut(plan::worker_of(from, workers) as usize) else { continue };
        let place = place_of(&pairs.outgoing);
        let Some(pairs) = split.get_mut(plan::worker_of(to, workers) as usize) else { continue };
        let slot = place_of(&pairs.incoming);
        let is_second = plan.is_two_way && number % 2 == 1;
        let back = before.filter(|_| is_second).map_or(NO_BACK, |(place, _)| place);
        let (to_here, sealed) = (plan::place_of(to, workers), sealing.of(from, to));
        pairs.incoming.push(Incoming { from, to: to_here, back, cell, sealed, ..Incoming::default() });
        let Some(pairs) = split.get_mut(plan::worker_of(from, workers) as usize) else { continue };
        let from_here = plan::place_of(from, workers);
        pairs.outgoing.push(Outgoing { from: from_here, to, slot, cell, sealed, ..Outgoing::default() });
        if let Some(count) = pairs.of_kind.get_mut(kind) {
            *count += 1;
        }
        // The first of two is received where the second is sent.
        let first = before.filter(|_| is_second).and_then(|(_, slot)| pairs.incoming.get_mut(slot as usize));
        if let Some(first) = first {
            first.back = place;
        }
        before = Some((place, slot));
    }
    for pairs in &mut split {
        pairs.outgoing.shrink_to_fit();
        pairs.incoming.shrink_to_fit();
    }
    split
}

/// Where the next one comes to stand.
fn place_of<T>(pairs: &[T]) -> u32 {
    u32::try_from(pairs.len()).unwrap_or(u32::MAX)
}

/// There is no pair the other way round.
pub const NO_BACK: u32 = u32::MAX;
/// Sets the draw of sealed pairs apart from every other.
const PURPOSE_SEALED: u64 = 0x5ea1_ed00_0000_0000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::shape::plan::Pattern;
    use nat::Mix;

    const NONE: Sealing = Sealing { share: 0.0, seed: 3 };

    #[test]
    fn a_share_of_the_pairs_is_sealed_both_ways() {
        let plan = Plan::new(4_000, &Mix::default(), Pattern::Calls, 3);
        let contacts = vec![Some(TransportAddress::default()); 4_000];
        for (share, bounds) in [(0.0, 0..=0), (0.3, 1_000..=1_400), (1.0, 4_000..=4_000)] {
            let split = split(&plan, &contacts, 2, &[4_000], Sealing { share, seed: 9 });
            let sealed = split.iter().flat_map(|pairs| &pairs.outgoing).filter(|pair| pair.sealed).count();
            assert!(bounds.contains(&sealed), "{sealed} of 4,000 for a share of {share}");
            for pairs in &split {
                for incoming in pairs.incoming.iter().filter(|it| it.back != NO_BACK) {
                    assert_eq!(incoming.sealed, pairs.outgoing[incoming.back as usize].sealed);
                }
            }
        }
    }

    #[test]
    fn every_pair_has_one_place_at_either_worker() {
        for workers in [1, 2, 3] {
            let plan = Plan::new(100, &Mix::default(), Pattern::Random(1), 3);
            let contacts: Vec<Option<TransportAddress>> =
                (0..100).map(|i| (i != 7).then(TransportAddress::default)).collect();
            let split = split(&plan, &contacts, workers, &[60, 1_000], NONE);
            let mut found = Vec::new();
            for (worker, pairs) in (0..).zip(&split) {
                for outgoing in &pairs.outgoing {
                    let receiver = &split[plan::worker_of(outgoing.to, workers) as usize];
                    let incoming = receiver.incoming[outgoing.slot as usize];
                    assert_eq!(incoming.to, plan::place_of(outgoing.to, workers));
                    assert_eq!(incoming.from, outgoing.from * workers + worker);
                    assert_eq!(incoming.cell, outgoing.cell);
                    found.push((incoming.from, outgoing.to));
                }
            }
            assert_eq!(split.iter().map(|pairs| pairs.of_kind[0]).sum::<u32>(), 60);
            for pairs in &split {
                assert_eq!(pairs.of_kind.iter().sum::<u32>() as usize, pairs.outgoing.len());
                assert!(pairs.incoming.iter().all(|incoming| incoming.back == NO_BACK));
            }
            found.sort_unstable();
            let mut expected: Vec<(u32, u32)> =
                plan.pairs.iter().copied().filter(|(from, to)| *from != 7 && *to != 7).collect();
            expected.sort_unstable();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn two_ways_know_each_other() {
        for (workers, pattern) in [(1, Pattern::Calls), (2, Pattern::Star), (3, Pattern::Groups(4))] {
            let plan = Plan::new(21, &Mix::default(), pattern, 3);
            let contacts: Vec<Option<TransportAddress>> =
                (0..21).map(|i| (i != 6).then(TransportAddress::default)).collect();
            let split = split(&plan, &contacts, workers, &[14], NONE);
            assert_eq!(split.iter().map(|pairs| pairs.outgoing.len()).sum::<usize>(), 14);
            for (worker, pairs) in (0..).zip(&split) {
                for incoming in &pairs.incoming {
                    let back = pairs.outgoing[incoming.back as usize];
                    assert_eq!((back.from, back.to), (incoming.to, incoming.from), "{worker} of {workers}");
                }
            }
        }
    }

    #[test]
    fn contacts_come_back_in_the_plans_order() {
        let contact = |port| Some(TransportAddress { address: 0, port });
        let workers = [
            vec![contact(0), contact(3), contact(6)],
            vec![contact(1), None, contact(7)],
            vec![contact(2), contact(5)],
        ];
        let ports: Vec<Option<u16>> =
            in_order(&workers).into_iter().map(|each| each.map(|each| each.port)).collect();
        assert_eq!(ports, [Some(0), Some(1), Some(2), Some(3), None, Some(5), Some(6), Some(7)]);
    }

    #[test]
    fn a_pair_is_small() {
        assert!(size_of::<Outgoing>() <= 40 && size_of::<Incoming>() <= 32);
    }
}
