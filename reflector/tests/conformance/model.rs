//! What the XDP program must do with a frame, written from the documents and not from the program.
//!
//! ```text
//! ours? (else: not counted) -> plain? possible source? (else: pass) -> denied -> STUN? (pass) -> decide -> other family?
//! next hop? (else: pass) -> budget -> the frame that leaves
//! ```
//!
//! * Ours is UDP in one piece, without options or extension headers, to the listening address and to our MAC address.
//! * Parses with slices and computes every checksum whole; the program does neither.
//! * What leaves is built anew from its fields, so a stale byte anywhere is noticed.
//! * Whatever leads to "pass" comes before whatever spends a budget: the socket path sees what it would have seen.

use crate::budget::Budgets;
use crate::checksum;
use crate::frame::{Checksum, DONT_FRAGMENT, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Frame, UDP};
use crate::outcome::{FrameOutcome, Outcome};
use crate::reference::Reference;
use crate::setup::{Hop, Setup};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use wire::Reason;

/// What becomes of a frame that arrives on an interface with this MAC address.
pub(crate) fn expect(
    frame: &[u8],
    own_mac: [u8; 6],
    reference: &Reference<'_>,
    budgets: &mut Budgets,
) -> FrameOutcome {
    let setup = reference.setup;
    let Some(ours) = parse(frame).filter(|it| is_ours(it, own_mac, setup)) else {
        return FrameOutcome::NotOurs;
    };
    if !is_whole(&ours) || stack_refuses(ours.source.ip(), setup) {
        return FrameOutcome::Passed;
    }
    let outcome = reference.judge(ours.source, ours.payload());
    if setup.stun && outcome != Outcome::Dropped(Reason::Denied) && starts_like_stun(ours.payload()) {
        return FrameOutcome::Passed;
    }
    if goes_to_the_other_family(&ours, &outcome, setup) {
        return FrameOutcome::Passed;
    }
    let next = match &outcome {
        Outcome::Dropped(reason) => return FrameOutcome::Dropped(*reason),
        Outcome::Observed(_) => ours.source,
        Outcome::Relayed(to, _) => *to,
    };
    if !next_hop_is(next.ip(), ours.source_mac, setup) {
        return FrameOutcome::Passed;
    }
    match reference.spend(outcome, ours.source, ours.payload(), budgets) {
        Outcome::Dropped(reason) => FrameOutcome::Dropped(reason),
        Outcome::Observed(payload) => FrameOutcome::Observed(leaving(&ours, next, &payload)),
        Outcome::Relayed(_, payload) => FrameOutcome::Relayed(leaving(&ours, next, &payload)),
    }
}

/// A frame with a UDP header where a plain one has it; lengths and checksums may still be anything.
struct Arrived<'a> {
    destination_mac: [u8; 6],
    source_mac: [u8; 6],
    source: SocketAddr,
    destination: SocketAddr,
    /// The IPv4 header; empty for IPv6, which has no checksum of its own.
    ipv4: &'a [u8],
    /// Bytes behind the IP header, as the IP header says.
    ip_payload_len: usize,
    /// Everything behind the IP header, to the end of the frame.
    rest: &'a [u8],
}

impl<'a> Arrived<'a> {
    fn udp_len(&self) -> usize {
        usize::from(half(self.rest, 4))
    }

    fn udp_checksum(&self) -> u16 {
        half(self.rest, 6)
    }

    fn udp(&self) -> &'a [u8] {
        &self.rest[..self.udp_len()]
    }

    fn payload(&self) -> &'a [u8] {
        &self.udp()[8..]
    }

    fn trailer(&self) -> &'a [u8] {
        &self.rest[self.udp_len()..]
    }
}

fn parse(frame: &[u8]) -> Option<Arrived<'_>> {
    let (ethernet, packet) = frame.split_at_checked(14)?;
    match half(ethernet, 12) {
        ETHERTYPE_IPV4 => parse_ipv4(ethernet, packet),
        ETHERTYPE_IPV6 => parse_ipv6(ethernet, packet),
        _ => None,
    }
}

fn parse_ipv4<'a>(ethernet: &[u8], packet: &'a [u8]) -> Option<Arrived<'a>> {
    let (ip, rest) = packet.split_at_checked(20)?;
    let plain = ip[0] == 0x45 && half(ip, 6) & MORE_OR_OFFSET == 0 && ip[9] == UDP;
    if !plain || rest.len() < 8 {
        return None;
    }
    let address = |at: usize| -> IpAddr { Ipv4Addr::new(ip[at], ip[at + 1], ip[at + 2], ip[at + 3]).into() };
    Some(Arrived {
        destination_mac: ethernet[..6].try_into().ok()?,
        source_mac: ethernet[6..12].try_into().ok()?,
        source: SocketAddr::new(address(12), half(rest, 0)),
        destination: SocketAddr::new(address(16), half(rest, 2)),
        ipv4: ip,
        ip_payload_len: usize::from(half(ip, 2)).saturating_sub(20),
        rest,
    })
}

fn parse_ipv6<'a>(ethernet: &[u8], packet: &'a [u8]) -> Option<Arrived<'a>> {
    let (ip, rest) = packet.split_at_checked(40)?;
    if ip[0] >> 4 != 6 || ip[6] != UDP || rest.len() < 8 {
        return None;
    }
    let address = |at: usize| -> IpAddr {
        let bytes: [u8; 16] = ip[at..at + 16].try_into().unwrap();
        Ipv6Addr::from(bytes).into()
    };
    Some(Arrived {
        destination_mac: ethernet[..6].try_into().ok()?,
        source_mac: ethernet[6..12].try_into().ok()?,
        source: SocketAddr::new(address(8), half(rest, 0)),
        destination: SocketAddr::new(address(24), half(rest, 2)),
        ipv4: &[],
        ip_payload_len: usize::from(half(ip, 4)),
        rest,
    })
}

fn is_ours(arrived: &Arrived<'_>, own_mac: [u8; 6], setup: &Setup) -> bool {
    let listening = [setup.listen_v4.map(SocketAddr::V4), setup.listen_v6.map(SocketAddr::V6)];
    let listens = listening.into_iter().flatten().any(|listen| {
        let to = arrived.destination;
        let address = if listen.ip().is_unspecified() {
            listen.is_ipv4() == to.is_ipv4() && setup.is_local(to.ip())
        } else {
            listen.ip() == to.ip()
        };
        address && listen.port() == to.port()
    });
    listens && arrived.destination_mac == own_mac
}

/// Lengths agree and fit, the IPv4 header is undamaged, an IPv6 datagram has a checksum, no address has two spellings.
fn is_whole(arrived: &Arrived<'_>) -> bool {
    let lengths = arrived.udp_len() >= 8
        && arrived.udp_len() == arrived.ip_payload_len
        && arrived.udp_len() <= arrived.rest.len();
    let (SocketAddr::V6(source), []) = (arrived.source, arrived.ipv4) else {
        // Zero has two forms in one's complement.
        let field = half(arrived.ipv4, 10);
        return lengths && checksum::of_ipv4_header(arrived.ipv4) % 0xffff == field % 0xffff;
    };
    lengths && arrived.udp_checksum() != 0 && source.ip().to_ipv4_mapped().is_none()
}

/// Sources that a host takes for impossible: RFC 1122, section 3.2.1.3, and RFC 4291, sections 2.5.2 to 2.7; also the
/// reserved 240/4, which the stack may judge.
fn stack_refuses(source: IpAddr, setup: &Setup) -> bool {
    let impossible = match source {
        IpAddr::V4(ip) => {
            let [first, ..] = ip.octets();
            let nowhere = first == 0 || first >= 224 || ip.is_loopback() || ip.is_link_local();
            nowhere || setup.broadcasts.contains(&ip)
        }
        IpAddr::V6(ip) => {
            ip.is_multicast() || ip.is_unspecified() || ip.is_loopback() || ip.is_unicast_link_local()
        }
    };
    impossible || setup.is_local(source)
}

/// A SEND or SEALED_SEND to the other family is the stack's as soon as its destination would be looked at: `outcome` says that no
/// earlier row refused it.
fn goes_to_the_other_family(arrived: &Arrived<'_>, outcome: &Outcome, setup: &Setup) -> bool {
    let payload = arrived.payload();
    let reached = match outcome {
        Outcome::Observed(_) => false,
        Outcome::Relayed(..) | Outcome::Dropped(Reason::Destination | Reason::Tag | Reason::Revoked) => true,
        Outcome::Dropped(reason) => {
            *reason == Reason::Oversize
                && [SEND, SEALED_SEND].contains(&payload[0])
                && payload.len() <= setup.max_datagram
        }
    };
    let to_ipv4 = || payload[8..20] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
    reached && to_ipv4() != arrived.source.is_ipv4()
}

/// A first byte of 0 to 3, and the magic cookie (RFC 8489, section 5).
fn starts_like_stun(payload: &[u8]) -> bool {
    payload.len() >= 8 && payload[0] <= 3 && payload[4..8] == [0x21, 0x12, 0xa4, 0x42]
}

/// Whether the next hop towards `to` is certainly the one that the frame came from.
fn next_hop_is(to: IpAddr, source_mac: [u8; 6], setup: &Setup) -> bool {
    match setup.routes.iter().find(|route| route.network.contains(to)).map(|route| route.hop) {
        Some(Hop::Gateway(mac)) => mac == source_mac,
        Some(Hop::OnLink) => setup.neighbours.contains(&(to, source_mac)),
        Some(Hop::Pass) | None => false,
    }
}

/// The frame that leaves: `docs/wire.md`, "What leaves".
fn leaving(arrived: &Arrived<'_>, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let mut frame =
        Frame::new(arrived.destination, to, payload).with_macs(arrived.source_mac, arrived.destination_mac);
    frame.fragment = DONT_FRAGMENT;
    frame.trailer = arrived.trailer().to_vec();
    let came_with = arrived.udp_checksum();
    if came_with == 0 {
        frame.udp_checksum = Checksum::Absent;
        return frame.to_bytes();
    }
    let mut bytes = frame.to_bytes();
    let at = if to.is_ipv4() { 14 + 20 + 6 } else { 14 + 40 + 6 };
    let right_before = checksum::of_udp(arrived.source.ip(), arrived.destination.ip(), arrived.udp());
    let field = checksum::carried(came_with, right_before, half(&bytes, at));
    bytes[at..at + 2].copy_from_slice(&field.to_be_bytes());
    bytes
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

const SEND: u8 = 0x0a;
const SEALED_SEND: u8 = 0x0d;
/// The flag "more fragments" and the fragment offset.
const MORE_OR_OFFSET: u16 = 0x3fff;
