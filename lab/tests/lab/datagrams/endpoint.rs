//! An endpoint: one UDP socket that speaks to reflectors, with capabilities from those who hold their rings.
//!
//! * It believes only what comes from the reflector that it asked.

use harness::PATIENCE;
use lab::Host;
use std::io::ErrorKind::{TimedOut, WouldBlock};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wire::{Form, HEADER_LEN, Header, KeyRing, Kind, TransportAddress, mint};

/// An endpoint.
pub(crate) struct Endpoint {
    socket: UdpSocket,
    ignored: OnceLock<Vec<u8>>,
}

/// A datagram from a reflector.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) from: SocketAddr,
    pub(crate) header: Header,
    pub(crate) payload: Vec<u8>,
}

impl Endpoint {
    /// One on a host, over IPv4.
    pub(crate) fn new(host: &Host, port: u16) -> Self {
        Self::at(host, host.ipv4().into(), port)
    }

    /// One at this address of a host.
    pub(crate) fn at(host: &Host, ip: IpAddr, port: u16) -> Self {
        let socket = host.udp(ip, port).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, ignored: OnceLock::new() }
    }

    /// Its address on its host.
    pub(crate) fn local(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Asks a reflector for this endpoint's contact; the ticket is proved with its ring.
    pub(crate) fn contact(&self, reflector: SocketAddr, ring: &KeyRing) -> TransportAddress {
        let mut probe = vec![0; HEADER_LEN];
        probe[0] = Kind::Probe as u8;
        probe.extend_from_slice(b"echo");
        self.send_bytes(reflector, &probe);
        let observed = self.receive().expect("no answer to a PROBE");
        assert_eq!((observed.from, observed.payload.as_slice()), (reflector, b"echo".as_slice()));
        mint::verify_ticket(ring, &observed.header, now_s()).expect("the ticket proves nothing")
    }

    /// Sends through a reflector.
    pub(crate) fn send(&self, reflector: SocketAddr, header: &Header, payload: &[u8]) {
        self.send_bytes(reflector, &[&header.to_bytes()[..], payload].concat());
    }

    /// Sends bytes as they are.
    pub(crate) fn send_bytes(&self, to: SocketAddr, bytes: &[u8]) {
        assert_eq!(self.socket.send_to(bytes, to).unwrap(), bytes.len());
    }

    /// The next datagram; `None` when none comes for long enough to be sure.
    pub(crate) fn receive(&self) -> Option<Received> {
        let mut buffer = [0; 2048];
        loop {
            let (length, from) = match self.socket.recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if matches!(error.kind(), WouldBlock | TimedOut) => return None,
                Err(error) => panic!("receive: {error}"),
            };
            let (head, payload) = buffer[..length].split_first_chunk().expect("shorter than a header");
            if self.ignored.get().is_none_or(|ignored| ignored != payload) {
                return Some(Received { from, header: Header::read(head), payload: payload.to_vec() });
            }
        }
    }

    /// Passes over datagrams of this payload from now on: of many that were sent until one arrived, others may be late.
    pub(crate) fn ignore(&self, payload: &[u8]) {
        self.ignored.set(payload.to_vec()).unwrap();
    }

    /// The next datagram, which must be a DATA of this payload.
    pub(crate) fn expect(&self, payload: &[u8]) -> Received {
        let received = self.receive().expect("nothing arrived");
        assert_eq!(received.header.kind, Kind::Data as u8);
        assert!(
            received.payload == payload,
            "{} bytes arrived, not the {} sent",
            received.payload.len(),
            payload.len()
        );
        received
    }

    /// Asserts that nothing comes for a moment.
    pub(crate) fn expect_nothing(&self) {
        self.socket.set_read_timeout(Some(QUIET)).unwrap();
        let received = self.receive();
        assert!(received.is_none(), "something arrived: {received:?}");
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
    }

    /// From now on, a receive waits no longer than this.
    pub(crate) fn wait_at_most(&self, patience: Duration) {
        self.socket.set_read_timeout(Some(patience)).unwrap();
    }

    /// Whether anything waits to be received, which is then gone.
    pub(crate) fn drain(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        let drained = std::iter::from_fn(|| self.receive()).count();
        self.socket.set_nonblocking(false).unwrap();
        drained > 0
    }

    /// Sends every datagram back where it came from, the first byte made what `turn` says, as long as `goes_on` says so.
    pub(crate) fn echo_while(&self, goes_on: impl Fn() -> bool, turn: fn(u8) -> u8) {
        let mut buffer = [0; 2048];
        self.socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        while goes_on() {
            if let Ok((length, from)) = self.socket.recv_from(&mut buffer) {
                buffer[0] = turn(buffer[0]);
                self.socket.send_to(&buffer[..length], from).unwrap();
            }
        }
    }
}

/// The header to answer with: the same 32 bytes, as a SEND.
pub(crate) fn answer(header: &Header) -> Header {
    Header { kind: Kind::Send as u8, ..*header }
}

/// A SEND header of class 0 that lives `lifetime_s` from now.
pub(crate) fn capability(
    ring: &KeyRing,
    from: TransportAddress,
    to: TransportAddress,
    lifetime_s: u32,
) -> Header {
    mint::send_header(ring, Form::Plain, 0, now_s() + lifetime_s, from, to).unwrap()
}

/// The form in which the wire has this address.
pub(crate) fn on_wire(address: SocketAddr) -> TransportAddress {
    TransportAddress::from_socket(address).unwrap()
}

/// Unix time in seconds.
pub(crate) fn now_s() -> u32 {
    u32::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// How long silence must last to be believed.
const QUIET: Duration = Duration::from_millis(150);
