//! `up`: stays online, prints who comes and goes and what they say, and answers `status`, `send` and `watch`.
//!
//! * A signal ends it with a farewell to all buddies.
//! * What came from others is printed without its control characters.

use crate::control::{self, Control, Question};
use crate::failure::Failure;
use crate::snapshot::plain;
use endpoint::{Device, Endpoint, Error, Event, Path as Way, PeerId};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// An endpoint that others on this machine can ask.
pub struct Running {
    /// The endpoint.
    pub endpoint: Endpoint,
    control: Arc<Control>,
    device: Device,
    file: std::path::PathBuf,
    failure: Option<String>,
    /// The own address that was told last: several reflectors may see the same.
    seen: Option<SocketAddr>,
}

impl Running {
    /// Starts the device's endpoint.
    ///
    /// # Errors
    /// It runs already, its file cannot be read, or no socket can be had.
    pub async fn start(file: &Path) -> Result<Self, Failure> {
        let device = Device::load(file)?;
        if control::ask(file, &Question::Status).await?.is_some() {
            let line =
                "an endpoint of this device runs already; stop it, or enrol another device for this one";
            return Err(Failure::Runtime(String::from(line)));
        }
        let endpoint = Endpoint::start(device.clone())?;
        let control = Control::open(endpoint.clone(), file).await?;
        Ok(Self { endpoint, control, device, file: file.to_owned(), failure: None, seen: None })
    }

    /// Waits for an event, and does what every running endpoint does with it.
    ///
    /// # Errors
    /// The endpoint has left.
    pub async fn next(&mut self) -> Result<Event, Error> {
        let event = self.endpoint.event().await?;
        match &event {
            Event::Delivery { peer, ticket, arrived } => self.control.note_delivery(*peer, *ticket, *arrived),
            Event::LoggedIn => self.keep_reflectors(),
            _ => {}
        }
        Ok(event)
    }

    /// What to tell people of an event, if anything.
    pub fn line(&mut self, event: &Event) -> Option<String> {
        let name = |peer: PeerId| {
            let account = self.endpoint.peer_by_id(peer).account();
            account.map_or_else(|| String::from("somebody"), |account| account.to_string())
        };
        match event {
            Event::Presence { peer, online: true } => Some(format!("{} is online", name(*peer))),
            Event::Presence { peer, online: false } => Some(format!("{} is offline", name(*peer))),
            Event::Message { peer, bytes } => {
                Some(format!("{} says: {}", name(*peer), plain(&String::from_utf8_lossy(bytes))))
            }
            Event::Path { peer, path, why } => Some(match path {
                Way::Direct(address) => format!("{} is reached directly at {address}: {why}", name(*peer)),
                Way::Reflected(via) => format!("{} is reached through {via}: {why}", name(*peer)),
                Way::Unknown => format!("{} cannot be reached: {why}", name(*peer)),
            }),
            Event::Contact { address } => {
                let is_new = self.seen.replace(*address) != Some(*address);
                is_new.then(|| format!("this host is seen at {address}"))
            }
            Event::LoggedIn => {
                let first = self.failure.replace(String::new()).as_deref() != Some("");
                first.then(|| {
                    format!("logged in as {}, behind {}", self.device.account, self.endpoint.behaviour())
                })
            }
            Event::AccessFailed { .. } => {
                let failure = self.endpoint.access_failure();
                let is_new = failure != self.failure;
                self.failure.clone_from(&failure);
                failure.filter(|_| is_new).map(|reason| format!("{}; trying again", plain(&reason)))
            }
            _ => None,
        }
    }

    /// Says farewell.
    pub async fn stop(self) {
        self.control.close();
        self.endpoint.leave().await;
    }

    /// Keeps the list of reflectors for the next start.
    fn keep_reflectors(&mut self) {
        let offered = self.endpoint.reflectors();
        if offered != self.device.reflectors {
            self.device.reflectors = offered;
            // The old list serves as well, only not as long.
            self.device.save(&self.file).ok();
        }
    }
}

/// Stays online until a signal comes.
///
/// # Errors
/// It cannot start, or SIGINT came.
pub async fn run(file: &Path, out: &mut impl Write) -> Result<(), Failure> {
    let mut running = Running::start(file).await?;
    let ended = tokio::select! {
        ended = print_events(&mut running, out) => ended,
        ended = signal() => ended,
    };
    running.stop().await;
    ended
}

async fn print_events(running: &mut Running, out: &mut impl Write) -> Result<(), Failure> {
    loop {
        let event = running.next().await?;
        if let Some(line) = running.line(&event) {
            writeln!(out, "{line}")?;
            out.flush()?;
        }
    }
}

/// Waits for a signal that ends the program. One call for as long as that is waited for: a signal between two is lost.
///
/// # Errors
/// SIGINT came, which is no orderly end.
pub async fn signal() -> Result<(), Failure> {
    #[cfg(unix)]
    {
        let kind = tokio::signal::unix::SignalKind::terminate();
        let mut terminate = tokio::signal::unix::signal(kind)?;
        tokio::select! {
            _ = terminate.recv() => Ok(()),
            _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
        }
    }
    #[cfg(not(unix))]
    {
        tokio::signal::ctrl_c().await?;
        Err(Failure::Interrupted)
    }
}
