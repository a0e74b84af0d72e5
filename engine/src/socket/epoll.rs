//! The socket engine: edge-triggered epoll, recvmmsg, decisions in place, sendmmsg.
//!
//! * A batch is bounded; a socket that may hold more stays on the ready list, since its edge will not come again.
//! * Sockets come in open and go out open: closing one would renumber its SO_REUSEPORT group and lose what it queued.
//! * All memory is taken at the start of [`Epoll::run`], on the worker's own thread and so on its own memory node.

#![deny(clippy::disallowed_types)]

use crate::socket::handler::{Action, Arrival, Batch, Handler, Label, SocketId};
use crate::socket::inbound::{Inbound, Message};
use crate::socket::outbound::{Datagram, Outbound};
use crate::socket::partners::{Partners, id};
use crate::socket::stop::{Stop, Stopper};
use crate::socket::udp::Socket;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;

/// A worker's engine, ready to run.
#[derive(Debug)]
pub struct Epoll {
    poll: Poll,
    sockets: Vec<Socket>,
    options: Options,
    stop: Arc<Stop>,
}

impl Epoll {
    /// Registers the sockets, each called by its place in the list; what goes to the other family in place leaves from the
    /// first one of that family.
    ///
    /// # Errors
    /// What epoll_create(2), epoll_ctl(2) and eventfd(2) say.
    pub fn open(sockets: Vec<Socket>, options: Options) -> io::Result<(Self, Stopper)> {
        let poll = Poll::new()?;
        for (index, socket) in sockets.iter().enumerate() {
            poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), Token(index), Interest::READABLE)?;
        }
        let (stop, stopper) = Stop::open()?;
        poll.registry().register(&mut SourceFd(&stop.as_raw_fd()), WAKER, Interest::READABLE)?;
        Ok((Self { poll, sockets, options, stop }, stopper))
    }

    /// Serves until stopped, then gives the sockets back.
    ///
    /// # Errors
    /// What epoll_wait(2) and recvmmsg(2) say beyond "nothing there".
    pub fn run<H: Handler>(mut self, handler: &mut H) -> io::Result<Vec<Socket>> {
        let Options { slots, slot_len, gso } = self.options;
        let mut worker = Worker {
            inbound: Inbound::new(slots, slot_len),
            outbound: Outbound::new(slots * DATAGRAMS_PER_SLOT, gso),
            partners: Partners::of(&self.sockets),
            overflows: vec![0; self.sockets.len()],
            sockets: self.sockets,
        };
        let mut events = Events::with_capacity(EVENTS);
        let mut ready = vec![true; worker.sockets.len()];
        while !self.stop.is_requested() {
            let idle = ready.iter().all(|ready| !ready);
            match self.poll.poll(&mut events, (!idle).then_some(std::time::Duration::ZERO)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in &events {
                if let Some(ready) = ready.get_mut(event.token().0) {
                    *ready = true;
                }
            }
            for (index, ready) in ready.iter_mut().enumerate().filter(|(_, ready)| **ready) {
                *ready = worker.serve(index, handler)?;
            }
        }
        Ok(worker.sockets)
    }
}

/// How much a batch takes.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Messages in one receive.
    pub slots: usize,
    /// Bytes of the longest message: 65,536 where trains arrive (GRO), else a little more than a datagram.
    pub slot_len: usize,
    /// Whether to send trains.
    pub gso: bool,
}

struct Worker<L> {
    inbound: Inbound,
    outbound: Outbound<L>,
    sockets: Vec<Socket>,
    /// For each socket, the one that sends to IPv4 and the one that sends to IPv6.
    partners: Vec<Partners>,
    /// Overflows that each socket has reported so far.
    overflows: Vec<u32>,
}

impl<L: Label> Worker<L> {
    /// One batch of one socket; whether there may be more.
    fn serve<H: Handler<Label = L>>(&mut self, index: usize, handler: &mut H) -> io::Result<bool> {
        let Some(socket) = self.sockets.get(index) else { return Ok(false) };
        let received = self.inbound.receive(socket)?;
        if received == 0 {
            return Ok(false);
        }
        let more = received == self.inbound.slots();
        handler.begin_batch();
        let mut batch = Batch { datagrams: 0, overflows: 0 };
        for slot in 0..received {
            let Some(message) = self.inbound.message(slot) else { continue };
            self.note_overflows(index, message.overflows, &mut batch);
            for place in message.datagrams() {
                batch.datagrams += 1;
                self.decide(index, &message, place, handler);
            }
        }
        self.flush(handler);
        handler.end_batch(batch);
        Ok(more)
    }

    #[inline]
    fn decide<H: Handler<Label = L>>(
        &mut self,
        index: usize,
        message: &Message,
        place: std::ops::Range<usize>,
        handler: &mut H,
    ) {
        let (offset, len) = (place.start, place.len());
        let scratch_place = self.inbound.scratch();
        let scratch_offset = scratch_place.start;
        let (slots, rest) = self.inbound.arena().split_at_mut(scratch_offset);
        let Some(datagram) = slots.get_mut(place) else { return };
        let action = handler.handle(Arrival {
            datagram,
            scratch: rest,
            source: message.source,
            local: message.local,
            socket: SocketId(id(index)),
            condition: message.condition,
        });
        match action {
            Action::Drop => {}
            Action::InPlace { to, label } => {
                let socket =
                    self.partners.get(index).map_or(SocketId(id(index)), |partners| partners.sender_to(to));
                let from = message.local.filter(|_| socket.0 == id(index));
                self.queue(Datagram { offset, len, to, from, socket, label }, handler);
            }
            Action::Scratch { len, to, socket, label } => {
                let from = message.local.filter(|_| socket.0 == id(index));
                self.queue(Datagram { offset: scratch_offset, len, to, from, socket, label }, handler);
                // The scratch is one answer's room: it leaves before the next is written.
                self.flush(handler);
            }
        }
    }

    #[inline]
    fn queue<H: Handler<Label = L>>(&mut self, datagram: Datagram<L>, handler: &mut H) {
        if self.outbound.is_full() {
            self.flush(handler);
        }
        self.outbound.push(datagram);
    }

    fn flush<H: Handler<Label = L>>(&mut self, handler: &mut H) {
        if !self.outbound.is_empty() {
            self.outbound.flush(self.inbound.arena(), &self.sockets, &mut |sent| handler.sent(sent));
        }
    }

    fn note_overflows(&mut self, index: usize, total: Option<u32>, batch: &mut Batch) {
        if let (Some(total), Some(seen)) = (total, self.overflows.get_mut(index)) {
            batch.overflows = batch.overflows.wrapping_add(total.wrapping_sub(*seen));
            *seen = total;
        }
    }
}

const WAKER: Token = Token(usize::MAX);
const EVENTS: usize = 16;
/// Datagrams queued before a flush, for each slot of a receive.
const DATAGRAMS_PER_SLOT: usize = 16;
