//! What a sweep found about one cell: its capacity, what a datagram costs, and latency at each load.
//!
//! * Only runs that may be believed count, and none of the round that warms up.
//! * Histograms of rounds are merged; percentiles of rounds show the spread and are never averaged.
//! * A capacity is found by search; where the generator ended first it is estimated from cost at half load, and says so.

use crate::figures::{float, floored};
use crate::judge::ceiling::Ceiling;
use crate::judge::histogram::{CurvePoint, curve, percentiles};
use crate::judge::spread::Spread;
use crate::rig::attempt::MOST_LOSS;
use crate::rig::cell::Cell;
use crate::rig::run::{Percentiles, Purpose, Run};
use results::latency::merged;
use results::run::NatPair;
use search::{Tried, Verdict};
use serde::{Deserialize, Serialize};

/// One cell's figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The cell.
    pub cell: Cell,
    /// What the search found.
    pub ceiling: Ceiling,
    /// What it relays; `None` if nothing passed.
    pub capacity: Option<Capacity>,
    /// The tries of the search and the loads of rounds: offered and what came through.
    pub offered: Vec<Offered>,
    /// Figures at each load that was measured.
    pub loads: Vec<LoadFigures>,
}

/// How many datagrams a second a reflector takes with at most 0.5 % loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// Per second, all workers together.
    pub per_s: Spread,
    /// Whether it follows from cost at half load, because the generator ended first.
    pub is_estimated: bool,
}

/// One run: its rate, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offered {
    /// What for; `None` in reports that do not say.
    #[serde(default)]
    pub purpose: Option<Purpose>,
    /// In which round, from 0, which warms up; of a search, which try.
    #[serde(default)]
    pub round: u32,
    /// Offered, datagrams per second, wrong ones included.
    pub offered_per_s: u64,
    /// Good ones that came through, per second.
    pub arrived_per_s: f64,
    /// Part of the good ones that was lost.
    pub loss: f64,
    /// Whether it may be believed.
    pub is_believed: bool,
    /// What a search makes of it, in a word or two.
    #[serde(default)]
    pub verdict: String,
    /// Latency of good ones; `None` if nothing came, and in reports that do not say.
    #[serde(default)]
    pub latency: Option<Percentiles>,
    /// Busy time of the reflector's processors per datagram, ns.
    #[serde(default)]
    pub cost_ns: Option<f64>,
}

/// Figures at one load, over rounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadFigures {
    /// Which load.
    pub purpose: Purpose,
    /// Datagrams per second, wrong ones included.
    pub offered_per_s: u64,
    /// Busy time of the reflector's processors per datagram, ns.
    pub cost_ns: Option<Spread>,
    /// The same, split into user, system and soft interrupt: medians, ns.
    pub split_ns: Option<[f64; 3]>,
    /// Of all rounds, merged.
    pub latency: Percentiles,
    /// 50th percentiles of the rounds, ns.
    pub p50_ns: Spread,
    /// 99th percentiles of the rounds, ns.
    pub p99_ns: Spread,
    /// Latency over percentiles, merged.
    pub curve: Vec<CurvePoint>,
    /// Good datagrams sent.
    pub sent: u64,
    /// Of these, lost.
    pub lost: u64,
    /// Resident memory of the reflector, bytes.
    pub reflector_bytes: Spread,
    /// Resident memory of the generator, bytes.
    pub generator_bytes: Spread,
    /// Delivery by NAT pair.
    pub pairs: Vec<NatPair>,
}

impl Finding {
    /// What the runs say about a cell.
    ///
    /// # Errors
    /// A histogram that cannot be read.
    pub fn of(cell: Cell, runs: &[Run]) -> anyhow::Result<Self> {
        let own: Vec<&Run> = runs.iter().filter(|run| run.cell == cell).collect();
        let ceiling = ceiling(cell, &own);
        let mut loads = Vec::new();
        for purpose in Purpose::LOADS {
            loads.extend(LoadFigures::of(purpose, &own)?);
        }
        let capacity = capacity(cell, &ceiling, &own, &loads);
        let offered = own.iter().filter(|run| run.sent > 0).map(|run| Offered {
            purpose: Some(run.purpose),
            round: run.round,
            offered_per_s: run.offered_per_s,
            arrived_per_s: run.arrived_per_s,
            loss: run.loss(),
            is_believed: run.is_believed(),
            verdict: run.tried(MOST_LOSS).verdict.word().to_owned(),
            latency: run.latency,
            cost_ns: run.cost_ns(),
        });
        Ok(Self { cell, ceiling, capacity, offered: offered.collect(), loads })
    }

    /// The figures at a load.
    pub fn at(&self, purpose: Purpose) -> Option<&LoadFigures> {
        self.loads.iter().find(|load| load.purpose == purpose)
    }

    /// What a datagram costs at half load, ns.
    pub fn cost_ns(&self) -> Option<Spread> {
        self.at(Purpose::Half)?.cost_ns
    }

    /// What one worker relays, per second.
    pub fn per_worker_per_s(&self) -> Option<f64> {
        Some(self.capacity?.per_s.median / f64::from(self.cell.workers.max(1)))
    }

    /// The part of its capacity that a load offers.
    pub fn part_of(&self, load: &LoadFigures) -> Option<f64> {
        Some(float(load.offered_per_s) / self.capacity?.per_s.median)
    }
}

impl LoadFigures {
    fn of(purpose: Purpose, runs: &[&Run]) -> anyhow::Result<Option<Self>> {
        let own = counted(runs, purpose);
        let all = merged(own.iter().map(|run| run.hdr_v2_base64.as_str()))?;
        let spread =
            |figure: &dyn Fn(&Run) -> Option<f64>| Spread::of(own.iter().filter_map(|run| figure(run)));
        let part = |place: usize| Some(spread(&|run: &Run| run.core_ns?.get(place).copied())?.median);
        let split = [part(0), part(1), part(2)];
        let p50 = spread(&|run| Some(float(run.latency?.p50_ns)));
        let p99 = spread(&|run| Some(float(run.latency?.p99_ns)));
        let memory = [
            spread(&|run| Some(float(run.reflector_bytes))),
            spread(&|run| Some(float(run.generator_bytes))),
        ];
        let (Some(first), Some(p50_ns), Some(p99_ns), [Some(reflector_bytes), Some(generator_bytes)]) =
            (own.first(), p50, p99, memory)
        else {
            return Ok(None);
        };
        Ok(Some(Self {
            purpose,
            offered_per_s: first.offered_per_s,
            cost_ns: spread(&Run::cost_ns),
            split_ns: match split {
                [Some(user), Some(system), Some(softirq)] => Some([user, system, softirq]),
                _ => None,
            },
            latency: percentiles(&all),
            p50_ns,
            p99_ns,
            curve: curve(&all),
            sent: own.iter().map(|run| run.sent).sum(),
            lost: own.iter().map(|run| run.lost).sum(),
            reflector_bytes,
            generator_bytes,
            pairs: summed(own.iter().flat_map(|run| &run.pairs)),
        }))
    }
}

/// What a search on a cell found so far; all workers together.
pub fn ceiling(cell: Cell, runs: &[&Run]) -> Ceiling {
    let searched: Vec<&Run> = searched(cell, runs).collect();
    let tried = |most_loss: f64| searched.iter().map(|run| run.tried(most_loss)).collect::<Vec<Tried>>();
    Ceiling::found(&tried(0.0), &tried(MOST_LOSS), |rate_per_s| {
        let best = searched
            .iter()
            .rev()
            .find(|run| run.offered_per_s == rate_per_s && run.tried(MOST_LOSS).verdict == Verdict::Passed);
        Some(best?.cost_ns()? / f64::from(cell.workers.max(1)))
    })
}

/// The tries of a cell's search, in order.
pub fn searched<'a>(cell: Cell, runs: &'a [&Run]) -> impl Iterator<Item = &'a Run> {
    let is_own = move |run: &&Run| run.cell == cell && run.purpose == Purpose::Search;
    runs.iter().copied().filter(is_own)
}

/// The runs at a load that count: believed, and of one round the last.
pub fn counted<'a>(runs: &[&'a Run], purpose: Purpose) -> Vec<&'a Run> {
    let mut counted: Vec<&Run> = Vec::new();
    let is_own = |run: &&&Run| {
        run.purpose == purpose && purpose != Purpose::Search && run.round > 0 && run.is_believed()
    };
    for run in runs.iter().filter(is_own) {
        counted.retain(|other| other.round != run.round);
        counted.push(run);
    }
    counted
}

/// The capacity with its spread: between the rate that passed and the one that failed, or that of the estimate's rounds.
fn capacity(cell: Cell, ceiling: &Ceiling, runs: &[&Run], loads: &[LoadFigures]) -> Option<Capacity> {
    let found = float(ceiling.pdr_per_s?);
    let workers = f64::from(cell.workers.max(1));
    let half = loads.iter().find(|load| load.purpose == Purpose::Half).and_then(|load| load.cost_ns);
    // Where the generator was late, what it made up for in bursts may be lost, but no more than that.
    let most_loss = if ceiling.is_generators { 5.0 * MOST_LOSS } else { MOST_LOSS };
    let too_much = |run: &Run| {
        let is_offered = run.sent_per_s > 0.95 * float(run.offered_per_s) && !run.is_disturbed();
        is_offered && run.loss() > most_loss && float(run.offered_per_s) > found
    };
    let lost = searched(cell, runs).filter(|run| too_much(run));
    let lost_at = lost.map(|run| float(run.offered_per_s)).fold(f64::INFINITY, f64::min);
    if ceiling.is_generators {
        let estimate = half.map(|cost_ns| cost_ns.map(|ns| (workers * 1e9 / ns).min(lost_at)));
        let at_least = |per_s: f64| float(floored(per_s.max(found), 3));
        let once = Spread { median: found, least: found, most: found, rounds: 1 };
        let per_s = estimate.map_or(once, |estimate| estimate.map(at_least));
        return Some(Capacity { per_s, is_estimated: true });
    }
    let most = if lost_at.is_finite() { lost_at } else { found };
    Some(Capacity { per_s: Spread { median: found, least: found, most, rounds: 1 }, is_estimated: false })
}

/// Sums by pair, in the order in which pairs come first.
pub fn summed<'a>(pairs: impl Iterator<Item = &'a NatPair>) -> Vec<NatPair> {
    let mut sums: Vec<NatPair> = Vec::new();
    for pair in pairs {
        match sums.iter_mut().find(|sum| sum.from == pair.from && sum.to == pair.to) {
            Some(sum) => {
                sum.sent += pair.sent;
                sum.delivered += pair.delivered;
                sum.refused_by_nat += pair.refused_by_nat;
            }
            None => sums.push(pair.clone()),
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn rounds_become_figures() {
        let runs = sample::runs();
        let finding = Finding::of(sample::cell(), &runs).unwrap();
        let half = finding.at(Purpose::Half).unwrap();
        assert_eq!(half.cost_ns.map(|cost| (cost.rounds, cost.median.round())), Some((3, 5_000.0)));
        assert_eq!(half.split_ns.map(|split| split.iter().sum::<f64>().round()), Some(5_000.0));
        assert!(half.latency.p50_ns <= half.latency.p99_ns && half.latency.p99_ns <= half.latency.max_ns);
        let capacity = finding.capacity.unwrap();
        assert!(!capacity.is_estimated && capacity.per_s.least <= capacity.per_s.most);
        assert!((180_000.0..=200_000.0).contains(&capacity.per_s.median), "{capacity:?}");
        assert_eq!(half.pairs.iter().map(|pair| pair.sent).sum::<u64>(), half.sent);
        assert!(finding.part_of(half).is_some_and(|part| (part - 0.5).abs() < 0.02));
    }

    #[test]
    fn what_the_generator_ended_is_estimated() {
        let mut runs = sample::runs();
        let is_lost = |run: &&mut Run| run.purpose == Purpose::Search && run.lost > 0;
        runs.iter_mut().filter(is_lost).for_each(|run| run.failed.push("rate".to_owned()));
        let capacity = Finding::of(sample::cell(), &runs).unwrap().capacity.unwrap();
        assert!(capacity.is_estimated && (capacity.per_s.median - 200_000.0).abs() < 1_500.0, "{capacity:?}");
    }

    #[test]
    fn what_may_not_be_believed_does_not_count() {
        let mut runs = sample::runs();
        runs.iter_mut().for_each(|run| run.failed.push("socket-overflows".to_owned()));
        let finding = Finding::of(sample::cell(), &runs).unwrap();
        assert!(finding.loads.is_empty() && finding.capacity.is_none());
        assert!(finding.offered.iter().all(|offered| !offered.is_believed));
        assert!(
            Finding::of(sample::cell().with(crate::rig::cell::Axis::Train, 9), &runs)
                .unwrap()
                .offered
                .is_empty()
        );
    }
}
