//! The io_uring engine: one ring, multishot receives into provided buffers, sends from the very same buffers.
//!
//! ```text
//!   enter ──► sends of the last batch are made, in order ──► what arrived fills buffers
//!     ▲                                                                  │
//!     │            reap: sent, buffers return      serve: each datagram is decided in its buffer
//!     └──────────────────────────────────────────────────────────────────┘   groups become sends
//! ```
//!
//! * One enter submits a batch, waits, and brings the next; nothing else is asked of the kernel per batch.
//! * A batch ends, and may be published, when what became of its sends is known.
//! * A receive that the kernel ended (no buffer left, a full completion queue, an empty datagram) is asked for anew.
//! * After a stop no receive is started; what was received is served and sent before `run` returns.
//! * Memory that the kernel may still use is never freed: `run` ends with nothing in flight, or gives it up.
//! * Sockets come in open and go out open, as in the epoll engine.

#![allow(unsafe_code)]
#![deny(clippy::disallowed_types)]

pub(crate) mod buffers;
pub(crate) mod memory;
pub mod probe;
pub(crate) mod ring;
pub(crate) mod sends;

use crate::socket::handler::{
    Action, Arrival, Batch, Handler, Label, SCRATCH_LEN, SendError, Sent, SocketId,
};
use crate::socket::inbound::Message;
use crate::socket::outbound::Datagram;
use crate::socket::partners::{Partners, id};
use crate::socket::stop::{Stop, Stopper};
use crate::socket::udp::Socket;
use crate::socket::uring::buffers::{Buffers, Id, SCRATCHES};
use crate::socket::uring::probe::{Refusal, probe};
use crate::socket::uring::ring::{Completion, Ring, SENDS_PER_SLOT, Sizes, Token};
use crate::socket::uring::sends::{Launch, Sends};
use io_uring::opcode;
use io_uring::types::Fixed;
use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub use crate::socket::uring::ring::Mode;

/// A worker's engine, ready to run.
#[derive(Debug)]
pub struct Uring {
    sockets: Vec<Socket>,
    options: Options,
    stop: Arc<Stop>,
}

impl Uring {
    /// Takes the sockets, at most one of a family; each is called by its place in the list. The ring itself is set up
    /// by `run`, on the thread that uses it; here it is tried.
    ///
    /// # Errors
    /// A [`crate::socket::uring::probe::Refusal`], or what eventfd(2) says.
    pub fn open(sockets: Vec<Socket>, options: Options) -> io::Result<(Self, Stopper)> {
        let no_memory = || io::Error::from_raw_os_error(libc::ENOMEM);
        let tried = patiently(|| match probe(options.mode) {
            Err(Refusal::Memory) => Err(no_memory()),
            verdict => Ok(verdict),
        });
        tried.unwrap_or(Err(Refusal::Memory)).map_err(io::Error::other)?;
        let (stop, stopper) = Stop::open()?;
        Ok((Self { sockets, options, stop }, stopper))
    }

    /// Serves until stopped, then gives the sockets back.
    ///
    /// # Errors
    /// What io_uring_setup(2), io_uring_register(2), io_uring_enter(2) and receives say, beyond what is mended by
    /// asking again.
    pub fn run<H: Handler>(self, handler: &mut H) -> io::Result<Vec<Socket>> {
        let mut worker = Worker::start(self)?;
        while !worker.is_done() {
            worker.ask()?;
            worker.ring.enter(1)?;
            worker.reap(handler)?;
            if worker.sends.in_flight() == 0 || !worker.arrivals.is_empty() {
                worker.end_batch(handler);
            }
            worker.serve(handler)?;
            if worker.sends.in_flight() == 0 {
                worker.end_batch(handler);
            }
        }
        worker.finish()
    }
}

/// How much a batch takes, and how the work is done.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Messages of a batch: as many buffers are there for each socket, rounded up to a power of two.
    pub slots: usize,
    /// Bytes of the longest message: 65,536 where trains arrive (GRO), else a little more than a datagram.
    pub slot_len: usize,
    /// Whether to send trains.
    pub gso: bool,
    /// How completions come to be.
    pub mode: Mode,
}

struct Worker<L: Label> {
    ring: Ring,
    buffers: Buffers,
    sends: Sends<L>,
    sockets: Vec<Socket>,
    partners: Vec<Partners>,
    /// Overflows that each socket has reported so far.
    overflows: Vec<u32>,
    receives: Vec<Receive>,
    /// Filled buffers that have not been served.
    arrivals: VecDeque<Filled>,
    /// Buffers and scratches whose datagrams are all decided, and queued or dropped.
    served: Vec<Id>,
    /// What is to be told when the batch ends.
    batch: Option<Batch>,
    stop: Arc<Stop>,
    stopping: bool,
}

impl<L: Label> Worker<L> {
    /// Takes all memory, on the thread that will use it, and waits for the stop.
    fn start(uring: Uring) -> io::Result<Self> {
        let Uring { sockets, options, stop } = uring;
        let Options { slots, slot_len, gso, .. } = options;
        let ring = patiently(|| Ring::open(Sizes::of(sockets.len(), slots), options.mode))?;
        let buffers = Buffers::new(sockets.len(), slots, slot_len);
        let mut worker = Self {
            arrivals: VecDeque::with_capacity(buffers.count()),
            served: Vec::with_capacity(buffers.count() + SCRATCHES),
            buffers,
            sends: Sends::new(slots * DATAGRAMS_PER_SLOT, slots * SENDS_PER_SLOT, gso),
            partners: Partners::of(&sockets),
            overflows: vec![0; sockets.len()],
            receives: vec![Receive::Idle; sockets.len()],
            ring,
            sockets,
            batch: None,
            stop,
            stopping: false,
        };
        let fds: Vec<_> = worker.sockets.iter().map(AsRawFd::as_raw_fd).collect();
        worker.ring.register_files(&fds)?;
        patiently(|| worker.buffers.register(&worker.ring))?;
        worker.ring.await_readable(worker.stop.as_raw_fd(), Token::Stop)?;
        Ok(worker)
    }

    /// Whether a stop has been asked for and nothing is under way any more.
    fn is_done(&self) -> bool {
        self.stopping && self.is_idle() && self.arrivals.is_empty()
    }

    fn is_idle(&self) -> bool {
        self.sends.in_flight() == 0 && self.receives.iter().all(|receive| *receive == Receive::Idle)
    }

    /// Queues the receives that are not under way; after a stop, the end of those that are.
    fn ask(&mut self) -> io::Result<()> {
        for (socket, receive) in (0_u16..).zip(&mut self.receives) {
            let index = usize::from(socket);
            match (self.stopping, *receive) {
                (false, Receive::Idle) if self.buffers.has_offers(index) => {
                    let fixed = Fixed(u32::from(socket));
                    let entry = opcode::RecvMsgMulti::new(fixed, self.buffers.template(), socket).build();
                    // SAFETY: the template and the buffers of the group are freed only when this receive has ended,
                    // or never (`leak`).
                    unsafe { self.ring.push(entry, Token::Receive(index))? };
                    *receive = Receive::Asked;
                }
                (true, Receive::Asked) => {
                    self.ring.cancel(Token::Receive(index))?;
                    *receive = Receive::Ending;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads all completions: tells what was sent, keeps what was received.
    fn reap<H: Handler<Label = L>>(&mut self, handler: &mut H) -> io::Result<()> {
        let Self { ring, buffers, sends, sockets, receives, arrivals, batch, stopping, .. } = self;
        let mut outcome = Ok(());
        for completion in ring.completions() {
            match completion.token {
                Token::Send(slot) => {
                    batch.get_or_insert(NOTHING);
                    let on_sent = &mut |sent| handler.sent(sent);
                    sends.complete(slot, completion.outcome(), buffers, sockets, on_sent);
                }
                Token::Receive(socket) => {
                    let (filled, result) = received(&completion, socket, buffers, receives);
                    arrivals.extend(filled);
                    outcome = outcome.and(result);
                }
                Token::Stop => *stopping = true,
                Token::Cancel => {}
            }
        }
        buffers.publish();
        outcome
    }

    /// Decides everything that has been received, and queues what is to be sent.
    fn serve<H: Handler<Label = L>>(&mut self, handler: &mut H) -> io::Result<()> {
        if self.arrivals.is_empty() {
            return Ok(());
        }
        handler.begin_batch();
        self.batch.get_or_insert(NOTHING);
        while let Some(Filled { id, socket, len }) = self.arrivals.pop_front() {
            if let Some(message) = self.buffers.message(id, len) {
                self.note_overflows(socket, message.overflows);
                for place in message.datagrams() {
                    self.decide(socket, &message, place, handler)?;
                }
            }
            self.served.push(id);
        }
        self.flush(handler)?;
        self.buffers.publish();
        Ok(())
    }

    #[inline]
    fn decide<H: Handler<Label = L>>(
        &mut self,
        index: usize,
        message: &Message,
        place: Range<usize>,
        handler: &mut H,
    ) -> io::Result<()> {
        let (offset, len) = (place.start, place.len());
        let scratch = self.free_scratch(handler)?;
        let Some((datagram, scratch)) = self.buffers.workplace(place, scratch) else { return Ok(()) };
        if let Some(batch) = &mut self.batch {
            batch.datagrams += 1;
        }
        let own = SocketId(id(index));
        let action = handler.handle(Arrival {
            datagram,
            scratch,
            source: message.source,
            local: message.local,
            socket: own,
            condition: message.condition,
        });
        let from = |socket: SocketId| -> Option<IpAddr> { message.local.filter(|_| socket == own) };
        match action {
            Action::Drop => Ok(()),
            Action::InPlace { to, label } => {
                let socket = self.partners.get(index).map_or(own, |partners| partners.sender_to(to));
                self.queue(Datagram { offset, len, to, from: from(socket), socket, label }, handler)
            }
            Action::Scratch { len, to, socket, label } => match self.buffers.take_scratch() {
                Some((id, offset)) if len <= SCRATCH_LEN => {
                    self.queue(Datagram { offset, len, to, from: from(socket), socket, label }, handler)?;
                    self.served.push(id);
                    Ok(())
                }
                taken => {
                    self.served.extend(taken.map(|(id, _)| id));
                    let outcome = Err(SendError::Other);
                    handler.sent(Sent { label, datagrams: 1, bytes: len as u64, outcome });
                    Ok(())
                }
            },
        }
    }

    #[inline]
    fn queue<H: Handler<Label = L>>(&mut self, datagram: Datagram<L>, handler: &mut H) -> io::Result<()> {
        if self.sends.is_full() {
            self.flush(handler)?;
        }
        self.sends.push(datagram);
        Ok(())
    }

    /// A scratch that nothing is sent from; waits for the answers under way where there is none.
    #[inline]
    fn free_scratch<H: Handler<Label = L>>(&mut self, handler: &mut H) -> io::Result<Id> {
        loop {
            if let Some(scratch) = self.buffers.scratch() {
                return Ok(scratch);
            }
            self.flush(handler)?;
            if self.buffers.scratch().is_none() {
                self.wait(handler)?;
            }
        }
    }

    /// Submits everything queued, at the next enter; only where slots run out it enters and waits itself.
    fn flush<H: Handler<Label = L>>(&mut self, handler: &mut H) -> io::Result<()> {
        let mut next = 0;
        while !self.sends.is_empty() {
            let Self { ring, buffers, sends, sockets, .. } = self;
            let mut launch = Launch { buffers, sockets: sockets.len(), sends_to: ring.sends_to() };
            let mut push = |send, slot| {
                // SAFETY: the name, header, control messages and parts belong to a slot that is not written before
                // this send has completed, in vectors that never grow; the bytes lie in buffers that the slot holds
                // until then. All of it is freed only when nothing is under way any more, or never (`leak`).
                unsafe { ring.push(send, Token::Send(slot)) }
            };
            next = sends.launch(next, &mut launch, &mut push, &mut |sent| handler.sent(sent))?;
            if sends.is_end(next) {
                sends.clear();
            } else {
                self.wait(handler)?;
            }
        }
        // Whatever of these is to be sent is held by its send now.
        let Self { buffers, served, .. } = self;
        served.drain(..).for_each(|id| buffers.release(id));
        Ok(())
    }

    #[cold]
    fn wait<H: Handler<Label = L>>(&mut self, handler: &mut H) -> io::Result<()> {
        self.ring.enter(1)?;
        self.reap(handler)
    }

    fn note_overflows(&mut self, index: usize, total: Option<u32>) {
        if let (Some(total), Some(seen), Some(batch)) =
            (total, self.overflows.get_mut(index), &mut self.batch)
        {
            batch.overflows = batch.overflows.wrapping_add(total.wrapping_sub(*seen));
            *seen = total;
        }
    }

    fn end_batch<H: Handler<Label = L>>(&mut self, handler: &mut H) {
        if let Some(batch) = self.batch.take() {
            handler.end_batch(batch);
        }
    }

    /// Gives the sockets back, known to nobody else.
    fn finish(mut self) -> io::Result<Vec<Socket>> {
        Ok(std::mem::take(&mut self.sockets))
    }

    /// Ends what is under way, unserved.
    fn quiesce(&mut self) -> io::Result<()> {
        while !self.is_idle() {
            // What was queued and not submitted is submitted first: then everything can be cancelled.
            self.ring.enter(0)?;
            self.ring.cancel_all()?;
            self.ring.enter(1)?;
            let Self { ring, buffers, sends, receives, .. } = self;
            for completion in ring.completions() {
                match completion.token {
                    Token::Send(slot) => sends.complete(slot, Ok(0), buffers, &[], &mut |_| {}),
                    // Its buffer stays ours; nobody receives into it any more.
                    Token::Receive(socket) => drop(received(&completion, socket, buffers, receives)),
                    Token::Stop | Token::Cancel => {}
                }
            }
        }
        Ok(())
    }
}

impl<L: Label> Drop for Worker<L> {
    /// After an error, or a panic of the handler, the kernel may still write into buffers and read from slots: ends
    /// that, and if it cannot be ended gives the memory up.
    fn drop(&mut self) {
        let quiet = self.quiesce().and_then(|()| self.ring.unregister_files());
        if quiet.is_err() && !self.is_idle() {
            self.buffers.leak();
            self.sends.leak();
        }
    }
}

/// Takes note of a receive's completion: the buffer that it filled, and the error that ends the worker.
#[inline]
fn received(
    completion: &Completion,
    socket: usize,
    buffers: &mut Buffers,
    receives: &mut [Receive],
) -> (Option<Filled>, io::Result<()>) {
    if let Some(receive) = receives.get_mut(socket).filter(|_| !completion.has_more()) {
        *receive = Receive::Idle;
    }
    let id = completion.buffer().and_then(|buffer| buffers.take(socket, buffer));
    match (completion.outcome(), id) {
        (Ok(len), Some(id)) => (Some(Filled { id, socket, len }), Ok(())),
        // Asked for anew: when buffers are back, or as soon as may be.
        (Err(libc::ENOBUFS | libc::ECANCELED | libc::EINTR | libc::EAGAIN), _) | (Ok(_), None) => {
            (None, Ok(()))
        }
        (Err(errno), _) => (None, Err(io::Error::from_raw_os_error(errno))),
    }
}

/// Asks the kernel again as long as it has no memory to lock: what was locked shortly before, as by a probe, counts until
/// the kernel has taken it down, which it does in its own time.
fn patiently<T>(ask: impl Fn() -> io::Result<T>) -> io::Result<T> {
    let started = Instant::now();
    loop {
        match ask() {
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) && started.elapsed() < LONGEST_WAIT => {
                thread::sleep(BETWEEN_TRIES);
            }
            outcome => return outcome,
        }
    }
}

/// Where the receive of a socket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Receive {
    /// None is under way.
    Idle,
    /// It goes on until the kernel ends it.
    Asked,
    /// Its end has been asked for.
    Ending,
}

/// A buffer that the kernel has filled.
#[derive(Clone, Copy, Debug)]
struct Filled {
    id: Id,
    socket: usize,
    /// Bytes, with the kernel's head.
    len: usize,
}

/// How long a start waits for memory.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
const BETWEEN_TRIES: Duration = Duration::from_millis(5);
const NOTHING: Batch = Batch { datagrams: 0, overflows: 0 };
/// Datagrams queued before a flush, for each message of a batch.
const DATAGRAMS_PER_SLOT: usize = 16;
