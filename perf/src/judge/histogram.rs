//! Latency over percentiles, as reports draw it.

use crate::figures::float;
use crate::rig::run::Percentiles;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// A point of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Percent of the datagrams, below 100.
    pub percentile: f64,
    /// That took at most so long, ns.
    pub latency_ns: u64,
}

/// The percentiles that a run keeps of its latencies.
pub fn percentiles(histogram: &Histogram<u64>) -> Percentiles {
    let at = |part| histogram.value_at_quantile(part);
    Percentiles {
        p50_ns: at(0.5),
        p90_ns: at(0.9),
        p99_ns: at(0.99),
        p99_9_ns: at(0.999),
        p99_99_ns: at(0.9999),
        max_ns: histogram.max(),
    }
}

/// Latency over percentiles: evenly spread on the scale 90, 99, 99.9, ..., as far as there are values to tell.
pub fn curve(histogram: &Histogram<u64>) -> Vec<CurvePoint> {
    // A power is not exact to the last digit.
    let count = float(histogram.len()) * (1.0 + 1e-9);
    let parts = (0..=PER_DECADE * DECADES).map(|step| 10f64.powf(f64::from(step) / f64::from(PER_DECADE)));
    // A percentile beyond the last value would only repeat the largest.
    let told = parts.take_while(|part| *part <= count);
    told.map(|part| {
        let percentile = rounded(100.0 * (1.0 - 1.0 / part));
        CurvePoint { percentile, latency_ns: histogram.value_at_percentile(percentile) }
    })
    .collect()
}

/// A percentile with as many digits as are told apart; more would only fill files.
fn rounded(percentile: f64) -> f64 {
    (percentile * 1e6).round() / 1e6
}

/// Points of a curve from 90 to 99 %, and so on.
const PER_DECADE: u8 = 12;
/// From 0 % to 99.9999 %.
const DECADES: u8 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_goes_as_far_as_its_values() {
        let mut histogram = Histogram::<u64>::new(3).unwrap();
        assert!(curve(&histogram).is_empty());
        (1..=1_000).for_each(|value| histogram.record(value).unwrap());
        let curve = curve(&histogram);
        let last = curve.last().unwrap();
        assert!(
            (last.percentile - 99.9).abs() < 0.001 && (999..=1_000).contains(&last.latency_ns),
            "{last:?}"
        );
        assert_eq!(curve[0].percentile, 0.0);
        assert!(curve.windows(2).all(|pair| pair[0].latency_ns <= pair[1].latency_ns));
    }
}
