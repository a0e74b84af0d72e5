//! A latency distribution: its percentiles, and the whole histogram, which merges without loss.
//!
//! * Histograms are merged; percentiles are never averaged.
//! * The text form is HdrHistogram V2, deflated, in base64 (RFC 4648, section 4); not deflated is read as well.

use crate::error::Error;
use base64::Engine;
use base64::prelude::BASE64_STANDARD as STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

/// A latency distribution.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Values recorded.
    pub count: u64,
    /// Smallest, ns.
    pub min_ns: u64,
    /// Mean, ns.
    pub mean_ns: f64,
    /// Median, ns.
    pub p50_ns: u64,
    /// 90th percentile, ns.
    pub p90_ns: u64,
    /// 99th percentile, ns.
    pub p99_ns: u64,
    /// 99.9th percentile, ns.
    pub p99_9_ns: u64,
    /// 99.99th percentile, ns.
    pub p99_99_ns: u64,
    /// Largest, ns.
    pub max_ns: u64,
    /// The whole histogram (1 ns to 60 s, 3 significant digits): HdrHistogram V2, deflated, in base64.
    pub hdr_v2_base64: String,
}

impl Latency {
    /// Percentiles of a histogram of nanoseconds, and the histogram itself.
    ///
    /// # Errors
    /// The histogram does not serialise.
    pub fn of(histogram: &Histogram<u64>) -> Result<Self, Error> {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(histogram, &mut bytes)
            .map_err(|error| Error::Unwritable(format!("{error:?}")))?;
        let percentile =
            |percent| if histogram.is_empty() { 0 } else { histogram.value_at_percentile(percent) };
        Ok(Self {
            count: histogram.len(),
            min_ns: if histogram.is_empty() { 0 } else { histogram.min() },
            mean_ns: histogram.mean(),
            p50_ns: percentile(50.0),
            p90_ns: percentile(90.0),
            p99_ns: percentile(99.0),
            p99_9_ns: percentile(99.9),
            p99_99_ns: percentile(99.99),
            max_ns: histogram.max(),
            hdr_v2_base64: STANDARD.encode(bytes),
        })
    }

    /// The whole histogram.
    ///
    /// # Errors
    /// The text is not one.
    pub fn histogram(&self) -> Result<Histogram<u64>, Error> {
        decode(&self.hdr_v2_base64)
    }
}

/// Reads a histogram; an empty text is an empty histogram.
///
/// # Errors
/// The text is not base64, or what it holds is no histogram.
pub fn decode(text: &str) -> Result<Histogram<u64>, Error> {
    if text.is_empty() {
        return empty();
    }
    let bytes = STANDARD.decode(text).map_err(|error| Error::NoHistogram(error.to_string()))?;
    Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .map_err(|error| Error::NoHistogram(error.to_string()))
}

/// All values of several histograms in one.
///
/// # Errors
/// One of them cannot be read.
pub fn merged<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Histogram<u64>, Error> {
    let mut sum = empty()?;
    for text in texts {
        sum.add(decode(text)?).map_err(|error| Error::Unwritable(error.to_string()))?;
    }
    Ok(sum)
}

fn empty() -> Result<Histogram<u64>, Error> {
    Histogram::new(SIGNIFICANT_DIGITS).map_err(|error| Error::Unwritable(error.to_string()))
}

/// Digits that values keep.
const SIGNIFICANT_DIGITS: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_merge_without_loss() {
        let mut one = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).unwrap();
        let mut two = one.clone();
        (1..=9_000).for_each(|us| one.record(us * 1_000).unwrap());
        two.record_n(50_000_000, 1_000).unwrap();
        let [first, second] = [&one, &two].map(|it| Latency::of(it).unwrap());
        let sum = merged([first.hdr_v2_base64.as_str(), &second.hdr_v2_base64, ""]).unwrap();
        assert_eq!((sum.len(), first.histogram().unwrap().len()), (10_000, 9_000));
        one.add(&two).unwrap();
        assert_eq!(sum.value_at_percentile(50.0), one.value_at_percentile(50.0));
        assert_eq!(sum.max(), one.max());
        assert_eq!((first.p50_ns, first.count), (one_p50(&first), 9_000));
        assert!(decode("Zm9v").is_err() && decode("Zm9v!").is_err());
    }

    fn one_p50(latency: &Latency) -> u64 {
        latency.histogram().unwrap().value_at_percentile(50.0)
    }
}
