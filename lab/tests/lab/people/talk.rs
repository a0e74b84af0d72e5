//! What endpoints say to each other, as a captured datagram shows it: who to whom, by which way, and which packet.
//!
//! * Nothing is opened: a packet is known by its kind, its length, and the addresses around it (docs/peer.md).

use lab::Seen;
use lab::network::frame::Datagram;
use std::net::{IpAddr, SocketAddr};
use wire::{HEADER_LEN, Header, Kind};

/// One packet from endpoint to endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) carrier: Carrier,
    /// Its bytes as endpoints know them, whatever way they took.
    pub(crate) bytes: Vec<u8>,
    pub(crate) outgoing: bool,
}

/// How a packet travels where it was captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// From endpoint to endpoint.
    Direct { source: SocketAddr, destination: SocketAddr },
    /// To a reflector, for this peer.
    Send { reflector: SocketAddr, peer: SocketAddr },
    /// From a reflector, in the name of this peer.
    Data { reflector: SocketAddr, peer: SocketAddr },
}

impl Packet {
    /// Reads a datagram; `None` unless it carries a packet of an endpoint.
    pub(crate) fn read(seen: &Seen<Datagram>) -> Option<Self> {
        let Datagram { source, destination, payload, .. } = &seen.what;
        let kind = *payload.first()?;
        let outgoing = seen.outgoing;
        if kind == Kind::Peer as u8 {
            let carrier = Carrier::Direct { source: *source, destination: *destination };
            return Some(Self { carrier, bytes: payload.clone(), outgoing });
        }
        let (head, bytes) = payload.split_first_chunk::<HEADER_LEN>()?;
        let peer = Header::read(head).peer.to_socket();
        let carrier = if kind == Kind::Send as u8 {
            Carrier::Send { reflector: *destination, peer }
        } else if kind == Kind::Data as u8 {
            Carrier::Data { reflector: *source, peer }
        } else {
            return None;
        };
        (bytes.first() == Some(&(Kind::Peer as u8))).then(|| Self {
            carrier,
            bytes: bytes.to_vec(),
            outgoing,
        })
    }

    /// All packets among these, in their order.
    pub(crate) fn all(seen: &[Seen<Datagram>]) -> Vec<Self> {
        seen.iter().filter_map(Self::read).collect()
    }

    /// Whether it is the first message of a handshake.
    pub(crate) fn is_init(&self) -> bool {
        self.bytes.get(1) == Some(&1)
    }

    /// Whether it is the answer to one.
    pub(crate) fn is_response(&self) -> bool {
        self.bytes.get(1) == Some(&2)
    }

    pub(crate) fn is_direct(&self) -> bool {
        matches!(self.carrier, Carrier::Direct { .. })
    }

    /// The other end, seen from the endpoint at whose cable this was captured.
    pub(crate) fn peer(&self) -> IpAddr {
        match self.carrier {
            Carrier::Direct { destination, .. } if self.outgoing => destination.ip(),
            Carrier::Direct { source, .. } => source.ip(),
            Carrier::Send { peer, .. } | Carrier::Data { peer, .. } => peer.ip(),
        }
    }
}

impl Carrier {
    /// The reflector that it went to or came from.
    pub(crate) fn reflector(self) -> Option<SocketAddr> {
        match self {
            Self::Direct { .. } => None,
            Self::Send { reflector, .. } | Self::Data { reflector, .. } => Some(reflector),
        }
    }
}
