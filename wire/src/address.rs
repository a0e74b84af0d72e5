//! A transport address in the one form that headers and tags use: 16 bytes and a port.
//!
//! * IPv4 is written `::ffff:a.b.c.d`; no other spelling of IPv4 is ever one.
//! * Order is the order of the bytes, then of the port: what a capability needs.
//! * An IPv6 socket address in `::ffff:0:0/96` has no form here: it would name another host.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Address and port as the header writes them (wire: 16 bytes and 2 bytes, big-endian).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransportAddress {
    /// The 16 address bytes as a big-endian number; IPv4 as `::ffff:a.b.c.d`.
    pub address: u128,
    /// The UDP port.
    pub port: u16,
}

impl TransportAddress {
    /// The canonical form of a socket address; `None` for an IPv6 address that spells an IPv4 one
    /// (`::ffff:0:0/96`), which no sender on the Internet may use.
    #[inline(always)]
    pub fn from_socket(socket: SocketAddr) -> Option<Self> {
        match socket {
            SocketAddr::V4(v4) => Some(Self { address: mapped(*v4.ip()), port: v4.port() }),
            SocketAddr::V6(v6) => {
                let address = v6.ip().to_bits();
                (address >> 32 != MAPPED_PREFIX).then_some(Self { address, port: v6.port() })
            }
        }
    }

    /// The socket address to send to: IPv4 for `::ffff:a.b.c.d`, IPv6 for everything else.
    #[inline(always)]
    pub fn to_socket(self) -> SocketAddr {
        match self.ip() {
            IpAddr::V4(ip) => SocketAddr::V4(SocketAddrV4::new(ip, self.port)),
            IpAddr::V6(ip) => SocketAddr::V6(SocketAddrV6::new(ip, self.port, 0, 0)),
        }
    }

    /// The IP address alone.
    #[inline(always)]
    pub fn ip(self) -> IpAddr {
        if self.is_ipv4() {
            #[allow(clippy::cast_possible_truncation)] // The low 32 bits are the IPv4 address.
            IpAddr::V4(Ipv4Addr::from_bits(self.address as u32))
        } else {
            IpAddr::V6(Ipv6Addr::from_bits(self.address))
        }
    }

    /// Whether this is an IPv4 address, written `::ffff:a.b.c.d`.
    #[inline(always)]
    pub fn is_ipv4(self) -> bool {
        self.address >> 32 == MAPPED_PREFIX
    }
}

fn mapped(ip: Ipv4Addr) -> u128 {
    MAPPED_PREFIX << 32 | u128::from(ip.to_bits())
}

/// The upper 96 bits of `::ffff:0:0/96`.
const MAPPED_PREFIX: u128 = 0xffff;
