//! Who hides its address: what it sends, what it takes, and what a buddy can learn of it.

use crate::server::header;
use crate::world::{START_US, World};
use peer::{Event, Path, Why};
use std::net::SocketAddr;
use wire::json::header::HeaderJson;
use wire::{Form, HEADER_LEN, Kind};

const ALICE: usize = 0;
const BOB: usize = 1;

/// Alice hides; NATs through which a direct path would be found at once.
fn hidden_pair(both: bool) -> World {
    let mut world = World::pair("eim/eif", "eim/eif");
    world.server.hidden.insert(ALICE);
    if both {
        world.server.hidden.insert(BOB);
    }
    world
}

/// Asserts that nothing has left a host but PROBEs, and sealed datagrams to its reflector.
fn only_sealed(world: &World, host: usize) {
    let reflectors: Vec<SocketAddr> = world.relays.iter().map(|relay| relay.address).collect();
    for (_, to, bytes) in world.sent.iter().filter(|(from, ..)| *from == host) {
        let kind = bytes[0];
        assert!([Kind::Probe as u8, Kind::SealedSend as u8].contains(&kind), "kind {kind} to {to}");
        assert!(reflectors.contains(to), "sent to {to}");
    }
}

/// Asserts that the address of a host stands in nothing that has left another.
fn is_unseen(world: &World, host: usize, by: usize) {
    let observed = world.hosts[host].core.as_ref().unwrap().contacts()[0].observed.unwrap();
    let SocketAddr::V4(address) = observed else { panic!("IPv4 only") };
    let needle = address.ip().octets();
    let core = world.hosts[by].core.as_ref().unwrap();
    let shown = format!("{:?} {:?}", core.profile(), core.report(world.peer(by, host), world.now_us));
    assert!(!shown.contains(&address.ip().to_string()), "{shown}");
    for (_, to, bytes) in world.sent.iter().filter(|(from, ..)| *from == by) {
        assert_ne!(to.ip(), observed.ip());
        assert!(!bytes.windows(4).any(|window| window == needle), "{to}: {bytes:02x?}");
    }
    for event in &world.hosts[by].events {
        assert!(!format!("{event:?}").contains(&address.ip().to_string()), "{event:?}");
    }
}

#[test]
fn two_who_hide_talk_through_the_reflector_and_learn_nothing_of_each_other() {
    let mut world = hidden_pair(true);
    world.start_all();
    assert!(world.sees(ALICE, BOB) && world.sees(BOB, ALICE));
    world.tell(ALICE, BOB, b"hello");
    world.tell(BOB, ALICE, b"well met");
    // Twice as long as any header lives, with the server away for most of it: they renew each other.
    world.run(100_000_000);
    world.server.up = false;
    for number in 0..600_u32 {
        world.say(ALICE, BOB, &number.to_be_bytes());
        world.run(1_000_000);
    }
    assert_eq!(world.received(BOB).len(), 601);
    assert_eq!(world.received(ALICE), [b"well met"]);
    for (host, other) in [(ALICE, BOB), (BOB, ALICE)] {
        only_sealed(&world, host);
        is_unseen(&world, host, other);
        assert_eq!(world.path(host, other), Path::Reflected(world.relays[0].address));
        let report =
            world.hosts[host].core.as_ref().unwrap().report(world.peer(host, other), world.now_us).unwrap();
        assert_eq!((report.sealed, report.why, report.behaviour), (true, Why::Hidden, None));
    }
}

#[test]
fn a_buddy_of_who_hides_tries_no_direct_path_either() {
    let mut world = hidden_pair(false);
    world.start_all();
    for _ in 0..30 {
        world.say(ALICE, BOB, b"hello");
        world.say(BOB, ALICE, b"well met");
        world.run(1_000_000);
    }
    assert_eq!((world.received(ALICE).len(), world.received(BOB).len()), (30, 30));
    only_sealed(&world, ALICE);
    only_sealed(&world, BOB);
    is_unseen(&world, ALICE, BOB);
    // The control: without hiding, the same two find a direct path.
    let mut open = World::pair("eim/eif", "eim/eif");
    open.start_all();
    open.say(ALICE, BOB, b"hello");
    open.run(3_000_000);
    assert!(matches!(open.path(ALICE, BOB), Path::Direct(_)));
}

#[test]
fn one_way_traffic_to_who_hides_is_heard_of_without_a_challenge() {
    let mut world = hidden_pair(false);
    world.start_all();
    let before = world.sent_by(BOB);
    for _ in 0..600 {
        world.say(BOB, ALICE, b"a frame");
        world.run(100_000);
    }
    assert_eq!(world.received(ALICE).len(), 600);
    let handshakes = world.trace.iter().filter(|hop| hop.bytes[1] == 1).count();
    assert!(handshakes <= 6, "{handshakes} handshakes: silence was suspected");
    assert!(world.sent_by(BOB) - before <= 630, "{} datagrams for 600", world.sent_by(BOB) - before);
    only_sealed(&world, ALICE);
}

#[test]
fn a_hostile_buddy_with_all_addresses_and_plain_headers_gets_no_answer() {
    let mut world = hidden_pair(false);
    world.server.knowing.insert(BOB);
    world.start_all();
    // What comes from Bob is not sealed: Alice hears none of it.
    for _ in 0..30 {
        world.say(BOB, ALICE, b"are you there?");
        world.run(1_000_000);
    }
    only_sealed(&world, ALICE);
    assert_eq!(world.received(ALICE), Vec::<Vec<u8>>::new());
    let direct = |hop: &&crate::world::Hop| hop.to == ALICE && hop.via.is_none();
    assert!(world.trace.iter().filter(direct).count() > 0, "the control: Bob did try directly");
    let kinds: Vec<u8> =
        world.sent.iter().filter(|(from, ..)| *from == BOB).map(|(.., bytes)| bytes[0]).collect();
    assert!(kinds.contains(&(Kind::Send as u8)), "the control: Bob did use plain headers");
    // With a session that was agreed sealed, his CHALLENGEs, CONTACTS and direct datagrams bring no more.
    world.server.knowing.remove(&BOB);
    world.with(BOB, |core| core.refresh(START_US + 31_000_000));
    world.run(5_000_000);
    world.say(ALICE, BOB, b"hello");
    world.run(5_000_000);
    world.server.knowing.insert(BOB);
    let now_us = world.now_us;
    world.with(BOB, |core| core.refresh(now_us));
    world.run(2_000_000);
    let sent = world.sent.len();
    for _ in 0..30 {
        world.say(BOB, ALICE, b"and now?");
        world.run(1_000_000);
    }
    only_sealed(&world, ALICE);
    assert!(!world.received(ALICE).contains(&b"and now?".to_vec()));
    let of_alice = world.sent[sent..].iter().filter(|(from, ..)| *from == ALICE);
    let talk = of_alice.filter(|(.., bytes)| bytes[0] != Kind::Probe as u8).count();
    assert!(talk <= 12, "{talk} datagrams: Alice keeps her own conversation, and answers nothing");
}

#[test]
fn plain_data_and_direct_datagrams_change_nothing_and_sealed_ones_do() {
    let mut world = hidden_pair(false);
    world.start_all();
    world.tell(BOB, ALICE, b"hello");
    world.run(2_000_000);
    let (reflector, now_us) = (world.relays[0].address, world.now_us);
    let at = |host: usize| world.hosts[host].core.as_ref().unwrap().contacts()[0].observed.unwrap();
    let (alice, bob) = (at(ALICE), at(BOB));
    let peer = world.peer(BOB, ALICE);
    let core = world.hosts[BOB].core.as_mut().unwrap();
    let mut sealed = Vec::new();
    for number in 0..3_u8 {
        core.send(peer, &[number], now_us).unwrap();
        let sent = std::iter::from_fn(|| core.poll_transmit()).last().unwrap();
        assert_eq!(sent.bytes[0], Kind::SealedSend as u8);
        sealed.push(sent.bytes[HEADER_LEN..].to_vec());
    }
    let with = |form: Form, kind: Kind, payload: &[u8]| {
        let mut header = header(&world.relays[0], form, alice, bob, now_us);
        header.kind = kind as u8;
        [&HeaderJson::from(header).0.0[..], payload].concat()
    };
    let (plain, hidden) =
        (with(Form::Plain, Kind::Data, &sealed[0]), with(Form::Sealed, Kind::SealedData, &sealed[2]));
    let core = world.hosts[ALICE].core.as_mut().unwrap();
    core.handle_datagram(reflector, &plain, now_us);
    core.handle_datagram(bob, &sealed[1], now_us);
    assert_eq!((core.poll_event(), core.poll_transmit()), (None, None));
    core.handle_datagram(reflector, &hidden, now_us);
    assert!(matches!(core.poll_event(), Some(Event::Datagram { bytes, .. }) if bytes == [2]));
}

#[test]
fn who_begins_to_hide_takes_a_new_port_and_forgets_every_plain_way() {
    let mut world = World::pair("eim/eif", "eim/eif");
    world.start_all();
    world.say(ALICE, BOB, b"hello");
    world.run(3_000_000);
    assert!(matches!(world.path(ALICE, BOB), Path::Direct(_)));
    let seen = world.hosts[ALICE].core.as_ref().unwrap().contacts()[0].observed.unwrap();
    world.server.hidden.insert(ALICE);
    let now_us = world.now_us;
    world.sent.clear();
    world.with(ALICE, |core| core.refresh(now_us));
    world.run(500_000);
    let asked = world.sent.iter().rposition(|(from, to, bytes)| {
        *from == ALICE && (bytes[0] == Kind::Peer as u8 || *to != world.relays[0].address)
    });
    world.run(10_000_000);
    world.with(BOB, |core| core.refresh(now_us + 10_000_000));
    world.run(5_000_000);
    world.sent.drain(..asked.map_or(0, |place| place + 1));
    world.say(ALICE, BOB, b"from where?");
    world.say(BOB, ALICE, b"there you are");
    world.run(5_000_000);
    only_sealed(&world, ALICE);
    assert!(world.received(BOB).contains(&b"from where?".to_vec()));
    assert!(world.received(ALICE).contains(&b"there you are".to_vec()));
    let now = world.hosts[ALICE].core.as_ref().unwrap().contacts()[0].observed.unwrap();
    assert_ne!(now.port(), seen.port());
    assert!(world.hosts[ALICE].events.contains(&Event::Rebind));
    // And back.
    world.server.hidden.clear();
    let now_us = world.now_us;
    world.with(ALICE, |core| core.refresh(now_us));
    world.with(BOB, |core| core.refresh(now_us));
    world.run(5_000_000);
    world.say(ALICE, BOB, b"hello again");
    world.run(30_000_000);
    assert!(world.received(BOB).contains(&b"hello again".to_vec()));
}
