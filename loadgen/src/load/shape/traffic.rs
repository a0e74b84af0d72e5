//! What is sent, how fast, how long and by which CPUs: what every run has, whoever talks.
//!
//! * What contradicts itself is refused here, before anything is opened.
//! * Knows neither endpoints nor flows, nor what sends.

use crate::error::{Error, refuse};
use crate::load::shape::payload::{Kind, Payload};
use crate::load::shape::profile::Profile;
use crate::load::shape::schedule::{Arrivals, Pace};
use crate::load::shape::stamp::STAMP_LEN;
use crate::threshold::Threshold;
use results::run::Settings;
use std::net::SocketAddr;

/// The load of a run.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// The relay that everything is sent to; a reflector, unless ready flows are sent.
    pub relay: SocketAddr,
    /// Datagrams per second, all flows together, the most.
    pub rate_per_s: u64,
    /// The rate over the measured phase; its highest is `rate_per_s`.
    pub profile: Profile,
    /// As `--profile` reads it; empty for one rate.
    pub profile_name: String,
    /// What stands behind the header.
    pub payload: Payload,
    /// Measured phase, ns.
    pub duration_ns: u64,
    /// Warm-up, ns.
    pub warmup_ns: u64,
    /// How datagrams follow each other.
    pub arrivals: Arrivals,
    /// The CPU of each worker.
    pub cpus: Vec<usize>,
    /// Whether somebody else has to share a CPU with a worker, because this process has only one.
    pub single_cpu: bool,
    /// Seed of everything random.
    pub seed: u64,
    /// What has to hold.
    pub thresholds: Vec<Threshold>,
}

impl Traffic {
    /// Checks what stands by itself, for datagrams with `head_len` bytes before the payload.
    ///
    /// # Errors
    /// The first contradiction found.
    pub fn check(&self, head_len: usize) -> Result<(), Error> {
        let longest = wire::policy::MAX_DATAGRAM - head_len - if self.relay.is_ipv4() { 0 } else { 20 };
        refuse(self.relay.port() == 0 || self.relay.ip().is_unspecified(), || {
            format!(
                "--reflector {}: name the address and port that it listens on, such as 192.0.2.1:3478",
                self.relay
            )
        })?;
        refuse(self.rate_per_s == 0, || "--rate 0: at least 1 datagram per second".to_owned())?;
        refuse(self.rate_per_s > MAX_RATE, || {
            format!("--rate {}: at most 100M per second", self.rate_per_s)
        })?;
        refuse(self.duration_ns == 0 || self.duration_ns > DAY_NS || self.warmup_ns > DAY_NS, || {
            "--duration and --warmup: above 0 (the warm-up may be 0) and at most 24h".to_owned()
        })?;
        let fits = self.payload.shortest() >= STAMP_LEN && self.payload.longest() <= longest;
        refuse(!fits, || {
            format!(
                "--payload {}: {STAMP_LEN} (what the generator's own stamp takes) to {longest} bytes",
                self.payload.text
            )
        })?;
        let has_trains = self.payload.kinds.iter().any(|kind| kind.train > 1);
        refuse(has_trains && matches!(self.arrivals, Arrivals::Burst(_)), || {
            format!(
                "--arrivals {}: --payload {} has trains of its own; leave one of the two out",
                self.arrivals, self.payload.text
            )
        })?;
        let workers = self.cpus.len();
        refuse(workers == 0 || workers > MAX_WORKERS, || format!("--workers {workers}: 1 to {MAX_WORKERS}"))
    }

    /// What the XDP programs cannot do.
    ///
    /// # Errors
    /// Several kinds of flows, several sizes, a rate that changes.
    pub fn check_xdp(&self) -> Result<(), Error> {
        refuse(!self.profile.is_constant(), || {
            format!(
                "--profile {} with --xdp: one rate only; leave it out, or run without --xdp",
                self.profile_name
            )
        })?;
        let is_one = self.payload.kinds.len() == 1
            && self.payload.kinds.iter().all(|kind| kind.sizes.only().is_some());
        refuse(!is_one, || {
            format!(
                "--payload {} with --xdp: frames of one size and one pace only; name one, or run without --xdp",
                self.payload.text
            )
        })
    }

    /// The number of workers.
    pub fn workers(&self) -> u32 {
        u32::try_from(self.cpus.len()).unwrap_or(u32::MAX)
    }

    /// The pace of each kind of flows, all workers together.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn paces(&self) -> Vec<Pace> {
        let kinds = self.payload.kinds.iter().zip(self.payload.rate_shares());
        let pace = |(kind, share): (&Kind, f64)| Pace {
            arrivals: self.arrivals,
            // A rate of 10 a second and a share that is not whole differ by less than anybody can measure.
            rate_per_s: (self.rate_per_s as f64 * share).round() as u64,
            train: kind.train,
        };
        kinds.map(pace).collect()
    }

    /// Why capacity may not be planned by such a run.
    pub fn not_for_planning(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.relay.ip().is_loopback() {
            reasons.push("loopback, not a NIC".to_owned());
        }
        if self.single_cpu {
            reasons.push("fewer than two CPUs".to_owned());
        }
        reasons
    }

    /// As the report says it, without those who talk.
    pub fn settings(&self) -> Settings {
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Settings {
            reflector: self.relay.to_string(),
            rate_per_s: self.rate_per_s,
            payload_bytes: self.payload.mean(),
            payload: self.payload.text.clone(),
            profile: self.profile_name.clone(),
            duration_ns: self.duration_ns,
            warmup_ns: self.warmup_ns,
            arrivals: self.arrivals.to_string(),
            workers: self.workers(),
            cpus: self.cpus.iter().map(|cpu| small(*cpu)).collect(),
            seed: self.seed,
            ..Settings::default()
        }
    }
}

/// The most datagrams per second.
pub const MAX_RATE: u64 = 100_000_000;
const DAY_NS: u64 = 86_400_000_000_000;
const MAX_WORKERS: usize = 256;
