//! Five thousand cores in one process, which is a process of its own: what it holds is theirs.
//!
//! * The child is this very test with [`CHILD`] set; it says what it allocated and, where the system tells, what was
//!   resident at most (`VmHWM` of proc(5)), the simulated NATs, reflectors and events of the cores included.

use crate::world::World;
use harness::Running;
use std::process::Command;

#[test]
fn five_thousand_cores_that_talk_take_less_than_200_mib() {
    if std::env::var_os(CHILD).is_some() {
        return be_many();
    }
    let name = "many::five_thousand_cores_that_talk_take_less_than_200_mib";
    let mut child = Command::new(std::env::current_exe().unwrap());
    // One allocator arena for each thread is what the test harness would add.
    child
        .args(["--exact", name, "--nocapture", "--test-threads", "1"])
        .env(CHILD, "1")
        .env("MALLOC_ARENA_MAX", "1");
    let mut running = Running::start(&mut child);
    let status = running.wait();
    let said = running.stdout();
    assert!(status.success(), "{said}{}", running.stderr());
    let number = |word: &str| -> Option<u64> {
        let line = said.lines().find_map(|line| line.split_once(word))?;
        line.1.trim().parse().ok()
    };
    let allocated = number(ALLOCATED).unwrap();
    assert!(allocated < LIMIT_BYTES, "{allocated} bytes allocated at most");
    if cfg!(target_os = "linux") {
        let resident = number(RESIDENT).unwrap();
        assert!(resident < LIMIT_BYTES, "{resident} bytes resident at most");
    }
}

/// Lets them all log in, see each other and talk, and prints what that took.
fn be_many() {
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
    println!("{ALLOCATED} {}", used.bytes_max);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    if let Some(kib) = peak.and_then(|kib| kib.trim().parse::<u64>().ok()) {
        println!("{RESIDENT} {}", kib << 10);
    }
}

/// What 5,000 cores may take.
const LIMIT_BYTES: u64 = 200 << 20;
const CHILD: &str = "ENDPOINT_TEST_IS_MANY";
const ALLOCATED: &str = "allocated:";
const RESIDENT: &str = "resident:";
