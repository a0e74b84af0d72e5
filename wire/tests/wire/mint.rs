//! Minting and tickets: what the holder of a ring makes, the reflector takes, and the other way round.

use crate::oracle::{capability, masked, rewritten, tag, written};
use crate::random::Random;
use crate::setup::address;
use std::net::SocketAddr;
use wire::mint::{TicketError, send_header, verify_ticket};
use wire::{Form, HEADER_LEN, Header, KeyRing, Kind, Policy, Reason, TransportAddress, Verdict, decide};

#[test]
fn a_minted_header_is_the_documents_and_is_relayed_in_every_class() {
    let mut random = Random::new(70);
    for _ in 0..2_000 {
        let (from, to) = (random.public(), random.public());
        let keys = [(random.u8() & 7, random.secret()), (8 | random.u8() & 7, random.secret())];
        let ring = KeyRing::new(&keys).unwrap();
        for class in 0..16 {
            let expires = NOW + 150 + random.u32() % 451;
            let class_key = class << 4 | keys[0].0;
            for (form, kind) in [(Form::Plain, 0x0a), (Form::Sealed, 0x0d)] {
                let header = send_header(&ring, form, class, expires, address(from), address(to)).unwrap();
                let (a, b) = (written(from), written(to));
                let right = capability(&keys[0].1, kind, class_key, u64::from(expires), &a, &b);
                let field = if form == Form::Sealed { masked(&keys[0].1, &right, &a, &b) } else { b };
                let bytes = rewritten(&[0; 32], kind, class_key, u64::from(expires), &field, right);
                assert_eq!(header.to_bytes()[..], bytes[..]);
                let mut datagram = header.to_bytes();
                let verdict = decide(&mut datagram, from, NOW, &ring, &Policy::default());
                assert_eq!(verdict, Verdict::Relay { to, class_key });
            }
        }
        for class in 16..=u8::MAX {
            assert_eq!(send_header(&ring, Form::Plain, class, NOW, address(from), address(to)), None);
        }
    }
}

#[test]
fn a_header_is_read_as_it_is_written() {
    let mut random = Random::new(71);
    for _ in 0..10_000 {
        let mut bytes = [0; HEADER_LEN];
        bytes.fill_with(|| random.u8());
        assert_eq!(Header::read(&bytes).to_bytes(), bytes);
    }
}

#[test]
fn a_ticket_proves_its_address_and_every_error_has_its_cause() {
    let (ring, header) = observed();
    assert_eq!(verify_ticket(&ring, &header, NOW), Ok(address(from())));
    for kind in (0..=u8::MAX).filter(|kind| *kind != Kind::Observed as u8) {
        assert_eq!(verify_ticket(&ring, &Header { kind, ..header }, NOW), Err(TicketError::Kind));
    }
    let without = KeyRing::new(&[(5, [0x55; 16])]).unwrap();
    assert_eq!(verify_ticket(&without, &header, NOW), Err(TicketError::Key));
    let of_another = KeyRing::new(&[(6, [0x67; 16])]).unwrap();
    assert_eq!(verify_ticket(&of_another, &header, NOW), Err(TicketError::Tag));
    let moved = TransportAddress { port: header.peer.port + 1, ..header.peer };
    assert_eq!(verify_ticket(&ring, &Header { peer: moved, ..header }, NOW), Err(TicketError::Tag));
    let longer = Header { expires: header.expires - 1, ..header };
    assert_eq!(verify_ticket(&ring, &longer, NOW), Err(TicketError::Tag));
    let classed = Header { class_key: header.class_key | 0x10, ..header };
    assert_eq!(verify_ticket(&ring, &classed, NOW), Err(TicketError::Tag));
    let all = [TicketError::Kind, TicketError::Key, TicketError::Expired, TicketError::Tag];
    let texts = all.map(|error| error.to_string());
    assert!(texts.iter().enumerate().all(|(at, text)| text.len() > 20 && !texts[..at].contains(text)));
}

#[test]
fn a_ticket_is_good_from_its_making_to_its_last_second() {
    let (ring, header) = observed();
    // The reflector's clock may be up to a minute ahead of the one that judges.
    const EARLIEST: u32 = NOW - 60;
    for now in NOW - 300..NOW + 300 {
        let expected = match now {
            EARLIEST..=TICKET_END => Ok(address(from())),
            _ => Err(TicketError::Expired),
        };
        assert_eq!(
            verify_ticket(&ring, &header, now),
            expected,
            "{} s later",
            i64::from(now) - i64::from(NOW)
        );
    }
    assert_eq!(verify_ticket(&ring, &header, 0), Err(TicketError::Expired));
    assert_eq!(verify_ticket(&ring, &header, u32::MAX), Err(TicketError::Expired));
}

#[test]
fn every_key_listed_verifies_a_ticket_and_only_the_first_makes_one() {
    let keys = [(6, [0x66; 16]), (2, [0x22; 16])];
    let (old, header) = observed();
    let both = KeyRing::new(&[keys[1], keys[0]]).unwrap();
    assert_eq!(verify_ticket(&both, &header, NOW), verify_ticket(&old, &header, NOW));
    let mut probe = probe();
    assert_eq!(decide(&mut probe, from(), NOW, &both, &Policy::default()), Verdict::Observe);
    assert_eq!(Header::read(&probe).class_key, 2);
}

#[test]
fn a_ticket_is_never_a_capability_nor_a_capability_a_ticket() {
    let mut random = Random::new(72);
    let nobody = TransportAddress::default();
    let allow_all =
        Policy { allow_destination: crate::setup::blocks(&["::/0", "0.0.0.0/0"]), ..Policy::default() };
    for _ in 0..10_000 {
        let secret = random.secret();
        let ring = KeyRing::new(&[(6, secret)]).unwrap();
        let source = random.public();
        let mut ticket = probe();
        assert_eq!(decide(&mut ticket, source, NOW, &ring, &allow_all), Verdict::Observe);
        let ticket = Header::read(&ticket);
        // Shown to the reflector as a SEND to anybody, itself and the zeros of its own hash included.
        for peer in [address(random.public()), address(source), TransportAddress { port: 4000, ..nobody }] {
            for kind in [Kind::Send, Kind::SealedSend] {
                let mut send = Header { kind: kind as u8, peer, ..ticket }.to_bytes();
                let verdict = decide(&mut send, source, NOW, &ring, &allow_all);
                assert!(matches!(verdict, Verdict::Drop(Reason::Tag | Reason::Destination)), "{verdict:?}");
            }
        }
        // The same address hashed for another purpose.
        let of_one = |purpose| {
            let tag = tag(&secret, purpose, 6, u64::from(ticket.expires), &written(source), None);
            u64::from_le_bytes(tag)
        };
        assert_eq!(ticket.tag, of_one(0x09));
        for purpose in [0x0a, 0x0d] {
            let forged = Header { tag: of_one(purpose), ..ticket };
            assert_eq!(verify_ticket(&ring, &forged, NOW), Err(TicketError::Tag));
        }
        // A capability that was really minted, relabelled.
        for form in [Form::Plain, Form::Sealed] {
            let (from, to) = (address(source), address(random.public()));
            let minted = send_header(&ring, form, 0, NOW + 100, from, to).unwrap();
            let relabelled = Header { kind: Kind::Observed as u8, ..minted };
            assert_eq!(verify_ticket(&ring, &relabelled, NOW), Err(TicketError::Tag));
        }
    }
}

#[test]
fn an_observed_echoes_its_payload_and_nothing_of_the_probes_header() {
    let ring = KeyRing::new(&[(6, [0x66; 16])]).unwrap();
    let mut random = Random::new(73);
    let mut payload = [0; 32];
    payload.fill_with(|| random.u8());
    let answer = |header: [u8; 32]| {
        let mut datagram = [header, payload].concat();
        datagram[0] = Kind::Probe as u8;
        assert_eq!(decide(&mut datagram, from(), NOW, &ring, &Policy::default()), Verdict::Observe);
        datagram
    };
    let of_zeros = answer([0; 32]);
    assert_eq!(of_zeros[32..], payload);
    for _ in 0..1_000 {
        let mut junk = [0; 32];
        junk.fill_with(|| random.u8());
        assert_eq!(answer(junk), of_zeros);
    }
}

/// A ticket as a reflector with key 6 gives it at `NOW`.
fn observed() -> (KeyRing, Header) {
    let ring = KeyRing::new(&[(6, [0x66; 16])]).unwrap();
    let mut probe = probe();
    assert_eq!(decide(&mut probe, from(), NOW, &ring, &Policy::default()), Verdict::Observe);
    (ring, Header::read(&probe))
}

fn probe() -> [u8; HEADER_LEN] {
    let mut probe = [0; HEADER_LEN];
    probe[0] = Kind::Probe as u8;
    probe
}

fn from() -> SocketAddr {
    SocketAddr::from(([45, 48, 249, 8], 59_568))
}

const NOW: u32 = 1_800_000_000;
const TICKET_END: u32 = NOW + 120;
