//! What a run of the load programs is to do: who sends, who receives, when, and what is wrong on purpose.
//!
//! * Plain values, all decided before anything is loaded; [`super::layout`] checks them and turns them into words.

use std::net::SocketAddr;

/// What is decided before anything is loaded.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The relay that everything is sent to.
    pub relay: SocketAddr,
    /// The Ethernet address of the next hop towards it.
    pub next_hop: [u8; 6],
    /// The mark of the run, its low 56 bits.
    pub run: u64,
    /// How many flows there are, at most [`MAX_FLOWS`].
    pub flows: u32,
    /// Bytes between the UDP header and the stamp: of every head, a multiple of 4, at most [`MAX_HEAD_LEN`].
    pub head_len: usize,
    /// Bytes behind the head, stamp included: 24 or more, and a frame that the interface takes whole.
    pub payload_len: usize,
    /// What stands before the stamp in what arrives.
    pub arriving: Arriving,
    /// When it is sent.
    pub times: Times,
    /// The workers, each with its flows and its pace.
    pub workers: Vec<Pace>,
    /// Datagrams that are wrong on purpose.
    pub faults: Vec<Faults>,
}

/// What stands before the stamp of a datagram that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arriving {
    /// The 32 bytes of a DATA header that names the sender's contact.
    Data,
    /// Nothing: the relay took the head off.
    Bare,
    /// The head as it was sent: the relay did not touch it.
    Untouched,
}

/// The times of a run, boot time in ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The first intended time.
    pub start_ns: u64,
    /// The start of the measured phase; its end is `end_ns`.
    pub measured_ns: u64,
    /// No datagram is intended from here on.
    pub end_ns: u64,
    /// The length of a slice of the measured phase, at most [`MAX_SLICES`] of them.
    pub slice_ns: u64,
}

/// How one worker sends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Its first flow.
    pub first_flow: u32,
    /// How many flows it has.
    pub flows: u32,
    /// Its first intended time less [`Times::start_ns`], ns.
    pub phase_ns: u64,
    /// The mean time between two intended times, ns.
    pub gap_ns: f64,
    /// Exponential gaps and flows drawn at random, or even gaps and flows in turn.
    pub poisson: bool,
    /// Datagrams of one flow at one intended time.
    pub burst: u32,
    /// Of the random numbers.
    pub seed: u64,
}

/// One kind of fault: how often, and the datagrams that show it.
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    /// The fraction of all datagrams, 0 to 1.
    pub share: f64,
    /// Some, drawn from at random.
    pub samples: Vec<Sample>,
}

/// A datagram that is wrong on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The flow whose sender sends it.
    pub flow: u32,
    /// The bytes in front of its payload, as many as the plan says.
    pub head: Vec<u8>,
    /// Its UDP payload, bytes.
    pub len: usize,
}

/// A flow: who sends, who receives, and from where the receiver sees it come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The sender.
    pub from: SocketAddr,
    /// The receiver.
    pub to: SocketAddr,
    /// The transport address that the receiver gets it from: the relay's, or one that the relay keeps for the sender,
    /// of the same IP address.
    pub via: SocketAddr,
    /// The sender as a DATA header names it.
    pub contact: SocketAddr,
    /// The row that it is counted in, below [`CELLS`].
    pub cell: u8,
}

/// Flows of one run.
pub const MAX_FLOWS: u32 = 1 << 20;
/// Bytes of the longest head.
pub const MAX_HEAD_LEN: usize = 32;
/// Slices of a measured phase.
pub const MAX_SLICES: u64 = 300;
/// Rows that flows are counted in.
pub const CELLS: usize = 128;
