//! The policy: which transport addresses a reflector sends to, whose datagrams it takes, and its lifetimes.
//!
//! * Some destinations are refused whatever the operator says: see [`Policy::permits`].
//! * Special-purpose addresses are refused unless a block opens them; opening never opens a port or a spelling.
//! * What the operator denies wins over everything.
//!
//! Source: IANA IPv4 and IPv6 Special-Purpose Address Registries; RFC 6890.

use crate::address::TransportAddress;
use crate::block::BlockSet;
use crate::revoked::Revoked;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Everything besides keys and time that a decision depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The reflector's own transport addresses, listening and advertised; a wildcard stands for its port on every
    /// address of this host.
    pub own: Vec<TransportAddress>,
    /// Every address of this host: what the kernel's local table has, prefixes included, and what is advertised.
    pub host: BlockSet,
    /// Directed broadcast addresses of the networks that this host is in.
    pub broadcasts: Vec<Ipv4Addr>,
    /// Special-purpose blocks that the operator opens.
    pub allow_destination: BlockSet,
    /// Destinations that the operator closes.
    pub deny_destination: BlockSet,
    /// Sources that the operator takes nothing from.
    pub deny_source: BlockSet,
    /// Whether a socket can send IPv4.
    pub sends_ipv4: bool,
    /// Whether a socket can send IPv6.
    pub sends_ipv6: bool,
    /// What has been taken back.
    pub revoked: Revoked,
    /// Bytes of the longest datagram taken, header included; one to IPv6 may have 20 less.
    pub max_datagram: usize,
    /// Seconds that a renewed capability lives, 10..=540.
    pub answer_lifetime_s: u32,
    /// Seconds that a contact ticket lives, 10..=120.
    pub ticket_lifetime_s: u32,
}

impl Policy {
    /// Whether the reflector may send to `to`.
    ///
    /// Never: ports 0..=1023 and those of reflecting services, multicast, broadcast, metadata services, IPv4 inside
    /// any IPv6 form, the reflector itself, and what the operator denies. Only where a block opens it: what IANA
    /// calls not globally reachable, and the other ports of this host.
    #[inline]
    pub fn permits(&self, to: TransportAddress) -> bool {
        if refused_port(to.port) {
            return false;
        }
        let ip = to.ip();
        let reach = match ip {
            IpAddr::V4(ip) => reach_v4(ip),
            IpAddr::V6(ip) => reach_v6(ip),
        };
        if reach == Reach::Never || self.deny_destination.contains(ip) || self.is_broadcast(ip) {
            return false;
        }
        let of_host = self.host.contains(ip);
        if self.is_own(to, of_host) {
            return false;
        }
        (reach == Reach::Global && !of_host) || self.allow_destination.contains(ip)
    }

    /// Whether the operator denies this source.
    #[inline]
    pub fn denies_source(&self, source: IpAddr) -> bool {
        self.deny_source.contains(source.to_canonical())
    }

    /// Whether a socket of this address's family exists.
    #[inline]
    pub fn sends_to_family_of(&self, to: TransportAddress) -> bool {
        if to.is_ipv4() { self.sends_ipv4 } else { self.sends_ipv6 }
    }

    /// Bytes of the longest datagram that may go to this address's family.
    #[inline]
    pub fn longest_to(&self, to: TransportAddress) -> usize {
        if to.is_ipv4() { self.max_datagram } else { self.max_datagram.saturating_sub(IPV6_HEADER_EXTRA) }
    }

    /// A wildcard listener has its port on every address of this host, and all of 127/8 are.
    #[inline]
    fn is_own(&self, to: TransportAddress, of_host: bool) -> bool {
        let wildcard = TransportAddress { address: if to.is_ipv4() { WILDCARD_V4 } else { 0 }, ..to };
        self.own.iter().any(|own| *own == to || (*own == wildcard && (of_host || to.ip().is_loopback())))
    }

    #[inline]
    fn is_broadcast(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => self.broadcasts.contains(&ip),
            IpAddr::V6(_) => false,
        }
    }
}

impl Default for Policy {
    /// The defaults of the command line: nothing opened, nothing denied, sockets of both families.
    fn default() -> Self {
        Self {
            own: Vec::new(),
            host: BlockSet::default(),
            broadcasts: Vec::new(),
            allow_destination: BlockSet::default(),
            deny_destination: BlockSet::default(),
            deny_source: BlockSet::default(),
            revoked: Revoked::default(),
            sends_ipv4: true,
            sends_ipv6: true,
            max_datagram: MAX_DATAGRAM,
            answer_lifetime_s: ANSWER_LIFETIME_S,
            ticket_lifetime_s: TICKET_LIFETIME_S,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Refused whatever a block opens.
    Never,
    /// Refused unless a block opens it.
    Special,
    /// An address of the public Internet.
    Global,
}

/// Privileged ports, and those of services that answer a datagram with a longer one: SSDP, WS-Discovery, mDNS,
/// CoAP, memcached.
#[inline]
fn refused_port(port: u16) -> bool {
    port < 1024 || matches!(port, 1900 | 3702 | 5353 | 5683 | 11211)
}

#[inline]
fn reach_v4(ip: Ipv4Addr) -> Reach {
    if ip.is_multicast() || ip.is_broadcast() || ip == METADATA_V4 || ip == METADATA_AZURE {
        return Reach::Never;
    }
    let [a, b, c, _] = ip.octets();
    match (a, b, c) {
        (0 | 10 | 127 | 240..=255, _, _)
        | (100, 64..=127, _)
        | (169, 254, _)
        | (172, 16..=31, _)
        | (192, 0, 0 | 2)
        | (192, 88, 99)
        | (192, 168, _)
        | (198, 18 | 19, _)
        | (198, 51, 100)
        | (203, 0, 113) => Reach::Special,
        _ => Reach::Global,
    }
}

#[inline]
fn reach_v6(ip: Ipv6Addr) -> Reach {
    if ip == METADATA_V6 || embeds_ipv4(ip) {
        return Reach::Never;
    }
    match ip.segments() {
        [0xff00..=0xffff, ..] => Reach::Never,
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Reach::Special,
        [0x2000..=0x3fff, ..] => Reach::Global,
        _ => Reach::Special,
    }
}

/// Every way to write IPv4 inside IPv6: compatible, mapped, SIIT, NAT64 (two), 6to4, Teredo, ISATAP.
#[inline]
fn embeds_ipv4(ip: Ipv6Addr) -> bool {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, _, _] => ip != Ipv6Addr::LOCALHOST,
        [0, 0, 0, 0, 0, 0xffff, _, _] | [0, 0, 0, 0, 0xffff, 0, _, _] => true,
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] | [0x64, 0xff9b, 1, ..] => true,
        [0x2002, ..] | [0x2001, 0, ..] => true,
        [_, _, _, _, 0 | 0x200, 0x5efe, _, _] => true,
        _ => false,
    }
}

/// Default of [`Policy::max_datagram`], bytes: an Ethernet frame less the IPv4 and UDP headers.
pub const MAX_DATAGRAM: usize = 1472;
/// Default of [`Policy::answer_lifetime_s`], seconds.
pub const ANSWER_LIFETIME_S: u32 = 300;
/// Default of [`Policy::ticket_lifetime_s`], seconds.
pub const TICKET_LIFETIME_S: u32 = 120;

/// An IPv6 header is this much longer than an IPv4 one, bytes.
const IPV6_HEADER_EXTRA: usize = 20;
/// 0.0.0.0 as a header would write it.
const WILDCARD_V4: u128 = 0xffff << 32;
const METADATA_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const METADATA_AZURE: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
