//! Finding out what NAT we are behind, on a real network: RFC 5780 where a reflector offers it.
//!
//! * From a socket of its own, because filtering can only be seen from a port that has sent to nobody.

use crate::clock::Clock;
use crate::device::random_secret;
use crate::discovery::{Discovery, Findings};
use crate::socket::addresses;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::net::UdpSocket;
use wire::login::{OfferedReflector, Stun};

/// What a reflector with RFC 5780 shows; nothing if none offers it or none answers.
pub async fn discover(reflectors: &[OfferedReflector]) -> Option<Findings> {
    let offers = reflectors.iter().filter(|it| it.stun == Stun::Behaviour);
    for server in offers.filter_map(|it| it.addresses.first()) {
        if let Some(findings) = discover_at(*server).await.filter(|it| it.mapped.is_some()) {
            return Some(findings);
        }
    }
    None
}

/// What the server at this address shows.
pub(crate) async fn discover_at(server: SocketAddr) -> Option<Findings> {
    let any = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await.ok()?;
    let (clock, port) = (Clock::start(), socket.local_addr().ok()?.port());
    let mut own = addresses();
    own.extend(server.ip().is_loopback().then_some(server.ip()));
    let mut discovery = Discovery::new(server, port, own, random_secret().ok()?, clock.now_us());
    let mut buffer = [0; 1500];
    loop {
        while let Some((to, bytes)) = discovery.poll_transmit() {
            socket.send_to(&bytes, to).await.ok();
        }
        let Some(at_us) = discovery.poll_timeout() else { return discovery.findings() };
        let at = tokio::time::Instant::from_std(clock.instant(at_us));
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                if let Ok((length, _)) = received {
                    discovery.handle_datagram(buffer.get(..length)?, clock.now_us());
                }
            }
            () = tokio::time::sleep_until(at) => discovery.handle_timeout(clock.now_us()),
        }
    }
}
