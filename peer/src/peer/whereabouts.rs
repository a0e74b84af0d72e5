//! Where a peer is: what it and its profile named, what has answered, and how its NAT behaves.
//!
//! * CONTACTS count only if they are newer than the last; a profile only if it says something new.
//! * An address at a reflector that nobody named is known once it has answered.

use crate::message::frame::Contacts;
use crate::own::Own;
use nat::{Behaviour, Filtering, Mapping};
use std::net::SocketAddr;
use wire::TransportAddress;

/// Where one peer is.
pub(crate) struct Whereabouts {
    behaviour: Behaviour,
    /// Whether it hides where it is.
    hidden: bool,
    /// Its reflexive addresses as it or its profile last named them.
    named: Vec<SocketAddr>,
    /// What the last profile said, to see when it says something new.
    profiled: Vec<SocketAddr>,
    /// Incarnation and sequence of the last CONTACTS.
    number: (u64, u64),
    /// Its host candidates.
    hosts: Vec<SocketAddr>,
    /// Addresses at reflectors that have answered though nobody named them.
    proven: Vec<TransportAddress>,
    /// The address with which a handshake was done directly, both ways.
    met_at: Option<SocketAddr>,
}

impl Default for Whereabouts {
    /// Nothing is known; the NAT is taken for the one that needs most help.
    fn default() -> Self {
        Self {
            behaviour: Behaviour::nat(Mapping::Apdm, Filtering::Apdf),
            hidden: false,
            named: Vec::new(),
            profiled: Vec::new(),
            number: (0, 0),
            hosts: Vec::new(),
            proven: Vec::new(),
            met_at: None,
        }
    }
}

impl Whereabouts {
    /// How its NAT behaves.
    pub(crate) fn behaviour(&self) -> Behaviour {
        self.behaviour
    }

    /// Whether it hides where it is.
    pub(crate) fn is_hidden(&self) -> bool {
        self.hidden
    }

    /// Follows the profile. When a peer begins to hide, everything known about its addresses is void.
    pub(crate) fn set_hidden(&mut self, hidden: bool) {
        if hidden && !self.hidden {
            *self = Self { number: self.number, ..Self::default() };
        }
        self.hidden = hidden;
    }

    /// Its reflexive addresses, as last named.
    pub(crate) fn named(&self) -> &[SocketAddr] {
        &self.named
    }

    /// The address with which a handshake was done directly, both ways.
    pub(crate) fn met_at(&self) -> Option<SocketAddr> {
        self.met_at
    }

    /// Whether both are behind one external address.
    pub(crate) fn shares_external(&self, own: &Own) -> bool {
        self.named.iter().any(|contact| own.shares_external(*contact))
    }

    /// Whether an address at a reflector is what the peer named, or has answered.
    pub(crate) fn knows(&self, address: TransportAddress) -> bool {
        self.named.contains(&address.to_socket()) || self.proven.contains(&address)
    }

    /// Whether an address at a reflector is neither what the peer named last nor has answered since.
    pub(crate) fn has_left(&self, address: TransportAddress) -> bool {
        !self.named.is_empty() && !self.knows(address)
    }

    /// Addresses to try directly: contacts, and host candidates where both share an external address.
    pub(crate) fn candidates(&self, own: &Own) -> impl Iterator<Item = SocketAddr> {
        let hosts = if self.shares_external(own) { self.hosts.as_slice() } else { &[] };
        self.named.iter().chain(&self.met_at).chain(hosts).copied()
    }

    /// The application says where the peer is.
    pub(crate) fn set(&mut self, behaviour: Behaviour, contact: SocketAddr) {
        (self.behaviour, self.named) = (behaviour, vec![contact]);
    }

    /// A profile says where the peer is; it counts if it says something new.
    pub(crate) fn apply_profile(&mut self, contacts: Vec<SocketAddr>, behaviour: Option<Behaviour>) {
        if contacts.is_empty() || contacts == self.profiled {
            return;
        }
        self.profiled.clone_from(&contacts);
        self.named = contacts;
        self.behaviour = behaviour.unwrap_or(self.behaviour);
    }

    /// Takes what the peer says of where it is; true if that is newer than what it said before.
    pub(crate) fn learn(&mut self, incarnation: u64, contacts: Contacts) -> bool {
        let number = (incarnation, contacts.sequence);
        if self.hidden || number <= self.number {
            return false;
        }
        self.number = number;
        self.behaviour = contacts.behaviour;
        if !contacts.reflexive.is_empty() && contacts.reflexive != self.named {
            self.named = contacts.reflexive;
            // It answered there before it moved.
            self.proven.clear();
        }
        if !contacts.hosts.is_empty() {
            self.hosts = contacts.hosts;
        }
        true
    }

    /// An address at a reflector has answered.
    pub(crate) fn prove(&mut self, address: TransportAddress) {
        if !self.proven.contains(&address) {
            if self.proven.len() >= PROVEN {
                self.proven.remove(0);
            }
            self.proven.push(address);
        }
    }

    /// A handshake with this address was done directly, both ways.
    pub(crate) fn meet(&mut self, address: SocketAddr) {
        self.met_at = Some(address).filter(|_| !self.hidden);
    }

    /// The peer has restarted: where it was met, it need not be any more.
    pub(crate) fn forget_meeting(&mut self) {
        self.met_at = None;
    }
}

/// Addresses remembered as proven.
const PROVEN: usize = 4;
