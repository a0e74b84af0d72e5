//! What all parts of a core share: the own identity, contacts, randomness, and what waits to be taken out.
//!
//! * All randomness comes from the one seed, so two cores with the same seed and the same calls do the same.
//! * The first bytes of a header are written here and nowhere else in this crate.

use crate::event::{Event, PeerId, Transmit};
use crate::message::frame::{Contacts, Token};
use crate::message::notice::{Notice, Status};
use crate::message::packet::Index;
use crate::noise::{PublicKey, Secret, public_key};
use crate::paths::headers::Ready;
use nat::{Behaviour, Filtering, Mapping};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use wire::HEADER_LEN;

/// The own endpoint, as its peers' machines see it.
pub(crate) struct Own {
    pub(crate) secret: Secret,
    pub(crate) public: PublicKey,
    /// Random, this core's: what tells a restarted endpoint from the one before.
    pub(crate) life: u64,
    /// The access server's number of this login; 0 before the first.
    pub(crate) incarnation: u64,
    sequence: u64,
    pub(crate) status: Status,
    /// Whether the own address is hidden: then nothing goes to a peer but through a reflector, and sealed.
    pub(crate) hides: bool,
    behaviour: Option<Behaviour>,
    /// Host candidates.
    pub(crate) hosts: Vec<SocketAddr>,
    /// Reflexive transport addresses, one for each reflector that answered.
    pub(crate) reflexive: Vec<SocketAddr>,
    /// The reflectors in use, and whether each answers.
    pub(crate) reflectors: Vec<(SocketAddr, bool)>,
    /// Which peer each session belongs to.
    pub(crate) indexes: HashMap<Index, PeerId>,
    pub(crate) out: VecDeque<Transmit>,
    pub(crate) events: VecDeque<Event>,
    /// When anything authenticated was last heard.
    pub(crate) heard_us: u64,
    /// The reflector that the authenticated message under work came through.
    pub(crate) data_from: Option<SocketAddr>,
    /// A peer was silent for so long that the own mapping is in doubt.
    pub(crate) wants_probe: bool,
    /// A peer was silent for so long that the profile is in doubt.
    pub(crate) wants_refresh: bool,
    rng: ChaCha12Rng,
}

impl Own {
    /// An endpoint that knows nothing yet of its network.
    pub(crate) fn new(secret: Secret, seed: Secret, hosts: Vec<SocketAddr>) -> Self {
        let mut rng = ChaCha12Rng::from_seed(seed);
        Self {
            secret,
            public: public_key(&secret),
            life: rng.next_u64(),
            incarnation: 0,
            sequence: 0,
            status: Status::Online,
            hides: false,
            behaviour: None,
            hosts,
            reflexive: Vec::new(),
            reflectors: Vec::new(),
            indexes: HashMap::new(),
            out: VecDeque::new(),
            events: VecDeque::new(),
            heard_us: 0,
            data_from: None,
            wants_probe: false,
            wants_refresh: false,
            rng,
        }
    }

    /// The own NAT; until it is known, the one that needs most help.
    pub(crate) fn behaviour(&self) -> Behaviour {
        self.behaviour.unwrap_or(Behaviour::nat(Mapping::Apdm, Filtering::Apdf))
    }

    /// Whether the own NAT was found out.
    pub(crate) fn knows_behaviour(&self) -> bool {
        self.behaviour.is_some()
    }

    /// Takes what was found out about the own NAT; true if that is new.
    pub(crate) fn set_behaviour(&mut self, behaviour: Behaviour) -> bool {
        self.behaviour.replace(behaviour) != Some(behaviour)
    }

    /// Takes the number of a login; notices count from one again when it is higher.
    pub(crate) fn set_incarnation(&mut self, incarnation: u64) {
        if incarnation > self.incarnation {
            (self.incarnation, self.sequence) = (incarnation, 0);
        }
    }

    /// A notice of the own presence, higher than all before.
    pub(crate) fn next_notice(&mut self) -> Notice {
        self.sequence += 1;
        Notice { incarnation: self.incarnation, sequence: self.sequence, status: self.status }
    }

    /// Where we can be reached, newer than all said before; host candidates for whom they may help.
    pub(crate) fn next_contacts(&mut self, with_hosts: bool) -> Contacts {
        self.sequence += 1;
        Contacts {
            sequence: self.sequence,
            behaviour: self.behaviour(),
            reflexive: self.reflexive.clone(),
            hosts: if with_hosts { self.hosts.clone() } else { Vec::new() },
        }
    }

    /// Whether this is the transport address of a reflector in use.
    pub(crate) fn is_reflector(&self, address: SocketAddr) -> bool {
        self.reflectors.iter().any(|(reflector, _)| *reflector == address)
    }

    /// Whether the reflector at this address is in use and answers.
    pub(crate) fn reflector_lives(&self, address: SocketAddr) -> bool {
        self.reflectors.iter().any(|(reflector, lives)| *reflector == address && *lives)
    }

    /// Whether an address lies behind the same external address as we do.
    pub(crate) fn shares_external(&self, contact: SocketAddr) -> bool {
        self.reflexive.iter().any(|own| own.ip() == contact.ip())
    }

    /// An index for a session of this peer that no other session has.
    pub(crate) fn new_index(&mut self, peer: PeerId) -> Index {
        loop {
            let [a, b, c, ..] = self.rng.next_u64().to_be_bytes();
            let index = Index::read([a, b, c]);
            // 2^24 indexes and thousands of sessions: the first is nearly always free.
            if let std::collections::hash_map::Entry::Vacant(free) = self.indexes.entry(index) {
                free.insert(peer);
                return index;
            }
        }
    }

    /// Random bytes that nobody can guess.
    pub(crate) fn token(&mut self) -> Token {
        self.rng.next_u64().to_be_bytes()
    }

    /// A seed for one handshake.
    pub(crate) fn seed(&mut self) -> Secret {
        let mut seed = Secret::default();
        self.rng.fill_bytes(&mut seed);
        seed
    }

    /// A time from 0 to `max_us`, evenly spread.
    pub(crate) fn jitter_us(&mut self, max_us: u64) -> u64 {
        self.rng.next_u64() % max_us.saturating_add(1)
    }

    /// Sends bytes to an address.
    pub(crate) fn transmit(&mut self, destination: SocketAddr, bytes: Vec<u8>) {
        self.out.push_back(Transmit { destination, bytes });
    }

    /// Sends bytes whose first [`HEADER_LEN`] are free through a reflector.
    pub(crate) fn transmit_reflected(&mut self, ready: Ready, mut bytes: Vec<u8>) {
        if let Some(header) = bytes.first_chunk_mut::<HEADER_LEN>() {
            ready.header.write(header);
            self.transmit(ready.via, bytes);
        }
    }
}
