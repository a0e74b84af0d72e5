//! The sessions with one peer: a handshake under way, and the few newest that were agreed.
//!
//! * What is sent goes under the newest session that the peer has confirmed; what comes may be under any.
//! * At most [`LIMIT`] are kept, so that messages under way survive a new handshake.
//! * Every index in use stands in the core's table, and leaves it with its session.

use crate::event::PeerId;
use crate::message::packet::Index;
use crate::noise::{Initiation, Session};
use crate::own::Own;
use std::net::SocketAddr;

/// All sessions with one peer.
#[derive(Default)]
pub(crate) struct Sessions {
    pub(crate) pending: Option<Pending>,
    live: Vec<Session>,
}

/// A handshake that waits for its answer.
pub(crate) struct Pending {
    pub(crate) initiation: Initiation,
    pub(crate) index: Index,
    /// Where its first message went directly.
    pub(crate) direct_to: Option<SocketAddr>,
    /// How many were sent before it for the same purpose.
    pub(crate) tries: u32,
    /// When the next is due.
    pub(crate) next_us: u64,
}

impl Sessions {
    /// The session to send under.
    pub(crate) fn current(&mut self) -> Option<&mut Session> {
        self.live.iter_mut().rev().find(|session| session.confirmed)
    }

    /// Whether there is a session to send under.
    pub(crate) fn is_open(&self) -> bool {
        self.live.iter().any(|session| session.confirmed)
    }

    /// Whether the newest session is with another life of the peer than the one to send under.
    pub(crate) fn is_changing(&self) -> bool {
        let current = self.live.iter().rev().find(|session| session.confirmed);
        current.map(|session| session.life) != self.live.last().map(|session| session.life)
    }

    /// The session that we call so.
    pub(crate) fn find(&mut self, index: Index) -> Option<&mut Session> {
        self.live.iter_mut().find(|session| session.local == index)
    }

    /// Keeps a new session; the oldest may go.
    pub(crate) fn insert(&mut self, session: Session, own: &mut Own) {
        self.live.push(session);
        while self.live.len() > LIMIT {
            let in_use = self.live.iter().rposition(|session| session.confirmed);
            let place = if in_use == Some(0) { 1 } else { 0 };
            let gone = self.live.remove(place);
            own.indexes.remove(&gone.local);
        }
    }

    /// Replaces the handshake under way.
    pub(crate) fn set_pending(&mut self, pending: Option<Pending>, own: &mut Own) {
        if let Some(old) = std::mem::replace(&mut self.pending, pending) {
            own.indexes.remove(&old.index);
        }
    }

    /// Takes the handshake that this index belongs to, its index staying in use.
    pub(crate) fn take_pending(&mut self, index: Index) -> Option<Pending> {
        self.pending.take_if(|pending| pending.index == index)
    }

    /// Ends all.
    pub(crate) fn clear(&mut self, own: &mut Own) {
        self.set_pending(None, own);
        for session in self.live.drain(..) {
            own.indexes.remove(&session.local);
        }
    }
}

/// Who a peer is to the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Its number.
    pub(crate) id: PeerId,
    /// Its static key.
    pub(crate) key: crate::noise::PublicKey,
}

const LIMIT: usize = 3;
