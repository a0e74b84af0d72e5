//! What the generator's programs have counted, read from their memory and added up.
//!
//! ```text
//! struct worker    one each: sending      struct received    one a processor: receiving
//! struct slice     one a processor and slice of the measured phase
//! ```
//!
//! * A bucket's place is turned into a value of that bucket; put into a histogram of the same range, it lands there again.
//! * Reading disturbs nobody: words are loaded while the programs count on.

use super::memory::Memory;
use super::pace::{
    CELLS_SENT, DUE, INVALID_SENT, LAG_BITS, LAG_BUCKETS, LAG_QUARTERS, LAGS, SENT, SLICES_SENT, SPIN,
};
use super::plan::CELLS;

/// What both programs have counted; datagrams of the measured phase unless said otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Intended, invalid ones included.
    pub due: u64,
    /// Valid ones handed to the interface.
    pub sent: u64,
    /// Invalid ones handed to the interface, by place in [`Plan::faults`](super::plan::Plan::faults).
    pub invalid_sent: Vec<u64>,
    /// Invalid ones that arrived, at any time.
    pub invalid_arrived: u64,
    /// Valid ones that arrived, each once.
    pub arrived: u64,
    /// Arrived again.
    pub duplicates: u64,
    /// Arrived behind one of the same flow that was sent later.
    pub reordered: u64,
    /// So far behind their flow that new and again cannot be told apart.
    pub stale: u64,
    /// Arrived after the end of the measured phase.
    pub late: u64,
    /// Of this run, but not as the relay has to send them: source, destination, length, header; at any time.
    pub foreign: u64,
    /// Everything of this run that was sent or received in the measured phase, for the cost of one.
    pub handled: u64,
    /// Frames that the interface did not take, where its driver says so, since the programs were loaded. A veth takes
    /// none when its peer's ring is full: the other end does not keep up, and they are lost as on any network.
    pub transmit_errors: u64,
    /// Sent and arrived, by [`Flow::cell`](super::plan::Flow::cell).
    pub cells: Vec<(u64, u64)>,
    /// By slice of the measured phase, by intended time.
    pub slices: Vec<Slice>,
    /// Latency from the intended time: pairs of a value in ns, as an HdrHistogram of 3 digits puts it, and its count.
    pub latency: Vec<(u64, u64)>,
    /// Lag of sending behind the intended time, in the quarters of the measured phase, to 2 digits. What was sent leaves
    /// with the kernel's batch, up to a microsecond later, which the latency has in it.
    pub lag: [Vec<(u64, u64)>; 4],
    /// Time that the workers spent waiting for the next intended time, ns; a lower bound, to the turn.
    pub spin_ns: u64,
}

/// One slice of the measured phase.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// Valid ones sent.
    pub sent: u64,
    /// Valid ones arrived.
    pub arrived: u64,
    /// Their latency: a value in ns to 1 %, and its count.
    pub latency: Vec<(u64, u64)>,
}

/// The memory that is counted in.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) workers: Memory,
    pub(crate) receipts: Memory,
    pub(crate) slices: Memory,
    /// Slices of the measured phase.
    pub(crate) slice_count: usize,
    /// Kinds of faults.
    pub(crate) faults: usize,
}

impl Counted {
    /// Everything counted so far.
    pub(crate) fn read(&self, transmit_errors: u64) -> Counts {
        let (sending, receiving) = (&self.workers, &self.receipts);
        let mut counts = Counts {
            due: sum(sending, DUE),
            sent: sum(sending, SENT),
            invalid_sent: (0..self.faults).map(|fault| sum(sending, INVALID_SENT + fault)).collect(),
            invalid_arrived: sum(receiving, INVALID),
            arrived: sum(receiving, ARRIVED),
            duplicates: sum(receiving, DUPLICATES),
            reordered: sum(receiving, REORDERED),
            stale: sum(receiving, STALE),
            late: sum(receiving, LATE),
            foreign: sum(receiving, FOREIGN),
            handled: 0,
            transmit_errors,
            cells: (0..CELLS)
                .map(|cell| (sum(sending, CELLS_SENT + cell), sum(receiving, CELLS_ARRIVED + cell)))
                .collect(),
            slices: (0..self.slice_count).map(|slice| self.slice(slice)).collect(),
            latency: histogram(sums(receiving, LATENCY, LATENCY_BUCKETS), LATENCY_BITS, lowest),
            lag: [Vec::new(), Vec::new(), Vec::new(), Vec::new()],
            spin_ns: sum(sending, SPIN),
        };
        for (quarter, lag) in counts.lag.iter_mut().enumerate().take(LAG_QUARTERS) {
            *lag = histogram(sums(sending, LAGS + quarter * LAG_BUCKETS, LAG_BUCKETS), LAG_BITS, lowest);
        }
        let received = counts.arrived + counts.duplicates + counts.stale;
        counts.handled = counts.sent + counts.invalid_sent.iter().sum::<u64>() + received;
        counts
    }

    /// Sent and arrived so far.
    pub(crate) fn glance(&self) -> (u64, u64) {
        (sum(&self.workers, SENT), sum(&self.receipts, ARRIVED))
    }

    fn slice(&self, slice: usize) -> Slice {
        let cpus = 0..self.receipts.entries();
        let rows = cpus.map(|cpu| cpu * self.slice_count + slice);
        let mut buckets = vec![0; COARSE_BUCKETS];
        for row in rows.clone().filter(|row| self.slices.get(*row, 0) > 0) {
            let words = (SLICE_LATENCY..SLICE_WORDS).map(|place| self.slices.get(row, place));
            let cells = words.flat_map(|word| [word & 0xffff_ffff, word >> 32]);
            buckets.iter_mut().zip(cells).for_each(|(bucket, cell)| *bucket += cell);
        }
        Slice {
            sent: sum(&self.workers, SLICES_SENT + slice),
            arrived: rows.map(|row| self.slices.get(row, 0)).sum(),
            latency: histogram(buckets, COARSE_BITS, middle),
        }
    }
}

/// A word of all values.
fn sum(memory: &Memory, place: usize) -> u64 {
    (0..memory.entries()).map(|index| memory.get(index, place)).sum()
}

/// Words of all values, place by place.
fn sums(memory: &Memory, first: usize, count: usize) -> Vec<u64> {
    (first..first + count).map(|place| sum(memory, place)).collect()
}

/// The buckets that are not empty, as a value of each and its count.
fn histogram(buckets: Vec<u64>, bits: u32, value: fn(u64, u32) -> u64) -> Vec<(u64, u64)> {
    let buckets = buckets.into_iter().zip(0..);
    buckets.filter(|(count, _)| *count > 0).map(|(count, place)| (value(place, bits), count)).collect()
}

/// The lowest value of a bucket: exact below 2^(bits + 1), from there 2^bits buckets an octave.
fn lowest(place: u64, bits: u32) -> u64 {
    let octave = (place >> bits).saturating_sub(1);
    (place - (octave << bits)) << octave
}

/// The middle one.
fn middle(place: u64, bits: u32) -> u64 {
    let octave = (place >> bits).saturating_sub(1);
    lowest(place, bits) + (1 << octave) / 2
}

const ARRIVED: usize = 0;
const DUPLICATES: usize = 1;
const REORDERED: usize = 2;
const STALE: usize = 3;
const LATE: usize = 4;
const FOREIGN: usize = 5;
const INVALID: usize = 6;
const CELLS_ARRIVED: usize = 16;
const LATENCY: usize = CELLS_ARRIVED + CELLS;
/// Buckets of an HdrHistogram from 1 ns to 60 s with 3 digits: 2^10 an octave.
const LATENCY_BITS: u32 = 10;
const LATENCY_BUCKETS: usize = 27 << LATENCY_BITS;
/// Buckets of a slice: 64 an octave, so that a value is known to 1 %.
const COARSE_BITS: u32 = 6;
const COARSE_BUCKETS: usize = 32 << COARSE_BITS;
const SLICE_LATENCY: usize = 8;
/// Words of `struct received` and `struct slice`.
pub(crate) const RECEIVED_WORDS: usize = LATENCY + LATENCY_BUCKETS;
pub(crate) const SLICE_WORDS: usize = SLICE_LATENCY + COARSE_BUCKETS / 2;
