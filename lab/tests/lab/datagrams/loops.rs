//! T5: however reflectors, echoing hosts and nested frames are arranged, one datagram in is one out, or none.
//!
//! * Counted twice: by the reflectors, and on the cables, where every datagram that left a reflector must have passed.
//! * The capabilities are real, as if somebody had minted them: nothing but the wire's own rules stands in the way.
//! * The host of the services sends everything back unchanged, from every port that is called: worse than any of them.
//! * Control: an endpoint that answers as the protocol has it makes two of one, and both counts see them.

use crate::datagrams::daemon::{Daemon, PORT, Path, eventually};
use crate::datagrams::endpoint::{Endpoint, capability, on_wire};
use crate::{Test, test};
use lab::{Capture, Host, Lab};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use wire::{Header, KeyRing, Kind, TransportAddress};

pub(crate) fn tests(path: Path) -> Vec<Test> {
    vec![test(format!("{path}::loops"), move || loops(path))]
}

/// Three reflectors, an endpoint, and a host of services.
struct Scene {
    reflectors: [Daemon; 3],
    rings: [KeyRing; 3],
    captures: [Capture; 3],
    endpoint: Endpoint,
    contact: TransportAddress,
    services: Host,
    _lab: Lab,
}

fn loops(path: Path) {
    let mut lab = Lab::new().unwrap();
    let reflectors = ["one", "two", "three"].map(|name| Daemon::start(&mut lab, name, path, &[]));
    let [host, services] = ["endpoint", "services"].map(|name| lab.host(name).unwrap());
    let endpoint = Endpoint::new(&host, 5000);
    let rings = reflectors.each_ref().map(Daemon::ring);
    let contact = endpoint.contact(reflectors[0].ipv4, &rings[0]);
    let captures = reflectors.each_ref().map(|daemon| daemon.host.link().far.capture().unwrap());
    let scene = Scene { reflectors, rings, captures, endpoint, contact, services, _lab: lab };

    let echoes = SERVICES.map(|port| Endpoint::new(&scene.services, port));
    let answering = Endpoint::new(&scene.services, ANSWERING);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for echo in &echoes {
            scope.spawn(|| echo.echo_while(|| !over.load(Ordering::Relaxed), |kind| kind));
        }
        scope.spawn(|| answering.echo_while(|| !over.load(Ordering::Relaxed), |_| Kind::Send as u8));
        let ended = EndsEchoes(&over);
        to_reflectors(&scene);
        to_services(&scene);
        forged(&scene);
        drop(ended);
    });
}

/// Lets the echoes end also when a test fails.
struct EndsEchoes<'a>(&'a AtomicBool);

impl Drop for EndsEchoes<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn to_reflectors(scene: &Scene) {
    let [one, two, three] = &scene.reflectors;
    scene.send("to itself", one.ipv4, b"", 0);
    scene.send("to itself in the other family", one.ipv6, b"", 0);
    scene.send("to itself over loopback", SocketAddr::from(([127, 0, 0, 1], PORT)), b"", 0);
    scene.send("to another reflector", two.ipv4, b"", 1);
    scene.send("to another reflector in the other family", two.ipv6, b"", 1);
    let last = frame(&capability(&scene.rings[2], on_wire(two.ipv4), on_wire(one.ipv4), 400), b"round");
    let middle = frame(&capability(&scene.rings[1], on_wire(one.ipv4), on_wire(three.ipv4), 400), &last);
    scene.send("around a ring of reflectors, nested", two.ipv4, &middle, 1);
    scene.send("to multicast", "224.0.0.251:5000".parse().unwrap(), b"", 0);
    let broadcast = SocketAddr::from(([45, 1, 7, 255], 5000));
    assert_eq!(
        one.host.ipv4().octets()[..3],
        [45, 1, 7],
        "the broadcast address below is not this network's"
    );
    scene.send("to its network's broadcast", broadcast, b"", 0);
}

fn to_services(scene: &Scene) {
    let at = |port: u16| SocketAddr::new(scene.services.ipv4().into(), port);
    scene.send("to echo", at(7), b"", 0);
    scene.send("to chargen", at(19), b"", 0);
    scene.send("to DNS", at(53), b"", 0);
    scene.send("to NTP", at(123), b"", 0);
    scene.send("to SSDP", at(1900), b"", 0);
    scene.send("to a STUN server", at(3478), b"", 1);
    scene.send("to an echoing host", at(7777), b"", 1);
    let inner = capability(&scene.rings[0], on_wire(at(7777)), scene.contact, 400);
    scene.send("control: to an endpoint that answers once, which is two datagrams in", at(ANSWERING), b"", 2);
    scene.send("to an echoing host, with a good frame inside", at(7777), &frame(&inner, b"nested"), 1);
}

fn forged(scene: &Scene) {
    let [one, two, three] = &scene.reflectors;
    let probe = frame(&Header { kind: Kind::Probe as u8, ..blank() }, b"");
    scene.forge("a PROBE from another reflector", two.ipv4, &probe, 1);
    scene.forge("a PROBE from itself", one.ipv4, &probe, 0);
    scene.forge(
        "a PROBE from an echoing host",
        SocketAddr::new(scene.services.ipv4().into(), 7777),
        &probe,
        1,
    );
    scene.forge("a PROBE from DNS", SocketAddr::new(scene.services.ipv4().into(), 53), &probe, 0);
    let header = capability(&scene.rings[0], on_wire(two.ipv4), on_wire(three.ipv4), 400);
    scene.forge("a SEND from one reflector to another", two.ipv4, &frame(&header, b"forged"), 1);
    let observed = frame(&Header { kind: Kind::Observed as u8, ..blank() }, b"");
    scene.forge("an OBSERVED from another reflector", two.ipv4, &observed, 0);
}

impl Scene {
    /// Sends to `to` through the first reflector; `emitted` datagrams may leave all reflectors together.
    fn send(&self, name: &str, to: SocketAddr, payload: &[u8], emitted: u64) {
        let header = capability(&self.rings[0], self.contact, on_wire(to), 400);
        self.judge(name, emitted, || self.endpoint.send(self.reflectors[0].ipv4, &header, payload));
    }

    /// Sends to the first reflector with a forged source.
    fn forge(&self, name: &str, from: SocketAddr, bytes: &[u8], emitted: u64) {
        let link = self.reflectors[0].host.link();
        let macs = (link.near.mac().unwrap(), link.far.mac().unwrap());
        let frame = lab::network::frame::write(macs.0, macs.1, from, self.reflectors[0].ipv4, bytes).unwrap();
        self.judge(name, emitted, || link.far.inject(&frame).unwrap());
    }

    fn judge(&self, name: &str, emitted: u64, send: impl FnOnce()) {
        let counted = || {
            let all = self.reflectors.each_ref().map(Daemon::counters);
            all.iter().map(|counters| counters.relayed + counters.observed).sum::<u64>()
        };
        let before = counted();
        self.left();
        send();
        // What may leave has left; whatever else would leave has a moment more.
        let mut left = 0;
        eventually(name, || {
            left += self.left();
            left >= emitted && counted() >= before + emitted
        });
        thread::sleep(Duration::from_millis(60));
        left += self.left();
        assert_eq!((counted() - before, left), (emitted, emitted), "{name}: counted, and on the cables");
    }

    /// How many datagrams have left the reflectors since the last call.
    fn left(&self) -> u64 {
        let of = |capture: &Capture| {
            let seen = capture.datagrams().unwrap();
            seen.iter().filter(|seen| !seen.outgoing && seen.what.source.port() == PORT).count()
        };
        self.captures.iter().map(of).sum::<usize>() as u64
    }
}

fn frame(header: &Header, payload: &[u8]) -> Vec<u8> {
    [&header.to_bytes()[..], payload].concat()
}

fn blank() -> Header {
    Header { kind: 0, class_key: 1, expires: 0, peer: TransportAddress::default(), tag: 0 }
}

const SERVICES: [u16; 7] = [7, 19, 53, 123, 1900, 3478, 7777];
/// The port of an endpoint that answers by the protocol.
const ANSWERING: u16 = 7778;
