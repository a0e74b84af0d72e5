//! A worker to test engines with, and sockets to talk to it.
//!
//! A datagram's first byte says what is to be done: `d` drop, `b` back to its source, `t` to the address that stands in
//! text behind it up to `;`, `s` a longer answer from the scratch.

use engine::kind::{Engine, Kind};
use engine::mio::Options;
use engine::socket::{self, Socket};
use engine::stop::Stopper;
use engine::{Action, Arrival, Batch, Condition, Handler, Sent};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread::JoinHandle;
use std::time::Duration;

/// What the handler saw.
#[derive(Default, Debug)]
pub(crate) struct Seen {
    pub(crate) batches: u64,
    pub(crate) datagrams: u64,
    pub(crate) handled: u64,
    pub(crate) cut: u64,
    pub(crate) control_cut: u64,
    pub(crate) sent: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) failed: Vec<Sent>,
    pub(crate) overflows: u64,
    pub(crate) locals: Vec<Option<IpAddr>>,
}

impl Handler for Seen {
    fn begin_batch(&mut self) {
        self.batches += 1;
    }

    fn handle(&mut self, arrival: Arrival<'_>) -> Action {
        self.handled += 1;
        if self.locals.len() < 1_000 {
            self.locals.push(arrival.local);
        }
        match arrival.condition {
            Condition::Cut => self.cut += 1,
            Condition::ControlCut => self.control_cut += 1,
            Condition::Whole => {}
        }
        match arrival.datagram {
            [b'b', ..] => Action::InPlace { to: arrival.source, label: 1 },
            [b't', rest @ ..] => {
                let text = rest.split(|byte| *byte == b';').next().unwrap_or_default();
                let to: SocketAddr = std::str::from_utf8(text).unwrap().parse().unwrap();
                Action::InPlace { to, label: 2 }
            }
            [b's', first, ..] => {
                arrival.scratch[..100].fill(*first);
                Action::Scratch { len: 100, to: arrival.source, socket: arrival.socket, label: 3 }
            }
            _ => Action::Drop,
        }
    }

    fn sent(&mut self, sent: Sent) {
        match sent.outcome {
            Ok(()) => {
                self.sent += u64::from(sent.datagrams);
                self.sent_bytes += sent.bytes;
            }
            Err(_) => self.failed.push(sent),
        }
    }

    fn end_batch(&mut self, batch: Batch) {
        self.datagrams += u64::from(batch.datagrams);
        self.overflows += u64::from(batch.overflows);
    }
}

/// A running worker; `finish` stops it and says what it saw.
pub(crate) struct Running {
    pub(crate) addresses: Vec<SocketAddr>,
    stopper: Stopper,
    thread: JoinHandle<(Seen, Vec<Socket>)>,
}

impl Running {
    pub(crate) fn start(kind: Kind, listen: &[&str], gro: bool) -> Running {
        Running::with(kind, listen, gro, 4 << 20, 64)
    }

    pub(crate) fn with_buffer(kind: Kind, listen: &[&str], gro: bool, receive_buffer: usize) -> Running {
        Running::with(kind, listen, gro, receive_buffer, 64)
    }

    pub(crate) fn with_slots(kind: Kind, listen: &[&str], slots: usize) -> Running {
        Running::with(kind, listen, true, 4 << 20, slots)
    }

    fn with(kind: Kind, listen: &[&str], gro: bool, receive_buffer: usize, slots: usize) -> Running {
        let open = |address: &&str| {
            let address: SocketAddr = address.parse().unwrap();
            let packet_info = address.ip().is_unspecified();
            let options =
                socket::Options { reuse_port: false, packet_info, gro, receive_buffer, send_buffer: 1 << 20 };
            Socket::open(address, &options).unwrap()
        };
        let sockets: Vec<Socket> = listen.iter().map(open).collect();
        let addresses = sockets.iter().map(Socket::local).collect();
        let slot_len = if gro { 65_536 } else { 2_048 };
        let (engine, stopper) = Engine::open(kind, sockets, Options { slots, slot_len, gso: true }).unwrap();
        let thread = std::thread::spawn(move || {
            let mut seen = Seen::default();
            let sockets = engine.run(&mut seen).unwrap();
            (seen, sockets)
        });
        Running { addresses, stopper, thread }
    }

    pub(crate) fn finish(self) -> (Seen, Vec<Socket>) {
        self.stopper.stop().unwrap();
        drop(self.stopper);
        self.thread.join().unwrap()
    }
}

/// A client with a time limit, so that a missing answer fails the test instead of hanging it.
pub(crate) fn client(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

/// The next datagram that a client receives, and from where.
pub(crate) fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 70_000];
    let (len, from) = socket.recv_from(&mut buffer).expect("an answer within the time limit");
    buffer.truncate(len);
    (buffer, from)
}

/// Asserts that nothing is there for a client.
pub(crate) fn nothing_for(socket: &UdpSocket) {
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut buffer = [0; 2_048];
    assert!(socket.recv_from(&mut buffer).is_err(), "nothing was to come");
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
}
