//! What a peer's first messages of handshakes have brought: which counts, and where it was answered.
//!
//! * A first message counts only if its notice is higher than that of every one before.

use crate::paths::way::Way;
use std::net::SocketAddr;

/// What a peer's first messages of handshakes have brought.
#[derive(Debug, Default)]
pub(crate) struct Greetings {
    /// Incarnation and sequence of the last one's notice.
    number: (u64, u64),
    /// When the last one came.
    came_us: Option<u64>,
    /// Where our last answer went, if directly.
    answered_to: Option<SocketAddr>,
}

impl Greetings {
    /// Where our last answer went, if directly.
    pub(crate) fn answered_to(&self) -> Option<SocketAddr> {
        self.answered_to
    }

    /// Whether a first message with this number is no repetition.
    pub(crate) fn is_new(&self, number: (u64, u64)) -> bool {
        number > self.number
    }

    /// A first message came now; true if it comes so soon after another that our answer was lost.
    pub(crate) fn is_repeated(&mut self, now_us: u64) -> bool {
        self.came_us.replace(now_us).is_some_and(|last_us| now_us < last_us + REPEATED_US)
    }

    /// A first message with this number counts; it will not again.
    pub(crate) fn take(&mut self, number: (u64, u64)) {
        self.number = number;
    }

    /// Our answer went this way.
    pub(crate) fn note_answer(&mut self, way: Way) {
        self.answered_to = match way {
            Way::Direct(address) => Some(address),
            Way::Reflected(_) => None,
        };
    }
}

/// A first message so soon after another means that our answer was lost.
const REPEATED_US: u64 = 5_000_000;
