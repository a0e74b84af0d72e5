//! Endpoints: sockets that send through a reflector and wait for what they sent.

use super::daemon::{PATIENCE, Reflector};
use super::page::Page;
use super::protocol::{DATA, Key, OBSERVED, peer, probe};
use engine::socket::kind::Kind;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// An endpoint.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) socket: UdpSocket,
    pub(crate) address: SocketAddr,
    reflector: SocketAddr,
    sent: AtomicU64,
}

impl Endpoint {
    /// At this address, e.g. `127.0.0.1:0`, towards the reflector's address of the same family.
    pub(crate) fn new(address: &str, reflector: &Reflector) -> Self {
        let socket = UdpSocket::bind(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let address = socket.local_addr().unwrap();
        let same = |it: &&SocketAddr| it.is_ipv4() == address.is_ipv4();
        let reflector = *reflector.listen.iter().find(same).unwrap();
        Self { socket, address, reflector, sent: AtomicU64::new(0) }
    }

    /// Sends bytes to the reflector.
    pub(crate) fn send(&self, datagram: &[u8]) {
        assert_eq!(self.socket.send_to(datagram, self.reflector).unwrap(), datagram.len());
        self.sent.fetch_add(1, Relaxed);
    }

    /// The next datagram, which must come from the reflector.
    pub(crate) fn receive(&self) -> Vec<u8> {
        let mut buffer = vec![0; 65_536];
        let (length, from) = receive_from(&self.socket, &mut buffer);
        assert_eq!(from, self.reflector, "it came from somewhere else");
        buffer.truncate(length);
        buffer
    }

    /// Asserts that nothing is there. What was sent before must have been judged by then.
    pub(crate) fn assert_silence(&self) {
        self.socket.set_nonblocking(true).unwrap();
        let mut buffer = [0; 2_048];
        let outcome = self.socket.recv_from(&mut buffer);
        assert_eq!(outcome.expect_err("something came").kind(), ErrorKind::WouldBlock);
        self.socket.set_nonblocking(false).unwrap();
    }

    /// A PROBE and its answer: whatever was sent to a reflector of one worker before has been judged then.
    pub(crate) fn fence(&self) {
        self.send(&probe(b"fence"));
        let answer = self.receive();
        assert_eq!((answer[0], peer(&answer), &answer[32..]), (OBSERVED, self.address, &b"fence"[..]));
    }

    /// Sends to another endpoint `rounds` times `window` datagrams, each window waited for; all must arrive whole.
    pub(crate) fn exchange(&self, to: &Self, key: &Key, rounds: u32, window: u32) {
        for round in 0..rounds {
            for number in 0..window {
                let payload = [round.to_be_bytes(), number.to_be_bytes()].concat();
                self.send(&key.send(self.address, to.address, &payload));
            }
            for number in 0..window {
                let data = to.receive();
                let payload = [round.to_be_bytes(), number.to_be_bytes()].concat();
                assert_eq!((data[0], peer(&data), &data[32..]), (DATA, self.address, &payload[..]));
            }
        }
    }
}

/// Tells a thread beside the test that it is over, also when the test fails, so that the scope of both can end.
pub(crate) struct Over<'a>(pub(crate) &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// An address that nothing else in these tests can have, though it may be free at times: none of the ports that the
/// kernel hands out, and below 127.`net` an IP address of this process alone.
pub(crate) fn own_address(kind: Kind, net: u8) -> SocketAddr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let port = if kind == Kind::Epoll { 20_000 } else { 25_000 };
    SocketAddr::from(([127, net, high, low], port))
}

/// The next datagram, and from where.
pub(crate) fn receive_from(socket: &UdpSocket, buffer: &mut [u8]) -> (usize, SocketAddr) {
    loop {
        match socket.recv_from(buffer) {
            // A wait with a time limit is not taken up again after a stop or a freeze of the process (signal(7)).
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome.expect("nothing came"),
        }
    }
}

/// The metrics once everything that these endpoints sent, and nothing else, has been received and accounted for.
pub(crate) fn settled(reflector: &Reflector, endpoints: &[&Endpoint]) -> Page {
    let sent = endpoints.iter().map(|endpoint| endpoint.sent.load(Relaxed)).sum();
    let page = reflector.metrics_when(|page| page.received() >= sent && page.missing() == 0);
    assert_eq!(page.received(), sent);
    page
}
