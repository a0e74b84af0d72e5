//! The one clock of a society: unix time at its start plus boot time since, so that it never goes back.

use crate::load::socket::station::now_ns;
use engine::host::clock;

/// A clock that started once.
#[derive(Clone, Copy, Debug)]
pub struct UnixClock {
    start_us: u64,
    start_ns: u64,
}

impl UnixClock {
    /// Starts it.
    pub fn start() -> Self {
        let start_us = u64::try_from(clock::realtime_ns() / 1_000).unwrap_or(0);
        Self { start_us, start_ns: now_ns() }
    }

    /// Now, unix microseconds.
    pub fn now_us(&self) -> u64 {
        self.start_us + now_ns().saturating_sub(self.start_ns) / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_shows_unix_time_and_goes_on() {
        let clock = UnixClock::start();
        let (first, second) = (clock.now_us(), clock.now_us());
        assert!(second >= first && first > 1_700_000_000_000_000, "{first} {second}");
    }
}
