//! Who is there: notices through the reflector and directly, farewells, leases, loss, repetition (T24).

use crate::world::{Hop, LATENCY_US, World};
use nat::Behaviour;
use peer::{Carrier, Event, Notice, Path, Presence, Status};
use proptest::prelude::*;

/// Alice and Bob behind NATs that let in whom they called, Carol behind one that lets anyone in.
fn story() -> World {
    let mut world = World::new(1);
    for behaviour in ["eim/apdf", "eim/apdf", "eim/eif"] {
        world.add(behaviour.parse().unwrap());
    }
    world
}

const ALICE: usize = 0;
const BOB: usize = 1;
const CAROL: usize = 2;

#[test]
fn alice_tells_bob_through_the_reflector_and_carol_directly() {
    let mut world = story();
    world.start(BOB);
    world.start(CAROL);
    world.run(2_000_000);
    let started_us = world.now_us;
    world.start(ALICE);
    let told = |world: &World| world.sees(BOB, ALICE) && world.sees(CAROL, ALICE);
    assert!(world.run_until(started_us + 1_000_000, told), "not online at all buddies within a second");
    let first = |to| world.trace.iter().find(|hop| hop.from == Some(ALICE) && hop.to == to).unwrap();
    assert_eq!((first(BOB).via, first(CAROL).via), (Some(0), None));
    // The login took a PROBE and a call, four times the latency; the notice one way to the reflector and one onwards.
    assert_eq!(first(CAROL).at_us, started_us + 5 * LATENCY_US);
    assert_eq!(first(BOB).at_us, started_us + 6 * LATENCY_US);
    assert!(world.sees(ALICE, BOB) && world.sees(ALICE, CAROL));
    world.run(1_000_000);

    let requests = world.server.requests;
    let now_us = world.now_us;
    world.with(BOB, |core| core.leave(now_us));
    world.kill(BOB);
    world.run(2 * LATENCY_US);
    assert!(!world.sees(ALICE, BOB), "the farewell takes one trip");
    assert_eq!(world.server.requests, requests, "no server was asked");
    assert!(world.sees(ALICE, CAROL));
    let profile = world.hosts[ALICE].core.as_ref().unwrap().profile().unwrap();
    let statuses: Vec<_> = profile.buddies.iter().map(|buddy| buddy.devices[0].status).collect();
    assert_eq!(statuses, [wire::json::profile::Status::Offline, wire::json::profile::Status::Online]);
}

#[test]
fn a_crashed_endpoint_goes_offline_with_its_lease_and_comes_back() {
    let mut world = story();
    world.server.lease_s = 20;
    world.start_all();
    assert!(world.sees(ALICE, BOB));
    world.kill(BOB);
    let end_us = world.now_us + 35_000_000;
    assert!(world.run_until(end_us, |world| !world.sees(ALICE, BOB)), "the lease ended long ago");
    assert!(world.sees(ALICE, CAROL));
    world.start(BOB);
    world.run(1_000_000);
    assert!(world.sees(ALICE, BOB));
    // A restarted endpoint is spoken to again, under a new session.
    world.tell(ALICE, BOB, b"welcome back");
    world.run(1_000_000);
    assert_eq!(world.received(BOB).last().unwrap(), b"welcome back");
}

#[test]
fn a_peer_that_restarts_elsewhere_is_not_looked_for_where_it_was() {
    let mut world = story();
    world.start_all();
    for _ in 0..20 {
        world.say(ALICE, BOB, b"x");
        world.say(BOB, ALICE, b"x");
        world.run(100_000);
    }
    assert!(matches!(world.path(ALICE, BOB), Path::Direct(_)));
    world.kill(BOB);
    let port = world.hosts[BOB].inside.port();
    world.hosts[BOB].inside.set_port(port + 1);
    world.start(BOB);
    let end_us = world.now_us + 1_000_000;
    assert!(world.run_until(end_us, |world| world.sees(BOB, ALICE)));
    // Time to agree on a session, and too little to find out by silence that the old path is dead.
    world.run(10 * LATENCY_US);
    let now_us = world.now_us;
    world.with(ALICE, |core| core.leave(now_us));
    world.kill(ALICE);
    world.run(2 * LATENCY_US);
    assert!(!world.sees(BOB, ALICE), "the farewell went to where nobody is");
}

#[test]
fn a_farewell_reaches_who_has_restarted_behind_another_mapping() {
    let pairs = Behaviour::ALL.into_iter().flat_map(|a| Behaviour::ALL.map(|b| (a, b)));
    // After notices alone, and after a conversation, which proves paths of all kinds.
    for ((a, b), talked) in pairs.flat_map(|pair| [(pair, false), (pair, true)]) {
        // As soon as the answer has come, and once the session is confirmed.
        for later_us in [0, 10 * LATENCY_US] {
            let case = format!("{a} to {b}, talked: {talked}, {later_us} us after the answer");
            let mut world = World::new(1);
            world.add(a);
            world.add(b);
            // Who leaves came last, so its profile has a header to where the other was.
            world.start(BOB);
            world.run(1_500_000);
            world.start(ALICE);
            world.run(1_500_000);
            for _ in 0..if talked { 20 } else { 0 } {
                world.say(ALICE, BOB, b"x");
                world.say(BOB, ALICE, b"x");
                world.run(100_000);
            }
            world.kill(BOB);
            world.move_host(BOB);
            world.start(BOB);
            let restarted_us = world.now_us;
            let answered = |world: &World| {
                let answers =
                    |hop: &Hop| (hop.from, hop.to) == (Some(ALICE), BOB) && hop.at_us > restarted_us;
                world.sees(BOB, ALICE) && world.trace.iter().any(answers)
            };
            assert!(world.run_until(restarted_us + 250_000, answered), "no answer, {case}");
            world.run(later_us);
            let now_us = world.now_us;
            world.with(ALICE, |core| core.leave(now_us));
            world.kill(ALICE);
            world.run(2 * LATENCY_US);
            assert!(!world.sees(BOB, ALICE), "the farewell was lost, {case}");
        }
    }
}

#[test]
fn a_peer_that_restarts_at_once_still_gets_every_reliable_message() {
    let mut world = story();
    world.start_all();
    world.tell(ALICE, BOB, b"one");
    world.run(500_000);
    world.kill(BOB);
    world.tell(ALICE, BOB, b"two");
    world.run(500_000);
    world.start(BOB);
    world.run(10_000_000);
    assert_eq!(world.received(BOB), [b"one".to_vec(), b"two".to_vec()]);
}

#[test]
fn a_third_of_all_datagrams_lost_delays_but_loses_nobody() {
    let mut world = story();
    world.loses = |number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 & 3 == 0;
    for host in 0..3 {
        world.start(host);
    }
    world.run(20_000_000);
    for (a, b) in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)] {
        assert!(world.sees(a, b), "{a} does not see {b}");
        for number in 0..20 {
            world.tell(a, b, &[u8::try_from(a).unwrap(), number]);
        }
    }
    world.run(60_000_000);
    for host in 0..3_u8 {
        let received = world.received(usize::from(host));
        for from in (0..3).filter(|from| *from != host) {
            let of: Vec<u8> = received.iter().filter(|it| it[0] == from).map(|it| it[1]).collect();
            assert_eq!(of, (0..20).collect::<Vec<u8>>(), "from {from} to {host}");
        }
    }
}

/// The same notices in order, and shuffled with repetitions.
fn shuffled(seed: u64, lives: u64, each: u64, steps: usize) -> (Vec<Notice>, Vec<Notice>) {
    let notice = |incarnation: u64, sequence: u64| {
        let online = !(incarnation ^ sequence.wrapping_mul(7)).is_multiple_of(3);
        Notice { incarnation, sequence, status: if online { Status::Online } else { Status::Offline } }
    };
    let sent: Vec<Notice> = (1..=lives).flat_map(|life| (1..=each).map(move |it| notice(life, it))).collect();
    let mut state = seed | 1;
    let mut arrivals = sent.clone();
    for _ in 0..steps.saturating_sub(sent.len()) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let copy = sent[usize::try_from(state >> 33).unwrap() % sent.len()];
        arrivals.push(copy);
    }
    for place in (1..arrivals.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        arrivals.swap(place, usize::try_from(state >> 33).unwrap() % (place + 1));
    }
    (sent, arrivals)
}

fn state_after(notices: &[Notice]) -> Presence {
    let mut presence = Presence::default();
    for notice in notices {
        presence.apply(*notice, Carrier::Session);
    }
    presence
}

#[test]
fn t24_a_million_reordered_and_replayed_notices_leave_the_state_of_order() {
    let (sent, arrivals) = shuffled(0x5eed, 500, 400, 1_000_000);
    assert_eq!((sent.len(), arrivals.len()), (200_000, 1_000_000));
    assert_eq!(state_after(&arrivals), state_after(&sent));
    let last = *sent.last().unwrap();
    assert_eq!(state_after(&arrivals).status(), last.status);
}

proptest! {
    #[test]
    fn order_and_repetition_never_matter(seed: u64, lives in 1_u64..6, each in 1_u64..20) {
        let (sent, arrivals) = shuffled(seed, lives, each, 300);
        prop_assert_eq!(state_after(&arrivals), state_after(&sent));
    }
}

#[test]
fn t24_recorded_datagrams_sent_again_change_nothing_and_are_answered_with_nothing() {
    let mut world = story();
    world.start_all();
    world.say(ALICE, BOB, b"hello");
    world.tell(BOB, ALICE, b"hello too");
    world.run(3_000_000);
    let now_us = world.now_us;
    world.with(BOB, |core| core.leave(now_us));
    world.kill(BOB);
    world.run(100_000);
    assert!(!world.sees(ALICE, BOB) && world.sees(ALICE, CAROL));

    let to_alice: Vec<_> = world.trace.iter().filter(|hop| hop.to == ALICE).cloned().collect();
    assert!(to_alice.len() > 10 && to_alice.iter().any(|hop| hop.bytes[1] == 1));
    let events = world.hosts[ALICE].events.len();
    let sent = world.sent_by(ALICE);
    let source = "45.9.9.9:4444".parse().unwrap();
    let core = world.hosts[ALICE].core.as_mut().unwrap();
    let mut sent_at_once = 0;
    for round in 0..1000 {
        for hop in &to_alice {
            core.handle_datagram(source, &hop.bytes, now_us + round);
            sent_at_once += std::iter::from_fn(|| core.poll_transmit()).count();
        }
        if round % 100 == 0 {
            assert!(core.poll_event().is_none(), "round {round}");
        }
    }
    assert_eq!(sent_at_once, 0, "a replay was answered");
    world.run(100_000);
    assert!(!world.sees(ALICE, BOB) && world.sees(ALICE, CAROL));
    assert_eq!(world.hosts[ALICE].events.len(), events);
    assert_eq!(world.sent_by(ALICE), sent);
    assert!(!world.hosts[ALICE].events.iter().any(|event| matches!(event, Event::Rebind)));
}
