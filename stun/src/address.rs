//! Transport addresses as STUN attributes carry them, plain or masked (RFC 8489, sections 14.1 and 14.2).

use crate::message::{COOKIE, TransactionId};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What an address is combined with by exclusive or; all zeros for the attributes that are not masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask([u8; 16]);

impl Mask {
    /// For attributes such as OTHER-ADDRESS.
    pub const NONE: Self = Self([0; 16]);

    /// For XOR-MAPPED-ADDRESS: the magic cookie, then the transaction id.
    pub fn of(transaction: &TransactionId) -> Self {
        let mut mask = [0; 16];
        let (cookie, rest) = mask.split_at_mut(COOKIE.len());
        cookie.copy_from_slice(&COOKIE);
        rest.copy_from_slice(transaction);
        Self(mask)
    }
}

/// The value of an address attribute: 8 bytes for IPv4, 20 for IPv6.
#[derive(Clone, Copy, Debug)]
pub struct Value {
    bytes: [u8; 20],
    length: usize,
}

impl Value {
    /// Writes an address.
    pub fn new(address: SocketAddr, mask: Mask) -> Self {
        let Mask(mask) = mask;
        let (family, octets, count) = match address.ip() {
            // An IPv4 address stands in the last bytes of its IPv6 form.
            IpAddr::V4(ip) => (FAMILY_V4, ip.to_ipv6_mapped().octets(), 4),
            IpAddr::V6(ip) => (FAMILY_V6, ip.octets(), 16),
        };
        let [high, low, ..] = mask;
        let [port_high, port_low] = (address.port() ^ u16::from_be_bytes([high, low])).to_be_bytes();
        let masked = octets.iter().skip(octets.len() - count).zip(mask).map(|(octet, mask)| octet ^ mask);
        let head = [0, family, port_high, port_low];
        let mut value = Self { bytes: [0; 20], length: head.len() + count };
        value.bytes.iter_mut().zip(head.into_iter().chain(masked)).for_each(|(to, from)| *to = from);
        value
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&self.bytes)
    }
}

/// Reads the value of an address attribute; `None` if it is not one.
pub fn read(value: &[u8], mask: Mask) -> Option<SocketAddr> {
    let Mask(mask) = mask;
    let ([_, family, port @ ..], octets) = value.split_first_chunk::<4>()?;
    let mut unmasked = [0; 16];
    let pairs = octets.iter().zip(mask).map(|(octet, mask)| octet ^ mask);
    unmasked.iter_mut().zip(pairs).for_each(|(to, from)| *to = from);
    let ip = match (*family, octets.len()) {
        (FAMILY_V4, 4) => IpAddr::from(Ipv4Addr::from(*unmasked.first_chunk::<4>()?)),
        (FAMILY_V6, 16) => IpAddr::from(Ipv6Addr::from(unmasked)),
        _ => return None,
    };
    let [high, low, ..] = mask;
    Some(SocketAddr::new(ip, u16::from_be_bytes(*port) ^ u16::from_be_bytes([high, low])))
}

const FAMILY_V4: u8 = 1;
const FAMILY_V6: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(ip: IpAddr, port: u16, transaction: TransactionId) {
            let address = SocketAddr::new(ip, port);
            for mask in [Mask::NONE, Mask::of(&transaction)] {
                let value = Value::new(address, mask);
                prop_assert_eq!(read(value.as_bytes(), mask), Some(address));
                prop_assert_eq!(read(&value.as_bytes()[1..], mask), None);
            }
        }
    }
}
