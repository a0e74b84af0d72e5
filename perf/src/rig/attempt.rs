//! What a search is told of a run.
//!
//! * Cores that others took say nothing about the subject, and a generator that was late nothing about its latency.
//! * But what was offered and relayed was relayed, however late; and lateness of milliseconds loses no tenth of what was
//!   sent: who loses that much has lost it itself. What lies between may be either's.

use crate::figures::{float, rounded};
use search::{Tried, Verdict};

/// A run, as far as a search cares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attempt {
    /// Asked for, per second.
    pub offered_per_s: u64,
    /// Sent, per second.
    pub sent_per_s: f64,
    /// What was lost of it, a part of one; nothing sent is all lost.
    pub loss: f64,
    /// Whether every check held.
    pub is_valid: bool,
    /// Whether those that failed, if any, say only that the generator was late.
    pub is_punctual_or_late: bool,
    /// Whether one of those failed that tell of other programs.
    pub is_disturbed: bool,
}

impl Attempt {
    /// A run of which so much was sent and lost, and these checks failed.
    pub fn of(offered_per_s: u64, sent_per_s: f64, (sent, lost): (u64, u64), failed: &[String]) -> Self {
        Self {
            offered_per_s,
            sent_per_s: if sent > 0 { sent_per_s } else { 0.0 },
            loss: if sent > 0 { float(lost) / float(sent) } else { 1.0 },
            is_valid: failed.is_empty() && sent > 0,
            is_punctual_or_late: failed.iter().all(|name| LATENESS.contains(&name.as_str())),
            is_disturbed: failed.iter().any(|name| DISTURBANCES.contains(&name.as_str())),
        }
    }

    /// It with so much loss allowed.
    pub fn judged(&self, most_loss: f64) -> Tried {
        let has_offered = self.sent_per_s > OFFERED * float(self.offered_per_s);
        let verdict = match () {
            () if self.is_disturbed => Verdict::Disturbed,
            () if self.sent_per_s <= 0.0 => Verdict::Invalid,
            () if has_offered && self.loss > BY_FAR => Verdict::Lost,
            () if has_offered && self.is_punctual_or_late && self.loss <= most_loss => Verdict::Passed,
            () if !self.is_valid => Verdict::Invalid,
            () if self.loss > most_loss => Verdict::Lost,
            () => Verdict::Passed,
        };
        Tried {
            rate_per_s: self.offered_per_s,
            achieved_per_s: rounded(self.sent_per_s),
            delivered_per_s: rounded(self.sent_per_s * (1.0 - self.loss)),
            verdict,
        }
    }
}

/// The checks whose failure says that others used the processors, and nothing about what is measured.
pub const DISTURBANCES: [&str; 2] = ["relay-core-taken", "generator-core-taken"];
/// Part of the datagrams that may be lost at a rate that counts as relayed (PDR).
pub const MOST_LOSS: f64 = 0.005;
/// The generator's checks that say that it was late, which loses nothing.
const LATENESS: [&str; 2] = ["lag-p99", "lag-growth"];
/// Part of a processor that others may take; the kernel's own accounting is not much finer.
pub const MOST_TAKEN: f64 = 0.1;
/// The part of a rate that must have been sent to call it offered.
const OFFERED: f64 = 0.95;
/// A loss that no hesitation of a generator explains.
const BY_FAR: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: Attempt = Attempt {
        offered_per_s: 1_000,
        sent_per_s: 1_000.0,
        loss: 0.001,
        is_valid: true,
        is_punctual_or_late: true,
        is_disturbed: false,
    };

    #[test]
    fn runs_are_judged() {
        let verdict = |attempt: Attempt| attempt.judged(0.005).verdict;
        assert_eq!(verdict(FINE), Verdict::Passed);
        assert_eq!(verdict(Attempt { loss: 0.01, ..FINE }), Verdict::Lost);
        assert_eq!(FINE.judged(0.0).verdict, Verdict::Lost);
        let late = Attempt { is_valid: false, ..FINE };
        assert_eq!(verdict(late), Verdict::Passed);
        assert_eq!(verdict(Attempt { sent_per_s: 900.0, ..late }), Verdict::Invalid);
        assert_eq!(verdict(Attempt { is_punctual_or_late: false, ..late }), Verdict::Invalid);
        assert_eq!(verdict(Attempt { loss: 0.01, ..late }), Verdict::Invalid);
        assert_eq!(verdict(Attempt { loss: 0.5, ..late }), Verdict::Lost);
        assert_eq!(verdict(Attempt { loss: 0.5, sent_per_s: 900.0, ..late }), Verdict::Invalid);
        assert_eq!(verdict(Attempt { loss: 0.5, is_disturbed: true, ..late }), Verdict::Disturbed);
        assert_eq!(verdict(Attempt { sent_per_s: 0.0, loss: 1.0, ..late }), Verdict::Invalid);
        let failed = [DISTURBANCES[0].to_owned()];
        let found = Attempt::of(1_000, 1_000.0, (8, 2), &failed);
        let disturbed =
            Attempt { loss: 0.25, is_valid: false, is_punctual_or_late: false, is_disturbed: true, ..FINE };
        assert_eq!(found, disturbed);
        assert!(Attempt::of(1_000, 1_000.0, (8, 2), &["lag-p99".to_owned()]).is_punctual_or_late);
        assert_eq!(Attempt::of(1_000, 1_000.0, (0, 0), &[]).judged(1.0).verdict, Verdict::Invalid);
        let tried = Attempt { loss: 0.25, ..FINE }.judged(0.0);
        assert_eq!((tried.achieved_per_s, tried.delivered_per_s), (1_000, 750));
    }
}
