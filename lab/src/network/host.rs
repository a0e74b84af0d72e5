//! A host: a namespace with one interface and the addresses on it.
//!
//! * Sockets are the test's own values and live in the host's namespace.
//! * Programs die with the host.

use super::address::ROUTER;
use super::link::Link;
use super::namespace::Namespace;
use crate::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command};
use std::sync::Arc;

/// A host.
#[derive(Debug)]
pub struct Host {
    pub(crate) namespace: Arc<Namespace>,
    pub(crate) ipv4: Ipv4Addr,
    pub(crate) ipv6: Option<Ipv6Addr>,
    pub(crate) link: Link,
}

impl Host {
    /// Its IPv4 address.
    pub fn ipv4(&self) -> Ipv4Addr {
        self.ipv4
    }

    /// Its IPv6 address; none behind a NAT.
    pub fn ipv6(&self) -> Option<Ipv6Addr> {
        self.ipv6
    }

    /// The cable from the host (near) to its router (far).
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// A UDP socket on this address and port of the host; port 0 is any.
    ///
    /// # Errors
    /// The address is not the host's, or the port is taken.
    pub fn udp(&self, ip: impl Into<IpAddr>, port: u16) -> Result<UdpSocket, Error> {
        let at = SocketAddr::new(ip.into(), port);
        let bound = self.namespace.enter(|| UdpSocket::bind(at))?;
        bound.map_err(Error::kernel(format!("cannot open a UDP socket at {at}")))
    }

    /// Makes the kernel learn the hardware addresses of the host's router, as any traffic would.
    ///
    /// # Errors
    /// The router cannot be called.
    pub fn meet_router(&self) -> Result<(), Error> {
        let [a, b, c, _] = self.ipv4.octets();
        let ipv4 = (IpAddr::V4(self.ipv4), IpAddr::from([a, b, c, ROUTER]));
        let ipv6 = self.ipv6.map(|own| (IpAddr::V6(own), IpAddr::V6(router_of(own))));
        for (own, router) in [Some(ipv4), ipv6].into_iter().flatten() {
            let sent = self.udp(own, 0)?.send_to(b"", (router, DISCARD));
            sent.map_err(Error::kernel(format!("cannot call the router {router}")))?;
        }
        Ok(())
    }

    /// Does `work` on the host: see [`Namespace::enter`].
    ///
    /// # Errors
    /// The kernel lets nobody in.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        self.namespace.enter(work)
    }

    /// Answers for every address of a block, e.g. `46.0.0.0/16`, as if each were its own.
    ///
    /// # Errors
    /// What `ip` says of the block.
    pub fn own(&self, block: &str) -> Result<(), Error> {
        self.namespace.ip(&format!("route add local {block} dev lo")).map(drop)
    }

    /// Starts a program on the host.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(&self, command: &mut Command) -> Result<Child, Error> {
        let what = format!("cannot start {command:?}");
        self.namespace.enter(|| command.spawn())?.map_err(Error::kernel(what))
    }
}

fn router_of(ip: Ipv6Addr) -> Ipv6Addr {
    let [a, b, c, d, ..] = ip.segments();
    Ipv6Addr::new(a, b, c, d, 0, 0, 0, ROUTER.into())
}

/// The port where datagrams are thrown away (RFC 863).
const DISCARD: u16 = 9;
