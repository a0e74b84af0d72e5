//! The limits as programs: a socket forwarder and an XDP swap that check nothing, each started beside the relays.
//!
//! * Same buffers and options as the reflector's own: what differs from it is the check alone.
//! * Each says `ready` on standard error and runs until it is ended; the kernel takes the program off with its process.
//! * Yardsticks for measuring in namespaces, never services: anyone's datagram goes anywhere.

use anyhow::Context;
use engine::socket::bare::Bare;
use engine::socket::udp::{Options, Socket};
use engine::xdp::{Config, Mode, Xdp};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

/// Forwards from this address until the process is ended.
///
/// # Errors
/// An address that cannot be listened on, or what epoll(7) and recvmmsg(2) say.
pub fn forward(listen: SocketAddr, ready: impl FnOnce()) -> anyhow::Result<()> {
    let options = Options {
        reuse_port: false,
        packet_info: false,
        gro: true,
        receive_buffer: BUFFER_BYTES,
        send_buffer: BUFFER_BYTES,
    };
    let socket = Socket::open(listen, &options)?;
    let mut bare = Bare::new(SLOTS, SLOT_LEN);
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(1));
    poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), Token(0), Interest::READABLE)?;
    ready();
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => drain(&mut bare, &socket)?,
        }
    }
}

/// Forwards until nothing is there: epoll tells of an edge once.
fn drain(bare: &mut Bare, socket: &Socket) -> anyhow::Result<()> {
    loop {
        match bare.forward(socket) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("the bare forwarder cannot receive"),
        }
    }
}

/// Swaps addresses at the driver of this interface until the process is ended.
///
/// # Errors
/// An interface that takes no native XDP program, or no permission.
pub fn swap(interface: &str, ready: impl FnOnce()) -> anyhow::Result<()> {
    let mut program = Xdp::load_object(interface, &Config::new(), OBJECT, "bare_swap")?;
    program.attach(Mode::Native, None)?;
    ready();
    loop {
        std::thread::park(); // Wakes by itself at times, which changes nothing.
    }
}

/// Messages of a batch, as the reflector's worker takes them.
const SLOTS: usize = 64;
/// A whole train each.
const SLOT_LEN: usize = 65_536;
/// As much as the reflector asks for.
const BUFFER_BYTES: usize = 4 << 20;
const OBJECT: &[u8] = include_bytes!("../../../engine/bpf/bench.bpf.o");
