//! STUN on the reflector's sockets: Binding (RFC 8489), and what it takes to discover a NAT's behaviour (RFC 5780).
//!
//! ```text
//! starts like STUN, or the socket speaks STUN only -> size -> request? -> source -> budget -> success | 420
//! ```
//!
//! * Stateless: an answer depends on the request, its source, and the socket that it came to.
//! * Answers only requests; refuses as source what the policy would refuse as destination.
//! * Everything handed over is counted once more: answered, rejected with 420, dropped for one reason, or not sent.
//! * Per datagram: no lock, allocation, clock, log or map; the answer is written into the engine's scratch.

#![deny(clippy::disallowed_types)]

use crate::counters::{Counts, Event, Label};
use crate::rules::rates::Buckets;
use crate::rules::shared::Rules;
use crate::stun::refusal::Refusal;
use crate::stun::settings::Mode;
use crate::stun::sockets::Sockets;
use ::stun::message::starts_like_stun;
use ::stun::request::Request;
use ::stun::response::{Behaviour, Success, write_unknown};
use engine::{Action, Arrival, SocketId};
use std::net::SocketAddr;
use wire::{Policy, TransportAddress};

/// What a worker answers STUN by.
#[derive(Clone, Debug)]
pub struct Stun {
    mode: Mode,
    sockets: Sockets,
}

impl Stun {
    /// STUN of this mode on these sockets; `None` if it is off.
    pub fn new(mode: Mode, sockets: Sockets) -> Option<Self> {
        (mode != Mode::Off).then_some(Self { mode, sockets })
    }

    /// Whether what came to this socket is handed to STUN.
    #[inline]
    pub fn takes(&self, socket: SocketId, datagram: &[u8]) -> bool {
        starts_like_stun(datagram) || self.sockets.speaks_stun_only(socket)
    }

    /// Serves what was handed over, and counts it.
    pub fn serve(
        &self,
        arrival: Arrival<'_>,
        rules: &Rules,
        buckets: &mut Buckets,
        boot_ns: u64,
        counts: &mut Counts,
    ) -> Action<Label> {
        let bytes = arrival.datagram.len() as u64;
        counts.count(Event::StunReceived, 1, bytes);
        self.answer(arrival, rules, buckets, boot_ns).unwrap_or_else(|refusal| {
            counts.count(Event::StunDropped(refusal), 1, bytes);
            Action::Drop
        })
    }

    fn answer(
        &self,
        arrival: Arrival<'_>,
        rules: &Rules,
        buckets: &mut Buckets,
        boot_ns: u64,
    ) -> Result<Action<Label>, Refusal> {
        let Arrival { datagram, scratch, source, local, socket, .. } = arrival;
        let Rules { policy, limits, .. } = rules;
        let changes = self.mode == Mode::Behaviour && self.sockets.has_others(socket);
        let request = examine(datagram, source, changes, policy)?;
        if !buckets.spend_stun(limits, source.ip(), boot_ns) {
            return Err(Refusal::Rate);
        }
        let rejected = !request.unknown.kinds().is_empty();
        let (socket, len) = if rejected {
            (socket, write_unknown(&request, scratch))
        } else {
            let from = self.sockets.changed(socket, request.change);
            let behaviour =
                || Behaviour { origin: self.sockets.origin(from, local), other: self.sockets.other(socket) };
            let behaviour = (self.mode == Mode::Behaviour).then(behaviour);
            (from, Success { mapped: source, behaviour }.write(&request, scratch))
        };
        let label = if rejected { Label::StunError } else { Label::StunSuccess };
        // The scratch has room for every answer; a smaller one would be the engine's fault, and answers nothing.
        let len = len.ok_or(Refusal::Oversize)?;
        Ok(Action::Scratch { len, to: source, socket, label })
    }
}

/// The request that a datagram is, if nothing but a budget stands in the way of its answer; `changes` says whether
/// CHANGE-REQUEST is understood.
///
/// # Errors
/// The first check that fails.
pub fn examine(
    datagram: &[u8],
    source: SocketAddr,
    changes: bool,
    policy: &Policy,
) -> Result<Request, Refusal> {
    if datagram.len() > policy.max_datagram {
        return Err(Refusal::Oversize);
    }
    let request = Request::read(datagram, changes)?;
    let permitted = TransportAddress::from_socket(source).is_some_and(|source| policy.permits(source));
    permitted.then_some(request).ok_or(Refusal::Source)
}
