//! The addresses of a lab: network N is 45.N.7.0/24 and 2a00:0:N::/64, its router is 1 in it, its first host 2.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A public IPv4 address: a place in a network.
pub(crate) fn public_ipv4(network: u8, last: u8) -> Ipv4Addr {
    Ipv4Addr::new(45, network, 7, last)
}

/// A public IPv6 address: a place in a network.
pub(crate) fn public_ipv6(network: u8, last: u8) -> Ipv6Addr {
    Ipv6Addr::new(0x2a00, 0, network.into(), 0, 0, 0, 0, last.into())
}

/// The router's place in a network.
pub(crate) const ROUTER: u8 = 1;
/// The first host's place in a network.
pub(crate) const HOST: u8 = 2;
/// The interface of a host.
pub(crate) const NEAR: &str = "eth0";
