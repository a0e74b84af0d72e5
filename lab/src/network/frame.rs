//! Ethernet frames with a UDP datagram inside: written, read, and their checksums recomputed from nothing.
//!
//! * Read are plain IPv4 without options and IPv6 without extension headers; fragments and all else are `None`.
//! * Checksums are summed over the bytes by the definition (RFC 1071), so that an incremental one is judged by another
//!   way of computing.

use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// A UDP datagram of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Source transport address.
    pub source: SocketAddr,
    /// Destination transport address.
    pub destination: SocketAddr,
    /// What UDP carries.
    pub payload: Vec<u8>,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// Whether every checksum holds; an absent one of IPv4's UDP does.
    pub checksums_hold: bool,
}

impl Datagram {
    /// Reads a frame; `None` unless it is a whole UDP datagram over plain IPv4 or IPv6.
    pub fn read(frame: &[u8]) -> Option<Self> {
        let (ethernet, packet) = frame.split_at_checked(ETHERNET_LEN)?;
        match ethernet.last_chunk()? {
            [0x08, 0x00] => read_ipv4(packet),
            [0x86, 0xdd] => read_ipv6(packet),
            _ => None,
        }
    }
}

/// The frame that carries a datagram, with good checksums; `None` if the addresses are of two families or the payload
/// does not fit.
pub fn write(
    to_mac: [u8; 6],
    from_mac: [u8; 6],
    source: SocketAddr,
    destination: SocketAddr,
    payload: &[u8],
) -> Option<Vec<u8>> {
    let length = u16::try_from(payload.len() + UDP_LEN).ok()?;
    let mut udp = [source.port(), destination.port(), length, 0].map(u16::to_be_bytes).concat();
    udp.extend_from_slice(payload);
    let sum = match checksum(&[&pseudo_header(source.ip(), destination.ip(), length), &udp]) {
        0 => 0xffff, // 0 would say that there is none (RFC 768).
        sum => sum,
    };
    udp.get_mut(6..8)?.copy_from_slice(&sum.to_be_bytes());
    let (kind, header) = match (source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let total = u16::try_from(udp.len() + IPV4_LEN).ok()?.to_be_bytes();
            let mut header = vec![0x45, 0, total[0], total[1], 0, 0, 0x40, 0, TTL, UDP, 0, 0];
            header.extend_from_slice(&from.octets());
            header.extend_from_slice(&to.octets());
            let sum = checksum(&[&header]).to_be_bytes();
            header.get_mut(10..12)?.copy_from_slice(&sum);
            ([0x08, 0x00], header)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let [high, low] = length.to_be_bytes();
            let mut header = vec![0x60, 0, 0, 0, high, low, UDP, TTL];
            header.extend_from_slice(&from.octets());
            header.extend_from_slice(&to.octets());
            ([0x86, 0xdd], header)
        }
        _ => return None,
    };
    Some([&to_mac[..], &from_mac, &kind, &header, &udp].concat())
}

fn read_ipv4(packet: &[u8]) -> Option<Datagram> {
    let (header, _) = packet.split_at_checked(IPV4_LEN)?;
    let &[0x45, _, t0, t1, _, _, f0, f1, hop_limit, UDP, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = header
    else {
        return None;
    };
    let is_fragment = u16::from_be_bytes([f0, f1]) & 0x3fff != 0;
    let udp = packet.get(IPV4_LEN..usize::from(u16::from_be_bytes([t0, t1])))?;
    let (from, to) = (IpAddr::from([s0, s1, s2, s3]), IpAddr::from([d0, d1, d2, d3]));
    let datagram = read_udp(from, to, hop_limit, udp, checksum(&[header]) == 0)?;
    (!is_fragment).then_some(datagram)
}

fn read_ipv6(packet: &[u8]) -> Option<Datagram> {
    let (header, rest) = packet.split_at_checked(IPV6_LEN)?;
    let &[0x60..=0x6f, _, _, _, l0, l1, UDP, hop_limit, ..] = header else { return None };
    let udp = rest.get(..usize::from(u16::from_be_bytes([l0, l1])))?;
    let address = |at: usize| Some(IpAddr::from(<[u8; 16]>::try_from(header.get(at..at + 16)?).ok()?));
    let datagram = read_udp(address(8)?, address(24)?, hop_limit, udp, true)?;
    Some(datagram)
}

fn read_udp(from: IpAddr, to: IpAddr, hop_limit: u8, udp: &[u8], header_holds: bool) -> Option<Datagram> {
    let (&[s0, s1, d0, d1, l0, l1, c0, c1], _) = udp.split_first_chunk()?;
    let length = u16::from_be_bytes([l0, l1]);
    let udp = udp.get(..usize::from(length))?;
    let absent = [c0, c1] == [0, 0];
    let sum_holds =
        if absent { from.is_ipv4() } else { checksum(&[&pseudo_header(from, to, length), udp]) == 0 };
    let at = |ip: IpAddr, port: [u8; 2]| match ip {
        IpAddr::V4(ip) => SocketAddr::V4(SocketAddrV4::new(ip, u16::from_be_bytes(port))),
        IpAddr::V6(ip) => SocketAddr::V6(SocketAddrV6::new(ip, u16::from_be_bytes(port), 0, 0)),
    };
    Some(Datagram {
        source: at(from, [s0, s1]),
        destination: at(to, [d0, d1]),
        payload: udp.get(UDP_LEN..)?.to_vec(),
        hop_limit,
        checksums_hold: header_holds && sum_holds,
    })
}

/// What UDP's checksum covers besides the datagram (RFC 768, RFC 8200 section 8.1).
fn pseudo_header(from: IpAddr, to: IpAddr, length: u16) -> Vec<u8> {
    let octets = |ip| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    [octets(from), octets(to), vec![0, UDP], length.to_be_bytes().to_vec()].concat()
}

/// The ones' complement of the ones' complement sum of the pieces, each of whole words but the last (RFC 1071).
fn checksum(pieces: &[&[u8]]) -> u16 {
    let words = pieces.iter().flat_map(|piece| piece.chunks(2));
    let sum: u64 = words
        .map(|word| match *word {
            [high, low] => u64::from(u16::from_be_bytes([high, low])),
            [high] => u64::from(u16::from_be_bytes([high, 0])),
            _ => 0,
        })
        .sum();
    let mut folded = sum;
    while folded > 0xffff {
        folded = (folded & 0xffff) + (folded >> 16);
    }
    let [.., high, low] = folded.to_be_bytes();
    !u16::from_be_bytes([high, low])
}

const ETHERNET_LEN: usize = 14;
const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;
const UDP_LEN: usize = 8;
/// UDP's protocol number.
const UDP: u8 = 17;
/// TTL and hop limit of frames written here.
const TTL: u8 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_a_flipped_bit_is_seen() {
        for (source, destination) in
            [("45.1.7.2:4000", "93.184.216.34:5000"), ("[2a00::1]:4000", "[2a00::2]:5000")]
        {
            let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
            for length in [0, 1, 31, 32, 1400] {
                let payload: Vec<u8> = (0..=255).cycle().take(length).collect();
                let frame = write([2; 6], [4; 6], source, destination, &payload).unwrap();
                let read = Datagram::read(&frame).unwrap();
                let whole = Datagram { source, destination, payload, hop_limit: 64, checksums_hold: true };
                assert_eq!(read, whole);
                let mut broken = frame.clone();
                *broken.last_mut().unwrap() ^= 1;
                assert!(Datagram::read(&broken).is_none_or(|read| !read.checksums_hold));
            }
        }
    }

    #[test]
    fn a_checksum_computed_elsewhere_holds() {
        // The IPv4 header of RFC 1071's usual worked example.
        let header =
            [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7];
        assert_eq!(checksum(&[&header]), 0);
    }

    #[test]
    fn a_fragment_is_no_datagram() {
        let (source, destination) = ("45.1.7.2:4000".parse().unwrap(), "45.2.7.2:5000".parse().unwrap());
        let mut frame = write([2; 6], [4; 6], source, destination, b"payload").unwrap();
        frame[20] = 0x20;
        assert_eq!(Datagram::read(&frame), None);
    }
}
