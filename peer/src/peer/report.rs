//! What a peer's machine can say of itself to people: path and why, expiry, last heard, loss, round trip.
//!
//! * Read only; nothing here changes a machine.

use crate::event::{Path, PeerId, Why};
use crate::own::Own;
use crate::peer::{Counts, Peer};
use nat::{Behaviour, Route};

/// What is known of one peer now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerReport {
    /// Which.
    pub peer: PeerId,
    /// Whether it is there.
    pub online: bool,
    /// Its NAT; nothing if it hides where it is.
    pub behaviour: Option<Behaviour>,
    /// The way of datagrams to it.
    pub path: Path,
    /// Why that way.
    pub why: Why,
    /// Whether either side hides its address from the other.
    pub sealed: bool,
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

impl Peer {
    /// What is known of it.
    pub(crate) fn report(&self, own: &Own, now_us: u64) -> PeerReport {
        PeerReport {
            peer: self.identity.id,
            online: self.is_online(),
            behaviour: Some(self.behaviour()).filter(|_| !self.whereabouts.is_hidden()),
            path: self.path(own, now_us),
            why: self.why(own, now_us),
            sealed: self.is_sealed(own),
            expires_s: self.ready(own, now_us).map(|ready| ready.header.expires),
            heard_ago_us: self.heard_us().map(|heard_us| now_us.saturating_sub(heard_us)),
            rtt_us: self.reliable.rtt_us(),
            max_datagram_size: self.max_datagram_size(),
            counts: self.counts(),
        }
    }

    /// Why datagrams take the way they take.
    pub(crate) fn why(&self, own: &Own, now_us: u64) -> Why {
        if self.is_sealed(own) {
            return if self.way(own, now_us).is_some() { Why::Hidden } else { Why::NoHeader };
        }
        if self.direct.chosen().is_some() {
            return Why::Proven;
        }
        let (to_peer, _) = nat::after_punch(own.behaviour(), self.behaviour());
        match self.path(own, now_us) {
            Path::Direct(_) if nat::route(own.behaviour(), self.behaviour()) == Route::Direct => {
                Why::AdmitsStrangers
            }
            Path::Direct(_) | Path::Unknown => Why::NoHeader,
            Path::Reflected(_) if self.whereabouts.shares_external(own) => Why::SharedAddress,
            Path::Reflected(_) if to_peer == Route::Reflect => Why::NoDirectPath,
            Path::Reflected(_) if self.talk.is_alive(now_us) => Why::DirectFailed,
            Path::Reflected(_) => Why::NotYetSought,
        }
    }
}
