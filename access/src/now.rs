//! The moment of a request, read once and passed on as a value.
//!
//! * Unix time follows the one clock rule (`engine::host::clock`); leases run on boot time, which no step of a clock moves.

use engine::host::clock;
use engine::host::clock::Clock;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// One moment by two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Unix seconds, as headers write them.
    pub unix_s: u32,
    /// Unix milliseconds.
    pub unix_ms: u64,
    /// Nanoseconds since boot.
    pub boot_ns: u64,
}

impl Now {
    /// The moment of these readings, ns.
    pub fn of(offset_ns: i64, boot_ns: i64) -> Self {
        let natural = |number: i64| u64::try_from(number).unwrap_or(0);
        Self {
            unix_s: clock::unix_s(offset_ns, boot_ns),
            unix_ms: natural(offset_ns.saturating_add(boot_ns)) / NS_PER_MS,
            boot_ns: natural(boot_ns),
        }
    }

    /// Milliseconds since boot.
    pub fn boot_ms(&self) -> u64 {
        self.boot_ns / NS_PER_MS
    }
}

/// The clock's offset, written by the control loop each second, read by everybody.
#[derive(Debug)]
pub struct SharedClock(AtomicI64);

impl SharedClock {
    /// A clock of this reading.
    pub fn new(clock: &Clock) -> Self {
        Self(AtomicI64::new(clock.offset_ns()))
    }

    /// Takes over a newer reading.
    pub fn set(&self, clock: &Clock) {
        self.0.store(clock.offset_ns(), Relaxed);
    }

    /// This moment.
    pub fn now(&self) -> Now {
        Now::of(self.0.load(Relaxed), clock::boot_ns())
    }
}

const NS_PER_MS: u64 = 1_000_000;
