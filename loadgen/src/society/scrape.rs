//! What a reflector says of itself in its metrics, before and after: its load during a run.
//!
//! * Sums the samples of a name; labels that tell workers and paths apart do not matter here.
//! * A counter that has gone back, because the reflector was started again, counts from zero.

use crate::args::target::Target;
use crate::error::Error;
use crate::society::link::{self, Asked, Link};
use http::Metrics;
use results::presence::ReflectorLoad;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// The counters of one reflector at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters {
    observed: f64,
    relayed: f64,
    dropped: BTreeMap<String, f64>,
    busy_s: f64,
}

/// The counters at each of these targets now; after a signal, what comes within `grace`.
///
/// # Errors
/// One that does not answer, or answers without the metrics of a reflector; a signal came first.
pub fn scrape(
    targets: &[(String, Target)],
    interrupted: &AtomicBool,
    grace: Duration,
) -> Result<Vec<Counters>, Error> {
    let failed = |url: &str, reason: &str| {
        Error::Configuration(format!(
            "--metrics {url}: {reason}; name the /metrics of a reflector's admin listener"
        ))
    };
    let all = async {
        let mut counters = Vec::with_capacity(targets.len());
        for (url, target) in targets {
            let answer = Link::new(target.clone()).fetch().await.map_err(|asked| {
                let reason = match asked {
                    Asked::Refused(problem) => problem.to_string(),
                    Asked::Unreachable(reason) => reason,
                };
                failed(url, &reason)
            })?;
            let read = answer.metrics().ok().as_ref().and_then(Counters::of);
            counters.push(read.ok_or_else(|| failed(url, "no reflector_relayed_datagrams_total there"))?);
        }
        Ok(counters)
    };
    link::wait_for(all, interrupted, grace)?
}

impl Counters {
    /// Of a reflector's metrics; nothing if they are another program's.
    pub fn of(metrics: &Metrics) -> Option<Self> {
        let relayed = metrics.sum(RELAYED, &[]).ok()?;
        let sum = |name: &str| metrics.of(name).map(|sample| sample.value).sum();
        let mut dropped = BTreeMap::new();
        for sample in metrics.of(DROPPED).filter(|sample| sample.value > 0.0) {
            let reason = sample.labels.iter().find(|(key, _)| key == "reason");
            let reason = reason.map_or_else(|| "unknown".to_owned(), |(_, value)| value.clone());
            *dropped.entry(reason).or_default() += sample.value;
        }
        Some(Self { observed: sum(OBSERVED), relayed, dropped, busy_s: sum(BUSY) })
    }

    /// What was added since.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Counters are whole and positive.
    pub fn since(&self, before: &Self, metrics: &str) -> ReflectorLoad {
        let grown = |now: f64, then: f64| if now < then { now } else { now - then };
        let dropped = self.dropped.iter().map(|(reason, now)| {
            let then = before.dropped.get(reason).copied().unwrap_or_default();
            (reason.clone(), grown(*now, then) as u64)
        });
        ReflectorLoad {
            metrics: metrics.to_owned(),
            observed: grown(self.observed, before.observed) as u64,
            relayed: grown(self.relayed, before.relayed) as u64,
            dropped: dropped.filter(|(_, count)| *count > 0).collect(),
            busy_s: grown(self.busy_s, before.busy_s),
        }
    }
}

const OBSERVED: &str = "reflector_observed_datagrams_total";
const RELAYED: &str = "reflector_relayed_datagrams_total";
const DROPPED: &str = "reflector_dropped_datagrams_total";
const BUSY: &str = "reflector_worker_busy_seconds_total";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_summed_over_workers_and_subtracted() {
        let read = |text: &str| Counters::of(&Metrics::parse(text).unwrap());
        let text = |scale: u32| {
            format!(
                "# HELP x\n{RELAYED}{{path=\"socket\",worker=\"0\"}} {}\n{RELAYED}{{path=\"socket\",worker=\"1\"}} {}\n\
                 {OBSERVED}{{worker=\"0\"}} {}\n{DROPPED}{{path=\"socket\",reason=\"tag\",worker=\"0\"}} {}\n\
                 {DROPPED}{{reason=\"kind\"}} 0\n{BUSY}{{worker=\"0\"}} {}.5\n",
                10 * scale,
                scale,
                7 * scale,
                3 * scale,
                scale
            )
        };
        let (before, after) = (read(&text(1)).unwrap(), read(&text(3)).unwrap());
        let load = after.since(&before, "m");
        assert_eq!((load.relayed, load.observed, load.busy_s), (22, 14, 2.0));
        assert_eq!(load.dropped, BTreeMap::from([("tag".to_owned(), 6)]));
        assert_eq!(before.since(&after, "m").relayed, 11, "started again");
        assert_eq!(read("go_threads 5\n"), None);
    }
}
