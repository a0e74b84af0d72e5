//! What a core can say of itself and its peers to people: path and why, expiry, last heard, loss, round trip.
//!
//! * Read only; nothing here changes a machine.

use crate::core::Core;
use crate::event::{Path, PeerId};
use crate::own::Own;
use crate::peer::{Counts, Peer};
use nat::{Behaviour, Route};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;
use wire::json::name::ReflectorName;

/// What is known of one peer now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerReport {
    /// Which.
    pub peer: PeerId,
    /// Whether it is there.
    pub online: bool,
    /// Its NAT.
    pub behaviour: Behaviour,
    /// The way of datagrams to it.
    pub path: Path,
    /// Why that way.
    pub why: Why,
    /// Unix seconds at which the header in use ends.
    pub expires_s: Option<u32>,
    /// Microseconds since it was last heard.
    pub heard_ago_us: Option<u64>,
    /// Round trip of the last challenge.
    pub rtt_us: Option<u64>,
    /// Bytes of the largest datagram that reaches it.
    pub max_datagram_size: usize,
    /// What went and came.
    pub counts: Counts,
}

/// Why datagrams take the way they take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// A challenge sent there was answered.
    Proven,
    /// The peer's NAT lets anyone in.
    AdmitsStrangers,
    /// No datagram gets through both NATs directly.
    NoDirectPath,
    /// A direct path could be found, and is sought while the two talk.
    NotYetSought,
    /// No direct path answers, or none has answered yet.
    DirectFailed,
    /// Both are behind one address, which may not turn datagrams back.
    SharedAddress,
    /// The two share no reflector, and nothing else is known.
    NoHeader,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Proven => "a direct path answered",
            Self::AdmitsStrangers => "its NAT lets anyone in",
            Self::NoDirectPath => "the two NATs let nothing through directly",
            Self::NotYetSought => "a direct path is sought once the two talk",
            Self::DirectFailed => "no direct path has answered",
            Self::SharedAddress => "both are behind one address",
            Self::NoHeader => "the two share no reflector yet",
        })
    }
}

/// What is known of the own contact at one reflector.
#[derive(Debug, Clone, PartialEq, Eq)]
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

impl Core {
    /// What is known of a peer.
    #[must_use]
    pub fn report(&self, id: PeerId, now_us: u64) -> Option<PeerReport> {
        let peer = self.peers.get(&id)?;
        Some(PeerReport {
            peer: id,
            online: peer.is_online(),
            behaviour: peer.behaviour,
            path: peer.path(&self.own, now_us),
            why: peer.why(&self.own, now_us),
            expires_s: peer.ready(&self.own, now_us).map(|ready| ready.header.expires),
            heard_ago_us: peer.heard_us.map(|heard_us| now_us.saturating_sub(heard_us)),
            rtt_us: peer.rtt_us,
            max_datagram_size: peer.max_datagram_size(),
            counts: peer.counts,
        })
    }

    /// The own contacts.
    #[must_use]
    pub fn contacts(&self) -> Vec<ContactReport> {
        let report = |contact: &crate::contact::Contact| ContactReport {
            reflector: contact.reflector.clone(),
            address: contact.address,
            observed: contact.observed,
            lives: contact.lives(),
            rtt_us: contact.rtt_us(),
        };
        self.contacts.held().iter().map(report).collect()
    }
}

impl Peer {
    /// Why datagrams take the way they take.
    pub(crate) fn why(&self, own: &Own, now_us: u64) -> Why {
        if self.direct.chosen().is_some() {
            return Why::Proven;
        }
        let (to_peer, _) = nat::after_punch(own.behaviour(), self.behaviour);
        match self.path(own, now_us) {
            Path::Direct(_) if nat::route(own.behaviour(), self.behaviour) == Route::Direct => {
                Why::AdmitsStrangers
            }
            Path::Direct(_) | Path::Unknown => Why::NoHeader,
            Path::Reflected(_) if self.shares_external(own) => Why::SharedAddress,
            Path::Reflected(_) if to_peer == Route::Reflect => Why::NoDirectPath,
            Path::Reflected(_) if self.is_talking(now_us) => Why::DirectFailed,
            Path::Reflected(_) => Why::NotYetSought,
        }
    }
}
