//! The grid found again: two NATs and a reflector exchange datagrams, and what gets through decides the route.
//!
//! * A datagram is a source and a destination; the network between is perfect and knows no route but the address.
//! * A host learns only from datagrams that entered: the source of a direct one, the contact that a reflected one names.
//! * Whether a datagram would get through is tried on copies of both NATs first: what would be lost is reflected
//!   instead, and was never sent.
//! * A reflected datagram must always get through.

use crate::grid::{Row, rows};
use nat::{Behaviour, Nat, PortChoice, Route, Rules, Settings, after_punch, answer, route};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// An inside host, its NAT and what it knows of the other one.
#[derive(Clone)]
struct Host {
    inside: SocketAddr,
    nat: Nat,
    reflector: SocketAddr,
    /// What the reflector told it.
    contact: SocketAddr,
    /// Sources of datagrams that came directly.
    heard: Vec<SocketAddr>,
}

impl Host {
    /// A host that has asked its reflector for its contact.
    fn new(settings: Settings, external: IpAddr, inside: IpAddr, reflector: SocketAddr) -> Self {
        let inside = if settings.behaviour == Behaviour::Open { external } else { inside };
        let inside = SocketAddr::new(inside, 4000);
        let mut nat = Nat::new(Arc::new(Rules::new(settings).unwrap()), external);
        let contact = nat.outbound(inside, reflector, NOW_MS).unwrap();
        Self { inside, nat, reflector, contact, heard: Vec::new() }
    }

    /// Sends directly; if it enters, the target has heard the source.
    fn send(&mut self, target: &mut Self, destination: SocketAddr) -> bool {
        let source = self.nat.outbound(self.inside, destination, NOW_MS).unwrap();
        let Ok(inside) = target.nat.inbound(source, destination, NOW_MS) else { return false };
        assert_eq!(inside, target.inside);
        if !target.heard.contains(&source) {
            target.heard.push(source);
        }
        true
    }

    /// Sends through the target's reflector, which both have asked and the target keeps a pinhole to.
    fn send_reflected(&mut self, target: &mut Self) {
        self.nat.outbound(self.inside, target.reflector, NOW_MS).unwrap();
        let entered = target.nat.inbound(target.reflector, target.contact, NOW_MS);
        assert_eq!(entered, Ok(target.inside), "a reflected datagram always enters");
    }

    /// Sends the way that works: directly to this address if it would get through, else reflected.
    fn send_by_route(&mut self, target: &mut Self, destination: SocketAddr) -> Route {
        if self.clone().send(&mut target.clone(), destination) {
            assert!(self.send(target, destination));
            return Route::Direct;
        }
        self.send_reflected(target);
        Route::Reflect
    }

    /// Sends to the other's contact and to every source heard.
    fn punch(&mut self, target: &mut Self) {
        self.send(target, target.contact);
        for source in self.heard.clone() {
            self.send(target, source);
        }
    }

    /// Whether anything that it knows of the other leads there.
    fn reaches(&self, target: &Self) -> Route {
        let known = self.heard.iter().chain([&target.contact]);
        let enters = |destination| self.clone().send(&mut target.clone(), destination);
        if known.copied().any(enters) { Route::Direct } else { Route::Reflect }
    }
}

/// First message, answer, punches.
fn experiment(mut a: Host, mut b: Host) -> Row {
    let contact = b.contact;
    let first = a.send_by_route(&mut b, contact);
    // What came directly names where it came from; what came reflected names a's contact.
    let source = b.heard.first().copied().unwrap_or(a.contact);
    let answer = b.send_by_route(&mut a, source);
    (a, b) = punched(a, b);
    Row { first, answer, after_punch: (a.reaches(&b), b.reaches(&a)) }
}

/// Both punch, in rounds: a source heard in one is sent to in the next.
///
/// Two hosts with APDM and EIF would never run out of new sources, so the rounds are counted.
fn punched(mut a: Host, mut b: Host) -> (Host, Host) {
    for _ in 0..ROUNDS {
        a.punch(&mut b);
        b.punch(&mut a);
    }
    (a, b)
}

/// Two hosts of these behaviours; `variant` changes what must not matter.
fn pair(a: Behaviour, b: Behaviour, variant: Variant) -> (Host, Host) {
    let settings = |behaviour| Settings {
        port_choice: variant.port_choice,
        preserve_port: variant.preserve_port,
        refresh_inbound: variant.refresh_inbound,
        ..Settings::of(behaviour)
    };
    let network = |ipv4: &str, ipv6: &str| -> IpAddr {
        if variant.ipv6 { ipv6.parse().unwrap() } else { ipv4.parse().unwrap() }
    };
    let reflector_of_b = SocketAddr::new(network("198.51.100.7", "2001:db8:7::1"), 3478);
    let reflector_of_a = if variant.two_reflectors {
        SocketAddr::new(network("198.51.100.8", "2001:db8:8::1"), 3478)
    } else {
        reflector_of_b
    };
    // The same inside address on both sides, as it is with real home networks.
    let inside = network("192.168.1.2", "fd00::2");
    let host_a = Host::new(settings(a), network("203.0.113.1", "2001:db8:a::1"), inside, reflector_of_a);
    let host_b = Host::new(settings(b), network("203.0.113.2", "2001:db8:b::1"), inside, reflector_of_b);
    (host_a, host_b)
}

#[derive(Clone, Copy, Debug)]
struct Variant {
    port_choice: PortChoice,
    preserve_port: bool,
    refresh_inbound: bool,
    two_reflectors: bool,
    ipv6: bool,
}

fn variants() -> impl Iterator<Item = Variant> {
    (0..32_u32).map(|bits| Variant {
        port_choice: if bits & 1 == 0 { PortChoice::Sequential } else { PortChoice::Random { seed: 7 } },
        preserve_port: bits & 2 != 0,
        refresh_inbound: bits & 4 != 0,
        two_reflectors: bits & 8 != 0,
        ipv6: bits & 16 != 0,
    })
}

#[test]
fn what_gets_through_is_the_grid_and_the_routes() {
    for variant in variants() {
        for (a, b, published) in rows() {
            let (host_a, host_b) = pair(a, b, variant);
            let found = experiment(host_a, host_b);
            assert_eq!(found, published, "grid: {a} to {b}, {variant:?}");
            let said = Row { first: route(a, b), answer: answer(a, b), after_punch: after_punch(a, b) };
            assert_eq!(found, said, "routes: {a} to {b}, {variant:?}");
        }
    }
}

#[test]
fn punching_needs_no_first_message_nor_a_first_side() {
    for variant in variants() {
        for (a, b, published) in rows() {
            let (host_a, host_b) = pair(a, b, variant);
            let (host_b, host_a) = punched(host_b, host_a);
            let found = (host_a.reaches(&host_b), host_b.reaches(&host_a));
            assert_eq!(found, published.after_punch, "{a} and {b}, {variant:?}");
        }
    }
}

const NOW_MS: u64 = 1_000_000;

/// One to be heard, one to answer what was heard, and two in which nothing may change any more.
const ROUNDS: usize = 4;
