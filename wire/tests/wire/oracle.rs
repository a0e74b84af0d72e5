//! The decision of `docs/wire.md` a second time: row by row over byte slices, hashed with `siphasher`.
//!
//! * Shares nothing with the crate: neither address, header, tag nor policy.
//! * Written for reading, not for speed.

use crate::table::Table;
use siphasher::sip::SipHasher24;
use std::hash::Hasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A reflector as the document describes it.
pub(crate) struct Oracle {
    /// `(id, secret)`, the first minting.
    pub(crate) keys: Vec<(u8, [u8; 16])>,
    pub(crate) table: Table,
    pub(crate) sends_ipv4: bool,
    pub(crate) sends_ipv6: bool,
    pub(crate) max_datagram: usize,
    pub(crate) answer_lifetime_s: u64,
    pub(crate) ticket_lifetime_s: u64,
}

/// What the document says becomes of a datagram.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    Drop(&'static str),
    Observe(Vec<u8>),
    Relay(SocketAddr, Vec<u8>),
}

impl Oracle {
    /// The table "The decision", one row after the other.
    pub(crate) fn decide(&self, datagram: &[u8], source: SocketAddr, now: u64) -> Expected {
        if datagram.len() < 32 {
            return Expected::Drop("short");
        }
        let probe = datagram[0] == 0x08;
        if datagram.len() > self.max_datagram || (probe && datagram.len() > 64) {
            return Expected::Drop("oversize");
        }
        if datagram[0] != 0x08 && datagram[0] != 0x0a {
            return Expected::Drop("kind");
        }
        if probe { self.observe(datagram, source, now) } else { self.relay(datagram, source, now) }
    }

    fn observe(&self, datagram: &[u8], source: SocketAddr, now: u64) -> Expected {
        if !self.table.permits(source) {
            return Expected::Drop("source");
        }
        let (id, secret) = self.keys[0];
        let expires = (now + self.ticket_lifetime_s).min(0xffff_ffff);
        let (address, port) = written(source);
        let tag = tag(&secret, 0x09, id, expires, &(address, port), &([0; 16], [0; 2]));
        Expected::Observe(rewritten(datagram, 0x09, id, expires, &(address, port), tag))
    }

    fn relay(&self, datagram: &[u8], source: SocketAddr, now: u64) -> Expected {
        let class_key = datagram[1];
        let Some((_, secret)) = self.keys.iter().find(|(id, _)| *id == class_key & 0x0f) else {
            return Expected::Drop("key");
        };
        let mut expires = u64::from(u32::from_be_bytes(datagram[4..8].try_into().unwrap()));
        if expires < now {
            return Expected::Drop("expired");
        }
        if expires > now + 600 {
            return Expected::Drop("lifetime");
        }
        let destination = read(&datagram[8..24], &datagram[2..4]);
        let family = if destination.is_ipv4() { self.sends_ipv4 } else { self.sends_ipv6 };
        if !self.table.permits(destination) || !family {
            return Expected::Drop("destination");
        }
        if destination.is_ipv6() && datagram.len() + 20 > self.max_datagram {
            return Expected::Drop("oversize");
        }
        let (from, to) = (written(source), written(destination));
        let mut tag = capability(secret, class_key, expires, &from, &to);
        if datagram[24..32] != tag || spells_ipv4(source) {
            return Expected::Drop("tag");
        }
        if 2 * (expires - now) < self.answer_lifetime_s {
            expires = (now + self.answer_lifetime_s).min(0xffff_ffff);
            tag = capability(secret, class_key, expires, &from, &to);
        }
        Expected::Relay(destination, rewritten(datagram, 0x0b, class_key, expires, &from, tag))
    }
}

/// Address and port as the header writes them.
pub(crate) type Written = ([u8; 16], [u8; 2]);

/// The 16 and 2 bytes of a socket address.
pub(crate) fn written(socket: SocketAddr) -> Written {
    let address = match socket.ip() {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
        }
        IpAddr::V6(ip) => ip.octets(),
    };
    (address, socket.port().to_be_bytes())
}

/// The tag of the document's picture.
pub(crate) fn tag(
    secret: &[u8; 16],
    purpose: u8,
    class_key: u8,
    expires: u64,
    low: &Written,
    high: &Written,
) -> [u8; 8] {
    let mut input = vec![purpose, class_key, 0, 0];
    input.extend_from_slice(&(expires as u32).to_be_bytes());
    input.extend_from_slice(&low.0);
    input.extend_from_slice(&high.0);
    input.extend_from_slice(&low.1);
    input.extend_from_slice(&high.1);
    input.extend_from_slice(&[0; 4]);
    assert_eq!(input.len(), 48);
    let mut hasher = SipHasher24::new_with_key(secret);
    hasher.write(&input);
    hasher.finish().to_le_bytes()
}

/// The capability of two addresses, in whichever order they are given.
pub(crate) fn capability(
    secret: &[u8; 16],
    class_key: u8,
    expires: u64,
    a: &Written,
    b: &Written,
) -> [u8; 8] {
    let (low, high) = if a <= b { (a, b) } else { (b, a) };
    tag(secret, 0x0a, class_key, expires, low, high)
}

/// A datagram with this header in front of the payload of `datagram`.
pub(crate) fn rewritten(
    datagram: &[u8],
    kind: u8,
    class_key: u8,
    expires: u64,
    peer: &Written,
    tag: [u8; 8],
) -> Vec<u8> {
    let mut bytes = vec![kind, class_key, peer.1[0], peer.1[1]];
    bytes.extend_from_slice(&(expires as u32).to_be_bytes());
    bytes.extend_from_slice(&peer.0);
    bytes.extend_from_slice(&tag);
    bytes.extend_from_slice(&datagram[32..]);
    bytes
}

fn read(address: &[u8], port: &[u8]) -> SocketAddr {
    let port = u16::from_be_bytes(port.try_into().unwrap());
    let address: [u8; 16] = address.try_into().unwrap();
    let ip = match address {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d] => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        other => IpAddr::V6(Ipv6Addr::from(other)),
    };
    SocketAddr::new(ip, port)
}

/// An IPv6 datagram from ::ffff:0:0/96 is not one from that IPv4 host, so no capability is its.
fn spells_ipv4(socket: SocketAddr) -> bool {
    socket.is_ipv6() && written(socket).0[..12] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]
}
