//! One peer: a device that may be talked to, all that is known of it, and the ways to it.
//!
//! * The way at rest is what the grid of NAT behaviours says (`nat::route`), except behind a shared external address,
//!   where reflecting always works and hairpinning may not.
//! * A direct path is used once it has answered a challenge, and left within two seconds of falling silent.
//! * A conversation lives while application bytes came or went in the last ten minutes. Only then are direct paths
//!   sought, sizes searched, and consent sent through the reflector once a minute.

mod conversation;
pub(crate) mod handshake;
mod reliable;
pub(crate) mod report;
pub(crate) mod sessions;

use crate::event::{Event, Path};
use crate::message::frame::{self, Frame};
use crate::message::notice::{Presence, Status};
use crate::message::packet::{Form, OVERHEAD};
use crate::own::Own;
use crate::paths::challenge::{Challenges, Target};
use crate::paths::direct::{DirectPaths, Origin};
use crate::paths::headers::{Headers, Ready};
use crate::paths::search::{BASE, Search};
use crate::peer::reliable::Reliable;
use crate::peer::sessions::{Identity, Sessions};
use nat::{Behaviour, Filtering, Mapping, Route};
use std::collections::VecDeque;
use std::net::SocketAddr;
use wire::{HEADER_LEN, TransportAddress};

/// One peer.
pub(crate) struct Peer {
    pub(crate) identity: Identity,
    /// The application named it; no profile takes it away.
    pub(crate) by_application: bool,
    pub(crate) presence: Presence,
    pub(crate) behaviour: Behaviour,
    /// Its reflexive addresses as it or its profile last named them.
    pub(crate) named: Vec<SocketAddr>,
    /// What the last profile said, to see when it says something new.
    pub(crate) profiled: Vec<SocketAddr>,
    /// The number of the last CONTACTS.
    pub(crate) contacts_number: (u64, u64),
    pub(crate) hosts: Vec<SocketAddr>,
    /// Addresses at reflectors that have answered though nobody named them.
    pub(crate) proven: Vec<TransportAddress>,
    pub(crate) headers: Headers,
    pub(crate) sessions: Sessions,
    /// The number of the last first message of a handshake.
    pub(crate) init_number: (u64, u64),
    pub(crate) init_us: Option<u64>,
    /// Where our last answer to a first message went, if directly.
    pub(crate) answered_to: Option<SocketAddr>,
    /// The address with which a handshake was done directly, both ways.
    pub(crate) met_at: Option<SocketAddr>,
    pub(crate) direct: DirectPaths,
    pub(crate) challenges: Challenges,
    pub(crate) reliable: Reliable,
    pub(crate) reflected_search: Search,
    pub(crate) rtt_us: Option<u64>,
    /// Datagrams that wait for a session.
    pub(crate) queue: VecDeque<Vec<u8>>,
    /// When application bytes last came or went.
    pub(crate) talked_us: Option<u64>,
    pub(crate) heard_us: Option<u64>,
    /// Since when something was sent and nothing heard.
    pub(crate) awaiting_us: Option<u64>,
    pub(crate) check_us: Option<u64>,
    pub(crate) checks: u32,
    /// When an address at a reflector that nobody named was last challenged.
    pub(crate) doubted_us: Option<u64>,
    /// The own contact has changed since it was last told.
    pub(crate) moved: bool,
    consent_us: u64,
    punch: Option<Punch>,
    /// When a direct path was last sought.
    pub(crate) punched_us: Option<u64>,
    pub(crate) told_path: Path,
    pub(crate) counts: Counts,
}

/// What went to and came from a peer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Datagrams of the application sent.
    pub sent: u64,
    /// Datagrams of the application received.
    pub received: u64,
    /// Reliable messages that had to be sent again.
    pub repeated: u64,
    /// Challenges sent.
    pub challenged: u64,
    /// Challenges answered.
    pub answered: u64,
}

/// A way to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From host to host.
    Direct(SocketAddr),
    /// Under a header, through its reflector.
    Reflected(Ready),
}

/// Both sides send to each other's contact, and tell each other where that is.
struct Punch {
    steps: u32,
    next_us: u64,
}

impl Peer {
    /// A peer of whom nothing is known but its key.
    pub(crate) fn new(identity: Identity, now_us: u64) -> Self {
        Self {
            identity,
            by_application: false,
            presence: Presence::default(),
            behaviour: Behaviour::nat(Mapping::Apdm, Filtering::Apdf),
            named: Vec::new(),
            profiled: Vec::new(),
            contacts_number: (0, 0),
            hosts: Vec::new(),
            proven: Vec::new(),
            headers: Headers::default(),
            sessions: Sessions::default(),
            init_number: (0, 0),
            init_us: None,
            answered_to: None,
            met_at: None,
            direct: DirectPaths::default(),
            challenges: Challenges::default(),
            reliable: Reliable::default(),
            reflected_search: Search::new(false, now_us),
            rtt_us: None,
            queue: VecDeque::new(),
            talked_us: None,
            heard_us: None,
            awaiting_us: None,
            check_us: None,
            checks: 0,
            doubted_us: None,
            moved: false,
            consent_us: 0,
            punch: None,
            punched_us: None,
            told_path: Path::Unknown,
            counts: Counts::default(),
        }
    }

    /// Whether a conversation lives.
    pub(crate) fn is_talking(&self, now_us: u64) -> bool {
        self.talked_us.is_some_and(|talked_us| now_us < talked_us + CONVERSATION_US)
    }

    /// Whether both are behind one external address.
    pub(crate) fn shares_external(&self, own: &Own) -> bool {
        self.named.iter().any(|contact| own.shares_external(*contact))
    }

    /// The header to send with now.
    pub(crate) fn ready(&self, own: &Own, now_us: u64) -> Option<Ready> {
        self.headers.choose(now_us, |via| own.reflector_lives(via), |address| self.has_left(address))
    }

    /// The same, unless it leads to where the peer no longer is.
    pub(crate) fn fresh(&self, own: &Own, now_us: u64) -> Option<Ready> {
        self.ready(own, now_us).filter(|ready| !self.has_left(ready.header.peer))
    }

    /// Whether an address at a reflector is neither what the peer named last nor has answered since.
    fn has_left(&self, address: TransportAddress) -> bool {
        !self.named.is_empty()
            && !self.named.contains(&address.to_socket())
            && !self.proven.contains(&address)
    }

    /// The way that the grid says, before anything is proven.
    pub(crate) fn way_at_rest(&self, own: &Own, now_us: u64) -> Option<Way> {
        let fresh = self.fresh(own, now_us).map(Way::Reflected);
        let met = self.met_at.map(Way::Direct);
        let around = fresh.or(met).or_else(|| self.ready(own, now_us).map(Way::Reflected));
        let family = |it: &&SocketAddr| own.reflexive.iter().any(|own| own.is_ipv4() == it.is_ipv4());
        let Some(contact) = self.named.iter().find(family).copied() else { return around };
        let direct = nat::route(own.behaviour(), self.behaviour) == Route::Direct
            && !self.shares_external(own)
            && !self.direct.is_failing(contact);
        if direct { Some(Way::Direct(contact)) } else { around.or(Some(Way::Direct(contact))) }
    }

    /// The way of the application's datagrams now.
    pub(crate) fn way(&self, own: &Own, now_us: u64) -> Option<Way> {
        self.direct.chosen().map(Way::Direct).or_else(|| self.way_at_rest(own, now_us))
    }

    /// The same, as the application is told it.
    pub(crate) fn path(&self, own: &Own, now_us: u64) -> Path {
        match self.way(own, now_us) {
            Some(Way::Direct(address)) => Path::Direct(address),
            Some(Way::Reflected(ready)) => Path::Reflected(ready.via),
            None => Path::Unknown,
        }
    }

    /// Bytes of the largest datagram that every way in use carries, so that none is lost when the way changes.
    pub(crate) fn max_datagram_size(&self) -> usize {
        let reflected = self.reflected_search.size().saturating_sub(HEADER_LEN);
        let reflected = if self.headers.is_empty() { usize::MAX } else { reflected };
        let direct = self.direct.size().unwrap_or(usize::MAX);
        let size = reflected.min(direct);
        (if size == usize::MAX { BASE } else { size }).saturating_sub(OVERHEAD)
    }

    /// Whether the sizes of all ways in use are known, so that [`Peer::max_datagram_size`] grows no more on them.
    pub(crate) fn knows_sizes(&self) -> bool {
        let has_headers = !self.headers.is_empty();
        let reflected = !has_headers || self.reflected_search.is_done();
        self.sessions.is_open() && reflected && self.direct.is_searched().unwrap_or(has_headers)
    }

    /// Seals a message and sends it; false when there is no session.
    pub(crate) fn seal(&mut self, own: &mut Own, way: Way, form: Form, plain: &[u8]) -> bool {
        let Some(session) = self.sessions.current() else { return false };
        match way {
            Way::Direct(address) => {
                let Some(bytes) = session.seal(form, plain, 0) else { return false };
                own.transmit(address, bytes);
            }
            Way::Reflected(ready) => {
                let Some(bytes) = session.seal(form, plain, HEADER_LEN) else { return false };
                own.transmit_reflected(ready, bytes);
            }
        }
        true
    }

    /// Sends frames.
    pub(crate) fn say(&mut self, own: &mut Own, way: Way, frames: &[Frame<'_>]) {
        let mut plain = Vec::new();
        frames.iter().for_each(|frame| frame.write(&mut plain));
        self.seal(own, way, Form::Control, &plain);
    }

    /// Sends a challenge, padded to a size of the whole datagram if one is to be tried.
    pub(crate) fn challenge(&mut self, own: &mut Own, way: Way, size: Option<usize>, now_us: u64) {
        let token = own.token();
        let (target, room) = match way {
            Way::Direct(address) => (Target::Direct(address), OVERHEAD),
            Way::Reflected(Ready { via, header }) => {
                (Target::Reflected { via, peer: header.peer }, OVERHEAD + HEADER_LEN)
            }
        };
        let mut plain = Vec::new();
        Frame::Challenge(token).write(&mut plain);
        if let Some(size) = size {
            frame::pad(&mut plain, size.saturating_sub(room));
        }
        if self.seal(own, way, Form::Control, &plain) {
            self.counts.challenged += u64::from(size.is_none());
            self.challenges.push(token, target, size, now_us);
        }
    }

    /// Application bytes came or went: a conversation begins, unless one lives.
    pub(crate) fn talk(&mut self, own: &mut Own, now_us: u64) {
        let lived = self.is_talking(now_us);
        self.talked_us = Some(now_us);
        if !lived {
            // The profile may be older than the peer's login.
            own.wants_refresh |= self.headers.is_empty();
            self.consent_us = now_us + FIRST_CONSENT_US;
            self.reflected_search = Search::new(self.reflects_over_ipv6(own, now_us), now_us);
            self.direct.clear();
            self.punched_us = None;
            self.start_punch(own, now_us);
        }
    }

    /// Seeks a direct path, where the behaviours let one be found.
    pub(crate) fn start_punch(&mut self, own: &Own, now_us: u64) {
        let (to_peer, from_peer) = nat::after_punch(own.behaviour(), self.behaviour);
        let hopeful = to_peer == Route::Direct || from_peer == Route::Direct || self.shares_external(own);
        // Telling each other where we are must not become an endless conversation of its own.
        let recently = self.punched_us.is_some_and(|last_us| now_us < last_us + PUNCH_AGAIN_US);
        if hopeful && !recently && self.is_talking(now_us) {
            self.punched_us = Some(now_us);
            self.punch = Some(Punch { steps: 0, next_us: now_us });
        }
    }

    /// Tells the application when its datagrams take another path.
    pub(crate) fn tell_path(&mut self, own: &mut Own, now_us: u64) {
        let path = self.path(own, now_us);
        if path != self.told_path && self.sessions.is_open() {
            self.told_path = path;
            let why = self.why(own, now_us);
            own.events.push_back(Event::Path { peer: self.identity.id, path, why });
        }
    }

    /// When [`Peer::handle_timeout`] has something to do.
    pub(crate) fn due_us(&self, now_us: u64) -> Option<u64> {
        let pending = self.sessions.pending.as_ref().map(|pending| pending.next_us);
        let always = pending.into_iter().chain(self.reliable.due_us(self.sessions.is_open()));
        let talking = self.is_talking(now_us) && self.sessions.is_open();
        let in_talk = [
            self.check_us,
            Some(self.consent_us),
            Some(self.reflected_search.due_us()).filter(|_| !self.headers.is_empty()),
            self.punch.as_ref().map(|punch| punch.next_us),
            self.direct.due_us(),
        ];
        always.chain(in_talk.into_iter().flatten().filter(|_| talking)).min()
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, own: &mut Own, now_us: u64) {
        self.retry_handshake(own, now_us);
        self.send_messages(own, now_us);
        if self.is_talking(now_us) && self.sessions.is_open() {
            self.direct.check(now_us);
            self.check_silence(own, now_us);
            self.punch_on(own, now_us);
            for address in self.direct.poll(now_us) {
                self.challenge(own, Way::Direct(address), None, now_us);
            }
            self.search_on(own, now_us);
            self.consent(own, now_us);
            self.tell_path(own, now_us);
        }
    }

    /// Something was sent that the peer should react to.
    pub(crate) fn await_answer(&mut self, now_us: u64) {
        if self.awaiting_us.is_none() {
            (self.awaiting_us, self.check_us, self.checks) = (Some(now_us), Some(now_us + CHECK_US), 0);
        }
    }

    /// Nothing was heard since something was sent: asks, then doubts the path, the own contact, the profile, the
    /// session, in this order.
    fn check_silence(&mut self, own: &mut Own, now_us: u64) {
        let (Some(since_us), Some(check_us)) = (self.awaiting_us, self.check_us) else { return };
        if now_us < check_us {
            return;
        }
        self.checks += 1;
        self.check_us = Some(now_us + if self.checks < CHECKS { CHECK_US } else { CHECK_RARELY_US });
        if self.direct.chosen().is_some() {
            self.direct.doubt(now_us);
        } else if let Some(way) = self.way(own, now_us) {
            self.challenge(own, way, None, now_us);
        }
        let silent_us = now_us - since_us.max(self.heard_us.unwrap_or(0));
        // A reflector that died must be noticed in time to be replaced within three seconds.
        own.wants_probe |= silent_us >= SILENCE_US || self.direct.chosen().is_none();
        if silent_us >= SILENCE_US {
            self.direct.retry(now_us);
        }
        if silent_us >= LONG_SILENCE_US && self.checks <= CHECKS {
            own.wants_refresh = true;
            self.start_handshake(own, now_us);
        }
    }

    fn punch_on(&mut self, own: &mut Own, now_us: u64) {
        let Some(Punch { steps, next_us }) = self.punch else { return };
        if now_us < next_us {
            return;
        }
        if steps == 0 {
            self.add_named(own, now_us);
        }
        // Who has found a path has no need to tell, unless the peer has not heard where we are.
        if steps >= PUNCH_STEPS || steps > 1 && !self.direct.is_trying() {
            self.punch = None;
            return;
        }
        self.punch = Some(Punch { steps: steps + 1, next_us: now_us + (PUNCH_PAUSE_US << steps) });
        let contacts = own.next_contacts(self.shares_external(own));
        if let Some(way) = self.way_at_rest(own, now_us) {
            self.say(own, way, &[Frame::Contacts(contacts)]);
        }
    }

    /// Makes what the peer named candidates: its contacts, and its host candidates where both share an external address.
    pub(crate) fn add_named(&mut self, own: &Own, now_us: u64) {
        for contact in self.named.iter().chain(&self.met_at) {
            self.direct.add(*contact, Origin::Named, now_us);
        }
        if self.shares_external(own) {
            for host in &self.hosts {
                self.direct.add(*host, Origin::Named, now_us);
            }
        }
    }

    /// Tells the peer where we are now.
    pub(crate) fn tell_contacts(&mut self, own: &mut Own, now_us: u64) {
        let contacts = own.next_contacts(self.shares_external(own));
        if let Some(way) = self.way_at_rest(own, now_us) {
            self.say(own, way, &[Frame::Contacts(contacts)]);
        }
        self.punched_us = None;
        self.start_punch(own, now_us);
    }

    fn search_on(&mut self, own: &mut Own, now_us: u64) {
        if let Some(ready) = self.ready(own, now_us)
            && let Some(size) = self.reflected_search.poll(now_us)
        {
            self.challenge(own, Way::Reflected(ready), Some(size), now_us);
        }
        if let Some(address) = self.direct.chosen()
            && let Some(size) = self.direct.find(address).and_then(|it| it.search.poll(now_us))
        {
            self.challenge(own, Way::Direct(address), Some(size), now_us);
        }
    }

    /// Renews the peer's header, whatever path is in use.
    fn consent(&mut self, own: &mut Own, now_us: u64) {
        if now_us < self.consent_us {
            return;
        }
        let ready = self.ready(own, now_us);
        // Where headers live shorter than usual, a minute would be too long to keep them alive.
        let left_us = ready
            .map_or(u64::MAX, |ready| (u64::from(ready.header.expires) * 1_000_000).saturating_sub(now_us));
        let pause_us = (left_us / 2).clamp(SHORTEST_CONSENT_PAUSE_US, CONSENT_PAUSE_US);
        self.consent_us = now_us + pause_us - own.jitter_us(pause_us / 10);
        if let Some(ready) = ready {
            self.say(own, Way::Reflected(ready), &[Frame::Consent]);
        }
    }

    fn reflects_over_ipv6(&self, own: &Own, now_us: u64) -> bool {
        self.ready(own, now_us).is_some_and(|ready| ready.via.is_ipv6() || !ready.header.peer.is_ipv4())
    }

    /// Whether the device is there, as far as is known.
    pub(crate) fn is_online(&self) -> bool {
        self.presence.status() == Status::Online
    }
}

/// A conversation ends when nothing was said for so long.
const CONVERSATION_US: u64 = 600_000_000;
/// Each side's message through the reflector, that renews the other's header.
const CONSENT_PAUSE_US: u64 = 60_000_000;
const SHORTEST_CONSENT_PAUSE_US: u64 = 2_000_000;
const FIRST_CONSENT_US: u64 = 1_000_000;
const CHECK_US: u64 = 1_000_000;
const CHECK_RARELY_US: u64 = 15_000_000;
const CHECKS: u32 = 8;
const SILENCE_US: u64 = 2_000_000;
const LONG_SILENCE_US: u64 = 4_000_000;
const PUNCH_STEPS: u32 = 5;
const PUNCH_AGAIN_US: u64 = 5_000_000;
const PUNCH_PAUSE_US: u64 = 200_000;
