//! UDP sockets as a reflector wants them.
//!
//! * Never connected, no IP_RECVERR, no SO_REUSEADDR: an ICMP error cannot stop a loop, nobody else can take the port.
//! * IPv6 sockets take IPv6 only; DF is always set (IP_PMTUDISC_PROBE); TTL and hop limit are 64.
//! * A kernel feature that is missing degrades to "off" in [`Granted`], never to an error.
//!
//! Source: socket(7), ip(7), ipv6(7), udp(7).

#![allow(unsafe_code)]

use socket2::{Domain, Protocol, SockAddr, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};

/// A bound, non-blocking UDP socket.
#[derive(Debug)]
pub struct Socket {
    inner: socket2::Socket,
    local: SocketAddr,
    packet_info: bool,
    granted: Granted,
}

impl Socket {
    /// Opens and binds a socket; port 0 lets the kernel choose one.
    ///
    /// # Errors
    /// [`OpenError`], which names the address and the cause.
    pub fn open(address: SocketAddr, options: &Options) -> Result<Self, OpenError> {
        Self::try_open(address, options).map_err(|source| OpenError { address, source })
    }

    /// The address that the socket is bound to.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// What the kernel granted.
    pub fn granted(&self) -> Granted {
        self.granted
    }

    /// Whether datagrams carry the local address that they were sent to, and may name the one they leave from.
    pub fn packet_info(&self) -> bool {
        self.packet_info
    }

    fn try_open(address: SocketAddr, options: &Options) -> io::Result<Self> {
        let ipv4 = address.is_ipv4();
        let inner = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        inner.set_nonblocking(true)?;
        if options.reuse_port {
            inner.set_reuse_port(true)?;
        }
        let fd = inner.as_raw_fd();
        if ipv4 {
            inner.set_ttl_v4(TTL)?;
            set_option(fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE)?;
        } else {
            inner.set_only_v6(true)?;
            inner.set_unicast_hops_v6(TTL)?;
            set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE)?;
        }
        if options.packet_info {
            let (level, name) = match ipv4 {
                true => (libc::IPPROTO_IP, libc::IP_PKTINFO),
                false => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
            };
            set_option(fd, level, name, 1)?;
        }
        let granted = Granted {
            receive_buffer: grant_receive(&inner, options.receive_buffer)?,
            send_buffer: grant_send(&inner, options.send_buffer)?,
            gro: options.gro && set_option(fd, libc::SOL_UDP, libc::UDP_GRO, 1).is_ok(),
            gso: set_option(fd, libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok(),
            overflow_count: set_option(fd, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1).is_ok(),
        };
        inner.bind(&SockAddr::from(address))?;
        let local = inner.local_addr()?.as_socket().unwrap_or(address);
        Ok(Self { inner, local, packet_info: options.packet_info, granted })
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}

/// What is asked of the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Share the port among sockets of this process (SO_REUSEPORT).
    pub reuse_port: bool,
    /// Learn and choose the local address of each datagram (IP_PKTINFO): what a wildcard socket needs.
    pub packet_info: bool,
    /// Take trains of equal datagrams in one piece (UDP_GRO).
    pub gro: bool,
    /// Receive buffer wanted, bytes; 0 leaves the default.
    pub receive_buffer: usize,
    /// Send buffer wanted, bytes; 0 leaves the default.
    pub send_buffer: usize,
}

/// What the kernel granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Receive buffer, bytes as asked for (the kernel books twice as many for its own overhead).
    pub receive_buffer: usize,
    /// Send buffer, bytes as asked for.
    pub send_buffer: usize,
    /// Whether trains arrive in one piece.
    pub gro: bool,
    /// Whether the kernel can cut a train on sending.
    pub gso: bool,
    /// Whether the kernel says how many datagrams a full queue cost.
    pub overflow_count: bool,
}

/// Opens the `count` sockets of an SO_REUSEPORT group, bound in order; port 0 is resolved by the first.
///
/// # Errors
/// As [`Socket::open`]; also when anybody else, even of the same user, is bound to the address.
pub fn open_group(address: SocketAddr, count: usize, options: &Options) -> Result<Vec<Socket>, OpenError> {
    // A socket of its own shows whether the port is free: with SO_REUSEPORT alone, a second daemon of the same user
    // would silently take half of the datagrams.
    let alone = Socket::open(address, &Options { reuse_port: false, ..*options })?;
    let address = alone.local();
    drop(alone);
    let shared = Options { reuse_port: true, ..*options };
    (0..count).map(|_| Socket::open(address, &shared)).collect()
}

/// Why a socket could not be opened; one line that also says what to do.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", hint(.source, .address))]
pub struct OpenError {
    address: SocketAddr,
    source: io::Error,
}

impl OpenError {
    /// The kernel's error.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

fn hint(source: &io::Error, address: &SocketAddr) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            format!("the port is in use (`ss -ulnp sport = :{}` names the program); stop it or choose another port", address.port())
        }
        io::ErrorKind::AddrNotAvailable => {
            "no interface of this host has that address (`ip address` lists them); listen on one that it has".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "permission denied; ports below 1024 need CAP_NET_BIND_SERVICE, and clients could not use them anyway: choose one above 1023".to_owned()
        }
        _ => source.to_string(),
    }
}

/// Asks for a receive buffer beyond rmem_max first, which needs CAP_NET_ADMIN, then within it.
fn grant_receive(socket: &socket2::Socket, wanted: usize) -> io::Result<usize> {
    if wanted > 0
        && set_option(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, clamp(wanted)).is_err()
    {
        socket.set_recv_buffer_size(wanted)?;
    }
    Ok(socket.recv_buffer_size()? / 2)
}

/// As [`grant_receive`], for wmem_max.
fn grant_send(socket: &socket2::Socket, wanted: usize) -> io::Result<usize> {
    if wanted > 0
        && set_option(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, clamp(wanted)).is_err()
    {
        socket.set_send_buffer_size(wanted)?;
    }
    Ok(socket.send_buffer_size()? / 2)
}

fn clamp(bytes: usize) -> libc::c_int {
    // The kernel doubles the number, so half of c_int's range is the most it takes.
    libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX).min(libc::c_int::MAX / 2)
}

fn set_option(fd: RawFd, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    #[allow(clippy::cast_possible_truncation)] // Four bytes.
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the pointer and the length are those of a live c_int, which is what all options used here take; the
    // kernel copies it before the call returns.
    let result = unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), len) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// TTL and hop limit of what leaves.
const TTL: u32 = 64;
