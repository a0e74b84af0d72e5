//! How a peer and we agree on a session: two messages of Noise IK, each carrying the sender's notice and contacts.
//!
//! * The first message goes the way that the grid says (`nat::route`), the answer too (`nat::answer`); what is repeated
//!   takes the other way as well.
//! * A first message counts only if its notice is higher than that of every first message before: a recorded one is
//!   answered with nothing.
//! * Nothing is sent under a session before the peer has shown that it holds it.

use super::sessions::Pending;

use crate::event::Event;
use crate::message::frame::{self, Contacts, Frame};
use crate::message::notice::{Carrier, Notice, Status};
use crate::message::packet::{Form, Index, init_head, response_head};
use crate::noise::{Cryptor, Initiation, Opened, Session};
use crate::own::Own;
use crate::paths::way::{Arrival, Way};
use crate::peer::Peer;
use nat::Route;
use wire::HEADER_LEN;

/// What a handshake message carries.
struct Greeting {
    notice: Notice,
    life: u64,
    contacts: Option<Contacts>,
}

impl Greeting {
    fn read(payload: &[u8]) -> Option<Self> {
        let (mut notice, mut life, mut contacts) = (None, None, None);
        for frame in frame::read_all(payload) {
            match frame {
                Frame::Notice(it) => notice = Some(it),
                Frame::Life(it) => life = Some(it),
                Frame::Contacts(it) => contacts = Some(it),
                _ => {}
            }
        }
        Some(Self { notice: notice?, life: life?, contacts })
    }

    /// Our own, as bytes; its notice is higher than all before. Where either side hides, it says nothing of where we are.
    fn of(own: &mut Own, is_sealed: bool) -> Vec<u8> {
        let mut payload = Vec::new();
        if !is_sealed {
            Frame::Contacts(own.next_contacts(false)).write(&mut payload);
        }
        Frame::Notice(own.next_notice()).write(&mut payload);
        Frame::Life(own.life).write(&mut payload);
        payload
    }
}

impl Peer {
    /// Starts a handshake, unless one is under way.
    pub(crate) fn start_handshake(&mut self, own: &mut Own, now_us: u64) {
        if !self.sessions.is_pending() {
            self.send_init(own, 0, now_us);
        }
    }

    /// Repeats a first message that was not answered, or gives up.
    pub(crate) fn retry_handshake(&mut self, own: &mut Own, now_us: u64) {
        let Some(tries) = self.sessions.tries_due(now_us) else { return };
        let wanted = self.reliable.is_waiting();
        if tries < INIT_TRIES || wanted {
            self.send_init(own, tries + 1, now_us);
        } else {
            self.sessions.set_pending(None, own);
            self.sessions.drop_queued();
        }
    }

    /// Tells the peer what we are: one datagram, under a session or as the first message of a handshake.
    pub(crate) fn notify(&mut self, own: &mut Own, now_us: u64) {
        let leaves = own.status == Status::Offline;
        // A peer that has restarted but not confirmed it yet cannot read what goes under the session before.
        if self.sessions.is_open() && !(leaves && self.sessions.is_changing()) {
            let notice = own.next_notice();
            if let Some(way) = self.way(own, now_us) {
                self.say(own, way, &[Frame::Notice(notice)]);
            }
        } else if leaves {
            // A farewell needs no answer, so no handshake is kept.
            self.send_init(own, 0, now_us);
            self.sessions.set_pending(None, own);
        } else {
            self.start_handshake(own, now_us);
        }
    }

    fn send_init(&mut self, own: &mut Own, tries: u32, now_us: u64) {
        let payload = Greeting::of(own, self.is_sealed(own));
        let seed = own.seed();
        let Some((initiation, noise)) = Initiation::start(&own.secret, &self.identity.key, &payload, seed)
        else {
            return;
        };
        let index = own.new_index(self.identity.id);
        let bytes = [&init_head(index)[..], &noise].concat();
        // A farewell must arrive at once: who has just written from there hears us there.
        let farewell = own.status == Status::Offline && self.sessions.is_changing();
        let answered = self.greetings.answered_to().filter(|_| farewell).map(Way::Direct);
        let way = answered.or_else(|| self.way_at_rest(own, now_us));
        let mut direct_to = None;
        let reflected = self.ready(own, now_us).map(Way::Reflected);
        // Where the answer cannot come back directly, the peer needs the header that only the reflector brings.
        let both = tries > 0 || nat::answer(own.behaviour(), self.behaviour()) == Route::Reflect;
        let ways = [way, reflected.filter(|other| both && way != Some(*other))];
        for way in ways.into_iter().flatten() {
            if let Way::Direct(address) = way {
                direct_to = Some(address);
            }
            self.emit(own, way, &bytes);
        }
        let next_us = now_us + (INIT_PAUSE_US << tries.min(4));
        self.sessions.set_pending(Some(Pending { initiation, index, direct_to, tries, next_us }), own);
    }

    /// Takes a first message of this peer, and answers it.
    pub(crate) fn handle_init(
        &mut self,
        own: &mut Own,
        arrival: Arrival,
        sender: Index,
        opened: Opened,
        now_us: u64,
    ) {
        let Some(greeting) = Greeting::read(&opened.payload) else { return };
        let number = (greeting.notice.incarnation, greeting.notice.sequence);
        if !self.greetings.is_new(number) {
            return;
        }
        own.heard_us = now_us;
        if let Some(contacts) = greeting.contacts {
            self.whereabouts.learn(number.0, contacts);
        }
        let repeated = self.greetings.is_repeated(now_us);
        self.learn_notice(own, greeting.notice, Carrier::Handshake);
        self.note_header(own, arrival, now_us);
        if greeting.notice.status == Status::Offline {
            return self.greetings.take(number);
        }
        // Without a header for the way that the grid says, a copy through the reflector will bring one.
        let Some(way) = self.answer_way(own, arrival, now_us) else { return };
        self.greetings.take(number);
        let payload = Greeting::of(own, self.is_sealed(own));
        let Some((cryptor, noise)) = opened.answer(&payload) else { return };
        let local = own.new_index(self.identity.id);
        let bytes = [&response_head(sender, local)[..], &noise].concat();
        self.sessions.insert(Session::new(cryptor, (local, sender), greeting.life, now_us), own);
        self.emit(own, way, &bytes);
        self.greetings.note_answer(way);
        if repeated && arrival.back() != way {
            self.emit(own, arrival.back(), &bytes);
        }
    }

    /// The way of an answer, as the grid says; nothing where it needs a header that is not there.
    fn answer_way(&self, own: &Own, arrival: Arrival, now_us: u64) -> Option<Way> {
        if self.is_sealed(own) {
            return Some(arrival.back()).filter(|way| way.is_sealed());
        }
        match arrival {
            Arrival::Direct(_) if nat::answer(self.behaviour(), own.behaviour()) == Route::Direct => {
                Some(arrival.back())
            }
            Arrival::Direct(_) => self.fresh(own, now_us).map(Way::Reflected),
            Arrival::Reflected { .. } => {
                let open = self.behaviour().admits_strangers() && !self.whereabouts.shares_external(own);
                let contact = self.whereabouts.named().first().filter(|_| open);
                Some(contact.map_or(arrival.back(), |contact| Way::Direct(*contact)))
            }
        }
    }

    /// Takes the answer to our first message.
    pub(crate) fn handle_response(
        &mut self,
        own: &mut Own,
        arrival: Arrival,
        indexes: (Index, Index),
        noise: &[u8],
        now_us: u64,
    ) {
        let (receiver, sender) = indexes;
        let Some(payload) = self.sessions.read_answer(receiver, noise) else { return };
        let Some(pending) = self.sessions.take_pending(receiver) else { return };
        let direct_to = pending.direct_to;
        let (Some(greeting), Some(cryptor)) = (Greeting::read(&payload), pending.initiation.finish()) else {
            own.indexes.remove(&receiver);
            return;
        };
        self.adopt(own, cryptor, (receiver, sender), greeting.life, now_us);
        if let Some(contacts) = greeting.contacts {
            self.whereabouts.learn(greeting.notice.incarnation, contacts);
        }
        self.learn_notice(own, greeting.notice, Carrier::Session);
        if let Some(address) = arrival.shown() {
            // It answers a fresh key that only the holder of the peer's key could read.
            self.whereabouts.prove(address);
        }
        self.note_heard(own, arrival, now_us);
        if let Arrival::Direct(source) = arrival
            && direct_to == Some(source)
        {
            self.whereabouts.meet(source);
        }
        self.open_up(own, now_us);
    }

    /// Sends a message of a handshake, unless it would show an address that is hidden.
    fn emit(&self, own: &mut Own, way: Way, bytes: &[u8]) {
        match way {
            _ if self.is_sealed(own) && !way.is_sealed() => {}
            Way::Direct(address) => own.transmit(address, bytes.to_vec()),
            Way::Reflected(ready) => own.transmit_reflected(ready, [&[0; HEADER_LEN], bytes].concat()),
        }
    }

    fn adopt(&mut self, own: &mut Own, cryptor: Cryptor, indexes: (Index, Index), life: u64, now_us: u64) {
        let mut session = Session::new(cryptor, indexes, life, now_us);
        session.confirm();
        self.sessions.insert(session, own);
        self.enter_life(life, now_us);
    }

    /// The peer lives so now; if it has restarted, the paths to what it was lead nowhere.
    fn enter_life(&mut self, life: u64, now_us: u64) {
        if self.reliable.set_life(life, now_us) {
            self.direct.clear();
            self.whereabouts.forget_meeting();
            self.punch.allow();
        }
    }

    /// A session is there: shows the peer that we hold it, and sends what waited for it.
    fn open_up(&mut self, own: &mut Own, now_us: u64) {
        let Some(way) = self.way(own, now_us) else { return };
        if !self.sessions.has_queued() {
            self.say(own, way, &[]);
        }
        self.flush(own, now_us);
        self.start_punch(own, now_us);
        self.send_messages(own, now_us);
    }

    /// Sends the datagrams that waited for a session.
    pub(crate) fn flush(&mut self, own: &mut Own, now_us: u64) {
        while let Some(bytes) = self.sessions.poll_queued() {
            let Some(way) = self.way(own, now_us) else { return };
            self.seal(own, way, Form::Datagram, &bytes);
        }
    }

    /// The peer has used a session that we answered: it is no recording.
    pub(crate) fn confirm(&mut self, own: &mut Own, index: Index, arrival: Arrival, now_us: u64) {
        let Some(session) = self.sessions.find(index).filter(|session| !session.is_confirmed()) else {
            return;
        };
        session.confirm();
        let life = session.life();
        self.enter_life(life, now_us);
        self.sessions.set_pending(None, own);
        match arrival {
            Arrival::Reflected { .. } => {
                arrival.shown().into_iter().for_each(|it| self.whereabouts.prove(it));
            }
            Arrival::Direct(source) if self.greetings.answered_to() == Some(source) => {
                self.whereabouts.meet(source);
            }
            Arrival::Direct(_) => {}
        }
        self.flush(own, now_us);
        self.start_punch(own, now_us);
    }

    /// Takes a notice, and tells the application what it changes.
    pub(crate) fn learn_notice(&mut self, own: &mut Own, notice: Notice, carrier: Carrier) {
        let before = self.is_online();
        self.presence.apply(notice, carrier);
        self.tell_presence(own, before);
    }

    /// Tells the application if the peer's presence is another than before.
    pub(crate) fn tell_presence(&self, own: &mut Own, before: bool) {
        let online = self.is_online();
        if online != before {
            own.events.push_back(Event::Presence { peer: self.identity.id, online });
        }
    }
}

/// First messages beyond the first.
const INIT_TRIES: u32 = 4;
const INIT_PAUSE_US: u64 = 300_000;
