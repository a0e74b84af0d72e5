//! The external ports a NAT may give out, and in which order it tries them.
//!
//! * A pool is never empty, never holds port 0, and its ranges are sorted and apart.
//! * Nothing here knows which ports are taken.

use crate::error::Error;
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// External ports as sorted ranges, so that a pool may leave holes for ports nobody should use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortPool {
    ranges: Box<[RangeInclusive<u16>]>,
    /// How many ports all ranges hold, at most 65,535.
    count: u32,
}

impl PortPool {
    /// The ports of all ranges; [`Error::PortsEmpty`] or [`Error::PortsOrder`] otherwise.
    pub fn new(ranges: &[RangeInclusive<u16>]) -> Result<Self, Error> {
        let mut count = 0;
        let mut before: u16 = 0;
        for range in ranges {
            let (first, last) = (*range.start(), *range.end());
            if first == 0 {
                return Err(Error::PortsEmpty);
            }
            if first <= before || last < first {
                return Err(Error::PortsOrder { first, last });
            }
            count += u32::from(last - first) + 1;
            before = last;
        }
        if count == 0 { Err(Error::PortsEmpty) } else { Ok(Self { ranges: ranges.into(), count }) }
    }

    /// Whether the pool holds this port.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        self.ranges.iter().any(|range| range.contains(&port))
    }

    /// All ports once, beginning with the one at `start` (counted around the pool), then upwards and around.
    pub fn ports_from(&self, start: u32) -> impl Iterator<Item = u16> {
        let start = start.checked_rem(self.count).unwrap_or(0);
        (start..self.count).chain(0..start).filter_map(|position| self.port_at(position))
    }

    fn port_at(&self, position: u32) -> Option<u16> {
        let mut left = position;
        for range in &self.ranges {
            let length = u32::from(range.end() - range.start()) + 1;
            if left < length {
                return u16::try_from(left).ok().map(|offset| range.start() + offset);
            }
            left -= length;
        }
        None
    }
}

impl Default for PortPool {
    /// 1024-65535: RFC 4787 section 4.2.1 keeps the well-known ports apart.
    fn default() -> Self {
        Self { ranges: Box::new([1024..=65_535]), count: 64_512 }
    }
}

/// Where the search for a free external port begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortChoice {
    /// After the port given out last.
    Sequential,
    /// At a pseudo-random one: spread, repeatable, no secret.
    Random {
        /// Another seed, another sequence; NATs of one seed differ by their external address.
        seed: u64,
    },
}

impl PortChoice {
    /// Where the search for the next port begins.
    pub(crate) fn start(self, external: IpAddr, drawn: u32) -> u32 {
        match self {
            Self::Sequential => drawn,
            Self::Random { seed } => {
                let external = match external {
                    IpAddr::V4(address) => u64::from(u32::from(address)),
                    IpAddr::V6(address) => {
                        let [a, b, c, d, e, f, g, h] = address.segments().map(u64::from);
                        mix((a << 48) | (b << 32) | (c << 16) | d) ^ ((e << 48) | (f << 32) | (g << 16) | h)
                    }
                };
                let [a, b, c, d, ..] =
                    mix(mix(seed ^ mix(external)).wrapping_add(u64::from(drawn))).to_le_bytes();
                u32::from_le_bytes([a, b, c, d])
            }
        }
    }

    /// What to remember after a search that ended at its `tries`-th port.
    pub(crate) fn next(self, drawn: u32, tries: u32) -> u32 {
        drawn.wrapping_add(if self == Self::Sequential { tries } else { 1 })
    }
}

/// The finaliser of SplitMix64: every bit of the input moves every bit of the output.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    fn a_pool_visits_every_port_once_from_anywhere() {
        let pool = PortPool::new(&[10..=12, 20..=20, 65_534..=65_535]).unwrap();
        let all = [10, 11, 12, 20, 65_534, 65_535];
        for start in 0..20_u32 {
            let mut expected = all;
            expected.rotate_left(start as usize % all.len());
            assert_eq!(pool.ports_from(start).collect::<Vec<_>>(), expected);
        }
        assert!(all.iter().all(|port| pool.contains(*port)));
        assert!([9, 13, 19, 21, 65_533].iter().all(|port| !pool.contains(*port)));
        assert_eq!(
            PortPool::new(&[1..=65_535]).unwrap().ports_from(65_534).take(2).collect::<Vec<_>>(),
            [65_535, 1]
        );
        assert_eq!(PortPool::new(&[1024..=65_535]), Ok(PortPool::default()));
    }

    #[test]
    fn pools_without_order_are_refused() {
        assert_eq!(PortPool::new(&[]), Err(Error::PortsEmpty));
        assert_eq!(PortPool::new(&[0..=9]), Err(Error::PortsEmpty));
        for wrong in [&[1..=5, 5..=9][..], &[10..=20, 1..=5], &[1..=2, RangeInclusive::new(9, 8)]] {
            assert!(matches!(PortPool::new(wrong), Err(Error::PortsOrder { .. })), "{wrong:?}");
        }
    }

    #[test]
    fn random_starts_differ_by_seed_address_and_turn_and_repeat() {
        let addresses = [
            IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            Ipv4Addr::new(192, 0, 2, 2).into(),
            Ipv6Addr::LOCALHOST.into(),
        ];
        let mut seen = BTreeSet::new();
        for seed in 0..10 {
            for address in addresses {
                for drawn in 0..10 {
                    let start = PortChoice::Random { seed }.start(address, drawn);
                    assert_eq!(start, PortChoice::Random { seed }.start(address, drawn));
                    seen.insert(start);
                }
            }
        }
        assert_eq!(seen.len(), 300);
    }

    #[test]
    fn a_sequence_goes_on_behind_the_ports_it_skipped() {
        assert_eq!(PortChoice::Sequential.next(7, 3), 10);
        assert_eq!(PortChoice::Sequential.start(Ipv4Addr::LOCALHOST.into(), 10), 10);
        assert_eq!(PortChoice::Random { seed: 0 }.next(7, 3), 8);
        assert_eq!(PortChoice::Sequential.next(u32::MAX, 1), 0);
    }
}
