//! The result of a sweep as data: what was asked for, each step, what follows, and where it took place.
//!
//! * Versioned: [`SCHEMA`] grows when a field changes its meaning or goes; readers refuse other versions.
//! * Units stand in the names; fractions are 0.0 to 1.0.
//! * Pages and tables are drawn from this and nothing else, so an old result can be drawn again.

use crate::figures::float;
use crate::judge::capacity::Capacity;
use crate::judge::histogram::CurvePoint;
use crate::rig::attempt::{Attempt, DISTURBANCES, MOST_LOSS};
use crate::rig::cores::{CoreTime, Cores};
use crate::rig::environment::Environment;
use lab::programs::generator::{Check, NatPair, Outcome};
use lab::programs::reflector::Ready;
use lab::programs::relay::Counters;
use search::{Tried, Verdict};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A whole result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Which command made it: `quick`.
    pub subject: String,
    /// Unix seconds at its start.
    pub started_unix_s: u64,
    /// The result in one sentence.
    pub headline: String,
    /// Whether capacity may be planned by it.
    pub fit_for_planning: bool,
    /// What a reader must know before believing it: why it is not for planning, what disturbed it.
    pub caveats: Vec<String>,
    /// What was asked for.
    pub settings: Settings,
    /// Who ran where.
    pub cores: Cores,
    /// What the reflector said of itself.
    pub reflector: Ready,
    /// The capacity found.
    pub capacity: Capacity,
    /// The steps, in the order in which they ran.
    pub steps: Vec<Step>,
    /// The machine and the programs.
    pub environment: Environment,
    /// The command lines, in order.
    pub commands: Vec<String>,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Endpoints, each behind a NAT of its own.
    pub endpoints: u32,
    /// NAT mix.
    pub nat: String,
    /// How datagrams follow each other.
    pub arrivals: String,
    /// Bytes behind the header.
    pub payload_bytes: u32,
    /// Bytes of a datagram, header included.
    pub datagram_bytes: u32,
    /// Measured phase of a step, ns.
    pub duration_ns: u64,
    /// Warm-up of a step, ns.
    pub warmup_ns: u64,
}

/// One rate, tried once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Offered, datagrams per second.
    pub offered_per_s: u64,
    /// What the generator found.
    pub outcome: Outcome,
    /// What the reflector counted, warm-up and PROBEs included.
    pub relay: Counters,
    /// What the kernel booked on the reflector's processor while the generator ran; nothing if the generator ran there.
    pub core: CoreTime,
    /// How long that was, ns.
    pub core_elapsed_ns: u64,
    /// The generator's latencies over percentiles.
    pub curve: Vec<CurvePoint>,
    /// What was checked beside the generator's own validity.
    pub checks: Vec<Check>,
}

impl Step {
    /// Whether its figures may be believed.
    pub fn is_valid(&self) -> bool {
        self.outcome.validity.valid && self.checks.iter().all(|check| check.holds)
    }

    /// What became of it; a step without figures is invalid.
    pub fn verdict(&self) -> Verdict {
        self.tried().verdict
    }

    /// It as the search sees it.
    pub fn tried(&self) -> Tried {
        let is_disturbance = |check: &Check| DISTURBANCES.contains(&check.name.as_str());
        let attempt = Attempt {
            offered_per_s: self.offered_per_s,
            sent_per_s: if self.outcome.data.sent > 0 { self.outcome.rate.sent_per_s } else { 0.0 },
            loss: self.outcome.data.loss,
            is_valid: self.is_valid(),
            // A step shows its latency, too.
            is_punctual_or_late: self.is_valid(),
            is_disturbed: self.failed_checks().any(is_disturbance),
        };
        attempt.judged(MOST_LOSS)
    }

    /// The checks that failed, the generator's own first.
    pub fn failed_checks(&self) -> impl Iterator<Item = &Check> {
        self.outcome.validity.checks.iter().chain(&self.checks).filter(|check| !check.holds)
    }

    /// Busy time of the reflector's core per datagram relayed, ns; `None` without any, or where the generator ran on it.
    pub fn core_ns_per_datagram(&self) -> Option<f64> {
        self.core_split_ns_per_datagram().map(|split| split.iter().sum())
    }

    /// The same, split into user, system and soft interrupt.
    pub fn core_split_ns_per_datagram(&self) -> Option<[f64; 3]> {
        let busy = self.core.busy(Duration::from_nanos(self.core_elapsed_ns))?;
        (self.relay.relayed > 0).then(|| busy.map(|ns| ns / float(self.relay.relayed)))
    }
}

impl Report {
    /// The steps that may be believed.
    pub fn valid_steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.verdict().is_believed())
    }

    /// The step whose rate is the capacity.
    pub fn best_step(&self) -> Option<&Step> {
        let is_best = |step: &&Step| Some(step.offered_per_s) == self.capacity.offered_per_s;
        self.steps.iter().rev().filter(|step| step.verdict() == Verdict::Passed).find(is_best)
    }

    /// The steps by rate, every rate once: the last try of each, unless an earlier one passed.
    pub fn steps_by_rate(&self) -> Vec<&Step> {
        let mut steps: Vec<&Step> = Vec::new();
        for step in &self.steps {
            match steps.iter_mut().find(|known| known.offered_per_s == step.offered_per_s) {
                Some(known) if known.verdict() != Verdict::Passed => *known = step,
                Some(_) => {}
                None => steps.push(step),
            }
        }
        steps.sort_by_key(|step| step.offered_per_s);
        steps
    }

    /// Delivery by NAT pair over the steps that passed, or over all that may be believed if none did.
    pub fn nat_pairs(&self) -> Vec<NatPair> {
        let has_passed = self.steps.iter().any(|step| step.verdict() == Verdict::Passed);
        let steps = self.valid_steps().filter(|step| !has_passed || step.verdict() == Verdict::Passed);
        let mut sums: Vec<NatPair> = Vec::new();
        for pair in steps.flat_map(|step| &step.outcome.nat_pairs) {
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
}

/// The version of this form.
pub const SCHEMA: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_step_counts_only_if_it_may_be_believed() {
        let mut step = sample::step(10_000, 0.005);
        assert_eq!(step.verdict(), Verdict::Passed);
        step.outcome.data.loss = 0.006;
        assert_eq!(step.verdict(), Verdict::Lost);
        step.checks[0].holds = false;
        assert_eq!((step.verdict(), step.failed_checks().count()), (Verdict::Invalid, 1));
        step.checks[0].name = DISTURBANCES[1].to_owned();
        assert_eq!(step.verdict(), Verdict::Disturbed);
        let mut step = sample::step(10_000, 0.0);
        step.outcome.validity.valid = false;
        assert_eq!(step.verdict(), Verdict::Invalid);
        assert_eq!(Step { outcome: Outcome::default(), ..step }.verdict(), Verdict::Invalid);
    }

    #[test]
    fn a_report_reads_back_and_sums_up() {
        let report = sample::report();
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
        let rates: Vec<u64> = report.steps_by_rate().iter().map(|step| step.offered_per_s).collect();
        assert!(rates.is_sorted_by(|a, b| a < b) && rates.len() < report.steps.len());
        let passed = report.steps.iter().filter(|step| step.verdict() == Verdict::Passed);
        let sent: u64 = passed.map(|step| step.outcome.data.sent).sum();
        assert_eq!(report.nat_pairs().iter().map(|pair| pair.sent).sum::<u64>(), sent);
        assert!(report.best_step().is_some());
    }
}
