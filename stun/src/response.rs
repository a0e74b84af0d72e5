//! The response to a Binding request: written into a buffer by servers, read by clients.
//!
//! * At most 124 bytes, and at most 5.8 times its request: no SOFTWARE, and FINGERPRINT only for who sent one.
//! * Success, or error 420 with the types that were not understood; nothing else is ever said.
//! * A buffer without room for all of it gets no answer at all.
//!
//! Source: RFC 8489, sections 5, 6.3.1 and 14; RFC 5780, sections 6.1 and 7.

use crate::address::{self, Mask};
use crate::message::{
    Attribute, BINDING_ERROR, BINDING_SUCCESS, COOKIE, ERROR_CODE, FINGERPRINT, HEADER_LEN, Head,
    MAPPED_ADDRESS, OTHER_ADDRESS, RESPONSE_ORIGIN, TransactionId, UNKNOWN_ATTRIBUTES, XOR_MAPPED_ADDRESS,
    fingerprint,
};
use crate::request::{FINGERPRINT_LEN, Request};
use std::net::SocketAddr;

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
        message.address(XOR_MAPPED_ADDRESS, self.mapped, Mask::of(&request.transaction))?;
        if let Some(Behaviour { origin, other }) = self.behaviour {
            message.address(MAPPED_ADDRESS, self.mapped, Mask::NONE)?;
            origin.map_or(Some(()), |origin| message.address(RESPONSE_ORIGIN, origin, Mask::NONE))?;
            other.map_or(Some(()), |other| message.address(OTHER_ADDRESS, other, Mask::NONE))?;
        }
        message.end(request)
    }
}

/// What a client learns from a success response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The request that it answers.
    pub transaction: TransactionId,
    /// The client's reflexive transport address (XOR-MAPPED-ADDRESS).
    pub mapped: SocketAddr,
    /// The server's other address and port (OTHER-ADDRESS), if it has one.
    pub other: Option<SocketAddr>,
}

impl Bound {
    /// Reads a Binding success response; `None` for everything else. Attributes that are not known are skipped.
    pub fn read(datagram: &[u8]) -> Option<Self> {
        let (head, body) = Head::read(datagram)?;
        let mut rest = body.get(..head.length)?;
        let (mut mapped, mut other) = (None, None);
        while !rest.is_empty() {
            let attribute = Attribute::first(rest)?;
            match attribute.kind {
                XOR_MAPPED_ADDRESS => mapped = address::read(attribute.value, Mask::of(&head.transaction)),
                OTHER_ADDRESS => other = address::read(attribute.value, Mask::NONE),
                _ => {}
            }
            rest = attribute.rest;
        }
        let Head { kind, transaction, .. } = head;
        (kind == BINDING_SUCCESS).then_some(Self { transaction, mapped: mapped?, other })
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
    fn begin(kind: u16, request: &Request, room: &'a mut [u8]) -> Option<Self> {
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

    fn address(&mut self, kind: u16, address: SocketAddr, mask: Mask) -> Option<()> {
        let value = address::Value::new(address, mask);
        self.attribute(kind, value.as_bytes().len())?;
        self.put(value.as_bytes())
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

/// Short, so that an answer to a request of 24 bytes is at most twice as long; whole words.
const REASON_PHRASE: &[u8] = b"Unknown type";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    /// RFC 5769 section 2.2, without its MESSAGE-INTEGRITY and FINGERPRINT.
    const IPV4: &str = "\
        0101001c2112a442b7e7a701bc34d686fa87dfae\
        8022000b7465737420766563746f7220002000080001a147e112a643";
    /// RFC 5769 section 2.3, likewise.
    const IPV6: &str = "\
        010100282112a442b7e7a701bc34d686fa87dfae\
        8022000b7465737420766563746f7220002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9";

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn the_answers_of_rfc_5769_are_read() {
        let read = |hex| Bound::read(&bytes(hex)).unwrap();
        assert_eq!(read(IPV4).mapped, "192.0.2.1:32853".parse().unwrap());
        let right = "[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap();
        assert_eq!((read(IPV6).mapped, read(IPV6).other), (right, None));
    }

    #[test]
    fn an_answer_with_another_address_is_behaviour_discovery() {
        let (_, request) = asked(0, true);
        let [mapped, origin, other] =
            ["192.0.2.1:4000", "192.0.2.9:3478", "192.0.2.10:3479"].map(|it| it.parse().unwrap());
        let mut room = [0; 256];
        let mut read = |behaviour| {
            let length = Success { mapped, behaviour }.write(&request, &mut room).unwrap();
            Bound::read(&room[..length]).unwrap()
        };
        assert_eq!(read(None), Bound { transaction: [3; 12], mapped, other: None });
        let behaviour = Behaviour { origin: Some(origin), other: Some(other) };
        assert_eq!(read(Some(behaviour)), Bound { transaction: [3; 12], mapped, other: Some(other) });
        let length = write_unknown(&asked(3, false).1, &mut room).unwrap();
        assert_eq!(Bound::read(&room[..length]), None, "an error is no success");
        assert_eq!(Bound::read(&crate::request::write(&[3; 12], crate::request::Change::default())), None);
    }

    proptest! {
        #[test]
        fn cut_and_broken_answers_do_no_harm(cut in 0_usize..70, place in 0_usize..60, byte: u8) {
            let mut answer = bytes(IPV6);
            if let Some(it) = answer.get_mut(place) { *it = byte; }
            answer.truncate(cut);
            prop_assert!(cut >= 60 || Bound::read(&answer).is_none());
        }
    }
}
