//! Every datagram received is counted exactly once more, whatever becomes of it.

use crate::rig::daemon::{Folder, Reflector};
use crate::rig::page::{Page, label};
use crate::rig::protocol::{Key, now_s, probe};
use crate::rig::traffic::Endpoint;
use engine::socket::kind::Kind;
use harness::Signal;
use http::Sample;
use std::net::SocketAddr;

/// Every reason that can be brought about from outside, with datagrams that are refused for it.
fn refusals(alice: &Endpoint, six: &Endpoint, key: &Key) -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let to: SocketAddr = "127.0.0.2:4000".parse().unwrap();
    let send = |length: usize| key.send(alice.address, to, &vec![0; length - 32]);
    let at = |expires: u32| key.send_header(0, expires, alice.address, to).to_vec();
    let towards = |to: &str| key.send(alice.address, to.parse().unwrap(), b"x");
    let mut forged = send(40);
    forged[31] ^= 0x80;
    vec![
        ("short", vec![Vec::new(), vec![0x0a], send(32)[..31].to_vec()]),
        (
            "oversize",
            vec![
                send(1_473),
                send(65_507),
                probe(&[0; 33]),
                key.send(alice.address, six.address, &[0; 1_421]),
            ],
        ),
        ("kind", [0x00, 0x09, 0x0b, 0x0c, 0xff].map(|kind| vec![kind; 60]).to_vec()),
        ("key", vec![Key::new(6, 7).send(alice.address, to, b"x")]),
        ("expired", vec![at(now_s() - 1), at(0)]),
        ("lifetime", vec![at(now_s() + 700), at(u32::MAX)]),
        (
            "destination",
            [
                "127.0.0.2:1023",
                "127.0.0.2:5353",
                "10.0.0.1:4000",
                "224.0.0.1:4000",
                "169.254.169.254:4000",
                "[fe80::1]:4000",
            ]
            .map(towards)
            .to_vec(),
        ),
        ("tag", vec![forged, Key::new(7, 8).send(alice.address, to, b"x")]),
    ]
}

/// A reflector of two workers and both families that closes a network, limits a class, and can fail to send.
fn start(kind: Kind) -> Reflector {
    let folder = Folder::new("reflector-test");
    folder.write("config.toml", "[class.5]\nrate = \"8bps\"\n");
    let flags = [
        "--config",
        "{folder}/config.toml",
        "--listen",
        "127.0.0.1:0,[::1]:0",
        "--workers",
        "2",
        "--steer",
        "hash",
        "--allow-destination",
        "127.0.0.0/8,::1/128,198.51.100.0/24",
        "--deny-source",
        "127.66.0.0/16",
        "--engine",
        kind.as_str(),
    ];
    Reflector::start_in(folder, &flags)
}

/// What was sent, and the bytes that came back.
#[derive(Default)]
struct Tally {
    sent: u64,
    sent_bytes: u64,
    answered_bytes: u64,
}

impl Tally {
    fn send(&mut self, from: &Endpoint, datagram: &[u8]) {
        from.send(datagram);
        self.sent += 1;
        self.sent_bytes += datagram.len() as u64;
    }

    /// Sends what is accepted and waits for it: it must be as long as it was.
    fn pass(&mut self, from: &Endpoint, to: &Endpoint, datagram: &[u8]) {
        self.send(from, datagram);
        let arrived = to.receive();
        assert_eq!(arrived.len(), datagram.len(), "T4: as long out as in");
        self.answered_bytes += arrived.len() as u64;
    }
}

pub(crate) fn received_is_relayed_observed_dropped_or_unsent(kind: Kind) {
    let mut reflector = start(kind);
    let key = reflector.key;
    let (alice, bob) = (Endpoint::new("127.0.0.1:0", &reflector), Endpoint::new("127.0.0.2:0", &reflector));
    let six = Endpoint::new("[::1]:0", &reflector);
    // An address for each engine and each run of these tests, since the port is given.
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let net = if kind == Kind::Epoll { 91 } else { 92 };
    let service = Endpoint::new(&format!("127.{net}.{high}.{low}:11211"), &reflector);
    let denied = Endpoint::new("127.66.0.1:0", &reflector);
    let mut tally = Tally::default();
    let refusals = refusals(&alice, &six, &key);
    refusals.iter().flat_map(|(_, datagrams)| datagrams).for_each(|it| tally.send(&alice, it));
    tally.send(&denied, &probe(b""));
    tally.send(&denied, &key.send(denied.address, bob.address, b"x"));
    tally.send(&service, &probe(b""));
    // The source 127.0.0.1 cannot leave loopback, so the kernel refuses to send these.
    for _ in 0..3 {
        tally.send(&alice, &key.send(alice.address, "198.51.100.1:4000".parse().unwrap(), b"nowhere"));
    }
    // A class of one byte per second lets one datagram pass.
    let slow = key.send_header(5, now_s() + 300, alice.address, bob.address);
    tally.pass(&alice, &bob, &slow);
    (0..3).for_each(|_| tally.send(&alice, &slow));
    for length in [0, 1, 8, 32] {
        for endpoint in [&alice, &bob, &six] {
            tally.pass(endpoint, endpoint, &probe(&vec![9; length]));
        }
    }
    for length in [0, 1, 100, 1_168, 1_439, 1_440] {
        tally.pass(&alice, &bob, &key.send(alice.address, bob.address, &vec![7; length]));
    }

    let page = reflector.metrics_when(|page| page.received() == tally.sent && page.missing() == 0);
    for (reason, datagrams) in &refusals {
        assert_eq!(page.dropped(reason), datagrams.len() as u64, "{reason}");
    }
    assert_eq!([page.dropped("denied"), page.dropped("source"), page.dropped("rate")], [2, 1, 3]);
    assert_eq!([page.relayed(), page.observed(), page.unsent(), page.dropped("truncated")], [7, 12, 3, 0]);
    assert_eq!(page.sum("reflector_key_datagrams_total", &[("key", "7")]), 7 + 3);
    assert_bytes(&page, &tally);
    assert_stopped(&mut reflector, tally.sent);
}

fn assert_bytes(page: &Page, tally: &Tally) {
    let bytes = |name: &str| page.sum(&format!("reflector_{name}_bytes_total"), &[]);
    assert_eq!(bytes("received"), tally.sent_bytes);
    assert_eq!(bytes("relayed") + bytes("observed"), tally.answered_bytes, "T4: out is in, to the byte");
    let rest = bytes("dropped") + page.sum("reflector_send_error_bytes_total", &[]);
    assert_eq!(bytes("received"), bytes("relayed") + bytes("observed") + rest);
    assert_eq!(page.sum("reflector_socket_overflows_total", &[]), 0);
}

/// The last line of the log obeys the same law.
fn assert_stopped(reflector: &mut Reflector, sent: u64) {
    reflector.signal(Signal::SIGTERM);
    let stopped = reflector.wait_for_line("stopped");
    assert_eq!(reflector.exit_code(), Some(0));
    let count = |field: &str| stopped[field].as_u64().unwrap();
    assert_eq!(count("received"), sent);
    assert_eq!(sent, count("relayed") + count("observed") + count("dropped") + count("send_errors"));
}

pub(crate) fn every_sample_is_there_from_the_start() {
    let reflector = Reflector::start_bare(&["--listen", "127.0.0.1:0", "--workers", "3"]);
    let page = reflector.metrics();
    let number = |name: &str| page.samples(name).len();
    assert_eq!(number("reflector_dropped_datagrams_total"), (3 + 1) * 13);
    assert_eq!(number("reflector_dropped_bytes_total"), (3 + 1) * 13);
    assert_eq!(number("reflector_send_errors_total"), 3 * 5);
    assert_eq!(number("reflector_batch_datagrams_bucket"), 3 * 12);
    assert_eq!(number("reflector_key_datagrams_total"), 16);
    for name in ["received", "relayed", "observed"] {
        for unit in ["datagrams", "bytes"] {
            let samples = page.samples(&format!("reflector_{name}_{unit}_total"));
            assert_eq!(samples.len(), 3 + 1);
            let by_sockets = samples.iter().filter(|it| label(it, "path") == Some("socket"));
            assert!(by_sockets.clone().all(|it| label(it, "worker").unwrap().parse::<u8>().unwrap() < 3));
            assert_eq!(by_sockets.count(), 3);
            let is_xdp = |it: &&Sample| label(it, "path") == Some("xdp") && label(it, "worker").is_none();
            assert!(samples.iter().any(is_xdp));
        }
    }
    assert_eq!(page.received(), 0);
    assert!(page.sum("reflector_socket_receive_buffer_bytes", &[("worker", "0"), ("family", "ipv4")]) > 0);
    assert_eq!(page.label("reflector_build_info", "engine"), reflector.ready["engine"].as_str().unwrap());
    assert_eq!(page.label("reflector_ring_info", "minting_key"), "7");
    assert_eq!(page.label("reflector_ring_info", "fingerprint"), reflector.ready["ring"].as_str().unwrap());
    for name in [
        "reflector_socket_overflows_total",
        "reflector_worker_busy_seconds_total",
        "reflector_reloads_total",
        "reflector_ring_reload_timestamp_seconds",
        "reflector_clock_disagreement_seconds",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_open_fds",
    ] {
        assert!(number(name) > 0, "{name}");
    }
}
