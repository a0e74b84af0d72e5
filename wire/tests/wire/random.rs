//! Numbers for the tests that need millions of them: SplitMix64 from a fixed seed.
//!
//! * The same seed gives the same numbers, so a failure can be run again.
//! * What proptest draws differs from run to run; it prints the smallest case that fails.

use proptest::prelude::ProptestConfig;
use proptest::test_runner::RngAlgorithm;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// A deterministic source of numbers.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn u128(&mut self) -> u128 {
        u128::from(self.u64()) << 64 | u128::from(self.u64())
    }

    pub(crate) fn u32(&mut self) -> u32 {
        (self.u64() >> 32) as u32
    }

    pub(crate) fn u16(&mut self) -> u16 {
        (self.u64() >> 48) as u16
    }

    pub(crate) fn u8(&mut self) -> u8 {
        (self.u64() >> 56) as u8
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.u64() % end as u64) as usize
    }

    /// A secret that no ring refuses.
    pub(crate) fn secret(&mut self) -> [u8; 16] {
        let mut secret = self.u128().to_be_bytes();
        secret[0] |= 1;
        secret
    }

    /// A public IPv4 address with a port that is never refused.
    pub(crate) fn public_v4(&mut self) -> SocketAddr {
        // 1/8, 45/8 and 93/8 hold nothing special.
        let first = [1, 45, 93][self.below(3)];
        let ip = Ipv4Addr::new(first, self.u8(), self.u8(), self.u8());
        SocketAddr::new(ip.into(), self.open_port())
    }

    /// A public IPv6 address with a port that is never refused.
    pub(crate) fn public_v6(&mut self) -> SocketAddr {
        let low = self.u64() | 1 << 63; // Never the interface identifier of an embedding.
        let bits = 0x2a00u128 << 112 | u128::from(self.u64() >> 16) << 64 | u128::from(low);
        SocketAddr::new(Ipv6Addr::from_bits(bits).into(), self.open_port())
    }

    /// A public address of either family.
    pub(crate) fn public(&mut self) -> SocketAddr {
        if self.u8() & 1 == 0 { self.public_v4() } else { self.public_v6() }
    }

    fn open_port(&mut self) -> u16 {
        20_000 + self.u16() % 45_000
    }
}

/// Proptest with so many cases and a generator that is quick without optimisation.
pub(crate) fn cases_quickly(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        rng_algorithm: RngAlgorithm::XorShift,
        ..ProptestConfig::default()
    }
}
