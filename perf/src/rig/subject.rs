//! What is compared: relays, and the two limits that no relay can pass.
//!
//! * Every subject relays the same flows of the same payload; what stands before the payload is its own matter.
//! * The order of [`Subject::ALL`] is the order of every table and picture.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A relay, or a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// coturn, which relays ChannelData (RFC 8656, section 12.4).
    Coturn,
    /// This reflector on epoll with recvmmsg and sendmmsg.
    #[serde(alias = "mio")]
    Epoll,
    /// This reflector on io_uring.
    Uring,
    /// The bare socket forwarder: no check, the limit of a socket.
    Forwarder,
    /// This reflector's fast path at the driver.
    Xdp,
    /// The bare XDP swap: no check, the limit of the kernel and the interface.
    Swap,
}

impl Subject {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Coturn, Self::Epoll, Self::Uring, Self::Forwarder, Self::Xdp, Self::Swap];

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Coturn => "coturn",
            Self::Epoll => "reflector, epoll",
            Self::Uring => "reflector, uring",
            Self::Forwarder => "bare socket forwarder",
            Self::Xdp => "reflector, XDP",
            Self::Swap => "bare XDP swap",
        }
    }

    /// Whether it is this project's reflector.
    pub fn is_reflector(self) -> bool {
        matches!(self, Self::Epoll | Self::Uring | Self::Xdp)
    }

    /// Whether it only shows a limit: it checks nothing, and nobody could run it.
    pub fn is_limit(self) -> bool {
        matches!(self, Self::Forwarder | Self::Swap)
    }

    /// Bytes that stand between the UDP header and the payload on the way to the relay.
    pub fn head_bytes(self) -> u32 {
        match self {
            Self::Coturn => 4,
            _ => 32,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How datagrams follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Traffic {
    /// One by one, each of another flow, at random times.
    Singles,
    /// Sixteen of one flow at once, as video frames and file transfers come.
    Trains,
}

impl Traffic {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Singles, Self::Trains];

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Singles => "singles",
            Self::Trains => "trains of 16",
        }
    }

    /// As the generator's `--arrivals` reads it.
    pub fn arrivals(self) -> &'static str {
        match self {
            Self::Singles => "poisson",
            Self::Trains => "burst:16",
        }
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A subject under one kind of traffic: what a comparison measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The subject.
    pub subject: Subject,
    /// How datagrams follow each other.
    pub traffic: Traffic,
}
