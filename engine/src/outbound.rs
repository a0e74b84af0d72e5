//! Sending: sendmmsg(2) straight from the buffers that the datagrams arrived in.
//!
//! * A train leaves as one message that the kernel cuts (UDP_SEGMENT); no byte is copied here.
//! * An error skips exactly the message that failed; a train that the kernel refuses goes once more, singly.
//! * EIO means that this path cannot cut trains: it is not tried again.

#![allow(unsafe_code)]
#![deny(clippy::disallowed_types)]

use crate::control::Control;
pub use crate::groups::Datagram;
use crate::groups::{Group, Groups};
use crate::sockaddr::Name;
use crate::socket::Socket;
use crate::{SendError, Sent, SocketId};
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

/// What one worker has to send, and the memory for saying so to the kernel.
#[derive(Debug)]
pub struct Outbound {
    groups: Groups,
    messages: Messages,
}

impl Outbound {
    /// Takes and touches the memory for `capacity` datagrams; `gso` allows trains.
    pub fn new(capacity: usize, gso: bool) -> Outbound {
        Outbound { groups: Groups::new(capacity, gso), messages: Messages::new(capacity) }
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
    pub fn push(&mut self, datagram: Datagram) -> bool {
        self.groups.push(datagram)
    }

    /// Sends everything queued and tells `on_sent` what became of each group.
    ///
    /// A datagram that does not lie within `arena`, or whose socket does not exist, counts as [`SendError::Other`].
    pub fn flush(&mut self, arena: &[u8], sockets: &[Socket], on_sent: &mut impl FnMut(Sent)) {
        for (index, socket) in sockets.iter().enumerate() {
            let id = SocketId(u8::try_from(index).unwrap_or(u8::MAX));
            self.messages.fill(&self.groups, id, arena);
            self.send_all(socket, arena, on_sent);
        }
        for group in self.groups.iter().filter(|group| usize::from(group.socket.0) >= sockets.len()) {
            on_sent(sent(group, Err(SendError::Other)));
        }
        self.groups.clear();
    }

    fn send_all(&mut self, socket: &Socket, arena: &[u8], on_sent: &mut impl FnMut(Sent)) {
        let mut done = 0;
        while done < self.messages.len() {
            match self.messages.send(socket, done) {
                Ok(count) => {
                    for index in done..done + count {
                        self.report(index, Ok(()), on_sent);
                    }
                    done += count;
                }
                Err(errno) => {
                    self.failed(done, errno, socket, arena, on_sent);
                    done += 1;
                }
            }
        }
    }

    fn report(&self, index: usize, outcome: Result<(), SendError>, on_sent: &mut impl FnMut(Sent)) {
        if let Some(group) = self.messages.group(index) {
            on_sent(sent(group, outcome));
        }
    }

    #[cold]
    fn failed(
        &mut self,
        index: usize,
        errno: i32,
        socket: &Socket,
        arena: &[u8],
        on_sent: &mut impl FnMut(Sent),
    ) {
        let Some(group) = self.messages.group(index).copied() else { return };
        if errno == libc::EIO && group.count > 1 {
            self.groups.stop_trains();
        }
        if group.count == 1 || !matches!(errno, libc::EIO | libc::EINVAL | libc::EMSGSIZE) {
            on_sent(sent(&group, Err(SendError::from_errno(errno))));
            return;
        }
        for (offset, len) in self.groups.datagrams(&group) {
            let outcome = send_single(socket, arena.get(offset..offset + len), &group);
            on_sent(Sent { label: group.label, datagrams: 1, bytes: len as u64, outcome });
        }
    }
}

/// The kernel's form of the groups of one socket.
#[derive(Debug)]
struct Messages {
    headers: Vec<libc::mmsghdr>,
    parts: Vec<libc::iovec>,
    names: Vec<Name>,
    controls: Vec<Control>,
    groups: Vec<Group>,
}

impl Messages {
    fn new(capacity: usize) -> Messages {
        let mut messages = Messages {
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

    fn len(&self) -> usize {
        self.groups.len()
    }

    fn group(&self, index: usize) -> Option<&Group> {
        self.groups.get(index)
    }

    /// Takes the groups of one socket; none of these vectors grows, since no more was queued than they have room for.
    fn fill(&mut self, groups: &Groups, socket: SocketId, arena: &[u8]) {
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

    /// Sends from message `from` on; how many went, at least one, or the errno of the first.
    fn send(&mut self, socket: &Socket, from: usize) -> Result<usize, i32> {
        let rest = self.headers.get_mut(from..).unwrap_or_default();
        let count = u32::try_from(rest.len()).unwrap_or(u32::MAX);
        // SAFETY: `rest` are `count` messages, each pointing at a name, parts and control room that `link` has set to
        // elements of vectors of this value, unmoved since; the parts point into the arena, which the caller of
        // `flush` keeps borrowed until all is sent. The kernel only reads what they point at.
        let sent = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                rest.as_mut_ptr(),
                count,
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            )
        };
        match usize::try_from(sent) {
            Ok(sent) if sent > 0 => Ok(sent),
            _ => match last_errno() {
                libc::EINTR => self.send(socket, from),
                errno => Err(errno),
            },
        }
    }
}

#[cold]
fn send_single(socket: &Socket, bytes: Option<&[u8]>, group: &Group) -> Result<(), SendError> {
    let mut part = part(bytes.ok_or(SendError::Other)?);
    let mut name = Name::new(group.to);
    let mut control = control(1, group.first_len, group.from);
    let mut header = empty_header().msg_hdr;
    header.msg_name = name.bytes.as_mut_ptr().cast();
    header.msg_namelen = name.len;
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_controllen = control.len;
    if control.len > 0 {
        header.msg_control = control.bytes.as_mut_ptr().cast();
    }
    // SAFETY: every pointer of `header` is to a local of this function or, by `part`, to bytes that the caller keeps
    // borrowed; the kernel only reads them, and has done so when the call returns.
    let sent = unsafe {
        libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
    };
    if sent >= 0 { Ok(()) } else { Err(SendError::from_errno(last_errno())) }
}

fn sent(group: &Group, outcome: Result<(), SendError>) -> Sent {
    Sent { label: group.label, datagrams: group.count, bytes: group.bytes as u64, outcome }
}

fn control(count: u32, segment_len: usize, from: Option<IpAddr>) -> Control {
    let mut control = Control::EMPTY;
    if count > 1 {
        control.push_segment(u16::try_from(segment_len).unwrap_or(u16::MAX));
    }
    if let Some(from) = from {
        control.push_source(from);
    }
    control
}

fn part(bytes: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
}

fn empty_header() -> libc::mmsghdr {
    // SAFETY: an mmsghdr is integers and pointers, for all of which zero is a value.
    unsafe { std::mem::zeroed() }
}

fn last_errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}
