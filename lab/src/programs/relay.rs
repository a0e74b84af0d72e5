//! What a reflector counted, and whether every datagram of it is accounted for.
//!
//! * Once drained: `received = relayed + observed + dropped + send errors`. Anything else is a fault of its counting.
//! * What the kernel dropped before the reflector saw it stands apart: it was never received.

use http::Metrics;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Counters of all workers together, since the start or over a span of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Datagrams taken from sockets.
    pub received: u64,
    /// SENDs that left as DATA.
    pub relayed: u64,
    /// PROBEs answered.
    pub observed: u64,
    /// Datagrams refused, by reason; reasons that did not occur are left out.
    pub dropped: BTreeMap<String, u64>,
    /// Datagrams accepted that the kernel did not send, by its error; errors that did not occur are left out.
    pub send_errors: BTreeMap<String, u64>,
    /// Datagrams that the kernel dropped because the reflector's receive queue was full.
    pub overflows: u64,
    /// CPU time of its workers, ns.
    pub busy_ns: u64,
}

impl Counters {
    /// Those of a scrape.
    ///
    /// # Errors
    /// A metric is missing.
    pub fn of(metrics: &Metrics) -> anyhow::Result<Self> {
        let total = |name: &str| Ok::<u64, anyhow::Error>(rounded(metrics.sum(name, &[])?));
        Ok(Self {
            received: total("reflector_received_datagrams_total")?,
            relayed: total("reflector_relayed_datagrams_total")?,
            observed: total("reflector_observed_datagrams_total")?,
            dropped: by(metrics, "reflector_dropped_datagrams_total", "reason")?,
            send_errors: by(metrics, "reflector_send_errors_total", "error")?,
            overflows: total("reflector_socket_overflows_total")?,
            busy_ns: rounded(metrics.sum("reflector_worker_busy_seconds_total", &[])? * 1e9),
        })
    }

    /// What was counted since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            received: self.received.saturating_sub(before.received),
            relayed: self.relayed.saturating_sub(before.relayed),
            observed: self.observed.saturating_sub(before.observed),
            dropped: difference(&self.dropped, &before.dropped),
            send_errors: difference(&self.send_errors, &before.send_errors),
            overflows: self.overflows.saturating_sub(before.overflows),
            busy_ns: self.busy_ns.saturating_sub(before.busy_ns),
        }
    }

    /// Datagrams that left, were refused, or could not be sent.
    pub fn accounted(&self) -> u64 {
        let dropped: u64 = self.dropped.values().sum();
        let unsent: u64 = self.send_errors.values().sum();
        self.relayed + self.observed + dropped + unsent
    }

    /// Whether every datagram received is accounted for, exactly.
    pub fn is_conserved(&self) -> bool {
        self.received == self.accounted()
    }

    /// Whether no datagram moved since `before`; time goes on by itself.
    pub fn is_still(&self, before: &Self) -> bool {
        let moved = |counters: &Self| (counters.received, counters.accounted(), counters.overflows);
        moved(self) == moved(before)
    }

    /// CPU time of the workers per datagram relayed, ns; `None` without any.
    pub fn busy_ns_per_datagram(&self) -> Option<f64> {
        (self.relayed > 0).then(|| self.busy_ns as f64 / self.relayed as f64)
    }
}

fn by(metrics: &Metrics, name: &str, label: &str) -> anyhow::Result<BTreeMap<String, u64>> {
    metrics.sum(name, &[])?; // The metric must be there, even if every value of it is 0.
    let values = metrics.values(name, label).into_iter();
    let sums = values.map(|value| Ok((value.to_owned(), rounded(metrics.sum(name, &[(label, value)])?))));
    let sums: anyhow::Result<Vec<_>> = sums.collect();
    Ok(sums?.into_iter().filter(|(_, sum)| *sum > 0).collect())
}

/// Counters are whole, and far below 2^53.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn rounded(value: f64) -> u64 {
    value.round() as u64
}

fn difference(now: &BTreeMap<String, u64>, before: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let grown = now
        .iter()
        .map(|(key, value)| (key.clone(), value.saturating_sub(before.get(key).copied().unwrap_or(0))));
    grown.filter(|(_, value)| *value > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(received: u64, denied: u64) -> Metrics {
        let page = format!(
            "reflector_received_datagrams_total{{path=\"socket\",worker=\"0\"}} {received}
            reflector_relayed_datagrams_total{{worker=\"0\"}} 90
            reflector_observed_datagrams_total{{worker=\"0\"}} 5
            reflector_dropped_datagrams_total{{reason=\"tag\",worker=\"0\"}} 1
            reflector_dropped_datagrams_total{{reason=\"tag\",worker=\"1\"}} 1
            reflector_dropped_datagrams_total{{reason=\"denied\",worker=\"0\"}} {denied}
            reflector_send_errors_total{{error=\"size\"}} 0
            reflector_socket_overflows_total{{worker=\"0\"}} 3
            reflector_worker_busy_seconds_total{{worker=\"0\"}} 0.000450"
        );
        Metrics::parse(&page.replace("            ", "")).unwrap()
    }

    #[test]
    fn every_datagram_is_accounted_for_or_it_is_said() {
        let counters = Counters::of(&page(97, 0)).unwrap();
        assert_eq!(counters.dropped, BTreeMap::from([("tag".to_owned(), 2)]));
        assert!(counters.is_conserved() && counters.send_errors.is_empty());
        assert_eq!(counters.busy_ns_per_datagram(), Some(5_000.0));
        assert!(!Counters::of(&page(98, 0)).unwrap().is_conserved());
        assert!(Counters::of(&Metrics::default()).is_err());
    }

    #[test]
    fn spans_of_time_are_differences() {
        let (before, after) = (Counters::of(&page(97, 0)).unwrap(), Counters::of(&page(101, 4)).unwrap());
        let span = after.since(&before);
        assert_eq!((span.received, span.relayed, span.accounted()), (4, 0, 4));
        assert_eq!(span.dropped, BTreeMap::from([("denied".to_owned(), 4)]));
        assert_eq!(span.busy_ns_per_datagram(), None);
        assert!(!after.is_still(&before));
        assert!(after.is_still(&Counters { busy_ns: 0, ..after.clone() }));
    }
}
