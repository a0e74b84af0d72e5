//! Ready flows of relays that are no reflectors.

use crate::Test;
use crate::forwarder::{Forwarder, Way, head_of};
use crate::rig::{Rig, wait};
use harness::Signal;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

pub(crate) const TESTS: [Test; 6] = [
    ("flows::forwarded_without_their_heads", forwarded_without_their_heads),
    ("flows::forwarded_over_ipv6", forwarded_over_ipv6),
    ("flows::sent_back_as_they_were", sent_back_as_they_were),
    ("flows::that_look_otherwise_are_foreign", that_look_otherwise_are_foreign),
    ("flows::cut_short_by_a_signal", cut_short_by_a_signal),
    ("flows::to_nobody_are_refused", to_nobody_are_refused),
];

/// The transport address of an endpoint that lives in the generator alone.
fn endpoint(number: u8, ipv4: bool) -> SocketAddr {
    let ip: IpAddr = if ipv4 {
        [10, 64, number, 1].into()
    } else {
        [0xfd64, 0, 0, 0, 0, 0, 0, u16::from(number) + 1].into()
    };
    SocketAddr::new(ip, 40_000 + u16::from(number))
}

/// A file of 20 flows in a ring, each with the head that names its receiver.
pub(crate) fn ring(rig: &Rig, relay: SocketAddr) -> String {
    let mut text = "# FROM TO VIA HEAD\n".to_owned();
    for number in 0..20 {
        let (from, to) = (endpoint(number, relay.is_ipv4()), endpoint((number + 1) % 20, relay.is_ipv4()));
        writeln!(text, "{from} {to} {relay} {}", head_of(to)).unwrap();
    }
    write(rig, &text)
}

/// A file of flows of which each comes back to its sender.
fn back(rig: &Rig, relay: SocketAddr) -> String {
    let line = |number| format!("{0} {0} {relay} 01020304 # a comment\n", endpoint(number, true));
    write(rig, &(0..5).map(line).collect::<String>())
}

fn write(rig: &Rig, text: &str) -> String {
    let path = rig.file("flows.txt");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn forwarded(ipv4: bool) {
    let rig = Rig::new();
    let relay = Forwarder::start(rig.relay_socket(ipv4), Way::OnWithoutHead);
    let flows = ring(&rig, relay.address);
    let flags = format!("--flows {flows} --rate 2k --duration 1s --payload 101 --seed 3");
    let (code, report) = rig.run(relay.address, &flags);
    assert!([0, 98].contains(&code), "{code}");
    assert!(report.rate.due.abs_diff(2_000) <= 1, "{}", report.rate.due);
    assert_eq!(report.data.delivered, relay.forwarded());
    assert_eq!((report.data.duplicates, report.data.reordered, report.keepalive.foreign), (0, 0, 0));
    let settings = &report.settings;
    assert_eq!((settings.pairs.as_str(), settings.pair_count, settings.endpoints), ("flows", 20, 20));
    assert_eq!((settings.ring.as_str(), settings.nat.as_str(), settings.seed), ("", "open=100%", 3));
    assert_eq!((report.nat_pairs.len(), report.nat_pairs[0].from.as_str()), (1, "open"));
    assert_eq!((report.generator.sockets, report.contacts.probes), (0, 0));
}

fn forwarded_without_their_heads() {
    forwarded(true);
}

fn forwarded_over_ipv6() {
    forwarded(false);
}

fn sent_back_as_they_were() {
    let rig = Rig::new();
    let relay = Forwarder::start(rig.relay_socket(true), Way::Back);
    let flows = back(&rig, relay.address);
    for arrivals in ["poisson", "burst:10"] {
        let before = relay.forwarded();
        let flags =
            format!("--flows {flows} --arriving untouched --rate 2k --duration 500ms --arrivals {arrivals}");
        let (code, report) = rig.run(relay.address, &flags);
        assert!([0, 98].contains(&code), "{code}");
        assert_eq!(report.data.delivered, relay.forwarded() - before, "{arrivals}");
        // Five standard deviations of a Poisson count of 1,000.
        assert!(report.rate.due.abs_diff(1_000) < 160, "{arrivals}: {}", report.rate.due);
    }
}

fn that_look_otherwise_are_foreign() {
    let rig = Rig::new();
    let relay = Forwarder::start(rig.relay_socket(true), Way::Back);
    let flows = back(&rig, relay.address);
    let flags = format!("--flows {flows} --arriving bare --rate 500 --duration 500ms --threshold loss<1%");
    let (code, report) = rig.run(relay.address, &flags);
    assert!([98, 99].contains(&code), "{code}");
    assert!(relay.forwarded() > 0);
    assert_eq!((report.data.delivered, report.data.lost), (0, report.data.sent));
}

fn cut_short_by_a_signal() {
    let rig = Rig::new();
    let relay = Forwarder::start(rig.relay_socket(true), Way::OnWithoutHead);
    let flows = ring(&rig, relay.address);
    let mut running = rig.start(relay.address, &format!("--flows {flows} --rate 500 --duration 60s"));
    wait(&mut running, || relay.forwarded() >= 100);
    running.signal(Signal::SIGINT);
    let (code, report, said) = rig.end(running);
    assert_eq!(code, 130, "{said}");
    assert!(report.interrupted && report.rate.elapsed_ns < 60_000_000_000 && report.data.delivered >= 90);
    assert_eq!(report.data.delivered, relay.forwarded());
}

fn to_nobody_are_refused() {
    let rig = Rig::new();
    let mut octets = rig.host.ipv4().octets();
    octets[3] = 77;
    let nobody = SocketAddr::new(octets.into(), 9);
    let flows = ring(&rig, nobody);
    let flags = format!("--flows {flows} --rate 500 --duration 1s");
    let (code, said) = rig.fail(nobody, &flags);
    assert!(code == 1 && said.contains("no neighbour on eth0 answers"), "{code} {said}");
    let own = SocketAddr::new(rig.host.ipv4().into(), 9);
    let flows = ring(&rig, own);
    let (code, said) = rig.fail(own, &format!("--flows {flows}"));
    assert!(code == 78 && said.contains("this host itself"), "{code} {said}");
    let relay = rig.relay_socket(true).local_addr().unwrap();
    let flows = ring(&rig, relay);
    rig.host.namespace().ip("link set eth0 mtu 1000").unwrap();
    let (code, said) = rig.fail(relay, &format!("--flows {flows} --payload 1000"));
    assert!(code == 78 && said.contains("MTU"), "{code} {said}");
}
