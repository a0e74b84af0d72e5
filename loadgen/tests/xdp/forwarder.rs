//! A relay that is no reflector: it forwards what it is told to, or sends everything back.
//!
//! * Notes when it got no CPU, because what it does late may come too late for the generator.
//! * Counts what it did, so that a test knows exactly what the generator has to find.

use crate::held_up::Looks;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What it does with a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Sends it back to where it came from, as it is.
    Back,
    /// Takes the head off, and sends the rest to whom the head names.
    OnWithoutHead,
}

/// A running forwarder; stops when dropped.
pub(crate) struct Forwarder {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    stop: AtomicBool,
    forwarded: AtomicU64,
}

impl Forwarder {
    pub(crate) fn start(socket: UdpSocket, way: Way) -> Self {
        socket.set_read_timeout(Some(GLANCE)).unwrap();
        let (address, state) = (socket.local_addr().unwrap(), Arc::new(State::default()));
        let shared = Arc::clone(&state);
        let thread = thread::spawn(move || serve(&socket, way, &shared));
        Self { address, state, thread: Some(thread) }
    }

    /// Datagrams sent on.
    pub(crate) fn forwarded(&self) -> u64 {
        self.state.forwarded.load(SeqCst)
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.state.stop.store(true, SeqCst);
        // The panic of a thread is the test's unless that has one already.
        let outcome = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || outcome.is_none_or(|outcome| outcome.is_ok()), "the forwarder died");
    }
}

/// The head that names `to`: 8 bytes, or 20 for IPv6.
pub(crate) fn head_of(to: SocketAddr) -> String {
    let port = to.port();
    match to {
        SocketAddr::V4(v4) => format!("{:08x}{port:04x}0000", v4.ip().to_bits()),
        SocketAddr::V6(v6) => format!("{:032x}{port:04x}0000", v6.ip().to_bits()),
    }
}

fn serve(socket: &UdpSocket, way: Way, state: &State) {
    let (mut buffer, mut looks) = ([0; 2_048], Looks::new(GLANCE));
    while !state.stop.load(SeqCst) {
        // A time-out is the moment to look whether to stop.
        let received = socket.recv_from(&mut buffer);
        looks.look();
        let Ok((len, source)) = received else { continue };
        let datagram = &buffer[..len];
        // The generator asks the network for its neighbour with an empty one.
        if datagram.is_empty() {
            continue;
        }
        let (to, payload) = match way {
            Way::Back => (source, datagram),
            Way::OnWithoutHead => named(datagram, source.is_ipv4()),
        };
        socket.send_to(payload, to).unwrap();
        state.forwarded.fetch_add(1, SeqCst);
    }
    looks.look();
}

fn named(datagram: &[u8], ipv4: bool) -> (SocketAddr, &[u8]) {
    let ip_len = if ipv4 { 4 } else { 16 };
    let (ip, rest) = datagram.split_at(ip_len);
    let (port, rest) = rest.split_first_chunk::<2>().unwrap();
    let ip = match ipv4 {
        true => Ipv4Addr::from(<[u8; 4]>::try_from(ip).unwrap()).into(),
        false => Ipv6Addr::from(<[u8; 16]>::try_from(ip).unwrap()).into(),
    };
    (SocketAddr::new(ip, u16::from_be_bytes(*port)), &rest[2..])
}

/// How often it looks whether to stop.
const GLANCE: Duration = Duration::from_millis(20);
