//! Socket addresses in the kernel's form, written and read as bytes.
//!
//! * No pointer and no union: a `Name` is 28 bytes of `sockaddr_in` or `sockaddr_in6` (ip(7), ipv6(7)).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// A `sockaddr_in` or `sockaddr_in6`, with its length.
///
/// ```text
/// sockaddr_in    family (2) | port (2, BE) | address (4)  | zeros (8)
/// sockaddr_in6   family (2) | port (2, BE) | flow label (4) | address (16) | scope id (4)
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Name {
    pub(crate) bytes: [u8; NAME_LEN],
    pub(crate) len: u32,
}

impl Name {
    /// Room for any address, as the kernel wants it before a receive.
    pub const ROOM: Self = Self { bytes: [0; NAME_LEN], len: 28 };

    /// The kernel's form of `address`.
    #[inline]
    pub fn new(address: SocketAddr) -> Self {
        let mut name = Self::ROOM;
        let (family, rest) = name.bytes.split_at_mut(2);
        let (port, rest) = rest.split_at_mut(2);
        port.copy_from_slice(&address.port().to_be_bytes());
        match address {
            SocketAddr::V4(v4) => {
                family.copy_from_slice(&FAMILY_V4.to_ne_bytes());
                let (ip, _) = rest.split_at_mut(4);
                ip.copy_from_slice(&v4.ip().octets());
                name.len = 16;
            }
            SocketAddr::V6(v6) => {
                family.copy_from_slice(&FAMILY_V6.to_ne_bytes());
                let (flow, rest) = rest.split_at_mut(4);
                let (ip, scope) = rest.split_at_mut(16);
                flow.copy_from_slice(&[0; 4]);
                ip.copy_from_slice(&v6.ip().octets());
                scope.copy_from_slice(&v6.scope_id().to_ne_bytes());
            }
        }
        name
    }

    /// The first bytes of what the kernel wrote; what it did not write is zeros.
    #[inline]
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let mut name = Self::ROOM;
        let len = bytes.len().min(NAME_LEN);
        if let (Some(room), Some(bytes)) = (name.bytes.get_mut(..len), bytes.get(..len)) {
            room.copy_from_slice(bytes);
        }
        name
    }

    /// The address, if the kernel wrote one of a family known here.
    #[inline]
    pub fn to_socket(self) -> Option<SocketAddr> {
        let [f0, f1, p0, p1, rest @ ..] = self.bytes;
        let port = u16::from_be_bytes([p0, p1]);
        match u16::from_ne_bytes([f0, f1]) {
            FAMILY_V4 => {
                let [a, b, c, d, ..] = rest;
                Some(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port)))
            }
            FAMILY_V6 => {
                let ip: [u8; 16] = *rest.get(4..)?.first_chunk()?;
                let scope: [u8; 4] = *rest.get(20..)?.first_chunk()?;
                let scope = u32::from_ne_bytes(scope);
                Some(SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::from(ip), port, 0, scope)))
            }
            _ => None,
        }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // AF_INET and AF_INET6 are 2 and 10.
const FAMILY_V4: u16 = libc::AF_INET as u16;
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
const FAMILY_V6: u16 = libc::AF_INET6 as u16;
/// Bytes of a `sockaddr_in6`, the longer of the two.
const NAME_LEN: usize = 28;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_survive_the_round_trip() {
        for text in ["1.2.3.4:5", "255.255.255.255:65535", "[2001:db8::7]:443", "[fe80::1%3]:9"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(Name::new(address).to_socket(), Some(address));
        }
        assert_eq!(Name::ROOM.to_socket(), None);
    }
}
