//! Cables: plugs pulled and put back, delay, and what a capture sees.
//!
//! * A delay is judged by its lower bound only.

use crate::network::nat_behaviour::{QUIET, receive, send, socket};
use crate::{Test, test};
use harness::{PATIENCE, wait_until};
use lab::Lab;
use lab::network::frame::{Datagram, write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test("cable::down_and_up", down_and_up),
        test("cable::delay", delay),
        test("cable::capture_and_inject", capture_and_inject),
        test("cable::ipv6", ipv6),
        test("cable::face_xdp_and_pin_napi", face_xdp_and_pin_napi),
        test("cable::inside_is_not_reachable", inside_is_not_reachable),
    ]
}

fn down_and_up() {
    let mut lab = Lab::new().unwrap();
    let hosts = ["one", "two"].map(|name| lab.host(name).unwrap());
    let [one, two] = hosts.each_ref().map(|host| socket(host, 6000));
    let to = two.local_addr().unwrap();
    send(&one, "before", to);
    assert_eq!(receive(&two).unwrap().0, "before");
    hosts[1].link().down().unwrap();
    send(&one, "into the void", to);
    two.set_read_timeout(Some(QUIET)).unwrap();
    assert_eq!(receive(&two), None);
    hosts[1].link().up().unwrap();
    wait_until("nothing arrives after the plug was put back in", || {
        send(&one, "after", to);
        receive(&two).is_some_and(|(text, _)| text == "after")
    });
}

fn delay() {
    let one_way = Duration::from_millis(20);
    let mut lab = Lab::new().unwrap();
    let (near, far) = (lab.host("near").unwrap(), lab.far_host("far", one_way).unwrap());
    let (near, far) = (socket(&near, 6000), socket(&far, 6000));
    for text in ["first", "second", "third"] {
        let start = Instant::now();
        send(&near, text, far.local_addr().unwrap());
        assert_eq!(receive(&far).unwrap().0, text);
        let there = start.elapsed();
        send(&far, text, near.local_addr().unwrap());
        assert_eq!(receive(&near).unwrap().0, text);
        assert!(there >= one_way && start.elapsed() >= 2 * one_way, "{there:?}, {:?}", start.elapsed());
    }
}

fn capture_and_inject() {
    let mut lab = Lab::new().unwrap();
    let hosts = ["one", "two"].map(|name| lab.host(name).unwrap());
    let [one, two] = hosts.each_ref().map(|host| socket(host, 6000));
    let (from, to) = (one.local_addr().unwrap(), two.local_addr().unwrap());
    let link = hosts[1].link();
    let (near, far) = (link.near.capture().unwrap(), link.far.capture().unwrap());
    send(&one, "a datagram", to);
    receive(&two).unwrap();
    let expected = Datagram {
        source: from,
        destination: to,
        payload: b"a datagram".to_vec(),
        hop_limit: 63,
        checksums_hold: true,
    };
    for (capture, outgoing) in [(&near, false), (&far, true)] {
        let seen = capture.datagrams().unwrap();
        assert_eq!(
            seen.iter().map(|seen| (&seen.what, seen.outgoing)).collect::<Vec<_>>(),
            [(&expected, outgoing)]
        );
        assert!(seen[0].time.elapsed().is_ok_and(|age| age < PATIENCE), "{:?}", seen[0].time);
    }

    let forged: SocketAddr = "93.184.216.34:4321".parse().unwrap();
    let frame = write(link.near.mac().unwrap(), link.far.mac().unwrap(), forged, to, b"forged").unwrap();
    link.far.inject(&frame).unwrap();
    assert_eq!(receive(&two), Some(("forged".to_owned(), forged)));
    let mut broken = frame;
    *broken.last_mut().unwrap() ^= 1;
    link.far.inject(&broken).unwrap();
    two.set_read_timeout(Some(QUIET)).unwrap();
    assert_eq!(receive(&two), None, "the kernel took a datagram with a wrong checksum");
    let mut seen = Vec::new();
    wait_until("the broken datagram did not pass", || {
        seen.extend(near.datagrams().unwrap());
        seen.len() >= 2
    });
    assert_eq!(seen.iter().map(|seen| seen.what.checksums_hold).collect::<Vec<_>>(), [true, false]);
}

fn ipv6() {
    let mut lab = Lab::new().unwrap();
    let hosts = ["one", "two"].map(|name| lab.host(name).unwrap());
    let [one, two] = hosts.each_ref().map(|host| {
        let socket = host.udp(host.ipv6().unwrap(), 6000).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    });
    send(&one, "over IPv6", two.local_addr().unwrap());
    assert_eq!(receive(&two), Some(("over IPv6".to_owned(), one.local_addr().unwrap())));
}

/// An inside address means nothing outside, even to who knows it.
fn inside_is_not_reachable() {
    let mut lab = Lab::new().unwrap();
    let mut nat = lab.nat("nat", nat::Mapping::Eim, nat::Filtering::Eif, 30).unwrap();
    let (inside, outside) = (lab.inside(&mut nat, "inside").unwrap(), lab.host("outside").unwrap());
    let (inside, outside) = (socket(&inside, 5000), socket(&outside, 6000));
    // The core has no route to it, and says so or not; either way nothing arrives.
    let _ = outside.send_to(b"hello?", inside.local_addr().unwrap());
    inside.set_read_timeout(Some(QUIET)).unwrap();
    assert_eq!(receive(&inside), None);
}

/// The kernel still moves datagrams both ways, checksums whole, once an end is made to face an XDP program.
fn face_xdp_and_pin_napi() {
    let mut lab = Lab::new().unwrap();
    let hosts = ["one", "two"].map(|name| lab.host(name).unwrap());
    let far = &hosts[1].link().far;
    assert!(far.pin_napi(0).is_err(), "there was a NAPI before any XDP program");
    far.face_xdp().unwrap();
    let shown = far.namespace().ip(&format!("link show dev {}", far.interface())).unwrap();
    assert!(shown.contains("prog/xdp"), "{shown}");
    far.pin_napi(0).unwrap();
    let [one, two] = hosts.each_ref().map(|host| socket(host, 6000));
    let capture = far.capture().unwrap();
    send(&one, "there", two.local_addr().unwrap());
    assert_eq!(receive(&two).unwrap().0, "there");
    send(&two, "back", one.local_addr().unwrap());
    assert_eq!(receive(&one).unwrap().0, "back");
    let seen = capture.datagrams().unwrap();
    assert_eq!(seen.iter().map(|seen| seen.outgoing).collect::<Vec<_>>(), [true, false]);
    assert!(seen.iter().all(|seen| seen.what.checksums_hold), "{seen:?}");
}
