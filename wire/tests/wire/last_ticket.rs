//! The ticket that a PROBE may carry: what it proves, and that nothing else depends on it.

use crate::random::Random;
use crate::setup::address;
use std::net::SocketAddr;
use wire::mint::send_header;
use wire::{Form, HEADER_LEN, Header, KeyRing, Kind, LastTicket, Policy, Verdict, decide};

#[test]
fn an_observed_sent_back_as_a_probe_proves_its_source_until_it_expires() {
    let mut random = Random::new(90);
    for _ in 0..2_000 {
        let (ring, source) = (ring(&mut random), random.public());
        let probe = probe_with_ticket(&ring, source, NOW);
        let ticket = LastTicket::of_probe(&probe).unwrap();
        for (now, proves) in [(NOW, true), (NOW + 120, true), (NOW + 121, false), (NOW - 1, false)] {
            assert_eq!(ticket.proves(source, now, &ring), proves, "at {now}");
        }
        assert!(!ticket.proves(random.public(), NOW, &ring));
        assert!(!ticket.proves(SocketAddr::new(source.ip(), source.port() ^ 1), NOW, &ring));
        let another = KeyRing::new(&[(ring.minting().get(), random.secret())]).unwrap();
        assert!(!ticket.proves(source, NOW, &another));
    }
}

#[test]
fn every_flipped_bit_of_what_is_read_proves_nothing() {
    let mut random = Random::new(91);
    for _ in 0..500 {
        let (ring, source) = (ring(&mut random), random.public());
        let probe = probe_with_ticket(&ring, source, NOW);
        for bit in 8..8 * HEADER_LEN {
            let mut forged = probe;
            forged[bit / 8] ^= 1 << (bit % 8);
            let read = matches!(bit / 8, 1 | 4..8 | 24..);
            let proves = LastTicket::of_probe(&forged).unwrap().proves(source, NOW, &ring);
            assert_eq!(proves, !read, "bit {bit}");
        }
    }
}

#[test]
fn neither_zeros_nor_a_capability_is_one() {
    let mut random = Random::new(92);
    let (ring, source) = (ring(&mut random), random.public());
    let proves = |bytes: &[u8]| LastTicket::of_probe(bytes).is_some_and(|it| it.proves(source, NOW, &ring));
    assert!(!proves(&[0; 64]) && !proves(&[0xff; 64]) && !proves(&[0x08; 31]));
    for form in [Form::Plain, Form::Sealed] {
        for to in [source, random.public()] {
            let header = send_header(&ring, form, 0, NOW + 100, address(source), address(to)).unwrap();
            assert!(!proves(&header.to_bytes()));
        }
    }
}

#[test]
fn the_answer_to_a_probe_does_not_depend_on_its_ticket() {
    let mut random = Random::new(93);
    let (ring, source) = (ring(&mut random), random.public());
    let mut bare = [0; HEADER_LEN];
    bare[0] = Kind::Probe as u8;
    let mut with_ticket = probe_with_ticket(&ring, source, NOW - 60);
    for probe in [&mut bare, &mut with_ticket] {
        assert_eq!(decide(probe, source, NOW, &ring, &Policy::default()), Verdict::Observe);
    }
    assert_eq!(bare, with_ticket);
}

/// A PROBE as an endpoint sends it that was observed at `then`.
fn probe_with_ticket(ring: &KeyRing, source: SocketAddr, then: u32) -> [u8; HEADER_LEN] {
    let mut datagram = [0; HEADER_LEN];
    datagram[0] = Kind::Probe as u8;
    assert_eq!(decide(&mut datagram, source, then, ring, &Policy::default()), Verdict::Observe);
    let probe = wire::last_ticket::probe(Some(&Header::read(&datagram))).to_bytes();
    let (read, ignored) = ([1..2, 4..8, 24..32], [2..4, 8..24]);
    assert!(read.into_iter().all(|bytes| probe[bytes.clone()] == datagram[bytes]));
    assert!(ignored.into_iter().all(|bytes| probe[bytes].iter().all(|byte| *byte == 0)));
    probe
}

fn ring(random: &mut Random) -> KeyRing {
    KeyRing::new(&[(random.u8() & 15, random.secret())]).unwrap()
}

const NOW: u32 = 1_800_000_000;
