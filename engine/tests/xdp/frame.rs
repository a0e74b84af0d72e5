//! Frames: made, taken apart, and their checksums verified by a plain sum over all that they cover (RFC 1071).

use std::net::{IpAddr, SocketAddr};

/// The Ethernet address of the neighbour that every frame comes from.
pub(crate) const NEIGHBOUR: [u8; 6] = [2, 0, 0, 0, 0, 9];

/// An Ethernet frame to `mac`.
pub(crate) fn build(mac: [u8; 6], source: SocketAddr, local: SocketAddr, datagram: &[u8]) -> Vec<u8> {
    let udp_len = (8 + datagram.len()) as u16;
    let mut frame = [mac, NEIGHBOUR].concat();
    match (source.ip(), local.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            frame.extend([8, 0, 0x45, 0xb8]);
            frame.extend((20 + udp_len).to_be_bytes());
            frame.extend([0x12, 0x34, 0, 0, 57, 17, 0, 0]);
            frame.extend(from.octets());
            frame.extend(to.octets());
            let check = !sum(&frame[14..34]);
            frame[24..26].copy_from_slice(&check.to_be_bytes());
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            frame.extend([0x86, 0xdd, 0x6b, 0x8a, 0xbc, 0xde]);
            frame.extend(udp_len.to_be_bytes());
            frame.extend([17, 33]);
            frame.extend(from.octets());
            frame.extend(to.octets());
        }
        _ => panic!("one family"),
    }
    frame.extend(source.port().to_be_bytes());
    frame.extend(local.port().to_be_bytes());
    frame.extend(udp_len.to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(datagram);
    let at = payload_at(&frame) - 2;
    let check = match !udp_sum(&frame) {
        0 => 0xffff,
        check => check,
    };
    frame[at..at + 2].copy_from_slice(&check.to_be_bytes());
    frame
}

/// Where the datagram starts.
pub(crate) fn payload_at(frame: &[u8]) -> usize {
    if is_v4(frame) { 42 } else { 62 }
}

pub(crate) fn is_v4(frame: &[u8]) -> bool {
    frame[12..14] == [8, 0]
}

/// Whether both checksums are right.
pub(crate) fn is_sound(frame: &[u8]) -> bool {
    (!is_v4(frame) || sum(&frame[14..34]) == 0xffff) && udp_sum(frame) == 0xffff
}

/// The sum over pseudo-header, UDP header and datagram; 0xffff if the checksum in it is right.
pub(crate) fn udp_sum(frame: &[u8]) -> u16 {
    let (addresses, udp) = if is_v4(frame) { (26..34, &frame[34..]) } else { (22..54, &frame[54..]) };
    let mut covered = frame[addresses].to_vec();
    covered.extend([0, 17]);
    covered.extend((udp.len() as u16).to_be_bytes());
    covered.extend(udp);
    sum(&covered)
}

fn sum(bytes: &[u8]) -> u16 {
    let words =
        bytes.chunks(2).map(|pair| u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0)));
    let mut sum: u64 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The frame that must leave: to the neighbour, from `local` to `to`, with this datagram, everything else as
/// docs/wire.md says under "What leaves".
pub(crate) fn expected(mac: [u8; 6], local: SocketAddr, to: SocketAddr, datagram: &[u8]) -> Vec<u8> {
    let mut frame = build(mac, local, to, datagram);
    frame[..6].copy_from_slice(&NEIGHBOUR);
    frame[6..12].copy_from_slice(&mac);
    if is_v4(&frame) {
        frame[15] = 0;
        frame[18..24].copy_from_slice(&[0, 0, 0x40, 0, 64, 17]);
        frame[24..26].copy_from_slice(&[0, 0]);
        let check = !sum(&frame[14..34]);
        frame[24..26].copy_from_slice(&check.to_be_bytes());
    } else {
        frame[14..18].copy_from_slice(&[0x60, 0, 0, 0]);
        frame[21] = 64;
    }
    assert!(is_sound(&frame));
    frame
}
