//! What the control thread knows and the admin server shows.
//!
//! * Written by the control thread alone; every field stands for itself.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

/// The state of the daemon.
#[derive(Debug, Default)]
pub struct Status {
    ready: AtomicBool,
    reloads: AtomicU64,
    failed_reloads: AtomicU64,
    ring_read_at_s: AtomicU64,
    disagreement_ns: AtomicI64,
}

impl Status {
    /// Not ready, ring read at this unix time in s.
    pub fn new(ring_read_at_s: u32) -> Status {
        let status = Status::default();
        status.ring_read_at_s.store(u64::from(ring_read_at_s), Relaxed);
        status
    }

    /// Whether datagrams are wanted here.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Relaxed)
    }

    /// Says whether datagrams are wanted here.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Relaxed);
    }

    /// Counts a reload, and when its ring was read, unix time in s; `None`: it failed.
    pub fn note_reload(&self, ring_read_at_s: Option<u32>) {
        match ring_read_at_s {
            Some(at_s) => {
                self.ring_read_at_s.store(u64::from(at_s), Relaxed);
                self.reloads.fetch_add(1, Relaxed);
            }
            None => {
                self.failed_reloads.fetch_add(1, Relaxed);
            }
        }
    }

    /// Reloads that took effect, and that failed.
    pub fn reloads(&self) -> (u64, u64) {
        (self.reloads.load(Relaxed), self.failed_reloads.load(Relaxed))
    }

    /// When the ring in force was read, unix time in s.
    pub fn ring_read_at_s(&self) -> u64 {
        self.ring_read_at_s.load(Relaxed)
    }

    /// Says how far this clock is from the system's, ns.
    pub fn set_disagreement_ns(&self, ns: i64) {
        self.disagreement_ns.store(ns, Relaxed);
    }

    /// How far this clock is from the system's, ns; positive: the system's is behind.
    pub fn disagreement_ns(&self) -> i64 {
        self.disagreement_ns.load(Relaxed)
    }
}

/// A worker as others see it.
#[derive(Debug, Default)]
pub struct WorkerView {
    /// Its counts.
    pub cells: std::sync::Arc<crate::counters::Cells>,
    /// Its thread's id, once it runs.
    pub thread: OnceLock<u64>,
    /// For each of its sockets, the family and the bytes of receive buffer granted.
    pub receive_buffers: Vec<(&'static str, usize)>,
}
