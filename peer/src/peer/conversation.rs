//! What is said under a session: application bytes, reliable messages, challenges and their answers.
//!
//! * The header of a message is taken over only from an address that the peer named or that answered a challenge, or
//!   sealed, when there is no address to be seen.
//! * The source of a direct message becomes a candidate, never a path: it must first answer a challenge.
//! * A challenge is answered where it came from and, while no direct path of our own is proven, through the reflector
//!   too: pairs that are open one way only learn of it so.

use crate::event::Event;
use crate::message::frame::{self, Frame, Token};
use crate::message::notice::Carrier;
use crate::message::packet::{Form, Index, Sealed};
use crate::own::Own;
use crate::paths::challenge::{Challenge, Target};
use crate::paths::direct::CONSENT_US;
use crate::paths::way::{Arrival, Way};
use crate::peer::Peer;

impl Peer {
    /// Sends a datagram of the application, or keeps it until a session is there; false if too many wait.
    pub(crate) fn send(&mut self, own: &mut Own, bytes: &[u8], now_us: u64) -> bool {
        self.talk(own, now_us);
        self.talk.note_sent();
        if self.sessions.is_open() {
            self.silence.await_answer(now_us);
            if let Some(way) = self.way(own, now_us) {
                self.seal(own, way, Form::Datagram, bytes);
            }
            if self.sessions.current().is_some_and(|session| session.is_due(now_us)) {
                self.start_handshake(own, now_us);
            }
            return true;
        }
        self.start_handshake(own, now_us);
        self.sessions.queue(bytes.to_vec())
    }

    /// Takes a reliable message to send; its ticket, or nothing when too many wait.
    pub(crate) fn send_message(&mut self, own: &mut Own, bytes: &[u8], now_us: u64) -> Option<u64> {
        self.talk(own, now_us);
        let ticket = self.reliable.push(bytes.to_vec(), now_us)?;
        if !self.sessions.is_open() {
            self.start_handshake(own, now_us);
        }
        self.send_messages(own, now_us);
        Some(ticket)
    }

    /// Sends the reliable messages that are due; what is repeated goes every way there is.
    pub(crate) fn send_messages(&mut self, own: &mut Own, now_us: u64) {
        let peer = self.identity.id;
        for ticket in self.reliable.give_up(now_us) {
            own.events.push_back(Event::Delivery { peer, ticket, arrived: false });
        }
        if !self.sessions.is_open() {
            return;
        }
        for due in self.reliable.poll(now_us) {
            self.silence.await_answer(now_us);
            let way = self.way(own, now_us);
            let reflected =
                self.ready(own, now_us).map(Way::Reflected).filter(|other| due.again && way != Some(*other));
            for way in way.into_iter().chain(reflected) {
                let frame = Frame::Message { number: due.number, oldest: due.oldest, bytes: &due.bytes };
                self.say(own, way, &[frame]);
            }
        }
    }

    /// Takes a sealed message.
    pub(crate) fn handle_sealed(
        &mut self,
        own: &mut Own,
        arrival: Arrival,
        index: Index,
        sealed: Sealed<'_>,
        now_us: u64,
    ) {
        let Some(session) = self.sessions.find(index) else { return };
        let Some(plain) = session.open(sealed) else { return };
        self.confirm(own, index, arrival, now_us);
        self.note_heard(own, arrival, now_us);
        let before = self.is_online();
        self.presence.heard();
        self.tell_presence(own, before);
        match sealed.form {
            Form::Datagram => {
                self.talk(own, now_us);
                self.talk.note_received();
                self.doubt_direct(arrival, now_us);
                if own.hides
                    && self.talk.may_answer(now_us)
                    && let Some(way) = self.way(own, now_us)
                {
                    self.say(own, way, &[Frame::Consent]);
                }
                own.events.push_back(Event::Datagram { peer: self.identity.id, bytes: plain });
            }
            Form::Control => {
                for frame in frame::read_all(&plain) {
                    self.handle_frame(own, arrival, frame, now_us);
                }
                self.acknowledge(own, now_us);
            }
        }
        self.tell_path(own, now_us);
    }

    fn handle_frame(&mut self, own: &mut Own, arrival: Arrival, frame: Frame<'_>, now_us: u64) {
        let peer = self.identity.id;
        match frame {
            Frame::Notice(notice) => self.learn_notice(own, notice, Carrier::Session),
            Frame::Challenge(token) => self.handle_challenge(own, arrival, token, now_us),
            Frame::Answer(token) => self.handle_answer(own, arrival, token, now_us),
            Frame::Contacts(contacts) => {
                self.doubt_direct(arrival, now_us);
                let is_new = self.whereabouts.learn(self.presence.incarnation(), contacts);
                if is_new && self.talk.is_alive(now_us) {
                    self.add_named(own, now_us);
                    self.direct.retry(now_us);
                    self.start_punch(own, now_us);
                }
            }
            Frame::Message { number, oldest, bytes } => {
                self.talk(own, now_us);
                self.doubt_direct(arrival, now_us);
                for bytes in self.reliable.handle_message(number, oldest, bytes) {
                    own.events.push_back(Event::Message { peer, bytes });
                }
            }
            Frame::Received { next } => {
                for ticket in self.reliable.handle_received(next) {
                    own.events.push_back(Event::Delivery { peer, ticket, arrived: true });
                }
            }
            Frame::Consent | Frame::Life(_) => {}
        }
    }

    fn acknowledge(&mut self, own: &mut Own, now_us: u64) {
        if let Some(next) = self.reliable.poll_received()
            && let Some(way) = self.way(own, now_us)
        {
            self.say(own, way, &[Frame::Received { next }]);
        }
    }

    fn handle_challenge(&mut self, own: &mut Own, arrival: Arrival, token: Token, now_us: u64) {
        if own.hides {
            return;
        }
        self.say(own, arrival.back(), &[Frame::Answer(token)]);
        if matches!(arrival, Arrival::Direct(_)) && self.direct.chosen().is_none() {
            if let Some(ready) = self.ready(own, now_us) {
                self.say(own, Way::Reflected(ready), &[Frame::Answer(token)]);
            }
        } else {
            self.doubt_direct(arrival, now_us);
        }
    }

    fn handle_answer(&mut self, own: &mut Own, arrival: Arrival, token: Token, now_us: u64) {
        let Some(Challenge { to: Target::Direct(address), .. }) = self.challenges.find(token) else {
            if let Some(challenge) = self.challenges.take(token, now_us) {
                self.handle_reflected_answer(arrival, challenge, now_us);
            }
            return;
        };
        // The answer proves that what is sent there arrives, whatever way it comes back. An address that the peer did
        // not name must answer itself all the same, if the peer's NAT lets it: one more thing for a forger to forge.
        let is_named = self.direct.is_named(address);
        if !is_named && self.behaviour().has_one_address() && arrival != Arrival::Direct(address) {
            return;
        }
        let Some(challenge) = self.challenges.take(token, now_us) else { return };
        let rtt_us = now_us.saturating_sub(challenge.sent_us);
        self.learn_rtt(rtt_us);
        if self.direct.chosen().is_none_or(|chosen| chosen == address) {
            self.silence.end();
        }
        let consent_us = CONSENT_US * 4 / 5 + own.jitter_us(CONSENT_US * 2 / 5);
        self.direct.handle_answer(address, rtt_us, consent_us, now_us);
        if let Some(size) = challenge.size {
            self.direct.handle_size(address, size, now_us);
        }
    }

    fn handle_reflected_answer(&mut self, arrival: Arrival, challenge: Challenge, now_us: u64) {
        self.learn_rtt(now_us.saturating_sub(challenge.sent_us));
        if let Some(size) = challenge.size {
            self.reflected_search.handle_answer(size, now_us);
        }
        if let (Target::Reflected { via, peer }, Arrival::Reflected { via: from, header }) =
            (challenge.to, arrival)
            && (via, Some(peer)) == (from, arrival.shown())
        {
            self.whereabouts.prove(peer);
            self.headers.receive(via, header, now_us);
        }
    }

    fn learn_rtt(&mut self, rtt_us: u64) {
        self.reliable.set_rtt(rtt_us);
    }

    /// An authenticated, fresh message came.
    pub(crate) fn note_heard(&mut self, own: &mut Own, arrival: Arrival, now_us: u64) {
        own.heard_us = now_us;
        self.silence.hear(now_us);
        // What comes through the reflector says nothing of a direct path.
        if self.direct.chosen().is_none() || matches!(arrival, Arrival::Direct(_)) {
            self.silence.end();
        }
        if let Arrival::Direct(source) = arrival
            && self.talk.is_alive(now_us)
            && !self.is_sealed(own)
        {
            self.direct.hear(source, now_us);
        }
        if !self.note_header(own, arrival, now_us) && self.challenges.may_doubt(now_us) {
            self.challenge(own, arrival.back(), None, now_us);
        }
    }

    /// Takes over the header of a message; false if its address must first answer a challenge.
    pub(crate) fn note_header(&mut self, own: &mut Own, arrival: Arrival, now_us: u64) -> bool {
        let Arrival::Reflected { via, header } = arrival else { return true };
        own.data_from = Some(via);
        let Some(address) = arrival.shown() else {
            // A seal hides what could be compared; who leads us astray with it does so until the profile's is used again.
            self.headers.receive(via, header, now_us);
            return true;
        };
        if self.is_sealed(own) {
            return true;
        }
        let known = self.whereabouts.knows(address);
        if known {
            self.headers.receive(via, header, now_us);
        }
        known
    }

    /// The peer uses the reflector though we use a direct path: perhaps it does not hear us there.
    fn doubt_direct(&mut self, arrival: Arrival, now_us: u64) {
        if matches!(arrival, Arrival::Reflected { .. }) {
            self.direct.doubt(now_us);
        }
    }
}
