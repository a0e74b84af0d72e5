//! Seals: port and address of a header, masked so that only an owner of the ring can read them.
//!
//! ```text
//! mask(i) = SipHash-2-4( tag (8) | 0x0e + 16 i (1) | holder's port (2) | holder's address (4, or 16 if IPv6) )
//!
//! port ^= mask(0)[0..2];  IPv4: its four bytes ^= mask(0)[2..6];  IPv6: address[0..8] ^= mask(1), [8..16] ^= mask(2)
//! ```
//!
//! * The **holder** is the end whose address the header does not carry: the source of a SEALED_SEND, the receiver of a
//!   SEALED_DATA. The two headers of a pair have one tag and unrelated masks.
//! * The tag covers the plain pair, so it is the nonce of its own masks: nothing is ever masked twice alike unless it is
//!   the same.
//! * The family stays visible, and is read from the masked field.

use crate::address::TransportAddress;
use crate::siphash::SipKey;
use crate::tag::{v4_word, v6_words};

/// Puts the mask of `tag` and `holder` on `field`, or takes it off.
///
/// (An IPv6 address that becomes `::ffff:a.b.c.d` under its mask could not be read back. There is one in 2^96.)
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // A mask's bytes are taken two and four at a time.
pub fn mask(key: &SipKey, tag: u64, holder: TransportAddress, field: TransportAddress) -> TransportAddress {
    let first = word(key, tag, 0, holder);
    let port = field.port ^ (first as u16).swap_bytes();
    let over = if field.is_ipv4() {
        u128::from(((first >> 16) as u32).swap_bytes())
    } else {
        let halves = [word(key, tag, 1, holder), word(key, tag, 2, holder)].map(u64::swap_bytes);
        u128::from(halves[0]) << 64 | u128::from(halves[1])
    };
    TransportAddress { address: field.address ^ over, port }
}

/// `mask(number)`, as a little-endian word.
#[inline(always)]
fn word(key: &SipKey, tag: u64, number: u8, holder: TransportAddress) -> u64 {
    let start = u64::from(PURPOSE_SEAL + 16 * number) | u64::from(holder.port.swap_bytes()) << 8;
    if holder.is_ipv4() {
        key.hash_tail::<1, 7>(&[tag], start | u64::from(v4_word(holder)) << 24)
    } else {
        let [a0, a1] = v6_words(holder);
        key.hash_tail::<3, 3>(&[tag, start | a0 << 24, a0 >> 40 | a1 << 24], a1 >> 40)
    }
}

const PURPOSE_SEAL: u8 = 0x0e;
