//! Who holds a ring besides the reflector uses it so: to mint capabilities and to verify contact tickets.
//!
//! * A capability is minted for two proven addresses and comes as a header that is ready to send.
//! * A ticket proves an address only under the ring of the reflector that observed it, and only until it expires.

use crate::address::TransportAddress;
use crate::header::{Header, Kind};
use crate::ring::{KeyId, KeyRing};
use crate::seal;
use crate::tag::{self, Form};

/// The SEND or SEALED_SEND header with which `from` reaches `to` until `expires` (unix seconds), in rate class 0..=15.
///
/// `None` for a class above 15.
pub fn send_header(
    ring: &KeyRing,
    form: Form,
    class: u8,
    expires: u32,
    from: TransportAddress,
    to: TransportAddress,
) -> Option<Header> {
    let id = ring.minting();
    let class_key = class.checked_mul(16)? | id.get();
    let key = ring.get(id)?;
    let tag = tag::capability(key, form, class_key, expires, from, to);
    let (kind, peer) = match form {
        Form::Plain => (Kind::Send, to),
        Form::Sealed => (Kind::SealedSend, seal::mask(key, tag, from, to)),
    };
    Some(Header { kind: kind as u8, class_key, expires, peer, tag })
}

/// The address that an OBSERVED header proves its holder received at, `now` in unix seconds.
///
/// # Errors
/// Not an OBSERVED, a key that the ring lacks, a ticket out of time, a tag that proves nothing.
pub fn verify_ticket(ring: &KeyRing, header: &Header, now: u32) -> Result<TransportAddress, TicketError> {
    if header.kind != Kind::Observed as u8 {
        return Err(TicketError::Kind);
    }
    let key = ring.get(KeyId::of_header(header.class_key)).ok_or(TicketError::Key)?;
    let left = i64::from(header.expires) - i64::from(now);
    if !(0..=MAX_TICKET_LEFT_S).contains(&left) {
        return Err(TicketError::Expired);
    }
    if !tag::equal(tag::ticket(key, header.class_key, header.expires, header.peer), header.tag) {
        return Err(TicketError::Tag);
    }
    Ok(header.peer)
}

/// Why a header proves no contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketError {
    /// Not an OBSERVED.
    Kind,
    /// Made under a key that this reflector's ring does not hold.
    Key,
    /// Its time is over, or it claims more than any ticket gets.
    Expired,
    /// The tag does not fit: another reflector's, or forged.
    Tag,
}

impl core::fmt::Display for TicketError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Kind => "not an OBSERVED header; a ticket is the 32 bytes that answer a PROBE",
            Self::Key => "made under a key that is not in this reflector's ring; PROBE again",
            Self::Expired => "expired, or not yet possible; PROBE again and check both clocks",
            Self::Tag => "not made by this reflector; show the ticket with the reflector that gave it",
        })
    }
}

impl core::error::Error for TicketError {}

/// Seconds that a contact ticket may have left: 120, the most that a reflector gives
/// ([`crate::policy::TICKET_LIFETIME_S`]), and 60 for a reflector whose clock is ahead of the one that judges.
const MAX_TICKET_LEFT_S: i64 = 120 + 60;
