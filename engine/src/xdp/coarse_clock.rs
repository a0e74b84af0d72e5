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
use crate::xdp::shared_words::SharedWords;
use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering::Relaxed;

/// A moment, read of both clocks at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) jiffies: u64,
    pub(crate) boot_ns: u64,
}

/// The clock of one loaded program.
#[derive(Debug)]
pub(crate) struct Clock {
    shared: SharedWords,
    jiffy_ns: u64,
}

/// Words of `struct clock` of `bpf/layout.bpf.h`, in their order.
#[derive(Clone, Copy, Debug)]
enum Word {
    SinceJiffies,
    Base,
    Step,
    BaseNs,
    StepNs,
    AliveJiffies,
    OrphanJiffies,
    Revoked,
}

impl Clock {
    /// Maps the clock of a program.
    pub(crate) fn map(map: BorrowedFd<'_>) -> Result<Self, XdpError> {
        Ok(Self { shared: SharedWords::map(map, CLOCK_LEN)?, jiffy_ns: jiffy_ns()? })
    }

    /// Sets everything: called before the program is attached.
    pub(crate) fn start(&self, now: Moment, offset_ns: i64) {
        self.set(Word::SinceJiffies, now.jiffies);
        self.set(Word::Step, fixed_point(self.jiffy_ns));
        self.set(Word::BaseNs, now.boot_ns);
        self.set(Word::StepNs, self.jiffy_ns);
        self.set(Word::OrphanJiffies, ORPHAN_S * NS_PER_S / self.jiffy_ns);
        self.tick(now, offset_ns);
    }

    /// Says that the daemon lives, and what unix time less boot time is.
    pub(crate) fn tick(&self, now: Moment, offset_ns: i64) {
        let unix_ns = now.boot_ns.saturating_add_signed(offset_ns);
        let since = now.jiffies.saturating_sub(self.get(Word::SinceJiffies));
        let elapsed = since.wrapping_mul(self.get(Word::Step));
        self.set(Word::Base, fixed_point(unix_ns).wrapping_sub(elapsed));
        self.set(Word::AliveJiffies, now.jiffies);
    }

    /// Stops the clock at a time, for tests: unix seconds, and boot time for budgets.
    pub(crate) fn fix(&self, unix_s: u32, boot_ns: u64) {
        self.set(Word::Step, 0);
        self.set(Word::StepNs, 0);
        self.set(Word::Base, u64::from(unix_s) << 32);
        self.set(Word::BaseNs, boot_ns);
        self.set(Word::OrphanJiffies, u64::MAX);
    }

    /// Pretends that the daemon's last sign of life is so long ago, for tests.
    pub(crate) fn age(&self, now: Moment, seconds: u64) {
        self.set(Word::AliveJiffies, now.jiffies.wrapping_sub(seconds * NS_PER_S / self.jiffy_ns));
        self.set(Word::OrphanJiffies, ORPHAN_S * NS_PER_S / self.jiffy_ns);
    }

    /// Nanoseconds since the daemon's last sign of life.
    pub(crate) fn silence_ns(&self, now: Moment) -> u64 {
        now.jiffies.saturating_sub(self.get(Word::AliveJiffies)).saturating_mul(self.jiffy_ns)
    }

    /// Says how many entries the table of revocations holds; the program does not look at an empty one.
    pub(crate) fn set_revoked(&self, entries: u64) {
        self.set(Word::Revoked, entries);
    }

    fn get(&self, word: Word) -> u64 {
        self.shared.all().get(word as usize).map_or(0, |it| it.load(Relaxed))
    }

    fn set(&self, word: Word, value: u64) {
        if let Some(it) = self.shared.all().get(word as usize) {
            it.store(value, Relaxed);
        }
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
/// Bytes of the words.
const CLOCK_LEN: u32 = 64;

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
