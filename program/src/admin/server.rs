//! The connections of the admin server: few, one request each, on a thread of their own.
//!
//! ```text
//! accept -> a free place? ---------------------------> request (2 s) -> answer taken (10 s in all) -> closed
//!            no: the oldest that has asked nothing gives up its place; if all have asked, the new one is closed
//! ```
//!
//! * Nobody who connects and says nothing keeps a scrape out, and no scrape delays the control thread: reloads, signals
//!   and the clock go on there.
//! * What clients can make the daemon hold is bounded by [`MAX_CONNECTIONS`].

use super::pages::Pages;
use crate::failure::Failure;
use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// A listener for the setting `key`, which is `admin` or another that takes a TCP transport address.
///
/// # Errors
/// What the kernel refuses.
pub fn bind(key: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    let refuse = |error: io::Error| {
        let right = "choose a free TCP port on an address of this host";
        Failure::Config(format!("--{key} {address}: {error}; {right}"))
    };
    let listener = TcpListener::bind(address).map_err(refuse)?;
    listener.set_nonblocking(true).map_err(refuse)?;
    Ok(listener)
}

/// A running admin server; dropped, it stops.
#[derive(Debug)]
pub struct Server {
    ended: oneshot::Receiver<io::Error>,
    _stop: oneshot::Sender<()>,
}

impl Server {
    /// Serves these pages on a listener that [`bind`] made, over TLS if there is a certificate.
    ///
    /// # Errors
    /// The kernel refuses a thread or what it waits with.
    pub fn start(
        listener: TcpListener,
        pages: Pages,
        certificate: Option<Arc<ServerConfig>>,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let (end, ended) = oneshot::channel();
        let router = pages.router();
        std::thread::Builder::new().name(String::from("admin")).spawn(move || {
            let ended = runtime.block_on(async {
                tokio::select! {
                    error = serve(listener, router, certificate.map(TlsAcceptor::from)) => Some(error),
                    _ = stopped => None,
                }
            });
            // Nobody listens if the daemon has stopped it.
            ended.map(|error| end.send(error))
        })?;
        Ok(Self { ended, _stop: stop })
    }

    /// Waits until the server ends by itself, which is a failure.
    pub async fn ended(&mut self) -> Failure {
        let why = match (&mut self.ended).await {
            Ok(error) => error.to_string(),
            Err(_) => String::from("it panicked"),
        };
        Failure::Runtime(format!("the admin server ended: {why}"))
    }
}

async fn serve(listener: TcpListener, router: Router, tls: Option<TlsAcceptor>) -> io::Error {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return error,
    };
    let mut places = Places::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => places.take(stream, &router, tls.clone()),
            Err(error) => {
                // Out of descriptors, mostly; others will be closed.
                tracing::warn!(%error, "the admin server did not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        // What the new connection has asked already is read before the next one may claim its place.
        tokio::task::yield_now().await;
    }
}

/// The open connections, the oldest first.
#[derive(Debug, Default)]
struct Places(Vec<Connection>);

#[derive(Debug)]
struct Connection {
    task: JoinHandle<()>,
    /// Whether its request has come.
    has_asked: Arc<AtomicBool>,
}

impl Places {
    fn take(&mut self, stream: TcpStream, router: &Router, tls: Option<TlsAcceptor>) {
        self.0.retain(|connection| !connection.task.is_finished());
        if self.0.len() >= MAX_CONNECTIONS {
            let Some(idle) = self.0.iter().position(|it| !it.has_asked.load(Relaxed)) else { return };
            self.0.remove(idle).task.abort();
        }
        let has_asked = Arc::new(AtomicBool::new(false));
        let talk = talk(stream, tls, router.clone(), Arc::clone(&has_asked));
        // How a connection ends is the client's affair: it asks again if it got no answer.
        let task = tokio::spawn(async { drop(tokio::time::timeout(CONNECTION_TIMEOUT, talk).await) });
        self.0.push(Connection { task, has_asked });
    }
}

async fn talk(stream: TcpStream, tls: Option<TlsAcceptor>, router: Router, has_asked: Arc<AtomicBool>) {
    match tls {
        None => converse(stream, router, has_asked).await,
        Some(tls) => {
            if let Ok(Ok(stream)) = tokio::time::timeout(REQUEST_TIMEOUT, tls.accept(stream)).await {
                converse(stream, router, has_asked).await;
            }
        }
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    router: Router,
    has_asked: Arc<AtomicBool>,
) {
    let routes = TowerToHyperService::new(router);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        has_asked.store(true, Relaxed);
        routes.call(request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(REQUEST_TIMEOUT).keep_alive(false);
    let _ = builder.max_buf_size(LONGEST_HEAD).serve_connection(TokioIo::new(stream), service).await;
}

/// Connections held at once.
pub const MAX_CONNECTIONS: usize = 16;
/// How long a request may take to come.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a connection may last, its answer included.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Bytes of the longest head, and of what is read ahead.
const LONGEST_HEAD: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::status::Status;
    use prometheus_client::registry::Registry;
    use std::io::{Read, Write};

    fn start() -> (SocketAddr, Server) {
        let listener = bind("admin", SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let config = Box::new(|| serde_json::json!({}));
        let (status, calls) = (Arc::new(Status::default()), Router::new());
        let pages = Pages { registry: Registry::default(), status, config, calls };
        (address, Server::start(listener, pages, None).unwrap())
    }

    fn connect(address: SocketAddr) -> std::net::TcpStream {
        let stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    fn ask(mut stream: std::net::TcpStream, page: &str) -> String {
        write!(stream, "GET {page} HTTP/1.1\r\nHost: admin\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn eighty_idle_connections_do_not_stop_a_scrape() {
        let (address, _server) = start();
        let idle: Vec<_> = (0..80).map(|_| connect(address)).collect();
        for _ in 0..40 {
            let answer = ask(connect(address), "/metrics");
            assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("# EOF\n"), "{answer}");
        }
        // Those that gave up their place are closed at once, the others when their time is up.
        for mut stream in idle {
            assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0);
        }
    }

    #[test]
    fn a_connection_that_has_asked_keeps_its_place() {
        let (address, _server) = start();
        let mut slow = connect(address);
        slow.write_all(b"GET /livez HTTP/1.1\r\n").unwrap();
        let few: Vec<_> = (1..MAX_CONNECTIONS).map(|_| connect(address)).collect();
        slow.write_all(b"Host: admin\r\n\r\n").unwrap();
        let mut answer = String::new();
        slow.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("connection: close") && answer.ends_with("alive\n"), "{answer}");
        drop(few);
    }

    #[test]
    fn a_dropped_server_frees_its_address() {
        let (address, server) = start();
        assert!(ask(connect(address), "/readyz").starts_with("HTTP/1.1 503"));
        drop(server);
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while bind("admin", address).is_err() {
            assert!(std::time::Instant::now() < deadline, "{address} is still taken");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
