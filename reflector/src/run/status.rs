//! What the control thread and the workers know and the admin server shows.
//!
//! * Written by one thread each; every field stands for itself.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How reloads went.
#[derive(Debug, Default)]
pub struct Reloads {
    done: AtomicU64,
    failed: AtomicU64,
    ring_read_at_s: AtomicU64,
}

impl Reloads {
    /// None yet; the ring was read at this unix time, in seconds.
    pub fn new(ring_read_at_s: u32) -> Self {
        Self { ring_read_at_s: AtomicU64::new(u64::from(ring_read_at_s)), ..Self::default() }
    }

    /// Counts a reload, whose ring was read at this unix time in seconds; `None` if it failed.
    pub fn note(&self, ring_read_at_s: Option<u32>) {
        match ring_read_at_s {
            Some(at_s) => {
                self.ring_read_at_s.store(u64::from(at_s), Relaxed);
                self.done.fetch_add(1, Relaxed);
            }
            None => {
                self.failed.fetch_add(1, Relaxed);
            }
        }
    }

    /// Reloads that took effect.
    pub fn done(&self) -> u64 {
        self.done.load(Relaxed)
    }

    /// Reloads that failed.
    pub fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    /// When the ring in force was read, unix time in seconds.
    pub fn ring_read_at_s(&self) -> u64 {
        self.ring_read_at_s.load(Relaxed)
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
