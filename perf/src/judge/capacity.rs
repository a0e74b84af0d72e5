//! What a sweep says about capacity, in figures and in words.
//!
//! * Only steps that may be believed count.
//! * Whose limit ended the sweep is always said; what was not reached is "at least".
//! * Rounded down, never up.

use crate::figures::{count, float, floored, percent, time};
use crate::rig::attempt::MOST_LOSS;
use crate::sweep::quick_report::Step;
use search::{Tried, Verdict, bracket};
use serde::{Deserialize, Serialize};

/// The capacity found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// What ended the sweep.
    pub limit: Limit,
    /// The highest rate offered that was relayed within the loss allowed; `None` if no rate was.
    pub offered_per_s: Option<u64>,
    /// What of it came through, datagrams per second, rounded down to three digits.
    pub relayed_per_s: Option<u64>,
    /// Loss at it.
    pub loss: Option<f64>,
    /// Latency at it, 99th percentile, ns.
    pub p99_ns: Option<u64>,
    /// One core's busy time per datagram at about half of it, turned around: datagrams per second, rounded down to two
    /// digits. An estimate; only where the generator's limit hid the reflector's.
    pub estimated_per_s: Option<u64>,
}

/// What ended a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// More loss than allowed at the next rate: the relay's limit.
    Loss,
    /// The run at the next rate was invalid: the generator's limit, or a disturbance.
    Generator,
    /// Other programs took the cores before a limit was found.
    Disturbance,
    /// The sweep's own end.
    Sweep,
    /// No run may be believed.
    Unknown,
}

impl Capacity {
    /// What the steps say.
    pub fn of(steps: &[Step]) -> Capacity {
        let tried: Vec<Tried> = steps.iter().map(Step::tried).collect();
        let bracket = bracket(&tried);
        let is_best =
            |step: &&Step| step.verdict() == Verdict::Passed && Some(step.offered_per_s) == bracket.passed;
        let best = steps.iter().rev().find(is_best);
        let limit = match bracket.failed.map(|failed| failed.verdict) {
            _ if !tried.iter().any(|each| each.verdict.is_believed()) => Limit::Unknown,
            None if tried.last().is_some_and(|last| last.verdict == Verdict::Disturbed) => Limit::Disturbance,
            None => Limit::Sweep,
            Some(Verdict::Invalid) => Limit::Generator,
            Some(_) => Limit::Loss,
        };
        Capacity {
            limit,
            offered_per_s: bracket.passed,
            relayed_per_s: best.map(|step| floored(step.outcome.rate.arrived_per_s, 3)),
            loss: best.map(|step| step.outcome.data.loss),
            p99_ns: best.map(|step| step.outcome.latency.p99_ns),
            estimated_per_s: best.filter(|_| limit.hides_the_relays()).and_then(|best| estimate(steps, best)),
        }
    }

    /// Whether the relay's own limit was not reached.
    pub fn is_at_least(&self) -> bool {
        self.offered_per_s.is_some() && self.limit.hides_the_relays()
    }

    /// The capacity in one or two sentences, with why it is not for planning.
    pub fn in_words(&self, steps: &[Step], datagram_bytes: u32, caveats: &[String]) -> String {
        let caveats = caveats.join("; ");
        let aside =
            if caveats.is_empty() { String::new() } else { format!(" ({caveats}: not for planning)") };
        let (Some(relayed), Some(loss), Some(p99)) = (self.relayed_per_s, self.loss, self.p99_ns) else {
            return format!("{}{aside}.", no_capacity(steps, datagram_bytes));
        };
        let rate = count(relayed);
        let loss = percent(loss);
        let p99 = time(float(p99));
        let (at_least, why) = match self.limit {
            Limit::Loss | Limit::Unknown => ("", ""),
            Limit::Generator => ("at least ", "; the next higher rate was beyond the generator on its core"),
            Limit::Disturbance => ("at least ", "; then other programs took the cores"),
            Limit::Sweep => ("at least ", "; no higher rate was tried"),
        };
        let found = format!(
            "One core relayed {at_least}{rate} datagrams/s of {datagram_bytes} bytes with {loss} loss, p99 {p99}{why}\
             {aside}."
        );
        match self.estimated_per_s {
            Some(estimate) if estimate > relayed => {
                format!("{found} Its core-time suggests about {} datagrams/s (estimated).", count(estimate))
            }
            _ => found,
        }
    }
}

impl Limit {
    /// Whether the relay's own limit lies higher.
    fn hides_the_relays(self) -> bool {
        !matches!(self, Limit::Loss | Limit::Unknown)
    }
}

fn no_capacity(steps: &[Step], datagram_bytes: u32) -> String {
    let lost =
        steps.iter().filter(|step| step.verdict() == Verdict::Lost).min_by_key(|step| step.offered_per_s);
    match lost {
        Some(step) => format!(
            "No rate tried was relayed with at most {} loss: of {} datagrams/s of {datagram_bytes} bytes {} were lost",
            percent(MOST_LOSS),
            count(step.offered_per_s),
            percent(step.outcome.data.loss)
        ),
        None => "No capacity was found: no run may be believed".to_owned(),
    }
}

/// One core's time over the core-time of a datagram, at the step nearest to half of the highest rate that passed.
fn estimate(steps: &[Step], best: &Step) -> Option<u64> {
    let half = best.offered_per_s / 2;
    let passed = steps.iter().filter(|step| step.verdict() == Verdict::Passed);
    let nearest = passed.min_by_key(|step| step.offered_per_s.abs_diff(half))?;
    // At its highest rate a core shows nothing beyond it, and at a low one it pays for waking with every datagram.
    let is_half = (best.offered_per_s / 3..=best.offered_per_s * 3 / 4).contains(&nearest.offered_per_s);
    if !is_half {
        return None;
    }
    let core_ns = nearest.core_ns_per_datagram().filter(|ns| *ns > 0.0)?;
    Some(floored(1e9 / core_ns, 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn words(steps: &[Step], caveats: &[&str]) -> String {
        let caveats: Vec<String> = caveats.iter().map(|&caveat| caveat.to_owned()).collect();
        Capacity::of(steps).in_words(steps, 200, &caveats)
    }

    #[test]
    fn the_relays_limit_is_a_capacity() {
        let steps = [sample::step(80_000, 0.0), sample::step(160_000, 0.3), sample::step(150_000, 0.002)];
        assert_eq!(
            words(&steps, &["loopback, not a NIC"]),
            "One core relayed 149,000 datagrams/s of 200 bytes with 0.2 % loss, p99 1.4 ms \
             (loopback, not a NIC: not for planning)."
        );
        assert_eq!(Capacity::of(&steps).limit, Limit::Loss);
    }

    #[test]
    fn what_was_not_reached_is_at_least() {
        let mut steps = vec![sample::step(40_000, 0.0), sample::step(80_000, 0.0)];
        let text = words(&steps, &[]);
        assert!(
            text.starts_with("One core relayed at least 80,000 ") && text.contains("no higher rate"),
            "{text}"
        );
        let mut disturbed = sample::invalid_step(160_000);
        disturbed.outcome.validity.checks[0].name = crate::rig::attempt::DISTURBANCES[0].to_owned();
        steps.push(disturbed);
        assert!(words(&steps, &[]).contains("; then other programs took the cores"));
        steps.push(sample::invalid_step(160_000));
        let text = words(&steps, &[]);
        assert!(text.contains("beyond the generator on its core"), "{text}");
        assert!(text.ends_with("suggests about 200,000 datagrams/s (estimated)."), "{text}");
    }

    #[test]
    fn without_a_step_to_believe_there_is_no_capacity() {
        let steps = [sample::invalid_step(10_000)];
        assert_eq!(Capacity::of(&steps).limit, Limit::Unknown);
        assert_eq!(words(&steps, &[]), "No capacity was found: no run may be believed.");
        assert_eq!(Capacity::of(&[]).limit, Limit::Unknown);
        let text = words(&[sample::step(10_000, 0.2)], &["x"]);
        assert_eq!(
            text,
            "No rate tried was relayed with at most 0.5 % loss: of 10,000 datagrams/s of 200 bytes 20 % were lost \
             (x: not for planning)."
        );
    }
}
