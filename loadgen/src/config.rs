//! A run as it is meant: every value checked, every default filled in.
//!
//! * What contradicts itself, the ring, this host or the reflector is refused here, before anything is opened.
//! * [`Config::check_addresses`] asks the kernel whether the external addresses are local, and says how to make them so.

use crate::addresses::Addresses;
use crate::error::Error;
use crate::fault::FaultMix;
use crate::plan::Pattern;
use crate::report::Settings;
use crate::schedule::Arrivals;
use crate::stamp::STAMP_LEN;
use crate::threshold::Threshold;
use nat::Mix;
use std::net::{SocketAddr, UdpSocket};
use wire::{Block, HEADER_LEN, KeyRing};

/// What to run.
#[derive(Clone, Debug)]
pub struct Config {
    /// The reflector.
    pub reflector: SocketAddr,
    /// Its ring.
    pub ring: KeyRing,
    /// Endpoints, at least 2.
    pub endpoints: u32,
    /// Their behaviours.
    pub mix: Mix,
    /// Datagrams per second, all endpoints together.
    pub rate_per_s: u64,
    /// Bytes behind the header.
    pub payload: usize,
    /// Measured phase, ns.
    pub duration_ns: u64,
    /// Warm-up, ns.
    pub warmup_ns: u64,
    /// How datagrams follow each other.
    pub arrivals: Arrivals,
    /// Datagrams that are wrong on purpose.
    pub faults: FaultMix,
    /// Who sends to whom.
    pub pattern: Pattern,
    /// The CPU of each worker.
    pub cpus: Vec<usize>,
    /// Whether somebody else has to share a CPU with a worker, because this process has only one.
    pub single_cpu: bool,
    /// Block of the external addresses.
    pub external: Block,
    /// Time between keepalives of one endpoint, ns; 0: none.
    pub keepalive_ns: u64,
    /// Mapping time-out of the simulated NATs, ns.
    pub mapping_timeout_ns: u64,
    /// Seed of everything random.
    pub seed: u64,
    /// What has to hold.
    pub thresholds: Vec<Threshold>,
}

impl Config {
    /// Checks what can be checked without asking the kernel.
    ///
    /// # Errors
    /// The first contradiction found.
    pub fn check(&self) -> Result<(), Error> {
        let longest = wire::policy::MAX_DATAGRAM - HEADER_LEN - if self.reflector.is_ipv4() { 0 } else { 20 };
        refuse(self.reflector.port() == 0 || self.reflector.ip().is_unspecified(), || {
            format!(
                "--reflector {}: name the address and port that it listens on, such as 192.0.2.1:3478",
                self.reflector
            )
        })?;
        refuse(self.endpoints < 2, || {
            format!("--endpoints {}: at least 2 can talk to each other", self.endpoints)
        })?;
        refuse(self.rate_per_s == 0, || "--rate 0: at least 1 datagram per second".to_owned())?;
        refuse(self.rate_per_s > MAX_RATE, || {
            format!("--rate {}: at most 100M per second", self.rate_per_s)
        })?;
        refuse(self.duration_ns == 0 || self.duration_ns > DAY_NS || self.warmup_ns > DAY_NS, || {
            "--duration and --warmup: above 0 (the warm-up may be 0) and at most 24h".to_owned()
        })?;
        refuse(!(STAMP_LEN..=longest).contains(&self.payload), || {
            format!(
                "--payload {}: {STAMP_LEN} (what the generator's own stamp takes) to {longest} bytes",
                self.payload
            )
        })?;
        refuse(self.mapping_timeout_ns < 1_000_000, || "--mapping-timeout: at least 1ms".to_owned())?;
        let workers = self.cpus.len();
        refuse(workers == 0 || workers > self.endpoints as usize || workers > MAX_WORKERS, || {
            format!("--workers {workers}: 1 to {MAX_WORKERS}, and no more than endpoints")
        })?;
        self.check_block()?;
        self.faults.check(&self.ring)
    }

    /// Asks the kernel whether the external addresses belong to this host.
    ///
    /// # Errors
    /// [`Error::Configuration`] with the command that makes them local.
    pub fn check_addresses(&self) -> Result<(), Error> {
        let addresses = self.addresses();
        for number in [0, u64::from(self.endpoints) - 1] {
            let address = addresses.get(number);
            if let Err(error) = UdpSocket::bind((address, 0)) {
                let external = self.external;
                let mend = make_local(&external.to_string(), address.is_ipv4());
                return Err(Error::Configuration(format!(
                    "--external {external}: cannot send from {address} ({error}); make the block local with {mend}, and route it here from the reflector's host"
                )));
            }
        }
        Ok(())
    }

    /// The external addresses.
    pub fn addresses(&self) -> Addresses {
        Addresses::of(self.external)
    }

    /// The number of workers.
    pub fn workers(&self) -> u32 {
        u32::try_from(self.cpus.len()).unwrap_or(u32::MAX)
    }

    /// Why capacity may not be planned by such a run.
    pub fn not_for_planning(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.reflector.ip().is_loopback() {
            reasons.push("loopback, not a NIC".to_owned());
        }
        if self.single_cpu {
            reasons.push("fewer than two CPUs".to_owned());
        }
        reasons
    }

    /// As the report says it.
    pub fn settings(&self, pair_count: usize) -> Settings {
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Settings {
            reflector: self.reflector.to_string(),
            ring: format!("{:016x}", self.ring.fingerprint()),
            endpoints: self.endpoints,
            nat: self.mix.to_string(),
            rate_per_s: self.rate_per_s,
            payload_bytes: small(self.payload),
            duration_ns: self.duration_ns,
            warmup_ns: self.warmup_ns,
            arrivals: self.arrivals.to_string(),
            pairs: self.pattern.to_string(),
            pair_count: small(pair_count),
            invalid: self.faults.to_string(),
            workers: self.workers(),
            cpus: self.cpus.iter().map(|cpu| small(*cpu)).collect(),
            external: self.external.to_string(),
            keepalive_ns: self.keepalive_ns,
            mapping_timeout_ns: self.mapping_timeout_ns,
            seed: self.seed,
        }
    }

    fn check_block(&self) -> Result<(), Error> {
        let block = self.external;
        let (first, available) = (block.first(), self.addresses().count());
        refuse(first.is_ipv4() != self.reflector.is_ipv4(), || {
            format!("--external {block}: of the other family than the reflector {}", self.reflector)
        })?;
        refuse(block.contains(self.reflector.ip()), || {
            format!(
                "--external {block}: holds the reflector's own address {}; choose another block",
                self.reflector.ip()
            )
        })?;
        refuse(first.is_multicast() || first.is_unspecified(), || {
            format!(
                "--external {block}: no block that hosts can have; choose a unicast block that is local here"
            )
        })?;
        refuse(available < u64::from(self.endpoints), || {
            format!(
                "--external {block}: {available} usable addresses for {} endpoints; choose a larger block",
                self.endpoints
            )
        })
    }
}

/// The commands that make a block local to this host.
pub fn make_local(block: &str, ipv4: bool) -> String {
    if ipv4 {
        return format!("`ip route add local {block} dev lo`");
    }
    // IPv6 lets nobody send from an address that no interface has, local route or not, unless this is set.
    format!("`ip -6 route add local {block} dev lo` and `sysctl -w net.ipv6.ip_nonlocal_bind=1`")
}

fn refuse(wrong: bool, message: impl FnOnce() -> String) -> Result<(), Error> {
    if wrong { Err(Error::Usage(message())) } else { Ok(()) }
}

const MAX_RATE: u64 = 100_000_000;
const DAY_NS: u64 = 86_400_000_000_000;
const MAX_WORKERS: usize = 256;
