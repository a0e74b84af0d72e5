//! Tags: what a reflector's secret says about one or two transport addresses.
//!
//! ```text
//! purpose (1) | cls+key (1) | port L (2) | expires (4, BE) | address L (4 or 16) | address H (4 or 16) | port H (2)
//! ```
//!
//! * 12 to 42 bytes in: addresses take 4 bytes each if all of them are IPv4, otherwise 16. 64 bits out, never truncated,
//!   compared in constant time.
//! * A capability orders its two addresses, so one tag serves both directions.
//! * A contact ticket names one address and ends with it. The purpose keeps tickets, capabilities and sealed
//!   capabilities apart.

use crate::address::TransportAddress;
use crate::siphash::SipKey;
use subtle::ConstantTimeEq;

/// Whether the ends of a pair see each other's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// SEND and DATA: headers say where the other end is.
    Plain,
    /// SEALED_SEND and SEALED_DATA: headers hide it, see [`crate::seal`].
    Sealed,
}

/// The capability by which `a` and `b` may talk in this form until `expires` (unix seconds).
#[inline(always)]
pub fn capability(
    key: &SipKey,
    form: Form,
    class_key: u8,
    expires: u32,
    a: TransportAddress,
    b: TransportAddress,
) -> u64 {
    let purpose = match form {
        Form::Plain => PURPOSE_CAPABILITY,
        Form::Sealed => PURPOSE_SEALED,
    };
    let (low, high) = if a <= b { (a, b) } else { (b, a) };
    let head = head(purpose, class_key, low.port, expires);
    let port = u64::from(high.port.swap_bytes());
    if low.is_ipv4() && high.is_ipv4() {
        let addresses = u64::from(v4_word(low)) | u64::from(v4_word(high)) << 32;
        key.hash_tail::<2, 2>(&[head, addresses], port)
    } else {
        let ([l0, l1], [h0, h1]) = (v6_words(low), v6_words(high));
        key.hash_tail::<5, 2>(&[head, l0, l1, h0, h1], port)
    }
}

/// The contact ticket: proof that somebody received at `observed`, good until `expires` (unix seconds).
#[inline(always)]
pub fn ticket(key: &SipKey, class_key: u8, expires: u32, observed: TransportAddress) -> u64 {
    let head = head(PURPOSE_TICKET, class_key, observed.port, expires);
    if observed.is_ipv4() {
        key.hash_tail::<1, 4>(&[head], u64::from(v4_word(observed)))
    } else {
        let [a0, a1] = v6_words(observed);
        key.hash(&[head, a0, a1])
    }
}

/// Whether two tags are equal, in time that depends on neither.
#[inline(always)]
pub fn equal(a: u64, b: u64) -> bool {
    a.ct_eq(&b).into()
}

#[inline(always)]
fn head(purpose: u8, class_key: u8, port: u16, expires: u32) -> u64 {
    u64::from(purpose)
        | u64::from(class_key) << 8
        | u64::from(port.swap_bytes()) << 16
        | u64::from(expires.swap_bytes()) << 32
}

/// The four bytes of an IPv4 address, as a little-endian word.
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // The low 32 bits are the IPv4 address.
pub(crate) fn v4_word(address: TransportAddress) -> u32 {
    (address.address as u32).swap_bytes()
}

/// The sixteen bytes of an address, as little-endian words.
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // The halves of a 128-bit address are what is wanted.
pub(crate) fn v6_words(address: TransportAddress) -> [u64; 2] {
    [((address.address >> 64) as u64).swap_bytes(), (address.address as u64).swap_bytes()]
}

const PURPOSE_TICKET: u8 = 0x09;
const PURPOSE_CAPABILITY: u8 = 0x0a;
const PURPOSE_SEALED: u8 = 0x0d;
