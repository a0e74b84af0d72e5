//! How `status`, `send` and `watch` reach a running `up` or `tunnel` of the same device: one line of JSON each way over
//! a loopback connection.
//!
//! * Two endpoints with one key would take each other's messages, so there is one, and the others ask it.
//! * Port and token lie beside the device's file, readable by its owner only; who lacks the token is told nothing.
//! * Nothing there, or nobody listening: no endpoint runs.

use crate::failure::Failure;
use crate::snapshot::Snapshot;
use endpoint::{Endpoint, PeerId, random_secret, write_private};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use wire::json::base64url::Bytes;
use wire::json::name::AccountName;

/// A running endpoint that can be asked.
pub struct Control {
    endpoint: Endpoint,
    /// Who waits for which message to arrive.
    waiting: Mutex<HashMap<(PeerId, u64), oneshot::Sender<bool>>>,
    token: Bytes<32>,
    file: PathBuf,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Question {
    /// How it is.
    Status,
    /// Send a text.
    Send {
        /// To whom.
        to: AccountName,
        /// What.
        text: String,
    },
    /// Hide the own address, or show it.
    Hide(bool),
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// How it is.
    Status(Box<Snapshot>),
    /// The text has arrived.
    Arrived,
    /// It is done.
    Done,
    /// It did not work.
    Failed(String),
}

#[derive(Serialize, Deserialize)]
struct Place {
    address: SocketAddr,
    token: Bytes<32>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    token: Bytes<32>,
    ask: Question,
}

impl Control {
    /// Listens, and writes down where.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn open(endpoint: Endpoint, device_file: &Path) -> Result<Arc<Self>, Failure> {
        let file = place_of(device_file);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let token = Bytes(random_secret()?);
        let place = Place { address: listener.local_addr()?, token };
        let text = serde_json::to_string(&place).map_err(|error| Failure::Runtime(error.to_string()))?;
        write_private(&file, text.as_bytes())?;
        let control = Arc::new(Self { endpoint, waiting: Mutex::default(), token, file });
        tokio::spawn(Arc::clone(&control).run(listener));
        Ok(control)
    }

    /// Tells whoever waits whether a message has arrived.
    pub fn note_delivery(&self, peer: PeerId, ticket: u64, arrived: bool) {
        if let Some(waiter) = self.waiting().remove(&(peer, ticket)) {
            waiter.send(arrived).ok();
        }
    }

    /// Takes the file away.
    pub fn close(&self) {
        std::fs::remove_file(&self.file).ok();
    }

    /// Sends a text and waits until it has arrived.
    pub async fn send(&self, to: &AccountName, text: &str) -> Answer {
        let sent = self.endpoint.peer(to.as_str()).and_then(|peer| {
            // Under the lock, so that the delivery cannot come before anybody waits for it.
            let mut waiting = self.waiting();
            let ticket = peer.send_message(text.as_bytes())?;
            let (sender, receiver) = oneshot::channel();
            waiting.insert((peer.id(), ticket), sender);
            Ok(receiver)
        });
        match sent {
            Err(error) => Answer::Failed(error.to_string()),
            Ok(receiver) => match tokio::time::timeout(SEND_PATIENCE, receiver).await {
                Ok(Ok(true)) => Answer::Arrived,
                _ => Answer::Failed(format!("{to} did not answer; `status {to}` says whether it is there")),
            },
        }
    }

    async fn run(self: Arc<Self>, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let control = Arc::clone(&self);
            tokio::spawn(async move { tokio::time::timeout(PATIENCE, control.serve(stream)).await });
        }
    }

    async fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut stream = BufReader::new(stream);
        let mut text = String::new();
        (&mut stream).take(MAX_LINE).read_line(&mut text).await.ok()?;
        let line: Line = serde_json::from_str(&text).ok()?;
        if line.token != self.token {
            return None;
        }
        let answer = match line.ask {
            Question::Status => Answer::Status(Box::new(Snapshot::of(&self.endpoint))),
            Question::Send { to, text } => self.send(&to, &text).await,
            Question::Hide(hide) => match self.endpoint.hide_address(hide).await {
                Ok(()) => Answer::Done,
                Err(error) => Answer::Failed(error.to_string()),
            },
        };
        let mut bytes = serde_json::to_vec(&answer).ok()?;
        bytes.push(b'\n');
        stream.write_all(&bytes).await.ok()
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<(PeerId, u64), oneshot::Sender<bool>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks the running endpoint of a device; nothing if none runs.
///
/// # Errors
/// It runs, but does not answer as it should.
pub async fn ask(device_file: &Path, question: &Question) -> Result<Option<Answer>, Failure> {
    let Ok(text) = std::fs::read_to_string(place_of(device_file)) else { return Ok(None) };
    let Ok(place) = serde_json::from_str::<Place>(&text) else { return Ok(None) };
    let Ok(mut stream) = TcpStream::connect(place.address).await else { return Ok(None) };
    let exchange = async {
        let line = Line { token: place.token, ask: question.clone() };
        let mut bytes = serde_json::to_vec(&line)?;
        bytes.push(b'\n');
        stream.write_all(&bytes).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = tokio::time::timeout(PATIENCE, exchange).await;
    let answer =
        answer.map_err(|_| Failure::Runtime(String::from("the running endpoint does not answer")))??;
    // Whoever took over the port of an endpoint that crashed does not know the token, and answers something else.
    Ok(serde_json::from_slice(&answer).ok())
}

fn place_of(device_file: &Path) -> PathBuf {
    let mut name = device_file.as_os_str().to_owned();
    name.push(".running");
    PathBuf::from(name)
}

const MAX_LINE: u64 = 8192;
const SEND_PATIENCE: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(20);
