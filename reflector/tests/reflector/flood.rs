//! Floods: dead ports, every length, empty datagrams, junk; the reflector goes on and loses nothing good.

use crate::rig::daemon::Reflector;
use crate::rig::protocol::{DATA, peer};
use crate::rig::traffic::{Endpoint, settled};
use engine::socket::kind::Kind;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

pub(crate) fn t13_sends_to_dead_ports_lose_no_good_datagram(kind: Kind) {
    let reflector = Reflector::start_on(kind, &[]);
    let (alice, bob) = (Endpoint::new("127.0.0.1:0", &reflector), Endpoint::new("127.0.0.2:0", &reflector));
    let good = reflector.key.send(alice.address, bob.address, b"good");
    // Nobody has a socket at this address, so each of these brings an ICMP error back to the reflector.
    let dead: Vec<Vec<u8>> = (2_000..2_032)
        .map(|port| reflector.key.send(alice.address, SocketAddr::from(([127, 13, 13, 13], port)), b"dead"))
        .collect();
    for _ in 0..3_000 {
        for datagram in &dead {
            alice.send(datagram);
            alice.send(&good);
        }
        for _ in &dead {
            let data = bob.receive();
            assert_eq!((data[0], peer(&data), &data[32..]), (DATA, alice.address, &b"good"[..]));
        }
    }
    let page = settled(&reflector, &[&alice]);
    assert_eq!(page.relayed() + page.unsent(), 192_000);
    assert!(page.relayed() >= 96_000);
    alice.fence();
}

pub(crate) fn t15_every_length_and_empty_datagrams(kind: Kind) {
    let reflector = Reflector::start_on(kind, &[]);
    let (alice, bob) = (Endpoint::new("127.0.0.1:0", &reflector), Endpoint::new("127.0.0.2:0", &reflector));
    let (mut short, mut relayed, mut oversize) = (0, 0, 0);
    let edges = (0..=200).chain(1_380..=1_560).chain((1_600..65_300).step_by(997)).chain(65_380..=65_507);
    for length in edges {
        let mut datagram = reflector.key.send(alice.address, bob.address, &vec![0x0a; 65_507 - 32]);
        datagram.truncate(length);
        alice.send(&datagram);
        match length {
            0..=31 => short += 1,
            32..=1_472 => {
                relayed += 1;
                assert_eq!(bob.receive().len(), length, "as long out as in");
            }
            _ => oversize += 1,
        }
        // A small receive buffer holds two of the longest.
        if length % 16 == 0 || length > 1_472 {
            alice.fence();
        }
    }
    alice.fence();
    let page = settled(&reflector, &[&alice]);
    assert_eq!([page.dropped("short"), page.relayed(), page.dropped("oversize")], [short, relayed, oversize]);
    for _ in 0..500 {
        (0..200).for_each(|_| alice.send(&[]));
        alice.fence();
    }
    let page = settled(&reflector, &[&alice]);
    assert_eq!(page.dropped("short"), short + 100_000, "an empty datagram is a datagram, and never an end");
    bob.assert_silence();
}

pub(crate) fn t10_ten_times_as_much_junk_costs_no_good_datagram(kind: Kind) {
    let reflector = Reflector::start_on(kind, &[]);
    let (alice, bob) = (Endpoint::new("127.0.0.1:0", &reflector), Endpoint::new("127.0.0.2:0", &reflector));
    let mallory = Endpoint::new("127.0.0.9:0", &reflector);
    let junk = reflector.key.send(alice.address, bob.address, &[0; 100]);
    for round in 0..500 {
        for number in 0..100 {
            // Wrong kinds, stolen headers, and noise.
            let mut datagram = junk.clone();
            datagram[0] = [0x0a, 0x0b, 0x55][number % 3];
            mallory.send(&datagram);
        }
        alice.exchange(&bob, &reflector.key, 1, 10);
        if round % 50 == 0 {
            mallory.fence();
        }
    }
    let page = settled(&reflector, &[&alice, &mallory]);
    assert_eq!((page.relayed(), page.dropped("tag"), page.dropped("kind")), (5_000, 17_000, 33_000));
    mallory.assert_silence();
}

pub(crate) fn t20_a_flood_of_junk_writes_nothing_to_the_log(kind: Kind) {
    let reflector = Reflector::start_on(kind, &[]);
    let mallory = Endpoint::new("127.0.0.1:0", &reflector);
    let before = reflector.log().len();
    let deadline = Instant::now() + Duration::from_secs(6);
    let stolen = reflector.key.send(
        "127.0.0.5:5000".parse().unwrap(),
        "127.0.0.6:5000".parse().unwrap(),
        b"\x1b[2J\n\0",
    );
    let mut sent = 0_u64;
    while sent < FLOOD.start || sent < FLOOD.end && Instant::now() < deadline {
        for number in 0..1_000_u32 {
            let mut datagram = stolen.clone();
            datagram[(number % 40) as usize % stolen.len()] ^= 0x41;
            mallory.send(&datagram[..(number % 41) as usize % (stolen.len() + 1)]);
        }
        sent += 1_000;
    }
    let page = reflector.metrics_when(|page| {
        // The kernel says how many it dropped when the next one comes.
        mallory.send(&[]);
        page.missing() == 0 && page.received() + page.sum("reflector_socket_overflows_total", &[]) >= sent
    });
    assert_eq!(page.relayed() + page.observed(), 0);
    let grown = reflector.log().len() - before;
    assert!(grown <= 1_024, "{sent} invalid datagrams wrote {grown} bytes:\n{}", reflector.log());
}

/// Datagrams of a flood: as many as pass in some seconds, within these limits.
const FLOOD: Range<u64> = 100_000..2_000_000;
