//! From what the XDP programs counted to what every run is summed up from.
//!
//! * Lossless: each bucket becomes the very bucket of the histogram, each count the count of the same name.
//! * No receiver's NAT refuses anything: only datagrams to the external address that its mapping has are sent.

use crate::error::Error;
use crate::load::shape::fault::{Fault, FaultMix};
use crate::load::watch::tally::{CELLS, Tally};
use engine::load;
use engine::load::{Counts, Slice};
use hdrhistogram::Histogram;
use results::run::{Point, Series};

/// The counts of both programs, and the CPU time of the workers, as one tally.
///
/// # Errors
/// A count that does not fit into a histogram of this range: a fault of the programs.
pub fn tally(counts: &Counts, mix: &FaultMix, cpu_ns: u64) -> Result<Tally, Error> {
    let mut tally = Tally::new()?;
    tally.due = counts.due;
    tally.sent = counts.sent;
    tally.invalid_taken = counts.invalid_sent.iter().sum();
    tally.invalid_delivered = counts.invalid_arrived;
    tally.delivered = counts.arrived;
    tally.duplicates = counts.duplicates;
    tally.reordered = counts.reordered;
    tally.stale = counts.stale;
    tally.late = counts.late;
    tally.foreign = counts.foreign;
    tally.transmit_errors = counts.transmit_errors;
    tally.handled = counts.handled;
    tally.spin_ns = counts.spin_ns;
    tally.cpu_ns = cpu_ns;
    for ((fault, _), sent) in mix.shares().zip(&counts.invalid_sent) {
        let place = Fault::ALL.iter().position(|each| *each == fault);
        if let Some(count) = place.and_then(|place| tally.invalid_sent.get_mut(place)) {
            *count = *sent;
        }
    }
    for (cell, (sent, arrived)) in tally.cells.iter_mut().zip(&counts.cells) {
        (cell.sent, cell.delivered) = (*sent, *arrived);
    }
    fill(&mut tally.latency, &counts.latency)?;
    for (histogram, buckets) in tally.lag.iter_mut().zip(&counts.lag) {
        fill(histogram, buckets)?;
    }
    Ok(tally)
}

/// The slices of `interval_ns` as a series, up to `elapsed_ns`.
pub fn series(slices: &[Slice], interval_ns: u64, elapsed_ns: u64) -> Series {
    let used = usize::try_from(elapsed_ns.div_ceil(interval_ns.max(1))).unwrap_or(usize::MAX);
    let points = slices.iter().take(used).zip(0_u64..).map(|(slice, index)| Point {
        at_ns: index * interval_ns,
        sent: slice.sent,
        delivered: slice.arrived,
        refused_by_nat: 0,
        p50_ns: quantile(&slice.latency, 50, 100),
        p99_ns: quantile(&slice.latency, 99, 100),
    });
    Series { interval_ns, points: points.collect() }
}

fn fill(histogram: &mut Histogram<u64>, buckets: &[(u64, u64)]) -> Result<(), Error> {
    for (value_ns, count) in buckets.iter().filter(|(_, count)| *count > 0) {
        // What took longer than is told apart counts as the longest, as with sockets.
        let value_ns = (*value_ns).min(histogram.high());
        let recorded = histogram.record_n(value_ns, *count);
        recorded.map_err(|error| Error::Runtime(format!("{value_ns} ns fit into no bucket: {error}")))?;
    }
    Ok(())
}

/// The value that `part` of `whole` do not exceed; 0 without any.
fn quantile(buckets: &[(u64, u64)], part: u64, whole: u64) -> u64 {
    let mut sorted = buckets.to_vec();
    sorted.sort_unstable();
    let count: u64 = sorted.iter().map(|(_, count)| count).sum();
    let rank = (count * part).div_ceil(whole).max(1);
    let mut seen = 0;
    for (value, count) in sorted {
        seen += count;
        if seen >= rank {
            return value;
        }
    }
    0
}

const _: () = assert!(CELLS <= load::CELLS, "the programs have a row for every pair of behaviours");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::watch::tally::LONGEST_NS;

    /// A histogram and the same as pairs of bucket and count.
    fn histogram(digits: u8) -> (Histogram<u64>, Vec<(u64, u64)>) {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, LONGEST_NS, digits).unwrap();
        let mut value = 1_u64;
        while value < LONGEST_NS {
            histogram.record_n(value, value % 5 + 1).unwrap();
            value = value * 9 / 8 + 1;
        }
        histogram.record(LONGEST_NS).unwrap();
        let pairs = histogram.iter_recorded().map(|it| (it.value_iterated_to(), it.count_at_value()));
        let pairs = pairs.collect();
        (histogram, pairs)
    }

    #[test]
    fn histograms_come_back_without_loss() {
        let ((latency, of_latency), (lag, of_lag)) = (histogram(3), histogram(2));
        let nothing = Vec::new();
        let counts = Counts {
            latency: of_latency.into_iter().rev().collect(),
            lag: [of_lag.clone(), nothing.clone(), nothing, of_lag],
            ..Counts::default()
        };
        let tally = tally(&counts, &FaultMix::default(), 0).unwrap();
        assert_eq!(tally.latency, latency);
        assert_eq!(tally.lag[0], lag);
        assert_eq!((tally.lag[3].len(), tally.lag[1].len()), (lag.len(), 0));
        assert_eq!((tally.latency.min(), tally.latency.max()), (latency.min(), latency.max()));
    }

    #[test]
    fn what_took_too_long_counts_as_the_longest() {
        let counts = Counts { latency: vec![(u64::MAX, 2), (7, 0)], ..Counts::default() };
        let tally = tally(&counts, &FaultMix::default(), 0).unwrap();
        assert_eq!((tally.latency.len(), tally.latency.count_at(LONGEST_NS)), (2, 2));
    }

    #[test]
    fn every_count_has_its_place() {
        let mut cells = vec![(0, 0); load::CELLS];
        cells[3] = (40, 30);
        let counts = Counts {
            due: 1,
            sent: 2,
            invalid_sent: vec![3, 4],
            invalid_arrived: 5,
            arrived: 6,
            duplicates: 7,
            reordered: 8,
            stale: 9,
            late: 10,
            foreign: 11,
            handled: 12,
            transmit_errors: 13,
            cells,
            spin_ns: 14,
            ..Counts::default()
        };
        let found = tally(&counts, &"short=10%,tag=20%".parse().unwrap(), 15).unwrap();
        let Tally { due, sent, invalid_taken, invalid_delivered, delivered, duplicates, .. } = found;
        assert_eq!((due, sent, invalid_taken, invalid_delivered, delivered, duplicates), (1, 2, 7, 5, 6, 7));
        let Tally { reordered, stale, late, foreign, handled, transmit_errors, spin_ns, cpu_ns, .. } = found;
        assert_eq!((reordered, stale, late, foreign, handled), (8, 9, 10, 11, 12));
        assert_eq!((transmit_errors, spin_ns, cpu_ns), (13, 14, 15));
        assert_eq!((found.cells[3].sent, found.cells[3].delivered, found.cells[3].refused), (40, 30, 0));
        // By place in Fault::ALL: tag is the first, short the seventh.
        assert_eq!(found.invalid_sent, [4, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0]);
        assert_eq!(found.refused.total(), 0);
    }

    #[test]
    fn slices_become_points_up_to_the_end() {
        let slice = Slice { sent: 100, arrived: 99, latency: vec![(500, 1), (20, 60), (30, 38)] };
        let slices = [Slice::default(), slice, Slice::default()];
        let series = series(&slices, 200, 399);
        let point =
            Point { at_ns: 200, sent: 100, delivered: 99, refused_by_nat: 0, p50_ns: 20, p99_ns: 500 };
        assert_eq!((series.interval_ns, series.points), (200, vec![Point::default(), point]));
        assert_eq!(quantile(&[(20, 60), (30, 39), (500, 1)], 99, 100), 30);
    }
}
