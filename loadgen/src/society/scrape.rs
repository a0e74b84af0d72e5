//! What a reflector says of itself in its metrics, before and after: its load during a run.
//!
//! * Sums the samples of a name; labels that tell workers and paths apart do not matter here.
//! * A counter that has gone back, because the reflector was started again, counts from zero.

use crate::error::Error;
use crate::society::link;
use crate::society::link::{Asked, Link, Target};
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
            let text = Link::new(target.clone()).fetch().await.map_err(|asked| {
                let reason = match asked {
                    Asked::Refused(problem) => problem.to_string(),
                    Asked::Unreachable(reason) => reason,
                };
                failed(url, &reason)
            })?;
            let read = Counters::read(&text.text());
            counters.push(read.ok_or_else(|| failed(url, "no reflector_relayed_datagrams_total there"))?);
        }
        Ok(counters)
    };
    link::wait_for(all, interrupted, grace)?
}

impl Counters {
    /// Of a text in the Prometheus format; nothing if it is no reflector's.
    pub fn read(text: &str) -> Option<Counters> {
        let sample = |line: &str| -> Option<(String, String, f64)> {
            let (left, value) = line.trim().rsplit_once(' ')?;
            let (name, labels) = left.split_once('{').unwrap_or((left, ""));
            Some((name.to_owned(), labels.trim_end_matches('}').to_owned(), value.parse().ok()?))
        };
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect();
        let sum = |name: &str| samples.iter().filter(|it| it.0 == name).map(|it| it.2).sum();
        samples.iter().any(|it| it.0 == RELAYED).then_some(())?;
        let mut dropped = BTreeMap::new();
        for (_, labels, value) in samples.iter().filter(|it| it.0 == DROPPED && it.2 > 0.0) {
            let reason = labels.split(',').find_map(|label| label.strip_prefix("reason=\""));
            let reason = reason.unwrap_or("unknown\"").trim_end_matches('"').to_owned();
            *dropped.entry(reason).or_default() += *value;
        }
        Some(Counters { observed: sum(OBSERVED), relayed: sum(RELAYED), dropped, busy_s: sum(BUSY) })
    }

    /// What was added since.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Counters are whole and positive.
    pub fn since(&self, before: &Counters, metrics: &str) -> ReflectorLoad {
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
        let (before, after) = (Counters::read(&text(1)).unwrap(), Counters::read(&text(3)).unwrap());
        let load = after.since(&before, "m");
        assert_eq!((load.relayed, load.observed, load.busy_s), (22, 14, 2.0));
        assert_eq!(load.dropped, BTreeMap::from([("tag".to_owned(), 6)]));
        assert_eq!(before.since(&after, "m").relayed, 11, "started again");
        assert_eq!(Counters::read("go_threads 5\n"), None);
    }
}
