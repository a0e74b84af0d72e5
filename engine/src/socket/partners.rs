//! Which socket of a worker sends to which family.
//!
//! * A socket sends to its own family itself, and to the other through the first socket of that family.

use crate::socket::handler::SocketId;
use crate::socket::udp::Socket;
use std::net::SocketAddr;

/// The sockets that send to each family, for datagrams that came in by one socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Partners {
    v4: SocketId,
    v6: SocketId,
}

impl Partners {
    /// The partners of every socket of a worker, in order; where there is none, an id that no socket has.
    pub(crate) fn of(sockets: &[Socket]) -> Vec<Self> {
        let first = |ipv4: bool| sockets.iter().position(|socket| socket.local().is_ipv4() == ipv4);
        let none = SocketId(u8::MAX);
        sockets
            .iter()
            .enumerate()
            .map(|(index, socket)| {
                let own = SocketId(id(index));
                let other = first(!socket.local().is_ipv4()).map_or(none, |index| SocketId(id(index)));
                if socket.local().is_ipv4() {
                    Self { v4: own, v6: other }
                } else {
                    Self { v4: other, v6: own }
                }
            })
            .collect()
    }

    /// The socket that sends to this address.
    #[inline]
    pub(crate) fn sender_to(self, to: SocketAddr) -> SocketId {
        if to.is_ipv4() { self.v4 } else { self.v6 }
    }
}

/// The id of the socket at this place of a worker's list.
#[inline]
#[allow(clippy::cast_possible_truncation)] // A worker has a handful of sockets.
pub(crate) const fn id(index: usize) -> u8 {
    index as u8
}
