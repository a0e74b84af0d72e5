//! The whole socket path: the daemon's worker on a socket engine, datagrams through loopback sockets.
//!
//! * Sources are what loopback has: 127/8 and ::1, each endpoint with a socket of its own.
//! * Nothing is judged by time. A run whose second passed before it ended is thrown away and done again.
//! * Sockets are read until as much has arrived as the worker has counted as sent.

use crate::setup::Setup;
use crate::worker::offset_ns;
use engine::host::clock;
use engine::socket::epoll::Options;
use engine::socket::kind::{Engine, Kind};
use engine::socket::stop::Stopper;
use engine::socket::udp;
use engine::socket::udp::Socket;
use harness::PATIENCE;
use reflector::counters::{Cells, Counts, Event};
use reflector::rules::shared::Shared;
use reflector::run::worker::Worker;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use wire::siphash::SipKey;

/// A reflector in a thread, and endpoints around it.
#[derive(Debug)]
pub(crate) struct Loopback {
    shared: Arc<Shared>,
    cells: Arc<Cells>,
    endpoints: Vec<UdpSocket>,
    listening: [SocketAddr; 2],
    stopper: Stopper,
    thread: Option<JoinHandle<()>>,
}

/// What arrived: at which endpoint, from where, which bytes.
pub(crate) type Delivery = (SocketAddr, SocketAddr, Vec<u8>);

impl Loopback {
    /// A reflector at 127.0.0.1 and ::1, and endpoints at these addresses, port 0 being any.
    pub(crate) fn new(kind: Kind, setup: &Setup, endpoints: &[&str]) -> Self {
        let options = udp::Options {
            reuse_port: false,
            packet_info: false,
            gro: true,
            receive_buffer: 1 << 20,
            send_buffer: 1 << 20,
        };
        let listen = |address: &str| Socket::open(address.parse().unwrap(), &options).unwrap();
        let sockets = vec![listen("127.0.0.1:0"), listen("[::1]:0")];
        let listening = [sockets[0].local(), sockets[1].local()];
        let shared = Arc::new(Shared::new(setup.rules(), 0));
        let cells = Arc::new(Cells::new());
        let (engine, stopper) =
            Engine::open(kind, sockets, Options { slots: 32, slot_len: 65_536, gso: true }).unwrap();
        let key = SipKey::new(setup.hash_key);
        let (for_worker, counted) = (Arc::clone(&shared), Arc::clone(&cells));
        let thread = std::thread::spawn(move || {
            let mut worker = Worker::new(for_worker, counted, key);
            engine.run(&mut worker).unwrap();
        });
        let endpoints = endpoints.iter().map(|address| endpoint(address)).collect();
        Self { shared, cells, endpoints, listening, stopper, thread: Some(thread) }
    }

    /// The addresses of the endpoints, in their order.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.endpoints.iter().map(|endpoint| endpoint.local_addr().unwrap()).collect()
    }

    /// The listening addresses, IPv4 and IPv6.
    pub(crate) fn listening(&self) -> [SocketAddr; 2] {
        self.listening
    }

    /// The reflector's address towards this one.
    pub(crate) fn door(&self, to: SocketAddr) -> SocketAddr {
        self.listening[usize::from(to.is_ipv6())]
    }

    /// Sends each datagram from the endpoint of that place, all within the second of the setup; what was counted, and
    /// what arrived, endpoint by endpoint, each in order.
    pub(crate) fn exchange(&self, setup: &Setup, datagrams: &[(usize, Vec<u8>)]) -> (Counts, Vec<Delivery>) {
        self.shared.rules().store(Arc::new(setup.rules()));
        for _ in 0..ATTEMPTS {
            let offset_ns = offset_ns(setup.now_s, clock::boot_ns());
            self.shared.set_offset_ns(offset_ns);
            let before = self.cells.read();
            for chunk in datagrams.chunks(CHUNK) {
                let expected = self.received() + chunk.len() as u64;
                for (place, datagram) in chunk {
                    let endpoint = &self.endpoints[*place];
                    endpoint.send_to(datagram, self.door(endpoint.local_addr().unwrap())).unwrap();
                }
                self.await_received(expected);
            }
            let delivered = self.deliveries(&before);
            if clock::unix_s(offset_ns, clock::boot_ns()) == setup.now_s {
                return (difference(&self.cells.read(), &before), delivered);
            }
        }
        panic!("{} datagrams did not pass within a second in {ATTEMPTS} attempts", datagrams.len());
    }

    /// What has been counted since the beginning.
    pub(crate) fn counts(&self) -> Counts {
        self.cells.read()
    }

    fn received(&self) -> u64 {
        self.cells.read().datagrams(Event::Received)
    }

    fn await_received(&self, number: u64) {
        let begun = Instant::now();
        while self.received() < number {
            assert!(begun.elapsed() < PATIENCE, "{} of {number} datagrams were received", self.received());
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    /// What has arrived once everything that came in since `before` is accounted for, and what was sent has arrived.
    fn deliveries(&self, before: &Counts) -> Vec<Delivery> {
        let mut delivered = Vec::new();
        let mut buffer = vec![0; 65_536];
        let mut take = || {
            let counts = difference(&self.cells.read(), before);
            let left = counts.datagrams(Event::Relayed) + counts.datagrams(Event::Observed);
            let is_settled = counts.datagrams(Event::Received) == left + counts.dropped() + counts.unsent();
            for endpoint in &self.endpoints {
                while let Ok((length, from)) = endpoint.recv_from(&mut buffer) {
                    delivered.push((endpoint.local_addr().unwrap(), from, buffer[..length].to_vec()));
                }
            }
            is_settled && delivered.len() as u64 >= left
        };
        let begun = Instant::now();
        while !take() {
            assert!(begun.elapsed() < PATIENCE, "not all that was sent has arrived");
            std::thread::sleep(Duration::from_micros(50));
        }
        delivered
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        let stopped = self.stopper.stop();
        if let (Ok(()), Some(thread)) = (stopped, self.thread.take()) {
            let _ = thread.join();
        }
    }
}

fn endpoint(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// Datagrams by event, of what was counted between two readings.
fn difference(after: &Counts, before: &Counts) -> Counts {
    let mut counts = Counts::new();
    let events = [Event::Received, Event::Relayed, Event::Observed].into_iter();
    let drops = wire::Reason::ALL.into_iter().map(Event::Dropped);
    let errors = engine::SendError::ALL.into_iter().map(Event::Unsent);
    for event in events.chain(drops).chain(errors) {
        let number = after.datagrams(event) - before.datagrams(event);
        counts.count(event, number, after.bytes(event) - before.bytes(event));
    }
    counts
}

const ATTEMPTS: usize = 20;
/// Datagrams under way at once: fewer than fill the smallest receive buffer.
const CHUNK: usize = 32;
