//! The result of a run as JSON: what was asked for, what happened, and whether it may be believed.
//!
//! * Versioned: [`SCHEMA`] grows when a field changes its meaning or goes; readers refuse other versions.
//! * Every datagram of the measured phase is counted once: `sent = delivered + refused_by_nat + lost`.
//! * Units stand in the names; fractions are 0.0 to 1.0; times within a run count from the start of its measured phase.

use crate::error::Error;
use crate::latency::Latency;
use crate::verdict::{Validity, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The whole result of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// What was asked for.
    pub settings: Settings,
    /// Unix seconds at the start of the measured phase.
    pub started_unix_s: u64,
    /// Whether a signal ended the run early; the rest is then the partial result.
    pub interrupted: bool,
    /// Whether no SEND ever came back, which ended the run early.
    #[serde(default)]
    pub refused_all: bool,
    /// Why the run failed before its end, in words; the rest is then the partial result. Empty: it did not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub failed: String,
    /// How the endpoints learned their contacts.
    pub contacts: Contacts,
    /// Rates of the measured phase.
    pub rate: Rate,
    /// What became of the valid datagrams of the measured phase.
    pub data: Data,
    /// What became of the deliberately invalid ones of the measured phase.
    pub invalid: Invalid,
    /// PROBEs that kept pinholes alive during warm-up and measured phase.
    pub keepalive: Keepalive,
    /// Capabilities, and who came and went, during warm-up and measured phase.
    #[serde(default)]
    pub population: Population,
    /// Latency of delivered datagrams, from their intended send time.
    pub latency: Latency,
    /// The measured phase in slices, by intended send time.
    pub series: Series,
    /// Delivery by the NAT behaviours of sender and receiver; only pairs that occur.
    pub nat_pairs: Vec<NatPair>,
    /// What the run cost the generator itself.
    pub generator: Generator,
    /// Whether the numbers may be believed.
    pub validity: Validity,
    /// The thresholds asked for, each with its verdict.
    pub thresholds: Vec<Verdict>,
    /// Whether the rig is one to plan capacity by.
    pub planning: Planning,
    /// What happened meanwhile that explains the figures, in words.
    #[serde(default)]
    pub events: Vec<Event>,
    /// What a search for the limit found; this report is then that of its best try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<Found>,
}

impl Report {
    /// Reads a report of this version.
    ///
    /// # Errors
    /// Text that is no report, and a report of another version.
    pub fn from_json(text: &[u8]) -> Result<Self, Error> {
        check_version(text)?;
        Ok(serde_json::from_slice(text)?)
    }
}

/// What was asked for, defaults filled in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// What sent and received: `epoll` (sockets; `mio` in older reports) or `xdp`.
    #[serde(default = "epoll")]
    pub engine: String,
    /// Transport address of the reflector, or of the other relay.
    pub reflector: String,
    /// Fingerprint of its ring, 16 hexadecimal digits; says nothing about secrets. Empty without a ring.
    pub ring: String,
    /// Endpoints.
    pub endpoints: u32,
    /// NAT mix, as `--nat` reads it.
    pub nat: String,
    /// Datagrams per second, all endpoints together, invalid ones included.
    pub rate_per_s: u64,
    /// Bytes behind the header, of the mean datagram.
    pub payload_bytes: u32,
    /// Payload, as `--payload` reads it.
    #[serde(default)]
    pub payload: String,
    /// Rate over time, as `--profile` reads it; empty for one rate. `rate_per_s` is then the highest.
    #[serde(default)]
    pub profile: String,
    /// Length of the measured phase, ns.
    pub duration_ns: u64,
    /// Length of the warm-up, ns.
    pub warmup_ns: u64,
    /// Arrivals, as `--arrivals` reads them.
    pub arrivals: String,
    /// Pairs, as `--pairs` reads them; `flows` if they came with `--flows`.
    pub pairs: String,
    /// Number of pairs (sender, receiver) that talk.
    pub pair_count: u32,
    /// Invalid datagrams, as `--invalid` reads them; empty without any.
    pub invalid: String,
    /// Fraction of the pairs that are sealed.
    #[serde(default)]
    pub sealed: f64,
    /// Worker threads.
    pub workers: u32,
    /// The CPU of each worker.
    pub cpus: Vec<u32>,
    /// Block of the simulated NATs' external addresses; empty without any.
    pub external: String,
    /// Time between two keepalive PROBEs of an endpoint, ns; 0: none.
    pub keepalive_ns: u64,
    /// Mapping time-out of the simulated NATs, ns; 0: mappings do not expire.
    pub mapping_timeout_ns: u64,
    /// Whether endpoints `mint` their capabilities or `adopt` those that a peer's datagrams bring.
    #[serde(default)]
    pub capabilities: String,
    /// Seconds that a capability is made for.
    #[serde(default)]
    pub capability_lifetime_s: u32,
    /// How long endpoints stay and are away, as `--churn` reads it; empty if they stay.
    #[serde(default)]
    pub churn: String,
    /// Seed of everything random.
    pub seed: u64,
}

/// The contacts phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Contacts {
    /// Endpoints that obtained a contact.
    pub obtained: u32,
    /// Endpoints that did not; their pairs were left out.
    pub missing: u32,
    /// PROBEs sent.
    pub probes: u64,
    /// How long it took, ns.
    pub elapsed_ns: u64,
}

/// Rates of the measured phase, datagrams per second, valid and invalid ones together unless said otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rate {
    /// Real length of the measured phase, ns; shorter than asked for when interrupted.
    pub elapsed_ns: u64,
    /// Datagrams whose intended time lay in the measured phase.
    pub due: u64,
    /// Those of them that the kernel took.
    pub sent: u64,
    /// Sent, per second.
    pub sent_per_s: f64,
    /// What left per second of warm-up and measured phase together: what the generator manages where it lags so far that
    /// its warm-up lasts on.
    #[serde(default)]
    pub managed_per_s: f64,
    /// Valid ones that reached the receiver's NAT (delivered or refused there), per second.
    pub arrived_per_s: f64,
    /// Valid ones delivered, per second.
    pub delivered_per_s: f64,
}

/// What became of the valid datagrams of the measured phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Data {
    /// Taken by the kernel.
    pub sent: u64,
    /// Entered at the receiver's NAT, each once.
    pub delivered: u64,
    /// Came to the receiver's NAT and were refused there: no loss of the reflector's.
    pub refused_by_nat: Refused,
    /// Sent, and never seen again.
    pub lost: u64,
    /// `lost / sent`.
    pub loss: f64,
    /// Seen again.
    pub duplicates: u64,
    /// Seen after one of the same pair that was sent later.
    pub reordered: u64,
    /// So far behind their pair that new and seen again cannot be told apart; counted as lost.
    pub stale: u64,
    /// Of those delivered: after the end of the measured phase.
    pub late: u64,
}

impl Data {
    /// Refused by the receiver's NAT for any reason.
    pub fn refused(&self) -> u64 {
        self.refused_by_nat.total()
    }
}

/// Datagrams refused by the receiver's NAT, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// No mapping has the port.
    pub no_mapping: u64,
    /// The mapping had expired.
    pub expired: u64,
    /// The filter did not admit the reflector.
    pub filtered: u64,
    /// The endpoint had left.
    #[serde(default)]
    pub away: u64,
    /// Any other reason.
    pub other: u64,
}

impl Refused {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.no_mapping + self.expired + self.filtered + self.away + self.other
    }
}

/// Deliberately invalid datagrams.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Invalid {
    /// Sent, by kind of fault.
    pub sent: BTreeMap<String, u64>,
    /// Delivered anywhere; every one is a fault of the reflector.
    pub delivered: u64,
}

/// Keepalive PROBEs and what else arrived.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Keepalive {
    /// PROBEs sent.
    pub sent: u64,
    /// Answers that entered at the NAT.
    pub answered: u64,
    /// Answers that named another contact than the endpoint's.
    pub changed: u64,
    /// Datagrams that are none of this run's (other source, other run, malformed).
    pub foreign: u64,
}

/// Capabilities, and who came and went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Population {
    /// Capabilities made: for a first datagram, at half of their time, after a contact had changed.
    pub minted: u64,
    /// Capabilities taken over from what a peer sent, as endpoints do.
    pub adopted: u64,
    /// Endpoints that left.
    pub left: u64,
    /// Those that came back with a contact.
    pub returned: u64,
    /// Intended times at which nobody was there who could send; nothing was due then.
    pub idle: u64,
}

/// Something that happened at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// From the start of the measured phase, ns; before it, negative.
    pub at_ns: i64,
    /// What, in words.
    pub what: String,
}

/// What a search for the limit found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// `ndr` (no loss) or `pdr` (0.5 % at most).
    pub goal: String,
    /// The highest rate that held, datagrams per second; 0: none did.
    pub rate_per_s: u64,
    /// The lowest that did not hold; 0: none failed, so that the limit lies higher.
    pub failed_per_s: u64,
    /// Every rate tried, in order.
    pub tried: Vec<Tried>,
}

/// One rate of a search.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// Offered, datagrams per second.
    pub rate_per_s: u64,
    /// What the generator managed of it.
    pub achieved_per_s: u64,
    /// `relayed`, `too lossy`, `not valid`, or `disturbed` by other programs and tried again.
    pub verdict: String,
    /// Sent.
    pub sent: u64,
    /// Lost.
    pub lost: u64,
    /// 99th percentile of the latency, ns.
    pub p99_ns: u64,
}

/// The measured phase in slices of one length; the last one may be shorter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Length of a slice, ns.
    pub interval_ns: u64,
    /// One point a slice.
    pub points: Vec<Point>,
}

/// One slice: valid datagrams whose intended send time lies in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// Start of the slice, ns.
    pub at_ns: u64,
    /// Sent.
    pub sent: u64,
    /// Delivered.
    pub delivered: u64,
    /// Refused by the receiver's NAT.
    pub refused_by_nat: u64,
    /// Median latency, ns, to 1 %; 0 without any.
    pub p50_ns: u64,
    /// 99th percentile, ns, to 1 %; 0 without any.
    pub p99_ns: u64,
}

/// Delivery between two NAT behaviours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NatPair {
    /// The sender's behaviour.
    pub from: String,
    /// The receiver's behaviour.
    pub to: String,
    /// Sent.
    pub sent: u64,
    /// Delivered.
    pub delivered: u64,
    /// Refused by the receiver's NAT.
    pub refused_by_nat: u64,
}

/// What the run cost the generator itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Generator {
    /// Pacing lag (actual less intended send time), median, ns.
    pub lag_p50_ns: u64,
    /// 99th percentile, ns.
    pub lag_p99_ns: u64,
    /// Largest, ns.
    pub lag_max_ns: u64,
    /// Median lag of the last quarter of the measured phase less that of the first, ns.
    pub lag_growth_ns: i64,
    /// Sends that the kernel refused, by error.
    pub send_errors: BTreeMap<String, u64>,
    /// Frames that the interface's own queue had no room for, where the driver says so; they are lost ones. XDP only.
    #[serde(default)]
    pub transmit_errors: u64,
    /// Datagrams that its own sockets dropped for want of room.
    pub socket_overflows: u64,
    /// Datagrams that its own simulated NATs let nobody out for.
    pub nat_outbound_refused: u64,
    /// CPU time of the workers in the measured phase, spinning included, ns; 0 where the kernel does not tell.
    pub cpu_ns: u64,
    /// Of it, time spent waiting for the next send in a busy loop, ns.
    pub spin_ns: u64,
    /// CPU time of the live view on a terminal, from contacts to drain, ns; in no other figure.
    #[serde(default)]
    pub view_ns: u64,
    /// CPU time less spin time, over datagrams sent and received, ns.
    pub core_ns_per_datagram: f64,
    /// The most resident memory that the process had, bytes.
    pub rss_bytes: u64,
    /// What endpoints, pairs and contacts added to resident memory, per endpoint, bytes.
    pub rss_bytes_per_endpoint: f64,
    /// Receive buffer of one socket as granted, bytes as the kernel counts them.
    pub receive_buffer_bytes: u64,
    /// Sockets of all workers together.
    pub sockets: u32,
}

/// Whether the rig is one to plan capacity by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planning {
    /// Whether capacity may be planned by this run.
    pub fit: bool,
    /// Why not, e.g. `loopback, not a NIC`.
    pub reasons: Vec<String>,
}

/// Checks that a text is a report of this version.
///
/// # Errors
/// Text that is no report, and a report of another version.
pub(crate) fn check_version(text: &[u8]) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Version {
        schema: u32,
    }
    let Version { schema } = serde_json::from_slice(text)?;
    if schema == SCHEMA { Ok(()) } else { Err(Error::OtherVersion { found: schema, read: SCHEMA }) }
}

/// The engine of reports from before there was another.
fn epoll() -> String {
    "epoll".to_owned()
}

/// The version of this form.
pub const SCHEMA: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_versions_and_other_texts_are_refused() {
        let message = |text: &str| Report::from_json(text.as_bytes()).unwrap_err().to_string();
        assert!(message("{\"schema\": 2}").contains("version 2"));
        assert!(message("{\"schema\": 1}").contains("missing field"));
        assert!(message("[]").contains("not a report"));
    }
}
