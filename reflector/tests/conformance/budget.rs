//! The budgets around the decision, written once more from their description, for comparison.
//!
//! * A bucket is the time at which it will be full again. It holds one second's worth; a full one lets one datagram
//!   pass, however slow its rate.
//! * Hashes come from the `siphasher` crate, not from the code under test.
//!
//! Source: `docs/wire.md`, "Policy"; `reflector/src/rates.rs` for the numbers of buckets and what is hashed.

use crate::setup::Setup;
use siphasher::sip::SipHasher24;
use std::collections::HashMap;
use std::hash::Hasher;
use std::net::{IpAddr, SocketAddr};

/// The buckets of one worker, or of one processor under XDP; one that is not listed is full.
#[derive(Clone, Debug, Default)]
pub(crate) struct Budgets {
    classes: HashMap<u64, u64>,
    prefixes: HashMap<u64, u64>,
    sources: HashMap<u64, u64>,
}

impl Budgets {
    pub(crate) fn spend_class(&mut self, setup: &Setup, class_key: u8, source: IpAddr, bytes: usize) -> bool {
        let class = class_key >> 4;
        let Some(rate) = setup.class_rates_bytes_s[usize::from(class)] else { return true };
        let words = words(u64::from(class) | 1 << 32, source);
        let place = hash(&setup.hash_key, &words) % CLASS_BUCKETS;
        spend(&mut self.classes, place, bytes as u64 * NS_PER_S / rate, setup.now_ns)
    }

    pub(crate) fn spend_probe(&mut self, setup: &Setup, source: IpAddr) -> bool {
        let prefix = match source {
            IpAddr::V4(ip) => 1 << 48 | u64::from(ip.to_bits() >> 8),
            IpAddr::V6(ip) => (ip.to_bits() >> 80) as u64,
        };
        let place = hash(&setup.hash_key, &prefix.to_le_bytes()) % PREFIX_BUCKETS;
        spend(&mut self.prefixes, place, NS_PER_S / setup.probe_budget_s, setup.now_ns)
    }

    pub(crate) fn spend_source(&mut self, setup: &Setup, source: SocketAddr) -> bool {
        let words = words(u64::from(source.port()) | 2 << 32, source.ip());
        let place = hash(&setup.hash_key, &words) % SOURCE_BUCKETS;
        spend(&mut self.sources, place, NS_PER_S / 8, setup.now_ns)
    }
}

/// What is hashed for an address: what it is charged for, and its halves.
fn words(charge: u64, address: IpAddr) -> [u8; 24] {
    let (high, low) = match address {
        IpAddr::V4(ip) => (0xffff, u64::from(ip.to_bits())),
        IpAddr::V6(ip) => ((ip.to_bits() >> 64) as u64, ip.to_bits() as u64),
    };
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&charge.to_le_bytes());
    bytes[8..16].copy_from_slice(&high.to_le_bytes());
    bytes[16..].copy_from_slice(&low.to_le_bytes());
    bytes
}

fn spend(buckets: &mut HashMap<u64, u64>, place: u64, cost_ns: u64, now_ns: u64) -> bool {
    let full_at_ns = buckets.entry(place).or_default();
    let owed_ns = full_at_ns.saturating_sub(now_ns);
    let within = owed_ns == 0 || owed_ns + cost_ns <= NS_PER_S;
    if within {
        *full_at_ns = now_ns + owed_ns + cost_ns;
    }
    within
}

fn hash(key: &[u8; 16], bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new_with_key(key);
    hasher.write(bytes);
    hasher.finish()
}

const NS_PER_S: u64 = 1_000_000_000;
const CLASS_BUCKETS: u64 = 1 << 16;
const PREFIX_BUCKETS: u64 = 1 << 14;
const SOURCE_BUCKETS: u64 = 1 << 14;
