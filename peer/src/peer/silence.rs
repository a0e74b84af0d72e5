//! How long a peer has been silent since something was sent that it should react to, and when to look into that.
//!
//! * Looks come every second at first, then rarely; hearing the peer ends them.

/// What is heard of one peer, and what is not.
#[derive(Debug, Default)]
pub(crate) struct Silence {
    heard_us: Option<u64>,
    /// Since when something was sent and nothing heard.
    awaiting_us: Option<u64>,
    check_us: Option<u64>,
    checks: u32,
}

/// What a look has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// Microseconds since something was sent, or since the peer was heard if that is less.
    pub(crate) silent_us: u64,
    /// Whether looks still come every second.
    pub(crate) is_early: bool,
}

impl Silence {
    /// When the peer was last heard.
    pub(crate) fn heard_us(&self) -> Option<u64> {
        self.heard_us
    }

    /// An authenticated, fresh message came.
    pub(crate) fn hear(&mut self, now_us: u64) {
        self.heard_us = Some(now_us);
    }

    /// Something was sent that the peer should react to.
    pub(crate) fn await_answer(&mut self, now_us: u64) {
        if self.awaiting_us.is_none() {
            (self.awaiting_us, self.check_us, self.checks) = (Some(now_us), Some(now_us + CHECK_US), 0);
        }
    }

    /// The peer has reacted.
    pub(crate) fn end(&mut self) {
        (self.awaiting_us, self.check_us) = (None, None);
    }

    /// Has a look taken now, if the peer is silent.
    pub(crate) fn hurry(&mut self, now_us: u64) {
        if self.awaiting_us.is_some() {
            self.check_us = Some(now_us);
        }
    }

    /// When to look next.
    pub(crate) fn due_us(&self) -> Option<u64> {
        self.check_us
    }

    /// Looks, if it is time.
    pub(crate) fn poll(&mut self, now_us: u64) -> Option<Look> {
        let since_us = self.awaiting_us?;
        if now_us < self.check_us? {
            return None;
        }
        self.checks += 1;
        self.check_us = Some(now_us + if self.checks < CHECKS { CHECK_US } else { CHECK_RARELY_US });
        let silent_us = now_us - since_us.max(self.heard_us.unwrap_or(0));
        Some(Look { silent_us, is_early: self.checks <= CHECKS })
    }
}

const CHECK_US: u64 = 1_000_000;
const CHECK_RARELY_US: u64 = 15_000_000;
const CHECKS: u32 = 8;
