//! Tags: what a reflector's secret says about one or two transport addresses.
//!
//! ```text
//! purpose (1) | cls+key (1) | 0 0 | expires (4, BE) | address L (16) | address H (16) | port L (2) | port H (2) | 0 0 0 0
//! ```
//!
//! * Always 48 bytes in and 64 bits out, never truncated, compared in constant time.
//! * A capability orders its two addresses, so one tag serves both directions.
//! * A contact ticket names one address; its purpose byte keeps it from ever being a capability.

use crate::address::TransportAddress;
use crate::siphash::SipKey;
use subtle::ConstantTimeEq;

/// The capability by which `a` and `b` may talk until `expires` (unix seconds).
#[inline(always)]
pub fn capability(
    key: &SipKey,
    class_key: u8,
    expires: u32,
    a: TransportAddress,
    b: TransportAddress,
) -> u64 {
    let (low, high) = if a <= b { (a, b) } else { (b, a) };
    key.hash(&words(PURPOSE_CAPABILITY, class_key, expires, low, high))
}

/// The contact ticket: proof that somebody received at `observed`, good until `expires` (unix seconds).
#[inline(always)]
pub fn ticket(key: &SipKey, class_key: u8, expires: u32, observed: TransportAddress) -> u64 {
    key.hash(&words(PURPOSE_TICKET, class_key, expires, observed, TransportAddress::default()))
}

/// Whether two tags are equal, in time that depends on neither.
#[inline(always)]
pub fn equal(a: u64, b: u64) -> bool {
    a.ct_eq(&b).into()
}

#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // The halves of a 128-bit address are what is wanted.
fn words(
    purpose: u8,
    class_key: u8,
    expires: u32,
    low: TransportAddress,
    high: TransportAddress,
) -> [u64; 6] {
    [
        u64::from(purpose) | u64::from(class_key) << 8 | u64::from(expires.swap_bytes()) << 32,
        ((low.address >> 64) as u64).swap_bytes(),
        (low.address as u64).swap_bytes(),
        ((high.address >> 64) as u64).swap_bytes(),
        (high.address as u64).swap_bytes(),
        u64::from(low.port.swap_bytes()) | u64::from(high.port.swap_bytes()) << 16,
    ]
}

const PURPOSE_CAPABILITY: u8 = 0x0a;
const PURPOSE_TICKET: u8 = 0x09;
