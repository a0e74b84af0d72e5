//! All that workers share: the rules and the clock's offset.
//!
//! * Ring, policy and limits are one value: a worker sees all of a reload or nothing of it.
//! * Workers only read. The control thread replaces, and frees what it replaced, so that no worker ever frees.

use crate::config::Config;
use crate::rules::rates::Limits;
use arc_swap::ArcSwap;
use engine::host::interfaces::Interface;
use program::failure::Failure;
use program::settings::texts::read_text;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use wire::{BlockSet, KeyRing, Policy, TransportAddress};

/// What every worker reads.
#[derive(Debug)]
pub struct Shared {
    rules: Arc<ArcSwap<Rules>>,
    offset_ns: AtomicI64,
}

impl Shared {
    /// The rules to begin with, and unix time less boot time, ns.
    pub fn new(rules: Rules, offset_ns: i64) -> Self {
        Self { rules: Arc::new(ArcSwap::from_pointee(rules)), offset_ns: AtomicI64::new(offset_ns) }
    }

    /// The place where rules are swapped.
    pub fn rules(&self) -> &Arc<ArcSwap<Rules>> {
        &self.rules
    }

    /// Unix time less boot time, ns.
    #[inline]
    pub fn offset_ns(&self) -> i64 {
        self.offset_ns.load(Relaxed)
    }

    /// Moves the clock; the control thread alone does.
    pub fn set_offset_ns(&self, offset_ns: i64) {
        self.offset_ns.store(offset_ns, Relaxed);
    }
}

/// What a decision and the budgets around it depend on, besides time.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The keys.
    pub ring: KeyRing,
    /// Where to, where from, how long.
    pub policy: Policy,
    /// The budgets.
    pub limits: Limits,
}

impl Rules {
    /// The rules of a configuration, for sockets that listen at `listening` on a host with these interfaces.
    pub fn new(config: &Config, ring: KeyRing, listening: &[SocketAddr], interfaces: &[Interface]) -> Self {
        let blocks = &config.blocks;
        let policy = Policy {
            own: own(listening, &config.advertise, interfaces),
            broadcasts: interfaces.iter().filter_map(|interface| interface.broadcast).collect(),
            allow_destination: BlockSet::new(&blocks.allow_destination),
            deny_destination: BlockSet::new(&blocks.deny_destination),
            deny_source: BlockSet::new(&blocks.deny_source),
            sends_ipv4: listening.iter().any(SocketAddr::is_ipv4),
            sends_ipv6: listening.iter().any(SocketAddr::is_ipv6),
            max_datagram: config.bounds.max_datagram,
            answer_lifetime_s: config.bounds.answer_lifetime_s,
            ticket_lifetime_s: config.bounds.ticket_lifetime_s,
        };
        Self { ring, policy, limits: config.limits.clone() }
    }

    /// Whether these are the keys, the policy and the limits of `other`.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.ring.fingerprint() == other.ring.fingerprint()
            && self.policy == other.policy
            && self.limits == other.limits
    }
}

/// Replaces rules, and keeps what was replaced until no worker holds it.
#[derive(Debug, Default)]
pub struct Retired(Vec<Arc<Rules>>);

impl Retired {
    /// Puts new rules in force.
    pub fn replace(&mut self, shared: &Shared, rules: Rules) {
        self.0.push(shared.rules.swap(Arc::new(rules)));
        self.free();
    }

    /// Frees the rules that no worker holds any more.
    pub fn free(&mut self) {
        self.0.retain(|rules| Arc::strong_count(rules) > 1);
    }
}

/// Reads the ring that the configuration names.
///
/// # Errors
/// A file that cannot be read, or that [`wire::ring_file::parse`] refuses, with its line.
pub fn read_ring(config: &Config) -> Result<KeyRing, Failure> {
    let text = read_text(&config.keys, "--keys")?;
    wire::ring_file::parse(&text).map_err(|error| {
        Failure::Config(format!("{}:{}: {}", config.keys.display(), error.line, error.reason))
    })
}

/// The reflector's own transport addresses: a wildcard is that port on every local address of its family.
fn own(
    listening: &[SocketAddr],
    advertised: &[SocketAddr],
    interfaces: &[Interface],
) -> Vec<TransportAddress> {
    let mut own: Vec<TransportAddress> = Vec::new();
    let mut add = |ip: IpAddr, port: u16| {
        let address = TransportAddress::from_socket(SocketAddr::new(ip, port));
        own.extend(address.filter(|address| !own.contains(address)));
    };
    for address in listening.iter().chain(advertised) {
        add(address.ip(), address.port());
        if address.ip().is_unspecified() {
            let same_family = interfaces.iter().filter(|it| it.address.is_ipv4() == address.is_ipv4());
            same_family.for_each(|interface| add(interface.address, address.port()));
        }
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(address: &str, broadcast: Option<&str>) -> Interface {
        Interface {
            name: String::from("test0"),
            address: address.parse().unwrap(),
            broadcast: broadcast.map(|it| it.parse().unwrap()),
            loopback: false,
        }
    }

    #[test]
    fn a_wildcard_is_that_port_on_every_local_address_of_its_family() {
        let interfaces = [interface("192.0.2.2", Some("192.0.2.255")), interface("2001:db8::2", None)];
        let addresses =
            |texts: &[&str]| -> Vec<SocketAddr> { texts.iter().map(|it| it.parse().unwrap()).collect() };
        let own =
            own(&addresses(&["0.0.0.0:3478", "[::1]:4000"]), &addresses(&["203.0.113.7:3478"]), &interfaces);
        let own: Vec<SocketAddr> = own.into_iter().map(TransportAddress::to_socket).collect();
        let expected = addresses(&["0.0.0.0:3478", "192.0.2.2:3478", "[::1]:4000", "203.0.113.7:3478"]);
        assert_eq!(own, expected);
    }

    #[test]
    fn replaced_rules_are_kept_until_nobody_holds_them() {
        let rules = || Rules {
            ring: KeyRing::new(&[(1, [7; 16])]).unwrap(),
            policy: Policy::default(),
            limits: Limits::new(1),
        };
        let shared = Shared::new(rules(), 0);
        let mut retired = Retired::default();
        let held = shared.rules().load_full();
        retired.replace(&shared, rules());
        retired.replace(&shared, rules());
        assert_eq!(retired.0.len(), 1, "one is held, the other is free");
        drop(held);
        retired.free();
        assert_eq!(retired.0.len(), 0);
    }
}
