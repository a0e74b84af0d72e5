//! A run between endpoints as it is meant: every value checked, every default filled in.
//!
//! * What contradicts itself, the ring, this host or the reflector is refused here, before anything is opened.
//! * [`Config::check_addresses`] asks the kernel whether the external addresses are local, and says how to make them so.

use crate::error::{Error, refuse};
use crate::load::shape::addresses::Addresses;
use crate::load::shape::churn::Churn;
use crate::load::shape::fault::{Fault, FaultMix, STEADY_NS};
use crate::load::shape::plan::Pattern;
use crate::load::shape::renewal;
use crate::load::shape::traffic::Traffic;
use clap::ValueEnum;
use engine::load::MAX_FLOWS;
use nat::Mix;
use results::run::Settings;
use std::net::UdpSocket;
use wire::{Block, HEADER_LEN, KeyRing};

/// What to run.
#[derive(Clone, Debug)]
pub struct Config {
    /// What is sent to the reflector, and when.
    pub traffic: Traffic,
    /// What sends and receives it.
    pub engine: Engine,
    /// The reflector's ring.
    pub ring: KeyRing,
    /// Endpoints, at least 2.
    pub endpoints: u32,
    /// Their behaviours.
    pub mix: Mix,
    /// Datagrams that are wrong on purpose.
    pub faults: FaultMix,
    /// Fraction of the pairs that are sealed.
    pub sealed: f64,
    /// Who sends to whom.
    pub pattern: Pattern,
    /// How endpoints come by what they send with.
    pub capabilities: Capabilities,
    /// What a capability is made for, s.
    pub capability_lifetime_s: u32,
    /// How long endpoints stay and are away; `None`: all stay.
    pub churn: Option<Churn>,
    /// Block of the external addresses.
    pub external: Block,
    /// Time between keepalives of one endpoint, ns; 0: none.
    pub keepalive_ns: u64,
    /// Mapping time-out of the simulated NATs, ns; [`NEVER_NS`]: none.
    pub mapping_timeout_ns: u64,
}

/// How endpoints come by capabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Capabilities {
    /// Each pair makes its own, and a new one at half of its time.
    Mint,
    /// What a peer's datagrams bring is used for the answer, renewed by the reflector.
    Adopt,
}

/// What sends and receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Sockets and epoll.
    Epoll,
    /// XDP programs on the interface of this name.
    Xdp(String),
}

impl Engine {
    /// The word of the report.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Epoll => "epoll",
            Self::Xdp(_) => "xdp",
        }
    }
}

impl Config {
    /// Checks what can be checked without asking the kernel.
    ///
    /// # Errors
    /// The first contradiction found.
    pub fn check(&self) -> Result<(), Error> {
        self.traffic.check(HEADER_LEN)?;
        refuse(self.endpoints < 2, || {
            format!("--endpoints {}: at least 2 can talk to each other", self.endpoints)
        })?;
        refuse(self.mapping_timeout_ns < 1_000_000, || "--mapping-timeout: at least 1ms".to_owned())?;
        refuse(self.workers() > self.endpoints, || {
            format!("--workers {}: no more than the {} endpoints", self.workers(), self.endpoints)
        })?;
        let most_s = u32::try_from(wire::decide::MAX_LIFETIME_S).unwrap_or(0);
        refuse(!(1..=most_s).contains(&self.capability_lifetime_s), || {
            format!("--capability-lifetime: 1s to {most_s}s, the most that a reflector takes")
        })?;
        refuse(self.capabilities == Capabilities::Adopt && !self.pattern.is_two_way(), || {
            format!(
                "--capabilities adopt: nobody answers with --pairs {}; choose calls, groups:N or star",
                self.pattern
            )
        })?;
        self.check_block()?;
        self.flows()?;
        if self.engine != Engine::Epoll {
            self.check_xdp()?;
        }
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

    /// How many flows of each kind talk.
    ///
    /// # Errors
    /// The rate needs more than there are.
    pub fn flows(&self) -> Result<Vec<u64>, Error> {
        let traffic = &self.traffic;
        let pairs = self.pattern.pair_count(self.endpoints);
        traffic.payload.flows(pairs, traffic.rate_per_s, self.pattern.is_two_way())
    }

    /// The external addresses.
    pub fn addresses(&self) -> Addresses {
        Addresses::of(self.external)
    }

    /// The number of workers.
    pub fn workers(&self) -> u32 {
        self.traffic.workers()
    }

    /// As the report says it.
    pub fn settings(&self, pair_count: usize) -> Settings {
        let shown_timeout_ns = if self.mapping_timeout_ns == NEVER_NS { 0 } else { self.mapping_timeout_ns };
        Settings {
            engine: self.engine.as_str().to_owned(),
            ring: format!("{:016x}", self.ring.fingerprint()),
            endpoints: self.endpoints,
            nat: self.mix.to_string(),
            pairs: self.pattern.to_string(),
            pair_count: u32::try_from(pair_count).unwrap_or(u32::MAX),
            invalid: self.faults.to_string(),
            sealed: self.sealed,
            external: self.external.to_string(),
            capabilities: if self.capabilities == Capabilities::Adopt { "adopt" } else { "mint" }.to_owned(),
            capability_lifetime_s: self.capability_lifetime_s,
            churn: self.churn.map(|churn| churn.to_string()).unwrap_or_default(),
            keepalive_ns: self.keepalive_ns,
            mapping_timeout_ns: shown_timeout_ns,
            ..self.traffic.settings()
        }
    }

    fn check_block(&self) -> Result<(), Error> {
        let (block, relay) = (self.external, self.traffic.relay);
        let (first, available) = (block.first(), self.addresses().count());
        refuse(first.is_ipv4() != relay.is_ipv4(), || {
            format!("--external {block}: of the other family than the reflector {relay}")
        })?;
        refuse(block.contains(relay.ip()), || {
            format!(
                "--external {block}: holds the reflector's own address {}; choose another block",
                relay.ip()
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

    /// What the XDP programs cannot do.
    fn check_xdp(&self) -> Result<(), Error> {
        self.traffic.check_xdp()?;
        let is_made_before =
            self.capabilities == Capabilities::Mint && self.capability_lifetime_s == renewal::LIFETIME_S;
        refuse(self.churn.is_some() || !is_made_before, || {
            "--churn, --capabilities adopt and --capability-lifetime with --xdp: mappings and capabilities are made before \
             the run; leave them out, or run without --xdp"
                .to_owned()
        })?;
        refuse(self.sealed > 0.0, || {
            "--sealed: with --xdp the receiving program compares plain headers; leave it out, or run without --xdp"
                .to_owned()
        })?;
        let pairs = self.pattern.pair_count(self.endpoints);
        refuse(pairs > u64::from(MAX_FLOWS), || {
            format!(
                "--endpoints {}: {pairs} pairs, and --xdp has room for {MAX_FLOWS}; choose fewer endpoints",
                self.endpoints
            )
        })?;
        refuse(self.faults.shares().any(|(fault, _)| fault == Fault::Oversize), || {
            "--invalid oversize: --xdp sends single frames, and none is that long; leave it out, or run without --xdp"
                .to_owned()
        })?;
        let long = self.traffic.warmup_ns.saturating_add(self.traffic.duration_ns) > STEADY_NS;
        refuse(long && !self.faults.is_empty(), || {
            "--invalid: --xdp makes wrong datagrams once, and they stay as wrong as they are meant for 5m: choose \
             --warmup and --duration that sum to no more, or run without --xdp"
                .to_owned()
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

/// The time-out of a mapping that outlives the run.
pub const NEVER_NS: u64 = u64::MAX;
