//! The decision: one pure function from a datagram to what becomes of it.
//!
//! ```text
//!   SEND in          0a |c k| port of B | expires | address of B | capability | payload
//!   DATA out         0b |c k| port of A | expires | address of A | capability | payload     (A: the source)
//!
//!   SEALED_SEND in   0d |c k| B, masked for A     | ...            capability | payload
//!   SEALED_DATA out  0e |c k| A, masked for B     | ...            capability | payload
//!
//!   PROBE in         08 |          ignored                                    | payload
//!   OBSERVED out     09 |0 k| port of A | expires | address of A | ticket     | payload
//! ```
//!
//! * Cheapest check first; the first that fails names the one reason; a dropped datagram is left as it came.
//! * As many bytes out as in; what is emitted is never accepted again.
//! * Neither allocates nor panics; no clock: `now` is an argument.

use crate::address::TransportAddress;
use crate::header::{HEADER_LEN, Header, Kind};
use crate::policy::Policy;
use crate::reason::Reason;
use crate::ring::{KeyId, KeyRing};
use crate::seal;
use crate::siphash::SipKey;
use crate::tag::{self, Form};
use core::net::SocketAddr;

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is sent.
    Drop(Reason),
    /// The datagram is now an OBSERVED and goes back to its source.
    Observe,
    /// The datagram is now a DATA or SEALED_DATA.
    Relay {
        /// Transport address that it goes to.
        to: SocketAddr,
        /// Byte 1 of its header: class (high half) and key id of the capability.
        class_key: u8,
    },
}

/// Decides one datagram and, when it is accepted, rewrites its header in place.
///
/// `source` is the address that the datagram came from, `now` unix seconds.
#[inline]
pub fn decide(datagram: &mut [u8], source: SocketAddr, now: u32, ring: &KeyRing, policy: &Policy) -> Verdict {
    let length = datagram.len();
    let Some(header) = datagram.first_chunk_mut::<HEADER_LEN>() else {
        return Verdict::Drop(Reason::Short);
    };
    let [kind, ..] = *header;
    if length > policy.max_datagram || (kind == PROBE && length > MAX_PROBE) {
        return Verdict::Drop(Reason::Oversize);
    }
    let outcome = match kind {
        SEND => relay(header, length, source, now, ring, policy),
        SEALED_SEND => relay_sealed(header, length, source, now, ring, policy),
        PROBE => observe(header, source, now, ring, policy),
        _ => Err(Reason::Kind),
    };
    outcome.unwrap_or_else(Verdict::Drop)
}

#[inline(always)]
fn observe(
    bytes: &mut [u8; HEADER_LEN],
    source: SocketAddr,
    now: u32,
    ring: &KeyRing,
    policy: &Policy,
) -> Result<Verdict, Reason> {
    let observed =
        TransportAddress::from_socket(source).filter(|it| policy.permits(*it)).ok_or(Reason::Source)?;
    let minting = ring.minting();
    let key = ring.get(minting).ok_or(Reason::Key)?;
    let expires = now.saturating_add(policy.ticket_lifetime_s);
    let tag = tag::ticket(key, minting.get(), expires, observed);
    Header { kind: Kind::Observed as u8, class_key: minting.get(), expires, peer: observed, tag }
        .write(bytes);
    Ok(Verdict::Observe)
}

#[inline(always)]
fn relay(
    bytes: &mut [u8; HEADER_LEN],
    length: usize,
    source: SocketAddr,
    now: u32,
    ring: &KeyRing,
    policy: &Policy,
) -> Result<Verdict, Reason> {
    let mut header = Header::read(bytes);
    let (key, left_s) = in_force(&header, now, ring)?;
    let destination = header.peer;
    reachable(destination, length, policy)?;
    // A source that the header cannot name cannot hold a capability either.
    let sender = TransportAddress::from_socket(source).ok_or(Reason::Tag)?;
    proven(&header, key, Form::Plain, sender, destination)?;
    if policy.revoked.holds_any(sender, destination) {
        return Err(Reason::Revoked);
    }
    if 2 * left_s < i64::from(policy.answer_lifetime_s) {
        renew(&mut header, key, Form::Plain, [sender, destination], now, policy);
    }
    header.kind = Kind::Data as u8;
    header.peer = sender;
    header.write(bytes);
    Ok(Verdict::Relay { to: destination.to_socket(), class_key: header.class_key })
}

/// As [`relay`], but what the header says means nothing before it is unmasked and proven.
#[inline(never)]
fn relay_sealed(
    bytes: &mut [u8; HEADER_LEN],
    length: usize,
    source: SocketAddr,
    now: u32,
    ring: &KeyRing,
    policy: &Policy,
) -> Result<Verdict, Reason> {
    let mut header = Header::read(bytes);
    let (key, left_s) = in_force(&header, now, ring)?;
    let sender = TransportAddress::from_socket(source).ok_or(Reason::Tag)?;
    let destination = seal::mask(key, header.tag, sender, header.peer);
    proven(&header, key, Form::Sealed, sender, destination)?;
    reachable(destination, length, policy)?;
    if policy.revoked.holds_any(sender, destination) {
        return Err(Reason::Revoked);
    }
    if 2 * left_s < i64::from(policy.answer_lifetime_s) {
        renew(&mut header, key, Form::Sealed, [sender, destination], now, policy);
    }
    header.kind = Kind::SealedData as u8;
    header.peer = seal::mask(key, header.tag, destination, sender);
    header.write(bytes);
    Ok(Verdict::Relay { to: destination.to_socket(), class_key: header.class_key })
}

/// Rows 5 to 7: the key, and the seconds that are left.
#[inline(always)]
fn in_force<'a>(header: &Header, now: u32, ring: &'a KeyRing) -> Result<(&'a SipKey, i64), Reason> {
    let key = ring.get(KeyId::of_header(header.class_key)).ok_or(Reason::Key)?;
    let left_s = i64::from(header.expires) - i64::from(now);
    if left_s < 0 {
        return Err(Reason::Expired);
    }
    if left_s > MAX_LIFETIME_S {
        return Err(Reason::Lifetime);
    }
    Ok((key, left_s))
}

/// Row 8.
#[inline(always)]
fn reachable(destination: TransportAddress, length: usize, policy: &Policy) -> Result<(), Reason> {
    if !policy.permits(destination) || !policy.sends_to_family_of(destination) {
        return Err(Reason::Destination);
    }
    if length > policy.longest_to(destination) {
        return Err(Reason::Oversize);
    }
    Ok(())
}

/// Row 9.
#[inline(always)]
fn proven(
    header: &Header,
    key: &SipKey,
    form: Form,
    sender: TransportAddress,
    destination: TransportAddress,
) -> Result<(), Reason> {
    let expected = tag::capability(key, form, header.class_key, header.expires, sender, destination);
    if tag::equal(expected, header.tag) { Ok(()) } else { Err(Reason::Tag) }
}

/// Less than half is left: the receiver's right to answer starts anew, under the same key and class.
#[cold]
fn renew(
    header: &mut Header,
    key: &SipKey,
    form: Form,
    [a, b]: [TransportAddress; 2],
    now: u32,
    policy: &Policy,
) {
    header.expires = now.saturating_add(policy.answer_lifetime_s);
    header.tag = tag::capability(key, form, header.class_key, header.expires, a, b);
}

/// Seconds that a capability may have left to live.
pub const MAX_LIFETIME_S: i64 = 600;
/// Bytes of the longest PROBE.
pub const MAX_PROBE: usize = 64;

const PROBE: u8 = Kind::Probe as u8;
const SEND: u8 = Kind::Send as u8;
const SEALED_SEND: u8 = Kind::SealedSend as u8;
