//! An access server that is away, restarts, or rotates keys, while calls go on.

use crate::world::World;
use peer::{Event, Path};
use wire::KeyRing;

/// Both say something every second; how many of it arrived.
fn call(world: &mut World, seconds: u32) -> (usize, usize) {
    let before = (world.received(0).len(), world.received(1).len());
    for second in 0..seconds {
        world.say(0, 1, &second.to_be_bytes());
        world.say(1, 0, &second.to_be_bytes());
        world.run(1_000_000);
    }
    (world.received(0).len() - before.0, world.received(1).len() - before.1)
}

#[test]
fn a_reflected_call_lives_through_an_hour_without_access_server() {
    let mut world = World::pair("apdm/apdf", "apdm/apdf");
    world.start_all();
    assert_eq!(call(&mut world, 10), (10, 10));
    world.server.up = false;
    assert_eq!(call(&mut world, 3_600), (3_600, 3_600));
    assert!(world.sees(0, 1) && world.sees(1, 0));
    let failed =
        world.hosts[0].events.iter().filter(|event| matches!(event, Event::AccessFailed { .. })).count();
    assert!((30..200).contains(&failed), "{failed} tries in an hour");
    world.server.up = true;
    world.server.restart();
    world.hosts[0].events.clear();
    assert_eq!(call(&mut world, 120), (120, 120));
    assert!(world.hosts[0].events.contains(&Event::LoggedIn), "logged in again by itself");
}

#[test]
fn a_restarted_access_server_takes_nobody_offline_who_is_there() {
    let mut world = World::new(1);
    for _ in 0..3 {
        world.add("apdm/apdf".parse().unwrap());
    }
    world.server.lease_s = 20;
    world.start_all();
    world.kill(2);
    world.server.restart();
    world.hosts.iter_mut().for_each(|host| host.events.clear());
    world.run(50_000_000);
    for host in 0..2 {
        let events = &world.hosts[host].events;
        assert!(events.contains(&Event::LoggedIn), "logged in again");
        assert!(!events.iter().any(|event| matches!(event, Event::Presence { .. })), "{host} saw a flicker");
    }
    // Who crashed meanwhile is found out all the same, only later.
    let end_us = world.now_us + 60_000_000;
    assert!(
        world.run_until(end_us, |world| !world.sees(0, 2) && !world.sees(1, 2)),
        "the dead are believed in"
    );
    assert!(world.sees(0, 1) && world.sees(1, 0));
}

#[test]
fn a_silent_call_lives_through_ten_minutes_and_starts_again() {
    let mut world = World::pair("apdm/apdf", "apdm/apdf");
    world.start_all();
    assert_eq!(call(&mut world, 10), (10, 10));
    world.server.up = false;
    world.run(540_000_000);
    assert_eq!(call(&mut world, 10), (10, 10));
}

#[test]
fn the_direct_path_is_cut_within_the_hour_and_nothing_reliable_is_lost() {
    let mut world = World::pair("eim/apdf", "eim/apdf");
    world.start_all();
    assert_eq!(call(&mut world, 10), (10, 10));
    assert!(matches!(world.path(0, 1), Path::Direct(_)));
    world.server.up = false;
    assert_eq!(call(&mut world, 2_400), (2_400, 2_400));
    world.cut.push((0, 1));
    world.hosts.iter_mut().for_each(|host| host.events.clear());
    for number in 0..60 {
        world.tell(0, 1, &[number]);
        world.tell(1, 0, &[number]);
        world.run(1_000_000);
    }
    let numbers: Vec<_> = (0..60).map(|number| vec![number]).collect();
    assert_eq!((world.received(0), world.received(1)), (numbers.clone(), numbers));
    assert!(matches!(world.path(0, 1), Path::Reflected(_)));
    assert_eq!(call(&mut world, 1_200), (1_200, 1_200));
}

#[test]
fn a_key_rotates_under_a_call_and_nothing_is_lost() {
    let mut world = World::pair("apdm/apdf", "apdm/apdf");
    world.start_all();
    assert_eq!(call(&mut world, 10), (10, 10));
    let (old, new) = ((3, [1; 16]), (4, [2; 16]));
    for ring in [vec![old, new], vec![new, old]] {
        world.relays[0].ring = KeyRing::new(&ring).unwrap();
        // One longest lifetime and one refresh interval.
        assert_eq!(call(&mut world, 450), (450, 450));
    }
    world.relays[0].ring = KeyRing::new(&[new]).unwrap();
    assert_eq!(call(&mut world, 450), (450, 450), "the old key is gone, and nobody noticed");
}

#[test]
fn a_rotation_during_an_outage_ends_nothing_while_the_old_key_stands() {
    let mut world = World::pair("apdm/apdf", "apdm/apdf");
    world.start_all();
    assert_eq!(call(&mut world, 10), (10, 10));
    world.server.up = false;
    world.relays[0].ring = KeyRing::new(&[(4, [2; 16]), (3, [1; 16])]).unwrap();
    assert_eq!(call(&mut world, 900), (900, 900));
    world.server.up = true;
    assert_eq!(call(&mut world, 300), (300, 300));
    world.relays[0].ring = KeyRing::new(&[(4, [2; 16])]).unwrap();
    assert_eq!(call(&mut world, 100), (100, 100));
}
