//! Calls of one server over a connection that is kept, and waits for them that a signal ends.
//!
//! * A call takes at most [`PATIENCE`]; an answer at most 8 MiB.
//! * A signal ends a wait for the server soon.
//! * A refusal comes as the problem document that the server sent.

use crate::args::target::Target;
use crate::error::Error;
use http::{Answer, Call, Client, Connection, Limits, Method, Metrics};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::TcpStream;
use wire::json::login::Session;
use wire::json::problem::Problem;

/// A connection, perhaps.
pub struct Link {
    target: Target,
    connection: Connection,
}

/// A good answer.
#[derive(Debug)]
pub struct Good(Answer);

/// Why a call has no good answer.
#[derive(Debug)]
pub enum Asked {
    /// The server says no.
    Refused(Box<Problem>),
    /// The server says nothing, or nothing that makes sense.
    Unreachable(String),
}

impl Link {
    /// Not connected yet.
    pub fn new(target: Target) -> Self {
        let limits = Limits { patience: PATIENCE, most_bytes: MOST_ANSWER };
        let client = Client::plain(target.url(), limits).placed(target.address());
        Self { target, connection: Connection::new(client) }
    }

    /// The name that logins are signed for.
    pub fn name(&self) -> &str {
        self.target.name()
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
    ) -> Result<Good, Asked> {
        let json = body.and_then(|body| serde_json::to_vec(body).ok());
        let bearer = session.map(|session| session.to_string());
        good(self.connection.call(Call { method: Method::POST, path, bearer, json }).await)
    }

    /// Fetches what the target's URL names.
    ///
    /// # Errors
    /// Refused, or not answered.
    pub async fn fetch(&mut self) -> Result<Good, Asked> {
        good(self.connection.call(Call::get(self.target.url().path())).await)
    }
}

fn good(answer: Result<Answer, http::Error>) -> Result<Good, Asked> {
    let answer = answer.map_err(|error| Asked::Unreachable(error.to_string()))?;
    if answer.is_success() {
        return Ok(Good(answer));
    }
    match serde_json::from_slice::<Problem>(&answer.body) {
        Ok(problem) => Err(Asked::Refused(Box::new(problem))),
        Err(_) => Err(Asked::Unreachable(format!("answered {} without a reason", answer.reason))),
    }
}

impl Good {
    /// As JSON.
    ///
    /// # Errors
    /// It is something else.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Asked> {
        serde_json::from_slice(&self.0.body)
            .map_err(|error| Asked::Unreachable(format!("answered what is no answer: {error}")))
    }

    /// As metrics.
    ///
    /// # Errors
    /// It is something else.
    pub fn metrics(&self) -> Result<Metrics, http::Error> {
        Metrics::read(&self.0)
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
