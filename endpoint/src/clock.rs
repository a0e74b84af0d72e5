//! The one clock of an endpoint: unix time at start plus the time since, so that it never goes back.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A clock in unix microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
    start_us: u64,
}

impl Clock {
    /// A clock that starts with the system's time.
    pub(crate) fn start() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start: Instant::now(), start_us: micros(unix) }
    }

    /// Now.
    pub(crate) fn now_us(&self) -> u64 {
        self.start_us + micros(self.start.elapsed())
    }

    /// The instant at which the clock shows a time.
    pub(crate) fn instant(&self, at_us: u64) -> Instant {
        self.start + Duration::from_micros(at_us.saturating_sub(self.start_us))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
