//! The sessions with one peer: a handshake under way, the few newest that were agreed, and what waits for the first.
//!
//! * What is sent goes under the newest session that the peer has confirmed; what comes may be under any.
//! * At most [`LIMIT`] are kept, so that messages under way survive a new handshake.
//! * Every index in use stands in the core's table, and leaves it with its session.

use crate::event::PeerId;
use crate::message::packet::Index;
use crate::noise::{Initiation, Session};
use crate::own::Own;
use std::collections::VecDeque;
use std::net::SocketAddr;

/// All sessions with one peer.
#[derive(Default)]
pub(crate) struct Sessions {
    pending: Option<Pending>,
    live: Vec<Session>,
    /// Datagrams that wait for a session.
    waiting: VecDeque<Vec<u8>>,
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
        self.live.iter_mut().rev().find(|session| session.is_confirmed())
    }

    /// Whether there is a session to send under.
    pub(crate) fn is_open(&self) -> bool {
        self.live.iter().any(Session::is_confirmed)
    }

    /// Whether the newest session is with another life of the peer than the one to send under.
    pub(crate) fn is_changing(&self) -> bool {
        let current = self.live.iter().rev().find(|session| session.is_confirmed());
        current.map(Session::life) != self.live.last().map(Session::life)
    }

    /// The session that we call so.
    pub(crate) fn find(&mut self, index: Index) -> Option<&mut Session> {
        self.live.iter_mut().find(|session| session.local() == index)
    }

    /// Keeps a new session; the oldest may go.
    pub(crate) fn insert(&mut self, session: Session, own: &mut Own) {
        self.live.push(session);
        while self.live.len() > LIMIT {
            let in_use = self.live.iter().rposition(Session::is_confirmed);
            let place = if in_use == Some(0) { 1 } else { 0 };
            let gone = self.live.remove(place);
            own.indexes.remove(&gone.local());
        }
    }

    /// Keeps a datagram until there is a session; false if too many wait.
    pub(crate) fn queue(&mut self, datagram: Vec<u8>) -> bool {
        let room = self.waiting.len() < QUEUE;
        if room {
            self.waiting.push_back(datagram);
        }
        room
    }

    /// A datagram that waited for a session, the oldest first.
    pub(crate) fn poll_queued(&mut self) -> Option<Vec<u8>> {
        self.waiting.pop_front()
    }

    /// Whether datagrams wait for a session.
    pub(crate) fn has_queued(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Drops what waited: no session came.
    pub(crate) fn drop_queued(&mut self) {
        self.waiting.clear();
    }

    /// Whether a handshake is under way.
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// When the first message of the handshake under way is to be repeated.
    pub(crate) fn due_us(&self) -> Option<u64> {
        self.pending.as_ref().map(|pending| pending.next_us)
    }

    /// How many first messages were sent before, if another one is due.
    pub(crate) fn tries_due(&self, now_us: u64) -> Option<u32> {
        self.pending.as_ref().filter(|pending| pending.next_us <= now_us).map(|pending| pending.tries)
    }

    /// Reads the answer to the handshake that this index belongs to, and its payload; nothing changes if it is not one.
    pub(crate) fn read_answer(&mut self, index: Index, noise: &[u8]) -> Option<Vec<u8>> {
        self.pending.as_mut().filter(|pending| pending.index == index)?.initiation.read_answer(noise)
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
            own.indexes.remove(&session.local());
        }
    }
}

/// Who a peer is to the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Its number.
    pub(crate) id: PeerId,
    /// Its static key.
    pub(crate) key: crate::noise::PublicKey,
}

const LIMIT: usize = 3;
/// Datagrams that wait for a session.
const QUEUE: usize = 64;
