//! The bare forwarder: what a socket costs when nobody checks anything. A yardstick for benchmarks, never a service.
//!
//! * Same buffers, batch and control messages as the epoll engine; a train in is a train out.
//! * The destination stands in the first six bytes (IPv4 address, port); nothing else is read.

#![allow(unsafe_code)]
#![deny(clippy::disallowed_types)]

use crate::host::sockaddr::Name;
use crate::socket::control::Control;
use crate::socket::inbound::Inbound;
use crate::socket::udp::Socket;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;

/// The forwarder's buffers.
#[derive(Debug)]
pub struct Bare {
    inbound: Inbound,
    headers: Vec<libc::mmsghdr>,
    parts: Vec<libc::iovec>,
    names: Vec<Name>,
    controls: Vec<Control>,
}

impl Bare {
    /// Takes the memory for `slots` messages of up to `slot_len` bytes.
    pub fn new(slots: usize, slot_len: usize) -> Self {
        // SAFETY: an mmsghdr is integers and pointers, for all of which zero is a value.
        let header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        Self {
            inbound: Inbound::new(slots, slot_len),
            headers: vec![header; slots],
            parts: vec![libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; slots],
            names: vec![Name::ROOM; slots],
            controls: vec![Control::EMPTY; slots],
        }
    }

    /// Forwards what is there; how many datagrams came.
    ///
    /// # Errors
    /// What recvmmsg(2) says.
    pub fn forward(&mut self, socket: &Socket) -> io::Result<u64> {
        let received = self.inbound.receive(socket)?;
        let mut datagrams = 0;
        let rooms = self.names.iter_mut().zip(&mut self.controls).zip(self.parts.iter_mut());
        for (index, (((name, control), part), header)) in
            rooms.zip(&mut self.headers).take(received).enumerate()
        {
            let Some(message) = self.inbound.message(index) else { continue };
            datagrams += message.len.div_ceil(message.segment_len) as u64;
            let bytes = self.inbound.arena().get_mut(message.offset..message.offset + message.len);
            let bytes = bytes.unwrap_or_default();
            *name = Name::new(destination(bytes).unwrap_or(message.source));
            *control = Control::EMPTY;
            if message.segment_len < message.len {
                control.push_segment(u16::try_from(message.segment_len).unwrap_or(u16::MAX));
            }
            *part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
            header.msg_hdr.msg_iov = part;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = name.bytes.as_mut_ptr().cast();
            header.msg_hdr.msg_namelen = name.len;
            header.msg_hdr.msg_control = control.bytes.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = control.len;
        }
        self.send(socket, received);
        Ok(datagrams)
    }

    fn send(&mut self, socket: &Socket, count: usize) {
        let mut done = 0;
        while let Some(rest) = self.headers.get_mut(done..count).filter(|rest| !rest.is_empty()) {
            let len = u32::try_from(rest.len()).unwrap_or(u32::MAX);
            // SAFETY: `rest` are `len` messages whose names, parts and control room `forward` has just set to
            // elements of vectors of this value, unmoved since; the parts point into the arena of `inbound`.
            let sent =
                unsafe { libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), len, libc::MSG_DONTWAIT) };
            done += usize::try_from(sent).unwrap_or(0).max(1);
        }
    }
}

fn destination(bytes: &[u8]) -> Option<SocketAddr> {
    let [a, b, c, d, p0, p1] = *bytes.first_chunk()?;
    Some(SocketAddr::from((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([p0, p1]))))
}
