//! Finding out what NAT we are behind, on a real network: RFC 5780 where a reflector offers it, else two reflectors.
//!
//! * From a socket of its own, because filtering can only be seen from a port that has sent to nobody.

use crate::clock::Clock;
use crate::device::random_secret;
use crate::error::Error;
use crate::socket::{Buffers, Sockets, addresses};
use peer::{Core, Discovery, Findings, Settings};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use wire::json::login::{OfferedReflector, Stun};

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

/// What the server at this address shows; nothing if no socket can be had.
pub async fn discover_at(server: SocketAddr) -> Option<Findings> {
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

/// PROBEs reflectors from one port, and compares what two of them saw: the mapping, where none offers RFC 5780.
///
/// # Errors
/// No reflector is named, none answers, or no socket can be had.
pub async fn compare(reflectors: Vec<OfferedReflector>) -> Result<Findings, Error> {
    let addresses: Vec<String> =
        reflectors.iter().flat_map(|it| &it.addresses).map(ToString::to_string).collect();
    if addresses.is_empty() {
        return Err(Error::NoReflector);
    }
    let (clock, sockets, mut buffers) = (Clock::start(), Sockets::open()?, Buffers::new());
    let settings = Settings {
        noise_secret: random_secret()?,
        seed: random_secret()?,
        reflectors,
        behaviour: None,
        hosts: sockets.hosts(),
        families: sockets.families(),
        has_account: false,
        incarnation: 0,
    };
    let mut core = Core::new(settings, clock.now_us());
    let end = tokio::time::Instant::now() + PATIENCE;
    while !has_enough(&core) {
        while let Some(transmit) = core.poll_transmit() {
            sockets.send(transmit.destination, &transmit.bytes);
        }
        let now_us = clock.now_us();
        let at_us = core.poll_timeout(now_us).unwrap_or(u64::MAX).min(now_us + STEP_US);
        tokio::select! {
            () = sockets.readable() => {
                sockets.receive(&mut buffers, |source, bytes| core.handle_datagram(source, bytes, clock.now_us()));
            }
            () = tokio::time::sleep_until(tokio::time::Instant::from_std(clock.instant(at_us))) => {
                core.handle_timeout(clock.now_us());
            }
            () = tokio::time::sleep_until(end) => break,
        }
    }
    let observed: Vec<SocketAddr> = core.contacts().iter().filter_map(|contact| contact.observed).collect();
    let Some(mapped) = observed.first().copied() else {
        return Err(Error::NoContact { addresses: addresses.join(", ") });
    };
    let saw_mapping = observed.len() > 1 || sockets.hosts().contains(&mapped);
    Ok(Findings { behaviour: core.guess_behaviour(), mapped: Some(mapped), saw_mapping, whole: false })
}

/// Whether two reflectors have answered, or the only one. One that is slow is waited for: without it the mapping would be
/// a guess.
fn has_enough(core: &Core) -> bool {
    let contacts = core.contacts();
    let answered = contacts.iter().filter(|contact| contact.observed.is_some()).count();
    answered > 0 && answered >= contacts.len().min(2)
}

/// How often to look whether enough have answered.
const STEP_US: u64 = 20_000;
const PATIENCE: Duration = Duration::from_secs(3);
