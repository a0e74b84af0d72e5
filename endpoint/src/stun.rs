//! STUN as a client speaks it: a Binding request, and what its answer says (RFC 8489, RFC 5780).
//!
//! ```text
//! type 2 | length 2 | magic cookie 4 | transaction id 12 | attributes: type 2, length 2, value padded to 4
//! ```
//!
//! * An answer counts only if it repeats the transaction id, which is random.
//! * What is unknown is skipped; what is cut short is no answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What tells one request's answer from another's.
pub(crate) type TransactionId = [u8; 12];

/// From where the answer is to come (RFC 5780 section 7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    /// Another address.
    pub(crate) address: bool,
    /// Another port.
    pub(crate) port: bool,
}

/// A Binding success response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound {
    /// Which request it answers.
    pub(crate) id: TransactionId,
    /// The reflexive transport address (XOR-MAPPED-ADDRESS).
    pub(crate) mapped: SocketAddr,
    /// The server's other address and port (OTHER-ADDRESS), if it has one.
    pub(crate) other: Option<SocketAddr>,
}

/// The bytes of a Binding request.
pub(crate) fn binding_request(id: TransactionId, change: Option<Change>) -> Vec<u8> {
    let mut bytes = BINDING_REQUEST.to_be_bytes().to_vec();
    bytes.extend(if change.is_some() { 8_u16 } else { 0 }.to_be_bytes());
    bytes.extend(COOKIE.to_be_bytes());
    bytes.extend(id);
    if let Some(Change { address, port }) = change {
        bytes.extend(CHANGE_REQUEST.to_be_bytes());
        bytes.extend(4_u16.to_be_bytes());
        bytes.extend((u32::from(address) << 2 | u32::from(port) << 1).to_be_bytes());
    }
    bytes
}

/// Reads a Binding success response.
pub(crate) fn read_answer(datagram: &[u8]) -> Option<Bound> {
    let (head, rest) = datagram.split_first_chunk::<20>()?;
    let [t0, t1, l0, l1, c0, c1, c2, c3, id @ ..] = head;
    let length = usize::from(u16::from_be_bytes([*l0, *l1]));
    if u16::from_be_bytes([*t0, *t1]) != BINDING_SUCCESS || u32::from_be_bytes([*c0, *c1, *c2, *c3]) != COOKIE
    {
        return None;
    }
    let mut rest = rest.get(..length)?;
    let (mut mapped, mut other) = (None, None);
    while let Some(([t0, t1, l0, l1], after)) = rest.split_first_chunk::<4>() {
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        let value = after.get(..length)?;
        match u16::from_be_bytes([*t0, *t1]) {
            XOR_MAPPED_ADDRESS => mapped = address(value).map(|it| unmask(it, id)),
            OTHER_ADDRESS => other = address(value),
            _ => {}
        }
        rest = after.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(Bound { id: *id, mapped: mapped?, other })
}

/// Family, port, address (RFC 8489 section 14.1).
fn address(value: &[u8]) -> Option<SocketAddr> {
    let ([_, family, p0, p1], address) = value.split_first_chunk::<4>()?;
    let ip = match family {
        1 => IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(address).ok()?)),
        2 => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes([*p0, *p1])))
}

/// Undoes the masking of XOR-MAPPED-ADDRESS (RFC 8489 section 14.2).
fn unmask(masked: SocketAddr, id: &TransactionId) -> SocketAddr {
    let [c0, c1, c2, c3] = COOKIE.to_be_bytes();
    let ip = match masked.ip() {
        IpAddr::V4(ip) => IpAddr::from(Ipv4Addr::from_bits(ip.to_bits() ^ COOKIE)),
        IpAddr::V6(ip) => {
            let mut mask = [c0, c1, c2, c3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            mask.iter_mut().skip(4).zip(id).for_each(|(mask, id)| *mask = *id);
            IpAddr::from(Ipv6Addr::from_bits(ip.to_bits() ^ u128::from_be_bytes(mask)))
        }
    };
    SocketAddr::new(ip, masked.port() ^ u16::from_be_bytes([c0, c1]))
}

const COOKIE: u32 = 0x2112_a442;
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const CHANGE_REQUEST: u16 = 0x0003;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const OTHER_ADDRESS: u16 = 0x802c;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 5769 section 2.2, without its MESSAGE-INTEGRITY and FINGERPRINT.
    const IPV4: &str = "\
        0101001c2112a442b7e7a701bc34d686fa87dfae\
        8022000b7465737420766563746f7220002000080001a147e112a643";
    /// RFC 5769 section 2.3, likewise.
    const IPV6: &str = "\
        010100282112a442b7e7a701bc34d686fa87dfae\
        8022000b7465737420766563746f7220002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9";

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn the_answers_of_rfc_5769_are_read() {
        assert_eq!(read_answer(&bytes(IPV4)).unwrap().mapped, "192.0.2.1:32853".parse().unwrap());
        let right = "[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap();
        assert_eq!(read_answer(&bytes(IPV6)).unwrap().mapped, right);
        assert_eq!(read_answer(&bytes(IPV6)).unwrap().other, None);
    }

    #[test]
    fn requests_say_what_is_to_change() {
        let id = *b"abcdefghijkl";
        assert_eq!(binding_request(id, None), bytes("000100002112a4426162636465666768696a6b6c"));
        let both = binding_request(id, Some(Change { address: true, port: true }));
        assert_eq!(both, bytes("000100082112a4426162636465666768696a6b6c0003000400000006"));
        let port = binding_request(id, Some(Change { address: false, port: true }));
        assert_eq!(port.last(), Some(&2));
        assert_eq!(read_answer(&both), None, "a request is no answer");
    }

    proptest! {
        #[test]
        fn cut_and_broken_answers_do_no_harm(cut in 0_usize..70, place in 0_usize..60, byte: u8) {
            let mut answer = bytes(IPV6);
            if let Some(it) = answer.get_mut(place) { *it = byte; }
            answer.truncate(cut);
            prop_assert!(cut >= 60 || read_answer(&answer).is_none());
        }
    }
}
