//! What the control thread knows and the admin server shows of every daemon.
//!
//! * Written by the control thread alone; every field stands for itself.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};

/// The state of a daemon.
#[derive(Debug, Default)]
pub struct Status {
    ready: AtomicBool,
    disagreement_ns: AtomicI64,
}

impl Status {
    /// Whether traffic is wanted here; false until the start is over, and while draining.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Relaxed)
    }

    /// Says whether traffic is wanted here.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Relaxed);
    }

    /// Says how far the daemon's clock is from the system's, in nanoseconds.
    pub fn set_disagreement_ns(&self, ns: i64) {
        self.disagreement_ns.store(ns, Relaxed);
    }

    /// How far the daemon's clock is from the system's, in seconds; positive if the system's is behind.
    #[allow(clippy::cast_precision_loss)] // A metric is a float; nanoseconds of disagreement need no 53 bits.
    pub fn disagreement_s(&self) -> f64 {
        self.disagreement_ns.load(Relaxed) as f64 / 1e9
    }
}

/// Decides when a disagreement of clocks is worth a log line: beyond a second, and once a minute.
#[derive(Debug, Default)]
pub struct ClockAlarm {
    quiet_until_s: u64,
}

impl ClockAlarm {
    /// Whether to log this disagreement now; `second` counts the seconds of the control loop.
    pub fn is_due(&mut self, disagreement_ns: i64, second: u64) -> bool {
        let due = disagreement_ns.abs() > ALARM_NS && second >= self.quiet_until_s;
        if due {
            self.quiet_until_s = second + ALARM_EVERY_S;
        }
        due
    }
}

/// A disagreement of clocks beyond this is worth a line, ns.
const ALARM_NS: i64 = 1_000_000_000;
/// One such line in this many seconds.
const ALARM_EVERY_S: u64 = 60;
