//! When to ask the access server: to log in, to refresh at half life, and again after a failure, spread in time.
//!
//! * One question at a time; each is answered once, by success or failure.
//! * A failure doubles the pause, up to a minute, and the pause is drawn evenly from its upper half: whoever lost the
//!   server together does not come back together.

use crate::own::Own;

/// The lease at the access server.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    /// Whether there is a session there.
    logged_in: bool,
    /// When the question under way was asked.
    asked_us: Option<u64>,
    /// When to ask next.
    next_us: u64,
    failures: u32,
    /// Something has changed since the question under way was asked.
    stale: bool,
    /// How long the last answer was to last.
    granted_us: u64,
    /// Until when a server that has lost the sessions may not know yet who is there.
    ignorant_until_us: u64,
    left: bool,
}

/// What to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Log in.
    Login,
    /// Renew.
    Refresh,
}

impl Lease {
    /// The question to ask now, if it is time; it is under way then.
    pub(crate) fn poll(&mut self, now_us: u64) -> Option<Question> {
        if self.left || self.asked_us.is_some() || now_us < self.next_us {
            return None;
        }
        self.asked_us = Some(now_us);
        Some(if self.logged_in { Question::Refresh } else { Question::Login })
    }

    /// When [`Lease::poll`] has something to ask.
    pub(crate) fn due_us(&self) -> Option<u64> {
        (!self.left && self.asked_us.is_none()).then_some(self.next_us)
    }

    /// When the question under way was asked: what was heard since is newer than its answer.
    pub(crate) fn asked_us(&self) -> Option<u64> {
        self.asked_us
    }

    /// The server answered; whatever it gave lasts `lifetime_us` at least.
    pub(crate) fn handle_success(&mut self, lifetime_us: u64, own: &mut Own, now_us: u64) {
        let half_us = (lifetime_us / 2).max(MIN_PAUSE_US);
        let next_us = if self.stale { now_us } else { now_us + half_us - own.jitter_us(half_us / 8) };
        let (ignorant_until_us, left) = (self.ignorant_until_us, self.left);
        *self = Self {
            logged_in: true,
            next_us,
            granted_us: lifetime_us,
            ignorant_until_us,
            left,
            ..Self::default()
        };
    }

    /// The server did not answer, or could not; how often in a row.
    pub(crate) fn handle_failure(&mut self, own: &mut Own, now_us: u64) -> u32 {
        let pause_us = (MIN_PAUSE_US << self.failures.min(10)).min(MAX_PAUSE_US);
        self.failures += 1;
        (self.asked_us, self.stale) = (None, false);
        self.next_us = now_us + pause_us / 2 + own.jitter_us(pause_us / 2);
        self.failures
    }

    /// The server knows the session no more: as a rule because it has restarted, so it knows nobody's.
    pub(crate) fn handle_lost(&mut self, own: &mut Own, now_us: u64) {
        self.ignorant_until_us = now_us + self.granted_us.max(MAX_PAUSE_US);
        (self.logged_in, self.asked_us, self.stale) = (false, None, false);
        self.next_us = now_us + own.jitter_us(MIN_PAUSE_US);
    }

    /// Something has changed that the server should know: asks now, or after the question under way, unless it failed
    /// and is left alone.
    pub(crate) fn hurry(&mut self, now_us: u64) {
        if self.asked_us.is_some() {
            self.stale = true;
        } else if self.failures == 0 && self.logged_in {
            self.next_us = self.next_us.min(now_us);
        }
    }

    /// Whether the server lost the sessions so recently that whoever it calls offline may only not be back yet.
    pub(crate) fn is_server_ignorant(&self, now_us: u64) -> bool {
        now_us < self.ignorant_until_us
    }

    /// Nothing more is asked.
    pub(crate) fn leave(&mut self) {
        self.left = true;
    }

    /// Whether there is a session at the server, as far as is known.
    pub(crate) fn is_logged_in(&self) -> bool {
        self.logged_in
    }
}

const MIN_PAUSE_US: u64 = 1_000_000;
const MAX_PAUSE_US: u64 = 60_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn own(seed: u8) -> Own {
        Own::new([1; 32], [seed; 32], Vec::new())
    }

    #[test]
    fn refreshes_at_half_life_and_asks_one_thing_at_a_time() {
        let (mut lease, mut own) = (Lease::default(), own(1));
        assert_eq!(lease.poll(0), Some(Question::Login));
        assert_eq!((lease.poll(0), lease.due_us()), (None, None));
        lease.handle_success(300_000_000, &mut own, 5);
        let due_us = lease.due_us().unwrap();
        assert!((131_000_000..=150_000_005).contains(&due_us), "{due_us}");
        assert_eq!(lease.poll(due_us - 1), None);
        lease.hurry(70_000_000);
        assert_eq!(lease.poll(70_000_000), Some(Question::Refresh));
        lease.hurry(70_000_001);
        lease.handle_success(300_000_000, &mut own, 70_000_100);
        assert_eq!(lease.poll(70_000_100), Some(Question::Refresh), "what changed meanwhile is told at once");
        lease.handle_success(300_000_000, &mut own, 70_000_200);
        assert_eq!(lease.poll(70_000_200), None);
        assert_eq!(lease.poll(lease.due_us().unwrap()), Some(Question::Refresh));
        lease.handle_lost(&mut own, 70_000_000);
        assert_eq!(lease.poll(71_000_000), Some(Question::Login));
        lease.leave();
        lease.handle_failure(&mut own, 72_000_000);
        assert_eq!((lease.poll(u64::MAX), lease.due_us()), (None, None));
    }

    #[test]
    fn after_an_outage_they_do_not_come_back_together() {
        let mut times: Vec<u64> = (0..100)
            .map(|seed| {
                let (mut lease, mut own) = (Lease::default(), own(seed));
                let mut now_us = 0;
                for times in 1..=8 {
                    assert!(lease.poll(now_us).is_some());
                    assert_eq!(lease.handle_failure(&mut own, now_us), times);
                    lease.hurry(now_us);
                    now_us = lease.due_us().unwrap();
                }
                now_us
            })
            .collect();
        times.sort_unstable();
        let seconds: std::collections::BTreeSet<u64> = times.iter().map(|it| it / 1_000_000).collect();
        assert!(seconds.len() > 30, "{seconds:?}");
    }
}
