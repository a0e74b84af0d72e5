//! QUIC over a peer's paths: quinn's socket, whose datagrams go wherever the peer's datagrams go.
//!
//! * One QUIC endpoint for each peer; to quinn the peer is always at [`QUIC_PEER`], whatever path is in use.
//! * A datagram too large for the path is dropped, as a network would: quinn's own search learns from it.
//! * QUIC needs datagrams of 1,200 bytes (RFC 9000 section 14): opening waits until the size search has found them.

use crate::client::{Endpoint, Peer};
use crate::error::Error;
use peer::{Core, PeerId};
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, EndpointConfig, ServerConfig, TokioRuntime, UdpPoller};
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

impl Peer {
    /// A QUIC endpoint whose only peer, at [`QUIC_PEER`], is this one; with a configuration it also accepts. From now
    /// on the peer's datagrams are QUIC's.
    ///
    /// # Errors
    /// The paths carry fewer than 1,200 bytes, or no path was found in ten seconds.
    pub async fn quic(&self, config: Option<ServerConfig>) -> Result<quinn::Endpoint, Error> {
        self.endpoint.driver().lock().inboxes.entry(self.id).or_default();
        self.begin()?;
        for _ in 0..SIZE_TRIES {
            if self.max_datagram_size() >= QUIC_MIN {
                break;
            }
            tokio::time::sleep(SIZE_PAUSE).await;
        }
        let limit = self.max_datagram_size();
        if limit < QUIC_MIN {
            return Err(peer::SendError::TooLarge { size: QUIC_MIN, limit }.into());
        }
        let socket = Arc::new(PeerSocket { endpoint: self.endpoint.clone(), peer: self.id });
        let runtime = Arc::new(TokioRuntime);
        quinn::Endpoint::new_with_abstract_socket(EndpointConfig::default(), config, socket, runtime)
            .map_err(|error| Error::Socket { address: QUIC_PEER, reason: error.to_string() })
    }
}

/// The socket of one peer.
struct PeerSocket {
    endpoint: Endpoint,
    peer: PeerId,
}

impl fmt::Debug for PeerSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerSocket({:?})", self.peer)
    }
}

impl AsyncUdpSocket for PeerSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if transmit.destination == QUIC_PEER {
            let send = |core: &mut Core, now_us| core.send(self.peer, transmit.contents, now_us);
            // What is too large or too much is lost, and QUIC knows how to live with loss.
            self.endpoint.driver().with(send).ok();
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.endpoint.driver().lock();
        if state.left {
            return Poll::Ready(Err(io::Error::other(Error::Left)));
        }
        let inbox = state.inboxes.entry(self.peer).or_default();
        let mut count = 0;
        for (buffer, meta) in buffers.iter_mut().zip(metas) {
            let Some(datagram) = inbox.datagrams.pop_front() else { break };
            let Some(room) = buffer.get_mut(..datagram.len()) else { continue };
            room.copy_from_slice(&datagram);
            let len = datagram.len();
            *meta = RecvMeta { addr: QUIC_PEER, len, stride: len, ecn: None, dst_ip: None };
            count += 1;
        }
        if count > 0 {
            return Poll::Ready(Ok(count));
        }
        inbox.wait(context);
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(QUIC_SELF)
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

/// A datagram is always taken or dropped, never waited for.
#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The peer, as quinn knows it: an address of the discard prefix (RFC 6666), which no network uses.
pub const QUIC_PEER: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1)), 9);
const QUIC_SELF: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 2)), 9);
const QUIC_MIN: usize = 1200;
const SIZE_TRIES: u32 = 200;
const SIZE_PAUSE: Duration = Duration::from_millis(50);
