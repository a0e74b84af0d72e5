//! Two endpoints talk through a reflector: contact, relay, answers, renewal, both families, every size, fragments.
//!
//! * Alice is behind a NAT of EIM and APDF, Bob behind one of APDM and APDF: those who cannot do without a reflector.
//! * Carol is public and speaks IPv6.

use crate::datagrams::daemon::{Daemon, PINS, Path, eventually};
use crate::datagrams::endpoint::{Endpoint, answer, capability, now_s, on_wire};
use crate::{OnPath, Test, test};
use harness::wait_until;
use lab::{Host, Lab};
use nat::{Filtering, Mapping};
use std::collections::BTreeMap;
use std::time::Duration;
use wire::{Header, KeyRing, Kind, TransportAddress};

pub(crate) fn tests(path: Path) -> Vec<Test> {
    let tests: [(&str, OnPath); 11] = [
        ("observe", observe),
        ("relay_and_answers", relay_and_answers),
        ("every_size", every_size),
        ("renewal", renewal),
        ("expiry", expiry),
        ("cross_family", cross_family),
        ("fragments", fragments),
        ("stolen_header", stolen_header),
        ("far_away", far_away),
        ("neighbours", neighbours),
        ("private_destinations", private_destinations),
    ];
    tests.map(|(name, run)| test(format!("{path}::{name}"), move || run(path))).into()
}

/// A reflector, and two endpoints behind NATs of their own with their contacts.
pub(crate) struct Scene {
    pub(crate) lab: Lab,
    pub(crate) reflector: Daemon,
    pub(crate) ring: KeyRing,
    pub(crate) hosts: [Host; 2],
    pub(crate) alice: (Endpoint, TransportAddress),
    pub(crate) bob: (Endpoint, TransportAddress),
}

impl Scene {
    pub(crate) fn new(path: Path, flags: &[&str]) -> Self {
        let mut lab = Lab::new().unwrap();
        let reflector = Daemon::start(&mut lab, "reflector", path, flags);
        let ring = reflector.ring();
        let mut inside = |name: &str, mapping, filtering| {
            let mut nat = lab.nat(&format!("{name}-nat"), mapping, filtering, 60).unwrap();
            let host = lab.inside(&mut nat, name).unwrap();
            let endpoint = Endpoint::new(&host, 5000);
            let contact = endpoint.contact(reflector.ipv4, &ring);
            assert_eq!(contact.ip(), nat.external(), "the contact is not the NAT's address");
            (host, nat, (endpoint, contact))
        };
        let (alice_host, _, alice) = inside("alice", Mapping::Eim, Filtering::Apdf);
        let (bob_host, _, bob) = inside("bob", Mapping::Apdm, Filtering::Apdf);
        Self { lab, reflector, ring, hosts: [alice_host, bob_host], alice, bob }
    }

    /// One whose program outlives the daemon.
    pub(crate) fn pinned(path: Path) -> Self {
        Self::new(path, &["--xdp-pin", PINS])
    }

    /// Asserts what the reflector has counted since it started, besides the two PROBEs of the contacts.
    pub(crate) fn assert_counted(&self, relayed: u64, dropped: &[(&str, u64)]) {
        let dropped: BTreeMap<String, u64> =
            dropped.iter().map(|(reason, n)| ((*reason).to_owned(), *n)).collect();
        let all = relayed + 2 + dropped.values().sum::<u64>();
        let counters = self.reflector.counters_when(|counters| counters.accounted() >= all);
        assert_eq!((counters.relayed, counters.observed, &counters.dropped), (relayed, 2, &dropped));
        assert!(counters.send_errors.is_empty(), "{:?}", counters.send_errors);
    }

    /// Asserts how many of the relayed datagrams the XDP program relayed itself; on the socket path none are asked for.
    pub(crate) fn assert_by_xdp(&self, relayed: u64) {
        if self.reflector.path == Path::Xdp {
            let by_xdp = self.reflector.metric("reflector_relayed_datagrams_total", &[("path", "xdp")]);
            assert_eq!(by_xdp, relayed, "relayed by the XDP program itself");
        }
    }

    /// One datagram each way.
    pub(crate) fn talk(&self, payload: &[u8]) {
        let there = capability(&self.ring, self.alice.1, self.bob.1, 400);
        self.alice.0.send(self.reflector.ipv4, &there, payload);
        let data = self.bob.0.expect(payload);
        assert_eq!((data.from, data.header.peer), (self.reflector.ipv4, self.alice.1));
        self.bob.0.send(self.reflector.ipv4, &answer(&data.header), payload);
        let data = self.alice.0.expect(payload);
        assert_eq!((data.from, data.header.peer), (self.reflector.ipv4, self.bob.1));
    }
}

fn observe(path: Path) {
    let scene = Scene::new(path, &[]);
    // Alice's NAT shows every reflector the same address, and Bob's keeps his for this one.
    for _ in 0..3 {
        assert_eq!(scene.alice.0.contact(scene.reflector.ipv4, &scene.ring), scene.alice.1);
        assert_eq!(scene.bob.0.contact(scene.reflector.ipv4, &scene.ring), scene.bob.1);
    }
    assert_eq!(scene.reflector.counters_when(|counters| counters.observed >= 8).observed, 8);
    if path == Path::Xdp {
        let by_xdp = scene.reflector.metric("reflector_observed_datagrams_total", &[("path", "xdp")]);
        assert!(by_xdp > 0, "the XDP program answered nothing");
    }
}

fn relay_and_answers(path: Path) {
    let scene = Scene::new(path, &[]);
    for round in 0..20_u8 {
        scene.talk(&[round; 200]);
    }
    // Without a reflector's help they cannot talk: the datagram dies at Bob's NAT.
    scene.alice.0.send_bytes(scene.bob.1.to_socket(), &[Kind::Peer as u8; 64]);
    scene.bob.0.expect_nothing();
    scene.assert_counted(40, &[]);
    if path == Path::Xdp {
        let by_xdp = scene.reflector.metric("reflector_relayed_datagrams_total", &[("path", "xdp")]);
        assert!(
            by_xdp >= 38,
            "the XDP program relayed {by_xdp} of 40, the first two may find no neighbour yet"
        );
    }
}

fn every_size(path: Path) {
    let scene = Scene::new(path, &[]);
    let link = scene.reflector.host.link().far.capture().unwrap();
    let lengths = [0, 1, 2, 3, 31, 32, 33, 64, 500, 1199, 1200, 1439, 1440];
    for length in lengths {
        scene.talk(&(0..=255).cycle().take(length).collect::<Vec<u8>>());
    }
    let seen = link.datagrams().unwrap();
    let (into, out): (Vec<_>, Vec<_>) = seen.iter().partition(|seen| seen.outgoing);
    let bytes = |side: &[&lab::Seen<lab::network::frame::Datagram>]| {
        side.iter().map(|seen| seen.what.payload.len()).sum::<usize>()
    };
    assert_eq!((into.len(), out.len()), (2 * lengths.len(), 2 * lengths.len()), "one out for each one in");
    assert_eq!(bytes(&into), bytes(&out), "as many bytes out as in");
    for seen in out {
        assert!(seen.what.checksums_hold && seen.what.hop_limit == 64, "{:?}", seen.what);
    }
    let too_long = capability(&scene.ring, scene.alice.1, scene.bob.1, 400);
    scene.alice.0.send(scene.reflector.ipv4, &too_long, &[0; 1441]);
    scene.bob.0.expect_nothing();
    scene.assert_counted(2 * lengths.len() as u64, &[("oversize", 1)]);
    scene.assert_by_xdp(2 * lengths.len() as u64);
}

/// What has less than half an answer's lifetime left comes out with a whole one, and proves as much as before.
fn renewal(path: Path) {
    let scene = Scene::new(path, &[]);
    let (alice, bob) = (&scene.alice, &scene.bob);
    for (lifetime_s, renewed) in [(100, true), (149, true), (160, false), (599, false)] {
        let there = capability(&scene.ring, alice.1, bob.1, lifetime_s);
        let before = now_s();
        alice.0.send(scene.reflector.ipv4, &there, b"there");
        let data = bob.0.expect(b"there");
        let given = data.header.expires;
        if renewed {
            assert!(
                (before + 300..=now_s() + 301).contains(&given),
                "{lifetime_s} s became {}",
                given - before
            );
            assert_ne!(data.header.tag, there.tag);
        } else {
            assert_eq!((given, data.header.tag), (there.expires, there.tag), "{lifetime_s} s were renewed");
        }
        bob.0.send(scene.reflector.ipv4, &answer(&data.header), b"back");
        let data = alice.0.expect(b"back");
        alice.0.send(scene.reflector.ipv4, &answer(&data.header), b"and there again");
        bob.0.expect(b"and there again");
    }
    scene.assert_counted(12, &[]);
    scene.assert_by_xdp(12);
}

/// A right ends with its second; it is not revived by having been good.
fn expiry(path: Path) {
    let scene = Scene::new(path, &[]);
    let (short, late) = used_in_time(&scene);
    wait_until("the clock stands still", || now_s() >= short.expires + 2);
    scene.alice.0.send(scene.reflector.ipv4, &short, b"too late");
    let far = capability(&scene.ring, scene.alice.1, scene.bob.1, 660);
    scene.alice.0.send(scene.reflector.ipv4, &far, b"too early");
    let mut flipped = capability(&scene.ring, scene.alice.1, scene.bob.1, 400);
    flipped.tag ^= 1;
    scene.alice.0.send(scene.reflector.ipv4, &flipped, b"forged");
    // Bob's own right is not Alice's, and hers does not work from Bob's address.
    let hers = capability(&scene.ring, scene.alice.1, on_wire(scene.reflector.ipv6), 400);
    scene.bob.0.send(scene.reflector.ipv4, &hers, b"stolen");
    scene.bob.0.expect_nothing();
    scene.alice.0.expect_nothing();
    scene.assert_counted(1, &[("expired", 1 + late), ("lifetime", 1), ("tag", 1), ("destination", 1)]);
    scene.assert_by_xdp(1);
}

/// A right that ends in seconds and with which Alice has reached Bob, and how many had ended before they were used: the
/// shorter they live, the more often that happens on a busy machine.
fn used_in_time(scene: &Scene) -> (Header, u64) {
    let mut late = 0;
    for lifetime_s in [2, 4, 8, 16, 32, 64] {
        let short = capability(&scene.ring, scene.alice.1, scene.bob.1, lifetime_s);
        scene.alice.0.send(scene.reflector.ipv4, &short, b"in time");
        let counters = scene.reflector.counters_when(|counters| counters.accounted() > 2 + late);
        if counters.relayed == 1 {
            scene.bob.0.expect(b"in time");
            return (short, late);
        }
        assert!(now_s() >= short.expires, "{lifetime_s} s were over too early: {counters:?}");
        late += 1;
    }
    panic!("{late} rights had ended before they were used");
}

/// T6: a header is worth nothing from any other source, whatever network or port that claims to be in.
fn stolen_header(path: Path) {
    let scene = Scene::new(path, &[]);
    let stolen = capability(&scene.ring, scene.alice.1, scene.bob.1, 400);
    let bytes = [&stolen.to_bytes()[..], b"stolen"].concat();
    let link = scene.reflector.host.link();
    let (to_mac, from_mac) = (link.near.mac().unwrap(), link.far.mac().unwrap());
    let frame_from = |from: TransportAddress| {
        lab::network::frame::write(to_mac, from_mac, from.to_socket(), scene.reflector.ipv4, &bytes).unwrap()
    };
    let elsewhere = |n: u16| frame_from(on_wire(std::net::SocketAddr::from(([93, 184, 216, 34], 5000 + n))));
    let beside =
        |n: u16| frame_from(TransportAddress { port: scene.alice.1.port.wrapping_add(n), ..scene.alice.1 });
    let frames: Vec<Vec<u8>> = (1..=100).flat_map(|n| [elsewhere(n), beside(n)]).collect();
    for (frames, injected) in frames.chunks(50).zip((50..).step_by(50)) {
        link.far.inject_all(frames.iter().map(Vec::as_slice)).unwrap();
        // No queue on the way holds many more.
        scene.reflector.counters_when(|counters| counters.accounted() >= 2 + injected);
    }
    scene.bob.0.expect_nothing();
    scene.assert_counted(0, &[("tag", 200)]);
    // Control: from the address that it was made for, a forged frame is as good as any.
    link.far.inject(&frame_from(scene.alice.1)).unwrap();
    scene.bob.0.expect(b"stolen");
}

/// IPv4 behind a NAT talks with public IPv6 through the reflector's two addresses.
fn cross_family(path: Path) {
    let mut scene = Scene::new(path, &[]);
    let host = scene.lab.host("carol").unwrap();
    let carol = Endpoint::at(&host, host.ipv6().unwrap().into(), 5000);
    let contact = carol.contact(scene.reflector.ipv6, &scene.ring);
    assert_eq!(contact, on_wire(carol.local()));
    for length in [0, 1, 200, 1420] {
        let payload = vec![7; length];
        let there = capability(&scene.ring, scene.alice.1, contact, 400);
        scene.alice.0.send(scene.reflector.ipv4, &there, &payload);
        let data = carol.expect(&payload);
        assert_eq!((data.from, data.header.peer), (scene.reflector.ipv6, scene.alice.1));
        carol.send(scene.reflector.ipv6, &answer(&data.header), &payload);
        let data = scene.alice.0.expect(&payload);
        assert_eq!((data.from, data.header.peer), (scene.reflector.ipv4, contact));
    }
    // And IPv6 with itself.
    let dave = Endpoint::at(&host, host.ipv6().unwrap().into(), 5001);
    let to = dave.contact(scene.reflector.ipv6, &scene.ring);
    carol.send(scene.reflector.ipv6, &capability(&scene.ring, contact, to, 100), b"six");
    let data = dave.expect(b"six");
    dave.send(scene.reflector.ipv6, &answer(&data.header), b"six again");
    carol.expect(b"six again");
    let counters = scene.reflector.counters_when(|counters| counters.accounted() >= 14);
    assert_eq!((counters.relayed, counters.observed, counters.dropped.len()), (10, 4, 0), "{counters:?}");
    scene.assert_by_xdp(2);
}

/// A datagram that the sender's network cut into fragments is put together by the stack, and leaves whole.
fn fragments(path: Path) {
    let scene = Scene::new(path, &[]);
    let capture = scene.reflector.host.link().far.capture().unwrap();
    let interface = scene.hosts[0].link().near.interface();
    scene.hosts[0].namespace().ip(&format!("link set {interface} mtu 576")).unwrap();
    let payload = [9; 1200];
    let there = capability(&scene.ring, scene.alice.1, scene.bob.1, 400);
    for _ in 0..5 {
        scene.alice.0.send(scene.reflector.ipv4, &there, &payload);
        scene.bob.0.expect(&payload);
    }
    let frames = capture.frames().unwrap();
    let (into, out): (Vec<_>, Vec<_>) = frames.iter().partition(|seen| seen.outgoing);
    let whole = |frames: &[&lab::Seen<Vec<u8>>]| {
        frames.iter().filter_map(|seen| lab::network::frame::Datagram::read(&seen.what)).count()
    };
    assert_eq!((whole(&into), whole(&out)), (0, 5), "no fragment came, or one left");
    scene.assert_counted(5, &[]);
    scene.assert_by_xdp(0);
}

/// Twenty milliseconds each way to one side change nothing but the time.
fn far_away(path: Path) {
    let mut scene = Scene::new(path, &[]);
    let host = scene.lab.far_host("far", Duration::from_millis(20)).unwrap();
    let far = Endpoint::new(&host, 5000);
    let contact = far.contact(scene.reflector.ipv4, &scene.ring);
    let there = capability(&scene.ring, scene.alice.1, contact, 100);
    let start = std::time::Instant::now();
    scene.alice.0.send(scene.reflector.ipv4, &there, b"are you there?");
    let data = far.expect(b"are you there?");
    far.send(scene.reflector.ipv4, &answer(&data.header), b"now I am");
    scene.alice.0.expect(b"now I am");
    assert!(start.elapsed() >= Duration::from_millis(40), "{:?}", start.elapsed());
}

/// Endpoints on the reflector's own network talk with each other and with those behind its router, in both families:
/// the next hop of an answer is not always where the question came from.
fn neighbours(path: Path) {
    let (reflector, next) = talk_of_neighbours(path, &[]);
    if path == Path::Xdp {
        let by_xdp = |name| reflector.metric(name, &[("path", "xdp")]);
        assert_eq!(by_xdp("reflector_relayed_datagrams_total"), 0, "a next hop was guessed");
        let observer = Endpoint::new(&next, 5001);
        eventually("the XDP program answers a neighbour that the kernel knows", || {
            let before = by_xdp("reflector_observed_datagrams_total");
            observer.contact(reflector.ipv4, &reflector.ring());
            by_xdp("reflector_observed_datagrams_total") > before
        });
    }
}

/// With the kernel's routes at hand the XDP program finds the next hop itself, wherever the question came from.
pub(crate) fn neighbours_by_fib(path: Path) {
    let (reflector, _) = talk_of_neighbours(path, &["--xdp-nexthop", "fib"]);
    let by_xdp = reflector.metric("reflector_relayed_datagrams_total", &[("path", "xdp")]);
    assert!(
        by_xdp >= 36,
        "{by_xdp} of 72 by the XDP program; only the first to each may have to wait for a neighbour"
    );
}

/// A reflector, two hosts on its network and one away talk, each with each; gives the reflector and one of the two.
fn talk_of_neighbours(path: Path, flags: &[&str]) -> (Daemon, Host) {
    let mut lab = Lab::new().unwrap();
    let [host, next, opposite] = lab.neighbours(["reflector", "next", "opposite"]).unwrap();
    let away = lab.host("away").unwrap();
    host.namespace().set("net/ipv4/conf/all/forwarding", 1).unwrap();
    host.namespace().set("net/ipv6/conf/all/forwarding", 1).unwrap();
    let reflector = Daemon::start_on(host, path, flags);
    let ring = reflector.ring();
    for called in [reflector.ipv4, reflector.ipv6] {
        let endpoints = [&next, &opposite, &away].map(|host| {
            let ip = if called.is_ipv4() { host.ipv4().into() } else { host.ipv6().unwrap().into() };
            let endpoint = Endpoint::at(host, ip, 5000);
            let contact = endpoint.contact(called, &ring);
            (endpoint, contact)
        });
        for (from, to) in [(0, 1), (0, 2), (2, 0), (1, 2), (1, 0), (2, 1)] {
            let (from, to) = (&endpoints[from], &endpoints[to]);
            for _ in 0..3 {
                from.0.send(called, &capability(&ring, from.1, to.1, 400), b"over there");
                let data = to.0.expect(b"over there");
                to.0.send(called, &answer(&data.header), b"and back");
                from.0.expect(b"and back");
            }
        }
    }
    let counters = reflector.counters_when(|counters| counters.accounted() >= 78);
    assert_eq!((counters.relayed, counters.observed, counters.dropped.len()), (72, 6, 0), "{counters:?}");
    (reflector, next)
}

/// With nothing opened, no capability reaches what is not on the Internet, and no PROBE from there is answered.
fn private_destinations(path: Path) {
    let scene = Scene::new(path, &[]);
    let inside = on_wire(scene.bob.0.local());
    let refused =
        ["127.0.0.1:9464", "169.254.169.254:8080", "10.0.0.1:5000", "224.0.0.251:5000", "45.1.7.255:5000"];
    let refused: Vec<TransportAddress> = refused.iter().map(|text| on_wire(text.parse().unwrap())).collect();
    for to in refused.iter().chain([&inside]) {
        let header = capability(&scene.ring, scene.alice.1, *to, 400);
        scene.alice.0.send(scene.reflector.ipv4, &header, b"let me in");
    }
    scene.bob.0.expect_nothing();
    scene.assert_counted(0, &[("destination", 6)]);

    let (near, far) = (&scene.reflector.host.link().near, &scene.reflector.host.link().far);
    let capture = far.capture().unwrap();
    let mut probe = [0; 32];
    probe[0] = Kind::Probe as u8;
    let (to_mac, from_mac) = (near.mac().unwrap(), far.mac().unwrap());
    for forged in ["10.1.2.3:5000", "45.2.7.2:53", "192.168.1.1:5000"] {
        let from = forged.parse().unwrap();
        let frame = lab::network::frame::write(to_mac, from_mac, from, scene.reflector.ipv4, &probe).unwrap();
        far.inject(&frame).unwrap();
    }
    scene.assert_counted(0, &[("destination", 6), ("source", 3)]);
    let answered = capture.datagrams().unwrap().into_iter().filter(|seen| !seen.outgoing).count();
    assert_eq!(answered, 0, "a forged PROBE was answered");
}
