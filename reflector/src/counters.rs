//! What a worker counts, and the cells in which others read it.
//!
//! * A worker counts in plain numbers of its own and publishes them once per batch; only it writes its cells.
//! * Cells are relaxed and padded: a scrape costs a worker nothing, and workers do not share cache lines.
//! * Once drained, in datagrams: received == relayed + observed + dropped + send errors + handed to STUN, and of those
//!   handed to STUN as many were answered, rejected, dropped or not sent.

#![deny(clippy::disallowed_types)]

use crate::stun::refusal::Refusal;
use crossbeam::utils::CachePadded;
use engine::SendError;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use wire::Reason;

/// A worker's own counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts([u64; SLOTS]);

impl Counts {
    /// All zeros.
    pub fn new() -> Self {
        Self([0; SLOTS])
    }

    /// Counts datagrams, and their UDP payload bytes.
    #[inline]
    pub fn count(&mut self, event: Event, datagrams: u64, bytes: u64) {
        let place = event.place();
        self.add(place, datagrams);
        self.add(place + 1, bytes);
    }

    /// Counts a datagram that this key id, 0..=15, let pass.
    #[inline]
    pub fn count_key(&mut self, id: u8) {
        self.add(KEYS + usize::from(id & 15), 1);
    }

    /// Counts datagrams that this key id, 0..=15, let pass elsewhere.
    pub fn count_keys(&mut self, id: u8, datagrams: u64) {
        self.add(KEYS + usize::from(id & 15), datagrams);
    }

    /// Counts a batch, and what the kernel dropped before it.
    #[inline]
    pub fn count_batch(&mut self, datagrams: u32, overflows: u32) {
        let bucket = u32::BITS - datagrams.saturating_sub(1).leading_zeros();
        self.add(BATCHES + usize::try_from(bucket).unwrap_or(BATCH_BUCKETS).min(BATCH_BUCKETS), 1);
        self.add(BATCHED, u64::from(datagrams));
        self.add(OVERFLOWS, u64::from(overflows));
    }

    /// Writes every count to the cells.
    #[inline]
    pub fn publish(&self, cells: &Cells) {
        for (cell, count) in cells.0.iter().zip(&self.0) {
            cell.store(*count, Relaxed);
        }
    }

    /// Datagrams of an event.
    pub fn datagrams(&self, event: Event) -> u64 {
        self.at(event.place())
    }

    /// UDP payload bytes of an event.
    pub fn bytes(&self, event: Event) -> u64 {
        self.at(event.place() + 1)
    }

    /// Datagrams dropped, for whatever reason.
    pub fn dropped(&self) -> u64 {
        Reason::ALL.into_iter().map(|reason| self.datagrams(Event::Dropped(reason))).sum()
    }

    /// Datagrams that the kernel did not send, for whatever error.
    pub fn unsent(&self) -> u64 {
        SendError::ALL.into_iter().map(|error| self.datagrams(Event::Unsent(error))).sum()
    }

    /// Datagrams handed to STUN.
    pub fn stun(&self) -> u64 {
        self.datagrams(Event::StunReceived)
    }

    /// Datagrams that a key let pass.
    pub fn key(&self, id: u8) -> u64 {
        self.at(KEYS + usize::from(id & 15))
    }

    /// Datagrams that the kernel dropped because a receive queue was full.
    pub fn overflows(&self) -> u64 {
        self.at(OVERFLOWS)
    }

    /// Batches by size, as `(largest size, batches)`, and the datagrams in all of them.
    pub fn batches(&self) -> ([(f64, u64); BATCH_BUCKETS + 1], u64) {
        let mut buckets = [(f64::INFINITY, 0); BATCH_BUCKETS + 1];
        for (number, bucket) in (0_u32..).zip(&mut buckets) {
            let place = usize::try_from(number).unwrap_or(BATCH_BUCKETS);
            let bound = if place < BATCH_BUCKETS { f64::from(1_u32 << number) } else { f64::INFINITY };
            *bucket = (bound, self.at(BATCHES + place));
        }
        (buckets, self.at(BATCHED))
    }

    /// Adds another worker's counts.
    pub fn sum(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine = mine.saturating_add(*theirs);
        }
    }

    #[inline]
    fn add(&mut self, place: usize, number: u64) {
        if let Some(slot) = self.0.get_mut(place) {
            *slot = slot.wrapping_add(number);
        }
    }

    fn at(&self, place: usize) -> u64 {
        self.0.get(place).copied().unwrap_or_default()
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self::new()
    }
}

/// The cells of one worker.
#[derive(Debug)]
pub struct Cells(CachePadded<[AtomicU64; SLOTS]>);

impl Cells {
    /// All zeros.
    pub fn new() -> Self {
        Self(CachePadded::new([const { AtomicU64::new(0) }; SLOTS]))
    }

    /// What was published last.
    pub fn read(&self) -> Counts {
        let mut counts = Counts::new();
        for (count, cell) in counts.0.iter_mut().zip(self.0.iter()) {
            *count = cell.load(Relaxed);
        }
        counts
    }
}

impl Default for Cells {
    fn default() -> Self {
        Self::new()
    }
}

/// What happens to a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The kernel handed it over.
    Received,
    /// A SEND left as DATA.
    Relayed,
    /// A PROBE was answered.
    Observed,
    /// It was refused.
    Dropped(Reason),
    /// It was accepted, and the kernel did not send it.
    Unsent(SendError),
    /// It was handed to STUN.
    StunReceived,
    /// A STUN success response left.
    StunAnswered,
    /// A STUN error response left.
    StunRejected,
    /// STUN refused it.
    StunDropped(Refusal),
    /// The kernel did not send the STUN response.
    StunUnsent(SendError),
}

/// The kind of a datagram that was handed to the kernel for sending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Label {
    /// A relayed datagram: DATA.
    #[default]
    Data,
    /// The answer to a PROBE: OBSERVED.
    Observed,
    /// A STUN success response.
    StunSuccess,
    /// A STUN error response.
    StunError,
}

impl Label {
    /// What is counted once the kernel has answered.
    #[inline]
    pub const fn event(self, outcome: Result<(), SendError>) -> Event {
        match (self, outcome) {
            (Self::Data, Ok(())) => Event::Relayed,
            (Self::Observed, Ok(())) => Event::Observed,
            (Self::StunSuccess, Ok(())) => Event::StunAnswered,
            (Self::StunError, Ok(())) => Event::StunRejected,
            (Self::Data | Self::Observed, Err(error)) => Event::Unsent(error),
            (Self::StunSuccess | Self::StunError, Err(error)) => Event::StunUnsent(error),
        }
    }
}

impl Event {
    /// The place of its datagrams; its bytes stand behind.
    #[inline]
    const fn place(self) -> usize {
        2 * match self {
            Self::Received => 0,
            Self::Relayed => 1,
            Self::Observed => 2,
            Self::Dropped(reason) => FIRST_REASON + reason as usize,
            Self::Unsent(error) => FIRST_ERROR + error as usize,
            Self::StunReceived => FIRST_STUN,
            Self::StunAnswered => FIRST_STUN + 1,
            Self::StunRejected => FIRST_STUN + 2,
            Self::StunDropped(refusal) => FIRST_REFUSAL + refusal as usize,
            Self::StunUnsent(error) => FIRST_STUN_ERROR + error as usize,
        }
    }
}

/// Powers of two that bound the batch histogram: 1, 2, 4 .. 1024; above, one bucket more.
pub const BATCH_BUCKETS: usize = 11;

const FIRST_REASON: usize = 3;
const FIRST_ERROR: usize = FIRST_REASON + Reason::ALL.len();
const FIRST_STUN: usize = FIRST_ERROR + SendError::ALL.len();
const FIRST_REFUSAL: usize = FIRST_STUN + 3;
const FIRST_STUN_ERROR: usize = FIRST_REFUSAL + Refusal::ALL.len();
const EVENTS: usize = FIRST_STUN_ERROR + SendError::ALL.len();
const KEYS: usize = 2 * EVENTS;
const BATCHES: usize = KEYS + 16;
const BATCHED: usize = BATCHES + BATCH_BUCKETS + 1;
const OVERFLOWS: usize = BATCHED + 1;
const SLOTS: usize = OVERFLOWS + 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_places_of_its_own() {
        let reasons = Reason::ALL.into_iter().map(Event::Dropped);
        let errors = SendError::ALL.into_iter().map(Event::Unsent);
        let stun = [Event::StunReceived, Event::StunAnswered, Event::StunRejected].into_iter();
        let stun = stun.chain(Refusal::ALL.into_iter().map(Event::StunDropped));
        let stun = stun.chain(SendError::ALL.into_iter().map(Event::StunUnsent));
        let events: Vec<Event> = [Event::Received, Event::Relayed, Event::Observed]
            .into_iter()
            .chain(reasons)
            .chain(errors)
            .chain(stun)
            .collect();
        assert_eq!(events.len(), EVENTS);
        let mut counts = Counts::new();
        for (number, event) in (1..).zip(&events) {
            counts.count(*event, number, 100 * number);
        }
        (0..16).for_each(|id| counts.count_key(id));
        let cells = Cells::new();
        counts.publish(&cells);
        let read = cells.read();
        for (number, event) in (1..).zip(&events) {
            assert_eq!((read.datagrams(*event), read.bytes(*event)), (number, 100 * number), "{event:?}");
        }
        assert!((0..16).all(|id| read.key(id) == 1));
    }

    #[test]
    fn a_batch_falls_into_the_bucket_that_bounds_it() {
        let mut counts = Counts::new();
        for size in [0, 1, 2, 3, 4, 5, 64, 65, 1_024, 1_025, u32::MAX] {
            counts.count_batch(size, 1);
        }
        let (buckets, datagrams) = counts.batches();
        let sizes: Vec<u64> = buckets.iter().map(|(_, batches)| *batches).collect();
        assert_eq!(sizes, [2, 1, 2, 1, 0, 0, 1, 1, 0, 0, 1, 2]);
        assert!(buckets.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(datagrams, 1 + 2 + 3 + 4 + 5 + 64 + 65 + 1_024 + 1_025 + u64::from(u32::MAX));
        assert_eq!(counts.overflows(), 11);
    }
}
