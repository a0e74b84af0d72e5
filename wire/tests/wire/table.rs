//! The policy of `docs/wire.md` a second time: blocks as text, a matcher of three lines, and no module of the crate.
//!
//! * A block is what people write; how it matches is nothing but a shift and a comparison.
//! * `Table::permits` answers one address; `Table::runs_v4` cuts all of IPv4 into runs of one answer each.
//!
//! Source: IANA IPv4 and IPv6 Special-Purpose Address Registries, multicast and the metadata services.

use std::net::{IpAddr, SocketAddr};

/// Destinations that are refused whatever a block opens.
pub(crate) const NEVER_V4: &[&str] =
    &["224.0.0.0/4", "255.255.255.255/32", "169.254.169.254/32", "168.63.129.16/32"];

/// Destinations that are refused unless a block opens them.
pub(crate) const SPECIAL_V4: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "240.0.0.0/4",
];

/// As `NEVER_V4`; `::1` is the one exception, and interface identifiers stand in `ISATAP`.
pub(crate) const NEVER_V6: &[&str] = &[
    "ff00::/8",
    "fd00:ec2::254/128",
    "::/96",
    "::ffff:0:0/96",
    "::ffff:0:0:0/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "2002::/16",
    "2001::/32",
];

/// As `SPECIAL_V4`: all that `2000::/3` leaves out, as the blocks that make it up, and three blocks within.
pub(crate) const SPECIAL_V6: &[&str] =
    &["::/3", "4000::/2", "8000::/1", "2001::/23", "2001:db8::/32", "3fff::/20"];

/// The upper half of an ISATAP interface identifier (RFC 5214), without and with the universal bit.
pub(crate) const ISATAP: [u128; 2] = [0x0000_5efe, 0x0200_5efe];

/// Ports above 1023 that are refused.
pub(crate) const SERVICE_PORTS: [u16; 5] = [1900, 3702, 5353, 5683, 11211];

/// A parsed block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cidr {
    v4: bool,
    first: u128,
    hosts: u32,
}

impl Cidr {
    pub(crate) fn parse(text: &str) -> Self {
        let (address, prefix) = text.split_once('/').unwrap();
        let prefix: u32 = prefix.parse().unwrap();
        match address.parse().unwrap() {
            IpAddr::V4(ip) => Self { v4: true, first: u128::from(u32::from(ip)), hosts: 32 - prefix },
            IpAddr::V6(ip) => Self { v4: false, first: u128::from(ip), hosts: 128 - prefix },
        }
    }

    pub(crate) fn all(texts: &[&str]) -> Vec<Self> {
        texts.iter().map(|text| Self::parse(text)).collect()
    }

    pub(crate) fn first(&self) -> u128 {
        self.first
    }

    pub(crate) fn last(&self) -> u128 {
        self.first | 1u128.checked_shl(self.hosts).unwrap_or(0).wrapping_sub(1)
    }

    fn holds(&self, v4: bool, address: u128) -> bool {
        self.v4 == v4 && (address ^ self.first).checked_shr(self.hosts).unwrap_or(0) == 0
    }
}

/// A policy as the operator writes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) allow: Vec<&'static str>,
    pub(crate) deny: Vec<&'static str>,
    pub(crate) own: Vec<&'static str>,
    pub(crate) broadcasts: Vec<&'static str>,
    /// Addresses and prefixes of this host.
    pub(crate) host: Vec<&'static str>,
    never: Vec<Cidr>,
    special: Vec<Cidr>,
    allowed: Vec<Cidr>,
    denied: Vec<Cidr>,
    own_sockets: Vec<SocketAddr>,
    broadcast_hosts: Vec<Cidr>,
    host_blocks: Vec<Cidr>,
}

impl Table {
    pub(crate) fn new(
        allow: &[&'static str],
        deny: &[&'static str],
        own: &[&'static str],
        broadcasts: &[&'static str],
        host: &[&'static str],
    ) -> Self {
        Self {
            allow: allow.to_vec(),
            deny: deny.to_vec(),
            own: own.to_vec(),
            broadcasts: broadcasts.to_vec(),
            host: host.to_vec(),
            never: [Cidr::all(NEVER_V4), Cidr::all(NEVER_V6)].concat(),
            special: [Cidr::all(SPECIAL_V4), Cidr::all(SPECIAL_V6)].concat(),
            allowed: Cidr::all(allow),
            denied: Cidr::all(deny),
            own_sockets: own.iter().map(|it| it.parse().unwrap()).collect(),
            broadcast_hosts: broadcasts.iter().map(|it| Cidr::parse(&format!("{it}/32"))).collect(),
            host_blocks: Cidr::all(host),
        }
    }

    /// Whether a reflector may send to this socket address.
    pub(crate) fn permits(&self, to: SocketAddr) -> bool {
        let is_own = |own: &SocketAddr| {
            let everywhere = own.ip().is_unspecified() && own.is_ipv4() == to.is_ipv4();
            let here = to.ip().is_loopback() || self.is_of_host(to.ip());
            own.port() == to.port() && (own.ip() == to.ip() || everywhere && here)
        };
        port_is_open(to.port()) && !self.own_sockets.iter().any(is_own) && self.permits_address(to.ip())
    }

    fn is_of_host(&self, ip: IpAddr) -> bool {
        let (v4, address) = number(ip);
        self.host_blocks.iter().any(|block| block.holds(v4, address))
    }

    fn permits_address(&self, ip: IpAddr) -> bool {
        let (v4, address) = number(ip);
        let within = |blocks: &[Cidr]| blocks.iter().any(|block| block.holds(v4, address));
        let isatap = !v4 && ISATAP.contains(&(address >> 32 & 0xffff_ffff));
        let never = isatap || within(&self.never) && (v4 || address != 1);
        let closed = (within(&self.special) || within(&self.host_blocks)) && !within(&self.allowed);
        !(never || closed || within(&self.denied) || within(&self.broadcast_hosts))
    }

    /// All of IPv4 as runs `(first, last, permitted)`, ascending, for a port that is open and not an own one.
    pub(crate) fn runs_v4(&self) -> Vec<(u32, u32, bool)> {
        let sets = [
            &self.never,
            &self.special,
            &self.allowed,
            &self.denied,
            &self.broadcast_hosts,
            &self.host_blocks,
        ];
        let mut starts = vec![0u64];
        for block in sets.into_iter().flatten().filter(|block| block.v4) {
            starts.extend([block.first() as u64, block.last() as u64 + 1]);
        }
        starts.sort_unstable();
        starts.dedup();
        starts.retain(|start| *start <= u64::from(u32::MAX));
        let ends = starts.iter().skip(1).copied().chain([1 << 32]);
        let run = |(first, end): (&u64, u64)| {
            let first = *first as u32;
            (first, (end - 1) as u32, self.permits_address(IpAddr::V4(first.into())))
        };
        starts.iter().zip(ends).map(run).collect()
    }
}

fn number(ip: IpAddr) -> (bool, u128) {
    match ip {
        IpAddr::V4(ip) => (true, u128::from(u32::from(ip))),
        IpAddr::V6(ip) => (false, u128::from(ip)),
    }
}

/// Whether any destination may have this port.
pub(crate) fn port_is_open(port: u16) -> bool {
    port > 1023 && !SERVICE_PORTS.contains(&port)
}
