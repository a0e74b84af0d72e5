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
        let class_key = class << 4 | self.id;
        let mut header = [0; 32];
        header[0] = SEND;
        header[1] = class_key;
        header[2..4].copy_from_slice(&to.port().to_be_bytes());
        header[4..8].copy_from_slice(&expires.to_be_bytes());
        header[8..24].copy_from_slice(&sixteen(to.ip()));
        header[24..32].copy_from_slice(&self.capability(class_key, expires, from, to));
        header
    }

    /// A SEND that is good for five minutes.
    pub(crate) fn send(&self, from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
        [&self.send_header(0, now_s() + 300, from, to), payload].concat()
    }

    /// The capability of a pair.
    pub(crate) fn capability(&self, class_key: u8, expires: u32, a: SocketAddr, b: SocketAddr) -> [u8; 8] {
        let (mut low, mut high) = ((sixteen(a.ip()), a.port()), (sixteen(b.ip()), b.port()));
        if high < low {
            std::mem::swap(&mut low, &mut high);
        }
        self.tag(0x0a, class_key, expires, low, high)
    }

    /// The contact ticket of an address.
    pub(crate) fn ticket(&self, expires: u32, observed: SocketAddr) -> [u8; 8] {
        self.tag(0x09, self.id, expires, (sixteen(observed.ip()), observed.port()), ([0; 16], 0))
    }

    fn tag(
        &self,
        purpose: u8,
        class_key: u8,
        expires: u32,
        l: ([u8; 16], u16),
        h: ([u8; 16], u16),
    ) -> [u8; 8] {
        let mut message = vec![purpose, class_key, 0, 0];
        message.extend(expires.to_be_bytes());
        message.extend(l.0);
        message.extend(h.0);
        message.extend(l.1.to_be_bytes());
        message.extend(h.1.to_be_bytes());
        message.extend([0; 4]);
        assert_eq!(message.len(), 48);
        let mut hasher = SipHasher24::new_with_key(&self.secret);
        hasher.write(&message);
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
