//! SipHash-2-4 over 64-bit words and up to seven bytes behind them, inlined.
//!
//! * Equal to the authors' SipHash-2-4 over the little-endian bytes of the words (tests hold it to `siphasher`).
//! * The length is a constant of the call, so the loop unrolls and nothing branches on data.
//!
//! Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012.

/// A 128-bit SipHash key; its `Debug` form shows no secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SipKey {
    k0: u64,
    k1: u64,
}

impl SipKey {
    /// The key of 16 secret bytes, in the byte order of the SipHash paper.
    pub const fn new(secret: [u8; 16]) -> Self {
        let both = u128::from_le_bytes(secret);
        #[allow(clippy::cast_possible_truncation)] // The two halves of a u128 are what is wanted.
        Self { k0: both as u64, k1: (both >> 64) as u64 }
    }

    /// The 16 secret bytes, for a reflector's part that runs in the kernel.
    pub const fn secret(&self) -> [u8; 16] {
        ((self.k1 as u128) << 64 | self.k0 as u128).to_le_bytes()
    }

    /// SipHash-2-4 of the `8 * N` bytes that `words` are, read as little-endian.
    #[inline(always)]
    pub fn hash<const N: usize>(&self, words: &[u64; N]) -> u64 {
        self.hash_tail::<N, 0>(words, 0)
    }

    /// SipHash-2-4 of the `8 * N` bytes of `words` and the lowest `TAIL` bytes of `tail`, read as little-endian.
    ///
    /// `TAIL` is at most 7, and the bytes of `tail` above it are zeros.
    #[inline(always)]
    pub fn hash_tail<const N: usize, const TAIL: usize>(&self, words: &[u64; N], tail: u64) -> u64 {
        const { assert!(TAIL < 8) };
        debug_assert!(tail >> (8 * TAIL) == 0, "bytes above the tail would be hashed with it");
        let mut state = State {
            v0: self.k0 ^ 0x736f_6d65_7073_6575,
            v1: self.k1 ^ 0x646f_7261_6e64_6f6d,
            v2: self.k0 ^ 0x6c79_6765_6e65_7261,
            v3: self.k1 ^ 0x7465_6462_7974_6573,
        };
        for word in words {
            state.absorb(*word);
        }
        state.absorb(tail | ((8 * N as u64 + TAIL as u64) & 0xff) << 56);
        state.finish()
    }
}

impl core::fmt::Debug for SipKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SipKey(secret)")
    }
}

struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl State {
    #[inline(always)]
    fn absorb(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.round();
        self.v0 ^= word;
    }

    #[inline(always)]
    fn finish(mut self) -> u64 {
        self.v2 ^= 0xff;
        self.round();
        self.round();
        self.round();
        self.round();
        self.v0 ^ self.v1 ^ self.v2 ^ self.v3
    }

    #[inline(always)]
    fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.rotate_left(32);
    }
}
