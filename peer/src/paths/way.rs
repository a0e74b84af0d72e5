//! How a message to a peer goes, and how one of its messages came.

use crate::paths::headers::Ready;
use std::net::SocketAddr;
use wire::{Header, Kind};

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
    /// Through the reflector at `via`, under this DATA header.
    Reflected {
        /// The reflector.
        via: SocketAddr,
        /// The header, as it came.
        header: Header,
    },
}

impl Arrival {
    /// The way back.
    pub(crate) fn back(self) -> Way {
        match self {
            Self::Direct(source) => Way::Direct(source),
            Self::Reflected { via, header } => {
                let header = Header { kind: Kind::Send as u8, ..header };
                Way::Reflected(Ready { via, header })
            }
        }
    }
}
