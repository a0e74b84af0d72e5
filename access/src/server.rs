//! Connections: accepted up to a number, with a time limit on everything that a slow client could draw out.
//!
//! ```text
//! accept (a permit) -> TLS handshake -> request heads (16 KiB) -> bodies (16 KiB) -> answers taken
//! ```
//!
//! * Each of these steps has the same time limit; a kept connection that asks nothing for that long is closed as well.
//! * What a client can make the server hold is bounded by the number of connections.
//! * A stop finishes what was asked, says `Connection: close`, and accepts nothing more.

use crate::counters::Counters;
use crate::impatient::Impatient;
use crate::request::Peer;
use arc_swap::ArcSwapOption;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// What every listener serves with.
#[derive(Clone, Debug)]
pub struct Server {
    /// The routes.
    pub router: Router,
    /// The certificate in force; none: plain HTTP.
    pub tls: Arc<ArcSwapOption<ServerConfig>>,
    /// Connections held at once.
    pub places: Arc<Semaphore>,
    /// How long any step may take.
    pub patience: Duration,
    /// Turns true when the server stops.
    pub stop: watch::Receiver<bool>,
    /// What is counted.
    pub counters: Counters,
}

impl Server {
    /// Accepts until the stop.
    pub async fn run(self, listener: TcpListener) {
        let mut stop = self.stop.clone();
        loop {
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let server = self.clone();
                    tokio::spawn(async move {
                        server.counters.connections.inc();
                        server.counters.open_connections.inc();
                        server.connection(stream, peer).await;
                        server.counters.open_connections.dec();
                        drop(place);
                    });
                }
                Err(error) => {
                    // Out of descriptors, mostly; those that are there will end.
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn connection(&self, stream: TcpStream, peer: SocketAddr) {
        // Only latency is lost where this cannot be set.
        let _ = stream.set_nodelay(true);
        let ip = peer.ip().to_canonical();
        let Some(config) = self.tls.load_full() else { return self.talk(stream, ip).await };
        match tokio::time::timeout(self.patience, TlsAcceptor::from(config).accept(stream)).await {
            Ok(Ok(stream)) => self.talk(stream, ip).await,
            Ok(Err(_)) | Err(_) => {
                self.counters.tls_failures.inc();
            }
        }
    }

    async fn talk(&self, stream: impl AsyncRead + AsyncWrite + Unpin, ip: IpAddr) {
        let routes = TowerToHyperService::new(self.router.clone());
        let peer = Peer { ip, patience: self.patience };
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer);
            routes.call(request)
        });
        let io = TokioIo::new(Impatient::new(stream, self.patience));
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.patience).max_buf_size(LONGEST_HEAD);
        let mut connection = pin!(builder.serve_connection(io, service));
        let mut stop = self.stop.clone();
        // How a connection ends is the client's affair; whatever it asked and did not get, it asks again.
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = stop.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Bytes of the longest head, and of what is read ahead.
const LONGEST_HEAD: usize = 16 << 10;
