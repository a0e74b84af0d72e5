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
    /// Addresses, and pairs of them, that were taken back.
    pub(crate) revoked: Vec<Vec<SocketAddr>>,
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
        if ![0x08, 0x0a, 0x0d].contains(&datagram[0]) {
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
        let observed = written(source);
        let tag = tag(&secret, 0x09, id, expires, &observed, None);
        Expected::Observe(rewritten(datagram, 0x09, id, expires, &observed, tag))
    }

    fn relay(&self, datagram: &[u8], source: SocketAddr, now: u64) -> Expected {
        let (purpose, class_key) = (datagram[0], datagram[1]);
        let sealed = purpose == 0x0d;
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
        let from = written(source);
        let mut tag: [u8; 8] = datagram[24..32].try_into().unwrap();
        let mut to = (datagram[8..24].try_into().unwrap(), datagram[2..4].try_into().unwrap());
        if sealed {
            to = masked(secret, &tag, &from, &to);
        }
        let destination = read(&to);
        let proven =
            tag == capability(secret, purpose, class_key, expires, &from, &to) && !spells_ipv4(source);
        if sealed && !proven {
            return Expected::Drop("tag");
        }
        let family = if destination.is_ipv4() { self.sends_ipv4 } else { self.sends_ipv6 };
        if !self.table.permits(destination) || !family {
            return Expected::Drop("destination");
        }
        if destination.is_ipv6() && datagram.len() + 20 > self.max_datagram {
            return Expected::Drop("oversize");
        }
        if !proven {
            return Expected::Drop("tag");
        }
        let listed = |who: &[SocketAddr]| self.revoked.iter().any(|it| it.as_slice() == who);
        if listed(&[source])
            || listed(&[destination])
            || listed(&[source, destination])
            || listed(&[destination, source])
        {
            return Expected::Drop("revoked");
        }
        if 2 * (expires - now) < self.answer_lifetime_s {
            expires = (now + self.answer_lifetime_s).min(0xffff_ffff);
            tag = capability(secret, purpose, class_key, expires, &from, &to);
        }
        let field = if sealed { masked(secret, &tag, &to, &from) } else { from };
        Expected::Relay(destination, rewritten(datagram, purpose + 1, class_key, expires, &field, tag))
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

/// The tag of the document's picture; a ticket has no `high`.
pub(crate) fn tag(
    secret: &[u8; 16],
    purpose: u8,
    class_key: u8,
    expires: u64,
    low: &Written,
    high: Option<&Written>,
) -> [u8; 8] {
    let all_v4 = is_v4(low) && high.is_none_or(is_v4);
    let start = if all_v4 { 12 } else { 0 };
    let mut input = vec![purpose, class_key];
    input.extend_from_slice(&low.1);
    input.extend_from_slice(&(expires as u32).to_be_bytes());
    input.extend_from_slice(&low.0[start..]);
    if let Some(high) = high {
        input.extend_from_slice(&high.0[start..]);
        input.extend_from_slice(&high.1);
    }
    assert_eq!(input.len(), [[42, 24], [18, 12]][usize::from(all_v4)][usize::from(high.is_none())]);
    siphash(secret, &input)
}

/// The capability of two addresses, in whichever order they are given: purpose 0x0a, or 0x0d if it is sealed.
pub(crate) fn capability(
    secret: &[u8; 16],
    purpose: u8,
    class_key: u8,
    expires: u64,
    a: &Written,
    b: &Written,
) -> [u8; 8] {
    let (low, high) = if a <= b { (a, b) } else { (b, a) };
    tag(secret, purpose, class_key, expires, low, Some(high))
}

/// Port and address of a sealed header, masked or unmasked.
pub(crate) fn masked(secret: &[u8; 16], tag: &[u8; 8], holder: &Written, field: &Written) -> Written {
    let mask = |number: u8| {
        let mut input = tag.to_vec();
        input.push(0x0e + 16 * number);
        input.extend_from_slice(&holder.1);
        input.extend_from_slice(&holder.0[if is_v4(holder) { 12 } else { 0 }..]);
        assert!(input.len() == 15 || input.len() == 27);
        siphash(secret, &input)
    };
    let (mut address, mut port) = *field;
    let first = mask(0);
    (0..2).for_each(|at| port[at] ^= first[at]);
    if is_v4(field) {
        (0..4).for_each(|at| address[12 + at] ^= first[2 + at]);
    } else {
        let (high, low) = (mask(1), mask(2));
        (0..8).for_each(|at| address[at] ^= high[at]);
        (0..8).for_each(|at| address[8 + at] ^= low[at]);
    }
    (address, port)
}

fn is_v4(written: &Written) -> bool {
    written.0[..12] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]
}

fn siphash(secret: &[u8; 16], input: &[u8]) -> [u8; 8] {
    let mut hasher = SipHasher24::new_with_key(secret);
    hasher.write(input);
    hasher.finish().to_le_bytes()
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

fn read((address, port): &Written) -> SocketAddr {
    let ip = match *address {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d] => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        other => IpAddr::V6(Ipv6Addr::from(other)),
    };
    SocketAddr::new(ip, u16::from_be_bytes(*port))
}

/// An IPv6 datagram from ::ffff:0:0/96 is not one from that IPv4 host, so no capability is its.
fn spells_ipv4(socket: SocketAddr) -> bool {
    socket.is_ipv6() && is_v4(&written(socket))
}
