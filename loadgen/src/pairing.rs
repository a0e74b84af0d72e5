//! The pairs of a plan, split by worker: what a sender has to know of each, and what a receiver has.
//!
//! ```text
//!   plan (a, b)  ->  worker of a: Outgoing { from a, to b, slot }     worker of b: Incoming[slot] { from a, to b }
//! ```
//!
//! * Plain arrays; the slot travels in the stamp, so that a receiver finds its pair without a search.
//! * Pairs of which an endpoint has no contact are left out.

#![deny(clippy::disallowed_types)]

use crate::plan::{self, Plan};
use crate::tally;
use crate::tracker::Tracker;
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
    /// Behaviours of both; see [`tally::cell`].
    pub cell: u8,
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
    /// Behaviours of both; see [`tally::cell`].
    pub cell: u8,
}

/// All pairs of one worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    /// Those that it sends.
    pub outgoing: Vec<Outgoing>,
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

/// Splits the plan's pairs.
pub fn split(plan: &Plan, contacts: &[Option<TransportAddress>], workers: u32) -> Vec<Pairs> {
    let mut split = vec![Pairs::default(); workers as usize];
    for Pair { from, to, cell } in reachable(plan, contacts) {
        let Some(pairs) = split.get_mut(plan::worker_of(to, workers) as usize) else { continue };
        let slot = u32::try_from(pairs.incoming.len()).unwrap_or(u32::MAX);
        let incoming = Incoming { from, to: plan::place_of(to, workers), cell, ..Incoming::default() };
        pairs.incoming.push(incoming);
        let Some(pairs) = split.get_mut(plan::worker_of(from, workers) as usize) else { continue };
        pairs.outgoing.push(Outgoing {
            from: plan::place_of(from, workers),
            to,
            slot,
            cell,
            ..Outgoing::default()
        });
    }
    for pairs in &mut split {
        pairs.outgoing.shrink_to_fit();
        pairs.incoming.shrink_to_fit();
    }
    split
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Pattern;
    use nat::Mix;

    #[test]
    fn every_pair_has_one_place_at_either_worker() {
        for workers in [1, 2, 3] {
            let plan = Plan::new(100, &Mix::default(), Pattern::Random, 3);
            let contacts: Vec<Option<TransportAddress>> =
                (0..100).map(|i| (i != 7).then(TransportAddress::default)).collect();
            let split = split(&plan, &contacts, workers);
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
            found.sort_unstable();
            let mut expected: Vec<(u32, u32)> =
                plan.pairs.iter().copied().filter(|(from, to)| *from != 7 && *to != 7).collect();
            expected.sort_unstable();
            assert_eq!(found, expected);
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
        assert!(size_of::<Outgoing>() <= 32 && size_of::<Incoming>() <= 32);
    }
}
