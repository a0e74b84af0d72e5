//! One run of the generator through one subject, and whether its figures may be believed.
//!
//! * Flat and small: a comparison holds hundreds of them.
//! * A figure that was not found is `None`, never 0.

use crate::rig::attempt::{Attempt, DISTURBANCES, MOST_TAKEN};
use crate::rig::span::Span;
use crate::rig::subject::{Subject, Traffic};
use results::outcome::Outcome;
use search::Tried;
use serde::{Deserialize, Serialize};

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Through whom.
    pub subject: Subject,
    /// How datagrams followed each other.
    pub traffic: Traffic,
    /// What for.
    pub purpose: Purpose,
    /// In which round, from 0; of a search, which try.
    pub round: u32,
    /// Offered, datagrams per second.
    pub offered_per_s: u64,
    /// Sent, datagrams per second.
    pub sent_per_s: f64,
    /// Sent in the measured phase.
    pub sent: u64,
    /// Of these, delivered.
    pub delivered: u64,
    /// Of these, never seen again.
    pub lost: u64,
    /// Seen again, once more.
    pub duplicates: u64,
    /// Latency from the intended send time: 50th, 99th and 99.9th percentile, ns; `None` if nothing came.
    pub latency_ns: Option<[u64; 3]>,
    /// All latencies, losslessly: HdrHistogram V2, deflated, in base64; kept of rounds only, until they are merged.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hdr_v2_base64: String,
    /// Actual less intended send time, 99th percentile, ns.
    pub lag_p99_ns: u64,
    /// Busy time of the relay's core per datagram, split into user, system and soft interrupt, ns.
    pub core_ns: Option<[f64; 3]>,
    /// CPU time of the relay's process and of its interface's kernel thread per datagram, ns.
    pub own_ns: Option<f64>,
    /// Frames that came back while that was counted.
    pub frames: u64,
    /// How long that was, ns.
    pub span_ns: u64,
    /// The checks that failed; the figures may be believed if there are none.
    pub failed: Vec<String>,
}

/// What a run was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// To find a capacity.
    Search,
    /// Half of the subject's own capacity.
    Half,
    /// Half of the capacity of the epoll engine.
    #[serde(alias = "half-of-mio")]
    HalfOfEpoll,
}

impl Trial {
    /// The result of a run with what the cores did in it.
    pub fn of(
        (subject, traffic, purpose, round): (Subject, Traffic, Purpose, u32),
        offered_per_s: u64,
        outcome: &Outcome,
        span: Option<&Span>,
    ) -> Trial {
        let (data, latency) = (&outcome.data, &outcome.latency);
        let kept = purpose != Purpose::Search;
        Trial {
            subject,
            traffic,
            purpose,
            round,
            offered_per_s,
            sent_per_s: outcome.rate.sent_per_s,
            sent: data.sent,
            delivered: data.delivered,
            lost: data.lost,
            duplicates: data.duplicates,
            latency_ns: (latency.count > 0).then_some([latency.p50_ns, latency.p99_ns, latency.p99_9_ns]),
            hdr_v2_base64: if kept { latency.hdr_v2_base64.clone() } else { String::new() },
            lag_p99_ns: outcome.generator.lag_p99_ns,
            core_ns: span.map(|span| span.core_ns),
            own_ns: span.map(|span| span.own_ns),
            frames: span.map_or(0, |span| span.frames),
            span_ns: span.map_or(0, |span| u64::try_from(span.length.as_nanos()).unwrap_or(u64::MAX)),
            failed: failed(outcome, span),
        }
    }

    /// Loss of what was sent; all of it if nothing was.
    pub fn loss(&self) -> f64 {
        self.attempt().loss
    }

    /// Busy time of the relay's core per datagram, ns.
    pub fn core_total_ns(&self) -> Option<f64> {
        self.core_ns.map(|split| split.iter().sum())
    }

    /// Whether its figures may be believed.
    pub fn is_believed(&self) -> bool {
        self.attempt().is_valid
    }

    /// Whether others used the processors, which says nothing about the subject.
    pub fn is_disturbed(&self) -> bool {
        self.attempt().is_disturbed
    }

    /// It as the search sees it, with so much loss allowed.
    pub fn tried(&self, most_loss: f64) -> Tried {
        self.attempt().judged(most_loss)
    }

    fn attempt(&self) -> Attempt {
        Attempt::of(self.offered_per_s, self.sent_per_s, (self.sent, self.lost), &self.failed)
    }
}

/// The generator's checks that do not hold, and the cores that others took.
fn failed(outcome: &Outcome, span: Option<&Span>) -> Vec<String> {
    let own = outcome.validity.checks.iter().filter(|check| !check.holds).map(|check| check.name.clone());
    let [relay, generator] = DISTURBANCES;
    let taken = |span: &Span| [(relay, span.relay_taken), (generator, span.generator_taken)];
    let taken = span.map(taken).into_iter().flatten();
    let taken = taken.filter(|(_, part)| *part > MOST_TAKEN).map(|(name, _)| name.to_owned());
    let mut failed: Vec<String> = own.chain(taken).collect();
    if failed.is_empty() && !outcome.validity.valid {
        failed.push("invalid".to_owned());
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use search::Verdict;

    #[test]
    fn a_run_is_judged_by_loss_and_by_what_failed() {
        let verdict = |trial: &Trial, most_loss| trial.tried(most_loss).verdict;
        let mut trial = sample::trial(Subject::Epoll, 100_000, 0.004, 5_000.0);
        assert_eq!((verdict(&trial, 0.005), verdict(&trial, 0.0)), (Verdict::Passed, Verdict::Lost));
        trial.failed = vec!["lag-p99".to_owned()];
        assert!(verdict(&trial, 0.005) == Verdict::Passed && !trial.is_believed());
        trial.failed.push("send-errors".to_owned());
        assert!(verdict(&trial, 0.005) == Verdict::Invalid && !trial.is_believed());
        trial.failed.push(DISTURBANCES[0].to_owned());
        assert!(verdict(&trial, 0.005) == Verdict::Disturbed && trial.is_disturbed());
        let nothing = Trial { sent: 0, failed: Vec::new(), ..trial };
        assert_eq!((verdict(&nothing, 1.0), nothing.loss()), (Verdict::Invalid, 1.0));
    }

    #[test]
    fn what_others_took_fails_and_histograms_of_searches_go() {
        let mut outcome = sample::outcome(10_000, 0.0);
        outcome.validity.valid = true;
        let span = Span {
            length: std::time::Duration::from_secs(1),
            frames: 1,
            core_ns: [1.0, 2.0, 3.0],
            own_ns: 5.0,
            relay_taken: 0.5,
            generator_taken: 0.01,
        };
        let trial = |purpose| {
            Trial::of((Subject::Epoll, Traffic::Singles, purpose, 1), 10_000, &outcome, Some(&span))
        };
        assert_eq!(trial(Purpose::Half).failed, [DISTURBANCES[0]]);
        assert_eq!(trial(Purpose::Half).core_total_ns(), Some(6.0));
        assert!(trial(Purpose::Search).hdr_v2_base64.is_empty());
        assert_eq!(trial(Purpose::Half).hdr_v2_base64, outcome.latency.hdr_v2_base64);
    }
}
