//! A latency histogram out of a result, whole: merged without loss, read at any percentile.
//!
//! * Histograms are merged, percentiles are never averaged.
//! * The text form is HdrHistogram V2, deflated or not, in base64 (RFC 4648, section 4).

use crate::figures::float;
use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD as STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use serde::{Deserialize, Serialize};

/// A point of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Percent of the datagrams, below 100.
    pub percentile: f64,
    /// That took at most so long, ns.
    pub latency_ns: u64,
}

/// Reads a histogram; an empty text is an empty histogram.
///
/// # Errors
/// The text is no base64, or what it holds is no histogram.
pub fn decode(text: &str) -> anyhow::Result<Histogram<u64>> {
    if text.is_empty() {
        return Histogram::new(3).context("cannot make a histogram");
    }
    let bytes = STANDARD.decode(text).context("the histogram of a result is not base64")?;
    Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .map_err(|error| anyhow::Error::msg(format!("the histogram of a result cannot be read: {error}")))
}

/// All values of several histograms in one.
///
/// # Errors
/// One of them cannot be read.
pub fn merged<'a>(texts: impl IntoIterator<Item = &'a str>) -> anyhow::Result<Histogram<u64>> {
    let mut sum = Histogram::new(3).context("cannot make a histogram")?;
    for text in texts {
        sum.add(decode(text)?)
            .map_err(|error| anyhow::Error::msg(format!("cannot merge histograms: {error}")))?;
    }
    Ok(sum)
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
    use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};

    fn text_of(histogram: &Histogram<u64>) -> String {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new().serialize(histogram, &mut bytes).unwrap();
        STANDARD.encode(bytes)
    }

    #[test]
    fn histograms_merge_without_loss() {
        let mut one = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).unwrap();
        let mut two = one.clone();
        (1..=9_000).for_each(|us| one.record(us * 1_000).unwrap());
        two.record_n(50_000_000, 1_000).unwrap();
        let (first, second) = (text_of(&one), text_of(&two));
        let sum = merged([first.as_str(), second.as_str(), ""]).unwrap();
        assert_eq!(sum.len(), 10_000);
        one.add(&two).unwrap();
        assert_eq!(sum.value_at_percentile(50.0), one.value_at_percentile(50.0));
        assert_eq!(sum.max(), one.max());
        assert!(decode("Zm9v").is_err() && decode("Zm9v!").is_err());
    }

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
