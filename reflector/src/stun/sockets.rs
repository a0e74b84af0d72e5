//! The sockets that speak STUN, and which of them stands for another address, another port, or both.
//!
//! ```text
//!              port 1           port 2
//! address 1    --listen         stun only
//! address 2    stun only        --stun-alternate          (RFC 5780, section 6: all four, for each family)
//! ```
//!
//! * Every worker has one socket of each address, at the same places in its list; those of `--listen` come first.
//! * Which is whose alternate is read off the addresses themselves.

#![deny(clippy::disallowed_types)]

use ::stun::request::Change;
use engine::SocketId;
use std::net::{IpAddr, SocketAddr};

/// A worker's sockets.
#[derive(Clone, Debug)]
pub struct Sockets(Box<[Place]>);

impl Sockets {
    /// Sockets bound to these addresses, the first `listening` of them those of `--listen`, which the world may know by
    /// what is `advertised`.
    pub fn new(bound: &[SocketAddr], listening: usize, advertised: &[SocketAddr]) -> Self {
        let place = |(number, own): (usize, &SocketAddr)| {
            let find = |change: Change| {
                let at = bound.iter().position(|it| is_changed(*own, *it, change))?;
                Some(SocketId(u8::try_from(at).ok()?))
            };
            let others = || {
                let [ip, port, both] =
                    [(true, false), (false, true), (true, true)].map(|(ip, port)| find(Change { ip, port }));
                Some(Others { ip: ip?, port: port?, both: both? })
            };
            let advertised = advertised.iter().find(|it| it.is_ipv4() == own.is_ipv4());
            let stun_only = number >= listening;
            let known_as = advertised.filter(|_| !stun_only).unwrap_or(own);
            Place { known_as: *known_as, stun_only, others: others() }
        };
        Self(bound.iter().enumerate().map(place).collect())
    }

    /// Whether nothing but STUN is spoken at this socket.
    #[inline]
    pub fn speaks_stun_only(&self, socket: SocketId) -> bool {
        self.place(socket).is_some_and(|place| place.stun_only)
    }

    /// Whether an answer to what came to this socket may come from another address or port.
    pub fn has_others(&self, socket: SocketId) -> bool {
        self.place(socket).is_some_and(|place| place.others.is_some())
    }

    /// The socket that answers what came to `socket`.
    pub fn changed(&self, socket: SocketId, change: Change) -> SocketId {
        let others = self.place(socket).and_then(|place| place.others);
        match (others, change.ip, change.port) {
            (Some(others), true, true) => others.both,
            (Some(others), true, false) => others.ip,
            (Some(others), false, true) => others.port,
            _ => socket,
        }
    }

    /// The address that an answer of this socket comes from; on a wildcard socket the one that was called, if known.
    pub fn origin(&self, socket: SocketId, called: Option<IpAddr>) -> Option<SocketAddr> {
        let known_as = self.place(socket)?.known_as;
        match known_as.ip().is_unspecified() {
            true => called.map(|ip| SocketAddr::new(ip, known_as.port())),
            false => Some(known_as),
        }
    }

    /// The address that an answer with address and port changed comes from.
    pub fn other(&self, socket: SocketId) -> Option<SocketAddr> {
        self.origin(self.place(socket)?.others?.both, None)
    }

    fn place(&self, socket: SocketId) -> Option<&Place> {
        self.0.get(usize::from(socket.0))
    }
}

/// One socket.
#[derive(Clone, Copy, Debug)]
struct Place {
    known_as: SocketAddr,
    stun_only: bool,
    others: Option<Others>,
}

/// The sockets that a CHANGE-REQUEST means.
#[derive(Clone, Copy, Debug)]
struct Others {
    ip: SocketId,
    port: SocketId,
    both: SocketId,
}

fn is_changed(own: SocketAddr, other: SocketAddr, change: Change) -> bool {
    own.is_ipv4() == other.is_ipv4()
        && (own.ip() != other.ip()) == change.ip
        && (own.port() != other.port()) == change.port
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets(bound: &[&str], listening: usize, advertised: &[&str]) -> Sockets {
        let read = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
        Sockets::new(&read(bound), listening, &read(advertised))
    }

    #[test]
    fn every_socket_finds_its_others() {
        let bound =
            ["192.0.2.1:4000", "[2001:db8::1]:4000", "192.0.2.2:4001", "192.0.2.1:4001", "192.0.2.2:4000"];
        let sockets = sockets(&bound, 2, &[]);
        for (from, [ip, port, both]) in [(0, [4, 3, 2]), (2, [3, 4, 0]), (3, [2, 0, 4]), (4, [0, 2, 3])] {
            let from = SocketId(from);
            let changed = |ip, port| sockets.changed(from, Change { ip, port }).0;
            assert_eq!([changed(true, false), changed(false, true), changed(true, true)], [ip, port, both]);
            assert_eq!(changed(false, false), from.0);
            assert_eq!(sockets.other(from).unwrap().to_string(), bound[usize::from(both)]);
            assert_eq!(sockets.origin(from, None).unwrap().to_string(), bound[usize::from(from.0)]);
            assert_eq!((sockets.has_others(from), sockets.speaks_stun_only(from)), (true, from.0 > 1));
        }
        assert!(!sockets.has_others(SocketId(1)) && sockets.other(SocketId(1)).is_none());
        assert_eq!(sockets.changed(SocketId(1), Change { ip: true, port: true }), SocketId(1));
        assert!(!sockets.has_others(SocketId(9)), "no such socket");
    }

    #[test]
    fn the_origin_is_what_the_world_sees() {
        let wildcard = sockets(&["0.0.0.0:4000", "[::]:4000"], 2, &["[2001:db8::7]:5000"]);
        let called = Some(IpAddr::from([192, 0, 2, 9]));
        assert_eq!(wildcard.origin(SocketId(0), called).unwrap().to_string(), "192.0.2.9:4000");
        assert_eq!(wildcard.origin(SocketId(0), None), None);
        assert_eq!(wildcard.origin(SocketId(1), None).unwrap().to_string(), "[2001:db8::7]:5000");
    }
}
