//! Control messages, written and read as bytes.
//!
//! ```text
//! cmsghdr: len (8) | level (4) | type (4), then the data, each message padded to 8 bytes   (cmsg(3), 64-bit Linux)
//! ```
//!
//! * No pointer is followed: a message that claims more than is there ends the reading.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Room for every control message that a socket here sends or receives, aligned as the kernel wants it.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub struct Control {
    pub(crate) bytes: [u8; CONTROL_LEN],
    pub(crate) len: usize,
}

impl Control {
    /// No message; all of the room free.
    pub const EMPTY: Self = Self { bytes: [0; CONTROL_LEN], len: 0 };

    /// Asks the kernel to cut what is sent into datagrams of `bytes` (UDP_SEGMENT).
    #[inline]
    pub fn push_segment(&mut self, bytes: u16) {
        self.push(libc::SOL_UDP, libc::UDP_SEGMENT, &bytes.to_ne_bytes());
    }

    /// Asks the kernel to send from `address` (IP_PKTINFO, IPV6_PKTINFO).
    #[inline]
    pub fn push_source(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(ip) => {
                // in_pktinfo: interface (4), the source to use (4), destination (4).
                let mut info = [0; 12];
                let (_, rest) = info.split_at_mut(4);
                rest.split_at_mut(4).0.copy_from_slice(&ip.octets());
                self.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            IpAddr::V6(ip) => {
                // in6_pktinfo: address (16), interface (4).
                let mut info = [0; 20];
                info.split_at_mut(16).0.copy_from_slice(&ip.octets());
                self.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
        }
    }

    /// What the kernel wrote into the first `len` bytes.
    #[inline]
    pub fn read(&self, len: usize) -> Received {
        Received::read(self.bytes.get(..len).unwrap_or(&self.bytes))
    }

    fn push(&mut self, level: i32, kind: i32, data: &[u8]) {
        let Some(room) = self.bytes.get_mut(self.len..) else { return };
        let Some((head, rest)) = room.split_first_chunk_mut::<HEAD_LEN>() else { return };
        let Some(place) = rest.get_mut(..data.len()) else { return };
        let (len, words) = head.split_at_mut(8);
        len.copy_from_slice(&(HEAD_LEN + data.len()).to_ne_bytes());
        let (level_bytes, kind_bytes) = words.split_at_mut(4);
        level_bytes.copy_from_slice(&level.to_ne_bytes());
        kind_bytes.copy_from_slice(&kind.to_ne_bytes());
        place.copy_from_slice(data);
        self.len += (HEAD_LEN + data.len()).next_multiple_of(8);
    }
}

/// What control messages said of one datagram or train.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Bytes of each datagram of a train (UDP_GRO).
    pub segment_len: Option<usize>,
    /// The address that it was sent to.
    pub local: Option<IpAddr>,
    /// Datagrams that this socket has lost to a full queue so far (SO_RXQ_OVFL).
    pub overflows: Option<u32>,
}

impl Received {
    /// What these messages say, one after the other.
    #[inline]
    pub fn read(mut messages: &[u8]) -> Self {
        let mut received = Self::default();
        while let Some((message, next)) = split(messages) {
            received.take(message);
            messages = next;
        }
        received
    }

    #[inline]
    fn take(&mut self, Message { level, kind, data }: Message<'_>) {
        match (level, kind) {
            (libc::SOL_UDP, libc::UDP_GRO) => {
                // An int of 4 bytes, unlike UDP_SEGMENT's 2.
                self.segment_len =
                    data.first_chunk().and_then(|bytes| usize::try_from(i32::from_ne_bytes(*bytes)).ok());
            }
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                let address = data.get(8..).and_then(<[u8]>::first_chunk::<4>);
                self.local = address.map(|octets| Ipv4Addr::from(*octets).into());
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                self.local = data.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets).into());
            }
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                self.overflows = data.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
            }
            _ => {}
        }
    }
}

/// A control message, as a cmsghdr has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Message<'a> {
    level: i32,
    kind: i32,
    data: &'a [u8],
}

/// The first message of `bytes`, and what follows it.
#[inline]
fn split(bytes: &[u8]) -> Option<(Message<'_>, &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<8>()?;
    let (level, rest) = rest.split_first_chunk::<4>()?;
    let (kind, _) = rest.split_first_chunk::<4>()?;
    let len = usize::from_ne_bytes(*len);
    let data = bytes.get(HEAD_LEN..len)?;
    let next = bytes.get(len.next_multiple_of(8)..).unwrap_or_default();
    let (level, kind) = (i32::from_ne_bytes(*level), i32::from_ne_bytes(*kind));
    Some((Message { level, kind, data }, next))
}

/// Bytes of a cmsghdr.
const HEAD_LEN: usize = 16;
/// Receiving: UDP_GRO 24, IPV6_PKTINFO 40, SO_RXQ_OVFL 24; sending needs less.
pub(crate) const CONTROL_LEN: usize = 96;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_the_kernel_would_read() {
        let mut control = Control::EMPTY;
        control.push_segment(1_200);
        control.push_source("10.1.2.3".parse().unwrap());
        assert_eq!(control.len, 24 + 32);
        let (segment, next) = split(&control.bytes[..control.len]).unwrap();
        let data = &1_200u16.to_ne_bytes()[..];
        assert_eq!(segment, Message { level: libc::SOL_UDP, kind: libc::UDP_SEGMENT, data });
        let (source, next) = split(next).unwrap();
        let data = &[0, 0, 0, 0, 10, 1, 2, 3, 0, 0, 0, 0][..];
        assert_eq!(source, Message { level: libc::IPPROTO_IP, kind: libc::IP_PKTINFO, data });
        assert!(next.is_empty());
    }

    #[test]
    fn a_message_that_claims_more_than_is_there_ends_the_reading() {
        let mut control = Control::EMPTY;
        control.push(libc::SOL_SOCKET, libc::SO_RXQ_OVFL, &7u32.to_ne_bytes());
        assert_eq!(control.read(24).overflows, Some(7));
        assert_eq!(control.read(18).overflows, None);
        for claimed in [0usize, 1, 15, 1 << 40, usize::MAX] {
            control.bytes[..8].copy_from_slice(&claimed.to_ne_bytes());
            assert_eq!(control.read(24), Received::default());
        }
    }

    #[test]
    fn all_that_can_arrive_at_once_fits() {
        let mut control = Control::EMPTY;
        control.push(libc::SOL_UDP, libc::UDP_GRO, &100i32.to_ne_bytes());
        control.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &[1; 20]);
        control.push(libc::SOL_SOCKET, libc::SO_RXQ_OVFL, &9u32.to_ne_bytes());
        let received = control.read(control.len);
        assert_eq!((received.segment_len, received.overflows), (Some(100), Some(9)));
        assert!(received.local.is_some());
    }
}
