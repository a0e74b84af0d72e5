//! How the command line reaches the accounts: through the store itself, or through the server that holds it.
//!
//! * The server listens at a Unix socket beside the store; only the store's owner may connect.
//! * One JSON object a line each way, so that an import of many accounts is many lines of one connection.

use crate::accounts::registry::Registry;
use crate::app::App;
use crate::config::StorePaths;
use crate::now::SharedClock;
use crate::operate::operation::{Operation, Outcome, Taken};
use crate::store::{Store, StoreError};
use engine::host::clock::Clock;
use program::failure::Failure;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

/// The way to the accounts.
#[derive(Debug)]
pub enum Operator {
    /// No server runs: the store is open here.
    Store(Box<Registry>),
    /// The server has the store.
    Server(BufReader<UnixStream>),
}

impl Operator {
    /// Opens the store, or else the socket of whoever has it.
    ///
    /// # Errors
    /// The store is not one, or is held by a process that does not listen at the socket.
    pub fn open(paths: &StorePaths) -> Result<Self, Failure> {
        let named =
            |error: &dyn std::fmt::Display| Failure::Runtime(format!("{}: {error}", paths.store.display()));
        match Store::open(&paths.store) {
            Ok(store) => {
                let now = SharedClock::new(&Clock::start()).now();
                let registry = Registry::load(store, now).map_err(|error| named(&error))?;
                Ok(Self::Store(Box::new(registry)))
            }
            Err(StoreError::Held) => {
                let stream = UnixStream::connect(&paths.control).map_err(|error| {
                    named(&format_args!(
                        "another process holds it and does not answer at {}: {error}; give the running server's --control",
                        paths.control.display()
                    ))
                })?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Ok(Self::Server(BufReader::new(stream)))
            }
            Err(error) => Err(named(&error)),
        }
    }

    /// Does it, wherever the accounts are.
    ///
    /// # Errors
    /// It was refused, or the server went away.
    pub fn apply(&mut self, operation: Operation) -> Result<Outcome, Failure> {
        let outcome = match self {
            Self::Store(registry) => operation.apply(registry, SharedClock::new(&Clock::start()).now()),
            Self::Server(stream) => ask(stream, &operation)?,
        };
        match outcome {
            Outcome::Refused(reason) => Err(Failure::Runtime(reason)),
            outcome => Ok(outcome),
        }
    }
}

/// A socket at `path` for the server; one that a killed server left behind is replaced.
///
/// # Errors
/// The path is too long for a socket, or its folder cannot be written.
pub fn listen(path: &Path) -> Result<UnixListener, Failure> {
    let refuse = |error: std::io::Error| {
        Failure::Config(format!(
            "--control {}: {error}; choose a path of less than 108 bytes in a folder that may be written",
            path.display()
        ))
    };
    // Whoever holds the store is alone here, so a socket that is there has no listener any more.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(refuse(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(refuse)?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).map_err(refuse)?;
    listener.set_nonblocking(true).map_err(refuse)?;
    Ok(listener)
}

/// Serves the socket for ever.
pub async fn serve(listener: tokio::net::UnixListener, app: Arc<App>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(converse(stream, Arc::clone(&app)));
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket took no connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(stream: tokio::net::UnixStream, app: Arc<App>) {
    let (read, mut write) = stream.into_split();
    let mut read = tokio::io::BufReader::new(read);
    loop {
        let mut line = Vec::new();
        match (&mut read).take(LONGEST_LINE).read_until(b'\n', &mut line).await {
            Ok(length) if length > 0 => {}
            _ => return,
        }
        let outcome = match serde_json::from_slice::<Operation>(&line) {
            Ok(operation) => {
                let (registry, now) = (Arc::clone(&app.registry), app.clock.now());
                let done = tokio::task::spawn_blocking(move || operation.apply(&registry, now)).await;
                match done.unwrap_or_else(|error| Outcome::Refused(error.to_string())) {
                    Outcome::TakenBack(Taken { numbers, .. }) => {
                        let progress = app.registry.outbox().wait(&numbers, DELIVERY).await;
                        Outcome::TakenBack(Taken { numbers, progress, is_served: true })
                    }
                    outcome => outcome,
                }
            }
            Err(error) => Outcome::Refused(format!("not an operation: {error}; use programs of one version")),
        };
        let Ok(mut text) = serde_json::to_vec(&outcome) else { return };
        text.push(b'\n');
        if write.write_all(&text).await.is_err() {
            return;
        }
    }
}

fn ask(stream: &mut BufReader<UnixStream>, operation: &Operation) -> Result<Outcome, Failure> {
    let gone =
        |error: &dyn std::fmt::Display| Failure::Runtime(format!("the server does not answer: {error}"));
    let mut text = serde_json::to_vec(operation).map_err(|error| gone(&error))?;
    text.push(b'\n');
    stream.get_mut().write_all(&text).map_err(|error| gone(&error))?;
    let mut line = String::new();
    stream.read_line(&mut line).map_err(|error| gone(&error))?;
    serde_json::from_str(&line).map_err(|error| gone(&error))
}

/// Bytes of the longest operation: an import sends a thousand accounts a line.
const LONGEST_LINE: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(60);
/// How long an operator waits for the reflectors' hosts.
const DELIVERY: Duration = Duration::from_secs(10);
