//! One run of the generator: what it sent and what came back, what it cost, and whether it may be believed.
//!
//! * The same for a sweep, which runs on cells, and for a comparison, whose entries are subjects under some traffic.
//! * Flat and small: a sweep holds hundreds of them, one a line on disk.
//! * A figure that was not found is `None`, never 0.
//! * Rates and costs are per datagram that came to the relay, wrong ones included; latency is of good ones.

use crate::figures::float;
use crate::rig::attempt::{Attempt, DISTURBANCES, MOST_TAKEN};
use crate::rig::cell::Cell;
use crate::rig::span::Span;
use lab::programs::relay::Counters;
use results::outcome::Outcome;
use results::run::NatPair;
use search::Tried;
use serde::{Deserialize, Serialize};

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run<C = Cell> {
    /// What was measured.
    pub cell: C,
    /// What for.
    pub purpose: Purpose,
    /// In which round, from 0, which warms up; of a search, which try.
    pub round: u32,
    /// Offered, datagrams per second, wrong ones included.
    pub offered_per_s: u64,
    /// Sent, datagrams per second, wrong ones included.
    pub sent_per_s: f64,
    /// Good ones that came through to the receiver's NAT, per second.
    #[serde(default)]
    pub arrived_per_s: f64,
    /// Good ones sent in the measured phase.
    pub sent: u64,
    /// Of these, delivered.
    pub delivered: u64,
    /// Of these, refused by the receiver's NAT.
    #[serde(default)]
    pub refused: u64,
    /// Of these, never seen again.
    pub lost: u64,
    /// Seen again, once more.
    pub duplicates: u64,
    /// Latency from the intended send time; `None` if nothing came.
    pub latency: Option<Percentiles>,
    /// All latencies, losslessly: HdrHistogram V2, deflated, in base64; kept of rounds only,
    /// by a comparison until they are merged.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hdr_v2_base64: String,
    /// Actual less intended send time, 99th percentile, ns.
    pub lag_p99_ns: u64,
    /// Busy time of the reflector's processors per datagram, split into user, system and soft interrupt, ns; `None` for
    /// a reflector on another host.
    pub core_ns: Option<[f64; 3]>,
    /// CPU time of the relay per datagram, ns: of a reflector's workers as it counts itself, of another relay's process
    /// and its interface's kernel thread.
    #[serde(rename = "worker_ns")]
    pub own_ns: Option<f64>,
    /// What the reflector counted, warm-up and PROBEs included; empty for a relay other than this reflector, and in a comparison.
    #[serde(default)]
    pub relay: Counters,
    /// Resident memory of the reflector, bytes.
    #[serde(default)]
    pub reflector_bytes: u64,
    /// Resident memory of the generator, bytes.
    #[serde(default)]
    pub generator_bytes: u64,
    /// Good datagrams by the NAT behaviours of sender and receiver; kept of rounds only.
    #[serde(default)]
    pub pairs: Vec<NatPair>,
    /// The checks that failed; the figures may be believed if there are none.
    pub failed: Vec<String>,
}

/// What a run was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// To find a capacity.
    Search,
    /// A tenth of the capacity.
    Tenth,
    /// Half of the capacity.
    Half,
    /// Nine tenths of the capacity.
    NineTenths,
    /// Half of the capacity of the epoll engine.
    #[serde(alias = "half-of-mio")]
    HalfOfEpoll,
}

/// A latency distribution, ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // Each field is its name.
pub struct Percentiles {
    pub p50_ns: u64,
    pub p90_ns: u64,
    pub p99_ns: u64,
    pub p99_9_ns: u64,
    pub p99_99_ns: u64,
    pub max_ns: u64,
}

/// What a run is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About<C = Cell> {
    /// See [`Run::cell`].
    pub cell: C,
    /// See [`Run::purpose`].
    pub purpose: Purpose,
    /// See [`Run::round`].
    pub round: u32,
}

/// What the processors and the relay's own clock say of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Costs {
    /// See [`Run::core_ns`].
    pub core_ns: Option<[f64; 3]>,
    /// See [`Run::own_ns`]; `None` where the relay's own counters tell.
    pub own_ns: Option<f64>,
    /// The part of the reflector's processors that others took; `None` where nobody knows.
    pub reflector_taken: Option<f64>,
    /// The part of the generator's processors that others took.
    pub generator_taken: Option<f64>,
    /// Resident memory of the reflector, bytes.
    pub reflector_bytes: u64,
}

impl From<&Span> for Costs {
    fn from(span: &Span) -> Self {
        Self {
            core_ns: Some(span.core_ns),
            own_ns: Some(span.own_ns),
            reflector_taken: Some(span.relay_taken),
            generator_taken: Some(span.generator_taken),
            reflector_bytes: 0,
        }
    }
}

impl<C> Run<C> {
    /// The result of a run.
    pub fn of(
        About { cell, purpose, round }: About<C>,
        offered_per_s: u64,
        outcome: &Outcome,
        relay: Counters,
        costs: &Costs,
    ) -> Self {
        let (data, latency) = (&outcome.data, &outcome.latency);
        let kept = purpose != Purpose::Search;
        let percentiles = Percentiles {
            p50_ns: latency.p50_ns,
            p90_ns: latency.p90_ns,
            p99_ns: latency.p99_ns,
            p99_9_ns: latency.p99_9_ns,
            p99_99_ns: latency.p99_99_ns,
            max_ns: latency.max_ns,
        };
        Self {
            cell,
            purpose,
            round,
            offered_per_s,
            sent_per_s: outcome.rate.sent_per_s,
            arrived_per_s: outcome.rate.arrived_per_s,
            sent: data.sent,
            delivered: data.delivered,
            refused: data.refused(),
            lost: data.lost,
            duplicates: data.duplicates,
            latency: (latency.count > 0).then_some(percentiles),
            hdr_v2_base64: if kept { latency.hdr_v2_base64.clone() } else { String::new() },
            lag_p99_ns: outcome.generator.lag_p99_ns,
            core_ns: costs.core_ns,
            own_ns: costs
                .own_ns
                .or_else(|| (relay.received > 0).then(|| float(relay.busy_ns) / float(relay.received))),
            reflector_bytes: costs.reflector_bytes,
            generator_bytes: outcome.generator.rss_bytes,
            pairs: if kept { outcome.nat_pairs.clone() } else { Vec::new() },
            failed: failed(outcome, &relay, costs),
            relay,
        }
    }

    /// Loss of what was sent; all of it if nothing was.
    pub fn loss(&self) -> f64 {
        self.attempt().loss
    }

    /// Busy time of the relay's processors per datagram, ns.
    pub fn core_total_ns(&self) -> Option<f64> {
        self.core_ns.map(|split| split.iter().sum())
    }

    /// Busy time of the reflector's processors per datagram; of a reflector elsewhere, that of its workers, ns.
    pub fn cost_ns(&self) -> Option<f64> {
        self.core_total_ns().or(self.own_ns).filter(|ns| *ns > 0.0)
    }

    /// Whether its figures may be believed.
    pub fn is_believed(&self) -> bool {
        self.attempt().is_valid
    }

    /// Whether others used the processors, which says nothing about the reflector.
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

impl Purpose {
    /// The loads of a round, lightest first.
    pub const LOADS: [Self; 3] = [Self::Tenth, Self::Half, Self::NineTenths];

    /// The part of the capacity that it offers; `None` where that is not what decides the rate.
    pub fn part(self) -> Option<f64> {
        match self {
            Self::Search | Self::HalfOfEpoll => None,
            Self::Tenth => Some(0.1),
            Self::Half => Some(0.5),
            Self::NineTenths => Some(0.9),
        }
    }

    /// It in a word or two.
    pub fn words(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Tenth => "10 % load",
            Self::Half => "50 % load",
            Self::NineTenths => "90 % load",
            Self::HalfOfEpoll => "at half of epoll's",
        }
    }
}

/// The checks that do not hold: the generator's own, those of both books, and the processors that others took.
fn failed(outcome: &Outcome, relay: &Counters, costs: &Costs) -> Vec<String> {
    let own = outcome.validity.checks.iter().filter(|check| !check.holds).map(|check| check.name.clone());
    let mut failed: Vec<String> = own.collect();
    if failed.is_empty() && !outcome.validity.valid {
        failed.push("invalid".to_owned());
    }
    if !relay.is_conserved() {
        failed.push(CONSERVATION.to_owned());
    }
    let arrived = outcome.data.delivered + outcome.data.refused() + outcome.data.duplicates;
    // Other relays count nothing.
    if relay.received > 0 && arrived > relay.relayed {
        failed.push("arrived-beyond-relayed".to_owned());
    }
    let taken = [costs.reflector_taken, costs.generator_taken];
    let taken = DISTURBANCES.iter().zip(taken).filter(|(_, part)| part.is_some_and(|part| part > MOST_TAKEN));
    failed.extend(taken.map(|(name, _)| (*name).to_owned()));
    failed
}

/// The check that every datagram received is accounted for.
pub const CONSERVATION: &str = "conservation";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::subject::{Entry, Subject, Traffic};
    use crate::sample;
    use search::Verdict;

    /// A run of which 0.4 % were lost, and then worse and worse.
    fn is_judged<C>(mut run: Run<C>) {
        let verdict = |run: &Run<C>, most_loss| run.tried(most_loss).verdict;
        assert_eq!((verdict(&run, 0.005), verdict(&run, 0.0)), (Verdict::Passed, Verdict::Lost));
        run.failed = vec!["lag-p99".to_owned()];
        assert!(verdict(&run, 0.005) == Verdict::Passed && !run.is_believed());
        run.failed.push("send-errors".to_owned());
        assert!(verdict(&run, 0.005) == Verdict::Invalid && !run.is_believed());
        run.failed.push(DISTURBANCES[0].to_owned());
        assert!(verdict(&run, 0.005) == Verdict::Disturbed && run.is_disturbed());
        let nothing = Run { sent: 0, failed: Vec::new(), ..run };
        assert_eq!((verdict(&nothing, 1.0), nothing.loss()), (Verdict::Invalid, 1.0));
    }

    #[test]
    fn a_reading_is_judged_by_loss_and_by_what_failed() {
        is_judged(sample::run(sample::cell(), Purpose::Search, 100_000, 0.004));
    }

    #[test]
    fn each_fault_fails_its_own_check() {
        let mut outcome = sample::outcome(10_000, 0.0);
        let relay = sample::counters(&outcome);
        outcome.validity.valid = true;
        let told = |outcome: &Outcome, relay: &Counters, costs: &Costs| {
            let about = About { cell: sample::cell(), purpose: Purpose::Half, round: 1 };
            Run::of(about, 10_000, outcome, relay.clone(), costs).failed
        };
        let calm = Costs { reflector_taken: Some(0.05), ..Costs::default() };
        assert!(told(&outcome, &relay, &calm).is_empty());
        let taken = Costs { generator_taken: Some(0.2), ..calm };
        assert_eq!(told(&outcome, &relay, &taken), [DISTURBANCES[1]]);
        let more = Counters { received: relay.received + 1, ..relay.clone() };
        assert_eq!(told(&outcome, &more, &calm), [CONSERVATION]);
        let fewer = Counters { relayed: relay.relayed - 1, observed: relay.observed + 1, ..relay.clone() };
        assert_eq!(told(&outcome, &fewer, &calm), ["arrived-beyond-relayed"]);
        outcome.validity.valid = false;
        assert_eq!(told(&outcome, &relay, &calm), ["invalid"]);
    }

    #[test]
    fn cost_is_the_processors_or_else_the_workers() {
        let run = sample::run(sample::cell(), Purpose::Half, 50_000, 0.0);
        assert_eq!(run.cost_ns().map(f64::round), Some(5_000.0));
        let elsewhere = Run { core_ns: None, own_ns: Some(3_000.0), ..run };
        assert_eq!(elsewhere.cost_ns(), Some(3_000.0));
        assert_eq!(Run { own_ns: None, ..elsewhere }.cost_ns(), None);
    }

    #[test]
    fn a_run_is_judged_by_loss_and_by_what_failed() {
        is_judged(sample::peers_run(Subject::Epoll, 100_000, 0.004, 5_000.0));
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
        let run = |purpose| {
            let cell = Entry { subject: Subject::Epoll, traffic: Traffic::Singles };
            let costs = Costs::from(&span);
            Run::of(About { cell, purpose, round: 1 }, 10_000, &outcome, Counters::default(), &costs)
        };
        assert_eq!(run(Purpose::Half).failed, [DISTURBANCES[0]]);
        assert_eq!(run(Purpose::Half).core_total_ns(), Some(6.0));
        assert!(run(Purpose::Search).hdr_v2_base64.is_empty());
        assert_eq!(run(Purpose::Half).hdr_v2_base64, outcome.latency.hdr_v2_base64);
    }
}
