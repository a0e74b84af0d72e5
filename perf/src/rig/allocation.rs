//! Allocations at a TURN server, one for each endpoint, each with a channel to the endpoint that it sends to.
//!
//! * The protocol is spoken by a TURN client of its own kind; here are its sockets and its clock.
//! * A socket is open only while something is said: a thousand endpoints need no thousand descriptors.
//! * What stands before a channel's payload comes from the client too: nothing of TURN's format is written here.
//! * Kept, not renewed from nothing: [`Allocations::keep`] says what is due, and nothing else.

use crate::rig::flow::{Flow, ring};
use anyhow::{Context, bail};
use lab::Host;
use lab::programs::interrupt::Interrupt;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};
use turn_client_proto::api::{Transmit, TurnConfig, TurnEvent, TurnPollRet};
use turn_client_proto::prelude::TurnClientApi;
use turn_client_proto::stun;
use turn_client_proto::types::{TransportType, TurnCredentials};
use turn_client_proto::udp::TurnClientUdp;

/// Allocations with their channels.
#[derive(Debug)]
pub struct Allocations {
    server: SocketAddr,
    clients: Vec<Client>,
}

/// One endpoint's.
#[derive(Debug)]
struct Client {
    local: SocketAddr,
    peer: SocketAddr,
    /// What its clock counts from.
    start: Instant,
    turn: TurnClientUdp,
}

impl Allocations {
    /// Makes them from a host that answers for all endpoints, in a ring.
    ///
    /// # Errors
    /// The server refuses, or does not answer in time.
    pub fn open(
        host: &Host,
        server: SocketAddr,
        credential: (&str, &str),
        endpoints: &[SocketAddr],
        interrupt: &Interrupt,
    ) -> anyhow::Result<Self> {
        let ((user, password), start) = (credential, Instant::now());
        let client = |(local, peer)| {
            let config = TurnConfig::new(TurnCredentials::new(user, password));
            Client { local, peer, start, turn: TurnClientUdp::allocate(local, server, config) }
        };
        let mut allocations = Self { server, clients: ring(endpoints).map(client).collect() };
        allocations.each(host, interrupt, Client::is_established)?;
        Ok(allocations)
    }

    /// Refreshes what is due.
    ///
    /// # Errors
    /// As [`Allocations::open`].
    pub fn keep(&mut self, host: &Host, interrupt: &Interrupt) -> anyhow::Result<()> {
        self.each(host, interrupt, Client::is_fresh)
    }

    /// The flows through them, for payloads of one length.
    ///
    /// # Errors
    /// A channel that is no more.
    pub fn flows(&mut self, payload_bytes: u32) -> anyhow::Result<Vec<Flow>> {
        let payload = vec![0; usize::try_from(payload_bytes)?];
        self.clients.iter_mut().map(|client| client.flow(&payload)).collect()
    }

    /// Lets clients talk, so many at a time, until `is_done` says so of each.
    fn each(&mut self, host: &Host, interrupt: &Interrupt, is_done: IsDone) -> anyhow::Result<()> {
        let server = self.server;
        host.enter(|| {
            let mut talks = self.clients.chunks_mut(AT_ONCE);
            talks.try_for_each(|clients| talk(clients, server, interrupt, is_done))
        })?
    }
}

/// Whether a client has nothing more to say for now; an error if the server refuses.
type IsDone = fn(&mut Client) -> anyhow::Result<bool>;

/// Lets clients talk side by side: each of them leaves some time between two requests.
fn talk(
    clients: &mut [Client],
    server: SocketAddr,
    interrupt: &Interrupt,
    is_done: IsDone,
) -> anyhow::Result<()> {
    let mut open = Vec::new();
    for client in clients {
        if !is_done(client)? {
            open.push((client.socket()?, client));
        }
    }
    let until = Instant::now() + PATIENCE;
    while let Some((_, first)) = open.first() {
        let local = first.local;
        interrupt.check()?;
        if Instant::now() > until {
            bail!("TURN at {server} for {local}: no answer within {} s", PATIENCE.as_secs());
        }
        let mut still = Vec::with_capacity(open.len());
        for (socket, client) in open {
            client.say(&socket, server)?;
            client.hear(&socket, server)?;
            if !is_done(client).with_context(|| format!("TURN at {server} for {}", client.local))? {
                still.push((socket, client));
            }
        }
        open = still;
        thread::sleep(STEP);
    }
    Ok(())
}

impl Client {
    /// Once there is an allocation, binds the channel, which also permits the peer (RFC 8656, section 12); done when it
    /// is bound.
    fn is_established(&mut self) -> anyhow::Result<bool> {
        while let Some(event) = self.turn.poll_event() {
            match event {
                TurnEvent::AllocationCreated(..) => {
                    self.turn.bind_channel(TransportType::Udp, self.peer, self.now())?;
                }
                TurnEvent::ChannelCreated(..) => return Ok(true),
                TurnEvent::PermissionCreated(..) => {}
                failed => bail!("refused: {failed:?}"),
            }
        }
        Ok(false)
    }

    /// Whether nothing is to be said soon, and nothing is under way: an answer that is waited for is due within its
    /// retransmission.
    fn is_fresh(&mut self) -> anyhow::Result<bool> {
        while let Some(event) = self.turn.poll_event() {
            match event {
                TurnEvent::PermissionCreated(..) | TurnEvent::ChannelCreated(..) => {}
                failed => bail!("refused: {failed:?}"),
            }
        }
        let now = self.now();
        Ok(matches!(self.turn.poll(now), TurnPollRet::WaitUntil(at) if at > now + SOON))
    }

    fn socket(&self) -> anyhow::Result<UdpSocket> {
        let socket =
            UdpSocket::bind(self.local).with_context(|| format!("cannot open a socket at {}", self.local))?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    fn say(&mut self, socket: &UdpSocket, server: SocketAddr) -> anyhow::Result<()> {
        let now = self.now();
        self.turn.poll(now);
        while let Some(message) = self.turn.poll_transmit(now) {
            match socket.send_to(&message.data, server) {
                // The server is not there yet: the message is sent again.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                sent => drop(sent.context("cannot send")?),
            }
        }
        Ok(())
    }

    fn hear(&mut self, socket: &UdpSocket, server: SocketAddr) -> anyhow::Result<()> {
        let mut buffer = [0; LONGEST];
        loop {
            match socket.recv_from(&mut buffer) {
                Ok((length, from)) if from == server => {
                    let bytes = buffer.split_at(length).0.to_vec();
                    let now = self.now();
                    self.turn.recv(Transmit::new(bytes, TransportType::Udp, from, self.local), now);
                }
                Ok(_) => {}
                Err(error) if SILENCE.contains(&error.kind()) => return Ok(()),
                Err(error) => return Err(error).context("cannot receive"),
            }
        }
    }

    fn now(&self) -> stun::Instant {
        stun::Instant::from_std(self.start)
    }

    fn flow(&mut self, payload: &[u8]) -> anyhow::Result<Flow> {
        let (_, via) = self.turn.relayed_addresses().next().context("no relayed transport address")?;
        let now = self.now();
        let built = self.turn.send_to(TransportType::Udp, self.peer, payload, now)?;
        let mut head = built.context("no channel to send on")?.build().data;
        head.truncate(head.len().saturating_sub(payload.len()));
        Ok(Flow { from: self.local, to: self.peer, via, head })
    }
}

/// How long a server may take to come up and answer; only one that hangs takes so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at what came.
const STEP: Duration = Duration::from_millis(1);
/// Clients that talk at a time, a descriptor each.
const AT_ONCE: usize = 200;
/// What is due within this time is waited for: longer than a retransmission takes.
const SOON: Duration = Duration::from_secs(2);
/// Nothing came, or the server is not there yet.
const SILENCE: [ErrorKind; 2] = [ErrorKind::WouldBlock, ErrorKind::ConnectionRefused];
/// A message of TURN's set-up is shorter.
const LONGEST: usize = 2_048;
