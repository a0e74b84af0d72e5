//! Five thousand cores in one process.

use crate::world::World;

/// What the issue allows for 5,000 cores.
const LIMIT_BYTES: u64 = 200 << 20;

#[test]
fn five_thousand_cores_that_talk_take_less_than_200_mib() {
    let cores = 5_000;
    let mut world = None;
    let used = allocation_counter::measure(|| {
        let mut it = World::new(3);
        // A ring of pairs: each has two buddies, sees them, and talks to one.
        it.server.pairs = (0..cores).map(|host| (host, (host + 1) % cores)).collect();
        for host in 0..cores {
            it.add(nat::Behaviour::ALL[host % 10]);
        }
        it.light = true;
        for host in 0..cores {
            it.start(host);
        }
        it.run(3_000_000);
        for host in 0..cores {
            it.say(host, (host + 1) % cores, b"hello");
        }
        it.run(3_000_000);
        world = Some(it);
    });
    let world = world.unwrap();
    let heard = (0..cores).filter(|host| !world.received(*host).is_empty()).count();
    assert_eq!(heard, cores);
    assert!((0..cores).all(|host| world.sees(host, (host + 1) % cores)));
    // The simulated NATs and the trace of events are counted too, so the cores take less than this.
    let held = u64::try_from(used.bytes_current).unwrap();
    assert!(held < LIMIT_BYTES, "{held} bytes held");
    assert!(used.bytes_max < LIMIT_BYTES, "{} bytes at most", used.bytes_max);
}
