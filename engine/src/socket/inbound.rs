//! Receiving: one recvmmsg(2) into fixed buffers.
//!
//! ```text
//! arena   | slot 0 ............ | slot 1 ............ | ... | scratch |
//!           datagram, or a train:
//!           seg | seg | seg | sg                                          (UDP_GRO: equal segments, the last may be shorter)
//! ```
//!
//! * All memory is taken and touched in [`Inbound::new`]; a receive allocates nothing.
//! * Every segment of a train is a datagram of its own; what the kernel cut or lost control data of says so.

#![allow(unsafe_code)]
#![deny(clippy::disallowed_types)]

use crate::host::sockaddr::Name;
use crate::socket::control::{Control, Received};
use crate::socket::handler::{Condition, SCRATCH_LEN};
use crate::socket::udp::Socket;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::AsRawFd;

/// The buffers of one worker and what the last receive put into them.
#[derive(Debug)]
pub struct Inbound {
    arena: Vec<u8>,
    slot_len: usize,
    stride: usize,
    headers: Vec<libc::mmsghdr>,
    parts: Vec<libc::iovec>,
    names: Vec<Name>,
    controls: Vec<Control>,
    received: usize,
}

impl Inbound {
    /// Takes and touches the memory for `slots` messages of up to `slot_len` bytes.
    pub fn new(slots: usize, slot_len: usize) -> Self {
        // Slots that start at the same offset of a page would compete for the same few cache sets.
        let stride = slot_len + CACHE_STAGGER;
        let mut arena = vec![0; slots * stride + SCRATCH_LEN];
        arena.fill(0xff); // Zeroed memory need not be there yet; written memory is.
        // SAFETY: an mmsghdr is integers and pointers, for all of which zero is a value.
        let header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        Self {
            arena,
            slot_len,
            stride,
            headers: vec![header; slots],
            parts: vec![libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; slots],
            names: vec![Name::ROOM; slots],
            controls: vec![Control::EMPTY; slots],
            received: 0,
        }
    }

    /// Receives what is there, without waiting; the number of messages, 0 when there is none.
    ///
    /// # Errors
    /// What recvmmsg(2) says, except that nothing is there.
    pub fn receive(&mut self, socket: &Socket) -> io::Result<usize> {
        self.received = 0;
        self.offer_room();
        let slots = u32::try_from(self.headers.len()).unwrap_or(u32::MAX);
        // SAFETY: `headers` are `slots` messages, each pointing at a name, a part and control room that `offer_room`
        // has just set to elements of vectors of this value, which live and stay unmoved throughout the call.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                slots,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        match usize::try_from(received) {
            Ok(received) => self.received = received,
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::WouldBlock => {}
                error if error.kind() == io::ErrorKind::Interrupted => return self.receive(socket),
                error => return Err(error),
            },
        }
        Ok(self.received)
    }

    /// Messages that fit into one receive.
    pub fn slots(&self) -> usize {
        self.headers.len()
    }

    /// A message of the last receive.
    #[inline]
    pub fn message(&self, index: usize) -> Option<Message> {
        if index >= self.received {
            return None;
        }
        let header = self.headers.get(index)?;
        let control = self.controls.get(index)?.read(header.msg_hdr.msg_controllen);
        let arrived = Arrived {
            offset: index * self.stride,
            len: header.msg_len as usize,
            room: self.slot_len,
            flags: header.msg_hdr.msg_flags,
        };
        Some(Message::new(arrived, self.names.get(index)?.to_socket()?, control))
    }

    /// All buffers; a message's ranges are places in it.
    #[inline]
    pub fn arena(&mut self) -> &mut [u8] {
        &mut self.arena
    }

    /// Where in the arena the scratch stands, behind all slots.
    #[inline]
    pub fn scratch(&self) -> Range<usize> {
        let start = self.headers.len() * self.stride;
        start..start + SCRATCH_LEN
    }

    fn offer_room(&mut self) {
        let slots = self.arena.chunks_mut(self.stride);
        let rooms = self.names.iter_mut().zip(&mut self.controls).zip(slots);
        for (((name, control), slot), (header, part)) in
            rooms.zip(self.headers.iter_mut().zip(&mut self.parts))
        {
            *name = Name::ROOM;
            part.iov_base = slot.as_mut_ptr().cast();
            part.iov_len = self.slot_len;
            header.msg_hdr.msg_name = name.bytes.as_mut_ptr().cast();
            header.msg_hdr.msg_namelen = name.len;
            header.msg_hdr.msg_iov = part;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.bytes.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = control.bytes.len();
            header.msg_hdr.msg_flags = 0;
        }
    }
}

/// What one slot holds: a datagram, or a train of equal ones from one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where its bytes start in the arena.
    pub offset: usize,
    /// Its bytes.
    pub len: usize,
    /// Bytes of each datagram in it; the last may be shorter. Never 0.
    pub segment_len: usize,
    /// Where it came from.
    pub source: SocketAddr,
    /// The address that it was sent to, on a socket with packet info.
    pub local: Option<IpAddr>,
    /// Whether it is whole.
    pub condition: Condition,
    /// Datagrams that the socket has lost to a full queue so far.
    pub overflows: Option<u32>,
}

impl Message {
    /// A message in a buffer, from `source`, of which the control messages said this.
    #[inline]
    pub(crate) fn new(arrived: Arrived, source: SocketAddr, control: Received) -> Self {
        let Arrived { offset, len, room, flags } = arrived;
        let condition = if flags & libc::MSG_CTRUNC != 0 {
            Condition::ControlCut
        } else if flags & libc::MSG_TRUNC != 0 {
            Condition::Cut
        } else {
            Condition::Whole
        };
        Self {
            offset,
            len: len.min(room),
            segment_len: control.segment_len.filter(|segment| *segment > 0).unwrap_or(len.max(1)),
            source,
            local: control.local,
            condition,
            overflows: control.overflows,
        }
    }

    /// The places of its datagrams in the arena; an empty datagram is one empty range.
    #[inline]
    pub fn datagrams(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let Self { offset, len, segment_len, condition, .. } = *self;
        // A train whose control data was cut has no segments that could be trusted.
        let segment_len = if condition == Condition::ControlCut { len.max(1) } else { segment_len };
        let count = len.div_ceil(segment_len).max(1);
        (0..count).map(move |index| {
            let start = index * segment_len;
            offset + start..offset + (start + segment_len).min(len)
        })
    }
}

/// Where a message lies, how long it is in how long a buffer, and the `msg_flags` that came with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrived {
    pub(crate) offset: usize,
    pub(crate) len: usize,
    pub(crate) room: usize,
    pub(crate) flags: libc::c_int,
}

/// Bytes between slots beyond their length: five cache lines, so that neighbours start in different sets.
pub(crate) const CACHE_STAGGER: usize = 320;

#[cfg(test)]
mod tests {
    use super::*;

    fn message(len: usize, segment_len: usize) -> Message {
        Message {
            offset: 1_000,
            len,
            segment_len,
            source: "1.2.3.4:5".parse().unwrap(),
            local: None,
            condition: Condition::Whole,
            overflows: None,
        }
    }

    #[test]
    fn a_train_is_its_segments() {
        let ranges: Vec<_> = message(250, 100).datagrams().collect();
        assert_eq!(ranges, [1_000..1_100, 1_100..1_200, 1_200..1_250]);
        assert_eq!(message(200, 100).datagrams().count(), 2);
        assert_eq!(message(1, 1).datagrams().next(), Some(1_000..1_001));
    }

    #[test]
    fn an_empty_datagram_is_a_datagram() {
        assert!(message(0, 1).datagrams().eq(std::iter::once(1_000..1_000)));
    }

    #[test]
    fn a_train_without_its_control_data_is_one_blob() {
        let blob = Message { condition: Condition::ControlCut, ..message(250, 100) };
        assert!(blob.datagrams().eq(std::iter::once(1_000..1_250)));
    }
}
