//! A worker's few sockets and the buffers before and behind them: many addresses, no socket for each.
//!
//! ```text
//!   queue(from 127.64.7.1:40001) --> arena slot --> Outbound --sendmmsg, source by IP_PKTINFO--> socket of port 40001
//!   receive() <-- (source, 127.64.7.1:40001, bytes) <-- Inbound <--recvmmsg, packet info-- that socket
//! ```
//!
//! * Wildcard sockets, each with a port of its own that a reflector sends to; the datagram chooses its source address.
//! * After opening: no allocation, no lock. Edge-triggered: a socket stays ready until a receive found less than a batch.

#![deny(clippy::disallowed_types)]

use crate::error::Error;
use engine::host::clock;
use engine::socket::inbound::Inbound;
use engine::socket::outbound::{Datagram, Outbound};
use engine::socket::udp::{Options, Socket};
use engine::{Condition, Label, Sent, SocketId};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// The sockets of one worker with their buffers; stays on the thread that opened it.
#[derive(Debug)]
pub struct Station<L> {
    sockets: Vec<Socket>,
    ports: Vec<u16>,
    poll: Poll,
    events: Events,
    ready: Vec<bool>,
    inbound: Inbound,
    outbound: Outbound<L>,
    arena: Vec<u8>,
    stride: usize,
    queued: usize,
    /// Overflows that each socket has reported so far.
    overflows: Vec<u32>,
}

impl<L: Label> Station<L> {
    /// Takes all memory for datagrams of up to `longest` bytes to send.
    ///
    /// # Errors
    /// What epoll says.
    pub fn open(Sockets { sockets, overflows }: Sockets, longest: usize) -> io::Result<Self> {
        let poll = Poll::new()?;
        for (index, socket) in sockets.iter().enumerate() {
            poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), Token(index), Interest::READABLE)?;
        }
        let gso = sockets.iter().all(|socket| socket.granted().gso);
        // Trains of 64 KiB arrive only where the kernel may make them.
        let gro = sockets.iter().any(|socket| socket.granted().gro);
        Ok(Self {
            ports: sockets.iter().map(|socket| socket.local().port()).collect(),
            ready: vec![true; sockets.len()],
            overflows,
            sockets,
            poll,
            events: Events::with_capacity(MOST_SOCKETS),
            inbound: Inbound::new(SLOTS, if gro { 65_536 } else { 2_048 }),
            outbound: Outbound::new(CAPACITY, gso),
            arena: vec![FILLER; CAPACITY * longest],
            stride: longest,
            queued: 0,
        })
    }

    /// Whether the queue has to be flushed before more is queued.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.queued >= CAPACITY
    }

    /// Queues a datagram of `len` bytes, whose head `write` fills in; `false` if no socket has the port, or it is full.
    #[inline]
    pub fn queue(
        &mut self,
        (from, to): (SocketAddr, SocketAddr),
        label: L,
        len: usize,
        write: impl FnOnce(&mut [u8]),
    ) -> bool {
        let offset = self.queued * self.stride;
        let socket = self.ports.iter().position(|port| *port == from.port());
        let Some(socket) = socket.and_then(|index| u8::try_from(index).ok()) else { return false };
        let Some(slot) = self.arena.get_mut(offset..offset + len.min(self.stride)) else { return false };
        write(slot);
        let datagram = Datagram { offset, len, to, from: Some(from.ip()), socket: SocketId(socket), label };
        let pushed = self.outbound.push(datagram);
        self.queued += usize::from(pushed);
        pushed
    }

    /// Sends what is queued.
    #[inline]
    pub fn flush(&mut self, on_sent: &mut impl FnMut(Sent<L>)) {
        if self.queued > 0 {
            self.outbound.flush(&self.arena, &self.sockets, on_sent);
            self.queued = 0;
        }
    }

    /// Waits until something arrives or the time is over; a time of 0 only looks.
    ///
    /// # Errors
    /// What epoll_wait(2) says.
    #[inline]
    pub fn wait(&mut self, at_most: Duration) -> io::Result<()> {
        let at_most = if self.ready.contains(&true) { Duration::ZERO } else { at_most };
        match self.poll.poll(&mut self.events, Some(at_most)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &self.events {
            if let Some(ready) = self.ready.get_mut(event.token().0) {
                *ready = true;
            }
        }
        Ok(())
    }

    /// Hands over what the ready sockets hold, at most a batch of each; the number of datagrams.
    ///
    /// # Errors
    /// What recvmmsg(2) says.
    pub fn receive(&mut self, handle: &mut impl FnMut(&Arrival<'_>)) -> io::Result<u32> {
        let mut datagrams = 0;
        for (index, socket) in self.sockets.iter().enumerate() {
            let Some(ready) = self.ready.get_mut(index).filter(|ready| **ready) else { continue };
            let received = self.inbound.receive(socket)?;
            *ready = received == self.inbound.slots();
            let now_ns = now_ns();
            for slot in 0..received {
                let Some(message) = self.inbound.message(slot) else { continue };
                if let (Some(total), Some(seen)) = (message.overflows, self.overflows.get_mut(index)) {
                    *seen = total;
                }
                let port = socket.local().port();
                let local = message.local.map(|ip| SocketAddr::new(ip, port));
                for place in message.datagrams() {
                    datagrams += 1;
                    let whole = message.condition == Condition::Whole;
                    let (Some(datagram), Some(local)) = (self.inbound.arena().get(place), local) else {
                        continue;
                    };
                    handle(&Arrival { datagram, source: message.source, local, whole, now_ns });
                }
            }
        }
        Ok(datagrams)
    }

    /// Datagrams that the sockets have lost to full queues since they were opened, as far as they have said so.
    pub fn overflows(&self) -> u64 {
        self.overflows.iter().map(|count| u64::from(*count)).sum()
    }

    /// Gives the sockets back, open.
    pub fn into_sockets(self) -> Sockets {
        Sockets { sockets: self.sockets, overflows: self.overflows }
    }
}

/// The sockets of one worker between two stations.
#[derive(Debug)]
pub struct Sockets {
    sockets: Vec<Socket>,
    overflows: Vec<u32>,
}

/// One datagram received.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Its bytes.
    pub datagram: &'a [u8],
    /// Who sent it.
    pub source: SocketAddr,
    /// The transport address that it was sent to.
    pub local: SocketAddr,
    /// Whether the kernel delivered it whole.
    pub whole: bool,
    /// When its batch was received, boot time in ns.
    pub now_ns: u64,
}

impl Sockets {
    /// Opens the sockets of one worker on ports that a reflector sends to.
    ///
    /// # Errors
    /// What the kernel says, in one line.
    pub fn open(ipv4: bool) -> Result<Self, Error> {
        Self::open_count(ipv4, SOCKETS)
    }

    /// Opens so many of them, at most [`MOST_SOCKETS`].
    ///
    /// # Errors
    /// What the kernel says, in one line.
    pub fn open_count(ipv4: bool, count: usize) -> Result<Self, Error> {
        let any: IpAddr = if ipv4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let options = Options {
            reuse_port: false,
            packet_info: true,
            gro: true,
            receive_buffer: BUFFER_BYTES,
            send_buffer: BUFFER_BYTES,
        };
        let mut sockets: Vec<Socket> = Vec::with_capacity(count);
        // A socket whose port would be refused stays open until the end, so that the kernel chooses another.
        let mut unusable = Vec::new();
        while sockets.len() < count && unusable.len() < MOST_SOCKETS {
            let socket = Socket::open(SocketAddr::new(any, 0), &options)
                .map_err(|error| Error::Runtime(format!("no socket to send from: {error}")))?;
            if is_served(socket.local().port()) { sockets.push(socket) } else { unusable.push(socket) }
        }
        if sockets.len() < count {
            let text = "the kernel gives out only ports that a reflector never sends to; widen net.ipv4.ip_local_port_range";
            return Err(Error::Configuration(text.to_owned()));
        }
        Ok(Self { overflows: vec![0; sockets.len()], sockets })
    }

    /// Their ports.
    pub fn ports(&self) -> Vec<u16> {
        self.sockets.iter().map(|socket| socket.local().port()).collect()
    }

    /// The receive buffer of one of them as granted, bytes.
    pub fn receive_buffer(&self) -> usize {
        self.sockets.iter().map(|socket| socket.granted().receive_buffer).min().unwrap_or(0)
    }
}

/// Boot time, ns.
#[inline]
pub fn now_ns() -> u64 {
    u64::try_from(clock::boot_ns()).unwrap_or(0)
}

/// Whether a reflector sends to this port, wherever it may send at all.
fn is_served(port: u16) -> bool {
    let anywhere = wire::TransportAddress { address: 0xffff_0808_0808, port };
    wire::Policy::default().permits(anywhere)
}

/// Sockets of a worker.
pub const SOCKETS: usize = 4;
/// Messages in one receive.
const SLOTS: usize = 64;
/// Datagrams in one send.
const CAPACITY: usize = 64;
/// Of one station: their places are bytes.
pub const MOST_SOCKETS: usize = 255;
/// Buffers wanted of each socket, bytes: a stall of 200 ms at 100,000 datagrams a second.
const BUFFER_BYTES: usize = 16 << 20;
/// What payloads are filled with.
const FILLER: u8 = 0xa5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_services_are_not_served() {
        assert!(is_served(40_000) && is_served(1024));
        assert!([0, 53, 1023, 1900, 3702, 5353, 5683, 11211].iter().all(|port| !is_served(*port)));
    }

    #[test]
    fn two_addresses_talk_through_one_station() {
        let mut station = Station::open(Sockets::open(true).unwrap(), 100).unwrap();
        let (a, b) = (station.ports[0], station.ports[1]);
        let from = SocketAddr::from(([127, 64, 0, 1], a));
        let to = SocketAddr::from(([127, 64, 0, 2], b));
        assert!(station.queue((from, to), 7, 50, |bytes| bytes[0] = 9));
        assert!(!station.queue((SocketAddr::from(([127, 64, 0, 1], 1)), to), 7, 50, |_| ()));
        let mut sent = Vec::new();
        station.flush(&mut |each| sent.push((each.label, each.datagrams, each.outcome)));
        assert_eq!(sent, [(7, 1, Ok(()))]);
        let mut arrived = Vec::new();
        for _ in 0..1000 {
            station.wait(Duration::from_millis(10)).unwrap();
            let handle = &mut |arrival: &Arrival<'_>| {
                arrived.push((arrival.source, arrival.local, arrival.datagram.len(), arrival.datagram[0]));
            };
            if station.receive(handle).unwrap() > 0 {
                break;
            }
        }
        assert_eq!(arrived, [(from, to, 50, 9)]);
        assert_eq!(station.overflows(), 0);
    }

    #[test]
    fn a_full_queue_says_so() {
        let mut station = Station::open(Sockets::open(true).unwrap(), 40).unwrap();
        let from = SocketAddr::from(([127, 64, 0, 1], station.ports[0]));
        for _ in 0..CAPACITY {
            assert!(!station.is_full() && station.queue((from, from), (), 40, |_| ()));
        }
        assert!(station.is_full() && !station.queue((from, from), (), 40, |_| ()));
    }
}
