//! Random numbers that a seed determines, so that a failed case can be run again.
//!
//! * SplitMix64: small, fast, and good enough to choose test cases; nothing here is secret.
//! * Every draw leans on one `next`, so a case depends on its seed alone and not on what ran before it.
//!
//! Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True once in `number` draws.
    pub(crate) fn once_in(&mut self, number: usize) -> bool {
        self.below(number) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next() as u8
    }

    pub(crate) fn half(&mut self) -> u16 {
        self.next() as u16
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }

    pub(crate) fn v4(&mut self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.next() as u32)
    }

    /// An address of the public part of IPv6.
    pub(crate) fn v6(&mut self) -> Ipv6Addr {
        let low = u128::from(self.next());
        let high = u128::from(self.next() >> 3 | 0x2000_0000_0000_0000);
        Ipv6Addr::from_bits(high << 64 | low)
    }
}
