//! The measured phase of one worker in slices of time: counts and a coarse latency histogram each.
//!
//! ```text
//! slice   sent | delivered | refused | buckets: 64 an octave, so that a value is known to 1 %
//! ```
//!
//! * One writer, any number of readers: relaxed cells, so that drawing progress changes nothing that is measured.
//! * All memory at the start. A slice is chosen by the intended send time, so a stall shows where it began.
//! * Slices of several workers are added, never averaged.

use results::run::{Point, Series};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// All slices of one worker.
#[derive(Debug)]
pub struct Slices {
    interval_ns: u64,
    cells: Vec<AtomicU32>,
}

impl Slices {
    /// Slices that cover `duration_ns`.
    pub fn new(duration_ns: u64) -> Self {
        let interval_ns = interval_ns(duration_ns);
        let count = usize::try_from(duration_ns.div_ceil(interval_ns).max(1)).unwrap_or(1);
        Self { interval_ns, cells: (0..count * STRIDE).map(|_| AtomicU32::new(0)).collect() }
    }

    /// Counts a datagram sent, `at_ns` from the start of the phase.
    #[inline]
    pub fn note_sent(&self, at_ns: u64) {
        self.bump(at_ns, SENT);
    }

    /// Counts one that the receiver's NAT refused.
    #[inline]
    pub fn note_refused(&self, at_ns: u64) {
        self.bump(at_ns, REFUSED);
    }

    /// Counts one delivered after `latency_ns`.
    #[inline]
    pub fn note_delivered(&self, at_ns: u64, latency_ns: u64) {
        self.bump(at_ns, DELIVERED);
        self.bump(at_ns, BUCKETS + bucket(latency_ns));
    }

    /// The number of slices.
    pub fn count(&self) -> usize {
        self.cells.len() / STRIDE
    }

    /// The length of a slice, ns.
    pub fn interval_ns(&self) -> u64 {
        self.interval_ns
    }

    /// One writer only: a load and a store need no lock on the bus.
    #[inline]
    fn bump(&self, at_ns: u64, column: usize) {
        let row = usize::try_from(at_ns / self.interval_ns).unwrap_or(usize::MAX);
        if let Some(cell) = row.checked_mul(STRIDE).and_then(|start| self.cells.get(start + column)) {
            cell.store(cell.load(Relaxed).wrapping_add(1), Relaxed);
        }
    }

    fn row(&self, index: usize) -> impl Iterator<Item = u64> + '_ {
        let start = index.saturating_mul(STRIDE);
        let row = self.cells.get(start..start.saturating_add(STRIDE)).unwrap_or_default();
        row.iter().map(|cell| u64::from(cell.load(Relaxed)))
    }
}

/// Slices `from..to` of all workers as one point that begins at `from`.
pub fn sum<'a>(workers: impl Iterator<Item = &'a Slices>, from: usize, to: usize) -> Point {
    let mut total = vec![0_u64; STRIDE];
    let mut interval_ns = 0;
    for slices in workers {
        interval_ns = slices.interval_ns;
        for index in from..to {
            for (sum, value) in total.iter_mut().zip(slices.row(index)) {
                *sum += value;
            }
        }
    }
    let column = |index: usize| total.get(index).copied().unwrap_or(0);
    let buckets = total.get(BUCKETS..).unwrap_or_default();
    Point {
        at_ns: interval_ns * from as u64,
        sent: column(SENT),
        delivered: column(DELIVERED),
        refused_by_nat: column(REFUSED),
        p50_ns: quantile(buckets, 50, 100),
        p99_ns: quantile(buckets, 99, 100),
    }
}

/// The series of all workers, up to `elapsed_ns`.
pub fn series(workers: &[&Slices], elapsed_ns: u64) -> Series {
    let Some(first) = workers.first() else { return Series::default() };
    let used =
        usize::try_from(elapsed_ns.div_ceil(first.interval_ns)).unwrap_or(usize::MAX).min(first.count());
    let points = (0..used).map(|index| sum(workers.iter().copied(), index, index + 1)).collect();
    Series { interval_ns: first.interval_ns, points }
}

/// The shortest round length with which a phase needs at most [`MOST_SLICES`].
pub fn interval_ns(duration_ns: u64) -> u64 {
    let mut scale_ns = 100_000_000_u64;
    loop {
        for factor in [1, 2, 5] {
            let interval_ns = scale_ns.saturating_mul(factor);
            if duration_ns.div_ceil(interval_ns) <= MOST_SLICES {
                return interval_ns;
            }
        }
        scale_ns = scale_ns.saturating_mul(10);
    }
}

/// The bucket of a value: exact below 128 ns, then 64 an octave; the last takes what is beyond.
#[inline]
fn bucket(value_ns: u64) -> usize {
    if value_ns < LINEAR {
        return usize::try_from(value_ns).unwrap_or(0);
    }
    let shift = 63 - value_ns.leading_zeros() - SUB_BITS;
    let index = u64::from(shift) * (1 << SUB_BITS) + (value_ns >> shift);
    usize::try_from(index).unwrap_or(usize::MAX).min(BUCKET_COUNT - 1)
}

/// The middle of a bucket, ns.
fn middle_ns(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < LINEAR {
        return bucket;
    }
    let shift = bucket / (1 << SUB_BITS) - 1;
    let mantissa = bucket - shift * (1 << SUB_BITS);
    (mantissa << shift) + (1_u64 << shift) / 2
}

/// The value that `part` of `whole` do not exceed; 0 without any.
fn quantile(buckets: &[u64], part: u64, whole: u64) -> u64 {
    let count: u64 = buckets.iter().sum();
    let rank = (count * part).div_ceil(whole).max(1);
    let mut seen = 0;
    for (index, value) in buckets.iter().enumerate() {
        seen += value;
        if seen >= rank {
            return middle_ns(index);
        }
    }
    0
}

const SUB_BITS: u32 = 6;
const LINEAR: u64 = 2 << SUB_BITS;
/// Up to 2^37 ns, more than two minutes.
const BUCKET_COUNT: usize = 32 << SUB_BITS;
const SENT: usize = 0;
const DELIVERED: usize = 1;
const REFUSED: usize = 2;
const BUCKETS: usize = 3;
const STRIDE: usize = BUCKETS + BUCKET_COUNT;
/// Slices of a measured phase.
pub const MOST_SLICES: u64 = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_known_to_one_percent() {
        let mut value = 1_u64;
        while value < 100_000_000_000 {
            for value in [value, value + 1, value - 1] {
                let middle = middle_ns(bucket(value));
                assert!(middle.abs_diff(value) * 100 <= value, "{value} became {middle}");
            }
            value = value * 21 / 20 + 1;
        }
        let all: Vec<usize> = (0..100_000).map(bucket).collect();
        assert!(all.windows(2).all(|pair| pair[1] - pair[0] <= 1));
        assert_eq!(bucket(u64::MAX), BUCKET_COUNT - 1);
    }

    #[test]
    fn slices_are_round_and_few() {
        for (duration_ms, interval_ms) in
            [(1, 100), (10_000, 100), (30_000, 100), (31_000, 200), (600_000, 2_000)]
        {
            assert_eq!(interval_ns(duration_ms * 1_000_000), interval_ms * 1_000_000, "{duration_ms} ms");
        }
        assert_eq!(Slices::new(0).count(), 1);
        assert_eq!(Slices::new(1_050_000_000).count(), 11);
    }

    #[test]
    fn workers_are_added_and_percentiles_taken_of_the_sum() {
        let (a, b) = (Slices::new(1_000_000_000), Slices::new(1_000_000_000));
        for latency in 1..=60 {
            a.note_sent(250_000_000);
            a.note_delivered(250_000_000, latency);
        }
        for latency in 61..=100 {
            b.note_sent(299_999_999);
            b.note_delivered(299_999_999, latency);
        }
        b.note_sent(300_000_000);
        b.note_refused(300_000_000);
        a.note_sent(5_000_000_000);
        let series = series(&[&a, &b], 350_000_000);
        assert_eq!((series.interval_ns, series.points.len()), (100_000_000, 4));
        let expected = Point {
            at_ns: 200_000_000,
            sent: 100,
            delivered: 100,
            refused_by_nat: 0,
            p50_ns: 50,
            p99_ns: 99,
        };
        assert_eq!(series.points[2], expected);
        assert_eq!(
            (series.points[3].sent, series.points[3].refused_by_nat, series.points[3].p50_ns),
            (1, 1, 0)
        );
        assert_eq!(sum([&a, &b].into_iter(), 0, 10).sent, 101);
    }
}
