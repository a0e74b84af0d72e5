//! The 32 bytes in front of every datagram, as a value.
//!
//! ```text
//! offset  0        1        2                 4                          8
//!         +--------+--------+-----------------+--------------------------+
//!         | kind   | cls|key| port (BE)       | expires (BE, unix s)     |
//!       8 +--------+--------+-----------------+--------------------------+
//!         | address: 16 bytes; IPv4 as ::ffff:a.b.c.d                    |
//!      24 +--------------------------------------------------------------+
//!         | tag: SipHash-2-4, 64 bits, little-endian                     |
//!      32 +--------------------------------------------------------------+
//! ```
//!
//! * Any 32 bytes are a header; which headers are accepted is for `decide` to say.

use crate::address::TransportAddress;

/// Bytes of a header.
pub const HEADER_LEN: usize = 32;

/// The fields of a header, each in host order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Byte 0: see [`Kind`].
    pub kind: u8,
    /// Byte 1: rate class in the high nibble, key id in the low one.
    pub class_key: u8,
    /// Unix seconds after which the tag proves nothing.
    pub expires: u32,
    /// Destination in a SEND, source in a DATA, reflexive address in an OBSERVED; masked in a SEALED_SEND and a
    /// SEALED_DATA, see [`crate::seal`].
    pub peer: TransportAddress,
    /// Capability or contact ticket.
    pub tag: u64,
}

impl Header {
    /// Reads the fields of 32 bytes.
    #[inline(always)]
    pub fn read(bytes: &[u8; HEADER_LEN]) -> Self {
        let [kind, class_key, p0, p1, e0, e1, e2, e3, rest @ ..] = bytes;
        let (address, tag) = split_24(rest);
        Self {
            kind: *kind,
            class_key: *class_key,
            expires: u32::from_be_bytes([*e0, *e1, *e2, *e3]),
            peer: TransportAddress {
                address: u128::from_be_bytes(address),
                port: u16::from_be_bytes([*p0, *p1]),
            },
            tag: u64::from_le_bytes(tag),
        }
    }

    /// Writes all 32 bytes.
    #[inline(always)]
    pub fn write(&self, bytes: &mut [u8; HEADER_LEN]) {
        let [p0, p1] = self.peer.port.to_be_bytes();
        let head = [self.kind, self.class_key, p0, p1];
        let (a, rest) = bytes.split_at_mut(4);
        let (b, rest) = rest.split_at_mut(4);
        let (c, d) = rest.split_at_mut(16);
        a.copy_from_slice(&head);
        b.copy_from_slice(&self.expires.to_be_bytes());
        c.copy_from_slice(&self.peer.address.to_be_bytes());
        d.copy_from_slice(&self.tag.to_le_bytes());
    }

    /// The 32 bytes of this header.
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        self.write(&mut bytes);
        bytes
    }
}

/// The kinds of datagram, byte 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Endpoint asks a reflector for its reflexive transport address.
    Probe = 0x08,
    /// A reflector's answer to a PROBE: the address and a contact ticket for it.
    Observed = 0x09,
    /// Endpoint sends to the destination in the header.
    Send = 0x0a,
    /// A SEND after the reflector's swap: the header names the source and carries the right to answer.
    Data = 0x0b,
    /// Endpoints' own protocol; a reflector drops it.
    Peer = 0x0c,
    /// A SEND whose destination only the reflector can read.
    SealedSend = 0x0d,
    /// A SEALED_SEND after the reflector's swap: a DATA whose source only the reflector can read.
    SealedData = 0x0e,
}

#[inline(always)]
fn split_24(bytes: &[u8; 24]) -> ([u8; 16], [u8; 8]) {
    let mut address = [0; 16];
    let mut tag = [0; 8];
    let (a, t) = bytes.split_at(16);
    address.copy_from_slice(a);
    tag.copy_from_slice(t);
    (address, tag)
}
