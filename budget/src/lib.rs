//! Token buckets in fixed memory, found by a hash: how often something may happen, for more keys than anybody counts.
//!
//! ```text
//! time ------ now ------------- full_at            what is spent moves full_at on;
//!              |<-- spent ---->|                   time passes, and the bucket fills by itself
//!              |<-------- CAPACITY_NS -------->|
//! ```
//!
//! * A bucket is the time at which it will be full again. Nothing is refilled, and nothing is ever allocated or locked.
//! * It holds `CAPACITY_NS` worth of time; a full one always lets one thing pass, however much that costs. So within any
//!   T at most T + `CAPACITY_NS` worth passes, and one thing more.
//! * Keys that fall into one bucket share it: a collision only ever refuses more. Callers hash under a secret key, so that
//!   nobody chooses whom to collide with.
//! * Pure: time is an argument, in nanoseconds of a clock that does not go back.

#![forbid(unsafe_code)]

use std::net::IpAddr;

/// A budget for each of many keys: buckets that hold `CAPACITY_NS` each.
#[derive(Clone, Debug)]
pub struct Budget<const CAPACITY_NS: u64> {
    full_at_ns: Box<[u64]>,
}

impl<const CAPACITY_NS: u64> Budget<CAPACITY_NS> {
    /// Full buckets, as many as `number` or the next power of two. Their memory is written here, so no page is mapped later,
    /// on the packet path.
    pub fn new(number: usize) -> Self {
        Self { full_at_ns: vec![FULL; number.next_power_of_two()].into_boxed_slice() }
    }

    /// Whether something that costs this much may happen now; if so, it is spent.
    #[inline]
    pub fn spend(&mut self, hash: u64, cost_ns: u64, now_ns: u64) -> bool {
        let place = self.place(hash);
        let Some(full_at_ns) = self.full_at_ns.get_mut(place) else { return false };
        let spent_ns = full_at_ns.saturating_sub(now_ns);
        let wanted_ns = spent_ns.saturating_add(cost_ns);
        if spent_ns > 0 && wanted_ns > CAPACITY_NS {
            return false;
        }
        *full_at_ns = now_ns.saturating_add(wanted_ns);
        true
    }

    /// How long until something that costs this much may happen, in nanoseconds; 0 if it may now.
    pub fn wait_ns(&self, hash: u64, cost_ns: u64, now_ns: u64) -> u64 {
        let full_at_ns = self.full_at_ns.get(self.place(hash)).copied().unwrap_or(FULL);
        let spent_ns = full_at_ns.saturating_sub(now_ns);
        spent_ns.min(spent_ns.saturating_add(cost_ns).saturating_sub(CAPACITY_NS))
    }

    /// Takes back what was spent; a bucket never gets fuller than full.
    pub fn give_back(&mut self, hash: u64, cost_ns: u64) {
        let place = self.place(hash);
        if let Some(full_at_ns) = self.full_at_ns.get_mut(place) {
            *full_at_ns = full_at_ns.saturating_sub(cost_ns).max(FULL);
        }
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the lower bits of a hash are as good as any others")]
    fn place(&self, hash: u64) -> usize {
        hash as usize & (self.full_at_ns.len() - 1)
    }
}

/// The /24 or /48 of an address, whose hosts share a budget; no two prefixes have the same number, also across families,
/// and every number is below 2^49.
#[inline]
pub fn prefix(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(ip) => 1 << 48 | u64::from(ip.to_bits() >> 8),
        IpAddr::V6(ip) => (ip.to_bits() >> 80) as u64,
    }
}

/// Full since the clock began; not zero, so that the pages are written.
const FULL: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn within_t_at_most_t_plus_the_capacity_passes_and_a_full_bucket_lets_one_thing_pass() {
        let mut budget = Budget::<{ 2 * S }>::new(4);
        let passed = (0..10_000).filter(|step| budget.spend(1, S / 10, S + step * S / 1_000)).count();
        assert!((119..=120).contains(&passed), "{passed} in 10 s, ten a second and twenty at once");
        assert!(budget.spend(2, 100 * S, S), "a full bucket, however much it costs");
        assert!(!budget.spend(2, 1, 50 * S), "it is full again after 100 s");
        assert_eq!(budget.wait_ns(2, 1, 50 * S), 49 * S + 1);
        assert_eq!(budget.wait_ns(2, 100 * S, 50 * S), 51 * S, "until it is full");
        assert!(budget.spend(2, 1, 101 * S));
    }

    #[test]
    fn what_is_given_back_was_never_spent() {
        let mut budget = Budget::<S>::new(1);
        for _ in 0..100 {
            assert!(budget.spend(9, S, 5));
            budget.give_back(9, S);
        }
        assert_eq!(budget.wait_ns(9, S, 5), 0);
        assert!(budget.spend(9, S, 5) && !budget.spend(7, 1, 5), "one bucket for all");
    }

    #[test]
    fn prefixes_are_told_apart() {
        let of = |text: &str| prefix(text.parse().unwrap());
        assert_eq!(of("192.0.2.1"), of("192.0.2.200"));
        assert_eq!(of("2001:db8:1:2::3"), of("2001:db8:1:ffff::9"));
        let numbers = [of("192.0.2.1"), of("192.0.3.1"), of("2001:db8:1::"), of("::c000:2"), of("0.0.0.1")];
        let distinct: std::collections::BTreeSet<u64> = numbers.into_iter().collect();
        assert_eq!(distinct.len(), numbers.len());
        assert!(numbers.iter().all(|number| *number < 1 << 49));
    }
}
