//! Paths: upgrade and fall-back, strangers, copied messages, neighbours behind one NAT, sizes.

use crate::world::World;
use peer::{Event, Path};
use std::net::SocketAddr;

fn direct(world: &World, from: usize, to: usize) -> Option<SocketAddr> {
    match world.path(from, to) {
        Path::Direct(address) => Some(address),
        Path::Reflected(_) | Path::Unknown => None,
    }
}

#[test]
fn a_cut_direct_path_falls_back_with_no_reliable_message_lost_and_comes_back() {
    let mut world = World::pair("eim/apdf", "eim/apdf");
    world.start_all();
    let mut sent = 0_u8;
    let talk = |world: &mut World, sent: &mut u8, times: u8| {
        for _ in 0..times {
            world.tell(0, 1, &[*sent]);
            world.tell(1, 0, &[*sent]);
            *sent += 1;
            world.run(100_000);
        }
    };
    talk(&mut world, &mut sent, 30);
    assert!(direct(&world, 0, 1).is_some() && direct(&world, 1, 0).is_some());
    world.cut.push((0, 1));
    let cut_us = world.now_us;
    talk(&mut world, &mut sent, 25);
    assert!(direct(&world, 0, 1).is_none() && direct(&world, 1, 0).is_none(), "still direct after 2.5 s");
    assert_eq!(world.now_us, cut_us + 2_500_000);
    talk(&mut world, &mut sent, 30);
    world.cut.clear();
    world.run(5_000_000);
    let numbers: Vec<_> = (0..sent).map(|number| vec![number]).collect();
    assert_eq!(world.received(0), numbers);
    assert_eq!(world.received(1), numbers);
    let delivered = |event: &&Event| matches!(event, Event::Delivery { arrived: true, .. });
    assert_eq!(world.hosts[0].events.iter().filter(delivered).count(), usize::from(sent));
    for _ in 0..70 {
        world.say(0, 1, b"x");
        world.say(1, 0, b"x");
        world.run(1_000_000);
    }
    assert!(direct(&world, 0, 1).is_some() && direct(&world, 1, 0).is_some(), "direct again");
}

#[test]
fn datagrams_flow_again_two_seconds_after_the_direct_path_dies() {
    for one_way in [false, true] {
        let mut world = World::pair("eim/apdf", "eim/adf");
        world.start_all();
        for _ in 0..30 {
            world.say(0, 1, b"x");
            if !one_way {
                world.say(1, 0, b"x");
            }
            world.run(100_000);
        }
        assert!(direct(&world, 0, 1).is_some());
        world.cut.push((0, 1));
        for _ in 0..25 {
            world.say(0, 1, b"x");
            if !one_way {
                world.say(1, 0, b"x");
            }
            world.run(100_000);
        }
        world.hosts[1].events.clear();
        for _ in 0..10 {
            world.say(0, 1, b"y");
            world.run(100_000);
        }
        assert_eq!(world.received(1).len(), 10, "one way: {one_way}");
    }
}

#[test]
fn strangers_are_answered_with_nothing() {
    let mut world = World::new(1);
    for _ in 0..3 {
        world.add("eim/eif".parse().unwrap());
    }
    // The stranger believes that the others are its buddies; the server told only it.
    world.server.pairs = vec![(0, 1)];
    world.start(0);
    world.start(1);
    world.run(2_000_000);
    world.server.pairs = vec![(0, 1), (0, 2)];
    world.start(2);
    // Its login is answered, and nobody else's after that.
    world.run(60_000);
    world.server.pairs = vec![(0, 1)];
    world.run(140_000);
    let logins = |world: &World| world.hosts[0].events.iter().filter(|it| **it == Event::LoggedIn).count();
    let before = logins(&world);
    world.say(2, 0, b"let me in");
    world.tell(2, 0, b"let me in");
    world.run(30_000_000);
    let from_stranger = world.trace.iter().filter(|hop| hop.from == Some(2) && hop.to == 0);
    assert!(from_stranger.clone().any(|hop| hop.via.is_none()), "it came directly");
    assert!(from_stranger.clone().any(|hop| hop.via.is_some()), "and through the reflector");
    assert_eq!(world.trace.iter().filter(|hop| hop.from == Some(0) && hop.to == 2).count(), 0);
    assert!(world.received(0).is_empty() && world.sees(0, 1));
    let asked = logins(&world) - before;
    assert!(asked <= 6, "strangers made it ask the access server {asked} times in 30 s");
}

#[test]
fn a_copied_message_sent_again_by_a_third_party_moves_no_route() {
    let mut world = World::pair("eim/eif", "eim/eif");
    let thief = world.add("open".parse().unwrap());
    world.start(0);
    world.start(1);
    world.run(2_000_000);
    world.say(0, 1, b"hello");
    world.run(3_000_000);
    let right = direct(&world, 1, 0).expect("a direct path");
    // Everything from 0 to 1 is stolen for a moment, and sent from the thief's address instead.
    let to = direct(&world, 0, 1).unwrap();
    world.cut.push((0, 1));
    for number in 0..5 {
        world.say(0, 1, &[number]);
        world.run(50_000);
    }
    world.cut.clear();
    let thief = world.hosts[thief].inside;
    let copies: Vec<_> = world.stolen.iter().filter(|(from, ..)| *from == 0).cloned().collect();
    assert!(copies.len() >= 5);
    for (_, _, _, bytes) in copies {
        world.forge(thief, to, bytes);
    }
    world.run(100_000);
    assert_eq!(world.received(1).len(), 6, "the copies are authentic and arrive");
    for _ in 0..100 {
        world.say(0, 1, b"x");
        world.say(1, 0, b"x");
        world.run(100_000);
        assert_ne!(direct(&world, 1, 0), Some(thief));
    }
    assert_eq!(direct(&world, 1, 0), Some(right));
}

#[test]
fn a_copied_first_message_moves_no_route_either() {
    let mut world = World::pair("eim/eif", "eim/eif");
    let thief = world.add("open".parse().unwrap());
    world.start(1);
    world.run(1_000_000);
    world.cut.push((0, 1));
    world.start(0);
    world.run(150_000);
    let thief = world.hosts[thief].inside;
    let (_, _, to, bytes) = world.stolen.iter().find(|(from, ..)| *from == 0).cloned().expect("a notice");
    world.forge(thief, to, bytes);
    world.run(50_000);
    assert!(world.sees(1, 0), "a notice says the same whoever carries it");
    world.cut.clear();
    world.run(2_000_000);
    for _ in 0..50 {
        world.say(1, 0, b"x");
        world.run(100_000);
        assert_ne!(direct(&world, 1, 0), Some(thief));
    }
    assert_eq!(world.received(0).len(), 50, "nothing went to the thief");
}

#[test]
fn neighbours_behind_one_nat_talk_on_their_lan() {
    for behaviour in ["eim/eif", "apdm/apdf"] {
        let mut world = World::new(1);
        let first = world.add(behaviour.parse().unwrap());
        world.add_beside(first);
        world.start_all();
        assert!(world.trace.iter().all(|hop| hop.via.is_some()), "reflected until a direct answer came");
        world.say(0, 1, b"hello");
        world.run(3_000_000);
        assert_eq!(direct(&world, 0, 1), Some(world.hosts[1].inside), "{behaviour}");
        assert_eq!(direct(&world, 1, 0), Some(world.hosts[0].inside), "{behaviour}");
    }
}

#[test]
fn sizes_are_searched_and_larger_datagrams_refused() {
    for (behaviour, mtu, right) in [
        ("eim/apdf", 1472, 1472 - 57),
        ("apdm/apdf", 1472, 1472 - 57),
        ("apdm/apdf", 1400, 1392 - 57),
        ("apdm/apdf", 1210, 1200 - 57),
    ] {
        let mut world = World::pair(behaviour, behaviour);
        world.mtu = mtu;
        world.start_all();
        world.say(0, 1, b"hello");
        world.run(10_000_000);
        let (peer, now_us) = (world.peer(0, 1), world.now_us);
        let core = world.hosts[0].core.as_mut().unwrap();
        let size = core.max_datagram_size(peer).unwrap();
        assert_eq!(size, right, "{behaviour} {mtu}");
        assert!(core.send(peer, &vec![0; size + 1], now_us).is_err());
        world.say(0, 1, &vec![7; size]);
        world.run(100_000);
        assert_eq!(world.received(1).last().unwrap().len(), size);
    }
}

#[test]
fn a_conversation_in_which_nobody_speaks_costs_next_to_nothing() {
    for (a, b) in
        [("eim/apdf", "eim/apdf"), ("apdm/apdf", "eim/eif"), ("apdm/adf", "apdm/eif"), ("open", "apdm/apdf")]
    {
        let mut world = World::pair(a, b);
        world.start_all();
        world.say(0, 1, b"hello");
        world.say(1, 0, b"hello");
        world.run(20_000_000);
        let before = world.trace.len();
        world.run(300_000_000);
        // Consent every 5 s and its answer, each way; a size confirmed each 30 s; a header renewed each minute.
        let cost = world.trace.len() - before;
        assert!(cost < 5 * 80, "{cost} datagrams in five minutes between {a} and {b}");
    }
}

#[test]
fn t7_a_million_replays_deliver_every_message_once() {
    let mut world = World::pair("eim/apdf", "eim/apdf");
    world.start_all();
    world.say(0, 1, b"hello");
    world.run(3_000_000);
    let first = world.trace.len();
    for number in 0..1_000_u32 {
        world.say(0, 1, &number.to_be_bytes());
        world.run(1_000);
    }
    world.run(100_000);
    let sealed: Vec<_> =
        world.trace[first..].iter().filter(|hop| hop.to == 1 && hop.bytes[1] == 3).cloned().collect();
    assert_eq!((sealed.len(), world.received(1).len()), (1_000, 1_001));
    let (now_us, source) = (world.now_us, direct(&world, 1, 0).unwrap());
    let core = world.hosts[1].core.as_mut().unwrap();
    let mut state = 0x1234_5678_u64;
    for _ in 0..1_000_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let hop = &sealed[usize::try_from(state >> 40).unwrap() % sealed.len()];
        core.handle_datagram(source, &hop.bytes, now_us);
    }
    assert_eq!(core.poll_event(), None, "a replay was delivered");
}
