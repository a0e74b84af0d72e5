//! The protocol once more, written from `docs/wire.md` with plain bytes and `siphasher`, sharing nothing with `wire`.
//!
//! * Headers are arrays, offsets are those of the document's picture.

use siphasher::sip::SipHasher24;
use std::hash::Hasher;
use std::net::{IpAddr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) const PROBE: u8 = 0x08;
pub(crate) const OBSERVED: u8 = 0x09;
pub(crate) const SEND: u8 = 0x0a;
pub(crate) const DATA: u8 = 0x0b;
pub(crate) const SEALED_SEND: u8 = 0x0d;
pub(crate) const SEALED_DATA: u8 = 0x0e;

/// A key of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) id: u8,
    pub(crate) secret: [u8; 16],
}

impl Key {
    /// A key whose secret differs for every seed.
    pub(crate) fn new(id: u8, seed: u64) -> Self {
        let mut secret = [0x5a; 16];
        secret[..8].copy_from_slice(&seed.to_be_bytes());
        Self { id, secret }
    }

    /// Its table in a ring file.
    pub(crate) fn toml(&self) -> String {
        let digits: String = self.secret.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("[[key]]\nid = {}\nsecret = \"{digits}\"\n", self.id)
    }

    /// A SEND header by which `from` reaches `to` until `expires`.
    pub(crate) fn send_header(&self, class: u8, expires: u32, from: SocketAddr, to: SocketAddr) -> [u8; 32] {
        let tag = self.capability(SEND, class << 4 | self.id, expires, from, to);
        self.header(SEND, class, expires, (sixteen(to.ip()), to.port().to_be_bytes()), tag)
    }

    /// A SEALED_SEND header by which `from` reaches `to` until `expires`.
    pub(crate) fn sealed_header(
        &self,
        class: u8,
        expires: u32,
        from: SocketAddr,
        to: SocketAddr,
    ) -> [u8; 32] {
        let tag = self.capability(SEALED_SEND, class << 4 | self.id, expires, from, to);
        self.header(SEALED_SEND, class, expires, self.sealed(tag, from, to), tag)
    }

    fn header(
        &self,
        kind: u8,
        class: u8,
        expires: u32,
        (address, port): ([u8; 16], [u8; 2]),
        tag: [u8; 8],
    ) -> [u8; 32] {
        let mut header = [0; 32];
        header[..2].copy_from_slice(&[kind, class << 4 | self.id]);
        header[2..4].copy_from_slice(&port);
        header[4..8].copy_from_slice(&expires.to_be_bytes());
        header[8..24].copy_from_slice(&address);
        header[24..32].copy_from_slice(&tag);
        header
    }

    /// Address and port of `plain` in a sealed header with this tag that `holder` sends or receives.
    pub(crate) fn sealed(&self, tag: [u8; 8], holder: SocketAddr, plain: SocketAddr) -> ([u8; 16], [u8; 2]) {
        let mask = |number: u8| {
            let mut message = tag.to_vec();
            message.push(0x0e + 16 * number);
            message.extend(holder.port().to_be_bytes());
            message.extend(&sixteen(holder.ip())[if holder.is_ipv4() { 12 } else { 0 }..]);
            self.siphash(&message)
        };
        let (mut address, mut port) = (sixteen(plain.ip()), plain.port().to_be_bytes());
        let first = mask(0);
        port.iter_mut().zip(&first[..2]).for_each(|(byte, mask)| *byte ^= mask);
        let over = if plain.is_ipv4() { first[2..6].to_vec() } else { [mask(1), mask(2)].concat() };
        address[16 - over.len()..].iter_mut().zip(over).for_each(|(byte, mask)| *byte ^= mask);
        (address, port)
    }

    /// A SEND that is good for five minutes.
    pub(crate) fn send(&self, from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
        [&self.send_header(0, now_s() + 300, from, to), payload].concat()
    }

    /// The capability of a pair, for SEND or SEALED_SEND.
    pub(crate) fn capability(
        &self,
        kind: u8,
        class_key: u8,
        expires: u32,
        a: SocketAddr,
        b: SocketAddr,
    ) -> [u8; 8] {
        let (mut low, mut high) = ((sixteen(a.ip()), a.port()), (sixteen(b.ip()), b.port()));
        if high < low {
            std::mem::swap(&mut low, &mut high);
        }
        self.tag(kind, class_key, expires, low, Some(high))
    }

    /// The contact ticket of an address.
    pub(crate) fn ticket(&self, expires: u32, observed: SocketAddr) -> [u8; 8] {
        self.tag(OBSERVED, self.id, expires, (sixteen(observed.ip()), observed.port()), None)
    }

    fn tag(
        &self,
        purpose: u8,
        class_key: u8,
        expires: u32,
        l: ([u8; 16], u16),
        h: Option<([u8; 16], u16)>,
    ) -> [u8; 8] {
        let is_v4 = |ip: &[u8; 16]| ip[..10] == [0; 10] && ip[10..12] == [0xff; 2];
        let start = if is_v4(&l.0) && h.is_none_or(|h| is_v4(&h.0)) { 12 } else { 0 };
        let mut message = vec![purpose, class_key];
        message.extend(l.1.to_be_bytes());
        message.extend(expires.to_be_bytes());
        message.extend(&l.0[start..]);
        if let Some(h) = h {
            message.extend(&h.0[start..]);
            message.extend(h.1.to_be_bytes());
        }
        self.siphash(&message)
    }

    fn siphash(&self, message: &[u8]) -> [u8; 8] {
        let mut hasher = SipHasher24::new_with_key(&self.secret);
        hasher.write(message);
        hasher.finish().to_le_bytes()
    }
}

/// A PROBE with this payload.
pub(crate) fn probe(payload: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0; 32];
    datagram[0] = PROBE;
    datagram.extend(payload);
    datagram
}

/// The address and port that a header names.
pub(crate) fn peer(datagram: &[u8]) -> SocketAddr {
    let port = u16::from_be_bytes(datagram[2..4].try_into().unwrap());
    let address: [u8; 16] = datagram[8..24].try_into().unwrap();
    let v4 = address[..10] == [0; 10] && address[10..12] == [0xff; 2];
    let ip =
        if v4 { IpAddr::from(<[u8; 4]>::try_from(&address[12..]).unwrap()) } else { IpAddr::from(address) };
    SocketAddr::new(ip, port)
}

/// When the tag of a header ends, unix s.
pub(crate) fn expires(datagram: &[u8]) -> u32 {
    u32::from_be_bytes(datagram[4..8].try_into().unwrap())
}

/// Unix time, s.
pub(crate) fn now_s() -> u32 {
    u32::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

fn sixteen(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}
