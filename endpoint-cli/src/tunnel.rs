//! `tunnel`: carries the datagrams of a UDP program to a buddy and back, over the best path.
//!
//! * One socket faces the program; what it receives goes to the peer, what the peer sends leaves from it.
//! * What the path does not carry is refused with a line that says so, never cut or split.
//! * One program on each side: with several senders the last that spoke is answered.

use crate::args::Tunnel;
use crate::failure::Failure;
use crate::up::{Running, signal};
use endpoint::{Datagrams, Error, Event, Peer};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;

/// Carries datagrams until a signal comes.
///
/// # Errors
/// It cannot start, the paths carry less than `--largest`, or SIGINT came.
pub async fn run(tunnel: Tunnel, file: &Path, err: &mut impl Write) -> Result<(), Failure> {
    let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
    let at = tunnel.local.unwrap_or(any);
    let wrong = |error: std::io::Error| Failure::Runtime(format!("no UDP socket at {at}: {error}"));
    let program = UdpSocket::bind(at).await.map_err(wrong)?;
    let mut running = Running::start(file).await?;
    let work = async {
        let peer = find(&tunnel, &mut running, err).await?;
        let back = peer.datagrams();
        measure(&tunnel, &mut running, &peer, err).await?;
        carry(&tunnel, &mut running, Ends { program: &program, peer: &peer, back: &back }, err).await
    };
    let ended = tokio::select! {
        ended = work => ended,
        ended = signal() => ended,
    };
    running.stop().await;
    ended
}

/// Waits until the peer is online.
async fn find(tunnel: &Tunnel, running: &mut Running, err: &mut impl Write) -> Result<Peer, Failure> {
    let mut said = false;
    loop {
        match running.endpoint.peer(tunnel.peer.as_str()) {
            Ok(peer) if peer.is_online() => return Ok(peer),
            Err(error) if running.endpoint.profile().is_some() => return Err(error.into()),
            _ => {}
        }
        if !said && running.endpoint.profile().is_some() {
            said = true;
            writeln!(err, "waiting for {}", tunnel.peer)?;
        }
        say(running, err).await?;
    }
}

/// Lets the sizes be searched, and says what fits.
async fn measure(
    tunnel: &Tunnel,
    running: &mut Running,
    peer: &Peer,
    err: &mut impl Write,
) -> Result<(), Failure> {
    peer.begin()?;
    let end = Instant::now() + if tunnel.largest.is_some() { MEASURE_DEMANDED } else { MEASURE };
    let enough = tunnel.largest.unwrap_or(WIREGUARD_MTU + WIREGUARD);
    while Instant::now() < end && peer.max_datagram_size() < enough && !peer.knows_sizes() {
        tokio::time::timeout(STEP, say(running, err)).await.unwrap_or(Ok(()))?;
    }
    let largest = peer.max_datagram_size();
    if let Some(wanted) = tunnel.largest.filter(|wanted| *wanted > largest) {
        let line = format!(
            "the paths to {} carry {largest} bytes, not {wanted}; let the program send less",
            tunnel.peer
        );
        return Err(Failure::Runtime(line));
    }
    // Multiples of 16, because that is what WireGuard pads to; not above what a path over IPv6 carries.
    let mtu = (largest.saturating_sub(WIREGUARD) / 16 * 16).min(WIREGUARD_MTU);
    writeln!(
        err,
        "datagrams of up to {largest} bytes reach {}; set a smaller MTU in the program (WireGuard: MTU = {mtu})",
        tunnel.peer
    )?;
    Ok(())
}

/// What a tunnel joins.
struct Ends<'a> {
    /// The socket that faces the program.
    program: &'a UdpSocket,
    peer: &'a Peer,
    /// The peer's datagrams, on their way to the program.
    back: &'a Datagrams,
}

async fn carry(
    tunnel: &Tunnel,
    running: &mut Running,
    ends: Ends<'_>,
    err: &mut impl Write,
) -> Result<(), Failure> {
    let Ends { program, peer, back } = ends;
    if let Ok(local) = program.local_addr() {
        writeln!(err, "carrying what is sent to {local}")?;
    }
    let (mut buffer, mut spoke, mut refused) = (vec![0; 65_535], tunnel.to, Refused::default());
    loop {
        tokio::select! {
            received = program.recv_from(&mut buffer) => {
                // An error here is what the program's last port says of itself: it is not there, or not yet.
                let Ok((length, source)) = received else { continue };
                spoke = tunnel.to.or(Some(source));
                match peer.send(buffer.split_at(length).0) {
                    Err(Error::Send(error)) => refused.say(&error.to_string(), err)?,
                    Err(error) => return Err(error.into()),
                    Ok(()) => {}
                }
            }
            datagrams = back.recv() => {
                for datagram in datagrams {
                    if let Some(to) = spoke {
                        program.send_to(&datagram, to).await.ok();
                    }
                }
            }
            said = say(running, err) => said?,
        }
    }
}

/// Says what was refused, at most once a second.
#[derive(Default)]
struct Refused {
    last: Option<Instant>,
    count: u64,
}

impl Refused {
    fn say(&mut self, reason: &str, err: &mut impl Write) -> Result<(), Failure> {
        self.count += 1;
        if self.last.is_none_or(|last| last.elapsed() >= SAY_PAUSE) {
            self.last = Some(Instant::now());
            writeln!(err, "refused ({} so far): {reason}", self.count)?;
        }
        Ok(())
    }
}

/// Prints what happens next.
async fn say(running: &mut Running, err: &mut impl Write) -> Result<(), Failure> {
    let event: Event = running.next().await?;
    if let Some(line) = running.line(&event) {
        writeln!(err, "{line}")?;
    }
    Ok(())
}

/// What WireGuard adds to a packet.
const WIREGUARD: usize = 32;
/// What fits every path of 1,500 bytes, IPv6 included.
const WIREGUARD_MTU: usize = 1360;
/// How long sizes are searched before the tunnel starts with what was found.
const MEASURE: Duration = Duration::from_secs(4);
/// The same where less than was demanded ends the tunnel: a busy machine at either end must not be what decides.
const MEASURE_DEMANDED: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(50);
const SAY_PAUSE: Duration = Duration::from_secs(1);
