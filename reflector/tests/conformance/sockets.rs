//! What the socket path does, against the reference: the worker called directly, and the worker over sockets.
//!
//! * Over sockets nothing ever leaves loopback: what would go elsewhere is not sent.
//! * Deliveries are compared as a whole: what was expected, at whom, from where, and nothing else.

use crate::budget::Budgets;
use crate::datagrams;
use crate::loopback::{Delivery, Loopback};
use crate::outcome::Outcome;
use crate::random::Random;
use crate::reference::Reference;
use crate::scene::Scene;
use crate::setup::Setup;
use crate::vectors;
use crate::worker::{Direct, assert_conserved};
use engine::socket::kind::Kind;
use reflector::counters::{Counts, Event};
use std::net::SocketAddr;
use wire::Reason;

/// Every vector's bytes, ring and moment, from endpoints on loopback.
pub(crate) fn vectors(kind: Kind) {
    let vectors = vectors::read();
    let loopback = Loopback::new(kind, &vectors[0].setup, ENDPOINTS);
    let mut seen = Seen::default();
    for (number, vector) in vectors.iter().enumerate() {
        let place = number % ENDPOINTS.len();
        let setup = here(&vector.setup, &loopback);
        let exchanged = [(place, vector.datagram.clone())];
        compare(&loopback, &setup, &exchanged, &mut seen, &vector.name);
    }
    let all_lost =
        [Reason::Short, Reason::Oversize, Reason::Kind, Reason::Source, Reason::Key, Reason::Expired];
    for reason in all_lost.into_iter().chain([Reason::Lifetime, Reason::Destination, Reason::Tag]) {
        assert!(seen.dropped[reason as usize] > 0, "no vector was dropped as {reason}");
    }
    assert_conserved(&loopback.counts(), loopback.counts().datagrams(Event::Received));
}

/// Random datagrams between endpoints on loopback.
pub(crate) fn random(kind: Kind) {
    let mut random = Random::new(0x10_0b_ac);
    let mut seen = Seen::default();
    for number in 0..SOCKET_SCENES {
        let mut scene = Scene::draw(&mut random, [0; 6]);
        let loopback = Loopback::new(kind, &scene.setup, ENDPOINTS);
        scene.setup = here(&scene.setup, &loopback);
        scene.peers = loopback.addresses();
        scene.doors = loopback.listening().to_vec();
        open_loopback_only(&mut scene.setup);
        let reference = Reference::new(&scene.setup);
        let mut exchanged = Vec::new();
        while exchanged.len() < SOCKET_DATAGRAMS {
            let place = random.below(ENDPOINTS.len());
            let datagram = datagrams::draw(&scene, scene.peers[place], &mut random);
            let stays = match reference.judge(scene.peers[place], &datagram) {
                Outcome::Relayed(to, _) => scene.peers.contains(&to),
                _ => true,
            };
            exchanged.extend(stays.then_some((place, datagram)));
        }
        compare(&loopback, &scene.setup, &exchanged, &mut seen, &format!("scene {number}"));
        assert_conserved(&loopback.counts(), loopback.counts().datagrams(Event::Received));
    }
    assert!(seen.relayed > 100 && seen.observed > 50, "{seen:?}");
}

/// Random datagrams with budgets, each scene in one batch, so that all are decided at one moment.
pub(crate) fn random_on_the_worker() {
    let mut random = Random::new(0x3_0e_7e);
    let mut seen = Seen::default();
    for number in 0..WORKER_SCENES {
        let scene = Scene::draw(&mut random, [0; 6]);
        let mut datagrams = Vec::new();
        for _ in 0..WORKER_DATAGRAMS {
            let source = scene.peers[random.below(scene.peers.len())];
            datagrams.push((source, datagrams::draw(&scene, source, &mut random)));
        }
        let mut worker = Direct::new(&scene.setup);
        let outcomes = worker.handle(&datagrams);
        let (reference, mut budgets) = (Reference::new(&scene.setup), Budgets::default());
        for ((source, datagram), outcome) in datagrams.iter().zip(&outcomes) {
            let judged = reference.judge(*source, datagram);
            let expected = reference.spend(judged, *source, datagram, &mut budgets);
            assert_eq!(*outcome, expected, "scene {number}, from {source}: {}", hex::encode(datagram));
            seen.note(outcome);
        }
        assert_conserved(&worker.counts(), datagrams.len() as u64);
    }
    for reason in Reason::ALL.into_iter().filter(|reason| *reason != Reason::Truncated) {
        assert!(seen.dropped[reason as usize] > 0, "nothing was dropped as {reason}: {seen:?}");
    }
    assert!(seen.relayed > 1_000 && seen.observed > 1_000, "{seen:?}");
}

/// How often each outcome came, so that a suite cannot pass by testing little.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) relayed: u64,
    pub(crate) observed: u64,
    pub(crate) dropped: [u64; Reason::ALL.len()],
}

impl Seen {
    pub(crate) fn note(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Relayed(..) => self.relayed += 1,
            Outcome::Observed(_) => self.observed += 1,
            Outcome::Dropped(reason) => self.dropped[*reason as usize] += 1,
        }
    }
}

fn compare(loopback: &Loopback, setup: &Setup, sent: &[(usize, Vec<u8>)], seen: &mut Seen, what: &str) {
    let endpoints = loopback.addresses();
    let (reference, mut here) = (Reference::new(setup), Seen::default());
    let mut expected: Vec<Delivery> = Vec::new();
    for (place, datagram) in sent {
        let source = endpoints[*place];
        let outcome = reference.judge(source, datagram);
        here.note(&outcome);
        seen.note(&outcome);
        match outcome {
            Outcome::Dropped(_) => {}
            Outcome::Observed(bytes) => expected.push((source, loopback.door(source), bytes)),
            Outcome::Relayed(to, bytes) => {
                assert!(endpoints.contains(&to), "{what}: this would leave loopback, to {to}");
                expected.push((to, loopback.door(to), bytes));
            }
        }
    }
    let (counts, mut delivered) = loopback.exchange(setup, sent);
    expected.sort();
    delivered.sort();
    assert_eq!(delivered, expected, "{what}");
    assert_counts(&counts, &here, what);
}

fn assert_counts(counts: &Counts, seen: &Seen, what: &str) {
    assert_eq!(counts.datagrams(Event::Relayed), seen.relayed, "{what}: relayed");
    assert_eq!(counts.datagrams(Event::Observed), seen.observed, "{what}: observed");
    for reason in Reason::ALL {
        let dropped = counts.datagrams(Event::Dropped(reason));
        assert_eq!(dropped, seen.dropped[reason as usize], "{what}: dropped as {reason}");
    }
}

/// The setup as the sockets of this reflector have it.
fn here(setup: &Setup, loopback: &Loopback) -> Setup {
    let mut setup = setup.clone();
    for listening in loopback.listening() {
        match listening {
            SocketAddr::V4(v4) => setup.listen_v4 = Some(v4),
            SocketAddr::V6(v6) => setup.listen_v6 = Some(v6),
        }
    }
    setup
}

/// Nothing outside the endpoints' own blocks can be reached, and no budget gets in the way of counting.
fn open_loopback_only(setup: &mut Setup) {
    let blocks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    setup.allow_destination = blocks(&["127.77.0.0/16", "::1/128"]);
    setup.deny_destination = blocks(&[
        "0.0.0.0/2",
        "64.0.0.0/3",
        "96.0.0.0/4",
        "112.0.0.0/5",
        "120.0.0.0/6",
        "124.0.0.0/7",
        "126.0.0.0/8",
        "128.0.0.0/1",
        "2000::/3",
        "4000::/2",
        "8000::/1",
        "127.77.9.0/24",
    ]);
    setup.deny_source = blocks(&["127.77.8.0/24"]);
    setup.class_rates_bytes_s = [None; 16];
    setup.probe_budget_s = 1_000_000_000;
}

/// One is denied as source, one as destination.
const ENDPOINTS: &[&str] =
    &["127.77.0.1:0", "127.77.0.2:0", "127.77.3.4:0", "[::1]:0", "[::1]:0", "127.77.8.1:0", "127.77.9.1:0"];
const SOCKET_SCENES: usize = 24;
const SOCKET_DATAGRAMS: usize = 96;
const WORKER_SCENES: usize = 300;
const WORKER_DATAGRAMS: usize = 200;
