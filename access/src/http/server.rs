//! Connections: accepted up to a number, with a time limit on everything that a slow client could draw out.
//!
//! ```text
//! accept (a permit) -> TLS handshake -> request heads (16 KiB) -> bodies (16 KiB) -> answers taken
//! ```
//!
//! * Each of these steps has the same time limit; a kept connection that asks nothing for that long is closed as well.
//! * What a client can make the server hold is bounded by the number of connections.
//! * A stop finishes what was asked, says `Connection: close`, and accepts nothing more.
//! * An answer given before the whole body was read says `Connection: close` too, because the rest of the body is not
//!   waited for; otherwise the client's next request would meet a connection that ends.

use crate::counters::Counters;
use crate::http::impatient::Impatient;
use crate::http::request::Peer;
use arc_swap::ArcSwapOption;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Request, header};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
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
            let was_read = Arc::new(AtomicBool::new(hyper::body::Body::is_end_stream(request.body())));
            let watch = |body| Body::new(Watched { body, was_read: Arc::clone(&was_read) });
            let mut request = request.map(watch);
            request.extensions_mut().insert(peer);
            let answered = routes.call(request);
            async move {
                let mut response = answered.await?;
                if !was_read.load(Relaxed) {
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, std::convert::Infallible>(response)
            }
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

/// A body that notes when it was read to its end.
struct Watched {
    body: Incoming,
    was_read: Arc<AtomicBool>,
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) || self.body.is_end_stream() {
            self.was_read.store(true, Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Bytes of the longest head, and of what is read ahead.
const LONGEST_HEAD: usize = 16 << 10;
