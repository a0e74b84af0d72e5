//! What a worker does with datagrams, and what the engines tell it: the one interface that both engines call.
//!
//! * The engine pushes: the handler works on the engine's own buffer, so bytes never move.
//! * For each batch an engine calls `begin_batch`, `handle` for each datagram, and `end_batch`; `sent` may come batches later.

#![deny(clippy::disallowed_types)]

use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};

/// What a worker does with datagrams; the engine calls it on its own thread.
pub trait Handler {
    /// Comes back with what became of a datagram, so that the handler knows which kind it was.
    type Label: Label;

    /// Called before the first datagram of a batch: the place to read a clock once.
    fn begin_batch(&mut self);

    /// Decides one datagram, rewriting it in place if it is to be sent.
    fn handle(&mut self, arrival: Arrival<'_>) -> Action<Self::Label>;

    /// Says what the kernel answered to datagrams that were handed to it; with some engines batches later.
    fn sent(&mut self, sent: Sent<Self::Label>);

    /// Called after the sends of a batch: the place to publish counters once. A batch without datagrams brings what
    /// became of earlier sends, and had no beginning.
    fn end_batch(&mut self, batch: Batch);
}

/// Names the kind of a datagram from the decision until the kernel has answered. `Default` only fills memory in advance.
pub trait Label: Copy + Debug + Default + Eq {}

impl<L: Copy + Debug + Default + Eq> Label for L {}

/// One datagram as it arrived.
#[derive(Debug)]
pub struct Arrival<'a> {
    /// Its bytes, in the engine's buffer; a GRO train arrives as its single datagrams.
    pub datagram: &'a mut [u8],
    /// Room for an answer that is longer than its request, [`SCRATCH_LEN`] bytes.
    pub scratch: &'a mut [u8],
    /// Where it came from.
    pub source: SocketAddr,
    /// The address that it was sent to; known only on a wildcard socket.
    pub local: Option<IpAddr>,
    /// The socket that it arrived on.
    pub socket: SocketId,
    /// Whether the kernel delivered it whole.
    pub condition: Condition,
}

/// Whether the kernel delivered a datagram whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// All bytes and all control data.
    Whole,
    /// Longer than the buffer (MSG_TRUNC).
    Cut,
    /// Control data was lost (MSG_CTRUNC), so neither segments nor addresses can be trusted.
    ControlCut,
}

/// What is to be done with a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<L> {
    /// Nothing is sent.
    Drop,
    /// The datagram's own bytes go to `to`: from the socket it came on, or from that socket's partner if `to` is of
    /// the other family.
    InPlace {
        /// Transport address that the datagram is sent to.
        to: SocketAddr,
        /// Comes back in [`Sent::label`].
        label: L,
    },
    /// The first `len` bytes of the scratch go to `to` from the socket named.
    Scratch {
        /// Bytes written.
        len: usize,
        /// Transport address that the datagram is sent to.
        to: SocketAddr,
        /// The socket to send from.
        socket: SocketId,
        /// Comes back in [`Sent::label`].
        label: L,
    },
}

/// What became of datagrams of one label, sent to one destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent<L> {
    /// The label of the action.
    pub label: L,
    /// How many datagrams.
    pub datagrams: u32,
    /// Their UDP payload bytes.
    pub bytes: u64,
    /// The kernel's answer.
    pub outcome: Result<(), SendError>,
}

/// What a batch was, for histograms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Datagrams received.
    pub datagrams: u32,
    /// Datagrams that the kernel dropped since the last batch because the receive queue was full (SO_RXQ_OVFL).
    pub overflows: u32,
}

/// A socket of a worker, by its place in the worker's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u8);

/// Why the kernel refused a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SendError {
    /// No room (EAGAIN, ENOBUFS).
    Again,
    /// Longer than the path takes (EMSGSIZE).
    Size,
    /// No route (ENETUNREACH, EHOSTUNREACH).
    Unreachable,
    /// Refused here (EPERM, EACCES, ECONNREFUSED).
    Refused,
    /// Anything else.
    Other,
}

impl SendError {
    /// Every kind of error.
    pub const ALL: [Self; 5] = [Self::Again, Self::Size, Self::Unreachable, Self::Refused, Self::Other];

    /// The kind of an errno.
    pub fn from_errno(errno: i32) -> Self {
        match errno {
            libc::EAGAIN | libc::ENOBUFS => Self::Again,
            libc::EMSGSIZE => Self::Size,
            libc::ENETUNREACH | libc::EHOSTUNREACH => Self::Unreachable,
            libc::EPERM | libc::EACCES | libc::ECONNREFUSED => Self::Refused,
            _ => Self::Other,
        }
    }

    /// The word that metrics and documents use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Again => "again",
            Self::Size => "size",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::Other => "other",
        }
    }
}

/// Bytes of [`Arrival::scratch`].
pub const SCRATCH_LEN: usize = 256;
