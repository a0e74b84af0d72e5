//! How a message to a peer goes, and how one of its messages came.

use crate::paths::headers::Ready;
use std::net::SocketAddr;
use wire::{Header, Kind, TransportAddress};

/// A way to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From host to host.
    Direct(SocketAddr),
    /// Under a header, through its reflector.
    Reflected(Ready),
}

/// How a message of a peer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// From host to host, from this source.
    Direct(SocketAddr),
    /// Through the reflector at `via`, under this DATA or SEALED_DATA header.
    Reflected {
        /// The reflector.
        via: SocketAddr,
        /// The header, as it came.
        header: Header,
    },
}

impl Way {
    /// Whether neither side sees the other's address on this way.
    pub(crate) fn is_sealed(self) -> bool {
        matches!(self, Self::Reflected(ready) if ready.is_sealed())
    }
}

impl Arrival {
    /// The way back.
    pub(crate) fn back(self) -> Way {
        match self {
            Self::Direct(source) => Way::Direct(source),
            Self::Reflected { via, header } => Way::Reflected(Ready::back(via, header)),
        }
    }

    /// The address at a reflector that it shows; nothing if it came directly, or sealed.
    pub(crate) fn shown(self) -> Option<TransportAddress> {
        match self {
            Self::Reflected { header, .. } if header.kind == Kind::Data as u8 => Some(header.peer),
            _ => None,
        }
    }
}
