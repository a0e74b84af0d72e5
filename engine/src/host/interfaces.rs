//! The addresses of this host.
//!
//! * A copy of what the kernel said at the moment of asking; addresses come and go.
//!
//! Source: getifaddrs(3).

#![allow(unsafe_code)]

use crate::host::sockaddr::Name;
use std::ffi::CStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

/// An address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name, e.g. `eth0`.
    pub name: String,
    /// The address.
    pub address: IpAddr,
    /// Leading bits that are those of its network.
    pub prefix: u8,
    /// The directed broadcast address of its network; IPv4 only.
    pub broadcast: Option<Ipv4Addr>,
    /// Whether this is a loopback interface.
    pub loopback: bool,
}

/// Every address of every interface.
///
/// # Errors
/// What getifaddrs(3) says.
pub fn list() -> io::Result<Vec<Interface>> {
    let mut head = std::ptr::null_mut();
    // SAFETY: `head` is a live pointer for the call to set to a list, which `freeifaddrs` below gives back.
    if unsafe { libc::getifaddrs(&raw mut head) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut interfaces = Vec::new();
    let mut next = head.cast_const();
    // SAFETY: `next` is null or an entry of the list, which stays valid until it is freed below.
    while let Some(entry) = unsafe { next.as_ref() } {
        interfaces.extend(interface(entry));
        next = entry.ifa_next;
    }
    // SAFETY: `head` came from `getifaddrs`, is freed once, and nothing borrowed from it is left.
    unsafe { libc::freeifaddrs(head) };
    Ok(interfaces)
}

fn interface(entry: &libc::ifaddrs) -> Option<Interface> {
    let address = socket_address(entry.ifa_addr)?;
    let mask = socket_address(entry.ifa_netmask);
    // SAFETY: `ifa_name` of a listed entry is a NUL-terminated string that lives as long as the entry.
    let name = unsafe { CStr::from_ptr(entry.ifa_name) }.to_string_lossy().into_owned();
    let loopback = entry.ifa_flags & libc::IFF_LOOPBACK.cast_unsigned() != 0;
    Some(Interface { name, address, prefix: prefix(mask), broadcast: broadcast(address, mask), loopback })
}

/// The length of a netmask; an address without one is a network of its own.
fn prefix(mask: Option<IpAddr>) -> u8 {
    let bits = match mask {
        Some(IpAddr::V4(mask)) => mask.to_bits().leading_ones(),
        Some(IpAddr::V6(mask)) => mask.to_bits().leading_ones(),
        None => 128,
    };
    u8::try_from(bits).unwrap_or(128)
}

/// The last address of a network of more than two: the kernel treats it as broadcast, whatever the interface says.
fn broadcast(address: IpAddr, mask: Option<IpAddr>) -> Option<Ipv4Addr> {
    let (IpAddr::V4(address), IpAddr::V4(mask)) = (address, mask?) else { return None };
    let host_bits = !mask.to_bits();
    (host_bits > 1).then(|| Ipv4Addr::from_bits(address.to_bits() | host_bits))
}

fn socket_address(address: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: null, or a sockaddr of the list, whose family is its first field and always there.
    let family = unsafe { address.as_ref() }?.sa_family;
    let len = match i32::from(family) {
        libc::AF_INET => size_of::<libc::sockaddr_in>(),
        libc::AF_INET6 => size_of::<libc::sockaddr_in6>(),
        _ => return None,
    };
    // SAFETY: a sockaddr of this family is `len` bytes long, initialised, and lives as long as the list.
    let bytes = unsafe { std::slice::from_raw_parts(address.cast::<u8>(), len) };
    let mut name = Name::ROOM;
    name.bytes.get_mut(..len)?.copy_from_slice(bytes);
    name.to_socket().map(|socket| socket.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_listed_with_its_broadcast() {
        let interfaces = list().unwrap();
        let lo = interfaces.iter().find(|it| it.address == IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
        assert!(lo.loopback);
        assert_eq!((lo.prefix, lo.broadcast), (8, Some(Ipv4Addr::new(127, 255, 255, 255))));
    }

    #[test]
    fn networks_of_one_or_two_have_no_broadcast() {
        let of = |mask: &str| broadcast("10.0.0.5".parse().unwrap(), Some(mask.parse().unwrap()));
        assert_eq!(of("255.255.255.0"), Some(Ipv4Addr::new(10, 0, 0, 255)));
        assert_eq!(of("255.255.255.254"), None);
        assert_eq!(of("255.255.255.255"), None);
    }
}
