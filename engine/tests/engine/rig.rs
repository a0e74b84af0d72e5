//! A worker to test engines with, and sockets to talk to it.
//!
//! A datagram's first byte says what is to be done: `d` drop, `b` back to its source, `t` to the address that stands in
//! text behind it up to `;`, `s` a longer answer from the scratch, `w` wait until the test lets the worker go on.

use engine::socket::epoll::Options;
use engine::socket::kind::{Engine, Kind};
use engine::socket::stop::Stopper;
use engine::socket::udp;
use engine::socket::udp::Socket;
use engine::{Action, Arrival, Batch, Condition, Handler, Sent};
use harness::PATIENCE;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// What the handler saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) batches: u64,
    pub(crate) datagrams: u64,
    pub(crate) handled: u64,
    pub(crate) cut: u64,
    pub(crate) control_cut: u64,
    pub(crate) sent: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) failed: Vec<Sent<u8>>,
    pub(crate) overflows: u64,
    pub(crate) locals: Vec<Option<IpAddr>>,
    /// Datagrams that were handled or, as the kernel said, lost in a full queue, for the test to read meanwhile.
    known: Arc<AtomicU64>,
    /// Where a `w` waits; a test that ends lets the worker go on.
    go_on: Option<Receiver<()>>,
}

impl Handler for Seen {
    type Label = u8;

    fn begin_batch(&mut self) {
        self.batches += 1;
    }

    fn handle(&mut self, arrival: Arrival<'_>) -> Action<u8> {
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
            [b'w', ..] => {
                self.go_on.as_ref().map(Receiver::recv);
                Action::Drop
            }
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

    fn sent(&mut self, sent: Sent<u8>) {
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
        self.known.store(self.handled + self.overflows, Ordering::Relaxed);
    }
}

/// A running worker; `finish` stops it and says what it saw.
pub(crate) struct Running {
    pub(crate) addresses: Vec<SocketAddr>,
    go_on: Sender<()>,
    known: Arc<AtomicU64>,
    stopper: Stopper,
    thread: JoinHandle<(Seen, Vec<Socket>)>,
}

impl Running {
    pub(crate) fn start(kind: Kind, listen: &[&str], gro: bool) -> Self {
        Self::with(kind, listen, gro, 4 << 20, 64)
    }

    pub(crate) fn with_buffer(kind: Kind, listen: &[&str], gro: bool, receive_buffer: usize) -> Self {
        Self::with(kind, listen, gro, receive_buffer, 64)
    }

    pub(crate) fn with_slots(kind: Kind, listen: &[&str], slots: usize) -> Self {
        Self::with(kind, listen, true, 4 << 20, slots)
    }

    fn with(kind: Kind, listen: &[&str], gro: bool, receive_buffer: usize, slots: usize) -> Self {
        let open = |address: &&str| {
            let address: SocketAddr = address.parse().unwrap();
            let packet_info = address.ip().is_unspecified();
            let options =
                udp::Options { reuse_port: false, packet_info, gro, receive_buffer, send_buffer: 1 << 20 };
            Socket::open(address, &options).unwrap()
        };
        let sockets: Vec<Socket> = listen.iter().map(open).collect();
        let addresses = sockets.iter().map(Socket::local).collect();
        let slot_len = if gro { 65_536 } else { 2_048 };
        let (engine, stopper) = Engine::open(kind, sockets, Options { slots, slot_len, gso: true }).unwrap();
        let (go_on, wait) = channel();
        let known = Arc::new(AtomicU64::new(0));
        let mut seen = Seen { go_on: Some(wait), known: Arc::clone(&known), ..Seen::default() };
        let thread = std::thread::spawn(move || {
            let sockets = engine.run(&mut seen).unwrap();
            (seen, sockets)
        });
        Self { addresses, go_on, known, stopper, thread }
    }

    /// Lets a worker go on that waits or will wait for it.
    pub(crate) fn go_on(&self) {
        self.go_on.send(()).unwrap();
    }

    /// Datagrams that were handled so far or, as the kernel said, lost in a full queue.
    pub(crate) fn known(&self) -> u64 {
        self.known.load(Ordering::Relaxed)
    }

    pub(crate) fn finish(self) -> (Seen, Vec<Socket>) {
        self.stopper.stop().unwrap();
        drop(self.stopper);
        self.thread.join().unwrap()
    }
}

/// An address that nothing else in these tests can have, though it may be free at times: none of the ports that the
/// kernel hands out, and an IP address of this process alone.
pub(crate) fn own_address() -> SocketAddr {
    static PORT: AtomicU16 = AtomicU16::new(20_000);
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    SocketAddr::from(([127, 64 | high, middle, low], PORT.fetch_add(1, Ordering::Relaxed)))
}

/// A client with a time limit, so that a missing answer fails the test instead of hanging it.
pub(crate) fn client(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// The next datagram that a client receives, and from where.
pub(crate) fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 70_000];
    let (len, from) = loop {
        match socket.recv_from(&mut buffer) {
            // A wait with a time limit is not taken up again after a stop or a freeze of the process (signal(7)).
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => break outcome.expect("an answer within the time limit"),
        }
    };
    buffer.truncate(len);
    (buffer, from)
}

/// Asserts that a client gets nothing but what it sends to itself afterwards.
pub(crate) fn nothing_for(socket: &UdpSocket) {
    let own = socket.local_addr().unwrap();
    socket.send_to(b"sentinel", own).unwrap();
    assert_eq!(receive(socket), (b"sentinel".to_vec(), own), "nothing was to come");
}
