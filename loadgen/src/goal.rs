//! What has to hold at the rate that a search looks for, and what became of one that was tried.

use clap::ValueEnum;
use results::run::Report;
use search::Verdict;

/// What has to hold at the rate that is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Goal {
    /// No datagram lost (non-drop rate).
    Ndr,
    /// At most 0.5 % lost (partial drop rate).
    Pdr,
}

impl Goal {
    /// The word of the flag and the report.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ndr => "ndr",
            Self::Pdr => "pdr",
        }
    }

    /// What became of a rate.
    pub fn judge(self, report: &Report) -> Verdict {
        let most = match self {
            Self::Ndr => 0.0,
            Self::Pdr => 0.005,
        };
        let failed =
            |name: &str| report.validity.checks.iter().any(|check| check.name == name && !check.holds);
        // What was sent and arrived did so, however late.
        let is_late = (failed("lag-p99") || failed("lag-growth"))
            && report
                .validity
                .checks
                .iter()
                .all(|check| check.holds || LATENESS.contains(&check.name.as_str()));
        // Late at times, but never falling behind: others had the CPU meanwhile. Or somebody set the clock.
        let is_disturbed = (failed("lag-p99") || failed("clock-step"))
            && ["rate-shortfall", "lag-growth"].iter().all(|name| !failed(name));
        match report.validity.valid {
            _ if report.data.sent == 0 => Verdict::Invalid,
            false if is_late && report.data.loss <= most => Verdict::Passed,
            false if is_disturbed && report.generator.socket_overflows == 0 => Verdict::Disturbed,
            false => Verdict::Invalid,
            true if report.data.loss <= most => Verdict::Passed,
            true => Verdict::Lost,
        }
    }

    /// Whether the later of two tries is the better one: the highest rate that passed, else the last one.
    pub fn prefers(self, later: &Report, before: &Report) -> bool {
        let passed = |report: &Report| self.judge(report) == Verdict::Passed;
        let higher = later.settings.rate_per_s > before.settings.rate_per_s;
        if passed(later) { !passed(before) || higher } else { !passed(before) }
    }
}

/// The checks that say that the generator was late, which loses nothing.
const LATENESS: [&str; 2] = ["lag-p99", "lag-growth"];

#[cfg(test)]
mod tests {
    use super::*;
    use results::run::Data;
    use results::verdict::{Validity, Verdict as Check};

    #[test]
    fn goals_differ_in_the_loss_allowed() {
        let report = |loss: f64, valid| Report {
            data: Data { sent: 1_000, loss, ..Data::default() },
            validity: Validity { valid, checks: Vec::new() },
            ..Report::default()
        };
        assert_eq!(Goal::Ndr.judge(&report(0.0, true)), Verdict::Passed);
        assert_eq!(Goal::Ndr.judge(&report(0.001, true)), Verdict::Lost);
        assert_eq!(Goal::Pdr.judge(&report(0.005, true)), Verdict::Passed);
        assert_eq!(Goal::Pdr.judge(&report(0.006, true)), Verdict::Lost);
        assert_eq!(Goal::Pdr.judge(&report(0.0, false)), Verdict::Invalid);
        assert_eq!(Goal::Ndr.judge(&Report::default()), Verdict::Invalid);
    }

    #[test]
    fn who_is_late_but_keeps_up_has_sent_and_was_disturbed_if_anything_is_lost() {
        let judged = |names: &[&str], loss: f64| {
            let check = |name: &&str| Check {
                name: (*name).to_owned(),
                value: None,
                relation: "<=".to_owned(),
                bound: 0.0,
                unit: "ns".to_owned(),
                holds: false,
            };
            Goal::Ndr.judge(&Report {
                data: Data { sent: 1_000, loss, ..Data::default() },
                validity: Validity { valid: false, checks: names.iter().map(check).collect() },
                ..Report::default()
            })
        };
        for names in [&["lag-p99"][..], &["lag-growth"], &["lag-p99", "lag-growth"]] {
            assert_eq!(judged(names, 0.0), Verdict::Passed);
        }
        assert_eq!(judged(&["lag-p99"], 0.01), Verdict::Disturbed);
        assert_eq!(judged(&["lag-p99", "clock-step"], 0.0), Verdict::Disturbed);
        assert_eq!(judged(&["clock-step"], 0.0), Verdict::Disturbed);
        assert_eq!(judged(&["lag-p99", "rate-shortfall"], 0.0), Verdict::Invalid);
        assert_eq!(judged(&["lag-p99", "lag-growth"], 0.01), Verdict::Invalid);
        assert_eq!(judged(&["socket-overflows"], 0.0), Verdict::Invalid);
    }
}
