//! How much a subject relays: found by search, or estimated where the generator ends first.
//!
//! * NDR is the highest rate without any loss, PDR that with at most 0.5 % of it (RFC 2544 names the first); both are
//!   searched with the same tries, judged twice.
//! * What the generator cannot offer is never a capacity: there the estimate is one core over the core-time at half load.

use crate::rig::attempt::MOST_LOSS;
use crate::rig::run::Run;
use search::{Search, Tried, Verdict, bracket};
use serde::{Deserialize, Serialize};

/// The capacity of a subject under one kind of traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ceiling {
    /// The highest rate that passed without loss, per second.
    pub ndr_per_s: Option<u64>,
    /// The highest rate that passed with at most 0.5 % of loss, per second.
    pub pdr_per_s: Option<u64>,
    /// Whether the next higher rate was beyond the generator, and not beyond the subject.
    pub is_generators: bool,
    /// Core-time per datagram at the highest rate that passed, ns.
    pub core_ns: Option<f64>,
}

impl Ceiling {
    /// What a search found.
    pub fn of<C>(runs: &[Run<C>]) -> Self {
        let with = tried(runs, MOST_LOSS);
        Self::found(&tried(runs, 0.0), &with, |rate_per_s| {
            let best = runs.iter().rev().find(|run| {
                run.offered_per_s == rate_per_s && run.tried(MOST_LOSS).verdict == Verdict::Passed
            });
            best.and_then(Run::core_total_ns)
        })
    }

    /// What tries found, judged without any loss and with the loss allowed; `core_ns` tells what a datagram cost at a
    /// rate that passed.
    pub fn found(without: &[Tried], with: &[Tried], core_ns: impl Fn(u64) -> Option<f64>) -> Self {
        let partial = bracket(with);
        Self {
            ndr_per_s: bracket(without).passed,
            pdr_per_s: partial.passed,
            is_generators: partial.failed.is_none_or(|failed| failed.verdict == Verdict::Invalid),
            core_ns: partial.passed.and_then(core_ns),
        }
    }

    /// What the subject relays, per second: found, or estimated from core-time where the generator ended first.
    pub fn capacity_per_s(&self) -> Option<f64> {
        let found = self.pdr_per_s.map(crate::figures::float)?;
        let estimate = self.core_ns.filter(|ns| *ns > 0.0).map(|ns| 1e9 / ns);
        Some(if self.is_generators { estimate.map_or(found, |estimate| estimate.max(found)) } else { found })
    }

    /// The rate of half load: half of the capacity, as far as the generator goes.
    pub fn half_per_s(&self) -> Option<u64> {
        let most = crate::figures::float(self.pdr_per_s?) * if self.is_generators { 0.8 } else { 0.5 };
        Some(crate::figures::floored((self.capacity_per_s()? / 2.0).min(most), 3))
    }
}

/// The next rate to try for a ceiling; `None` when both searches have ended.
pub fn next<C>(search: Search, runs: &[Run<C>], more_for_ndr: usize) -> Option<u64> {
    search.next(&tried(runs, MOST_LOSS)).or_else(|| {
        let further = Search { most_tries: search.most_tries + more_for_ndr, ..search };
        further.next(&tried(runs, 0.0))
    })
}

fn tried<C>(runs: &[Run<C>], most_loss: f64) -> Vec<Tried> {
    runs.iter().map(|run| run.tried(most_loss)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::subject::{Entry, Subject};
    use crate::sample;

    /// Searches a subject that loses nothing up to one rate, 0.3 % up to another, and 5 % beyond.
    fn search(without_per_s: u64, with_per_s: u64, generator_per_s: u64) -> Vec<Run<Entry>> {
        let search =
            Search { first_per_s: 20_000, factor: 2, most_tries: 9, most_failures: 2, small_gap: 16 };
        let mut runs = Vec::new();
        while let Some(rate) = next(search, &runs, 5) {
            let loss = match rate {
                _ if rate <= without_per_s => 0.0,
                _ if rate <= with_per_s => 0.003,
                _ => 0.05,
            };
            let mut run = sample::peers_run(Subject::Epoll, rate, loss, 5_000.0);
            if rate > generator_per_s {
                run.failed.push("rate".to_owned());
                run.sent_per_s = crate::figures::float(generator_per_s);
            }
            runs.push(run);
        }
        runs
    }

    #[test]
    fn both_rates_are_found() {
        let ceiling = Ceiling::of(&search(60_000, 100_000, u64::MAX));
        let (without, with) = (ceiling.ndr_per_s.unwrap(), ceiling.pdr_per_s.unwrap());
        assert!((50_000..=60_000).contains(&without) && (94_000..=100_000).contains(&with), "{ceiling:?}");
        assert!(!ceiling.is_generators);
        assert_eq!(ceiling.half_per_s(), Some(with / 2));
    }

    #[test]
    fn the_generators_end_is_no_capacity() {
        let ceiling = Ceiling::of(&search(1_000_000, 1_000_000, 90_000));
        assert!(ceiling.is_generators && ceiling.pdr_per_s.unwrap() <= 90_000, "{ceiling:?}");
        assert_eq!(ceiling.capacity_per_s(), Some(200_000.0));
        let half = ceiling.half_per_s().unwrap();
        assert!((60_000..=72_000).contains(&half), "{half}");
        let none = Ceiling::of::<Entry>(&[]);
        assert_eq!((none.capacity_per_s(), none.half_per_s()), (None, None));
    }
}
