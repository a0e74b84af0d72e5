//! A Binding request: read from a datagram by servers, written by clients.
//!
//! * Only requests are read: whatever else STUN has is refused, so that no answer is ever answered.
//! * A FINGERPRINT that is there must be right; one that is not there is not asked for.
//! * Attributes that RFC 8489 knows and a server without credentials has no use for are ignored (section 6.3).
//! * Fixed memory: of types that are not understood, the first 32 are kept.
//!
//! Source: RFC 8489, sections 5, 6.3 and 14; RFC 5780, section 7.2.

use crate::message::{
    Attribute, BINDING_REQUEST, CHANGE_REQUEST, COOKIE, ERROR_CODE, FINGERPRINT, FIRST_OPTIONAL, HEADER_LEN,
    Head, MAPPED_ADDRESS, MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256, NONCE, PASSWORD_ALGORITHM, REALM,
    TransactionId, UNKNOWN_ATTRIBUTES, USERHASH, USERNAME, XOR_MAPPED_ADDRESS, fingerprint,
};

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Comes back in the answer.
    pub transaction: TransactionId,
    /// Whether it bears a FINGERPRINT, so that the answer bears one.
    pub fingerprint: bool,
    /// What of the answer's source should differ from the address called; the default without CHANGE-REQUEST.
    pub change: Change,
    /// Attributes that had to be understood and were not.
    pub unknown: Unknown,
}

impl Request {
    /// Reads a datagram; `changes` says whether CHANGE-REQUEST is understood.
    ///
    /// # Errors
    /// What makes the datagram no request, or none that may be answered.
    pub fn read(datagram: &[u8], changes: bool) -> Result<Self, NoRequest> {
        let transaction = transaction_of(datagram)?;
        let mut request =
            Self { transaction, fingerprint: false, change: Change::default(), unknown: Unknown::default() };
        let (mut protected, mut change) = (false, None);
        let mut rest = datagram.get(HEADER_LEN..).unwrap_or_default();
        while !rest.is_empty() {
            let attribute = Attribute::first(rest).ok_or(NoRequest::Malformed)?;
            match attribute.kind {
                FINGERPRINT => {
                    check_fingerprint(datagram, &attribute)?;
                    request.fingerprint = true;
                }
                // What follows a MESSAGE-INTEGRITY is ignored, but for FINGERPRINT (sections 14.5 and 14.6).
                _ if protected => {}
                MESSAGE_INTEGRITY | MESSAGE_INTEGRITY_SHA256 => protected = true,
                // Of attributes that repeat, the first one counts.
                CHANGE_REQUEST if changes && change.is_some() => {}
                CHANGE_REQUEST if changes => {
                    change = Some(Change::read(attribute.value).ok_or(NoRequest::Malformed)?);
                }
                kind if kind < FIRST_OPTIONAL && !KNOWN.contains(&kind) => request.unknown.add(kind),
                _ => {}
            }
            rest = attribute.rest;
        }
        request.change = change.unwrap_or_default();
        Ok(request)
    }
}

/// What CHANGE-REQUEST asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// An answer from another address.
    pub ip: bool,
    /// An answer from another port.
    pub port: bool,
}

impl Change {
    fn read(value: &[u8]) -> Option<Self> {
        let bits = u32::from_be_bytes(value.try_into().ok()?);
        Some(Self { ip: bits & CHANGE_IP != 0, port: bits & CHANGE_PORT != 0 })
    }
}

/// Types that had to be understood and were not, none twice, in the order of the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unknown {
    kinds: [u16; MOST_UNKNOWN],
    count: usize,
}

impl Unknown {
    /// The types.
    pub fn kinds(&self) -> &[u16] {
        self.kinds.get(..self.count).unwrap_or_default()
    }

    fn add(&mut self, kind: u16) {
        if self.kinds().contains(&kind) {
            return;
        }
        if let Some(place) = self.kinds.get_mut(self.count) {
            *place = kind;
            self.count += 1;
        }
    }
}

/// Why a datagram is answered with nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRequest {
    /// Lengths, cookie or attributes are not those of a STUN message.
    Malformed,
    /// A STUN message, but no Binding request: a response, an indication, another method.
    Kind,
    /// Its FINGERPRINT is wrong.
    Fingerprint,
}

/// The bytes of a Binding request, as a client sends it; the default `change` asks for nothing and is left out.
pub fn write(transaction: &TransactionId, change: Change) -> Vec<u8> {
    let mut bytes = BINDING_REQUEST.to_be_bytes().to_vec();
    let asks = change != Change::default();
    bytes.extend(if asks { 8_u16 } else { 0 }.to_be_bytes());
    bytes.extend(COOKIE);
    bytes.extend(transaction);
    if asks {
        let ip = if change.ip { CHANGE_IP } else { 0 };
        let port = if change.port { CHANGE_PORT } else { 0 };
        bytes.extend(CHANGE_REQUEST.to_be_bytes());
        bytes.extend(4_u16.to_be_bytes());
        bytes.extend((ip | port).to_be_bytes());
    }
    bytes
}

/// The transaction id of a Binding request that is whole and nothing more.
fn transaction_of(datagram: &[u8]) -> Result<TransactionId, NoRequest> {
    let (head, body) = Head::read(datagram).ok_or(NoRequest::Malformed)?;
    if head.length != body.len() || !head.length.is_multiple_of(4) {
        return Err(NoRequest::Malformed);
    }
    (head.kind == BINDING_REQUEST).then_some(head.transaction).ok_or(NoRequest::Kind)
}

/// FINGERPRINT is the last attribute, and right.
fn check_fingerprint(datagram: &[u8], attribute: &Attribute<'_>) -> Result<(), NoRequest> {
    let value: [u8; 4] = attribute.value.try_into().map_err(|_| NoRequest::Malformed)?;
    if !attribute.rest.is_empty() {
        return Err(NoRequest::Malformed);
    }
    let covered = datagram.len().saturating_sub(FINGERPRINT_LEN);
    let right = fingerprint(datagram.get(..covered).unwrap_or_default());
    (u32::from_be_bytes(value) == right).then_some(()).ok_or(NoRequest::Fingerprint)
}

/// Types that an answer names at most.
pub const MOST_UNKNOWN: usize = 32;
/// Bytes of the whole attribute FINGERPRINT.
pub const FINGERPRINT_LEN: usize = 8;
const CHANGE_IP: u32 = 4;
const CHANGE_PORT: u32 = 2;
/// Attributes of RFC 8489 that must be understood, and mean nothing in a request to a server without credentials.
const KNOWN: [u16; 9] = [
    MAPPED_ADDRESS,
    USERNAME,
    ERROR_CODE,
    UNKNOWN_ATTRIBUTES,
    REALM,
    NONCE,
    PASSWORD_ALGORITHM,
    USERHASH,
    XOR_MAPPED_ADDRESS,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// A request with these attributes, as `(type, value)`.
    fn request(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut message = [&BINDING_REQUEST.to_be_bytes()[..], &[0, 0], &COOKIE, &[7; 12]].concat();
        for (kind, value) in attributes {
            message.extend(kind.to_be_bytes());
            message.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
            message.extend(*value);
            message.resize(message.len().next_multiple_of(4), 0);
        }
        let length = u16::try_from(message.len() - HEADER_LEN).unwrap();
        message[2..4].copy_from_slice(&length.to_be_bytes());
        message
    }

    fn unknown(message: &[u8], changes: bool) -> Vec<u16> {
        Request::read(message, changes).unwrap().unknown.kinds().to_vec()
    }

    #[test]
    fn what_a_request_asks_for_is_read() {
        let read = |attributes: &[(u16, &[u8])]| Request::read(&request(attributes), true).unwrap();
        assert_eq!(read(&[]).transaction, [7; 12]);
        for (bits, ip, port) in [(0, false, false), (2, false, true), (4, true, false), (6, true, true)] {
            let asked = read(&[(CHANGE_REQUEST, &[0, 0, 0, bits]), (CHANGE_REQUEST, &[0; 4])]);
            assert_eq!(asked.change, Change { ip, port }, "the first of two counts");
        }
        // SOFTWARE and what RFC 8489 has for credentials.
        let asked =
            read(&[(0x8022, b"client"), (USERNAME, b"u"), (NONCE, b""), (MESSAGE_INTEGRITY, &[0; 20])]);
        assert!(asked.unknown.kinds().is_empty());
    }

    #[test]
    fn types_not_understood_are_listed_once_and_up_to_a_bound() {
        let (padding, response_port) = (0x0026, 0x0027);
        let message =
            request(&[(padding, &[0; 9]), (response_port, &[1, 2]), (0xc001, b"x"), (padding, b"")]);
        assert_eq!(unknown(&message, true), [padding, response_port]);
        assert_eq!(unknown(&request(&[(CHANGE_REQUEST, &[0; 4])]), false), [CHANGE_REQUEST]);
        let many: Vec<(u16, &[u8])> = (0x100..0x200).map(|kind| (kind, &[][..])).collect();
        assert_eq!(unknown(&request(&many), true), (0x100..0x120).collect::<Vec<u16>>());
        let behind_integrity = request(&[(MESSAGE_INTEGRITY, &[0; 20]), (padding, &[0; 4])]);
        assert_eq!(unknown(&behind_integrity, true), [0; 0]);
    }

    #[test]
    fn what_is_no_request_is_not_read() {
        let good = request(&[(0x8022, b"software")]);
        let refused = |message: &[u8]| Request::read(message, true).unwrap_err();
        for length in 0..good.len() {
            assert_eq!(refused(&good[..length]), NoRequest::Malformed, "{length} bytes");
        }
        for (at, bit, why) in [
            (0, 0x01, NoRequest::Kind),       // a response
            (1, 0x10, NoRequest::Kind),       // an indication
            (1, 0x02, NoRequest::Kind),       // Allocate
            (3, 0x01, NoRequest::Malformed),  // a length that is not there
            (4, 0x01, NoRequest::Malformed),  // another cookie
            (23, 0x80, NoRequest::Malformed), // an attribute longer than the message
        ] {
            let mut other = good.clone();
            other[at] ^= bit;
            assert_eq!(refused(&other), why, "byte {at}");
        }
        assert_eq!(refused(&request(&[(CHANGE_REQUEST, &[0; 5])])), NoRequest::Malformed);
        assert_eq!(refused(&[good, vec![0; 4]].concat()), NoRequest::Malformed);
    }

    #[test]
    fn a_fingerprint_is_last_and_right() {
        let covered = request(&[(0x8022, b"test"), (FINGERPRINT, &[0; 4])]);
        let sum = fingerprint(&covered[..covered.len() - FINGERPRINT_LEN]).to_be_bytes();
        let good = request(&[(0x8022, b"test"), (FINGERPRINT, &sum)]);
        assert!(Request::read(&good, false).unwrap().fingerprint);
        for bit in 20 * 8..good.len() * 8 {
            let mut other = good.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            // A turned bit may hide the attribute: then the message bears none, or is malformed.
            assert!(!Request::read(&other, false).is_ok_and(|request| request.fingerprint), "bit {bit}");
        }
        let behind = request(&[(FINGERPRINT, &sum), (0x8022, b"test")]);
        assert_eq!(Request::read(&behind, false).unwrap_err(), NoRequest::Malformed);
    }

    #[test]
    fn requests_say_what_is_to_change() {
        let id = *b"abcdefghijkl";
        assert_eq!(write(&id, Change::default()), [&[0, 1, 0, 0][..], &COOKIE, &id].concat());
        for change in [(true, true), (false, true), (true, false)] {
            let change = Change { ip: change.0, port: change.1 };
            assert_eq!(Request::read(&write(&id, change), true).unwrap().change, change);
        }
        let both = write(&id, Change { ip: true, port: true });
        assert_eq!(both[..4], [0, 1, 0, 8]);
        assert_eq!(both[20..], [0, 3, 0, 4, 0, 0, 0, 6]);
    }
}
