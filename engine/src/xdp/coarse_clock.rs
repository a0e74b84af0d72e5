//! The fast path's clock: words that the daemon stores and the program loads, in memory that both map.
//!
//! ```text
//! unix seconds = base + (jiffies - since) * step        in 2^-32 s; jiffies cost a load, boot time 41 ns
//! ```
//!
//! * A tick stores two words, each right by itself whatever the program has read of the other.
//! * The kernel says how long a jiffy is (the resolution of its coarse clock); nothing is assumed.
//! * A fixed time for tests is a step of 0.

#![allow(unsafe_code)]

use crate::xdp::error::XdpError;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A moment, read of both clocks at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) jiffies: u64,
    pub(crate) boot_ns: u64,
}

/// `struct clock` of `bpf/layout.bpf.h`.
#[repr(C)]
#[derive(Debug, Default)]
struct Words {
    since_jiffies: AtomicU64,
    base: AtomicU64,
    step: AtomicU64,
    base_ns: AtomicU64,
    step_ns: AtomicU64,
    alive_jiffies: AtomicU64,
    orphan_jiffies: AtomicU64,
}

/// The clock of one loaded program.
#[derive(Debug)]
pub(crate) struct Clock {
    words: NonNull<Words>,
    jiffy_ns: u64,
}

// SAFETY: the words are shared memory of atomics, which any thread may use.
unsafe impl Send for Clock {}
// SAFETY: as above.
unsafe impl Sync for Clock {}

impl Clock {
    /// Maps the clock of a program.
    pub(crate) fn map(map: BorrowedFd<'_>) -> Result<Self, XdpError> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping of a descriptor that is open; the kernel chooses the place.
        let address = unsafe {
            libc::mmap(std::ptr::null_mut(), MAPPED_LEN, access, libc::MAP_SHARED, map.as_raw_fd(), 0)
        };
        let words = NonNull::new(address.cast::<Words>()).filter(|_| address != libc::MAP_FAILED);
        let words =
            words.ok_or_else(|| XdpError::kernel("map the program's clock", io::Error::last_os_error()))?;
        Ok(Self { words, jiffy_ns: jiffy_ns()? })
    }

    /// Sets everything: called before the program is attached.
    pub(crate) fn start(&self, now: Moment, offset_ns: i64) {
        let words = self.words();
        words.since_jiffies.store(now.jiffies, Relaxed);
        words.step.store(fixed_point(self.jiffy_ns), Relaxed);
        words.base_ns.store(now.boot_ns, Relaxed);
        words.step_ns.store(self.jiffy_ns, Relaxed);
        words.orphan_jiffies.store(ORPHAN_S * NS_PER_S / self.jiffy_ns, Relaxed);
        self.tick(now, offset_ns);
    }

    /// Says that the daemon lives, and what unix time less boot time is.
    pub(crate) fn tick(&self, now: Moment, offset_ns: i64) {
        let words = self.words();
        let unix_ns = now.boot_ns.saturating_add_signed(offset_ns);
        let since = now.jiffies.saturating_sub(words.since_jiffies.load(Relaxed));
        let elapsed = since.wrapping_mul(words.step.load(Relaxed));
        words.base.store(fixed_point(unix_ns).wrapping_sub(elapsed), Relaxed);
        words.alive_jiffies.store(now.jiffies, Relaxed);
    }

    /// Stops the clock at a time, for tests: unix seconds, and boot time for budgets.
    pub(crate) fn fix(&self, unix_s: u32, boot_ns: u64) {
        let words = self.words();
        words.step.store(0, Relaxed);
        words.step_ns.store(0, Relaxed);
        words.base.store(u64::from(unix_s) << 32, Relaxed);
        words.base_ns.store(boot_ns, Relaxed);
        words.orphan_jiffies.store(u64::MAX, Relaxed);
    }

    /// Pretends that the daemon's last sign of life is so long ago, for tests.
    pub(crate) fn age(&self, now: Moment, seconds: u64) {
        let words = self.words();
        words.alive_jiffies.store(now.jiffies.wrapping_sub(seconds * NS_PER_S / self.jiffy_ns), Relaxed);
        words.orphan_jiffies.store(ORPHAN_S * NS_PER_S / self.jiffy_ns, Relaxed);
    }

    /// Nanoseconds since the daemon's last sign of life.
    pub(crate) fn silence_ns(&self, now: Moment) -> u64 {
        now.jiffies.saturating_sub(self.words().alive_jiffies.load(Relaxed)).saturating_mul(self.jiffy_ns)
    }

    fn words(&self) -> &Words {
        // SAFETY: mapped for as long as `self` lives, and large enough.
        unsafe { self.words.as_ref() }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        // SAFETY: this very mapping, which nothing borrows any more.
        unsafe { libc::munmap(self.words.as_ptr().cast(), MAPPED_LEN) };
    }
}

/// Nanoseconds as units of 2^-32 s; seconds modulo 2^32, as the program reads them.
fn fixed_point(ns: u64) -> u64 {
    let (seconds, rest) = (ns / NS_PER_S, ns % NS_PER_S);
    (seconds << 32) | ((rest << 32) / NS_PER_S)
}

/// The kernel's coarse clock moves once a jiffy.
fn jiffy_ns() -> Result<u64, XdpError> {
    let mut resolution = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `resolution` is live for the call to set.
    let result = unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, &raw mut resolution) };
    let ns = resolution.tv_nsec;
    if result == 0 && resolution.tv_sec == 0 && ns >= 100_000 {
        Ok(ns.cast_unsigned())
    } else {
        Err(XdpError::Value(
            "the kernel does not say how long a jiffy is; without it the program has no clock",
        ))
    }
}

const NS_PER_S: u64 = 1_000_000_000;
/// So long after the daemon's last sign of life a program stops, seconds.
pub(crate) const ORPHAN_S: u64 = 600;
/// A page holds the words; the kernel maps whole pages.
const MAPPED_LEN: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_point_is_exact_in_seconds_and_close_in_jiffies() {
        assert_eq!(fixed_point(1_800_000_000 * NS_PER_S), 1_800_000_000 << 32);
        assert_eq!(fixed_point(NS_PER_S / 2), 1 << 31);
        // A second of jiffies of 4 ms is short by less than 250 units of 2^-32 s.
        assert!((1_u64 << 32) - fixed_point(4_000_000) * 250 < 250);
    }

    #[test]
    fn the_kernel_says_how_long_a_jiffy_is() {
        assert!(
            [1_000_000, 3_333_333, 4_000_000, 10_000_000]
                .iter()
                .any(|ns| jiffy_ns().unwrap().abs_diff(*ns) < 1000)
        );
    }
}
