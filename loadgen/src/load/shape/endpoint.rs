//! An endpoint: one inside host behind a NAT of its own, or an open host.
//!
//! * No socket, no heap: its NAT holds the one mapping towards the reflector, and its addresses are arithmetic.
//! * Every inside host has the same private transport address, as behind real home NATs.

#![deny(clippy::disallowed_types)]

use crate::error::Error;
use crate::load::shape::addresses::Addresses;
use crate::load::shape::config::Config;
use crate::load::shape::plan::Plan;
use nat::{Behaviour, InboundRefusal, Nat, OutboundRefusal, PortChoice, PortPool, Rules, Settings};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// One endpoint at its worker.
#[derive(Clone, Debug)]
pub struct Endpoint {
    nat: Nat,
    /// The port of an open host; behind a NAT the inside port.
    port: u16,
    is_away: bool,
}

impl Endpoint {
    /// The external transport address that a datagram to `remote` leaves from; makes or refreshes the mapping.
    ///
    /// # Errors
    /// What the NAT says.
    #[inline]
    pub fn outbound(&mut self, remote: SocketAddr, now_ns: u64) -> Result<SocketAddr, OutboundRefusal> {
        self.nat.outbound(self.inside(), remote, now_ns / NS_PER_MS)
    }

    /// Whether a datagram from `remote` to `local` enters and reaches the inside host.
    ///
    /// # Errors
    /// What the NAT says.
    #[inline]
    pub fn inbound(
        &mut self,
        remote: SocketAddr,
        local: SocketAddr,
        now_ns: u64,
    ) -> Result<(), InboundRefusal> {
        self.nat.inbound(remote, local, now_ns / NS_PER_MS).map(|_| ())
    }

    /// Whether it has left.
    #[inline]
    pub fn is_away(&self) -> bool {
        self.is_away
    }

    /// It leaves, and its NAT with it.
    pub fn leave(&mut self) {
        self.is_away = true;
        self.nat.forget();
    }

    /// It is back, with a contact.
    pub fn come_back(&mut self) {
        self.is_away = false;
    }

    /// Its external address.
    #[inline]
    pub fn external(&self) -> IpAddr {
        self.nat.external()
    }

    #[inline]
    fn inside(&self) -> SocketAddr {
        let ip = match (self.nat.rules().settings().behaviour, self.nat.external()) {
            (Behaviour::Open, external) => external,
            (Behaviour::Nat { .. }, IpAddr::V4(_)) => INSIDE_V4,
            (Behaviour::Nat { .. }, IpAddr::V6(_)) => INSIDE_V6,
        };
        SocketAddr::new(ip, self.port)
    }
}

/// The endpoints of one worker, whose sockets have these ports.
///
/// # Errors
/// A time-out or port pool that no NAT can have.
pub fn population(config: &Config, plan: &Plan, worker: u32, ports: &[u16]) -> Result<Vec<Endpoint>, Error> {
    let refused = |error: nat::Error| Error::Usage(error.to_string());
    let mut sorted = ports.to_vec();
    sorted.sort_unstable();
    let ranges: Vec<_> = sorted.iter().map(|port| *port..=*port).collect();
    let pool = PortPool::new(&ranges).map_err(refused)?;
    let timeout_ms = config.mapping_timeout_ns / NS_PER_MS;
    let rules_of = |behaviour| {
        let settings = Settings {
            ports: pool.clone(),
            port_choice: PortChoice::Random { seed: config.traffic.seed },
            mapping_timeout_ms: timeout_ms,
            filter_timeout_ms: timeout_ms,
            ..Settings::of(behaviour)
        };
        Rules::new(settings).map(|rules| (behaviour, Arc::new(rules)))
    };
    let rules: Vec<(Behaviour, Arc<Rules>)> =
        Behaviour::ALL.into_iter().map(rules_of).collect::<Result<_, _>>().map_err(refused)?;
    let addresses: Addresses = config.addresses();
    let workers = config.traffic.cpus.len().max(1);
    let own = plan.behaviours.iter().zip(0_u64..).skip(worker as usize).step_by(workers);
    let mut endpoints = Vec::with_capacity(plan.behaviours.len() / workers + 1);
    for ((behaviour, number), port) in own.zip(ports.iter().cycle()) {
        let Some((_, rules)) = rules.iter().find(|(each, _)| each == behaviour) else { continue };
        let nat = Nat::new(Arc::clone(rules), addresses.get(number));
        let port = if *behaviour == Behaviour::Open { *port } else { INSIDE_PORT };
        endpoints.push(Endpoint { nat, port, is_away: false });
    }
    Ok(endpoints)
}

const NS_PER_MS: u64 = 1_000_000;
const INSIDE_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const INSIDE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2));
const INSIDE_PORT: u16 = 40_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_small() {
        assert!(size_of::<Endpoint>() <= 128, "{}", size_of::<Endpoint>());
    }
}
