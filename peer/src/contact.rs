//! The own contacts: PROBEs to up to three reflectors, and what is believed of the answers.
//!
//! * An OBSERVED is believed only from the reflector that was probed, and only if it echoes an outstanding nonce.
//! * Three PROBEs without answer: a new local port, unless something else shows that this one works; three more: the
//!   next reflector. Both together take less than three seconds.
//! * DATA through a reflector shows that it lives, though PROBEs go unanswered.

use crate::event::Event;
use crate::message::frame::Token;
use crate::own::Own;
use nat::{Behaviour, Filtering, Mapping};
use std::net::SocketAddr;
use wire::json::header::HeaderJson;
use wire::json::login::{ContactProof, MAX_CONTACTS, OfferedReflector};
use wire::json::name::ReflectorName;
use wire::{HEADER_LEN, Header, Kind, last_ticket};

/// All contacts of one endpoint.
#[derive(Debug)]
pub(crate) struct Contacts {
    offered: Vec<OfferedReflector>,
    held: Vec<Contact>,
    /// Reflectors that did not answer, and until when they are left alone.
    failed: Vec<(SocketAddr, u64)>,
    keepalive_us: u64,
    /// Which families the driver has sockets for.
    families: Families,
    /// A new port was asked for and nothing has answered since.
    rebinding: bool,
    last_all_us: Option<u64>,
}

/// The address families that can be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Families {
    /// IPv4.
    pub ipv4: bool,
    /// IPv6.
    pub ipv6: bool,
}

/// One reflector in use, and the own address there.
#[derive(Debug)]
pub(crate) struct Contact {
    pub(crate) reflector: ReflectorName,
    pub(crate) address: SocketAddr,
    pub(crate) observed: Option<SocketAddr>,
    ticket: Option<Header>,
    rtt_us: u64,
    outstanding: Vec<(Token, u64)>,
    tries: u32,
    /// Nothing answered when it should have; another reflector is wanted in its place.
    dead: bool,
    next_us: u64,
    answered_us: Option<u64>,
    /// When DATA last came through it.
    data_us: Option<u64>,
}

/// What is known of the own contact at one reflector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactReport {
    /// The reflector.
    pub reflector: ReflectorName,
    /// Where it is.
    pub address: SocketAddr,
    /// The own address, as it sees it.
    pub observed: Option<SocketAddr>,
    /// Whether it answers.
    pub lives: bool,
    /// Round trip.
    pub rtt_us: u64,
}

impl Contacts {
    /// No contacts yet.
    pub(crate) fn new(families: Families) -> Self {
        Self {
            offered: Vec::new(),
            held: Vec::new(),
            failed: Vec::new(),
            keepalive_us: KEEPALIVE_US,
            families,
            rebinding: false,
            last_all_us: None,
        }
    }

    /// Takes the list of reflectors, the preferred first; contacts that it no longer names go.
    pub(crate) fn set_reflectors(&mut self, offered: Vec<OfferedReflector>, own: &mut Own, now_us: u64) {
        if offered.is_empty() {
            return;
        }
        self.offered = offered;
        let offered = &self.offered;
        self.held.retain(|contact| {
            let mut named = offered.iter().filter(|it| it.name == contact.reflector);
            named.any(|it| it.addresses.contains(&contact.address))
        });
        self.fill(now_us);
        self.publish(own);
    }

    /// Seconds between keepalives, from the access server.
    pub(crate) fn set_keepalive(&mut self, keepalive_s: u32, now_us: u64) {
        self.keepalive_us = u64::from(keepalive_s.clamp(1, 120)) * 1_000_000;
        let latest_us = now_us + self.keepalive_us;
        self.held.iter_mut().for_each(|contact| contact.next_us = contact.next_us.min(latest_us));
    }

    /// Holds a contact at this reflector too, because a peer can be reached nowhere else.
    pub(crate) fn want(&mut self, name: &ReflectorName, own: &mut Own, now_us: u64) {
        let wanted = |contact: &Contact| contact.reflector == *name;
        let Some((name, address)) = self.candidates(now_us).find(|(it, _)| it == name) else { return };
        if self.held.iter().any(wanted) {
            return;
        }
        if self.held.len() >= MAX_CONTACTS {
            self.held.pop();
        }
        self.held.push(Contact::new(name, address, now_us));
        self.publish(own);
    }

    /// All contacts.
    pub(crate) fn held(&self) -> &[Contact] {
        &self.held
    }

    /// The reflector of this name, if it is in use.
    pub(crate) fn by_name(&self, name: &ReflectorName) -> Option<&Contact> {
        self.held.iter().find(|contact| contact.reflector == *name)
    }

    /// The offered reflectors.
    pub(crate) fn offered(&self) -> &[OfferedReflector] {
        &self.offered
    }

    /// The own NAT's behaviour, as far as two reflectors show it: mapping by comparison, filtering taken for the worst.
    pub(crate) fn guess(&self, hosts: &[SocketAddr]) -> Behaviour {
        let mut observed = self.held.iter().filter_map(|contact| contact.observed);
        let mapping = match (observed.next(), observed.next()) {
            (Some(one), _) if hosts.contains(&one) => Mapping::Eim,
            (Some(one), Some(two)) if one == two => Mapping::Eim,
            _ => Mapping::Apdm,
        };
        Behaviour::nat(mapping, Filtering::Apdf)
    }

    /// What to show the access server.
    pub(crate) fn proofs(&self) -> Vec<ContactProof> {
        let proof = |contact: &Contact| {
            Some(ContactProof {
                reflector: contact.reflector.clone(),
                ticket: HeaderJson::from(contact.ticket?),
                rtt_us: u32::try_from(contact.rtt_us).unwrap_or(u32::MAX),
            })
        };
        self.held.iter().filter(|contact| !contact.dead).filter_map(proof).collect()
    }

    /// When a login makes sense: all have answered, or one has and the others had the time to.
    pub(crate) fn settled_us(&self) -> Option<u64> {
        let first_us = self.held.iter().filter_map(|contact| contact.answered_us).min()?;
        let all = self.held.iter().all(|contact| contact.observed.is_some());
        Some(if all { first_us } else { first_us + SETTLE_US })
    }

    /// PROBEs every reflector now; at most once a second.
    pub(crate) fn probe_all(&mut self, now_us: u64) {
        if self.last_all_us.is_some_and(|last_us| now_us < last_us + ALL_PAUSE_US) {
            return;
        }
        self.last_all_us = Some(now_us);
        self.held.iter_mut().for_each(|contact| contact.next_us = now_us);
    }

    /// The local port is a new one: whatever was observed is over.
    pub(crate) fn handle_rebound(&mut self, own: &mut Own, now_us: u64) {
        for contact in &mut self.held {
            (contact.tries, contact.next_us) = (0, now_us);
            contact.outstanding.clear();
            contact.ticket = None;
        }
        self.publish(own);
    }

    /// DATA came from this address.
    pub(crate) fn note_data(&mut self, source: SocketAddr, now_us: u64) {
        if let Some(contact) = self.held.iter_mut().find(|contact| contact.address == source) {
            contact.data_us = Some(now_us);
        }
    }

    /// Takes an OBSERVED; true if the own address there is another than before.
    pub(crate) fn handle_observed(
        &mut self,
        source: SocketAddr,
        datagram: &[u8],
        own: &mut Own,
        now_us: u64,
    ) -> bool {
        let Some((header, nonce)) = datagram.split_first_chunk::<HEADER_LEN>() else { return false };
        let Some(contact) = self.held.iter_mut().find(|contact| contact.address == source) else {
            return false;
        };
        let Some(place) = contact.outstanding.iter().position(|(token, _)| token == nonce) else {
            return false;
        };
        let (_, sent_us) = contact.outstanding.swap_remove(place);
        let header = Header::read(header);
        if header.kind != Kind::Observed as u8 {
            return false;
        }
        let observed = header.peer.to_socket();
        contact.ticket = Some(header);
        contact.rtt_us = now_us.saturating_sub(sent_us);
        contact.answered_us = Some(now_us);
        (contact.tries, contact.dead) = (0, false);
        contact.next_us = now_us + self.keepalive_us - own.jitter_us(self.keepalive_us / 10);
        let changed = contact.observed.replace(observed) != Some(observed);
        self.rebinding = false;
        self.publish(own);
        if changed {
            own.events.push_back(Event::Contact { address: observed });
        }
        changed
    }

    /// When to call [`Contacts::handle_timeout`].
    pub(crate) fn due_us(&self) -> Option<u64> {
        self.held.iter().map(|contact| contact.next_us).min()
    }

    /// Sends what is due; replaces who does not answer.
    pub(crate) fn handle_timeout(&mut self, own: &mut Own, now_us: u64) {
        for place in 0..self.held.len() {
            let silent = match self.held.get(place) {
                Some(contact) if contact.next_us > now_us => continue,
                Some(contact) => contact.tries >= TRIES,
                None => continue,
            };
            if silent {
                self.handle_silence(place, own, now_us);
            } else if let Some(contact) = self.held.get_mut(place) {
                contact.probe(own, now_us);
            }
        }
        self.publish(own);
    }

    /// Three PROBEs went unanswered.
    fn handle_silence(&mut self, place: usize, own: &mut Own, now_us: u64) {
        let since_us = now_us.saturating_sub(u64::from(TRIES) * TRY_US + TRY_US);
        let recent = |at_us: Option<u64>| at_us.is_some_and(|at_us| at_us >= since_us);
        let port_works = own.heard_us >= since_us && own.heard_us > 0
            || self.held.iter().any(|contact| recent(contact.answered_us) || recent(contact.data_us));
        let (keepalive_us, rebinding) = (self.keepalive_us, self.rebinding);
        let Some(contact) = self.held.get_mut(place) else { return };
        if recent(contact.data_us) {
            (contact.tries, contact.next_us) = (0, now_us + keepalive_us.min(DATA_PAUSE_US));
            return;
        }
        if !port_works && !rebinding {
            self.rebinding = true;
            // Until the driver has the new port, nothing is worth sending; it may also never come.
            self.held
                .iter_mut()
                .for_each(|contact| (contact.tries, contact.next_us) = (0, now_us + TRY_US / 4));
            own.events.push_back(Event::Rebind);
            return;
        }
        let address = contact.address;
        // Headers that lead through others are with the access server.
        own.wants_refresh |= !contact.dead;
        (contact.dead, contact.tries) = (true, 1);
        contact.next_us = now_us + keepalive_us.min(FAILED_PAUSE_US);
        self.failed.retain(|(failed, until_us)| *failed != address && *until_us > now_us);
        self.failed.push((address, now_us + FAILED_US));
        let held: Vec<&ReflectorName> = self.held.iter().map(|contact| &contact.reflector).collect();
        let next = self.candidates(now_us).find(|(name, _)| !held.contains(&name));
        if let (Some((name, address)), Some(contact)) = (next, self.held.get_mut(place)) {
            *contact = Contact::new(name, address, now_us);
            contact.probe(own, now_us);
        }
    }

    /// Reflectors that could be used, in the order offered.
    fn candidates(&self, now_us: u64) -> impl Iterator<Item = (ReflectorName, SocketAddr)> {
        let usable = move |address: &SocketAddr| {
            let family = if address.is_ipv4() { self.families.ipv4 } else { self.families.ipv6 };
            family && !self.failed.iter().any(|(failed, until_us)| failed == address && *until_us > now_us)
        };
        self.offered.iter().filter_map(move |it| {
            it.addresses.iter().copied().find(usable).map(|address| (it.name.clone(), address))
        })
    }

    fn fill(&mut self, now_us: u64) {
        let room = MAX_CONTACTS.saturating_sub(self.held.len());
        let new: Vec<Contact> = self
            .candidates(now_us)
            .filter(|(name, _)| self.by_name(name).is_none())
            .take(room)
            .map(|(name, address)| Contact::new(name, address, now_us))
            .collect();
        self.held.extend(new);
    }

    fn publish(&self, own: &mut Own) {
        own.reflectors = self.held.iter().map(|contact| (contact.address, contact.lives())).collect();
        own.reflexive.clear();
        for observed in self.held.iter().filter_map(|contact| contact.observed) {
            if !own.reflexive.contains(&observed) {
                own.reflexive.push(observed);
            }
        }
    }
}

impl Contact {
    fn new(reflector: ReflectorName, address: SocketAddr, now_us: u64) -> Self {
        Self {
            reflector,
            address,
            observed: None,
            ticket: None,
            rtt_us: 0,
            outstanding: Vec::new(),
            tries: 0,
            dead: false,
            next_us: now_us,
            answered_us: None,
            data_us: None,
        }
    }

    /// Whether it answered what it was last asked, or is still being asked.
    pub(crate) fn lives(&self) -> bool {
        self.observed.is_some() && !self.dead
    }

    /// What is known of it.
    pub(crate) fn report(&self) -> ContactReport {
        ContactReport {
            reflector: self.reflector.clone(),
            address: self.address,
            observed: self.observed,
            lives: self.lives(),
            rtt_us: self.rtt_us,
        }
    }

    fn probe(&mut self, own: &mut Own, now_us: u64) {
        let nonce = own.token();
        self.outstanding.retain(|(_, sent_us)| sent_us + NONCE_LIFE_US > now_us);
        if self.outstanding.len() >= MAX_OUTSTANDING {
            self.outstanding.remove(0);
        }
        self.outstanding.push((nonce, now_us));
        self.tries += 1;
        self.next_us = now_us + TRY_US;
        // Who shows its last ticket is known from its neighbours.
        let mut bytes = last_ticket::probe(self.ticket.as_ref()).to_bytes().to_vec();
        bytes.extend(nonce);
        own.transmit(self.address, bytes);
    }
}

/// Between PROBEs when nothing is said (RFC 8445 section 11 asks for 15 s).
const KEEPALIVE_US: u64 = 15_000_000;
/// PROBEs before something is done.
const TRIES: u32 = 3;
/// Between PROBEs that are not answered: twice three of them leave time within three seconds.
const TRY_US: u64 = 400_000;
/// So long after the first answer the others are waited for: they were asked at the same time.
const SETTLE_US: u64 = 100_000;
/// Between PROBEs to a reflector that relays but does not observe.
const DATA_PAUSE_US: u64 = 5_000_000;
/// Between PROBEs to a reflector that does not answer, when there is no other.
const FAILED_PAUSE_US: u64 = 5_000_000;
/// A reflector that did not answer is left alone for so long.
const FAILED_US: u64 = 60_000_000;
const ALL_PAUSE_US: u64 = 1_000_000;
const NONCE_LIFE_US: u64 = 5_000_000;
const MAX_OUTSTANDING: usize = 8;
