//! Sending: sendmmsg(2) straight from the buffers that the datagrams arrived in.
//!
//! * A train leaves as one message that the kernel cuts (UDP_SEGMENT); no byte is copied here.
//! * An error skips exactly the message that failed; a train that the kernel refuses goes once more, singly.
//! * EIO means that this path cannot cut trains: it is not tried again.

#![allow(unsafe_code)]
#![deny(clippy::disallowed_types)]

use crate::host::sockaddr::Name;
use crate::socket::control::Control;
pub use crate::socket::groups::Datagram;
use crate::socket::groups::{Group, Groups};
use crate::socket::handler::{Label, SendError, Sent, SocketId};
use crate::socket::udp::Socket;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

/// What one worker has to send, and the memory for saying so to the kernel.
#[derive(Debug)]
pub struct Outbound<L> {
    groups: Groups<L>,
    messages: Messages<L>,
}

impl<L: Label> Outbound<L> {
    /// Takes and touches the memory for `capacity` datagrams; `gso` allows trains.
    pub fn new(capacity: usize, gso: bool) -> Self {
        Self { groups: Groups::new(capacity, gso), messages: Messages::new(capacity) }
    }

    /// Whether a flush is due before the next push.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.groups.is_full()
    }

    /// Whether nothing is queued.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Queues a datagram; `false` if the queue is full, and the datagram is not queued.
    #[inline]
    pub fn push(&mut self, datagram: Datagram<L>) -> bool {
        self.groups.push(datagram)
    }

    /// Sends everything queued and tells `on_sent` what became of each group.
    ///
    /// A datagram that does not lie within `arena`, or whose socket does not exist, counts as [`SendError::Other`].
    pub fn flush(&mut self, arena: &[u8], sockets: &[Socket], on_sent: &mut impl FnMut(Sent<L>)) {
        for (index, socket) in sockets.iter().enumerate() {
            let id = SocketId(u8::try_from(index).unwrap_or(u8::MAX));
            self.messages.fill(&self.groups, id, arena);
            self.send_all(arena, on_sent, &mut |headers| transmit(socket, headers));
        }
        for group in self.groups.iter().filter(|group| usize::from(group.socket.0) >= sockets.len()) {
            on_sent(sent(group, Err(SendError::Other)));
        }
        self.groups.clear();
    }

    /// Hands the filled messages to `transmit`, which says how many went or the errno of the first.
    fn send_all(
        &mut self,
        arena: &[u8],
        on_sent: &mut impl FnMut(Sent<L>),
        transmit: &mut impl FnMut(&mut [libc::mmsghdr]) -> Result<usize, i32>,
    ) {
        let mut done = 0;
        while done < self.messages.groups.len() {
            match transmit(self.messages.headers.get_mut(done..).unwrap_or_default()) {
                Ok(count) => {
                    for group in self.messages.groups.iter().skip(done).take(count) {
                        on_sent(sent(group, Ok(())));
                    }
                    done += count;
                }
                Err(errno) => {
                    self.failed(done, errno, arena, on_sent, transmit);
                    done += 1;
                }
            }
        }
    }

    #[cold]
    fn failed(
        &mut self,
        index: usize,
        errno: i32,
        arena: &[u8],
        on_sent: &mut impl FnMut(Sent<L>),
        transmit: &mut impl FnMut(&mut [libc::mmsghdr]) -> Result<usize, i32>,
    ) {
        let Some(group) = self.messages.groups.get(index).copied() else { return };
        if errno == libc::EIO && group.count > 1 {
            self.groups.stop_trains();
        }
        if !goes_singly(&group, errno) {
            on_sent(sent(&group, Err(SendError::from_errno(errno))));
            return;
        }
        for (offset, len) in self.groups.datagrams(&group) {
            let outcome = send_single(arena.get(offset..offset + len), &group, transmit);
            on_sent(Sent { label: group.label, datagrams: 1, bytes: len as u64, outcome });
        }
    }
}

/// The kernel's form of the groups of one socket.
#[derive(Debug)]
struct Messages<L> {
    headers: Vec<libc::mmsghdr>,
    parts: Vec<libc::iovec>,
    names: Vec<Name>,
    controls: Vec<Control>,
    groups: Vec<Group<L>>,
}

impl<L: Label> Messages<L> {
    fn new(capacity: usize) -> Self {
        let mut messages = Self {
            headers: Vec::with_capacity(capacity),
            parts: Vec::with_capacity(capacity),
            names: Vec::with_capacity(capacity),
            controls: Vec::with_capacity(capacity),
            groups: Vec::with_capacity(capacity),
        };
        for _ in 0..capacity {
            messages.headers.push(empty_header());
            messages.parts.push(libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 });
            messages.names.push(Name::ROOM);
            messages.controls.push(Control::EMPTY);
        }
        messages
    }

    /// Takes the groups of one socket; none of these vectors grows, since no more was queued than they have room for.
    fn fill(&mut self, groups: &Groups<L>, socket: SocketId, arena: &[u8]) {
        self.headers.clear();
        self.parts.clear();
        self.names.clear();
        self.controls.clear();
        self.groups.clear();
        for group in groups.iter().filter(|group| group.socket == socket) {
            let first_part = self.parts.len();
            for (offset, len) in groups.datagrams(group) {
                // Beyond the arena there is nothing: the datagram would be empty, and no caller queues one there.
                let bytes = arena.get(offset..offset + len).unwrap_or_default();
                self.parts.push(part(bytes));
            }
            self.names.push(Name::new(group.to));
            self.controls.push(control(group.count, group.first_len, group.from));
            self.groups.push(*group);
            let mut header = empty_header();
            header.msg_hdr.msg_iovlen = self.parts.len() - first_part;
            self.headers.push(header);
        }
        self.link();
    }

    /// Points each header at its name, parts and control room, now that none of them moves any more.
    fn link(&mut self) {
        let mut parts = self.parts.as_mut_slice();
        let rooms = self.names.iter_mut().zip(&mut self.controls);
        for (header, (name, control)) in self.headers.iter_mut().zip(rooms) {
            let header = &mut header.msg_hdr;
            let (own, rest) = parts.split_at_mut(header.msg_iovlen.min(parts.len()));
            parts = rest;
            header.msg_iov = own.as_mut_ptr();
            header.msg_name = name.bytes.as_mut_ptr().cast();
            header.msg_namelen = name.len;
            header.msg_controllen = control.len;
            if control.len > 0 {
                header.msg_control = control.bytes.as_mut_ptr().cast();
            }
        }
    }
}

/// Whether a group that failed with this errno goes once more, singly: the train may be what the kernel refuses.
#[inline]
pub(crate) fn goes_singly<L>(group: &Group<L>, errno: i32) -> bool {
    group.count > 1 && matches!(errno, libc::EIO | libc::EINVAL | libc::EMSGSIZE)
}

/// Sends one datagram of a group by itself.
#[cold]
pub(crate) fn send_single<L>(
    bytes: Option<&[u8]>,
    group: &Group<L>,
    transmit: &mut impl FnMut(&mut [libc::mmsghdr]) -> Result<usize, i32>,
) -> Result<(), SendError> {
    let mut part = part(bytes.ok_or(SendError::Other)?);
    let mut name = Name::new(group.to);
    let mut control = control(1, group.first_len, group.from);
    let mut header = empty_header();
    header.msg_hdr.msg_name = name.bytes.as_mut_ptr().cast();
    header.msg_hdr.msg_namelen = name.len;
    header.msg_hdr.msg_iov = &raw mut part;
    header.msg_hdr.msg_iovlen = 1;
    header.msg_hdr.msg_controllen = control.len;
    if control.len > 0 {
        header.msg_hdr.msg_control = control.bytes.as_mut_ptr().cast();
    }
    transmit(&mut [header]).map(|_| ()).map_err(SendError::from_errno)
}

/// Sends messages in order; how many went, at least one, or the errno of the first.
pub(crate) fn transmit(socket: &Socket, headers: &mut [libc::mmsghdr]) -> Result<usize, i32> {
    let count = u32::try_from(headers.len()).unwrap_or(u32::MAX);
    // SAFETY: `headers` are `count` messages whose names, parts and control room live throughout the call: those of
    // `Messages` are elements of its vectors, unmoved since `link`; those of `send_single` are its locals. The parts
    // point into the arena, which the caller of `flush` keeps borrowed. The kernel only reads what they point at.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            count,
            libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
        )
    };
    match usize::try_from(sent) {
        Ok(sent) if sent > 0 => Ok(sent),
        _ => match io::Error::last_os_error().raw_os_error().unwrap_or(0) {
            libc::EINTR => transmit(socket, headers),
            errno => Err(errno),
        },
    }
}

/// What became of a whole group.
#[inline]
pub(crate) fn sent<L: Label>(group: &Group<L>, outcome: Result<(), SendError>) -> Sent<L> {
    Sent { label: group.label, datagrams: group.count, bytes: group.bytes as u64, outcome }
}

/// The control messages of a group of `count` datagrams, cut at `segment_len` if there are several.
#[inline]
pub(crate) fn control(count: u32, segment_len: usize, from: Option<IpAddr>) -> Control {
    let mut control = Control::EMPTY;
    if count > 1 {
        control.push_segment(u16::try_from(segment_len).unwrap_or(u16::MAX));
    }
    if let Some(from) = from {
        control.push_source(from);
    }
    control
}

/// Bytes to send, as the kernel takes them.
#[inline]
pub(crate) fn part(bytes: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
}

fn empty_header() -> libc::mmsghdr {
    // SAFETY: an mmsghdr is integers and pointers, for all of which zero is a value.
    unsafe { std::mem::zeroed() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    const ERRNOS: [i32; 14] = [
        libc::EAGAIN,
        libc::ENOBUFS,
        libc::EMSGSIZE,
        libc::ENETUNREACH,
        libc::EHOSTUNREACH,
        libc::EPERM,
        libc::EACCES,
        libc::ECONNREFUSED,
        libc::EINVAL,
        libc::EIO,
        libc::ENOMEM,
        libc::ENETDOWN,
        libc::EAFNOSUPPORT,
        libc::EADDRNOTAVAIL,
    ];

    /// Queues `count` datagrams to destinations numbered by port, each `per_destination` times.
    fn queued(count: u16, per_destination: u16) -> Outbound<u8> {
        let mut outbound = Outbound::new(usize::from(count), true);
        for index in 0..count {
            let to = SocketAddr::from(([127, 0, 0, 1], 2_000 + index / per_destination));
            let offset = usize::from(index);
            let datagram = Datagram { offset, len: 1, to, from: None, socket: SocketId(0), label: 0 };
            assert!(outbound.push(datagram));
        }
        outbound.messages.fill(&outbound.groups, SocketId(0), &ARENA);
        outbound
    }

    /// Runs `send_all` against a kernel that delivers all but the message at place `bad`; what was reported.
    fn reported(outbound: &mut Outbound<u8>, bad: usize, errno: i32) -> (u32, Vec<(u32, SendError)>) {
        let total = outbound.messages.headers.len();
        let (mut delivered, mut failed) = (0, Vec::new());
        let mut on_sent = |sent: Sent<u8>| match sent.outcome {
            Ok(()) => delivered += sent.datagrams,
            Err(error) => failed.push((sent.datagrams, error)),
        };
        outbound.send_all(
            &ARENA,
            &mut on_sent,
            &mut |headers| match bad.checked_sub(total - headers.len()) {
                Some(0) => Err(errno),
                Some(good) => Ok(good),
                None => Ok(headers.len()),
            },
        );
        (delivered, failed)
    }

    #[test]
    fn t14_every_errno_at_every_place_costs_exactly_one_datagram() {
        for errno in ERRNOS {
            for bad in 0..64 {
                let (delivered, failed) = reported(&mut queued(64, 1), bad, errno);
                assert_eq!(
                    (delivered, failed),
                    (63, vec![(1, SendError::from_errno(errno))]),
                    "{errno} at {bad}"
                );
            }
        }
    }

    #[test]
    fn t14_a_train_that_the_kernel_refuses_goes_once_more_singly() {
        for errno in [libc::EIO, libc::EINVAL, libc::EMSGSIZE] {
            let mut outbound = queued(64, 8);
            let mut singles = 0;
            let (mut delivered, mut failed) = (0, 0);
            let mut on_sent = |sent: Sent<u8>| match sent.outcome {
                Ok(()) => delivered += sent.datagrams,
                Err(_) => failed += sent.datagrams,
            };
            outbound.send_all(&ARENA, &mut on_sent, &mut |headers| match headers.first() {
                Some(header) if header.msg_hdr.msg_iovlen > 1 => Err(errno),
                _ => {
                    singles += headers.len();
                    if singles == 20 { Err(libc::ENOBUFS) } else { Ok(headers.len()) }
                }
            });
            assert_eq!((delivered, failed, singles), (63, 1, 64));
            outbound.groups.clear();
            let again = Datagram {
                offset: 0,
                len: 1,
                to: SocketAddr::from(([127, 0, 0, 1], 9)),
                from: None,
                socket: SocketId(0),
                label: 0,
            };
            assert!(outbound.push(again) && outbound.push(again));
            let expected = if errno == libc::EIO { 2 } else { 1 };
            assert_eq!(outbound.groups.iter().count(), expected, "only EIO ends trains");
        }
    }

    #[test]
    fn a_train_that_finds_no_room_is_counted_whole_and_not_tried_again() {
        let (delivered, failed) = reported(&mut queued(64, 8), 3, libc::EAGAIN);
        assert_eq!((delivered, failed), (56, vec![(8, SendError::Again)]));
    }

    const ARENA: [u8; 64] = [7; 64];
}
