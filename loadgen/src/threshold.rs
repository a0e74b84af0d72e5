//! What a run has to keep: `p99<2ms`, `loss<0.1%`.
//!
//! * A metric that was not measured fails its threshold, whatever the relation.
//! * Pure: text in, verdicts out.

use crate::error::Error;
use crate::units;
use results::latency::Latency;
use results::run::Data;
use results::verdict::{Relation, Verdict};
use std::str::FromStr;

/// One threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    text: String,
    metric: Metric,
    relation: Relation,
    bound: f64,
}

impl Threshold {
    /// Judges it by the results.
    pub fn judge(&self, latency: &Latency, data: &Data) -> Verdict {
        let value = self.metric.value(latency, data);
        Verdict::new(self.text.clone(), value, self.relation, self.bound, self.metric.unit())
    }
}

impl FromStr for Threshold {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let squeezed: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let wrong = || {
            let shown = units::quote(text);
            let names = Metric::ALL.map(Metric::as_str).join(", ");
            Error::Usage(format!(
                "{shown} is no threshold: write METRIC<BOUND (or <= > >=) with one of {names}, such as p99<2ms or loss<0.1%"
            ))
        };
        let start = squeezed.find(['<', '>']).ok_or_else(wrong)?;
        let (name, rest) = squeezed.split_at(start);
        let metric = Metric::ALL.into_iter().find(|metric| metric.as_str() == name).ok_or_else(wrong)?;
        let (relation, bound) = Relation::ALL
            .into_iter()
            .find_map(|relation| rest.strip_prefix(relation.as_str()).map(|bound| (relation, bound)))
            .ok_or_else(wrong)?;
        let bound = metric.parse_bound(bound)?;
        Ok(Self { text: squeezed, metric, relation, bound })
    }
}

/// What can be bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Metric {
    P50,
    P90,
    P99,
    P999,
    P9999,
    Max,
    Loss,
}

impl Metric {
    const ALL: [Self; 7] = [Self::P50, Self::P90, Self::P99, Self::P999, Self::P9999, Self::Max, Self::Loss];

    const fn as_str(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P99 => "p99",
            Self::P999 => "p99.9",
            Self::P9999 => "p99.99",
            Self::Max => "max",
            Self::Loss => "loss",
        }
    }

    const fn unit(self) -> &'static str {
        match self {
            Self::Loss => "fraction",
            _ => "ns",
        }
    }

    #[allow(clippy::cast_precision_loss)] // Times to 53 bits are 104 days to the nanosecond.
    fn parse_bound(self, text: &str) -> Result<f64, Error> {
        match self {
            Self::Loss => units::percentage(text),
            _ => units::duration_ns(text).map(|ns| ns as f64),
        }
    }

    #[allow(clippy::cast_precision_loss)]
    fn value(self, latency: &Latency, data: &Data) -> Option<f64> {
        let ns = match self {
            Self::Loss => return (data.sent > 0).then_some(data.loss),
            Self::P50 => latency.p50_ns,
            Self::P90 => latency.p90_ns,
            Self::P99 => latency.p99_ns,
            Self::P999 => latency.p99_9_ns,
            Self::P9999 => latency.p99_99_ns,
            Self::Max => latency.max_ns,
        };
        (latency.count > 0).then_some(ns as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(text: &str, latency: &Latency, data: &Data) -> bool {
        text.parse::<Threshold>().unwrap().judge(latency, data).holds
    }

    #[test]
    fn every_metric_and_relation() {
        let latency = Latency {
            count: 10,
            p50_ns: 1_000,
            p90_ns: 2_000,
            p99_ns: 3_000,
            p99_9_ns: 4_000,
            p99_99_ns: 5_000,
            max_ns: 6_000,
            ..Latency::default()
        };
        let data = Data { sent: 1000, loss: 0.001, ..Data::default() };
        for (metric, value) in [
            ("p50", "1us"),
            ("p90", "2us"),
            ("p99", "3us"),
            ("p99.9", "4us"),
            ("p99.99", "5us"),
            ("max", "6us"),
            ("loss", "0.1%"),
        ] {
            for (relation, expected) in [("<=", true), (">=", true), ("<", false), (">", false)] {
                assert_eq!(
                    judge(&format!("{metric}{relation}{value}"), &latency, &data),
                    expected,
                    "{metric}{relation}"
                );
            }
        }
        assert!(judge(" p99 < 3.1us ", &latency, &data) && judge("loss>0.05%", &latency, &data));
        assert!(judge("loss<=100%", &latency, &data));
    }

    #[test]
    fn what_was_not_measured_fails_either_way() {
        for text in ["p99<1h", "p99>=0", "max>=0s", "loss<=100%", "loss>=0%"] {
            let verdict = text.parse::<Threshold>().unwrap().judge(&Latency::default(), &Data::default());
            assert!(!verdict.holds && verdict.value.is_none(), "{text}");
        }
    }

    #[test]
    fn malformed_ones_are_refused() {
        for text in [
            "",
            "p99",
            "p99=2ms",
            "p98<2ms",
            "p99<2",
            "p99<",
            "loss<2ms",
            "p99<1%",
            "<2ms",
            "p99<<2ms",
            "loss<101%",
        ] {
            assert!(text.parse::<Threshold>().is_err(), "{text}");
        }
    }
}
