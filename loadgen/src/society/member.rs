//! A member of a simulated society: one endpoint's core behind a NAT of its own, in one life after the other.
//!
//! * A life begins with a start and ends with a leave; what belongs to an earlier one is not for the next.
//! * Knows buddies by number; the core knows them by peer.

use crate::keys::Keys;
use nat::{Behaviour, Nat};
use peer::{Core, PeerId};
use std::net::SocketAddr;
use wire::json::login::Session;
use wire::json::name::{AccountName, DeviceId};

/// One member.
pub struct Member {
    /// Its NAT.
    pub nat: Nat,
    /// Its transport address behind it.
    pub inside: SocketAddr,
    /// Its keys.
    pub keys: Keys,
    /// What the access server calls it.
    pub device: DeviceId,
    /// Whether its account hides its address.
    pub hides: bool,
    /// Its endpoint, while it lives.
    pub core: Option<Core>,
    /// How often it was started.
    pub life: u32,
    /// Of its login.
    pub session: Option<Session>,
    /// Whether it is logged in.
    pub is_in: bool,
    /// When this life was meant to begin, unix microseconds.
    pub start_us: u64,
    /// When its core wants to be called.
    pub wake_us: Option<u64>,
    /// What the core calls its buddies.
    peers: Vec<(PeerId, u32)>,
}

impl Member {
    /// One that never lived.
    pub fn new(nat: Nat, inside: SocketAddr, keys: Keys, device: DeviceId) -> Self {
        Self {
            nat,
            inside,
            keys,
            device,
            hides: false,
            core: None,
            life: 0,
            session: None,
            is_in: false,
            start_us: 0,
            wake_us: None,
            peers: Vec::new(),
        }
    }

    /// How its NAT behaves.
    pub fn behaviour(&self) -> Behaviour {
        self.nat.rules().settings().behaviour
    }

    /// A life begins.
    pub fn begin(&mut self, core: Core, start_us: u64) {
        self.core = Some(core);
        self.start_us = start_us;
        self.end_of_login();
    }

    /// A life ends; the NAT forgets it.
    pub fn end(&mut self) {
        self.core = None;
        self.nat.forget();
        self.end_of_login();
    }

    fn end_of_login(&mut self) {
        (self.session, self.is_in, self.wake_us) = (None, false, None);
        self.peers.clear();
    }

    /// Learns what the core calls its buddies; a profile names them all.
    pub fn learn_peers(&mut self, buddies: &[u32], names: &[AccountName]) {
        let Some(core) = self.core.as_ref().filter(|_| self.peers.len() < buddies.len()) else { return };
        let peer = |buddy: &u32| {
            let name = names.get(*buddy as usize)?;
            Some((*core.peers_of(name).first()?, *buddy))
        };
        self.peers = buddies.iter().filter_map(peer).collect();
    }

    /// What the core calls a buddy.
    pub fn peer(&self, buddy: u32) -> Option<PeerId> {
        self.peers.iter().find(|(_, number)| *number == buddy).map(|(peer, _)| *peer)
    }

    /// Which buddy a peer is.
    pub fn buddy(&self, peer: PeerId) -> Option<u32> {
        self.peers.iter().find(|(known, _)| *known == peer).map(|(_, number)| *number)
    }

    /// Whether it believes that a buddy is there.
    pub fn sees(&self, buddy: u32) -> bool {
        let (Some(core), Some(peer)) = (&self.core, self.peer(buddy)) else { return false };
        core.is_online(peer)
    }
}
