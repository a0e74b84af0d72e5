//! T19: a worker allocates nothing after its start, whatever comes; descriptors stay as many as they were.
//!
//! * The allocator of this test binary counts by thread, so a worker's thread is measured alone.

use crate::rig::daemon::Reflector;
use crate::rig::protocol::{Key, now_s, probe};
use crate::rig::stun_message::request;
use crate::rig::traffic::Endpoint;
use engine::host::clock::{boot_ns, realtime_ns};
use engine::socket::kind::{Engine, Kind};
use engine::socket::outbound::{Datagram, Outbound};
use engine::socket::udp::Socket;
use engine::{Action, Arrival, Batch, Condition, Handler, SCRATCH_LEN, SocketId};
use reflector::counters::{Cells, Event};
use reflector::rules::rates::Limits;
use reflector::rules::shared::{Rules, Shared};
use reflector::run::daemon::{engine_options, socket_options};
use reflector::run::worker::Worker;
use reflector::stun::answer::Stun;
use reflector::stun::refusal::Refusal;
use reflector::stun::settings::Mode;
use reflector::stun::sockets::Sockets;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::yield_now;
use std::time::Instant;
use stun_codec::rfc5780::attributes::{ChangeRequest, ResponsePort};
use wire::revoked::{RevokedTable, Subject};
use wire::siphash::SipKey;
use wire::{BlockSet, KeyRing, Policy, Reason, TransportAddress};

fn key() -> Key {
    Key::new(3, 33)
}

/// Whom nothing reaches any more.
const TAKEN_BACK: &str = "127.0.0.3:4000";

/// A worker that serves loopback, with a limited class, a denied source and a revoked address.
fn worker() -> (Worker, Arc<Cells>) {
    let set = |text: &str| BlockSet::new(&[text.parse().unwrap()]);
    let mut limits = Limits::new(100_000_000);
    limits.limit_class(1, 1_000);
    let mut revoked = RevokedTable::new([1, 2, 3, 4]);
    let taken_back = TransportAddress::from_socket(TAKEN_BACK.parse().unwrap()).unwrap();
    revoked.insert(&Subject::Address(taken_back)).unwrap();
    let policy = Policy {
        allow_destination: set("127.0.0.0/8"),
        deny_source: set("127.66.0.0/16"),
        revoked: revoked.reader(),
        ..Policy::default()
    };
    let ring = KeyRing::new(&[(key().id, key().secret)]).unwrap();
    let shared = Arc::new(Shared::new(Rules { ring, policy, limits }, realtime_ns() - boot_ns()));
    let cells = Arc::new(Cells::new());
    (Worker::new(shared, Arc::clone(&cells), SipKey::new([5; 16])), cells)
}

/// Datagrams that end in every way, with source and condition.
fn samples() -> Vec<(Vec<u8>, SocketAddr, Condition)> {
    let (a, b): (SocketAddr, SocketAddr) =
        ("127.0.0.1:4000".parse().unwrap(), "127.0.0.2:4000".parse().unwrap());
    let denied: SocketAddr = "127.66.0.1:4000".parse().unwrap();
    let service: SocketAddr = "127.0.0.1:53".parse().unwrap();
    let send = key().send(a, b, &[0; 168]);
    let with = |class: u8, lifetime_s: u32| key().send_header(class, now_s() + lifetime_s, a, b).to_vec();
    let mut forged = send.clone();
    forged[30] ^= 1;
    let long = vec![0x0a; 1_473];
    vec![
        (send.clone(), a, Condition::Whole),
        (with(0, 100), a, Condition::Whole),
        (probe(b"x"), a, Condition::Whole),
        (with(1, 250), a, Condition::Whole),
        (send.clone(), denied, Condition::Whole),
        (send.clone(), a, Condition::Cut),
        (send.clone(), a, Condition::ControlCut),
        (vec![0x0a; 31], a, Condition::Whole),
        (long, a, Condition::Whole),
        (vec![0x0b; 200], a, Condition::Whole),
        (probe(b""), service, Condition::Whole),
        (Key::new(4, 4).send(a, b, b""), a, Condition::Whole),
        (key().send_header(0, 1, a, b).to_vec(), a, Condition::Whole),
        (with(0, 700), a, Condition::Whole),
        (key().send(a, service, b""), a, Condition::Whole),
        (key().send(a, TAKEN_BACK.parse().unwrap(), b""), a, Condition::Whole),
        (forged, a, Condition::Whole),
    ]
}

pub(crate) fn t19_ten_million_decisions_allocate_nothing() {
    let (mut worker, cells) = worker();
    let mut scratch = vec![0; SCRATCH_LEN];
    let (mut decided, mut accepted, mut allocated) = (0_u64, 0_u64, 0);
    while decided < DECISIONS {
        // Measured by the thousand batches, so that headers are made anew before they expire.
        let samples = samples();
        let mut buffers: Vec<Vec<u8>> = samples.iter().map(|(datagram, ..)| datagram.clone()).collect();
        let measured = allocation_counter::measure(|| {
            for _ in 0..1_000 {
                worker.begin_batch();
                for (datagram, (fresh, source, condition)) in buffers.iter_mut().zip(&samples) {
                    let head = fresh.len().min(32);
                    datagram[..head].copy_from_slice(&fresh[..head]);
                    let action = worker.handle(Arrival {
                        datagram,
                        scratch: &mut scratch,
                        source: *source,
                        local: None,
                        socket: SocketId(0),
                        condition: *condition,
                    });
                    accepted += u64::from(action != Action::Drop);
                }
                worker.end_batch(Batch { datagrams: 17, overflows: 0 });
            }
        });
        allocated += measured.count_total;
        decided += 1_000 * samples.len() as u64;
    }
    assert_eq!(allocated, 0);
    let counts = cells.read();
    assert_eq!(counts.datagrams(Event::Received), decided);
    assert_eq!(counts.dropped() + accepted, decided);
    for reason in Reason::ALL {
        assert!(counts.datagrams(Event::Dropped(reason)) > 0, "no sample was dropped for {reason}");
    }
    assert!(accepted >= decided / 17 * 3);
}

pub(crate) fn t19_a_million_stun_requests_allocate_nothing() {
    let corners = ["127.0.0.1:4000", "127.0.0.2:4001", "127.0.0.1:4001", "127.0.0.2:4000"];
    let corners = corners.map(|corner| corner.parse().unwrap());
    let (worker, cells) = worker();
    let mut worker = worker.with_stun(Stun::new(Mode::Behaviour, Sockets::new(&corners, 1, &[])));
    let change = || vec![ChangeRequest::new(true, true).into()];
    let good = request([1; 12], change(), true);
    let mut forged = good.clone();
    forged[8] ^= 1;
    let unknown = request([3; 12], vec![ResponsePort::new(9).into()], true);
    let mut samples = [request([2; 12], vec![], false), good.clone(), unknown, forged, good[..20].to_vec()];
    let source: SocketAddr = "127.0.0.9:4000".parse().unwrap();
    let mut scratch = vec![0; SCRATCH_LEN];
    let measured = allocation_counter::measure(|| {
        for round in 0..STUN_ROUNDS {
            worker.begin_batch();
            for datagram in &mut samples {
                let socket = SocketId(u8::try_from(round % 4).unwrap());
                let condition = Condition::Whole;
                let arrival =
                    Arrival { datagram, scratch: &mut scratch, source, local: None, socket, condition };
                worker.handle(arrival);
            }
            worker.end_batch(Batch { datagrams: 5, overflows: 0 });
        }
    });
    assert_eq!(measured.count_total, 0);
    let counts = cells.read();
    assert_eq!((counts.datagrams(Event::Received), counts.stun()), (5 * STUN_ROUNDS, 5 * STUN_ROUNDS));
    for refusal in [Refusal::Fingerprint, Refusal::Malformed] {
        assert_eq!(counts.datagrams(Event::StunDropped(refusal)), STUN_ROUNDS, "{refusal:?}");
    }
}

pub(crate) fn t19_a_million_datagrams_through_a_socket_allocate_nothing(kind: Kind) {
    // A run of a thousand allocates what a start allocates; a run of a million must allocate exactly as much.
    let start = run(kind, 1_000);
    assert!(start > 0, "a start allocates, and the count sees it");
    assert_eq!(run(kind, 1_000_000), start);
}

/// The allocations of a worker's thread that serves this many datagrams, from its start to its end.
fn run(kind: Kind, datagrams: u64) -> u64 {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let options = socket_options(loopback, 4 << 20);
    let socket = Socket::open(loopback, &options).unwrap();
    let (reflector, granted) = (socket.local(), socket.granted());
    let (engine, stopper) = Engine::open(kind, vec![socket], engine_options(1_472, granted)).unwrap();
    let (mut worker, cells) = worker();
    let thread =
        std::thread::spawn(move || allocation_counter::measure(|| drop(engine.run(&mut worker))).count_total);
    feed(reflector, datagrams, &cells);
    stopper.stop().unwrap();
    let allocations = thread.join().unwrap();
    let counts = cells.read();
    assert_eq!(counts.datagrams(Event::Received), datagrams);
    assert_eq!(counts.datagrams(Event::Relayed) + counts.unsent() + counts.dropped(), datagrams);
    assert!(counts.datagrams(Event::Relayed) > datagrams / 4 && counts.dropped() > datagrams / 4);
    allocations
}

/// Sends good and forged datagrams in trains and one by one, never more than the reflector's socket holds.
fn feed(reflector: SocketAddr, datagrams: u64, cells: &Cells) {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let sender = Socket::open(loopback, &socket_options(loopback, 4 << 20)).unwrap();
    let from = sender.local();
    // A socket that is never read: what does not fit into it, the kernel drops without a word.
    let sink = Socket::open(loopback, &socket_options(loopback, 4 << 10)).unwrap();
    let good = key().send(from, sink.local(), &[0; 68]);
    let mut arena = [good.clone(), good.clone(), good].concat();
    arena[131] ^= 1; // The second one's tag is wrong.
    let mut outbound = Outbound::new(TRAIN, true);
    let (mut sent, sockets) = (0_u64, [sender]);
    for round in 0.. {
        let left = usize::try_from(datagrams - sent).unwrap().min(TRAIN);
        for number in 0..left {
            let offset = 100 * (number % 3);
            // Labels that alternate keep datagrams apart; equal ones leave as trains.
            let label = round % 4 == 0 && number % 2 == 0;
            let datagram =
                Datagram { offset, len: 100, to: reflector, from: None, socket: SocketId(0), label };
            outbound.push(datagram);
        }
        outbound.flush(&arena, &sockets, &mut |it| assert_eq!(it.outcome, Ok(())));
        sent += left as u64;
        if sent == datagrams {
            return await_received(cells, datagrams);
        }
        await_received(cells, sent.saturating_sub(IN_FLIGHT));
    }
}

fn await_received(cells: &Cells, datagrams: u64) {
    let deadline = Instant::now() + crate::rig::daemon::PATIENCE;
    while cells.read().datagrams(Event::Received) < datagrams {
        assert!(Instant::now() < deadline, "a datagram was lost");
        yield_now();
    }
}

pub(crate) fn t19_descriptors_and_memory_are_those_of_the_start(kind: Kind) {
    let reflector = Reflector::start_on(kind, &[]);
    let (alice, bob) = (Endpoint::new("127.0.0.1:0", &reflector), Endpoint::new("127.0.0.2:0", &reflector));
    let figures = || {
        // Equal scrapes before each look, so that what they hold is equal too.
        (0..5).for_each(|_| drop(reflector.metrics()));
        (reflector.metrics().sum("process_open_fds", &[]), anonymous_bytes(reflector.id()))
    };
    alice.exchange(&bob, &reflector.key, 10, 10);
    let before = figures();
    for source in 0..2_000_u32 {
        let [_, _, high, low] = source.to_be_bytes();
        let endpoint = Endpoint::new(&format!("127.50.{high}.{low}:0"), &reflector);
        endpoint.fence();
        endpoint.exchange(&bob, &reflector.key, 1, 4);
    }
    let after = figures();
    assert_eq!(before.0, after.0, "descriptors");
    assert!(after.1.abs_diff(before.1) <= 100 << 10, "memory went from {} to {} bytes", before.1, after.1);
}

/// Memory of a process that no file stands behind. The kernel walks the pages for it, while the resident memory that it
/// shows elsewhere may be off by many pages for each processor, and grows with code that runs for the first time.
fn anonymous_bytes(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:")).unwrap();
    1_024 * line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
}

const DECISIONS: u64 = 10_000_000;
const STUN_ROUNDS: u64 = 200_000;
/// Datagrams in a flush of the sender: more than fit into one GSO train.
const TRAIN: usize = 96;
/// Datagrams that surely fit into the default receive buffer, in trains.
const IN_FLIGHT: u64 = 96;
