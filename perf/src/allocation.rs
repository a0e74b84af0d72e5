//! Allocations at a TURN server, one for each endpoint, each with a channel to the endpoint that it sends to.
//!
//! * The protocol is spoken by a TURN client of its own kind; here are its sockets and its clock.
//! * A socket is open only while something is said: a thousand endpoints need one descriptor at a time.
//! * What stands before a channel's payload comes from the client too: nothing of TURN's format is written here.
//! * Kept, not renewed from nothing: [`Allocations::keep`] says what is due, and nothing else.

use crate::flow::{Flow, ring};
use anyhow::{Context, bail};
use lab::Host;
use lab::interrupt::Interrupt;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
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
    ) -> anyhow::Result<Allocations> {
        let ((user, password), start) = (credential, Instant::now());
        let client = |(local, peer)| {
            let config = TurnConfig::new(TurnCredentials::new(user, password));
            Client { local, peer, start, turn: TurnClientUdp::allocate(local, server, config) }
        };
        let mut allocations = Allocations { server, clients: ring(endpoints).map(client).collect() };
        allocations.each(host, interrupt, Client::establish)?;
        Ok(allocations)
    }

    /// Refreshes what is due.
    ///
    /// # Errors
    /// As [`Allocations::open`].
    pub fn keep(&mut self, host: &Host, interrupt: &Interrupt) -> anyhow::Result<()> {
        self.each(host, interrupt, Client::refresh)
    }

    /// The flows through them, for payloads of one length.
    ///
    /// # Errors
    /// A channel that is no more.
    pub fn flows(&mut self, payload_bytes: u32) -> anyhow::Result<Vec<Flow>> {
        let payload = vec![0; usize::try_from(payload_bytes)?];
        self.clients.iter_mut().map(|client| client.flow(&payload)).collect()
    }

    fn each(
        &mut self,
        host: &Host,
        interrupt: &Interrupt,
        talk: fn(&mut Client, SocketAddr) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let server = self.server;
        host.enter(|| {
            self.clients.iter_mut().try_for_each(|client| {
                interrupt.check()?;
                let local = client.local;
                talk(client, server).with_context(|| format!("TURN at {server} for {local}"))
            })
        })?
    }
}

impl Client {
    /// Allocates, then binds the channel, which also permits the peer (RFC 8656, section 12).
    fn establish(&mut self, server: SocketAddr) -> anyhow::Result<()> {
        let socket = self.socket()?;
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            self.say(&socket, server)?;
            match self.turn.poll_event() {
                Some(TurnEvent::AllocationCreated(..)) => {
                    self.turn.bind_channel(TransportType::Udp, self.peer, self.now())?;
                    continue;
                }
                Some(TurnEvent::ChannelCreated(..)) => return Ok(()),
                Some(TurnEvent::PermissionCreated(..)) => continue,
                Some(failed) => bail!("refused: {failed:?}"),
                None => {}
            }
            self.hear(&socket, server)?;
        }
        bail!("no answer within {} s", PATIENCE.as_secs())
    }

    /// Says what is due and waits until nothing is under way.
    fn refresh(&mut self, server: SocketAddr) -> anyhow::Result<()> {
        if !self.is_due() {
            return Ok(());
        }
        let socket = self.socket()?;
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            self.say(&socket, server)?;
            self.hear(&socket, server)?;
            if !self.is_due() {
                return Ok(());
            }
        }
        bail!("no answer to a refresh within {} s", PATIENCE.as_secs())
    }

    /// Whether something is to be said, or is under way: an answer that is waited for is due within its retransmission.
    fn is_due(&mut self) -> bool {
        let now = self.now();
        match self.turn.poll(now) {
            TurnPollRet::WaitUntil(at) => at < now + SOON,
            _ => true,
        }
    }

    fn socket(&self) -> anyhow::Result<UdpSocket> {
        let socket =
            UdpSocket::bind(self.local).with_context(|| format!("cannot open a socket at {}", self.local))?;
        socket.set_read_timeout(Some(STEP))?;
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
        match socket.recv_from(&mut buffer) {
            Ok((length, from)) if from == server => {
                let bytes = buffer.get(..length).unwrap_or_default().to_vec();
                let now = self.now();
                self.turn.recv(Transmit::new(bytes, TransportType::Udp, from, self.local), now);
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(error) if SILENCE.contains(&error.kind()) => Ok(()),
            Err(error) => Err(error).context("cannot receive"),
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

/// How long a server may take to come up and answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one receive waits.
const STEP: Duration = Duration::from_millis(50);
/// What is due within this time is waited for: longer than a retransmission takes.
const SOON: Duration = Duration::from_secs(2);
/// Nothing came, or the server is not there yet.
const SILENCE: [ErrorKind; 3] = [ErrorKind::WouldBlock, ErrorKind::TimedOut, ErrorKind::ConnectionRefused];
/// A message of TURN's set-up is shorter.
const LONGEST: usize = 2_048;
