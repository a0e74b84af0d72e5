//! Rate limits: token buckets in fixed memory, one set per worker.
//!
//! * A bucket holds one second's worth, but a full one always lets one datagram pass, however slow its rate.
//!   So within any T seconds at most T + 1 seconds' worth leaves, and one datagram.
//! * Keys are hashed to buckets under a key drawn at start; colliding keys share, so a collision never raises output.
//! * A worker's buckets are its own: rates are per worker, and nothing here is ever locked.

#![deny(clippy::disallowed_types)]

use budget::{Budget, prefix};
use std::net::{IpAddr, SocketAddr};
use wire::siphash::SipKey;

/// The limits in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    probe_budget_s: u64,
    class_rates_bytes_s: [Option<u64>; 16],
}

impl Limits {
    /// No class limited, and `probe_budget_s` PROBEs answered per second and prefix (at least 1).
    pub fn new(probe_budget_s: u64) -> Self {
        Self { probe_budget_s: probe_budget_s.max(1), class_rates_bytes_s: [None; 16] }
    }

    /// Limits (class, source address) to a rate in bytes of UDP payload per second (at least 1).
    pub fn limit_class(&mut self, class: u8, rate_bytes_s: u64) {
        if let Some(slot) = self.class_rates_bytes_s.get_mut(usize::from(class)) {
            *slot = Some(rate_bytes_s.max(1));
        }
    }

    /// The rate of a class, 0..=15, in bytes per second.
    #[inline]
    pub fn class_rate_bytes_s(&self, class: u8) -> Option<u64> {
        self.class_rates_bytes_s.get(usize::from(class)).copied().flatten()
    }

    /// PROBEs answered per second and prefix.
    pub fn probe_budget_s(&self) -> u64 {
        self.probe_budget_s
    }
}

/// The buckets of one worker.
#[derive(Debug)]
pub struct Buckets {
    key: SipKey,
    classes: Budget<NS_PER_S>,
    prefixes: Budget<NS_PER_S>,
    sources: Budget<NS_PER_S>,
}

impl Buckets {
    /// Full buckets, hashed under `key`; their memory is touched here, so that none is mapped later.
    pub fn new(key: SipKey) -> Self {
        let (classes, prefixes) = (Budget::new(CLASS_BUCKETS), Budget::new(PREFIX_BUCKETS));
        Self { key, classes, prefixes, sources: Budget::new(SOURCE_BUCKETS) }
    }

    /// Whether a datagram of `bytes` in this class may leave at `now_ns`; if so, it is spent.
    #[inline]
    pub fn spend_class(
        &mut self,
        limits: &Limits,
        class: u8,
        source: IpAddr,
        bytes: usize,
        now_ns: u64,
    ) -> bool {
        let Some(rate) = limits.class_rate_bytes_s(class) else { return true };
        let (high, low) = halves(source);
        let hash = self.key.hash(&[CLASS_DOMAIN | u64::from(class), high, low]);
        let cost_ns = (bytes as u64).saturating_mul(NS_PER_S) / rate;
        self.classes.spend(hash, cost_ns, now_ns)
    }

    /// Whether a PROBE from this source may be answered at `now_ns`; if so, it is spent.
    #[inline]
    pub fn spend_probe(&mut self, limits: &Limits, source: IpAddr, now_ns: u64) -> bool {
        let hash = self.key.hash(&[prefix(source)]);
        self.prefixes.spend(hash, NS_PER_S / limits.probe_budget_s, now_ns)
    }

    /// Whether a PROBE from this very source, which has shown its last ticket, may be answered at `now_ns` although its
    /// prefix has spent its budget; if so, it is spent.
    #[inline]
    pub fn spend_source(&mut self, source: SocketAddr, now_ns: u64) -> bool {
        let (high, low) = halves(source.ip());
        let hash = self.key.hash(&[SOURCE_DOMAIN | u64::from(source.port()), high, low]);
        self.sources.spend(hash, NS_PER_S / SOURCE_BUDGET_S, now_ns)
    }

    /// Whether a STUN request from this source may be answered at `now_ns`; if so, it is spent. As many as PROBEs, counted
    /// apart from them.
    #[inline]
    pub fn spend_stun(&mut self, limits: &Limits, source: IpAddr, now_ns: u64) -> bool {
        let hash = self.key.hash(&[STUN_DOMAIN | prefix(source)]);
        self.prefixes.spend(hash, NS_PER_S / limits.probe_budget_s, now_ns)
    }
}

#[inline]
fn halves(address: IpAddr) -> (u64, u64) {
    match address {
        IpAddr::V4(ip) => (MAPPED, u64::from(ip.to_bits())),
        #[allow(clippy::cast_possible_truncation)] // The halves of a 128-bit address are what is wanted.
        IpAddr::V6(ip) => ((ip.to_bits() >> 64) as u64, ip.to_bits() as u64),
    }
}

const NS_PER_S: u64 = 1_000_000_000;
/// 512 KiB per worker; a power of two.
const CLASS_BUCKETS: usize = 1 << 16;
/// 128 KiB per worker; a power of two.
const PREFIX_BUCKETS: usize = 1 << 14;
/// 128 KiB per worker; a power of two.
const SOURCE_BUCKETS: usize = 1 << 14;
/// PROBEs per second of one transport address that was here before.
const SOURCE_BUDGET_S: u64 = 8;
/// Sets sources apart from classes; the port is below it.
const SOURCE_DOMAIN: u64 = 2 << 32;
/// Sets class hashes apart; the class is below it.
const CLASS_DOMAIN: u64 = 1 << 32;
/// Sets prefixes of STUN requests apart from those of PROBEs; every prefix is below it.
const STUN_DOMAIN: u64 = 1 << 49;
/// IPv4 addresses are hashed apart from every IPv6 one that a socket can have as source.
const MAPPED: u64 = 0xffff;

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = NS_PER_S;

    fn buckets(seed: u8) -> Buckets {
        Buckets::new(SipKey::new([seed; 16]))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn within_t_seconds_at_most_t_plus_1_seconds_worth_leaves() {
        let mut limits = Limits::new(4_000);
        limits.limit_class(3, 100_000);
        let (mut buckets, source) = (buckets(1), address("198.51.100.7"));
        let mut left = 0;
        for step in 0..50_000 {
            // 1,000 bytes every 100 us are 100 times the rate, for 5 s.
            left += u64::from(buckets.spend_class(&limits, 3, source, 1_000, S + step * 100_000)) * 1_000;
        }
        assert!((595_000..=601_000).contains(&left), "{left} bytes left");
        assert!(buckets.spend_class(&limits, 4, source, 1_000_000, 6 * S), "class 4 has no limit");
    }

    #[test]
    fn a_rate_below_one_datagram_a_second_still_lets_one_pass() {
        let mut limits = Limits::new(1);
        limits.limit_class(0, 100);
        let (mut buckets, source) = (buckets(2), address("2001:db8::1"));
        let passed: Vec<u64> = (0..40)
            .filter(|second| buckets.spend_class(&limits, 0, source, 1_000, (1 + second) * S))
            .collect();
        assert_eq!(passed, [0, 10, 20, 30]);
    }

    #[test]
    fn a_prefix_shares_its_budget_and_others_do_not() {
        let limits = Limits::new(10);
        let mut buckets = buckets(3);
        let mut answered =
            |text: &str| (0..100).filter(|_| buckets.spend_probe(&limits, address(text), S)).count();
        assert_eq!(answered("192.0.2.1"), 10);
        assert_eq!(answered("192.0.2.200"), 0, "the same /24");
        assert_eq!(answered("192.0.3.1"), 10, "another /24");
        assert_eq!(answered("2001:db8:1:2::3"), 10);
        assert_eq!(answered("2001:db8:1:ffff::9"), 0, "the same /48");
        assert_eq!(answered("2001:db8:2::3"), 10, "another /48");
        let mut stun =
            |text: &str| (0..100).filter(|_| buckets.spend_stun(&limits, address(text), S)).count();
        assert_eq!(
            (stun("192.0.2.1"), stun("192.0.2.200")),
            (10, 0),
            "apart from PROBEs, and by prefix as well"
        );
    }

    #[test]
    fn colliding_keys_never_raise_output() {
        let mut limits = Limits::new(1);
        limits.limit_class(1, 1_000);
        let mut buckets = buckets(4);
        // More sources than buckets, so that many collide: each bucket lets one second's worth pass.
        let sources = (0..1_u32 << 18).map(|n| IpAddr::from(n.to_be_bytes()));
        let left: usize = sources.filter(|source| buckets.spend_class(&limits, 1, *source, 1_000, S)).count();
        assert!(left <= CLASS_BUCKETS && left > CLASS_BUCKETS / 2, "{left}");
    }
}
