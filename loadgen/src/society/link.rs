//! One HTTP connection that is kept alive and opened again when it has ended.
//!
//! * A call takes at most [`PATIENCE`]; an answer at most 8 MiB.
//! * A signal ends a wait for the server soon.
//! * A refusal comes as the problem document that the server sent.

use crate::error::Error;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::Future;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::TcpStream;
use wire::json::login::{Session, server_name};
use wire::json::problem::Problem;

/// Whom to call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    address: SocketAddr,
    /// `HOST:PORT`, as the URL has it.
    host: String,
    /// The name that logins are signed for.
    name: String,
    /// The path of the URL.
    path: String,
}

/// A connection, perhaps.
#[derive(Debug)]
pub struct Link {
    target: Target,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// The body of a good answer.
#[derive(Debug)]
pub struct Body(Bytes);

/// Why there is none.
#[derive(Debug)]
pub enum Asked {
    /// The server says no.
    Refused(Box<Problem>),
    /// The server says nothing, or nothing that makes sense.
    Unreachable(String),
}

impl Target {
    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes a URL apart and finds its host.
    ///
    /// # Errors
    /// Not `http://HOST[:PORT][/PATH]`, or a host without an address.
    pub fn find(url: &str) -> Result<Target, Error> {
        let shown = crate::units::quote(url);
        let wrong = || Error::Usage(format!("{shown} is not http://HOST:PORT; TLS is not spoken here"));
        let name = server_name(url).filter(|_| url.starts_with("http://")).ok_or_else(wrong)?;
        let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let port_text = host.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
        let port: u16 = port_text.map_or(Ok(80), str::parse).map_err(|_| wrong())?;
        let found = (name.as_str(), port).to_socket_addrs().map_err(|error| {
            Error::Configuration(format!("{shown}: {error}; name a host that has an address"))
        })?;
        let address = found.into_iter().next().ok_or_else(wrong)?;
        Ok(Target { address, host: host.to_owned(), name, path: format!("/{path}") })
    }
}

impl Link {
    /// Not connected yet.
    pub fn new(target: Target) -> Link {
        Link { target, sender: None }
    }

    /// The name that logins are signed for.
    pub fn name(&self) -> &str {
        &self.target.name
    }

    /// Posts a question.
    ///
    /// # Errors
    /// Refused, or not answered.
    pub async fn call<B: Serialize>(
        &mut self,
        path: &str,
        session: Option<Session>,
        body: Option<&B>,
    ) -> Result<Body, Asked> {
        let body = body.and_then(|body| serde_json::to_vec(body).ok()).unwrap_or_default();
        let mut request = Request::builder().method(Method::POST).uri(path);
        if let Some(session) = session {
            request = request.header(header::AUTHORIZATION, format!("Bearer {session}"));
        }
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        self.exchange(request, body).await
    }

    /// Fetches what the target's URL names.
    ///
    /// # Errors
    /// Refused, or not answered.
    pub async fn fetch(&mut self) -> Result<Body, Asked> {
        let request = Request::builder().method(Method::GET).uri(self.target.path.clone());
        self.exchange(request, Vec::new()).await
    }

    async fn exchange(
        &mut self,
        request: hyper::http::request::Builder,
        body: Vec<u8>,
    ) -> Result<Body, Asked> {
        let request = request
            .header(header::HOST, &self.target.host)
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| Asked::Unreachable(error.to_string()))?;
        let answer = tokio::time::timeout(PATIENCE, self.send(request)).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())));
        let (status, body) = answer.map_err(|reason| {
            self.sender = None;
            Asked::Unreachable(reason)
        })?;
        if status.is_success() {
            return Ok(Body(body));
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(Asked::Refused(Box::new(problem))),
            Err(_) => Err(Asked::Unreachable(format!("answered {status} without a reason"))),
        }
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), String> {
        if self.sender.as_ref().is_none_or(SendRequest::is_closed) {
            self.sender = None;
        }
        let sender = match self.sender.take() {
            Some(sender) => self.sender.insert(sender),
            None => self.sender.insert(connect(self.target.address).await?),
        };
        sender.ready().await.map_err(|error| error.to_string())?;
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        let body =
            Limited::new(response.into_body(), MOST_ANSWER).collect().await.map_err(|it| it.to_string())?;
        Ok((status, body.to_bytes()))
    }
}

impl Body {
    /// As JSON.
    ///
    /// # Errors
    /// It is something else.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Asked> {
        serde_json::from_slice(&self.0)
            .map_err(|error| Asked::Unreachable(format!("answered what is no answer: {error}")))
    }

    /// As text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

/// Connects, and closes the connection again; what prevents it, in words.
pub async fn reach(address: SocketAddr) -> Result<(), String> {
    let connected = tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await;
    let connected = connected.map_err(|_| format!("no answer within {} s", PATIENCE.as_secs()))?;
    connected.map(drop).map_err(|error| error.to_string())
}

/// Waits for some work on the calling thread, and after a signal for `grace` longer.
///
/// # Errors
/// [`Error::Interrupted`] if that was not enough; the system gives no runtime.
pub fn wait_for<T>(
    work: impl Future<Output = T>,
    interrupted: &AtomicBool,
    grace: Duration,
) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Runtime(format!("no runtime for calls: {error}")))?;
    runtime.block_on(async {
        let mut work = pin!(work);
        while !interrupted.load(Relaxed) {
            if let Ok(done) = tokio::time::timeout(GLANCE, &mut work).await {
                return Ok(done);
            }
        }
        tokio::time::timeout(grace, work).await.map_err(|_| Error::Interrupted)
    })
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    // Only latency is lost where this cannot be set.
    let _ = stream.set_nodelay(true);
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    tokio::spawn(async move { connection.await.ok() });
    Ok(sender)
}

/// So long a call may take.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How often a wait looks for a signal.
const GLANCE: Duration = Duration::from_millis(50);
/// A profile of ten thousand devices takes less, bytes.
const MOST_ANSWER: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart_and_wrong_ones_refused() {
        let target = Target::find("http://127.0.0.1:8480/metrics").unwrap();
        assert_eq!((target.host.as_str(), target.path.as_str()), ("127.0.0.1:8480", "/metrics"));
        assert_eq!((target.address, target.name.as_str()), (([127, 0, 0, 1], 8480).into(), "127.0.0.1"));
        assert_eq!(Target::find("http://[::1]").unwrap().address, "[::1]:80".parse().unwrap());
        for wrong in ["", "127.0.0.1:8480", "https://127.0.0.1", "http://", "http://127.0.0.1:x"] {
            let error = Target::find(wrong).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains("http://HOST:PORT"), "{wrong}");
        }
    }
    #[test]
    fn a_signal_ends_a_wait_unless_the_grace_suffices() {
        let (never, interrupted) = (std::future::pending::<()>, AtomicBool::new(true));
        assert_eq!(wait_for(never(), &interrupted, Duration::from_millis(1)), Err(Error::Interrupted));
        assert_eq!(wait_for(async { 7 }, &interrupted, Duration::from_secs(100)), Ok(7));
        interrupted.store(false, Relaxed);
        assert_eq!(wait_for(async { 8 }, &interrupted, Duration::ZERO), Ok(8));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| wait_for(never(), &interrupted, Duration::ZERO));
            interrupted.store(true, Relaxed);
            assert_eq!(waiting.join().unwrap(), Err(Error::Interrupted));
        });
    }
}
