//! A society of endpoints behind simulated NATs: their cores driven by one loop, over real sockets to real reflectors.
//!
//! ```text
//!   core --> NAT --> a reflector's address? --> socket ~~> reflector ~~> socket --> NAT --> core
//!                `-> another's external address? ------------------------------------> NAT --> core
//! ```
//!
//! * What goes from host to host stays in here; its two NATs decide about it as real ones would.
//! * Every presence that a core learns goes into the ledger, with the way by which it was learned.
//! * One clock for cores, NATs and ledger: unix microseconds that never go back.

use crate::error::Error;
use crate::keys::grow;
use crate::load::socket::station::Station;
use crate::society::buddies::Buddies;
use crate::society::calls::{Answer, Call, Calls, Outcome, Question};
use crate::society::ledger::{Learned, Ledger, histogram, note};
use crate::society::member::Member;
use crate::society::share::ShareCount;
use crate::society::unix_clock::UnixClock;
use hdrhistogram::Histogram;
use nat::Route;
use peer::{Core, Event, Families, Path, Request, Settings};
use results::presence::Paths;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use wire::Kind;
use wire::json::login::OfferedReflector;
use wire::json::name::AccountName;

/// All members and what is between them.
pub struct Society {
    /// By number.
    pub members: Vec<Member>,
    /// Who is whose buddy.
    pub buddies: Buddies,
    /// Notices.
    pub ledger: Ledger,
    /// Ways of the notices that somebody came.
    pub first_ways: ShareCount,
    /// Datagrams.
    pub paths: Paths,
    /// Calls of the access server.
    pub calls: Calls,
    /// How late timers and starts were, ns.
    pub lag_ns: Histogram<u64>,
    /// Buddies that were seen going while they were there.
    pub false_offline: u64,
    /// Calls that the access server refused or did not answer.
    pub access_failures: u64,
    /// How long a login took from the start of an endpoint, ns.
    pub login_ns: Histogram<u64>,
    secret: [u8; 32],
    names: Vec<AccountName>,
    reflectors: Vec<OfferedReflector>,
    station: Station<Option<u8>>,
    by_address: HashMap<IpAddr, u32>,
    inside: VecDeque<Datagram>,
    arrived: Vec<Datagram>,
    timers: BinaryHeap<Reverse<Timer>>,
    clock: UnixClock,
}

/// When a member's core wants to be called; ordered by time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Timer {
    at_us: u64,
    number: u32,
    /// Which of its lives it is meant for.
    life: u32,
}

/// A datagram on its way.
struct Datagram {
    source: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

/// What a society is made of.
pub struct Parts {
    /// By number.
    pub members: Vec<Member>,
    /// Their accounts, by number.
    pub names: Vec<AccountName>,
    /// Who is whose buddy.
    pub buddies: Buddies,
    /// Where they PROBE first.
    pub reflectors: Vec<OfferedReflector>,
    /// What their randomness is grown from.
    pub secret: [u8; 32],
    /// What takes longer is late, microseconds.
    pub late_us: u64,
}

impl Society {
    /// Nobody lives yet.
    ///
    /// # Errors
    /// None in practice: the ranges of its histograms are constants.
    pub fn new(parts: Parts, station: Station<Option<u8>>, calls: Calls) -> Result<Self, Error> {
        let external = |(number, member): (u32, &Member)| (member.nat.external(), number);
        Ok(Self {
            by_address: (0..).zip(&parts.members).map(external).collect(),
            members: parts.members,
            buddies: parts.buddies,
            ledger: Ledger::new(parts.late_us)?,
            first_ways: ShareCount::default(),
            paths: Paths::default(),
            calls,
            lag_ns: histogram()?,
            login_ns: histogram()?,
            false_offline: 0,
            access_failures: 0,
            secret: parts.secret,
            names: parts.names,
            reflectors: parts.reflectors,
            station,
            inside: VecDeque::new(),
            arrived: Vec::new(),
            timers: BinaryHeap::new(),
            clock: UnixClock::start(),
        })
    }

    /// Now, unix microseconds.
    pub fn now_us(&self) -> u64 {
        self.clock.now_us()
    }

    /// Datagrams that the sockets have lost.
    pub fn overflows(&self) -> u64 {
        self.station.overflows()
    }

    /// How many are logged in.
    pub fn count_in(&self) -> usize {
        self.members.iter().filter(|member| member.is_in).count()
    }

    /// Starts a member that was meant to start at `start_us`.
    pub fn start(&mut self, number: u32, start_us: u64) {
        let now_us = self.now_us();
        note(&mut self.lag_ns, now_us.saturating_sub(start_us));
        let reflectors = self.reflectors.clone();
        let Some(member) = self.members.get_mut(number as usize) else { return };
        member.life += 1;
        let settings = Settings {
            noise_secret: member.keys.noise(),
            seed: grow(&self.secret, "seed", number, member.life),
            reflectors,
            behaviour: Some(member.behaviour()),
            hosts: Vec::new(),
            families: Families { ipv4: true, ipv6: false },
            has_account: true,
            incarnation: 0,
        };
        member.begin(Core::new(settings, now_us), start_us);
        self.drain(number, Learned::Server, now_us);
    }

    /// A member leaves with a word to all; whether it was there.
    pub fn leave(&mut self, number: u32) -> bool {
        let now_us = self.now_us();
        let buddies = self.buddies.of(number).to_vec();
        let sees = |other: &u32| self.member(*other).is_some_and(|it| it.is_in && it.sees(number));
        let seen_by: Vec<u32> = buddies.iter().copied().filter(sees).collect();
        let Some(member) = self.members.get_mut(number as usize) else { return false };
        let Some(core) = member.core.as_mut() else { return false };
        let seen_by = if member.is_in { seen_by } else { Vec::new() };
        core.leave(now_us);
        self.drain(number, Learned::Server, now_us);
        if let Some(member) = self.members.get_mut(number as usize) {
            member.end();
        }
        self.ledger.leave(number, (&seen_by, &buddies), now_us);
        true
    }

    /// Sends a datagram from a member to a buddy, and by that seeks a direct path; whether it was taken.
    pub fn say(&mut self, number: u32, buddy: u32, bytes: &[u8]) -> bool {
        let now_us = self.now_us();
        let Some(member) = self.members.get_mut(number as usize).filter(|member| member.is_in) else {
            return false;
        };
        let Some(peer) = member.peer(buddy).filter(|_| member.sees(buddy)) else { return false };
        let said = member.core.as_mut().is_some_and(|core| core.send(peer, bytes, now_us).is_ok());
        self.drain(number, Learned::Server, now_us);
        self.paths.said += u64::from(said);
        said
    }

    /// The way from a member to a buddy, if there is one.
    pub fn way(&self, number: u32, buddy: u32) -> Option<Route> {
        let member = self.member(number)?;
        match member.core.as_ref()?.path(member.peer(buddy)?, self.now_us()) {
            Path::Direct(_) => Some(Route::Direct),
            Path::Reflected(_) => Some(Route::Reflect),
            Path::Unknown => None,
        }
    }

    /// Does what is due and takes what came, waiting at most until `until_us`.
    ///
    /// # Errors
    /// What the kernel says about the sockets.
    pub fn turn(&mut self, until_us: u64) -> Result<(), Error> {
        self.wake();
        while let Some(answer) = self.calls.poll() {
            self.take_answer(answer);
        }
        for _ in 0..MOST_AT_ONCE {
            let Some(datagram) = self.inside.pop_front() else { break };
            self.deliver(&datagram, Learned::Direct);
        }
        self.flush();
        let next_us = self.timers.peek().map_or(until_us, |Reverse(timer)| timer.at_us.min(until_us));
        let idle = self.inside.is_empty();
        let gap_us = if idle { next_us.saturating_sub(self.now_us()).min(LONGEST_SLEEP_US) } else { 0 };
        // epoll waits whole milliseconds: rounded up, timers are late by one at most, and no core is burnt by looking.
        let failed =
            |error: std::io::Error| Error::Runtime(format!("a socket of the generator failed: {error}"));
        self.station.wait(Duration::from_millis(gap_us.div_ceil(1_000))).map_err(failed)?;
        let mut arrived = std::mem::take(&mut self.arrived);
        let keep = &mut |arrival: &crate::load::socket::station::Arrival<'_>| {
            let bytes = arrival.datagram.to_vec();
            arrived.push(Datagram { source: arrival.source, to: arrival.local, bytes });
        };
        self.station.receive(keep).map_err(failed)?;
        for datagram in arrived.drain(..) {
            self.take_in(&datagram);
        }
        self.arrived = arrived;
        self.flush();
        Ok(())
    }

    fn member(&self, number: u32) -> Option<&Member> {
        self.members.get(number as usize)
    }

    /// Calls the cores whose time has come.
    fn wake(&mut self) {
        for _ in 0..MOST_AT_ONCE {
            let now_us = self.now_us();
            match self.timers.peek() {
                Some(Reverse(timer)) if timer.at_us <= now_us => {}
                _ => return,
            }
            let Some(Reverse(Timer { at_us, number, life })) = self.timers.pop() else { return };
            let member = self.members.get_mut(number as usize);
            let Some(member) = member.filter(|it| it.life == life && it.wake_us == Some(at_us)) else {
                continue;
            };
            member.wake_us = None;
            if let Some(core) = member.core.as_mut() {
                note(&mut self.lag_ns, now_us.saturating_sub(at_us));
                core.handle_timeout(now_us);
                self.drain(number, Learned::Server, now_us);
            }
        }
    }

    fn take_answer(&mut self, answer: Answer) {
        let now_us = self.now_us();
        let Some(member) = self.members.get_mut(answer.endpoint as usize) else { return };
        if member.life != answer.life {
            return;
        }
        let Some(core) = member.core.as_mut() else { return };
        match answer.outcome {
            Outcome::Login(login) => {
                member.session = Some(login.session);
                core.handle_login(*login, now_us);
            }
            Outcome::LostSession => core.handle_lost_session(now_us),
            Outcome::Refused(_) | Outcome::Unanswered(_) => core.handle_failure(now_us),
            Outcome::Enrolled(_) | Outcome::LoggedOut => return,
        }
        self.drain(answer.endpoint, Learned::Server, now_us);
    }

    /// A datagram from a socket.
    fn take_in(&mut self, datagram: &Datagram) {
        let is_relay = self.reflectors.iter().any(|it| it.addresses.contains(&datagram.source));
        match datagram.bytes.first() {
            Some(kind) if is_relay && [Kind::Data as u8, Kind::SealedData as u8].contains(kind) => {
                self.paths.returned += 1;
            }
            Some(kind) if is_relay && *kind == Kind::Observed as u8 => self.paths.observed += 1,
            _ => {
                self.paths.foreign += 1;
                return;
            }
        }
        self.deliver(datagram, Learned::Reflected);
    }

    /// A datagram at the NAT of its receiver.
    fn deliver(&mut self, datagram: &Datagram, learned: Learned) {
        let now_us = self.now_us();
        let Datagram { source, to, bytes } = datagram;
        let number = self.by_address.get(&to.ip()).copied();
        let Some((number, member)) = number.and_then(|it| Some((it, self.members.get_mut(it as usize)?)))
        else {
            self.paths.foreign += 1;
            return;
        };
        let direct = learned == Learned::Direct;
        let Some(core) = member.core.as_mut() else {
            *(if direct { &mut self.paths.direct_away } else { &mut self.paths.away }) += 1;
            return;
        };
        if member.nat.inbound(*source, *to, now_us / 1_000).is_err() {
            *(if direct { &mut self.paths.direct_refused } else { &mut self.paths.refused_by_nat }) += 1;
            return;
        }
        *(if direct { &mut self.paths.direct_delivered } else { &mut self.paths.delivered }) += 1;
        core.handle_datagram(*source, bytes, now_us);
        self.drain(number, learned, now_us);
    }

    /// Takes out of a core what it has to send and to tell.
    fn drain(&mut self, number: u32, learned: Learned, now_us: u64) {
        loop {
            let Some(core) = self.members.get_mut(number as usize).and_then(|it| it.core.as_mut()) else {
                return;
            };
            if let Some(transmit) = core.poll_transmit() {
                self.send(number, transmit.destination, transmit.bytes, now_us);
            } else if let Some(event) = core.poll_event() {
                self.react(number, event, learned, now_us);
            } else {
                break;
            }
        }
        let Some(member) = self.members.get_mut(number as usize) else { return };
        let due_us = member.core.as_ref().and_then(|core| core.poll_timeout(now_us));
        let Some(due_us) = due_us.map(|due_us| due_us.max(now_us + 1)) else { return };
        if member.wake_us.is_none_or(|wake_us| due_us < wake_us) {
            member.wake_us = Some(due_us);
            self.timers.push(Reverse(Timer { at_us: due_us, number, life: member.life }));
        }
    }

    fn send(&mut self, number: u32, to: SocketAddr, bytes: Vec<u8>, now_us: u64) {
        let Some(member) = self.members.get_mut(number as usize) else { return };
        let Ok(source) = member.nat.outbound(member.inside, to, now_us / 1_000) else {
            self.paths.nat_outbound_refused += 1;
            return;
        };
        if self.by_address.contains_key(&to.ip()) {
            self.paths.direct_sent += 1;
            self.inside.push_back(Datagram { source, to, bytes });
            return;
        }
        if self.station.is_full() {
            self.flush();
        }
        let label = bytes.first().copied();
        let copy = |slot: &mut [u8]| slot.copy_from_slice(&bytes);
        let fits = bytes.len() <= LONGEST_DATAGRAM;
        if !fits || !self.station.queue((source, to), label, bytes.len(), copy) {
            self.paths.unroutable += 1;
        }
    }

    fn flush(&mut self) {
        let Self { station, paths, .. } = self;
        station.flush(&mut |sent| {
            let count = u64::from(sent.datagrams);
            match sent.outcome {
                Ok(())
                    if [Kind::Send, Kind::SealedSend].iter().any(|kind| sent.label == Some(*kind as u8)) =>
                {
                    paths.reflected += count;
                }
                Ok(()) => paths.probes += count,
                Err(error) => *paths.send_errors.entry(format!("{error:?}")).or_default() += count,
            }
        });
    }

    fn react(&mut self, number: u32, event: Event, learned: Learned, now_us: u64) {
        match event {
            Event::Request(request) => self.ask(number, request, now_us),
            Event::Rebind => {
                let Some(member) = self.members.get_mut(number as usize) else { return };
                member.inside.set_port(member.inside.port().wrapping_add(1).max(1_024));
                if let Some(core) = member.core.as_mut() {
                    core.handle_rebound(Vec::new(), now_us);
                }
                self.paths.rebound += 1;
            }
            Event::LoggedIn => self.arrive(number, now_us),
            Event::AccessFailed { .. } => self.access_failures += 1,
            Event::Presence { peer, online } => {
                let Some(about) = self.member(number).and_then(|it| it.buddy(peer)) else { return };
                let due = self.ledger.see((about, number), online, learned, now_us);
                let Some(other) = self.member(about) else { return };
                if !due {
                    self.false_offline += u64::from(!online && other.is_in);
                } else if online && learned != Learned::Server {
                    let here = self.member(number).map_or(other.behaviour(), Member::behaviour);
                    let hides = other.hides || self.member(number).is_some_and(|it| it.hides);
                    let predicted = hides || nat::route(other.behaviour(), here) == Route::Reflect;
                    self.first_ways.note(number, learned == Learned::Reflected, predicted);
                }
            }
            Event::Datagram { .. } => self.paths.heard += 1,
            _ => {}
        }
    }

    fn ask(&mut self, number: u32, request: Request, now_us: u64) {
        let Some(member) = self.members.get_mut(number as usize) else { return };
        let question = match (request, member.session) {
            (Request::Login { nat, contacts }, _) => {
                Question::Login { device: member.device, keys: member.keys, nat, contacts }
            }
            (Request::Refresh(refresh), Some(session)) => Question::Refresh(session, refresh),
            (Request::Logout, Some(session)) => Question::Logout(session),
            (Request::Refresh(_), None) => {
                if let Some(core) = member.core.as_mut() {
                    core.handle_lost_session(now_us);
                }
                return;
            }
            (Request::Logout, None) => return,
        };
        self.calls.ask(Call { endpoint: number, life: member.life, question });
    }

    /// The access server has answered; after the first time, buddies that are there shall see it and be seen.
    fn arrive(&mut self, number: u32, now_us: u64) {
        let buddies = self.buddies.of(number).to_vec();
        let Some(member) = self.members.get_mut(number as usize) else { return };
        member.learn_peers(&buddies, &self.names);
        if std::mem::replace(&mut member.is_in, true) {
            return;
        }
        let start_us = member.start_us;
        note(&mut self.login_ns, now_us.saturating_sub(start_us));
        let there = |other: &&u32| self.member(**other).is_some_and(|it| it.is_in);
        let present: Vec<u32> = buddies.iter().filter(there).copied().collect();
        let sees = |from: u32, to: u32| self.member(from).is_some_and(|it| it.sees(to));
        let unseen_by: Vec<u32> = present.iter().copied().filter(|other| !sees(*other, number)).collect();
        let unseen: Vec<u32> = present.iter().copied().filter(|other| !sees(number, *other)).collect();
        self.ledger.come(number, start_us, (&unseen_by, &unseen), now_us);
    }
}

/// Bytes of the longest datagram that a path search sends.
pub const LONGEST_DATAGRAM: usize = 1_500;
/// Timers and datagrams handled before the sockets are looked at again.
const MOST_AT_ONCE: usize = 256;
/// Answers of the access server are looked for so often.
const LONGEST_SLEEP_US: u64 = 2_000;
