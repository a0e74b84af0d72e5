//! The sums of the last moments, from which the present rate and loss follow.
//!
//! * What is under way at the first and at the last of them is about as much, so that it does not look lost.
//! * Pure: times and sums come in; memory is fixed.

use std::collections::VecDeque;

/// Sums, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Glances(VecDeque<Glance>);

/// Sums at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    /// Boot time, ns.
    pub at_ns: u64,
    /// Sent so far.
    pub sent: u64,
    /// Arrived so far.
    pub arrived: u64,
}

impl Glances {
    /// Notes the sums of a time that is later than all noted.
    pub fn note(&mut self, glance: Glance) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(glance);
    }

    /// Rate and loss over what is kept; `None` before there is enough of it.
    #[allow(clippy::cast_precision_loss)] // Shown to a few digits.
    pub fn recent(&self) -> Option<Recent> {
        let (then, now) = (self.0.front()?, self.0.back().filter(|_| self.0.len() >= ENOUGH)?);
        let elapsed_ns = now.at_ns.checked_sub(then.at_ns).filter(|elapsed_ns| *elapsed_ns > 0)?;
        let sent = now.sent.saturating_sub(then.sent);
        let lost = sent.saturating_sub(now.arrived.saturating_sub(then.arrived));
        Some(Recent {
            sent_per_s: sent as f64 * 1e9 / elapsed_ns as f64,
            loss: lost as f64 / sent.max(1) as f64,
        })
    }
}

/// How it goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recent {
    /// Datagrams sent per second.
    pub sent_per_s: f64,
    /// Part of them that did not arrive.
    pub loss: f64,
}

/// Glances that say something.
const ENOUGH: usize = 5;
/// A second of glances.
const KEPT: usize = 21;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_is_not_lost_and_what_is_lost_is() {
        let mut glances = Glances::default();
        for tick in 0..100 {
            // 100 a tick of 50 ms; each arrives one tick later, every tenth never.
            let (sent, arrived) = (tick * 100, tick.max(1) * 90 - 90);
            glances.note(Glance { at_ns: tick * 50_000_000, sent, arrived });
            assert_eq!(glances.recent().is_some(), tick >= 4, "{tick}");
        }
        assert_eq!(glances.recent(), Some(Recent { sent_per_s: 2_000.0, loss: 0.1 }));
        assert_eq!(glances.0.len(), KEPT);
    }

    #[test]
    fn nothing_sent_is_nothing_lost() {
        let mut glances = Glances::default();
        for at_ns in 0..10 {
            glances.note(Glance { at_ns, sent: 0, arrived: 0 });
        }
        assert_eq!(glances.recent(), Some(Recent { sent_per_s: 0.0, loss: 0.0 }));
    }
}
