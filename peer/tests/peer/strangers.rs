//! Who is nobody's peer: forged DATA, copies of true messages from elsewhere, addresses that a thief would like to be.
//!
//! * A copy is authentic, so it is delivered; what it must not do is move where anything is sent.
//! * Each refusal has a positive control: the same bytes from the right place are taken.

use crate::world::World;
use peer::{Event, Path, Transmit};
use std::net::SocketAddr;
use wire::json::header::HeaderJson;
use wire::{HEADER_LEN, Header, Kind, TransportAddress};

const THIEF: &str = "45.66.66.66:6666";

/// Two who talk through the reflector only, and messages from 0 to 1 that have not arrived yet.
fn reflected_call() -> (World, Vec<Vec<u8>>) {
    let mut world = World::pair("apdm/apdf", "apdm/apdf");
    world.start_all();
    world.say(0, 1, b"hello");
    world.run(3_000_000);
    assert!(matches!(world.path(1, 0), Path::Reflected(_)));
    let now_us = world.now_us;
    let peer = world.peer(0, 1);
    let core = world.hosts[0].core.as_mut().unwrap();
    let sealed = (0..20_u8).map(|number| {
        core.send(peer, &[number], now_us).unwrap();
        let sent = std::iter::from_fn(|| core.poll_transmit()).last().unwrap();
        assert_eq!(sent.bytes[HEADER_LEN + 1], 3, "a DATAGRAM, through the reflector");
        sent.bytes[HEADER_LEN..].to_vec()
    });
    let sealed = sealed.collect();
    (world, sealed)
}

/// DATA that says it comes from `peer`.
fn data(peer: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let peer = TransportAddress::from_socket(peer).unwrap();
    let header = Header { kind: Kind::Data as u8, class_key: 0x13, expires: u32::MAX, peer, tag: 0x5eed };
    [&HeaderJson::from(header).0.0[..], payload].concat()
}

/// Whether a datagram carries the application's bytes to an address, directly or through a reflector.
fn carries_to(sent: &Transmit, address: SocketAddr) -> bool {
    let (to, form) = match sent.bytes.first() {
        Some(0x0c) => (sent.destination, sent.bytes[1]),
        Some(0x0a) => {
            let header = Header::read(sent.bytes.first_chunk().unwrap());
            (header.peer.to_socket(), sent.bytes[HEADER_LEN + 1])
        }
        _ => return false,
    };
    to == address && form != 4
}

#[test]
fn data_from_who_is_no_own_reflector_is_nothing() {
    let (mut world, sealed) = reflected_call();
    let (now_us, path) = (world.now_us, world.path(1, 0));
    let (reflector, alice) = (world.relays[0].address, world.hosts[0].inside);
    let core = world.hosts[1].core.as_mut().unwrap();
    for copy in &sealed {
        for source in [THIEF, "93.184.0.1:3478", "93.184.0.0:3479"] {
            core.handle_datagram(source.parse().unwrap(), &data(alice, copy), now_us);
            assert_eq!((core.poll_event(), core.poll_transmit()), (None, None), "from {source}");
        }
    }
    assert_eq!(world.path(1, 0), path);
    let core = world.hosts[1].core.as_mut().unwrap();
    core.handle_datagram(reflector, &data(alice, &sealed[0]), now_us);
    assert!(matches!(core.poll_event(), Some(Event::Datagram { bytes, .. }) if bytes == [0]));
}

#[test]
fn a_copy_in_data_from_elsewhere_turns_no_header() {
    let (mut world, sealed) = reflected_call();
    let (reflector, thief) = (world.relays[0].address, THIEF.parse().unwrap());
    let (peer, mut now_us) = (world.peer(1, 0), world.now_us);
    let core = world.hosts[1].core.as_mut().unwrap();
    let mut asked = 0;
    for (number, copy) in sealed.iter().enumerate() {
        // The thief has a right of its own to send to us, and puts a true message into it.
        core.handle_datagram(reflector, &data(thief, copy), now_us);
        assert!(matches!(core.poll_event(), Some(Event::Datagram { .. })), "copy {number} is authentic");
        core.send(peer, b"for alice only", now_us).unwrap();
        for sent in std::iter::from_fn(|| core.poll_transmit()) {
            assert!(!carries_to(&sent, thief), "copy {number}");
            let is_send = sent.bytes[0] == 0x0a;
            asked += usize::from(
                is_send && Header::read(sent.bytes.first_chunk().unwrap()).peer.to_socket() == thief,
            );
        }
        now_us += 100_000;
        core.handle_timeout(now_us);
    }
    assert!((1..=4).contains(&asked), "{asked} challenges: the address is asked first, and not often");
}

#[test]
fn a_copy_that_comes_directly_is_asked_before_it_is_a_path() {
    let mut world = World::pair("eim/eif", "eim/eif");
    let thief = world.add("open".parse().unwrap());
    // Nothing passes directly, so the two begin through the reflector; what they try directly is stolen.
    world.cut.push((0, 1));
    world.start(0);
    world.start(1);
    world.run(2_000_000);
    world.say(0, 1, b"hello");
    world.run(200_000);
    let source = world.hosts[thief].inside;
    for number in 0..30_u8 {
        world.say(0, 1, &[number]);
        for (from, _, to, bytes) in std::mem::take(&mut world.stolen) {
            if from == 0 {
                world.forge(source, to, bytes);
            }
        }
        world.run(1);
        world.say(1, 0, b"for the other only");
        assert_ne!(world.path(1, 0), Path::Direct(source), "after {number} copies");
        world.run(100_000);
    }
    let reached: Vec<_> = world.unheard.iter().filter(|hop| hop.to == thief).collect();
    let forms: std::collections::BTreeSet<u8> = reached.iter().map(|hop| hop.bytes[1]).collect();
    // The answer to a first message (2) goes back where that came from, as does a challenge (4); datagrams (3) do not.
    assert!(!forms.contains(&3), "application bytes went to the thief: {forms:?}");
    assert!(forms.contains(&4), "the source was challenged");
    let copies = world.received(1).len();
    assert!(copies > 20, "{copies}: the copies are authentic and arrive");
}
