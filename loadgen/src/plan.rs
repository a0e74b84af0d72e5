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
}

impl Plan {
    /// Draws up a plan of at least two endpoints.
    pub fn new(endpoints: u32, mix: &Mix, pattern: Pattern, seed: u64) -> Plan {
        let assignment = mix.assignment();
        let mut behaviours: Vec<Behaviour> =
            (0..endpoints.max(2)).map(|index| assignment.behaviour_of(index as usize)).collect();
        Random::new(seed, PURPOSE_BEHAVIOURS).shuffle(&mut behaviours);
        Plan { behaviours, pairs: pattern.pairs(endpoints.max(2), seed) }
    }
}

/// Who sends to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Every endpoint to one other, drawn at random.
    Random,
    /// Every endpoint to the next, the last to the first.
    Ring,
    /// Every endpoint to the first, and the first to every other.
    Star,
}

impl Pattern {
    /// How many pairs so many endpoints make.
    pub fn pair_count(self, endpoints: u32) -> u64 {
        let endpoints = u64::from(endpoints.max(2));
        if self == Pattern::Star { 2 * (endpoints - 1) } else { endpoints }
    }

    fn pairs(self, endpoints: u32, seed: u64) -> Vec<(u32, u32)> {
        match self {
            Pattern::Random => {
                let mut random = Random::new(seed, PURPOSE_PAIRS);
                // Skipping oneself keeps every other equally likely.
                let mut other = |from| {
                    let drawn = random.below(endpoints - 1);
                    if drawn >= from { drawn + 1 } else { drawn }
                };
                (0..endpoints).map(|from| (from, other(from))).collect()
            }
            Pattern::Ring => (0..endpoints).map(|from| (from, (from + 1) % endpoints)).collect(),
            Pattern::Star => (1..endpoints).flat_map(|leaf| [(leaf, 0), (0, leaf)]).collect(),
        }
    }
}

impl FromStr for Pattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Pattern, Error> {
        match text {
            "random" => Ok(Pattern::Random),
            "ring" => Ok(Pattern::Ring),
            "star" => Ok(Pattern::Star),
            _ => Err(Error::Usage(format!("{} is not random, ring or star", units::quote(text)))),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Pattern::Random => "random",
            Pattern::Ring => "ring",
            Pattern::Star => "star",
        })
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
        for pattern in [Pattern::Random, Pattern::Ring, Pattern::Star] {
            for endpoints in [2, 3, 10, 1000] {
                let plan = Plan::new(endpoints, &Mix::default(), pattern, 9);
                assert!(
                    plan.pairs.iter().all(|(from, to)| from != to && *from < endpoints && *to < endpoints)
                );
                let mut senders: Vec<u32> = plan.pairs.iter().map(|(from, _)| *from).collect();
                senders.sort_unstable();
                senders.dedup();
                assert_eq!(senders.len(), endpoints as usize, "{pattern}");
                assert_eq!(plan.pairs.len() as u64, pattern.pair_count(endpoints), "{pattern}");
            }
        }
        assert_eq!(Plan::new(3, &Mix::default(), Pattern::Star, 0).pairs, [(1, 0), (0, 1), (2, 0), (0, 2)]);
    }

    #[test]
    fn partners_are_drawn_evenly_and_by_seed() {
        let plan = |seed| Plan::new(11, &Mix::default(), Pattern::Random, seed);
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
        for text in ["random", "ring", "star"] {
            assert_eq!(text.parse::<Pattern>().unwrap().to_string(), text);
        }
        assert!("mesh".parse::<Pattern>().is_err());
    }
}
