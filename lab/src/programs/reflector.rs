//! A reflector of one's own on loopback: a fresh ring, free ports, one worker.
//!
//! * Ready when [`Reflector::start`] returns: its sockets are open and it has said so.
//! * Only loopback is opened as destination; its ring lives in a private folder and dies with it.
//! * Ended when dropped.

use super::interrupt::Interrupt;
use super::program::{Program, Start, ending};
use super::relay::Counters;
use super::scratch::Scratch;
use anyhow::{Context, bail};
use http::Metrics;
use serde::{Deserialize, Serialize};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A running reflector.
#[derive(Debug)]
pub struct Reflector {
    program: Program,
    scratch: Scratch,
    keys: PathBuf,
    ready: Ready,
    command: String,
}

/// How to run it.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The processors to run on; empty: any.
    pub cpus: Vec<usize>,
    /// Further arguments of `reflector run`.
    pub arguments: Vec<String>,
}

/// What a reflector says of itself when it is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Transport address of its UDP socket.
    pub listen: SocketAddr,
    /// Transport address of its admin server.
    pub admin: SocketAddr,
    /// Worker threads.
    pub workers: u64,
    /// How datagrams are moved.
    pub engine: String,
    /// Whether the kernel hands over trains of datagrams.
    pub gro: bool,
    /// Whether the kernel takes trains of datagrams.
    pub gso: bool,
    /// Receive buffer of a socket as granted, bytes as the kernel counts them.
    pub receive_buffer_bytes: u64,
}

impl Reflector {
    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// It cannot be started, ends, or is not ready within two minutes; with its last lines.
    pub fn start(binary: &Path, options: &Options) -> anyhow::Result<Self> {
        let scratch = Scratch::new()?;
        let keys = scratch.fresh_ring("ring.toml")?;
        let mut start = Start::new(binary);
        start.arg("run").option("--listen", "127.0.0.1:0").option("--admin", "127.0.0.1:0");
        start.option("--keys", keys.display()).option("--workers", 1);
        start.option("--allow-destination", "127.0.0.0/8").option("--probe-budget", PROBE_BUDGET);
        start.option("--log-format", "json");
        options.arguments.iter().for_each(|argument| {
            start.arg(argument);
        });
        start.on(&options.cpus);
        let command = start.shown();
        let mut program = Program::start(&start)?;
        let ready = program.wait_for(PATIENCE, ready)?;
        let ready = ready.context("the reflector says that it is ready in a form unknown to this program")?;
        Ok(Self { program, scratch, keys, ready, command })
    }

    /// Where datagrams go.
    pub fn listen(&self) -> SocketAddr {
        self.ready.listen
    }

    /// What it said when it was ready.
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Its ring file.
    pub fn keys(&self) -> &Path {
        &self.keys
    }

    /// The private folder of this run.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// The command line, as a person would type it.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// The program itself, to be signalled.
    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    /// Its metrics now.
    ///
    /// # Errors
    /// It does not answer; with its last lines if it has ended.
    pub fn metrics(&mut self) -> anyhow::Result<Metrics> {
        Metrics::scrape(self.ready.admin).or_else(|error| {
            self.ensure_alive()?;
            Err(error.into())
        })
    }

    /// Its counters once nothing moves any more.
    ///
    /// A PROBE goes first, because the kernel tells of datagrams that it dropped only with the next one that it
    /// delivers; it is counted like any other.
    ///
    /// # Errors
    /// It does not answer, or its counters still move after a minute.
    pub fn settled(&mut self, interrupt: &Interrupt) -> anyhow::Result<Counters> {
        let socket = UdpSocket::bind("127.0.0.1:0").context("cannot open a UDP socket")?;
        let mut probe = [0; wire::HEADER_LEN];
        if let Some(kind) = probe.first_mut() {
            *kind = wire::Kind::Probe as u8;
        }
        let before = Counters::of(&self.metrics()?)?;
        socket.send_to(&probe, self.ready.listen).context("cannot send a PROBE")?;
        let (until, received_before, mut last) = (Instant::now() + SETTLE, before.received, before);
        loop {
            interrupt.check()?;
            interrupt.sleep(Duration::from_millis(50));
            let now = Counters::of(&self.metrics()?)?;
            if now.is_still(&last) && now.received > received_before {
                return Ok(now);
            }
            if Instant::now() > until {
                bail!("the reflector's counters still move {} s after the load has ended", SETTLE.as_secs());
            }
            last = now;
        }
    }

    /// # Errors
    /// It has ended; with how, and its last lines.
    pub fn ensure_alive(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.program.ended()? {
            bail!("the reflector ended during the run ({}){}", ending(status), self.program.last_words());
        }
        Ok(())
    }
}

/// `Some` for the line of readiness, `Some(None)` if it does not have the form expected.
pub fn ready(line: &str) -> Option<Option<Ready>> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    (value.get("message")?.as_str()? == "ready").then(|| serde_json::from_value(value).ok())
}

/// The simulated endpoints share a few address blocks, so that the default budget for one block would be theirs together.
const PROBE_BUDGET: u32 = 1_000_000;
/// How long a start may take. Far beyond what a busy machine needs: it only ends a hang.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long counters may move after a load has ended.
const SETTLE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_is_told_from_other_lines() {
        let line = r#"{"level":"INFO","message":"ready","listen":"127.0.0.1:4000","admin":"127.0.0.1:4001",
            "workers":1,"engine":"epoll","gro":true,"gso":false,"receive_buffer_bytes":425984,"more":"x"}"#;
        let said = ready(line).unwrap().unwrap();
        assert_eq!((said.listen.port(), said.admin.port(), said.gso), (4000, 4001, false));
        assert_eq!(ready(r#"{"message":"ready"}"#), Some(None));
        assert_eq!(ready(r#"{"message":"starting"}"#), None);
        assert_eq!(ready("ready"), None);
    }
}
