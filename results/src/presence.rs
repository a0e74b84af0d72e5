//! The result of `presence` as JSON: notices, ways, calls, datagrams, and whether it may be believed.
//!
//! * Versioned like a run's report; `kind` tells the two apart.
//! * Notices: `due = direct + reflected + by_server + void + lost`. Datagrams through reflectors:
//!   `reflected = returned + lost`, and `returned + observed = delivered + refused_by_nat + away`.
//! * Units stand in the names; fractions are 0.0 to 1.0.

use crate::latency::Latency;
use crate::run::{Event, Planning};
use crate::verdict::{Relation, Validity, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The whole result.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PresenceReport {
    /// [`crate::run::SCHEMA`].
    pub schema: u32,
    /// `presence`.
    pub kind: String,
    /// Version of the program that wrote it.
    pub version: String,
    /// What was asked for.
    pub settings: PresenceSettings,
    /// Unix seconds at the start of the storm.
    pub started_unix_s: u64,
    /// Whether a signal ended the run early; the rest is then the partial result.
    pub interrupted: bool,
    /// Why the run failed before its end, in words; the rest is then the partial result. Empty: it did not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub failed: String,
    /// Accounts and devices.
    pub setup: Setup,
    /// The login storm.
    pub storm: Storm,
    /// Notices that somebody came.
    pub came: NoticeReport,
    /// Notices that somebody went.
    pub went: NoticeReport,
    /// What part of the notices that somebody came was reflected.
    pub notice_share: Share,
    /// What part of the ways of conversations was reflected, once a direct path was sought; absent without any.
    pub talk_share: Option<Share>,
    /// Endpoints that left and that came back meanwhile.
    pub churn: ChurnReport,
    /// Buddies that were seen going while they were there.
    pub false_offline: u64,
    /// Datagrams.
    pub paths: Paths,
    /// Times of the access server's calls as endpoints saw them, by path.
    pub calls: BTreeMap<String, Latency>,
    /// Calls that were refused or not answered, by reason.
    pub call_failures: BTreeMap<String, u64>,
    /// What the reflectors did, as their metrics say.
    pub reflectors: Vec<ReflectorLoad>,
    /// What the run cost the generator itself.
    pub generator: PresenceGenerator,
    /// Whether the numbers may be believed.
    pub validity: Validity,
    /// Whether what took the reflector is what the grid predicts.
    pub agreement: Vec<Verdict>,
    /// The thresholds asked for, each with its verdict.
    pub thresholds: Vec<Verdict>,
    /// Whether the rig is one to plan capacity by.
    pub planning: Planning,
    /// What happened meanwhile that explains the figures, in words.
    #[serde(default)]
    pub events: Vec<Event>,
}

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PresenceSettings {
    /// URL of the access server.
    pub access: String,
    /// Endpoints.
    pub endpoints: u32,
    /// Buddies of each, about.
    pub buddies: u32,
    /// NAT mix, as `--nat` reads it.
    pub nat: String,
    /// Length of the storm, ns.
    pub storm_ns: u64,
    /// Length of the steady phase, ns.
    pub steady_ns: u64,
    /// Part that talks.
    pub talk: f64,
    /// Part that hides its address.
    #[serde(default)]
    pub hidden: f64,
    /// As `--churn` reads it; empty without any.
    pub churn: String,
    /// Part that leaves at the end while others look on.
    pub offline: f64,
    /// Time over which it leaves, ns.
    pub offline_time_ns: u64,
    /// A notice that takes longer is late, ns.
    pub late_ns: u64,
    /// Block of the external addresses.
    pub external: String,
    /// Mapping time-out of the simulated NATs, ns.
    pub mapping_timeout_ns: u64,
    /// Connections to the access server.
    pub connections: u32,
    /// Seed of everything that repeats.
    pub seed: u64,
}

/// How accounts and devices came to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// Accounts added, with a device each.
    pub accounts: u32,
    /// Friendships made.
    pub friendships: u64,
    /// How long it took, ns.
    pub elapsed_ns: u64,
}

/// The login storm.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Storm {
    /// Endpoints started.
    pub started: u32,
    /// Those of them logged in when it was over.
    pub logged_in: u32,
    /// How long it took until all was quiet, ns.
    pub elapsed_ns: u64,
    /// From the start of an endpoint until it was logged in, later ones included.
    pub login: Latency,
    /// From the start of an endpoint until all buddies that were there knew it, later ones included.
    pub to_all: Latency,
}

/// Notices of one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NoticeReport {
    /// Numbers.
    #[serde(flatten)]
    pub counts: NoticeCounts,
    /// From due to heard, of those heard.
    pub latency: Latency,
}

/// Who came and went during the steady phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChurnReport {
    /// Left.
    pub left: u64,
    /// Came back.
    pub returned: u64,
}

/// Datagrams of all members, from storm to end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paths {
    /// SENDs to reflectors that the kernel took.
    pub reflected: u64,
    /// DATA that came back from them.
    pub returned: u64,
    /// SENDs that did not come back.
    pub lost: u64,
    /// PROBEs that the kernel took.
    pub probes: u64,
    /// OBSERVED that came back.
    pub observed: u64,
    /// From reflectors, let in by the receiver's NAT.
    pub delivered: u64,
    /// From reflectors, refused by the receiver's NAT.
    pub refused_by_nat: u64,
    /// From reflectors, for a member that had left.
    pub away: u64,
    /// From host to host.
    pub direct_sent: u64,
    /// From host to host, let in.
    pub direct_delivered: u64,
    /// From host to host, refused by the receiver's NAT.
    pub direct_refused: u64,
    /// From host to host, for a member that had left.
    pub direct_away: u64,
    /// Datagrams of conversations.
    pub said: u64,
    /// Those of them that were heard.
    pub heard: u64,
    /// Local ports given up for new ones.
    pub rebound: u64,
    /// Arrived, and nobody's.
    pub foreign: u64,
    /// For an address that is neither a reflector's nor a member's, from a port without a socket, or too long.
    pub unroutable: u64,
    /// A NAT let nothing out.
    pub nat_outbound_refused: u64,
    /// What the kernel did not take, by its error.
    pub send_errors: BTreeMap<String, u64>,
}

/// What the run cost the generator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PresenceGenerator {
    /// How late timers and starts were, 50th percentile, ns.
    pub lag_p50_ns: u64,
    /// 99th percentile, ns.
    pub lag_p99_ns: u64,
    /// The most, ns.
    pub lag_max_ns: u64,
    /// CPU time of the thread that drives the endpoints, storm to end, ns.
    pub cpu_ns: u64,
    /// Resident memory at the end, bytes.
    pub rss_bytes: u64,
    /// Datagrams that its sockets lost.
    pub socket_overflows: u64,
}

/// Numbers of notices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeCounts {
    /// Due.
    pub due: u64,
    /// Heard from host to host.
    pub direct: u64,
    /// Heard through a reflector.
    pub reflected: u64,
    /// Not heard, and mended by what the access server said or by silence.
    pub by_server: u64,
    /// Of those heard or mended: later than is right.
    pub late: u64,
    /// One of the two left before.
    pub void: u64,
    /// Never learned.
    pub lost: u64,
}

impl NoticeCounts {
    /// Whether each is accounted for, once nothing is open.
    pub fn is_conserved(&self) -> bool {
        self.due == self.direct + self.reflected + self.by_server + self.void + self.lost
    }
}

/// What one reflector did during a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReflectorLoad {
    /// Where its metrics are.
    pub metrics: String,
    /// PROBEs answered.
    pub observed: u64,
    /// Datagrams relayed.
    pub relayed: u64,
    /// Datagrams dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Time that its workers were busy, seconds.
    pub busy_s: f64,
}

/// A part measured, and the part predicted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// How many were counted.
    pub count: u64,
    /// Those of them that were reflected.
    pub reflected: u64,
    /// `reflected / count`.
    pub measured: f64,
    /// What the grid predicts for the mix.
    pub predicted: f64,
    /// How far a sample of this size lies from the prediction, 99.9 % of all times.
    pub sampling_error: f64,
    /// Whether it lies nearer than that.
    pub agrees: bool,
    /// Those that did not take the way that the grid has for their very pair.
    pub against_grid: u64,
}

impl PresenceReport {
    /// Fills in what follows from the rest: what was lost, validity and agreement; `clock_step_ns` is how far the system
    /// clock moved against boot time.
    #[allow(clippy::cast_precision_loss)] // Judged to 53 bits.
    pub fn judge(&mut self, clock_step_ns: u64) {
        self.paths.lost = self.paths.reflected.saturating_sub(self.paths.returned);
        let at_most = |name: &str, value: f64, bound: f64, unit: &str| {
            Verdict::new(name.to_owned(), Some(value), Relation::AtMost, bound, unit)
        };
        let elapsed_ns = self.settings.storm_ns as f64 + self.settings.steady_ns as f64;
        let errors: u64 = self.paths.send_errors.values().sum();
        let checks = vec![
            at_most("lag-p99", self.generator.lag_p99_ns as f64, MOST_LAG_NS, "ns"),
            at_most("socket-overflows", self.generator.socket_overflows as f64, 0.0, "count"),
            at_most("send-errors", errors as f64, 0.0, "count"),
            at_most("unroutable", self.paths.unroutable as f64, 0.0, "count"),
            at_most("nat-outbound-refused", self.paths.nat_outbound_refused as f64, 0.0, "count"),
            at_most("clock-step", clock_step_ns as f64, MOST_CLOCK_STEP_NS + elapsed_ns * MOST_SLEW, "ns"),
        ];
        self.validity = Validity { valid: checks.iter().all(|check| check.holds), checks };
        let shares = [("notices", Some(&self.notice_share)), ("conversations", self.talk_share.as_ref())];
        let verdict = |(name, share): (&str, Option<&Share>)| {
            let share = share.filter(|share| share.count > 0)?;
            let away = (share.measured - share.predicted).abs();
            let name = format!("{name}-off-the-grid");
            Some(at_most(&name, away, share.sampling_error + 1e-9, "fraction"))
        };
        self.agreement = shares.into_iter().filter_map(verdict).collect();
    }
}

/// How late timers may be, 99th percentile, ns: endpoints wait for hundreds of milliseconds, and epoll rounds to whole ones.
const MOST_LAG_NS: f64 = 20_000_000.0;
/// As for a run.
const MOST_CLOCK_STEP_NS: f64 = 10_000_000.0;
const MOST_SLEW: f64 = 0.0005;
