//! Forged and stolen headers: changed bits, other sources, other reflectors.
//!
//! * Every count has its positive control: the same header unchanged is relayed.

use crate::random::Random;
use crate::setup::address;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use wire::mint::{send_header, verify_ticket};
use wire::{Form, HEADER_LEN, Header, KeyRing, Kind, Policy, Reason, Verdict, decide};

#[test]
fn t2_every_flipped_bit_of_ten_thousand_headers_is_refused() {
    let mut random = Random::new(2);
    let policy = Policy::default();
    for _ in 0..10_000 {
        let left_s = random.u32() % 601;
        let Talk { ring, header, source, destination } = Talk::with_left(&mut random, left_s);
        let relayed = decide(&mut header.clone(), source, NOW, &ring, &policy);
        assert_eq!(relayed, Verdict::Relay { to: destination, class_key: header[1] }, "the positive control");
        for bit in 0..8 * HEADER_LEN {
            let mut forged = header;
            forged[bit / 8] ^= 1 << (bit % 8);
            let before = forged;
            let verdict = decide(&mut forged, source, NOW, &ring, &policy);
            if before[0] == Kind::Probe as u8 {
                // A PROBE's header is not trusted: its sender learns its own address and nothing else.
                assert_eq!(verdict, Verdict::Observe);
                assert_eq!(Header::read(&forged).peer, address(source));
            } else {
                assert!(matches!(verdict, Verdict::Drop(_)), "bit {bit} of {header:02x?}: {verdict:?}");
                assert_eq!(forged, before);
            }
        }
    }
}

#[test]
fn t2_every_flipped_bit_of_a_ticket_is_refused() {
    let mut random = Random::new(3);
    let policy = Policy::default();
    for _ in 0..2_000 {
        let Talk { ring, source, .. } = Talk::new(&mut random);
        let mut ticket = [0; HEADER_LEN];
        ticket[0] = Kind::Probe as u8;
        assert_eq!(decide(&mut ticket, source, NOW, &ring, &policy), Verdict::Observe);
        assert_eq!(verify_ticket(&ring, &Header::read(&ticket), NOW), Ok(address(source)));
        for bit in 0..8 * HEADER_LEN {
            let mut forged = ticket;
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(verify_ticket(&ring, &Header::read(&forged), NOW).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn t2_a_million_random_tags_are_refused() {
    let mut random = Random::new(4);
    let policy = Policy::default();
    let Talk { ring, header, source, destination } = Talk::new(&mut random);
    for _ in 0..1_000_000 {
        let mut forged = header;
        forged[24..].copy_from_slice(&random.u64().to_le_bytes());
        assert_eq!(decide(&mut forged, source, NOW, &ring, &policy), Verdict::Drop(Reason::Tag));
    }
    assert_eq!(
        decide(&mut header.clone(), source, NOW, &ring, &policy),
        Verdict::Relay { to: destination, class_key: header[1] }
    );
}

#[test]
fn t6_a_stolen_header_is_refused_from_a_million_other_sources() {
    let mut random = Random::new(6);
    let policy = Policy::default();
    for _ in 0..10 {
        let Talk { ring, header, source, destination } = Talk::new(&mut random);
        let refused = |other: SocketAddr| {
            if other != source {
                let mut stolen = header;
                let verdict = decide(&mut stolen, other, NOW, &ring, &policy);
                assert_eq!(verdict, Verdict::Drop(Reason::Tag), "from {other} instead of {source}");
                assert_eq!(stolen, header);
            }
        };
        for port in 0..=u16::MAX {
            refused(SocketAddr::new(source.ip(), port));
        }
        for _ in 0..35_000 {
            refused(random.public());
            refused(SocketAddr::new(random.public().ip(), source.port()));
        }
        for bit in 0..128 {
            refused(SocketAddr::new(with_bit_flipped(source.ip(), bit), source.port()));
        }
        refused(destination);
        if let SocketAddr::V4(v4) = source {
            // The same 16 bytes in the tag, claimed by an IPv6 datagram.
            refused(SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into());
        }
        let verdict = decide(&mut header.clone(), source, NOW, &ring, &policy);
        assert_eq!(verdict, Verdict::Relay { to: destination, class_key: header[1] }, "the positive control");
    }
}

#[test]
fn a_capability_of_one_ring_proves_nothing_to_another() {
    let mut random = Random::new(7);
    let policy = Policy::default();
    for _ in 0..10_000 {
        let Talk { ring, header, source, .. } = Talk::new(&mut random);
        let same_id = KeyRing::new(&[(ring.minting().get(), random.secret())]).unwrap();
        let other_id = KeyRing::new(&[(ring.minting().get() ^ 1, random.secret())]).unwrap();
        let by = |ring| decide(&mut header.clone(), source, NOW, ring, &policy);
        assert_eq!(by(&same_id), Verdict::Drop(Reason::Tag));
        assert_eq!(by(&other_id), Verdict::Drop(Reason::Key));
    }
}

#[test]
fn one_tag_serves_both_directions_and_no_third() {
    let mut random = Random::new(8);
    let policy = Policy::default();
    for _ in 0..10_000 {
        let Talk { ring, header, source, destination } = Talk::new(&mut random);
        let mut datagram = header;
        assert_eq!(
            decide(&mut datagram, source, NOW, &ring, &policy),
            Verdict::Relay { to: destination, class_key: header[1] }
        );
        datagram[0] = header[0];
        let answer = datagram;
        assert_eq!(
            decide(&mut datagram, destination, NOW, &ring, &policy),
            Verdict::Relay { to: source, class_key: header[1] }
        );
        datagram[0] = header[0];
        assert_eq!(datagram, header, "two swaps are none");
        // Who overhears the answer's header can neither send it nor aim the first one at itself.
        let third = random.public();
        assert_eq!(decide(&mut answer.clone(), third, NOW, &ring, &policy), Verdict::Drop(Reason::Tag));
        let aimed = Header { peer: address(third), ..Header::read(&header) };
        let verdict = decide(&mut aimed.to_bytes(), source, NOW, &ring, &policy);
        assert_eq!(verdict, Verdict::Drop(Reason::Tag));
    }
}

/// Two public addresses of random families and a header, plain or sealed, by which the first may send to the second.
struct Talk {
    ring: KeyRing,
    header: [u8; HEADER_LEN],
    source: SocketAddr,
    destination: SocketAddr,
}

impl Talk {
    fn new(random: &mut Random) -> Self {
        let left_s = 150 + random.u32() % 451;
        Self::with_left(random, left_s)
    }

    fn with_left(random: &mut Random, left_s: u32) -> Self {
        let ring = KeyRing::new(&[(random.u8() & 15, random.secret())]).unwrap();
        let (source, destination) = (random.public(), random.public());
        let (class, expires) = (random.u8() & 15, NOW + left_s);
        let form = if random.u8() & 1 == 0 { Form::Plain } else { Form::Sealed };
        let header = send_header(&ring, form, class, expires, address(source), address(destination)).unwrap();
        Self { ring, header: header.to_bytes(), source, destination }
    }
}

fn with_bit_flipped(ip: IpAddr, bit: u32) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => IpAddr::V4((ip.to_bits() ^ 1 << (bit % 32)).into()),
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() ^ 1 << bit).into()),
    }
}

const NOW: u32 = 1_800_000_000;
