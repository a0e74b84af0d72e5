//! A world in one thread: cores behind simulated NATs, simulated reflectors, an access server, and simulated time.
//!
//! * A datagram takes [`LATENCY_US`] from one end to the other; NATs and reflectors add nothing.
//! * Nothing is random but through seeds, so every run is the same.
//! * Every PEER datagram that reaches a core is in the trace, with the way that it took.

use crate::server::{Relay, Server};
use nat::{Behaviour, Nat, Rules};
use peer::{Core, Event, Families, Path, PeerId, Request, Settings};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use wire::json::login::LoginAnswer;
use wire::{HEADER_LEN, KeyRing, Policy, Verdict, decide};

/// Everything there is.
pub(crate) struct World {
    pub(crate) now_us: u64,
    pub(crate) hosts: Vec<Host>,
    pub(crate) relays: Vec<Relay>,
    pub(crate) server: Server,
    pub(crate) trace: Vec<Hop>,
    /// The same of hosts on which no core runs.
    pub(crate) unheard: Vec<Hop>,
    /// Everything that a host's core has sent: who, where to, and what.
    pub(crate) sent: Vec<(usize, SocketAddr, Vec<u8>)>,
    /// Pairs of hosts between which nothing passes directly.
    pub(crate) cut: Vec<(usize, usize)>,
    /// What would have passed there: sender, its source, receiver, bytes.
    pub(crate) stolen: Vec<(usize, SocketAddr, SocketAddr, Vec<u8>)>,
    /// Decides which datagrams are lost, by their number.
    pub(crate) loses: fn(u64) -> bool,
    /// Whether reflectors answer PROBEs.
    pub(crate) observes: bool,
    /// Keep no trace.
    pub(crate) light: bool,
    /// Longer datagrams do not pass.
    pub(crate) mtu: usize,
    nats: Vec<Nat>,
    /// The hosts behind each.
    behind: Vec<Vec<usize>>,
    policy: Policy,
    queue: BinaryHeap<Reverse<Due>>,
    number: u64,
}

/// A host with a core.
pub(crate) struct Host {
    pub(crate) core: Option<Core>,
    pub(crate) inside: SocketAddr,
    pub(crate) events: Vec<Event>,
    pub(crate) secret: [u8; 32],
    behaviour: Behaviour,
    nat: usize,
    wake_us: Option<u64>,
    starts: u8,
}

/// A PEER datagram that reached a core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hop {
    pub(crate) at_us: u64,
    /// Who sent it, if a core did.
    pub(crate) from: Option<usize>,
    pub(crate) to: usize,
    /// Through which reflector.
    pub(crate) via: Option<usize>,
    /// The PEER bytes.
    pub(crate) bytes: Vec<u8>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at_us: u64,
    number: u64,
    what: What,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Arrive { from: Option<usize>, source: SocketAddr, to: SocketAddr, bytes: Vec<u8> },
    Lan { from: usize, source: SocketAddr, to: usize, bytes: Vec<u8> },
    Wake(usize),
    Answer(usize, Option<Answer>),
}

/// An answer of the server, ordered by nothing.
struct Answer(LoginAnswer);

impl PartialEq for Answer {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for Answer {}
impl PartialOrd for Answer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Answer {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl World {
    /// A world with so many reflectors and nobody in it.
    pub(crate) fn new(reflectors: u8) -> Self {
        let relay = |number: u8| Relay {
            name: format!("r{number}").parse().unwrap(),
            address: SocketAddr::from(([93, 184, 0, number], 3478)),
            ring: KeyRing::new(&[(3, [number + 1; 16])]).unwrap(),
            alive: true,
        };
        Self {
            now_us: START_US,
            hosts: Vec::new(),
            relays: (0..reflectors).map(relay).collect(),
            server: Server::new(usize::from(reflectors)),
            trace: Vec::new(),
            unheard: Vec::new(),
            sent: Vec::new(),
            cut: Vec::new(),
            stolen: Vec::new(),
            loses: |_| false,
            observes: true,
            light: false,
            mtu: 1472,
            nats: Vec::new(),
            behind: Vec::new(),
            policy: Policy::default(),
            queue: BinaryHeap::new(),
            number: 0,
        }
    }

    /// Two hosts behind NATs of these behaviours, not started, and one reflector.
    pub(crate) fn pair(a: &str, b: &str) -> Self {
        let mut world = Self::new(1);
        world.add(a.parse().unwrap());
        world.add(b.parse().unwrap());
        world
    }

    /// Adds a host behind a NAT of its own.
    pub(crate) fn add(&mut self, behaviour: Behaviour) -> usize {
        let number = u16::try_from(self.nats.len()).unwrap();
        let [high, low] = number.to_be_bytes();
        let external = IpAddr::V4(Ipv4Addr::new(45, 1, high, low));
        let rules = Arc::new(Rules::new(nat::Settings::of(behaviour)).unwrap());
        self.nats.push(Nat::new(rules, external));
        self.behind.push(Vec::new());
        let inside =
            if behaviour == Behaviour::Open { external } else { IpAddr::V4([10, high, low, 5].into()) };
        self.push_host(behaviour, usize::from(number), inside)
    }

    /// Adds a host behind the NAT of another.
    pub(crate) fn add_beside(&mut self, other: usize) -> usize {
        let (nat, behaviour, first) =
            (self.hosts[other].nat, self.hosts[other].behaviour, self.hosts[other].inside);
        let IpAddr::V4(first) = first.ip() else { panic!("IPv4 only") };
        let [a, b, c, d] = first.octets();
        self.push_host(behaviour, nat, IpAddr::V4([a, b, c, d + 1].into()))
    }

    fn push_host(&mut self, behaviour: Behaviour, nat: usize, inside: IpAddr) -> usize {
        let number = self.hosts.len();
        let [.., c, d] = u32::try_from(number).unwrap().to_be_bytes();
        let mut secret = [0x11; 32];
        (secret[1], secret[2]) = (c, d);
        let inside = SocketAddr::new(inside, 4000);
        self.hosts.push(Host {
            core: None,
            inside,
            events: Vec::new(),
            secret,
            behaviour,
            nat,
            wake_us: None,
            starts: 0,
        });
        self.behind[nat].push(number);
        self.server.enrol(number, peer::public_key(&secret));
        number
    }

    /// Starts a host's endpoint.
    pub(crate) fn start(&mut self, host: usize) {
        let reflectors = self.server.reflectors(&self.relays);
        let it = &mut self.hosts[host];
        it.starts += 1;
        let mut seed = it.secret;
        (seed[0], seed[31]) = (0x77, it.starts);
        let settings = Settings {
            noise_secret: it.secret,
            seed,
            reflectors,
            behaviour: Some(it.behaviour),
            hosts: vec![it.inside],
            families: Families { ipv4: true, ipv6: false },
            has_account: true,
            incarnation: 0,
        };
        it.core = Some(Core::new(settings, self.now_us));
        it.wake_us = None;
        self.drain(host);
    }

    /// Starts all, one after the other, and lets them find each other.
    pub(crate) fn start_all(&mut self) {
        for host in 0..self.hosts.len() {
            self.start(host);
            self.run(1_500_000);
        }
    }

    /// Ends a host's endpoint without a word.
    pub(crate) fn kill(&mut self, host: usize) {
        self.hosts[host].core = None;
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, for_us: u64) {
        let end_us = self.now_us + for_us;
        self.run_until(end_us, |_| false);
    }

    /// Lets time pass until something is so; false if it never was until `end_us`.
    pub(crate) fn run_until(&mut self, end_us: u64, done: impl Fn(&Self) -> bool) -> bool {
        while !done(self) {
            match self.queue.peek() {
                Some(Reverse(due)) if due.at_us <= end_us => {}
                _ => {
                    self.now_us = end_us;
                    return done(self);
                }
            }
            let Some(Reverse(due)) = self.queue.pop() else { continue };
            self.now_us = due.at_us;
            self.handle(due.what);
        }
        true
    }

    fn handle(&mut self, what: What) {
        match what {
            What::Arrive { from, source, to, bytes } => self.arrive(from, source, to, bytes),
            What::Lan { from, source, to, bytes } => self.deliver(Some(from), source, to, &bytes),
            What::Wake(host) => {
                let now_us = self.now_us;
                let it = &mut self.hosts[host];
                if it.wake_us == Some(now_us) {
                    it.wake_us = None;
                    self.with(host, |core| core.handle_timeout(now_us));
                }
            }
            What::Answer(host, answer) => {
                let now_us = self.now_us;
                self.with(host, |core| match answer {
                    Some(Answer(answer)) => core.handle_login(answer, now_us),
                    None => core.handle_lost_session(now_us),
                });
            }
        }
    }

    /// Calls a host's core, if it runs, and takes out what comes of it.
    pub(crate) fn with(&mut self, host: usize, call: impl FnOnce(&mut Core)) {
        if let Some(core) = self.hosts[host].core.as_mut() {
            call(core);
            self.drain(host);
        }
    }

    fn drain(&mut self, host: usize) {
        let now_us = self.now_us;
        loop {
            let Some(core) = self.hosts[host].core.as_mut() else { return };
            if let Some(transmit) = core.poll_transmit() {
                self.send(host, transmit.destination, transmit.bytes);
            } else if let Some(event) = core.poll_event() {
                self.react(host, event);
            } else {
                break;
            }
        }
        let it = &mut self.hosts[host];
        let due_us =
            it.core.as_ref().and_then(|core| core.poll_timeout(now_us)).map(|due_us| due_us.max(now_us + 1));
        if let Some(due_us) = due_us
            && it.wake_us.is_none_or(|wake_us| due_us < wake_us)
        {
            it.wake_us = Some(due_us);
            self.push(due_us, What::Wake(host));
        }
    }

    fn react(&mut self, host: usize, event: Event) {
        let now_us = self.now_us;
        match &event {
            Event::Request(_) if !self.server.up => {
                self.with(host, |core| core.handle_failure(now_us));
            }
            Event::Request(request) => {
                let (login, contacts) = match request {
                    Request::Login { nat, contacts } => (Some(*nat), contacts),
                    Request::Refresh(refresh) => (None, &refresh.contacts),
                    Request::Logout => return self.server.logout(host),
                };
                let answer = self.server.answer(&self.relays, host, login, contacts, now_us);
                self.push(now_us + 2 * LATENCY_US, What::Answer(host, answer.map(Answer)));
            }
            Event::Rebind => {
                let it = &mut self.hosts[host];
                it.inside.set_port(it.inside.port() + 1);
                let hosts = vec![it.inside];
                self.with(host, |core| core.handle_rebound(hosts, now_us));
            }
            _ => {}
        }
        self.hosts[host].events.push(event);
    }

    fn send(&mut self, host: usize, to: SocketAddr, bytes: Vec<u8>) {
        self.number += 1;
        if !self.light {
            self.sent.push((host, to, bytes.clone()));
        }
        if (self.loses)(self.number) || bytes.len() > self.mtu {
            return;
        }
        let (inside, nat) = (self.hosts[host].inside, self.hosts[host].nat);
        let at_us = self.now_us + LATENCY_US;
        if let Some(other) = self.inside(nat, to) {
            self.push(at_us, What::Lan { from: host, source: inside, to: other, bytes });
        } else if let Ok(source) = self.nats[nat].outbound(inside, to, self.now_us / 1000) {
            self.push(at_us, What::Arrive { from: Some(host), source, to, bytes });
        }
    }

    /// The host behind a NAT that has this address.
    fn inside(&self, nat: usize, address: SocketAddr) -> Option<usize> {
        self.behind[nat].iter().copied().find(|host| self.hosts[*host].inside == address)
    }

    /// Lets a datagram arrive that no core sent.
    pub(crate) fn forge(&mut self, source: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        self.push(self.now_us, What::Arrive { from: None, source, to, bytes });
    }

    fn arrive(&mut self, from: Option<usize>, source: SocketAddr, to: SocketAddr, mut bytes: Vec<u8>) {
        if let Some(relay) = self.relays.iter().find(|relay| relay.address == to) {
            let now_s = u32::try_from(self.now_us / 1_000_000).unwrap();
            let verdict = if relay.alive {
                decide(&mut bytes, source, now_s, &relay.ring, &self.policy)
            } else {
                return;
            };
            let next = match verdict {
                Verdict::Drop(_) => return,
                Verdict::Observe if !self.observes => return,
                Verdict::Observe => source,
                Verdict::Relay { to: next, .. } => next,
            };
            self.push(self.now_us + LATENCY_US, What::Arrive { from, source: to, to: next, bytes });
            return;
        }
        let now_ms = self.now_us / 1000;
        // The external address says which NAT it is.
        let IpAddr::V4(address) = to.ip() else { return };
        let [45, 1, high, low] = address.octets() else { return };
        let place = usize::from(u16::from_be_bytes([high, low]));
        let Some(nat) = self.nats.get_mut(place) else { return };
        let Ok(inside) = nat.inbound(source, to, now_ms) else { return };
        let Some(receiver) = self.inside(place, inside) else { return };
        let direct = !self.relays.iter().any(|relay| relay.address == source);
        let is_cut =
            |from: usize| self.cut.contains(&(from, receiver)) || self.cut.contains(&(receiver, from));
        match from.filter(|from| direct && is_cut(*from)) {
            Some(from) => self.stolen.push((from, source, to, bytes)),
            None => self.deliver(from, source, receiver, &bytes),
        }
    }

    fn deliver(&mut self, from: Option<usize>, source: SocketAddr, to: usize, bytes: &[u8]) {
        let via = self.relays.iter().position(|relay| relay.address == source);
        let peer_bytes = match bytes.first() {
            Some(0x0c) => Some(bytes),
            Some(0x0b | 0x0e) => bytes.get(HEADER_LEN..),
            _ => None,
        };
        if let (Some(bytes), false) = (peer_bytes, self.light) {
            let hops = if self.hosts[to].core.is_some() { &mut self.trace } else { &mut self.unheard };
            hops.push(Hop { at_us: self.now_us, from, to, via, bytes: bytes.to_vec() });
        }
        let now_us = self.now_us;
        self.with(to, |core| core.handle_datagram(source, bytes, now_us));
    }

    fn push(&mut self, at_us: u64, what: What) {
        self.number += 1;
        self.queue.push(Reverse(Due { at_us, number: self.number, what }));
    }

    /// What `host` calls `other`.
    pub(crate) fn peer(&self, host: usize, other: usize) -> PeerId {
        self.hosts[host].core.as_ref().unwrap().peers_of(&crate::server::account(other))[0]
    }

    /// Whether `host` believes that `other` is online.
    pub(crate) fn sees(&self, host: usize, other: usize) -> bool {
        let Some(core) = self.hosts[host].core.as_ref() else { return false };
        core.peers_of(&crate::server::account(other)).first().is_some_and(|peer| core.is_online(*peer))
    }

    /// The path from `host` to `other`.
    pub(crate) fn path(&self, host: usize, other: usize) -> Path {
        self.hosts[host].core.as_ref().unwrap().path(self.peer(host, other), self.now_us)
    }

    /// Sends a datagram from one host to another.
    pub(crate) fn say(&mut self, from: usize, to: usize, bytes: &[u8]) {
        let (peer, now_us) = (self.peer(from, to), self.now_us);
        self.with(from, |core| core.send(peer, bytes, now_us).unwrap());
    }

    /// Sends a reliable message; its ticket.
    pub(crate) fn tell(&mut self, from: usize, to: usize, bytes: &[u8]) -> u64 {
        let (peer, now_us) = (self.peer(from, to), self.now_us);
        let mut ticket = None;
        self.with(from, |core| ticket = core.send_message(peer, bytes, now_us).ok());
        ticket.unwrap()
    }

    /// How many of a host's PEER datagrams arrived anywhere.
    pub(crate) fn sent_by(&self, host: usize) -> usize {
        self.trace.iter().filter(|hop| hop.from == Some(host)).count()
    }

    /// The datagrams and messages that a host received.
    pub(crate) fn received(&self, host: usize) -> Vec<Vec<u8>> {
        let bytes = |event: &Event| match event {
            Event::Datagram { bytes, .. } | Event::Message { bytes, .. } => Some(bytes.clone()),
            _ => None,
        };
        self.hosts[host].events.iter().filter_map(bytes).collect()
    }

    /// Gives a host another NAT of the same behaviour, as a move to another network does.
    pub(crate) fn move_host(&mut self, host: usize) {
        let behaviour = self.hosts[host].behaviour;
        let mover = self.add(behaviour);
        let (nat, inside) = (self.hosts[mover].nat, self.hosts[mover].inside);
        self.hosts.pop();
        self.behind.iter_mut().for_each(|hosts| hosts.retain(|it| *it != host && *it != mover));
        self.behind[nat].push(host);
        (self.hosts[host].nat, self.hosts[host].inside) = (nat, inside);
    }
}

/// The first moment, unix time.
pub(crate) const START_US: u64 = 1_700_000_000_000_000;
/// From one end to the other.
pub(crate) const LATENCY_US: u64 = 20_000;
