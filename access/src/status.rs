//! What the control loop knows and the admin server shows.
//!
//! * Written by the control loop alone; every field stands for itself.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};

/// The state of the daemon.
#[derive(Debug, Default)]
pub struct Status {
    ready: AtomicBool,
    disagreement_ns: AtomicI64,
}

impl Status {
    /// Whether requests are wanted here.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Relaxed)
    }

    /// Says whether requests are wanted here.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Relaxed);
    }

    /// Says how far this clock is from the system's, ns.
    pub fn set_disagreement_ns(&self, ns: i64) {
        self.disagreement_ns.store(ns, Relaxed);
    }

    /// How far this clock is from the system's, s; positive: the system's is behind.
    #[allow(clippy::cast_precision_loss)] // A metric is a float.
    pub fn disagreement_s(&self) -> f64 {
        self.disagreement_ns.load(Relaxed) as f64 / 1e9
    }
}
