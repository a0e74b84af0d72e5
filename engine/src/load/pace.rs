//! How one worker sends, as the words that its program starts from and counts in: `struct worker` of
//! `bpf/generator.bpf.h`.
//!
//! * Even gaps carry their fraction, 2^-32 ns, so that no rounding adds up.
//! * Exponential gaps are drawn from the means of 2,048 equally likely parts of the distribution: their mean is exact.
//! * Pure: a pace and a seed in, words out.

use super::plan::{CELLS, Pace, Times};
use crate::xdp::error::XdpError;

/// The words of `struct worker` at the start of a run.
pub(crate) fn worker_words(pace: &Pace, times: &Times) -> Result<Vec<u64>, XdpError> {
    if !(pace.gap_ns > 0.0 && pace.gap_ns <= LONGEST_GAP_NS && pace.burst > 0) {
        return Err(XdpError::Value("a worker's mean gap is above 0 and at most 60 s, its burst at least 1"));
    }
    let (gap_ns, gap_fraction) = fixed_point(pace.gap_ns);
    let next_ns = if pace.flows == 0 { u64::MAX } else { times.start_ns.saturating_add(pace.phase_ns) };
    let mut words = vec![0; WORKER_WORDS];
    let mut set = |place: usize, word: u64| words.get_mut(place).map(|it| *it = word).unwrap_or_default();
    set(NEXT, next_ns);
    set(RANDOM, pace.seed);
    set(CURSOR, u64::from(pace.burst) << 32);
    set(GAP, gap_ns);
    set(GAP_FRACTION, gap_fraction);
    set(FLOWS, u64::from(pace.first_flow) | u64::from(pace.flows) << 32);
    set(BURST, u64::from(pace.burst) | u64::from(pace.poisson) << 32);
    let (quick_ns, patience) = turns(times.end_ns.saturating_sub(times.start_ns), pace.gap_ns);
    set(QUICK, quick_ns);
    set(PATIENCE, patience);
    if pace.poisson {
        quantiles(pace.gap_ns).into_iter().enumerate().for_each(|(place, gap)| set(GAPS + place, gap));
    }
    Ok(words)
}

/// How turns without a datagram are spent, so that a run of this length has fewer than 2^32 of them: from which distance
/// of the next intended time on what was sent is flushed first, ns, and how often an idle turn reads the clock.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // Small numbers.
fn turns(run_ns: u64, gap_ns: f64) -> (u64, u64) {
    let run_ns = run_ns as f64;
    let flushing = run_ns / gap_ns * f64::from(BATCH);
    let quick_ns = if flushing < MOST_TURNS / 2.0 { QUICK_NS } else { u64::MAX >> 1 };
    let patience = (run_ns / (MOST_TURNS / 2.0) / READING_NS).ceil();
    (quick_ns, patience.clamp(1.0, 32.0) as u64)
}

/// Whole nanoseconds and units of 2^-32 ns.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Both parts are bounded by the longest gap.
fn fixed_point(gap_ns: f64) -> (u64, u64) {
    let whole = gap_ns.floor();
    let fraction = ((gap_ns - whole) * 4_294_967_296.0).round() as u64;
    (whole as u64 + (fraction >> 32), fraction & 0xffff_ffff)
}

/// Gaps of an exponential distribution in 2^-24 ns: the mean of each of its equally likely parts, ascending.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // Below 2^63.
fn quantiles(mean_ns: f64) -> Vec<u64> {
    // The integral of -ln(1 - u) from 0 to u.
    let below = |u: f64| if u < 1.0 { (1.0 - u) * (1.0 - u).ln() + u } else { 1.0 };
    let (parts, unit) = (QUANTILES as f64, mean_ns * 16_777_216.0);
    let mean_of = |part: usize| {
        let (low, high) = (part as f64 / parts, (part + 1) as f64 / parts);
        ((below(high) - below(low)) * parts * unit).round() as u64
    };
    let mut gaps: Vec<u64> = (0..QUANTILES).map(mean_of).collect();
    let wanted = (parts * unit).round() as i128;
    let missing = wanted - gaps.iter().map(|gap| i128::from(*gap)).sum::<i128>();
    if let Some(longest) = gaps.last_mut() {
        *longest = longest.saturating_add_signed(i64::try_from(missing).unwrap_or_default());
    }
    gaps
}

/// Frames that the kernel hands over at once: as many as its queue to an interface takes before it is flushed.
pub(crate) const BATCH: u32 = 16;
const MOST_TURNS: f64 = 4_294_967_296.0;
/// To flush takes less.
const QUICK_NS: u64 = 2_000;
/// A reading of the clock takes that long or longer.
const READING_NS: f64 = 35.0;
const LONGEST_GAP_NS: f64 = 60e9;
const QUANTILES: usize = 2_048;
const NEXT: usize = 0;
const RANDOM: usize = 3;
const CURSOR: usize = 4;
const GAP: usize = 8;
const GAP_FRACTION: usize = 9;
const FLOWS: usize = 10;
const BURST: usize = 11;
const QUICK: usize = 12;
const PATIENCE: usize = 13;
const GAPS: usize = LAGS + LAG_QUARTERS * LAG_BUCKETS;
/// Sends since the clock was read.
pub(crate) const SENDS: usize = 5;
/// The places of what the program says of itself and counts.
pub(crate) const TURNS: usize = 14;
pub(crate) const DONE: usize = 15;
pub(crate) const SPIN: usize = 17;
pub(crate) const DUE: usize = 18;
pub(crate) const SENT: usize = 19;
pub(crate) const INVALID_SENT: usize = 24;
pub(crate) const CELLS_SENT: usize = 40;
pub(crate) const SLICES_SENT: usize = CELLS_SENT + CELLS;
pub(crate) const LAGS: usize = SLICES_SENT + 304;
pub(crate) const LAG_QUARTERS: usize = 4;
/// Buckets of an HdrHistogram from 1 ns to 60 s with 2 digits: 2^7 an octave.
pub(crate) const LAG_BITS: u32 = 7;
pub(crate) const LAG_BUCKETS: usize = 30 << LAG_BITS;
/// Words of `struct worker`.
pub(crate) const WORKER_WORDS: usize = GAPS + QUANTILES;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_gaps_are_exact_to_a_part_of_2_to_the_32() {
        assert_eq!(fixed_point(10.0), (10, 0));
        assert_eq!(fixed_point(333.5), (333, 1 << 31));
        assert_eq!(fixed_point(1_000_000_000.0 / 3.0), (333_333_333, 0x5555_5500));
        assert_eq!(fixed_point(1.0 - f64::EPSILON / 2.0), (1, 0), "what rounds up to a whole one is one");
    }

    #[test]
    fn exponential_gaps_have_the_mean_and_nearly_the_spread() {
        for mean_ns in [250.0, 10_000.3, 4e9] {
            let gaps: Vec<f64> = quantiles(mean_ns).iter().map(|gap| *gap as f64 / 16_777_216.0).collect();
            let count = gaps.len() as f64;
            let mean = gaps.iter().sum::<f64>() / count;
            assert!((mean / mean_ns - 1.0).abs() < 1e-9, "{mean}");
            let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / count;
            assert!((variance.sqrt() / mean_ns - 1.0).abs() < 0.001, "{}", variance.sqrt() / mean_ns);
            assert!(gaps.is_sorted());
            let above = gaps.iter().filter(|gap| **gap > mean_ns).count() as f64 / count;
            assert!((above - 0.367_88).abs() < 0.001, "{above}");
        }
    }

    #[test]
    fn long_runs_wait_longer_in_each_turn() {
        const S: u64 = 1_000_000_000;
        assert_eq!(turns(60 * S, 10_000.0), (QUICK_NS, 1));
        assert_eq!(turns(60 * S, 400.0), (u64::MAX >> 1, 1));
        assert_eq!(turns(600 * S, 10_000.0), (QUICK_NS, 8));
        assert_eq!(turns(86_400 * S, 1e9), (QUICK_NS, 32));
    }

    #[test]
    fn what_is_no_pace_is_refused() {
        let pace =
            Pace { first_flow: 0, flows: 1, phase_ns: 0, gap_ns: 1.0, poisson: false, burst: 1, seed: 0 };
        let times = Times { start_ns: 5, measured_ns: 5, end_ns: 9, slice_ns: 1 };
        assert_eq!(worker_words(&pace, &times).unwrap().first(), Some(&5));
        for wrong in
            [Pace { gap_ns: 0.0, ..pace }, Pace { gap_ns: f64::NAN, ..pace }, Pace { burst: 0, ..pace }]
        {
            assert!(worker_words(&wrong, &times).is_err(), "{wrong:?}");
        }
        let idle = worker_words(&Pace { flows: 0, ..pace }, &times).unwrap();
        assert_eq!(idle.first(), Some(&u64::MAX), "a worker without flows never sends");
    }
}
