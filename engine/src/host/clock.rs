//! The one clock: unix seconds are an anchor of CLOCK_REALTIME plus the boot time since.
//!
//! * A step of the system clock moves this one forward freely, backwards by at most 1 s per minute.
//! * [`Clock`] is pure, times are arguments; [`boot_ns`] and [`realtime_ns`] ask the kernel (clock_gettime(2)).

#![allow(unsafe_code)]

/// Unix time that a jump of the system clock cannot take back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Unix time less boot time, ns.
    offset_ns: i64,
    /// Boot time of the last reading, ns.
    read_at_ns: i64,
    /// How much later this clock is than the system's, ns; negative never lasts longer than one reading.
    disagreement_ns: i64,
}

impl Clock {
    /// Anchors the clock: both times read at the same moment, ns.
    pub fn new(realtime_ns: i64, boot_ns: i64) -> Self {
        Self { offset_ns: realtime_ns.saturating_sub(boot_ns), read_at_ns: boot_ns, disagreement_ns: 0 }
    }

    /// Anchors it to what the kernel says now.
    pub fn start() -> Self {
        Self::new(realtime_ns(), boot_ns())
    }

    /// Takes a new reading of both times: follows forward at once, backwards by 1 s per minute elapsed.
    pub fn read(&mut self, realtime_ns: i64, boot_ns: i64) {
        let measured = realtime_ns.saturating_sub(boot_ns);
        let elapsed = boot_ns.saturating_sub(self.read_at_ns).max(0);
        let slowest = self.offset_ns.saturating_sub(elapsed / BACKWARDS_DIVISOR);
        self.disagreement_ns = self.offset_ns.saturating_sub(measured);
        self.offset_ns = measured.max(slowest);
        self.read_at_ns = boot_ns;
    }

    /// Unix time less boot time, ns: what a worker adds to its own reading of the boot time.
    pub fn offset_ns(&self) -> i64 {
        self.offset_ns
    }

    /// How far the system's clock was from this one at the last reading, ns; positive: the system's was behind.
    pub fn disagreement_ns(&self) -> i64 {
        self.disagreement_ns
    }
}

/// Unix seconds for an offset of [`Clock::offset_ns`] and a boot time, both ns; clamped to what a header can say.
pub fn unix_s(offset_ns: i64, boot_ns: i64) -> u32 {
    let seconds = offset_ns.saturating_add(boot_ns).div_euclid(NS_PER_S);
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}

/// Time since boot including suspend, ns (CLOCK_BOOTTIME).
pub fn boot_ns() -> i64 {
    read(libc::CLOCK_BOOTTIME)
}

/// The same, unsigned: boot time is never negative.
pub fn since_boot_ns() -> u64 {
    let ns = boot_ns();
    debug_assert!(ns >= 0, "{ns} ns since boot");
    ns.cast_unsigned()
}

/// Time since 1970, ns (CLOCK_REALTIME).
pub fn realtime_ns() -> i64 {
    read(libc::CLOCK_REALTIME)
}

fn read(clock: libc::clockid_t) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec for the kernel to write; both clocks exist since Linux 2.6.39, so the call
    // cannot fail, and if it did, `time` would stay zero.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec.saturating_mul(NS_PER_S).saturating_add(time.tv_nsec)
}

const NS_PER_S: i64 = 1_000_000_000;
/// Backwards by 1 s per 60 s.
const BACKWARDS_DIVISOR: i64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = NS_PER_S;

    #[test]
    fn a_step_forward_is_followed_at_once() {
        let mut clock = Clock::new(1_000 * S, 10 * S);
        clock.read(5_001 * S, 11 * S);
        assert_eq!(unix_s(clock.offset_ns(), 11 * S), 5_001);
        assert_eq!(clock.disagreement_ns(), -4_000 * S);
    }

    #[test]
    fn t9_a_step_back_is_followed_by_one_second_a_minute() {
        let mut clock = Clock::new(10_000 * S, 0);
        for second in 1..=120 {
            clock.read((5_000 + second) * S, second * S);
        }
        assert_eq!(unix_s(clock.offset_ns(), 120 * S), 10_118);
        assert!(clock.disagreement_ns() > 4_990 * S);
    }

    #[test]
    fn the_kernels_clocks_advance() {
        let (boot, real) = (boot_ns(), realtime_ns());
        assert!(boot > 0 && real > 1_500_000_000 * S);
        assert!(boot_ns() >= boot);
    }

    #[test]
    fn times_that_no_header_can_say_are_clamped() {
        assert_eq!(unix_s(-5 * S, 0), 0);
        assert_eq!(unix_s(i64::MAX, 0), u32::MAX);
    }
}
