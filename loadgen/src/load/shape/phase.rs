//! The times of a run, shared by its workers: warm-up, measured phase, end, drain.
//!
//! ```text
//!   start ---- warm-up ---- measured .............. end ---- drain ---- finish
//! ```
//!
//! * Only the end moves, and only to an earlier time, when a signal cuts the run short.
//! * A datagram belongs to the phase of its *intended* time.

#![deny(clippy::disallowed_types)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// The times of a run, boot time in ns.
#[derive(Debug)]
pub struct Phase {
    start_ns: u64,
    measured_ns: u64,
    planned_end_ns: u64,
    end_ns: AtomicU64,
    finished: AtomicBool,
}

impl Phase {
    /// A run that starts at `start_ns`.
    pub fn new(start_ns: u64, warmup_ns: u64, duration_ns: u64) -> Self {
        let measured_ns = start_ns.saturating_add(warmup_ns);
        let planned_end_ns = measured_ns.saturating_add(duration_ns);
        let end_ns = AtomicU64::new(planned_end_ns);
        Self { start_ns, measured_ns, planned_end_ns, end_ns, finished: AtomicBool::new(false) }
    }

    /// When the warm-up begins.
    pub fn start_ns(&self) -> u64 {
        self.start_ns
    }

    /// When the measured phase begins.
    #[inline]
    pub fn measured_ns(&self) -> u64 {
        self.measured_ns
    }

    /// When it ends.
    #[inline]
    pub fn end_ns(&self) -> u64 {
        self.end_ns.load(Relaxed)
    }

    /// How long the measured phase has been by `now_ns`, ns.
    pub fn elapsed_ns(&self, now_ns: u64) -> u64 {
        now_ns.min(self.end_ns()).saturating_sub(self.measured_ns)
    }

    /// Ends the measured phase now, unless it is over.
    pub fn cut(&self, now_ns: u64) {
        self.end_ns.fetch_min(now_ns, Relaxed);
    }

    /// Tells the workers that nothing more is expected.
    pub fn finish(&self) {
        self.finished.store(true, Relaxed);
    }

    /// Whether a worker is done at `now_ns`.
    #[inline]
    pub fn is_over(&self, now_ns: u64) -> bool {
        now_ns >= self.end_ns().saturating_add(DRAIN_NS) || self.finished.load(Relaxed)
    }

    /// The time from the start of the measured phase, for an intended time that lies in it.
    #[inline]
    pub fn measured_at(&self, intended_ns: u64) -> Option<u64> {
        if intended_ns >= self.end_ns() { None } else { intended_ns.checked_sub(self.measured_ns) }
    }

    /// The quarter, 0 to 3, of the planned measured phase that a time from its start lies in.
    #[inline]
    pub fn quarter(&self, at_ns: u64) -> usize {
        let duration_ns = (self.planned_end_ns - self.measured_ns).max(1);
        usize::try_from(at_ns.saturating_mul(4) / duration_ns).unwrap_or(3).min(3)
    }
}

/// How long late datagrams are waited for, ns.
pub const DRAIN_NS: u64 = 1_000_000_000;
/// Duplicates and invalid datagrams are waited for at least so long, ns.
pub const LEAST_DRAIN_NS: u64 = 200_000_000;
/// How long after the end datagrams that were due before are still sent, ns.
pub const BACKLOG_NS: u64 = 50_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_belongs_to_the_phase_of_its_intended_time() {
        let phase = Phase::new(1_000, 500, 4_000);
        assert_eq!(phase.measured_at(1_499), None);
        assert_eq!(phase.measured_at(1_500), Some(0));
        assert_eq!(phase.measured_at(5_499), Some(3_999));
        assert_eq!(phase.measured_at(5_500), None);
        assert_eq!([0, 999, 1_000, 3_999, 9_999].map(|at| phase.quarter(at)), [0, 0, 1, 3, 3]);
    }

    #[test]
    fn a_signal_moves_the_end_to_an_earlier_time_only() {
        let phase = Phase::new(0, 0, 4_000);
        assert_eq!(phase.elapsed_ns(3_000), 3_000);
        phase.cut(5_000);
        assert_eq!(phase.end_ns(), 4_000);
        phase.cut(2_000);
        assert_eq!((phase.end_ns(), phase.elapsed_ns(3_000)), (2_000, 2_000));
        assert!(!phase.is_over(2_000 + DRAIN_NS - 1) && phase.is_over(2_000 + DRAIN_NS));
        phase.finish();
        assert!(phase.is_over(0));
    }
}
