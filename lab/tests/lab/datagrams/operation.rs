//! A reflector in operation: its ring changes, its cable is pulled, junk comes in, it is killed, while two talk.
//!
//! * What is judged is whether each datagram arrived, never when.
//! * The load is a few hundred datagrams a second, far below what any machine forwards.

use crate::datagrams::conversation::Scene;
use crate::datagrams::daemon::{Daemon, PINS, Path, eventually};
use crate::datagrams::endpoint::{Endpoint, answer, capability, on_wire};
use crate::{OnPath, Test, test};
use harness::{PATIENCE, wait_until};
use lab::Lab;
use lab::programs::program::Signal;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use wire::{Header, Kind, TransportAddress, ring_file};

pub(crate) fn tests(path: Path) -> Vec<Test> {
    let both: [(&str, OnPath); 6] = [
        ("rotations_under_load", rotations_under_load),
        ("junk_beside_load", junk_beside_load),
        ("cable_pulled", cable_pulled),
        ("dead_ports", dead_ports),
        ("deny_lists_reloaded", deny_lists_reloaded),
        ("probe_budget", probe_budget),
    ];
    let only_xdp: [(&str, OnPath); 4] = [
        ("killed_and_restarted_while_pinned", killed_and_restarted),
        ("detached_by_command", detached_by_command),
        ("stop_detaches", stop_detaches),
        ("router_replaced", router_replaced),
    ];
    let only_xdp = only_xdp.into_iter().filter(|_| path == Path::Xdp);
    both.into_iter()
        .chain(only_xdp)
        .map(|(name, run)| test(format!("{path}::{name}"), move || run(path)))
        .collect()
}

/// T8: keys come, mint and go while a conversation runs; nothing valid is refused, nothing retired is accepted.
fn rotations_under_load(path: Path) {
    let mut scene = Scene::new(path, &[]);
    let first = scene.reflector.ring_text();
    let second = ring_file::render(2, &[0x5a; 16]);
    let steps =
        [format!("{first}{second}"), format!("{second}{first}"), format!("{first}{second}"), first.clone()];
    let under_load = capability(&scene.ring, scene.alice.1, scene.bob.1, 400);
    let (load, to) = (Load::default(), scene.reflector.ipv4);
    let sent = thread::scope(|scope| {
        let sending = scope.spawn(|| load.send(&scene.alice.0, to, &under_load));
        let arriving = scope.spawn(|| load.arrive(&scene.bob.0));
        let ends = Ends(&load.over);
        let reflector = &mut scene.reflector;
        for step in steps.iter().cycle().take(40) {
            reflector.replace_ring(step);
            load.goes_on(1);
        }
        drop(ends);
        let sent = sending.join().unwrap();
        assert_eq!(arriving.join().unwrap(), sent, "a valid datagram was refused");
        sent
    });
    assert!(sent > 20, "the rotations met a load of {sent} datagrams only");
    scene.reflector.replace_ring(&second);
    for _ in 0..20 {
        scene.alice.0.send(scene.reflector.ipv4, &under_load, b"under a retired key");
    }
    scene.bob.0.expect_nothing();
    scene.assert_counted(sent, &[("key", 20)]);
    scene.assert_by_xdp(sent);
    scene.ring = scene.reflector.ring();
    scene.talk(b"under the new key");
}

/// T10: ten times as much junk as conversation, of every kind, harms nothing.
fn junk_beside_load(path: Path) {
    let scene = Scene::new(path, &[]);
    let header = capability(&scene.ring, scene.alice.1, scene.bob.1, 400);
    let mut forged = header;
    forged.tag ^= 1;
    let mut unknown = header;
    unknown.class_key ^= 8;
    let junk = [
        vec![0xff; 200],
        vec![0x0b; 200],
        vec![0x0a; 31],
        forged.to_bytes().to_vec(),
        unknown.to_bytes().to_vec(),
    ];
    let rounds = 200_u64;
    for round in 0..rounds {
        for _ in 0..2 {
            junk.iter().for_each(|junk| scene.alice.0.send_bytes(scene.reflector.ipv4, junk));
        }
        let payload = round.to_be_bytes();
        scene.alice.0.send(scene.reflector.ipv4, &header, &payload);
        scene.bob.0.expect(&payload);
    }
    scene.bob.0.expect_nothing();
    let (twice, four_times) = (2 * rounds, 4 * rounds);
    scene.assert_counted(rounds, &[("kind", four_times), ("short", twice), ("tag", twice), ("key", twice)]);
    scene.assert_by_xdp(rounds);
    if path == Path::Xdp {
        let dropped = scene.reflector.metric("reflector_dropped_datagrams_total", &[("path", "xdp")]);
        assert_eq!(dropped, 10 * rounds, "junk reached the sockets");
    }
}

/// A pulled cable costs what is sent meanwhile; when it is back, so is the conversation, with the same capability.
fn cable_pulled(path: Path) {
    let scene = Scene::new(path, &[]);
    let header = capability(&scene.ring, scene.alice.1, scene.bob.1, 400);
    scene.talk(b"before");
    scene.reflector.host.link().down().unwrap();
    for _ in 0..20 {
        scene.alice.0.send(scene.reflector.ipv4, &header, b"into the void");
    }
    scene.bob.0.expect_nothing();
    scene.reflector.host.link().up().unwrap();
    eventually("a datagram arrives after the cable is back", || {
        scene.alice.0.send(scene.reflector.ipv4, &header, b"still there?");
        thread::sleep(Duration::from_millis(50));
        scene.bob.0.drain()
    });
    scene.bob.0.ignore(b"still there?");
    scene.talk(b"after");
}

/// T13: errors that come back from dead ports end nothing and cost nobody else anything.
fn dead_ports(path: Path) {
    let mut scene = Scene::new(path, &[]);
    let host = scene.lab.host("nobody").unwrap();
    let dead = SocketAddr::new(host.ipv4().into(), 5000);
    let to_dead = capability(&scene.ring, scene.alice.1, on_wire(dead), 400);
    for round in 0..200_u64 {
        scene.alice.0.send(scene.reflector.ipv4, &to_dead, b"anybody there?");
        let header = capability(&scene.ring, scene.alice.1, scene.bob.1, 400);
        scene.alice.0.send(scene.reflector.ipv4, &header, &round.to_be_bytes());
        scene.bob.0.expect(&round.to_be_bytes());
    }
    let counters = scene.reflector.counters_when(|counters| counters.accounted() >= 402);
    let refused = counters.send_errors.values().sum::<u64>();
    assert_eq!((counters.relayed + refused, counters.dropped.len()), (400, 0), "{counters:?}");
    assert!(counters.relayed >= 200);
}

/// What the operator denies stays out from the reload on, in both directions, and comes in again after the next.
fn deny_lists_reloaded(path: Path) {
    let mut scene = Scene::new(path, &[]);
    let [alice, bob] = [scene.alice.1, scene.bob.1].map(TransportAddress::ip);
    let header = capability(&scene.ring, scene.alice.1, scene.bob.1, 400);
    scene.talk(b"before");
    scene.reflector.reconfigure(&format!("deny-source = [\"{alice}/32\"]"));
    scene.alice.0.send(scene.reflector.ipv4, &header, b"from one denied");
    scene.bob.0.expect_nothing();
    scene.assert_counted(2, &[("denied", 1)]);
    scene.reflector.reconfigure(&format!("deny-destination = [\"{bob}/32\"]"));
    scene.alice.0.send(scene.reflector.ipv4, &header, b"to one denied");
    scene.bob.0.expect_nothing();
    scene.assert_counted(2, &[("denied", 1), ("destination", 1)]);
    scene.reflector.reconfigure("");
    scene.talk(b"after");
    scene.assert_by_xdp(4);
}

/// T4: a network's PROBEs are answered at the rate of its budget, and relaying goes on beside them.
fn probe_budget(path: Path) {
    let scene = Scene::new(path, &["--probe-budget", "20"]);
    let start = Instant::now();
    let mut probe = [0; 40];
    probe[0] = Kind::Probe as u8;
    let mut sent = 0;
    // A machine so slow that it keeps to the budget by itself shows nothing, and is asked for more.
    while sent < 300 || scene.reflector.counters().dropped.is_empty() {
        assert!(start.elapsed() < PATIENCE, "{sent} PROBEs kept to the budget by themselves");
        for _ in 0..100 {
            scene.alice.0.send_bytes(scene.reflector.ipv4, &probe);
        }
        sent += 100;
        // No queue on the way holds many more.
        scene.reflector.counters_when(|counters| counters.accounted() >= 2 + sent);
        scene.alice.0.drain();
    }
    let counters = scene.reflector.counters();
    // Two at the start were the contacts; a full bucket and what ran into it since is the most.
    let most = 2 + 20 * (2 + start.elapsed().as_secs());
    assert!((20..=most).contains(&counters.observed), "{counters:?}");
    assert_eq!(counters.dropped.get("rate"), Some(&(2 + sent - counters.observed)));
    scene.alice.0.drain();
    scene.talk(b"beside them");
}

/// Without a daemon the command sees what is pinned, and ends it.
fn detached_by_command(path: Path) {
    let mut scene = Scene::pinned(path);
    scene.reflector.program().signal(Signal::Kill).unwrap();
    scene.reflector.program().wait(PATIENCE).unwrap();
    scene.talk(b"without a daemon");
    let interface = scene.reflector.host.link().near.interface().to_owned();
    let pins = scene.reflector.host.namespace().pin_folder().unwrap().display().to_string();
    let status = || scene.reflector.command(&["xdp", "status", "--xdp-pin", &pins]);
    assert!(status().contains(&interface), "{}", status());
    scene.reflector.command(&["xdp", "detach", "--xdp-pin", &pins]);
    assert!(!status().contains(&interface), "{}", status());
    let header = capability(&scene.ring, scene.alice.1, scene.bob.1, 400);
    scene.alice.0.send(scene.reflector.ipv4, &header, b"nobody is there");
    scene.bob.0.expect_nothing();
}

/// T17: with its program pinned, a reflector that is killed and started again loses nothing of what goes on meanwhile.
fn killed_and_restarted(path: Path) {
    let mut scene = Scene::pinned(path);
    scene.talk(b"so that every neighbour is known");
    let header = capability(&scene.ring, scene.alice.1, scene.bob.1, 400);
    let (load, to) = (Load::default(), scene.reflector.ipv4);
    thread::scope(|scope| {
        let sending = scope.spawn(|| load.send(&scene.alice.0, to, &header));
        let arriving = scope.spawn(|| load.arrive(&scene.bob.0));
        let ends = Ends(&load.over);
        let reflector = &mut scene.reflector;
        for _ in 0..3 {
            load.goes_on(50);
            reflector.program().signal(Signal::Kill).unwrap();
            reflector.program().wait(PATIENCE).unwrap();
            load.goes_on(50);
            reflector.launch();
        }
        drop(ends);
        assert_eq!(
            arriving.join().unwrap(),
            sending.join().unwrap(),
            "a datagram was lost while the daemon was gone"
        );
    });
    let there = capability(&scene.ring, scene.alice.1, scene.bob.1, 400);
    scene.alice.0.send(scene.reflector.ipv4, &there, b"after");
    let data = scene.bob.0.expect(b"after");
    scene.bob.0.send(scene.reflector.ipv4, &answer(&data.header), b"and back");
    scene.alice.0.expect(b"and back");
}

/// A stop in order takes the program off the interface, pinned or not; a kill does unless it is pinned.
fn stop_detaches(path: Path) {
    let stays =
        [(false, Signal::Terminate, false), (false, Signal::Kill, false), (true, Signal::Terminate, false)];
    for (pinned, signal, stays) in stays.into_iter().chain([(true, Signal::Kill, true)]) {
        let mut lab = Lab::new().unwrap();
        let flags: &[&str] = if pinned { &["--xdp-pin", PINS] } else { &[] };
        let mut reflector = Daemon::start(&mut lab, "reflector", path, flags);
        let near = reflector.host.link().near.clone();
        let attached = || {
            let shown = near.namespace().ip(&format!("link show dev {}", near.interface())).unwrap();
            shown.contains("prog/xdp")
        };
        assert!(attached(), "no program is attached natively");
        reflector.program().signal(signal).unwrap();
        reflector.program().wait(PATIENCE).unwrap();
        // The kernel lets go of what a killed process held a moment after its end.
        if !stays {
            eventually("the program is off the interface", || !attached());
        }
        assert_eq!(attached(), stays, "pinned: {pinned}, ended by {signal:?}");
    }
}

/// Another router comes in the place of the old one, with a hardware address of its own: what the program does not know
/// yet the sockets serve, and then it is the program's again.
fn router_replaced(path: Path) {
    let scene = Scene::new(path, &[]);
    scene.talk(b"through the old router");
    scene.assert_by_xdp(2);
    let far = &scene.reflector.host.link().far;
    far.namespace().ip(&format!("link set {} address 02:00:00:00:00:99", far.interface())).unwrap();
    // As a new router would, it asks for its neighbours again.
    far.namespace().ip(&format!("neigh flush dev {}", far.interface())).unwrap();
    let header = capability(&scene.ring, scene.alice.1, scene.bob.1, 400);
    let by_xdp = || scene.reflector.metric("reflector_relayed_datagrams_total", &[("path", "xdp")]);
    let before = by_xdp();
    eventually("a datagram arrives, relayed by the program, through the new router", || {
        scene.alice.0.send(scene.reflector.ipv4, &header, b"hello?");
        thread::sleep(Duration::from_millis(50));
        scene.bob.0.drain() && by_xdp() > before
    });
    scene.bob.0.ignore(b"hello?");
    scene.talk(b"through the new router");
}

/// A load of at most 500 datagrams a second, of which no more are under way than every queue holds.
#[derive(Debug, Default)]
struct Load {
    sent: AtomicU64,
    arrived: AtomicU64,
    over: AtomicBool,
}

impl Load {
    /// Sends until it is over, then the last one; gives how many.
    fn send(&self, from: &Endpoint, to: SocketAddr, header: &Header) -> u64 {
        while !self.over.load(Ordering::Relaxed) {
            from.send(to, header, b"load");
            let sent = self.sent.fetch_add(1, Ordering::Relaxed) + 1;
            wait_until("the load does not arrive", || {
                self.over.load(Ordering::Relaxed) || sent < self.arrived.load(Ordering::Relaxed) + UNDER_WAY
            });
            thread::sleep(Duration::from_millis(2));
        }
        from.send(to, header, LAST);
        self.sent.load(Ordering::Relaxed) + 1
    }

    /// Counts what arrives, up to the last one.
    fn arrive(&self, at: &Endpoint) -> u64 {
        while let Some(received) = at.receive() {
            self.arrived.fetch_add(1, Ordering::Relaxed);
            if received.payload == LAST {
                break;
            }
        }
        self.arrived.load(Ordering::Relaxed)
    }

    /// Waits until so much more of it was sent, and so much more has arrived.
    fn goes_on(&self, more: u64) {
        let counted = || [&self.sent, &self.arrived].map(|count| count.load(Ordering::Relaxed));
        let before = counted();
        wait_until("the load does not go on", || {
            let now = counted();
            now[0] >= before[0] + more && now[1] >= before[1] + more
        });
    }
}

/// Ends a load also when the test fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

const LAST: &[u8] = b"the last one";
/// Datagrams that a socket's buffer holds, and the ring of a cable, even if nobody reads for seconds.
const UNDER_WAY: u64 = 100;
