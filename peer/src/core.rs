//! The endpoint without input and output: datagrams, answers and time go in; datagrams, requests and events come out.
//!
//! * No clock, no socket, no HTTP, no thread: `now_us` is unix time in microseconds that never goes back, all randomness
//!   comes from one seed.
//! * What does not authenticate as a current buddy changes nothing and is answered with nothing.
//! * A core that hides its address drops what comes directly or under a header that is not sealed, and sends neither.
//! * Memory is bounded by the number of peers; nothing is kept for strangers.
//!
//! After every call take out what there is: `poll_transmit` until it is empty, `poll_event` until it is empty, and call
//! `handle_timeout` at `poll_timeout`.

mod roster;

use crate::contact::{Contact, ContactReport, Contacts, Families};
use crate::event::{Event, Path, PeerId, Request, Transmit};
use crate::lease::{Lease, Question};
use crate::message::notice::Status;
use crate::message::packet::Packet;
use crate::noise::{Opened, PublicKey, Secret};
use crate::own::Own;
use crate::paths::way::Arrival;
use crate::peer::report::PeerReport;
use crate::peer::sessions::Identity;
use crate::peer::{Counts, Peer};
use nat::Behaviour;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use wire::json::login::{OfferedReflector, RefreshRequest};
use wire::json::nat::NatJson;
use wire::json::profile::Profile;
use wire::{HEADER_LEN, Header, Kind, TransportAddress};

/// One endpoint.
pub struct Core {
    own: Own,
    contacts: Contacts,
    lease: Lease,
    peers: BTreeMap<PeerId, Peer>,
    by_key: HashMap<PublicKey, PeerId>,
    profile: Option<Profile>,
    next_peer: u32,
    /// First messages of handshakes that may still be opened in this second.
    handshakes: (u64, u32),
    /// When somebody who is not in the profile last made us look whether it is out of date.
    looked_us: Option<u64>,
    /// Whether the access server is asked at all.
    has_account: bool,
}

/// What a core begins with.
#[derive(Clone)]
pub struct Settings {
    /// The device's X25519 key.
    pub noise_secret: Secret,
    /// All randomness of this core; never the same twice.
    pub seed: Secret,
    /// Reflectors, the preferred first.
    pub reflectors: Vec<OfferedReflector>,
    /// The own NAT, if it is known; until it is, nobody logs in.
    pub behaviour: Option<Behaviour>,
    /// Transport addresses of the own interfaces: host candidates.
    pub hosts: Vec<SocketAddr>,
    /// Which families can be sent to.
    pub families: Families,
    /// Whether there is an access server to log in at.
    pub has_account: bool,
    /// For an endpoint without access server: unix microseconds at start. Else 0.
    pub incarnation: u64,
}

impl Core {
    /// A core that has sent nothing yet.
    #[must_use]
    pub fn new(settings: Settings, now_us: u64) -> Self {
        let mut own = Own::new(settings.noise_secret, settings.seed, settings.hosts);
        own.set_incarnation(settings.incarnation);
        if let Some(behaviour) = settings.behaviour {
            own.set_behaviour(behaviour);
        }
        let mut contacts = Contacts::new(settings.families);
        contacts.set_reflectors(settings.reflectors, &mut own, now_us);
        let mut core = Self {
            own,
            contacts,
            lease: Lease::default(),
            peers: BTreeMap::new(),
            by_key: HashMap::new(),
            profile: None,
            next_peer: 0,
            handshakes: (0, 0),
            looked_us: None,
            has_account: settings.has_account,
        };
        core.handle_timeout(now_us);
        core
    }

    /// The own X25519 public key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.own.public
    }

    /// Takes a datagram from the network.
    pub fn handle_datagram(&mut self, source: SocketAddr, datagram: &[u8], now_us: u64) {
        match datagram.first() {
            Some(kind) if *kind == Kind::Observed as u8 => self.handle_observed(source, datagram, now_us),
            Some(kind) if *kind == Kind::Data as u8 && !self.own.hides => {
                self.handle_data(source, datagram, now_us);
            }
            Some(kind) if *kind == Kind::SealedData as u8 => self.handle_data(source, datagram, now_us),
            Some(kind) if *kind == Kind::Peer as u8 && !self.own.hides => {
                self.handle_packet(Arrival::Direct(source), datagram, now_us);
            }
            _ => {}
        }
        self.handle_timeout(now_us);
    }

    /// Sends a datagram to a peer, unreliably; it waits while a session is being agreed.
    ///
    /// # Errors
    /// No such peer, a datagram longer than [`Core::max_datagram_size`], or too many that wait.
    pub fn send(&mut self, peer: PeerId, bytes: &[u8], now_us: u64) -> Result<(), SendError> {
        let Self { own, peers, .. } = self;
        let it = peers.get_mut(&peer).ok_or(SendError::Unknown)?;
        let limit = it.max_datagram_size();
        if bytes.len() > limit {
            return Err(SendError::TooLarge { size: bytes.len(), limit });
        }
        let taken = it.send(own, bytes, now_us);
        it.handle_timeout(own, now_us);
        if taken { Ok(()) } else { Err(SendError::Full) }
    }

    /// Sends a message that is repeated until acknowledged; a number by which [`Event::Delivery`] names it.
    ///
    /// # Errors
    /// No such peer, more than [`MESSAGE_MAX`] bytes, or too many that wait.
    pub fn send_message(&mut self, peer: PeerId, bytes: &[u8], now_us: u64) -> Result<u64, SendError> {
        let Self { own, peers, .. } = self;
        let it = peers.get_mut(&peer).ok_or(SendError::Unknown)?;
        if bytes.len() > MESSAGE_MAX {
            return Err(SendError::TooLarge { size: bytes.len(), limit: MESSAGE_MAX });
        }
        let ticket = it.send_message(own, bytes, now_us).ok_or(SendError::Full)?;
        it.handle_timeout(own, now_us);
        Ok(ticket)
    }

    /// Begins a conversation without a word: agrees on a session, seeks a direct path, searches for sizes.
    ///
    /// # Errors
    /// No such peer.
    pub fn begin(&mut self, peer: PeerId, now_us: u64) -> Result<(), SendError> {
        let Self { own, peers, .. } = self;
        let it = peers.get_mut(&peer).ok_or(SendError::Unknown)?;
        it.begin(own, now_us);
        it.handle_timeout(own, now_us);
        Ok(())
    }

    /// The reflectors that the access server offers, or that the core began with.
    #[must_use]
    pub fn reflectors(&self) -> &[OfferedReflector] {
        self.contacts.offered()
    }

    /// A datagram to be sent, in order.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.own.out.pop_front()
    }

    /// What happened, in order.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.own.events.pop_front()
    }

    /// When to call [`Core::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self, now_us: u64) -> Option<u64> {
        let peers = self.peers.values().filter_map(|peer| peer.due_us(now_us));
        let lease = self.lease.due_us().and_then(|due_us| Some(due_us.max(self.may_ask_us()?)));
        peers.chain(self.contacts.due_us()).chain(lease).min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now_us: u64) {
        let Self { own, peers, contacts, .. } = self;
        for peer in
            peers.values_mut().filter(|peer| peer.due_us(now_us).is_some_and(|due_us| due_us <= now_us))
        {
            peer.handle_timeout(own, now_us);
        }
        if let Some(reflector) = own.data_from.take() {
            contacts.note_data(reflector, now_us);
        }
        if std::mem::take(&mut own.wants_probe) {
            contacts.probe_all(now_us);
        }
        if contacts.due_us().is_some_and(|due_us| due_us <= now_us) {
            contacts.handle_timeout(own, now_us);
        }
        if std::mem::take(&mut own.wants_refresh) {
            self.lease.hurry(now_us);
        }
        self.ask(now_us);
    }

    /// The driver has a new local port, and these host candidates.
    pub fn handle_rebound(&mut self, hosts: Vec<SocketAddr>, now_us: u64) {
        self.own.hosts = hosts;
        self.contacts.handle_rebound(&mut self.own, now_us);
        self.handle_moved(now_us);
        self.handle_timeout(now_us);
    }

    /// The host's own addresses are others than before: PROBEs at once.
    pub fn handle_own_addresses(&mut self, hosts: Vec<SocketAddr>, now_us: u64) {
        if hosts != self.own.hosts {
            self.own.hosts = hosts;
            self.contacts.probe_all(now_us);
            self.peers.values_mut().for_each(|peer| peer.handle_own_addresses(now_us));
            self.handle_timeout(now_us);
        }
    }

    /// The own NAT behaves so.
    pub fn handle_behaviour(&mut self, behaviour: Behaviour, now_us: u64) {
        if self.own.set_behaviour(behaviour) {
            self.lease.hurry(now_us);
        }
        self.handle_timeout(now_us);
    }

    /// Asks the access server for a fresh profile, unless it is failing.
    pub fn refresh(&mut self, now_us: u64) {
        self.lease.hurry(now_us);
        self.handle_timeout(now_us);
    }

    /// Whether some reflector answered and none is about to.
    #[must_use]
    pub fn is_settled(&self, now_us: u64) -> bool {
        self.contacts.settled_us().is_some_and(|at_us| at_us <= now_us)
    }

    /// The own NAT's behaviour without STUN: mapping from two reflectors, filtering taken for the worst.
    #[must_use]
    pub fn guess_behaviour(&self) -> Behaviour {
        self.contacts.guess(&self.own.hosts)
    }

    /// Whether the own address is hidden from buddies, as the access server last said.
    #[must_use]
    pub fn hides(&self) -> bool {
        self.own.hides
    }

    /// The own NAT's behaviour as it is believed.
    #[must_use]
    pub fn behaviour(&self) -> Behaviour {
        self.own.behaviour()
    }

    /// Tells all buddies and the access server that we leave; take out what there is to send, then drop the core.
    pub fn leave(&mut self, now_us: u64) {
        let Self { own, peers, .. } = self;
        own.status = Status::Offline;
        for peer in peers.values_mut().filter(|peer| peer.is_online() || peer.is_open()) {
            peer.notify(own, now_us);
        }
        if self.lease.is_logged_in() {
            self.own.events.push_back(Event::Request(Request::Logout));
        }
        self.lease.leave();
    }

    /// The way of datagrams to a peer.
    #[must_use]
    pub fn path(&self, peer: PeerId, now_us: u64) -> Path {
        self.peers.get(&peer).map_or(Path::Unknown, |peer| peer.path(&self.own, now_us))
    }

    /// Bytes of the largest datagram that reaches a peer on every path in use; grows while sizes are searched.
    #[must_use]
    pub fn max_datagram_size(&self, peer: PeerId) -> Option<usize> {
        self.peers.get(&peer).map(Peer::max_datagram_size)
    }

    /// What is known of a peer.
    #[must_use]
    pub fn report(&self, peer: PeerId, now_us: u64) -> Option<PeerReport> {
        Some(self.peers.get(&peer)?.report(&self.own, now_us))
    }

    /// The own contacts.
    #[must_use]
    pub fn contacts(&self) -> Vec<ContactReport> {
        self.contacts.held().iter().map(Contact::report).collect()
    }

    /// The peer that holds this X25519 key.
    #[must_use]
    pub fn peer_by_key(&self, key: &PublicKey) -> Option<PeerId> {
        self.by_key.get(key).copied()
    }

    /// Whether the sizes of all ways in use are known, so that [`Core::max_datagram_size`] grows no more on them.
    #[must_use]
    pub fn knows_sizes(&self, peer: PeerId) -> bool {
        self.peers.get(&peer).is_some_and(Peer::knows_sizes)
    }

    /// What went to and came from a peer.
    #[must_use]
    pub fn counts(&self, peer: PeerId) -> Option<Counts> {
        self.peers.get(&peer).map(Peer::counts)
    }

    fn handle_observed(&mut self, source: SocketAddr, datagram: &[u8], now_us: u64) {
        if self.contacts.handle_observed(source, datagram, &mut self.own, now_us) {
            self.handle_moved(now_us);
        }
    }

    fn handle_data(&mut self, source: SocketAddr, datagram: &[u8], now_us: u64) {
        let Some((header, packet)) = datagram.split_first_chunk::<HEADER_LEN>() else { return };
        if self.own.is_reflector(source) {
            let arrival = Arrival::Reflected { via: source, header: Header::read(header) };
            self.handle_packet(arrival, packet, now_us);
        }
    }

    fn handle_packet(&mut self, arrival: Arrival, bytes: &[u8], now_us: u64) {
        let Some(packet) = Packet::parse(bytes) else { return };
        match packet {
            Packet::Init { sender, noise } => {
                if !self.may_open(arrival, now_us) {
                    return;
                }
                let seed = self.own.seed();
                let Some(opened) = Opened::read(&self.own.secret, noise, seed) else { return };
                let Some(id) = self.by_key.get(&opened.remote) else { return self.look_again(now_us) };
                if let Some(peer) = self.peers.get_mut(id) {
                    peer.handle_init(&mut self.own, arrival, sender, opened, now_us);
                }
            }
            Packet::Response { receiver, sender, noise } => {
                let Some(id) = self.own.indexes.get(&receiver) else { return };
                if let Some(peer) = self.peers.get_mut(id) {
                    peer.handle_response(&mut self.own, arrival, (receiver, sender), noise, now_us);
                }
            }
            Packet::Sealed { receiver, sealed } => {
                let Some(id) = self.own.indexes.get(&receiver) else { return };
                if let Some(peer) = self.peers.get_mut(id) {
                    peer.handle_sealed(&mut self.own, arrival, receiver, sealed, now_us);
                }
            }
        }
    }

    /// Whoever is in no profile gets no answer; but who knows our key may be a buddy on a device newer than the profile.
    fn look_again(&mut self, now_us: u64) {
        if self.looked_us.is_none_or(|at_us| now_us >= at_us + LOOK_PAUSE_US) {
            self.looked_us = Some(now_us);
            self.lease.hurry(now_us);
        }
    }

    /// Opening a first message costs two key agreements: strangers get a budget, known addresses do not need it.
    fn may_open(&mut self, arrival: Arrival, now_us: u64) -> bool {
        let source = match arrival {
            Arrival::Direct(source) => Some(source),
            Arrival::Reflected { .. } => arrival.shown().map(|address: TransportAddress| address.to_socket()),
        };
        let is_named = |source| self.peers.values().any(|peer| peer.is_named_at(source));
        if source.is_some_and(is_named) {
            return true;
        }
        let second = now_us / 1_000_000;
        if self.handshakes.0 != second {
            self.handshakes = (second, 0);
        }
        self.handshakes.1 += 1;
        self.handshakes.1 <= HANDSHAKES_PER_S
    }

    /// An own contact is another than before: what was minted for the old one is worth nothing.
    fn handle_moved(&mut self, now_us: u64) {
        self.peers.values_mut().for_each(|peer| peer.handle_own_move(now_us));
        self.lease.hurry(now_us);
    }

    /// From when on the access server may be asked; nothing while that is not known.
    fn may_ask_us(&self) -> Option<u64> {
        if !self.has_account || !self.own.knows_behaviour() {
            return None;
        }
        if self.lease.is_logged_in() { Some(0) } else { self.contacts.settled_us() }
    }

    fn ask(&mut self, now_us: u64) {
        if self.may_ask_us().is_none_or(|at_us| now_us < at_us) {
            return;
        }
        let Some(question) = self.lease.poll(now_us) else { return };
        let (nat, contacts) = (self.own.behaviour(), self.contacts.proofs());
        let request = match question {
            Question::Login => Request::Login { nat, contacts },
            Question::Refresh => Request::Refresh(RefreshRequest { contacts, nat: Some(NatJson(nat)) }),
        };
        self.own.events.push_back(Event::Request(request));
    }

    /// The peer of this key, made if it is new.
    fn peer_of(&mut self, key: PublicKey, now_us: u64) -> PeerId {
        if let Some(id) = self.by_key.get(&key) {
            return *id;
        }
        let id = PeerId(self.next_peer);
        self.next_peer += 1;
        self.by_key.insert(key, id);
        self.peers.insert(id, Peer::new(Identity { id, key }, now_us));
        id
    }

    /// Forgets a peer and its sessions.
    fn forget(&mut self, id: PeerId) {
        if let Some(mut peer) = self.peers.remove(&id) {
            peer.end(&mut self.own);
            self.by_key.remove(&peer.key());
        }
    }
}

/// Why a datagram was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No such peer.
    #[error("no such peer, or not a buddy any more; look into the profile")]
    Unknown,
    /// Too large for the path.
    #[error("{size} bytes are too many for the path, which carries {limit}; send less at once")]
    TooLarge {
        /// Its bytes.
        size: usize,
        /// Bytes that would go.
        limit: usize,
    },
    /// Too many wait.
    #[error("too much waits to be sent; wait until some of it has arrived")]
    Full,
}

/// Bytes of the longest reliable message: what every path carries.
pub const MESSAGE_MAX: usize = crate::paths::search::BASE
    - HEADER_LEN
    - crate::message::packet::OVERHEAD
    - crate::message::frame::HEAD
    - 8;
/// First messages of handshakes from unknown addresses that are opened in a second.
const HANDSHAKES_PER_S: u32 = 50;
/// Strangers make us ask the access server no more often than this.
const LOOK_PAUSE_US: u64 = 5_000_000;
