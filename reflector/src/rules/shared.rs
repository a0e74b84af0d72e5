//! All that workers share: the rules and the clock's offset.
//!
//! * Ring, policy and limits are one value: a worker sees all of a reload or nothing of it.
//! * Workers only read. The control thread replaces, and frees what it replaced, so that no worker ever frees.

use crate::config::Config;
use crate::rules::rates::Limits;
use arc_swap::ArcSwap;
use engine::host::addresses::Addresses;
use program::failure::Failure;
use program::settings::texts::read_text;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use wire::{Block, BlockSet, KeyRing, Policy, Revoked, TransportAddress};

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
    /// The rules of a configuration, for a reflector in these surroundings.
    pub fn new(config: &Config, ring: KeyRing, around: &Surroundings<'_>) -> Self {
        let (blocks, bounds) = (&config.blocks, &config.bounds);
        let own = || around.listening.iter().chain(&config.advertise);
        let policy = Policy {
            own: own().filter_map(|it| TransportAddress::from_socket(*it)).collect(),
            host: host_blocks(around.host, own()),
            broadcasts: around.host.interfaces.iter().filter_map(|it| it.broadcast).collect(),
            allow_destination: BlockSet::new(&blocks.allow_destination),
            deny_destination: BlockSet::new(&blocks.deny_destination),
            deny_source: BlockSet::new(&blocks.deny_source),
            sends_ipv4: around.listening.iter().any(SocketAddr::is_ipv4),
            sends_ipv6: around.listening.iter().any(SocketAddr::is_ipv6),
            revoked: around.revoked.clone(),
            max_datagram: bounds.max_datagram,
            answer_lifetime_s: bounds.answer_lifetime_s,
            ticket_lifetime_s: bounds.ticket_lifetime_s,
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

/// What rules depend on besides the configuration and its files.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// Real addresses of the sockets.
    pub listening: &'a [SocketAddr],
    /// Addresses of this host.
    pub host: &'a Addresses,
    /// What has been taken back.
    pub revoked: &'a Revoked,
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

/// Every address of this host, and those that the world knows it by.
pub fn host_blocks<'a>(host: &Addresses, known_as: impl Iterator<Item = &'a SocketAddr>) -> BlockSet {
    let whole = |ip: IpAddr| (ip, if ip.is_ipv4() { 32 } else { 128 });
    let known_as = known_as.map(SocketAddr::ip).filter(|ip| !ip.is_unspecified()).map(whole);
    let all = host.delivered.iter().copied().chain(known_as);
    // What the kernel says has no bits behind its prefix.
    let blocks: Vec<Block> = all.filter_map(|(ip, prefix)| Block::new(ip, prefix).ok()).collect();
    BlockSet::new(&blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_what_its_kernel_delivers_to_it_and_what_the_world_knows_it_by() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let delivered = vec![(ip("192.0.2.2"), 32), (ip("198.51.100.0"), 24), (ip("2001:db8:7::"), 48)];
        let addresses = Addresses::new(Vec::new(), delivered);
        let known_as = ["0.0.0.0:3478", "203.0.113.7:3478"].map(|it| it.parse().unwrap());
        let host = host_blocks(&addresses, known_as.iter());
        for (text, expected) in [
            ("192.0.2.2", true),
            ("192.0.2.3", false),
            ("198.51.100.200", true),
            ("203.0.113.7", true),
            ("203.0.113.8", false),
            ("0.0.0.0", false),
            ("2001:db8:7:1::9", true),
            ("2001:db8:8::9", false),
        ] {
            assert_eq!(host.contains(ip(text)), expected, "{text}");
        }
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
