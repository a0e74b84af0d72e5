//! The Internet checksum, computed whole and from nothing but the bytes: the independent side of every comparison.
//!
//! * Nothing is updated incrementally here; [`carried`] says what an incremental update must come to, as arithmetic
//!   modulo 65,535, without doing one.
//!
//! Source: RFC 1071; RFC 768; RFC 8200, section 8.1; RFC 1624.

use std::net::IpAddr;

/// The checksum over an IPv4 header whose own checksum field is taken as zero.
pub(crate) fn of_ipv4_header(header: &[u8]) -> u16 {
    let mut sum = Sum::default();
    sum.add(&header[..10]);
    sum.add(&header[12..]);
    !sum.folded()
}

/// The checksum over a UDP datagram (header and payload, its own field taken as zero) and the pseudo header;
/// zero is written as 0xffff.
pub(crate) fn of_udp(source: IpAddr, destination: IpAddr, udp: &[u8]) -> u16 {
    let mut sum = pseudo_header(source, destination, udp.len());
    sum.add(&udp[..6]);
    sum.add(&udp[8..]);
    match !sum.folded() {
        0 => 0xffff,
        checksum => checksum,
    }
}

/// What a sender writes that leaves the rest to its network card: the sum of the pseudo header alone.
pub(crate) fn partial_udp(source: IpAddr, destination: IpAddr, udp_len: usize) -> u16 {
    pseudo_header(source, destination, udp_len).folded()
}

/// The checksum that must leave when `arrived` came in, where `right_before` would have been right for what came and
/// `right_after` would be right for what leaves: the same distance from right, modulo 65,535, never written as zero.
pub(crate) fn carried(arrived: u16, right_before: u16, right_after: u16) -> u16 {
    let distance = u32::from(arrived) + MODULUS - u32::from(right_before);
    match (u32::from(right_after) + distance) % MODULUS {
        0 => 0xffff,
        checksum => checksum as u16,
    }
}

fn pseudo_header(source: IpAddr, destination: IpAddr, udp_len: usize) -> Sum {
    let mut sum = Sum::default();
    for address in [source, destination] {
        match address {
            IpAddr::V4(ip) => sum.add(&ip.octets()),
            IpAddr::V6(ip) => sum.add(&ip.octets()),
        }
    }
    sum.0 += 17 + udp_len as u64;
    sum
}

/// A sum of 16-bit words, not yet folded.
#[derive(Default)]
struct Sum(u64);

impl Sum {
    /// Adds bytes as big-endian words; an odd last byte is the high half of a word.
    fn add(&mut self, bytes: &[u8]) {
        for word in bytes.chunks(2) {
            let low = word.get(1).copied().unwrap_or_default();
            self.0 += u64::from(u16::from_be_bytes([word[0], low]));
        }
    }

    fn folded(&self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        sum as u16
    }
}

const MODULUS: u32 = 0xffff;

/// Known checksums: an IPv4 header that many texts print, the words of RFC 1071, section 3, and an update by hand.
pub(crate) fn known_answers() {
    let header =
        [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7];
    assert_eq!(of_ipv4_header(&header), 0xb861);
    let mut sum = Sum::default();
    sum.add(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
    assert_eq!(sum.folded(), 0xddf2);
    assert_eq!(carried(0x1234, 0x1234, 0xffff), 0xffff, "right stays right");
    assert_eq!(carried(0x1235, 0x1234, 0xffff), 1, "wrong by one stays wrong by one");
    assert_eq!(carried(0x1233, 0x1234, 1), 0xffff, "zero is written as 0xffff");
}
