//! The UDP sockets of an endpoint: one for each family, fragments forbidden, received in batches.
//!
//! * A datagram that the kernel does not take at once is dropped, as a network would.
//! * What the kernel merged is taken apart again, so that everybody else sees single datagrams.

use crate::error::Error;
use peer::Families;
use quinn::udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, Socket as RawSocket, Type};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// The sockets; at least one.
#[derive(Debug)]
pub(crate) struct Sockets {
    ipv4: Option<Socket>,
    ipv6: Option<Socket>,
}

#[derive(Debug)]
struct Socket {
    io: UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
}

impl Sockets {
    /// Sockets at free ports.
    pub(crate) fn open() -> Result<Self, Error> {
        let ipv4 = Socket::open(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0));
        let ipv6 = Socket::open(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0)).ok();
        if ipv6.is_some() {
            return Ok(Self { ipv4: ipv4.ok(), ipv6 });
        }
        ipv4.map(|ipv4| Self { ipv4: Some(ipv4), ipv6: None })
    }

    /// Which families can be sent to: IPv6 counts where an interface has an address that others could answer.
    pub(crate) fn families(&self) -> Families {
        let global = addresses().into_iter().any(|ip| ip.is_ipv6());
        Families { ipv4: self.ipv4.is_some(), ipv6: self.ipv6.is_some() && (global || self.ipv4.is_none()) }
    }

    /// The transport addresses of the own interfaces: host candidates.
    pub(crate) fn hosts(&self) -> Vec<SocketAddr> {
        let socket = |ip: &IpAddr| if ip.is_ipv4() { self.ipv4.as_ref() } else { self.ipv6.as_ref() };
        let with_port = |ip: IpAddr| socket(&ip).map(|it| SocketAddr::new(ip, it.local.port()));
        addresses().into_iter().filter_map(with_port).take(MAX_HOSTS).collect()
    }

    /// Sends a datagram, or drops it.
    pub(crate) fn send(&self, destination: SocketAddr, contents: &[u8]) {
        let socket = if destination.is_ipv4() { &self.ipv4 } else { &self.ipv6 };
        let Some(socket) = socket else { return };
        let transmit = Transmit { destination, ecn: None, contents, segment_size: None, src_ip: None };
        // Not by way of tokio's readiness, which a fresh socket has yet to learn: the first PROBEs would be dropped. And
        // whatever the kernel says, the peer's silence says it too.
        socket.state.try_send(UdpSockRef::from(&socket.io), &transmit).ok();
    }

    /// Waits until something can be received.
    pub(crate) async fn readable(&self) {
        match (&self.ipv4, &self.ipv6) {
            (Some(ipv4), Some(ipv6)) => {
                tokio::select! { _ = ipv4.io.readable() => {}, _ = ipv6.io.readable() => {} }
            }
            (Some(one), None) | (None, Some(one)) => drop(one.io.readable().await),
            (None, None) => std::future::pending().await,
        }
    }

    /// Receives what there is, up to a batch of each family.
    pub(crate) fn receive(&self, buffers: &mut Buffers, mut handle: impl FnMut(SocketAddr, &[u8])) {
        for socket in self.ipv4.iter().chain(&self.ipv6) {
            socket.receive(buffers, &mut handle).ok();
        }
    }
}

impl Socket {
    fn open(address: SocketAddr) -> Result<Self, Error> {
        let open = || -> io::Result<Self> {
            let raw = RawSocket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
            if address.is_ipv6() {
                raw.set_only_v6(true)?;
            }
            // A burst must survive until the task runs; what the kernel grants of it is enough.
            raw.set_recv_buffer_size(BUFFER).ok();
            raw.set_send_buffer_size(BUFFER).ok();
            raw.set_nonblocking(true)?;
            raw.bind(&address.into())?;
            let socket = std::net::UdpSocket::from(raw);
            let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
            let local = socket.local_addr()?;
            Ok(Self { io: UdpSocket::from_std(socket)?, state, local })
        };
        open().map_err(|error| Error::Socket { address, reason: error.to_string() })
    }

    fn receive(&self, buffers: &mut Buffers, handle: &mut impl FnMut(SocketAddr, &[u8])) -> io::Result<()> {
        let mut metas = [RecvMeta::default(); BATCH];
        let mut slices = buffers.0.each_mut().map(|buffer| IoSliceMut::new(buffer));
        let receive = || self.state.recv(UdpSockRef::from(&self.io), &mut slices, &mut metas);
        let count = self.io.try_io(Interest::READABLE, receive)?;
        for (meta, buffer) in metas.iter().zip(&buffers.0).take(count) {
            let (received, _) = buffer.split_at(meta.len);
            received.chunks(meta.stride.max(1)).for_each(|datagram| handle(meta.addr, datagram));
        }
        Ok(())
    }
}

/// Where datagrams are received into.
pub(crate) struct Buffers([Box<[u8]>; BATCH]);

impl Buffers {
    /// Buffers for one batch.
    pub(crate) fn new() -> Self {
        Self(std::array::from_fn(|_| vec![0; TRAIN].into_boxed_slice()))
    }
}

/// The addresses of the own interfaces that others could reach.
pub(crate) fn addresses() -> Vec<IpAddr> {
    let usable = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
    };
    let mut addresses: Vec<IpAddr> =
        if_addrs::get_if_addrs().unwrap_or_default().into_iter().map(|it| it.ip()).filter(usable).collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

const BATCH: usize = 16;
/// Bytes of the longest train that the kernel merges.
const TRAIN: usize = 65_535;
const BUFFER: usize = 4 << 20;
const MAX_HOSTS: usize = 8;
