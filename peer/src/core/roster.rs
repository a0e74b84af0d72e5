//! What the access server says, applied: who is a peer, where, and with which headers; and the own profile as it is now.
//!
//! * Only devices of agreed buddies are peers; who is no longer in the profile loses its sessions.
//! * What was heard of a device since the server was asked is newer than the server's answer; and a server that has just
//!   lost all sessions takes nobody offline until who is there had the time to log in again.
//! * The own profile is the server's with every notice applied, so it is right while no server answers.

use crate::core::Core;
use crate::event::{Event, PeerId};
use crate::message::notice::Status;
use crate::noise::PublicKey;
use crate::paths::headers::Ready;
use crate::peer::{Peer, Word};
use nat::Behaviour;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use wire::json::header::HeaderJson;
use wire::json::login::LoginAnswer;
use wire::json::name::{AccountName, DeviceId};
use wire::json::nat::NatJson;
use wire::json::profile::{BuddyDevice, BuddyState, Profile, Status as StatusJson};

impl Core {
    /// The access server answered a login or a refresh.
    pub fn handle_login(&mut self, answer: LoginAnswer, now_us: u64) {
        let first = !self.lease.is_logged_in();
        let asked_us = self.lease.asked_us().unwrap_or(now_us);
        self.own.set_incarnation(answer.incarnation);
        self.own.events.push_back(Event::LoggedIn);
        self.hide(answer.hide_address, first);
        self.contacts.set_keepalive(answer.keepalive_s, now_us);
        self.contacts.set_reflectors(answer.reflectors, &mut self.own, now_us);
        let lifetime_us = self.lifetime_us(&answer.profile, answer.lease_s, now_us);
        self.apply_profile(answer.profile, asked_us, now_us);
        self.lease.handle_success(lifetime_us, &mut self.own, now_us);
        self.greet(first, now_us);
        self.handle_timeout(now_us);
    }

    /// The access server knows the session no more: logs in again.
    pub fn handle_lost_session(&mut self, now_us: u64) {
        self.lease.handle_lost(&mut self.own, now_us);
        self.handle_timeout(now_us);
    }

    /// The access server did not answer, or refused: asks again later.
    pub fn handle_failure(&mut self, now_us: u64) {
        let times = self.lease.handle_failure(&mut self.own, now_us);
        self.own.events.push_back(Event::AccessFailed { times });
        // Contacts may be what it refused.
        self.contacts.probe_all(now_us);
        self.handle_timeout(now_us);
    }

    /// The profile as it is now, every notice applied; nothing before the first login.
    #[must_use]
    pub fn profile(&self) -> Option<Profile> {
        let mut profile = self.profile.clone()?;
        for device in profile.buddies.iter_mut().flat_map(|buddy| &mut buddy.devices) {
            let Some(peer) = self.peer_of_key(device).and_then(|id| self.peers.get(&id)) else { continue };
            device.status = if peer.is_online() { StatusJson::Online } else { StatusJson::Offline };
            device.nat = Some(NatJson(peer.behaviour())).filter(|_| !device.hidden);
            device.incarnation = Some(peer.incarnation());
        }
        Some(profile)
    }

    /// The peers of an account, those that are online first.
    #[must_use]
    pub fn peers_of(&self, account: &AccountName) -> Vec<PeerId> {
        let buddies = self.profile.iter().flat_map(|profile| &profile.buddies);
        let devices = buddies.filter(|buddy| buddy.account == *account).flat_map(|buddy| &buddy.devices);
        let mut peers: Vec<PeerId> = devices.filter_map(|device| self.peer_of_key(device)).collect();
        let rank = |id: &PeerId| {
            let peer = self.peers.get(id);
            let heard_us = peer.and_then(Peer::heard_us).unwrap_or(0);
            (!peer.is_some_and(Peer::is_online), std::cmp::Reverse(heard_us))
        };
        peers.sort_by_key(rank);
        peers
    }

    /// Whose device a peer is; nothing for a peer that the application named.
    #[must_use]
    pub fn buddy_of(&self, peer: PeerId) -> Option<(AccountName, DeviceId)> {
        let key = self.peers.get(&peer)?.key();
        let buddies = self.profile.iter().flat_map(|profile| &profile.buddies);
        let mut devices = buddies.flat_map(|buddy| buddy.devices.iter().map(move |device| (buddy, device)));
        devices
            .find(|(_, device)| device.noise_key.0.0 == key)
            .map(|(buddy, it)| (buddy.account.clone(), it.device))
    }

    /// Whether a peer is online, as far as is known.
    #[must_use]
    pub fn is_online(&self, peer: PeerId) -> bool {
        self.peers.get(&peer).is_some_and(Peer::is_online)
    }

    /// Makes a device a peer without access server: its key, where it is, how its NAT behaves, and the SEND header that a
    /// product's own server had minted (`POST /v1/capabilities`), with the transport address of its reflector.
    pub fn add_peer(
        &mut self,
        key: PublicKey,
        behaviour: Behaviour,
        contact: SocketAddr,
        header: Option<(SocketAddr, HeaderJson)>,
        now_us: u64,
    ) -> PeerId {
        let id = self.peer_of(key, now_us);
        if let Some(peer) = self.peers.get_mut(&id) {
            let ready = header.map(|(via, header)| Ready { via, header: header.header() });
            peer.handle_application(behaviour, contact, ready);
        }
        id
    }

    /// Follows what the server says about hiding our address. Beginning to hide leaves the ports that others have seen.
    fn hide(&mut self, hides: bool, first: bool) {
        let begins = hides && !self.own.hides;
        self.own.hides = hides;
        if begins {
            let Self { own, peers, .. } = self;
            peers.values_mut().for_each(|peer| peer.seal_off(own));
            if !first {
                own.events.push_back(Event::Rebind);
            }
        }
    }

    fn peer_of_key(&self, device: &BuddyDevice) -> Option<PeerId> {
        self.by_key.get(&device.noise_key.0.0).copied()
    }

    fn apply_profile(&mut self, profile: Profile, asked_us: u64, now_us: u64) {
        let own_key = self.own.public;
        let mut current = BTreeSet::new();
        for buddy in profile.buddies.iter().filter(|buddy| buddy.state == BuddyState::Agreed) {
            for device in buddy.devices.iter().filter(|device| device.noise_key.0.0 != own_key) {
                let id = self.peer_of(device.noise_key.0.0, now_us);
                current.insert(id);
                self.apply_device(id, device, asked_us, now_us);
                if let Some(name) = &device.probe {
                    self.contacts.want(name, &mut self.own, now_us);
                }
            }
        }
        let gone = self.peers.iter().filter(|(id, peer)| !peer.is_by_application() && !current.contains(id));
        let gone: Vec<PeerId> = gone.map(|(id, _)| *id).collect();
        gone.into_iter().for_each(|id| self.forget(id));
        self.profile = Some(profile);
    }

    fn apply_device(&mut self, id: PeerId, device: &BuddyDevice, asked_us: u64, now_us: u64) {
        let ready = device.contacts.iter().filter_map(|contact| {
            let via = self.contacts.by_name(&contact.reflector)?.address;
            Some(Ready { via, header: contact.header?.header() })
        });
        let word = Word {
            headers: ready.collect(),
            contacts: device.contacts.iter().filter_map(|contact| contact.address).collect(),
            hidden: device.hidden,
            behaviour: device.nat.map(|NatJson(behaviour)| behaviour),
            status: match device.status {
                StatusJson::Online => Status::Online,
                StatusJson::Offline => Status::Offline,
            },
            incarnation: device.incarnation,
            asked_us,
            is_ignorant: self.lease.is_server_ignorant(now_us),
        };
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.handle_word(&mut self.own, word);
        }
    }

    /// Tells online buddies that we are there: all of them after a login, later those that have not heard it, and after
    /// a move everybody where we are now.
    fn greet(&mut self, first: bool, now_us: u64) {
        let Self { own, peers, .. } = self;
        peers.values_mut().for_each(|peer| peer.greet(own, first, now_us));
    }

    /// How long what the server gave lasts: the lease, or the first header to end.
    fn lifetime_us(&self, profile: &Profile, lease_s: u32, now_us: u64) -> u64 {
        let contacts =
            profile.buddies.iter().flat_map(|buddy| &buddy.devices).flat_map(|device| &device.contacts);
        let expires =
            contacts.filter_map(|contact| contact.header.map(|header| header.header().expires)).min();
        let lease_us = u64::from(lease_s) * 1_000_000;
        let header_us = expires.map(|expires| (u64::from(expires) * 1_000_000).saturating_sub(now_us));
        // A clock that is wrong must not make us ask without end.
        lease_us.min(header_us.unwrap_or(lease_us).max(SHORTEST_US))
    }
}

/// The least that a header is taken to last.
const SHORTEST_US: u64 = 60_000_000;
