//! The answer to a Binding request, written into a buffer.
//!
//! * At most 124 bytes, and at most 5.8 times its request: no SOFTWARE, and FINGERPRINT only for who sent one.
//! * Success, or error 420 with the types that were not understood; nothing else is ever said.
//! * A buffer without room for all of it gets no answer at all.
//!
//! Source: RFC 8489, sections 5, 6.3.1 and 14; RFC 5780, sections 6.1 and 7.

use crate::stun_request::{FINGERPRINT_LEN, Request};
use crate::stun_wire::{
    BINDING_ERROR, BINDING_SUCCESS, COOKIE, ERROR_CODE, FINGERPRINT, HEADER_LEN, MAPPED_ADDRESS,
    OTHER_ADDRESS, RESPONSE_ORIGIN, UNKNOWN_ATTRIBUTES, XOR_MAPPED_ADDRESS, fingerprint,
};
use std::net::{IpAddr, SocketAddr};

/// What a success response says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Success {
    /// The client's address, as it is seen here.
    pub mapped: SocketAddr,
    /// What RFC 5780 adds.
    pub behaviour: Option<Behaviour>,
}

/// What a response says for a client that discovers a NAT's behaviour; MAPPED-ADDRESS is then said, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behaviour {
    /// Where the response comes from, if that is known.
    pub origin: Option<SocketAddr>,
    /// Where a response with address and port changed would come from.
    pub other: Option<SocketAddr>,
}

impl Success {
    /// Writes the response; its bytes, `None` if they do not fit.
    pub fn write(&self, request: &Request, room: &mut [u8]) -> Option<usize> {
        let mut message = Message::begin(BINDING_SUCCESS, request, room)?;
        message.xor_address(self.mapped, &request.transaction)?;
        if let Some(Behaviour { origin, other }) = self.behaviour {
            message.address(MAPPED_ADDRESS, self.mapped)?;
            origin.map_or(Some(()), |origin| message.address(RESPONSE_ORIGIN, origin))?;
            other.map_or(Some(()), |other| message.address(OTHER_ADDRESS, other))?;
        }
        message.end(request)
    }
}

/// Writes the error response for types that were not understood; its bytes, `None` if they do not fit.
pub fn write_unknown(request: &Request, room: &mut [u8]) -> Option<usize> {
    let mut message = Message::begin(BINDING_ERROR, request, room)?;
    let kinds = request.unknown.kinds();
    message.attribute(ERROR_CODE, 4 + REASON_PHRASE.len())?;
    message.put(&[0, 0, 4, 20])?;
    message.put(REASON_PHRASE)?;
    message.attribute(UNKNOWN_ATTRIBUTES, 2 * kinds.len())?;
    kinds.iter().try_for_each(|kind| message.put(&kind.to_be_bytes()))?;
    if kinds.len() % 2 == 1 {
        message.put(&[0, 0])?;
    }
    message.end(request)
}

/// A message being written.
struct Message<'a> {
    room: &'a mut [u8],
    length: usize,
}

impl<'a> Message<'a> {
    fn begin(kind: u16, request: &Request, room: &'a mut [u8]) -> Option<Message<'a>> {
        let mut message = Message { room, length: 0 };
        message.put(&kind.to_be_bytes())?;
        // The length comes last.
        message.put(&[0, 0])?;
        message.put(&COOKIE)?;
        message.put(&request.transaction)?;
        Some(message)
    }

    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.length + bytes.len();
        self.room.get_mut(self.length..end)?.copy_from_slice(bytes);
        self.length = end;
        Some(())
    }

    /// The type and length of an attribute whose value follows.
    fn attribute(&mut self, kind: u16, length: usize) -> Option<()> {
        self.put(&kind.to_be_bytes())?;
        self.put(&u16::try_from(length).ok()?.to_be_bytes())
    }

    fn address(&mut self, kind: u16, address: SocketAddr) -> Option<()> {
        self.masked_address(kind, address, &[0; 16])
    }

    fn xor_address(&mut self, address: SocketAddr, transaction: &[u8; 12]) -> Option<()> {
        let mut mask = [0; 16];
        let (cookie, rest) = mask.split_at_mut(COOKIE.len());
        cookie.copy_from_slice(&COOKIE);
        rest.copy_from_slice(transaction);
        self.masked_address(XOR_MAPPED_ADDRESS, address, &mask)
    }

    /// An address, port and address masked by the mask's first bytes.
    fn masked_address(&mut self, kind: u16, address: SocketAddr, mask: &[u8; 16]) -> Option<()> {
        let (family, octets, count) = match address.ip() {
            IpAddr::V4(ip) => (FAMILY_V4, ip.to_ipv6_mapped().octets(), 4),
            IpAddr::V6(ip) => (FAMILY_V6, ip.octets(), 16),
        };
        self.attribute(kind, 4 + count)?;
        self.put(&[0, family])?;
        let [high, low, ..] = *mask;
        self.put(&(address.port() ^ u16::from_be_bytes([high, low])).to_be_bytes())?;
        // An IPv4 address stands in the last bytes of its IPv6 form.
        let octets = octets.iter().skip(octets.len() - count).zip(mask);
        octets.map(|(octet, mask)| octet ^ mask).try_for_each(|octet| self.put(&[octet]))
    }

    /// Writes the length, and FINGERPRINT if the request bore one.
    fn end(mut self, request: &Request) -> Option<usize> {
        let last = if request.fingerprint { FINGERPRINT_LEN } else { 0 };
        let length = u16::try_from(self.length + last - HEADER_LEN).ok()?;
        self.room.get_mut(2..4)?.copy_from_slice(&length.to_be_bytes());
        if request.fingerprint {
            let sum = fingerprint(self.room.get(..self.length)?);
            self.attribute(FINGERPRINT, 4)?;
            self.put(&sum.to_be_bytes())?;
        }
        Some(self.length)
    }
}

const FAMILY_V4: u8 = 1;
const FAMILY_V6: u8 = 2;
/// Short, so that an answer to a request of 24 bytes is at most twice as long; whole words.
const REASON_PHRASE: &[u8] = b"Unknown type";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stun_request::Request;

    /// The shortest request that bears this much, and what is asked with it.
    fn asked(unknown: u16, with_fingerprint: bool) -> (usize, Request) {
        let mut message = [&[0, 1, 0, 0][..], &COOKIE, &[3; 12]].concat();
        (0..unknown).for_each(|kind| message.extend([&(0x40 + kind).to_be_bytes()[..], &[0, 0]].concat()));
        let length = message.len() - HEADER_LEN + if with_fingerprint { FINGERPRINT_LEN } else { 0 };
        message[2..4].copy_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
        if with_fingerprint {
            let sum = fingerprint(&message);
            message.extend([&FINGERPRINT.to_be_bytes()[..], &[0, 4], &sum.to_be_bytes()].concat());
        }
        (message.len(), Request::read(&message, false).unwrap())
    }

    #[test]
    fn t4_answers_weigh_at_most_what_is_stated() {
        let (mut binding, mut behaviour, mut rejection) = (0.0_f64, 0.0_f64, 0.0_f64);
        let mut room = [0; 256];
        let factor = |len: Option<usize>, asked: usize| len.unwrap() as f64 / asked as f64;
        for with_fingerprint in [false, true] {
            let (len, request) = asked(0, with_fingerprint);
            for mapped in ["192.0.2.1:4000", "[2001:db8::1]:4000"].map(|it| it.parse().unwrap()) {
                let success = Success { mapped, behaviour: None };
                binding = binding.max(factor(success.write(&request, &mut room), len));
                let both = Some(Behaviour { origin: Some(mapped), other: Some(mapped) });
                let success = Success { behaviour: both, ..success };
                behaviour = behaviour.max(factor(success.write(&request, &mut room), len));
            }
            for unknown in 1..100 {
                let (len, request) = asked(unknown, with_fingerprint);
                rejection = rejection.max(factor(write_unknown(&request, &mut room), len));
            }
        }
        assert_eq!((binding, behaviour, rejection), (2.2, 5.8, 2.0));
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        let (_, request) = asked(0, true);
        let success = Success { mapped: "192.0.2.1:4000".parse().unwrap(), behaviour: None };
        assert_eq!(success.write(&request, &mut [0; 40]), Some(40));
        assert!((0..40).all(|room| success.write(&request, &mut vec![0; room]).is_none()));
    }
}
