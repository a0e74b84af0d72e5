//! An Ethernet frame with a UDP datagram in it, field by field, and the bytes that it comes to.
//!
//! ```text
//! Ethernet (14) | VLAN tags (4 each) | IPv4 (20) or IPv6 (40) | options or extension headers | UDP (8) | payload | trailer
//! ```
//!
//! * Every field can be wrong on purpose; what is not said to be wrong is right.

use crate::checksum;
use std::net::{IpAddr, SocketAddr};

/// The fields of a frame.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) destination_mac: [u8; 6],
    pub(crate) source_mac: [u8; 6],
    pub(crate) tags: Vec<[u8; 4]>,
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    /// TOS or traffic class.
    pub(crate) class: u8,
    pub(crate) flow_label: u32,
    /// TTL or hop limit.
    pub(crate) hops: u8,
    /// IPv4 identification.
    pub(crate) id: u16,
    /// IPv4 flags and fragment offset.
    pub(crate) fragment: u16,
    /// IPv4 options, or IPv6 extension headers whose first has number `first_header`; whole words.
    pub(crate) options: Vec<u8>,
    pub(crate) first_header: u8,
    /// What is added to the IP length, the UDP length, and the IPv4 header checksum.
    pub(crate) ip_length_error: u16,
    pub(crate) udp_length_error: u16,
    pub(crate) header_checksum_error: u16,
    pub(crate) udp_checksum: Checksum,
    pub(crate) payload: Vec<u8>,
    pub(crate) trailer: Vec<u8>,
}

/// How the UDP checksum field is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checksum {
    Right,
    /// Right plus this, as a 16-bit number.
    Wrong(u16),
    /// The pseudo header's sum alone, as offloading leaves it.
    Partial,
    Absent,
}

impl Frame {
    /// A frame in which everything is right, as a sender would send it.
    pub(crate) fn new(source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> Self {
        assert_eq!(source.is_ipv4(), destination.is_ipv4(), "a frame has one family");
        Self {
            destination_mac: [0; 6],
            source_mac: [0; 6],
            tags: Vec::new(),
            source,
            destination,
            class: 0,
            flow_label: 0,
            hops: 64,
            id: 0,
            fragment: DONT_FRAGMENT,
            options: Vec::new(),
            first_header: UDP,
            ip_length_error: 0,
            udp_length_error: 0,
            header_checksum_error: 0,
            udp_checksum: Checksum::Right,
            payload: payload.to_vec(),
            trailer: Vec::new(),
        }
    }

    /// What is sent back and forth: the same frame with addresses, ports and MAC addresses of both sides.
    pub(crate) fn with_macs(mut self, destination: [u8; 6], source: [u8; 6]) -> Self {
        (self.destination_mac, self.source_mac) = (destination, source);
        self
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128 + self.payload.len());
        bytes.extend_from_slice(&self.destination_mac);
        bytes.extend_from_slice(&self.source_mac);
        for tag in &self.tags {
            bytes.extend_from_slice(tag);
        }
        let udp = self.udp();
        if self.source.is_ipv4() {
            bytes.extend_from_slice(&ETHERTYPE_IPV4.to_be_bytes());
            self.push_ipv4(&mut bytes, udp.len());
        } else {
            bytes.extend_from_slice(&ETHERTYPE_IPV6.to_be_bytes());
            self.push_ipv6(&mut bytes, udp.len());
        }
        bytes.extend_from_slice(&udp);
        bytes.extend_from_slice(&self.trailer);
        bytes
    }

    fn udp(&self) -> Vec<u8> {
        let length = (8 + self.payload.len()) as u16;
        let mut udp = Vec::with_capacity(usize::from(length));
        udp.extend_from_slice(&self.source.port().to_be_bytes());
        udp.extend_from_slice(&self.destination.port().to_be_bytes());
        udp.extend_from_slice(&length.wrapping_add(self.udp_length_error).to_be_bytes());
        udp.extend_from_slice(&[0, 0]);
        udp.extend_from_slice(&self.payload);
        let (source, destination) = (self.source.ip(), self.destination.ip());
        let right = checksum::of_udp(source, destination, &udp);
        let field = match self.udp_checksum {
            Checksum::Right => right,
            Checksum::Wrong(error) => right.wrapping_add(error),
            Checksum::Partial => checksum::partial_udp(source, destination, udp.len()),
            Checksum::Absent => 0,
        };
        udp[6..8].copy_from_slice(&field.to_be_bytes());
        udp
    }

    fn push_ipv4(&self, bytes: &mut Vec<u8>, udp_len: usize) {
        let (IpAddr::V4(source), IpAddr::V4(destination)) = (self.source.ip(), self.destination.ip()) else {
            panic!("both addresses are IPv4 here");
        };
        let header_len = 20 + self.options.len();
        let length = ((header_len + udp_len) as u16).wrapping_add(self.ip_length_error);
        let start = bytes.len();
        bytes.extend_from_slice(&[0x40 | (header_len / 4) as u8, self.class]);
        for half in [length, self.id, self.fragment] {
            bytes.extend_from_slice(&half.to_be_bytes());
        }
        bytes.extend_from_slice(&[self.hops, self.first_header, 0, 0]);
        bytes.extend_from_slice(&source.octets());
        bytes.extend_from_slice(&destination.octets());
        bytes.extend_from_slice(&self.options);
        let right = checksum::of_ipv4_header(&bytes[start..]);
        let field = right.wrapping_add(self.header_checksum_error);
        bytes[start + 10..start + 12].copy_from_slice(&field.to_be_bytes());
    }

    fn push_ipv6(&self, bytes: &mut Vec<u8>, udp_len: usize) {
        let (IpAddr::V6(source), IpAddr::V6(destination)) = (self.source.ip(), self.destination.ip()) else {
            panic!("both addresses are IPv6 here");
        };
        let length = ((self.options.len() + udp_len) as u16).wrapping_add(self.ip_length_error);
        let first = 6 << 28 | u32::from(self.class) << 20 | (self.flow_label & 0xf_ffff);
        bytes.extend_from_slice(&first.to_be_bytes());
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&[self.first_header, self.hops]);
        bytes.extend_from_slice(&source.octets());
        bytes.extend_from_slice(&destination.octets());
        bytes.extend_from_slice(&self.options);
    }
}

pub(crate) const ETHERTYPE_IPV4: u16 = 0x0800;
pub(crate) const ETHERTYPE_IPV6: u16 = 0x86dd;
pub(crate) const UDP: u8 = 17;
pub(crate) const DONT_FRAGMENT: u16 = 0x4000;
