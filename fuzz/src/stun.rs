//! Fuzzes STUN: any datagram from any source, its header and FINGERPRINT repaired so that the code behind is reached.
//!
//! ```text
//! input   switches | source address (16) | source port (2) | datagram
//! ```
//!
//! * An answer has at most 2.2 times the bytes of its request, 5.8 times with RFC 5780.
//! * An answer is a whole message of the same transaction, and never taken for a request.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use stun::message::{BINDING_REQUEST, COOKIE, FINGERPRINT, HEADER_LEN, fingerprint, starts_like_stun};
use stun::request::{NoRequest, Request};
use stun::response::{Behaviour, Success, write_unknown};

fuzz_target!(|input: &[u8]| {
    let Some((switches, rest)) = input.split_first() else { return };
    let Some((address, rest)) = rest.split_first_chunk::<16>() else { return };
    let Some((port, datagram)) = rest.split_first_chunk::<2>() else { return };
    let ip = IpAddr::from(Ipv6Addr::from(*address)).to_canonical();
    let source = SocketAddr::new(ip, u16::from_be_bytes(*port));
    let mut datagram = datagram.to_vec();
    if switches & REPAIR != 0 {
        repair(&mut datagram);
    }
    match Request::read(&datagram, switches & CHANGES != 0) {
        Err(_) => {}
        Ok(request) => {
            assert!(starts_like_stun(&datagram));
            check(&datagram, &request, source);
        }
    }
});

fn check(datagram: &[u8], request: &Request, source: SocketAddr) {
    let mut room = [0; 256];
    if request.unknown.kinds().is_empty() {
        let binding = Success { mapped: source, behaviour: None };
        let len = binding.write(request, &mut room).expect("it fits");
        weigh(datagram, request, &room[..len], 22);
        let both = Behaviour { origin: Some(source), other: Some(source) };
        let behaviour = Success { behaviour: Some(both), ..binding };
        let len = behaviour.write(request, &mut room).expect("it fits");
        weigh(datagram, request, &room[..len], 58);
        assert_eq!(behaviour.write(request, &mut room[..len - 1]), None, "there was no room");
    } else {
        let len = write_unknown(request, &mut room).expect("it fits");
        weigh(datagram, request, &room[..len], 22);
    }
}

/// At most so many tenths of the request's bytes, and an answer to it.
fn weigh(datagram: &[u8], request: &Request, answer: &[u8], most_tenths: usize) {
    assert!(answer.len() * 10 <= datagram.len() * most_tenths, "{} for {}", answer.len(), datagram.len());
    assert!(starts_like_stun(answer) && answer.len().is_multiple_of(4));
    assert_eq!(answer[8..HEADER_LEN], request.transaction);
    assert_eq!(usize::from(u16::from_be_bytes([answer[2], answer[3]])), answer.len() - HEADER_LEN);
    for changes in [false, true] {
        assert_eq!(Request::read(answer, changes), Err(NoRequest::Kind));
    }
    if request.fingerprint {
        let (covered, last) = answer.split_at(answer.len() - 8);
        let sum = fingerprint(covered).to_be_bytes();
        assert_eq!(last, [&FINGERPRINT.to_be_bytes()[..], &[0, 4], &sum].concat());
    }
}

/// Makes type, length and cookie those of a Binding request, and the sum of a last FINGERPRINT right.
fn repair(datagram: &mut Vec<u8>) {
    datagram.resize(datagram.len().max(HEADER_LEN).next_multiple_of(4).min(LONGEST), 0);
    let length = u16::try_from(datagram.len() - HEADER_LEN).expect("a short message");
    datagram[..2].copy_from_slice(&BINDING_REQUEST.to_be_bytes());
    datagram[2..4].copy_from_slice(&length.to_be_bytes());
    datagram[4..8].copy_from_slice(&COOKIE);
    let covered = datagram.len() - 8;
    if length >= 8 && datagram[covered..covered + 2] == FINGERPRINT.to_be_bytes() {
        let sum = fingerprint(&datagram[..covered]);
        datagram[covered + 2..].copy_from_slice(&[&[0, 4][..], &sum.to_be_bytes()].concat());
    }
}

const REPAIR: u8 = 1;
const CHANGES: u8 = 2;
/// A multiple of 4.
const LONGEST: usize = 1_472;
