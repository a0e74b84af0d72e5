//! What the rounds say of one subject under one kind of traffic.
//!
//! * Round 0 warms up and is thrown away; runs that may not be believed say nothing.
//! * Percentiles are those of all rounds' latencies merged; what differs between rounds is shown beside them.

use crate::figures::float;
use crate::judge::ceiling::Ceiling;
use crate::judge::spread::Spread;
use crate::rig::run::{Purpose, Run};
use crate::rig::subject::{Entry, Subject, Traffic};
use results::latency::merged;
use serde::{Deserialize, Serialize};

/// One line of the comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Whom it is about.
    pub subject: Subject,
    /// Under which traffic.
    pub traffic: Traffic,
    /// How much it relays.
    pub ceiling: Ceiling,
    /// At half of that.
    pub half: Option<Figures>,
    /// At half of what the epoll engine relays.
    #[serde(alias = "half_of_mio")]
    pub half_of_epoll: Option<Figures>,
}

/// What the rounds at one rate say.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Offered, datagrams per second.
    pub offered_per_s: u64,
    /// Busy time of the relay's core per datagram, ns.
    pub core_ns: Option<Spread>,
    /// Medians of its parts in programs, in the kernel for programs, and in soft interrupts, ns.
    pub core_split_ns: Option<[f64; 3]>,
    /// CPU time of the relay's process and of its interface's kernel thread per datagram, ns: a check of the above.
    pub own_ns: Option<Spread>,
    /// 50th percentile of latency over all rounds, ns.
    pub p50_ns: u64,
    /// 99th percentile over all rounds, ns.
    pub p99_ns: u64,
    /// 99.9th percentile over all rounds, ns.
    pub p99_9_ns: u64,
    /// The 99th percentile of single rounds, ns.
    pub p99_by_round_ns: Spread,
    /// Sent, all rounds together.
    pub sent: u64,
    /// Lost, all rounds together.
    pub lost: u64,
}

impl Row {
    /// What all runs of a comparison say about one subject and traffic.
    ///
    /// # Errors
    /// A histogram that cannot be read.
    pub fn of(subject: Subject, traffic: Traffic, runs: &[Run<Entry>]) -> anyhow::Result<Self> {
        let own = |purpose: Purpose| {
            let is_own =
                move |run: &&Run<Entry>| (run.cell, run.purpose) == (Entry { subject, traffic }, purpose);
            runs.iter().filter(is_own)
        };
        let searched: Vec<Run<Entry>> = own(Purpose::Search).cloned().collect();
        let half = Figures::of(&counted(own(Purpose::Half)))?;
        let half_of_epoll = match subject {
            Subject::Epoll => half,
            _ => Figures::of(&counted(own(Purpose::HalfOfEpoll)))?,
        };
        Ok(Self { subject, traffic, ceiling: Ceiling::of(&searched), half, half_of_epoll })
    }

    /// What one core relays at most, per second, and whether that is an estimate from core-time at half load.
    pub fn capacity_per_s(&self) -> Option<(f64, bool)> {
        let found = self.ceiling.capacity_per_s()?;
        let half = self.half.and_then(|half| half.core_ns);
        match half.filter(|_| self.ceiling.is_generators) {
            // Never less than what was relayed.
            Some(core_ns) => {
                Some(((1e9 / core_ns.median).max(self.ceiling.pdr_per_s.map_or(0.0, float)), true))
            }
            None => Some((found, self.ceiling.is_generators)),
        }
    }
}

impl Figures {
    /// Of the runs at one rate; `None` without any.
    fn of(runs: &[&Run<Entry>]) -> anyhow::Result<Option<Self>> {
        let p99 = runs.iter().filter_map(|run| Some(float(run.latency?.p99_ns)));
        let (Some(first), Some(p99_by_round_ns)) = (runs.first(), Spread::of(p99)) else { return Ok(None) };
        let all = merged(runs.iter().map(|run| run.hdr_v2_base64.as_str()))?;
        let part = |number: usize| {
            let parts = runs.iter().filter_map(|run| run.core_ns?.get(number).copied());
            Some(Spread::of(parts)?.median)
        };
        let parts = [part(0), part(1), part(2)];
        Ok(Some(Self {
            offered_per_s: first.offered_per_s,
            core_ns: Spread::of(runs.iter().filter_map(|run| run.core_total_ns())),
            core_split_ns: match parts {
                [Some(user), Some(system), Some(softirq)] => Some([user, system, softirq]),
                _ => None,
            },
            own_ns: Spread::of(runs.iter().filter_map(|run| run.own_ns)),
            p50_ns: all.value_at_quantile(0.5),
            p99_ns: all.value_at_quantile(0.99),
            p99_9_ns: all.value_at_quantile(0.999),
            p99_by_round_ns,
            sent: runs.iter().map(|run| run.sent).sum(),
            lost: runs.iter().map(|run| run.lost).sum(),
        }))
    }
}

/// The runs that count, in order: believed, and not of the round that warms up; of one round, the last.
pub fn counted<'a>(runs: impl Iterator<Item = &'a Run<Entry>>) -> Vec<&'a Run<Entry>> {
    let mut counted: Vec<&Run<Entry>> = Vec::new();
    for run in runs.filter(|run| run.is_believed() && run.round > 0) {
        counted.retain(|other| other.round != run.round);
        counted.push(run);
    }
    counted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn rounds_become_figures() {
        let runs = sample::peers_runs();
        let row = Row::of(Subject::Coturn, Traffic::Singles, &runs).unwrap();
        let half = row.half.unwrap();
        let core = half.core_ns.unwrap();
        assert_eq!((core.rounds, core.median), (3, 7_000.0));
        assert!(half.p50_ns <= half.p99_ns && half.p99_ns <= half.p99_9_ns);
        assert_eq!(half.core_split_ns.unwrap().iter().sum::<f64>().round(), 7_000.0);
        assert_eq!(row.capacity_per_s().map(|(_, estimated)| estimated), Some(false));
        assert!(Row::of(Subject::Uring, Traffic::Singles, &runs).unwrap().half.is_none());
    }

    #[test]
    fn what_may_not_be_believed_does_not_count() {
        let mut runs = sample::peers_runs();
        let is_half = |run: &&mut Run<Entry>| run.purpose == Purpose::Half && run.round > 0;
        runs.iter_mut().filter(is_half).for_each(|run| run.failed.push("lag-p99".to_owned()));
        assert!(Row::of(Subject::Coturn, Traffic::Singles, &runs).unwrap().half.is_none());
    }
}
