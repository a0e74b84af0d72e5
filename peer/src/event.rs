//! What a core asks of its driver and tells the application.
//!
//! * Every [`Request`] is answered once, with what the access server said or that it said nothing.
//! * Nothing here needs an answer within a time; a core goes on without.

use nat::Behaviour;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;
use wire::json::login::{ContactProof, RefreshRequest};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// To be asked of the access server; answered by `handle_login`, `handle_lost_session` or `handle_failure`.
    Request(Request),
    /// The local port is to be given up for a new one; answered by `handle_rebound`.
    Rebind,
    /// The access server let us in, or renewed the lease; the profile is fresh.
    LoggedIn,
    /// The access server cannot be asked, or refuses; it will be asked again.
    AccessFailed {
        /// How often in a row.
        times: u32,
    },
    /// The own contact at a reflector is another than before, or the first.
    Contact {
        /// The transport address, as the reflector sees it.
        address: SocketAddr,
    },
    /// A buddy's device came or went.
    Presence {
        /// Which.
        peer: PeerId,
        /// Whether it is there now.
        online: bool,
    },
    /// A datagram of the application arrived.
    Datagram {
        /// From whom.
        peer: PeerId,
        /// As it was sent.
        bytes: Vec<u8>,
    },
    /// A reliable message arrived; once, and in order.
    Message {
        /// From whom.
        peer: PeerId,
        /// As it was sent.
        bytes: Vec<u8>,
    },
    /// A reliable message was acknowledged, or will not be.
    Delivery {
        /// To whom.
        peer: PeerId,
        /// What sending it returned.
        ticket: u64,
        /// Whether it arrived.
        arrived: bool,
    },
    /// Datagrams to the peer take another path now.
    Path {
        /// To whom.
        peer: PeerId,
        /// The new path.
        path: Path,
        /// Why it is taken.
        why: Why,
    },
}

/// A call of the access server's HTTP interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `POST /v1/challenge`, then `/v1/login`.
    Login {
        /// The own NAT.
        nat: Behaviour,
        /// Where we can be reached.
        contacts: Vec<ContactProof>,
    },
    /// `POST /v1/refresh`.
    Refresh(RefreshRequest),
    /// `POST /v1/logout`; nothing is answered.
    Logout,
}

/// A device that may be talked to, by a number that holds as long as the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub(crate) u32);

/// The way of datagrams to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// From host to host.
    Direct(SocketAddr),
    /// Through the reflector at this address.
    Reflected(SocketAddr),
    /// There is none that we know.
    Unknown,
}

/// Why datagrams take the way they take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// One of the two hides its address.
    Hidden,
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
            Self::Hidden => "one of the two hides its address",
            Self::NoHeader => "the two share no reflector yet",
        })
    }
}

/// A datagram to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub destination: SocketAddr,
    /// The UDP payload.
    pub bytes: Vec<u8>,
}
