//! The own contacts: forged OBSERVED, a NAT that changes its mapping, a host that moves, reflectors that die.

use crate::world::{LATENCY_US, World};
use peer::{Event, Path};
use std::net::SocketAddr;
use wire::json::header::HeaderJson;

fn contacts(world: &World, host: usize) -> Vec<SocketAddr> {
    let contact = |event: &Event| match event {
        Event::Contact { address } => Some(*address),
        _ => None,
    };
    world.hosts[host].events.iter().filter_map(contact).collect()
}

#[test]
fn only_the_probed_reflector_echoing_an_outstanding_nonce_is_believed() {
    let mut world = World::pair("eim/eif", "open");
    world.start_all();
    let before = contacts(&world, 0);
    assert_eq!(before.len(), 1);
    let (reflector, contact) = (world.relays[0].address, before[0]);
    let forged = |nonce: [u8; 8]| {
        let address = wire::TransportAddress::from_socket("45.66.66.66:6666".parse().unwrap()).unwrap();
        let header =
            wire::Header { kind: 0x09, class_key: 3, expires: u32::MAX, peer: address, tag: 0x0123_4567 };
        [&HeaderJson::from(header).0.0[..], &nonce].concat()
    };
    for number in 0..1000_u64 {
        world.forge(reflector, contact, forged(number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()));
        world.forge("45.77.77.77:3478".parse().unwrap(), contact, forged([0; 8]));
    }
    world.run(100_000);
    assert_eq!(contacts(&world, 0), before, "guessed nonces");

    // A nonce that was just sent, from another source; and one that was answered already.
    let now_us = world.now_us;
    let core = world.hosts[0].core.as_mut().unwrap();
    core.handle_own_addresses(vec!["10.1.1.1:1".parse().unwrap()], now_us);
    let probe = std::iter::from_fn(|| core.poll_transmit()).find(|it| it.bytes[0] == 0x08).unwrap();
    let nonce: [u8; 8] = probe.bytes[32..].try_into().unwrap();
    core.handle_datagram("45.77.77.77:3478".parse().unwrap(), &forged(nonce), now_us);
    assert!(core.poll_event().is_none(), "right nonce, wrong reflector");
    core.handle_datagram(reflector, &forged(nonce), now_us);
    let believed = "45.66.66.66:6666".parse().unwrap();
    assert_eq!(core.poll_event(), Some(Event::Contact { address: believed }), "the positive control");
    while core.poll_event().is_some() {}
    core.handle_datagram(reflector, &forged(nonce), now_us);
    assert_eq!(core.poll_event(), None, "a nonce is good once");
}

#[test]
fn a_changed_mapping_is_repaired_within_a_keepalive_and_a_second() {
    for (a, b) in [("apdm/apdf", "eim/apdf"), ("eim/apdf", "eim/apdf"), ("apdm/apdf", "apdm/apdf")] {
        let mut world = World::pair(a, b);
        world.start_all();
        world.say(0, 1, b"hello");
        world.run(3_000_000);
        world.move_host(0);
        let moved_us = world.now_us;
        world.hosts[1].events.clear();
        let mut number = 0_u8;
        while world.now_us < moved_us + 16_000_000 {
            world.say(0, 1, &[number]);
            world.say(1, 0, &[number]);
            number = number.wrapping_add(1);
            world.run(250_000);
        }
        let before = (world.received(0).len(), world.received(1).len());
        for number in 0..8 {
            world.say(0, 1, &[number]);
            world.say(1, 0, &[number]);
            world.run(250_000);
        }
        assert_eq!(world.received(0).len(), before.0 + 8, "{a} {b}: to the mover");
        assert_eq!(world.received(1).len(), before.1 + 8, "{a} {b}: from the mover");
        assert_eq!(contacts(&world, 0).len(), 2);
    }
}

#[test]
fn a_changed_own_address_is_repaired_within_a_second() {
    let mut world = World::pair("apdm/apdf", "apdm/apdf");
    world.start_all();
    world.say(0, 1, b"hello");
    world.run(3_000_000);
    world.move_host(0);
    let (moved_us, hosts) = (world.now_us, vec![world.hosts[0].inside]);
    world.with(0, |core| core.handle_own_addresses(hosts, moved_us));
    // A PROBE, a refresh, and a message through the reflector with the new header.
    world.run(6 * LATENCY_US);
    world.tell(0, 1, b"here I am");
    world.run(2 * LATENCY_US);
    assert_eq!(world.received(1).last().unwrap(), b"here I am");
    assert!(world.now_us < moved_us + 1_000_000);
    world.run(2 * LATENCY_US);
    world.say(1, 0, b"I see");
    world.run(2 * LATENCY_US);
    assert_eq!(world.received(0).last().unwrap(), b"I see", "the peer follows");
}

#[test]
fn a_dead_reflector_is_replaced_within_three_seconds() {
    for (dead, rebinds) in [(vec![0], 0), (vec![0, 1, 2], 1)] {
        let mut world = World::new(6);
        world.add("eim/apdf".parse().unwrap());
        world.start(0);
        world.run(1_000_000);
        assert_eq!(contacts(&world, 0).len(), 3, "three reflectors");
        dead.iter().for_each(|place: &usize| world.relays[*place].alive = false);
        // A new own address makes the endpoint ask at once, as a keepalive would later.
        let now_us = world.now_us;
        world.hosts[0].events.clear();
        world.with(0, |core| core.handle_own_addresses(vec!["10.1.1.1:1".parse().unwrap()], now_us));
        let replaced = |world: &World| !contacts(world, 0).is_empty();
        assert!(world.run_until(now_us + 3_000_000, replaced), "{dead:?} not replaced within three seconds");
        let asked = world.hosts[0].events.iter().filter(|event| **event == Event::Rebind).count();
        assert_eq!(asked, rebinds, "a new port only when nothing shows that this one works");
    }
}

#[test]
fn two_whose_first_probes_are_lost_share_a_reflector_at_once_all_the_same() {
    // The first PROBE to each of the two reflectors; then one of the two that are repeated.
    for lost in [|number| number <= 2, |number| number == 1, |number| number == 2] {
        let mut world = World::new(2);
        world.loses = lost;
        world.add("apdm/apdf".parse().unwrap());
        world.start(0);
        let (started_us, login) = (world.now_us, |event: &Event| matches!(event, Event::LoggedIn));
        let done = |world: &World| world.hosts[0].events.iter().any(login);
        assert!(world.run_until(started_us + 1_000_000, done), "no login within a second");
        world.run(500_000);
        let shown: Vec<_> = world.hosts[0].core.as_ref().unwrap().contacts();
        assert!(shown.iter().all(|contact| contact.lives));
        assert_eq!(world.server.contacts_of(0), 2, "the server was told of both");
    }
}

#[test]
fn a_call_goes_on_through_the_next_reflector() {
    let mut world = World::new(2);
    world.add("apdm/apdf".parse().unwrap());
    world.add("apdm/apdf".parse().unwrap());
    world.start_all();
    world.say(0, 1, b"hello");
    world.run(3_000_000);
    assert_eq!(world.path(0, 1), Path::Reflected(world.relays[0].address));
    world.relays[0].alive = false;
    for number in 0..20 {
        world.tell(0, 1, &[number]);
        world.run(1_000_000);
    }
    let numbers: Vec<_> = (0..20).map(|number| vec![number]).collect();
    assert_eq!(world.received(1)[1..], numbers);
    assert_eq!(world.path(0, 1), Path::Reflected(world.relays[1].address));
}

#[test]
fn data_shows_that_a_reflector_lives_though_probes_go_unanswered() {
    let mut world = World::pair("apdm/apdf", "apdm/apdf");
    world.start_all();
    world.say(0, 1, b"hello");
    world.run(3_000_000);
    // The PROBE budget of the prefix is used up: nothing is observed, all is relayed.
    world.observes = false;
    world.hosts.iter_mut().for_each(|host| host.events.clear());
    for number in 0..60 {
        world.say(0, 1, &[number]);
        world.say(1, 0, &[number]);
        world.run(1_000_000);
    }
    assert_eq!((world.received(0).len(), world.received(1).len()), (60, 60));
    assert!(!world.hosts.iter().any(|host| host.events.contains(&Event::Rebind)), "the port works");
}
