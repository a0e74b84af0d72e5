//! A packet socket on one interface: whole frames in both directions (packet(7)).
//!
//! * The kernel puts a frame into its queue as the frame passes, so whoever has seen an answer finds it there already.
//! * Opened on a thread that is in the interface's namespace.

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::sockopt::{RcvBufForce, ReceiveTimestampns};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recvmsg,
    send, setsockopt, socket,
};
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A packet socket.
#[derive(Debug)]
pub(crate) struct PacketSocket {
    socket: OwnedFd,
    mac: [u8; 6],
}

impl PacketSocket {
    /// One that sees the frames of `interface` from now on; reading it never blocks.
    pub(crate) fn open(interface: &str) -> io::Result<Self> {
        let is_wanted = |it: &nix::ifaddrs::InterfaceAddress| it.interface_name == interface;
        let mut found = getifaddrs()?.filter(is_wanted);
        let address =
            found.find_map(|it| it.address?.as_link_addr().copied()).ok_or(io::ErrorKind::NotFound)?;
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)?;
        setsockopt(&socket, RcvBufForce, &QUEUE_BYTES)?;
        setsockopt(&socket, ReceiveTimestampns, &true)?;
        // The address names no protocol, so the socket keeps the one it was opened with: all.
        bind(socket.as_raw_fd(), &address)?;
        let opened = Self { socket, mac: address.addr().ok_or(io::ErrorKind::InvalidData)? };
        // Until it was bound it saw the frames of every interface.
        while opened.receive(&mut [0; 1])?.is_some() {}
        Ok(opened)
    }

    /// The interface's hardware address.
    pub(crate) fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// The next frame into `buffer`; `None` when there is none.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let mut control = nix::cmsg_space!(nix::sys::time::TimeSpec);
        let mut pieces = [IoSliceMut::new(buffer)];
        let message = loop {
            match recvmsg::<LinkAddr>(
                self.socket.as_raw_fd(),
                &mut pieces,
                Some(&mut control),
                MsgFlags::empty(),
            ) {
                Ok(message) => break message,
                Err(Errno::EAGAIN) => return Ok(None),
                // Told once, after the interface went down; frames come again when it is up.
                Err(Errno::EINTR | Errno::ENETDOWN) => {}
                Err(errno) => return Err(errno.into()),
            }
        };
        let time = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::ScmTimestampns(time) => Some(UNIX_EPOCH + Duration::from(time)),
            _ => None,
        });
        let outgoing = message.address.is_some_and(|address| address.pkttype() == PACKET_OUTGOING);
        Ok(Some(Received { length: message.bytes, time: time.unwrap_or(UNIX_EPOCH), outgoing }))
    }

    /// Sends a frame.
    pub(crate) fn send(&self, frame: &[u8]) -> io::Result<()> {
        send(self.socket.as_raw_fd(), frame, MsgFlags::empty())?;
        Ok(())
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What was received besides the bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    /// Bytes of the frame.
    pub(crate) length: usize,
    /// When the kernel saw it.
    pub(crate) time: SystemTime,
    /// Whether this host sent it.
    pub(crate) outgoing: bool,
}

/// The kernel doubles it; some tens of thousands of frames.
const QUEUE_BYTES: usize = 16 << 20;
/// The frame was sent by this host (packet(7)).
const PACKET_OUTGOING: u8 = 4;
