//! One peer: a device that may be talked to, all that is known of it, and the ways to it.
//!
//! * What is known lies in parts, each of which alone changes its fields; here is what happens between them.
//! * A direct path is used once it has answered a challenge, and left within two seconds of falling silent.
//! * A conversation lives while application bytes came or went in the last ten minutes. Only then are direct paths
//!   sought, sizes searched, and consent sent through the reflector once a minute.

mod conversation;
mod greetings;
mod handshake;
mod punch;
mod reliable;
pub(crate) mod report;
pub(crate) mod sessions;
mod silence;
mod talk;
mod ways;
mod whereabouts;

use self::greetings::Greetings;
use self::punch::Punch;
use self::reliable::Reliable;
use self::sessions::{Identity, Sessions};
use self::silence::{Look, Silence};
use self::talk::{Talk, consent_pause_us};
use self::whereabouts::Whereabouts;
use crate::event::{Event, Path};
use crate::message::frame::{self, Frame};
use crate::message::notice::{Presence, Status};
use crate::message::packet::{Form, OVERHEAD};
use crate::noise::PublicKey;
use crate::own::Own;
use crate::paths::challenge::{Challenges, Target};
use crate::paths::direct::{DirectPaths, Origin};
use crate::paths::headers::{Headers, Ready};
use crate::paths::search::Search;
use crate::paths::way::Way;
use nat::{Behaviour, Route};
use std::net::SocketAddr;
use wire::HEADER_LEN;

/// One peer.
pub(crate) struct Peer {
    identity: Identity,
    /// The application named it; no profile takes it away.
    by_application: bool,
    presence: Presence,
    whereabouts: Whereabouts,
    headers: Headers,
    sessions: Sessions,
    greetings: Greetings,
    direct: DirectPaths,
    reflected_search: Search,
    challenges: Challenges,
    reliable: Reliable,
    talk: Talk,
    punch: Punch,
    silence: Silence,
    /// The own contact has changed since it was last told.
    moved: bool,
    told_path: Path,
}

/// What the access server says of a peer's device.
pub(crate) struct Word {
    /// Headers that lead there, the best reflector first; without any, those at hand may still hold.
    pub(crate) headers: Vec<Ready>,
    /// Its reflexive addresses.
    pub(crate) contacts: Vec<SocketAddr>,
    /// Whether it hides them.
    pub(crate) hidden: bool,
    /// Its NAT.
    pub(crate) behaviour: Option<Behaviour>,
    /// Whether the server takes it for online.
    pub(crate) status: Status,
    /// The incarnation that the server knows.
    pub(crate) incarnation: Option<u64>,
    /// Unix microseconds at which the server was asked: what was heard since is newer.
    pub(crate) asked_us: u64,
    /// Whether the server has lost all sessions, so that who is offline to it may only not be back yet.
    pub(crate) is_ignorant: bool,
}

/// What went to and came from a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

impl Peer {
    /// A peer of whom nothing is known but its key.
    pub(crate) fn new(identity: Identity, now_us: u64) -> Self {
        Self {
            identity,
            by_application: false,
            presence: Presence::default(),
            whereabouts: Whereabouts::default(),
            headers: Headers::default(),
            sessions: Sessions::default(),
            greetings: Greetings::default(),
            direct: DirectPaths::default(),
            reflected_search: Search::new(false, now_us),
            challenges: Challenges::default(),
            reliable: Reliable::default(),
            talk: Talk::default(),
            punch: Punch::default(),
            silence: Silence::default(),
            moved: false,
            told_path: Path::Unknown,
        }
    }

    /// Its static key.
    pub(crate) fn key(&self) -> PublicKey {
        self.identity.key
    }

    /// How its NAT behaves.
    pub(crate) fn behaviour(&self) -> Behaviour {
        self.whereabouts.behaviour()
    }

    /// Whether the device is there, as far as is known.
    pub(crate) fn is_online(&self) -> bool {
        self.presence.status() == Status::Online
    }

    /// The incarnation of its highest notice.
    pub(crate) fn incarnation(&self) -> u64 {
        self.presence.incarnation()
    }

    /// When it was last heard.
    pub(crate) fn heard_us(&self) -> Option<u64> {
        self.silence.heard_us()
    }

    /// Whether the application named it, so that no profile takes it away.
    pub(crate) fn is_by_application(&self) -> bool {
        self.by_application
    }

    /// Whether this address is one that it or its profile named.
    pub(crate) fn is_named_at(&self, address: SocketAddr) -> bool {
        self.whereabouts.named().contains(&address)
    }

    /// Whether there is a session to send under.
    pub(crate) fn is_open(&self) -> bool {
        self.sessions.is_open()
    }

    /// What went to it and came from it.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            sent: self.talk.sent(),
            received: self.talk.received(),
            repeated: self.reliable.repeated(),
            challenged: self.challenges.sent(),
            answered: self.challenges.answered(),
        }
    }

    /// The application names it: where it is, how its NAT behaves, and a header that leads there.
    pub(crate) fn handle_application(
        &mut self,
        behaviour: Behaviour,
        contact: SocketAddr,
        header: Option<Ready>,
    ) {
        self.by_application = true;
        self.whereabouts.set(behaviour, contact);
        self.headers.set_profile(header.into_iter().collect());
    }

    /// Takes what the access server says of it.
    pub(crate) fn handle_word(&mut self, own: &mut Own, word: Word) {
        // A list without headers may only mean that the device is offline for the server; those at hand may still hold.
        if !word.headers.is_empty() {
            self.headers.set_profile(word.headers);
        }
        self.whereabouts.set_hidden(word.hidden);
        self.whereabouts.apply_profile(word.contacts, word.behaviour);
        self.seal_off(own);
        let before = self.is_online();
        let heard_since = self.heard_us().is_some_and(|heard_us| heard_us >= word.asked_us);
        let is_outdated = word.status == Status::Offline && (heard_since || word.is_ignorant);
        if !is_outdated {
            self.presence.apply_server(word.status, word.incarnation);
        }
        self.tell_presence(own, before);
    }

    /// Forgets every way that shows an address, if either side hides its own.
    pub(crate) fn seal_off(&mut self, own: &Own) {
        if self.is_sealed(own) {
            self.headers.keep_sealed();
            self.direct.clear();
            self.punch.end();
        }
    }

    /// An own contact is another than before: what was minted for the old one is worth nothing.
    pub(crate) fn handle_own_move(&mut self, now_us: u64) {
        self.headers.forget_received();
        self.direct.retry(now_us);
        self.direct.doubt(now_us);
        self.moved = true;
    }

    /// The own interfaces have other addresses: asks whether the direct path in use still works.
    pub(crate) fn handle_own_addresses(&mut self, now_us: u64) {
        self.direct.doubt(now_us);
    }

    /// Tells it, if it is online, that we are there: after the first login, later if it has not heard it, and after a
    /// move where we are now.
    pub(crate) fn greet(&mut self, own: &mut Own, first: bool, now_us: u64) {
        let moved = std::mem::take(&mut self.moved);
        if !self.is_online() {
            return;
        }
        // Who is silent may answer by another way, now that there is one.
        self.silence.hurry(now_us);
        if !self.is_open() {
            self.start_handshake(own, now_us);
        } else if first {
            self.notify(own, now_us);
        } else if moved {
            self.tell_contacts(own, now_us);
        }
    }

    /// Begins a conversation without a word.
    pub(crate) fn begin(&mut self, own: &mut Own, now_us: u64) {
        self.talk(own, now_us);
        if !self.is_open() {
            self.start_handshake(own, now_us);
        }
    }

    /// Ends all sessions with it.
    pub(crate) fn end(&mut self, own: &mut Own) {
        self.sessions.clear(own);
    }

    /// Seals a message and sends it; false when there is no session.
    pub(crate) fn seal(&mut self, own: &mut Own, way: Way, form: Form, plain: &[u8]) -> bool {
        if self.is_sealed(own) && !way.is_sealed() {
            return false;
        }
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
            self.challenges.push(token, target, size, now_us);
        }
    }

    /// Application bytes came or went: a conversation begins, unless one lives.
    pub(crate) fn talk(&mut self, own: &mut Own, now_us: u64) {
        if self.talk.touch(now_us) {
            // The profile may be older than the peer's login.
            own.wants_refresh |= self.headers.is_empty();
            self.reflected_search = Search::new(self.reflects_over_ipv6(own, now_us), now_us);
            self.direct.clear();
            self.punch.allow();
            self.start_punch(own, now_us);
        }
    }

    /// Seeks a direct path, where the behaviours let one be found.
    pub(crate) fn start_punch(&mut self, own: &Own, now_us: u64) {
        let (to_peer, from_peer) = nat::after_punch(own.behaviour(), self.behaviour());
        if self.is_sealed(own) {
            return;
        }
        let hopeful =
            to_peer == Route::Direct || from_peer == Route::Direct || self.whereabouts.shares_external(own);
        if hopeful && self.talk.is_alive(now_us) {
            self.punch.start(now_us);
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
        let pending = self.sessions.due_us();
        let always = pending.into_iter().chain(self.reliable.due_us(self.sessions.is_open()));
        let talking = self.talk.is_alive(now_us) && self.sessions.is_open();
        let in_talk = [
            self.silence.due_us(),
            Some(self.talk.consent_us()),
            Some(self.reflected_search.due_us())
                .filter(|_| !self.headers.is_empty() && !self.whereabouts.is_hidden()),
            self.punch.due_us(),
            self.direct.due_us(),
        ];
        always.chain(in_talk.into_iter().flatten().filter(|_| talking)).min()
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, own: &mut Own, now_us: u64) {
        self.retry_handshake(own, now_us);
        self.send_messages(own, now_us);
        if self.talk.is_alive(now_us) && self.sessions.is_open() {
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

    /// Nothing was heard since something was sent: asks, then doubts the path, the own contact, the profile, the
    /// session, in this order.
    fn check_silence(&mut self, own: &mut Own, now_us: u64) {
        let Some(Look { silent_us, is_early }) = self.silence.poll(now_us) else { return };
        if self.direct.chosen().is_some() {
            self.direct.doubt(now_us);
        } else if self.whereabouts.is_hidden() {
            // It answers no challenge. It says that it hears us while we send, and answers handshakes.
            if silent_us >= SILENCE_US && is_early {
                self.start_handshake(own, now_us);
            }
        } else if let Some(way) = self.way(own, now_us) {
            self.challenge(own, way, None, now_us);
        }
        // A reflector that died must be noticed in time to be replaced within three seconds.
        own.wants_probe |= silent_us >= SILENCE_US || self.direct.chosen().is_none();
        if silent_us >= SILENCE_US {
            self.direct.retry(now_us);
        }
        if silent_us >= LONG_SILENCE_US && is_early {
            own.wants_refresh = true;
            self.start_handshake(own, now_us);
        }
    }

    fn punch_on(&mut self, own: &mut Own, now_us: u64) {
        let Some(step) = self.punch.due(now_us) else { return };
        if step == 0 {
            self.add_named(own, now_us);
        }
        // Who has found a path has no need to tell, unless the peer has not heard where we are.
        if step > 1 && !self.direct.is_trying() {
            return self.punch.end();
        }
        if !self.punch.advance(step, now_us) {
            return;
        }
        let contacts = own.next_contacts(self.whereabouts.shares_external(own));
        if let Some(way) = self.way_at_rest(own, now_us) {
            self.say(own, way, &[Frame::Contacts(contacts)]);
        }
    }

    /// Makes what the peer named candidates: its contacts, and its host candidates where both share an external address.
    pub(crate) fn add_named(&mut self, own: &Own, now_us: u64) {
        if self.is_sealed(own) {
            return;
        }
        for address in self.whereabouts.candidates(own) {
            self.direct.add(address, Origin::Named, now_us);
        }
    }

    /// Tells the peer where we are now.
    pub(crate) fn tell_contacts(&mut self, own: &mut Own, now_us: u64) {
        if self.is_sealed(own) {
            // That we are there comes with the header; where we are is nobody's business.
            if let Some(way) = self.way_at_rest(own, now_us) {
                self.say(own, way, &[Frame::Consent]);
            }
            return;
        }
        let contacts = own.next_contacts(self.whereabouts.shares_external(own));
        if let Some(way) = self.way_at_rest(own, now_us) {
            self.say(own, way, &[Frame::Contacts(contacts)]);
        }
        self.punch.allow();
        self.start_punch(own, now_us);
    }

    fn search_on(&mut self, own: &mut Own, now_us: u64) {
        if self.whereabouts.is_hidden() {
            // It answers no probe of a size, so what every path carries is all that is known.
            return;
        }
        if let Some(ready) = self.ready(own, now_us)
            && let Some(size) = self.reflected_search.poll(now_us)
        {
            self.challenge(own, Way::Reflected(ready), Some(size), now_us);
        }
        if let Some((address, size)) = self.direct.poll_size(now_us) {
            self.challenge(own, Way::Direct(address), Some(size), now_us);
        }
    }

    /// Renews the peer's header, whatever path is in use.
    fn consent(&mut self, own: &mut Own, now_us: u64) {
        if now_us < self.talk.consent_us() {
            return;
        }
        let ready = self.ready(own, now_us);
        let left_us = ready
            .map_or(u64::MAX, |ready| (u64::from(ready.header.expires) * 1_000_000).saturating_sub(now_us));
        let pause_us = consent_pause_us(left_us);
        self.talk.put_off_consent(now_us + pause_us - own.jitter_us(pause_us / 10));
        if let Some(ready) = ready {
            self.say(own, Way::Reflected(ready), &[Frame::Consent]);
        }
    }
}

const SILENCE_US: u64 = 2_000_000;
const LONG_SILENCE_US: u64 = 4_000_000;
