//! The external addresses of the simulated NATs: one each, spread over a block.
//!
//! ```text
//! 127.64.0.0/10   endpoint 0: 127.64.0.1   1: 127.64.1.1   ...   16,384: 127.64.0.2   ...
//! ```
//!
//! * Neighbours lie in different /24 (IPv6: /48), since a reflector budgets PROBEs by those.
//! * Never an IPv4 address that ends in 0 or 255: one could be a network's own or its broadcast.
//! * Pure arithmetic: an address costs no memory.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use wire::Block;

/// Addresses of a block by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    block: Block,
    /// Budget prefixes (/24 or /48) that are used.
    prefixes: u64,
    /// The number of the first address within its prefix, and how many each prefix has.
    first: u64,
    each: u64,
}

impl Addresses {
    /// All usable addresses of a block.
    pub fn of(block: Block) -> Self {
        let length = u32::from(block.prefix());
        match block.first() {
            IpAddr::V4(_) if length <= 24 => {
                Self { block, prefixes: 1 << (24 - length), first: 1, each: 254 }
            }
            IpAddr::V4(ip) => {
                let last_octet = u64::from(ip.to_bits() & 0xff);
                let end = (last_octet + (1 << (32 - length))).min(255);
                let first = last_octet.max(1);
                Self { block, prefixes: 1, first: first - last_octet, each: end.saturating_sub(first) }
            }
            IpAddr::V6(_) => {
                let prefixes = 1 << 48_u32.saturating_sub(length).min(MAX_V6_PREFIX_BITS);
                let host_bits = (128 - length.max(48)).min(MAX_V6_HOST_BITS);
                // A single address is one; in a block the first is the routers' anycast address (RFC 4291, 2.6.1).
                let first = u64::from(host_bits > 0);
                Self { block, prefixes, first, each: (1 << host_bits) - first }
            }
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.prefixes.saturating_mul(self.each)
    }

    /// How many budget prefixes the first `count` addresses lie in.
    pub fn prefixes_of(&self, count: u64) -> u64 {
        self.prefixes.min(count).max(1)
    }

    /// The address of this number; unique below [`Addresses::count`].
    #[inline]
    pub fn get(&self, number: u64) -> IpAddr {
        let (prefix, host) = (number % self.prefixes, self.first + number / self.prefixes);
        match self.block.first() {
            IpAddr::V4(ip) => {
                let offset = u32::try_from(prefix << 8 | host).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits().wrapping_add(offset)))
            }
            IpAddr::V6(ip) => {
                let offset = u128::from(prefix) << 80 | u128::from(host);
                IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits().wrapping_add(offset)))
            }
        }
    }
}

const MAX_V6_PREFIX_BITS: u32 = 16;
const MAX_V6_HOST_BITS: u32 = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn of(text: &str) -> Addresses {
        Addresses::of(text.parse().unwrap())
    }

    #[test]
    fn unique_within_the_block_and_never_the_edges_of_a_network() {
        for text in [
            "10.1.0.0/16",
            "10.1.2.0/24",
            "10.1.2.128/25",
            "10.1.2.0/25",
            "10.1.2.3/32",
            "10.1.2.4/30",
            "10.1.2.254/31",
        ] {
            let block: Block = text.parse().unwrap();
            let addresses = Addresses::of(block);
            let all: BTreeSet<IpAddr> = (0..addresses.count()).map(|number| addresses.get(number)).collect();
            assert_eq!(all.len() as u64, addresses.count(), "{text}");
            for address in &all {
                let IpAddr::V4(ip) = address else { panic!("{address}") };
                assert!(
                    block.contains(*address) && !matches!(ip.octets()[3], 0 | 255),
                    "{address} of {text}"
                );
            }
        }
        assert_eq!(of("10.1.0.0/16").count(), 256 * 254);
        assert_eq!(of("10.1.2.128/25").count(), 127);
        assert_eq!(of("10.1.2.0/25").count(), 127);
        assert_eq!(of("10.1.2.3/32").count(), 1);
        assert_eq!(of("10.1.2.255/32").count(), 0);
        assert!(of("127.64.0.0/10").count() > 4_000_000);
    }

    #[test]
    fn neighbours_lie_in_different_prefixes() {
        let addresses = of("127.64.0.0/10");
        let prefixes: BTreeSet<[u8; 3]> = (0..16_384)
            .map(|number| match addresses.get(number) {
                IpAddr::V4(ip) => [ip.octets()[0], ip.octets()[1], ip.octets()[2]],
                IpAddr::V6(_) => panic!("IPv6 from an IPv4 block"),
            })
            .collect();
        assert_eq!(prefixes.len(), 16_384);
        assert_eq!(addresses.prefixes_of(10_000), 10_000);
        assert_eq!(addresses.prefixes_of(1_000_000), 16_384);
    }

    #[test]
    fn ipv6_blocks_of_all_lengths() {
        assert_eq!(of("::1").count(), 1);
        assert_eq!(of("::1").get(0).to_string(), "::1");
        assert_eq!(of("fd00:1::/64").get(0).to_string(), "fd00:1::1");
        assert_eq!(of("fd00:1::/64").get(5).to_string(), "fd00:1::6");
        assert_eq!(of("fd00::/32").get(1).to_string(), "fd00:0:1::1");
        let block: Block = "fd00::/32".parse().unwrap();
        let all: BTreeSet<IpAddr> = (0..200_000).map(|number| of("fd00::/32").get(number)).collect();
        assert!(all.len() == 200_000 && all.iter().all(|address| block.contains(*address)));
    }
}
