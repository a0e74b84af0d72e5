//! The audit log: one JSON object a line for every answer in which something was minted.
//!
//! * Written by a thread of its own; whoever mints hands the line over first and answers then. A disk that takes nothing
//!   so ends minting after a moment, and memory does not grow; what was handed over is tried again until it is written.
//! * A line is on its way to the disk within a moment, not before the answer: a kill may lose the last ones.
//! * Rotated by length: FILE, FILE.1 (the one before), ... FILE.N, the oldest being removed.
//! * Holds names and addresses: only its owner may read it.

use crate::config::AuditConfig;
use crate::mint::sight::Minted;
use crate::now::Now;
use program::failure::Failure;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;
use wire::Form;
use wire::json::name::{AccountName, DeviceId, ReflectorName};

/// The way to the log.
#[derive(Clone, Debug)]
pub struct Audit {
    lines: Option<Sender<Item>>,
    failures: Arc<AtomicU64>,
}

/// One line: for whom something was minted, and what.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    /// Unix milliseconds.
    pub at_ms: u64,
    /// What was asked, e.g. `login`.
    pub call: &'static str,
    /// Who asked; absent for a service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<&'a AccountName>,
    /// From which device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// Rate class of all of them.
    pub class: u8,
    /// What was minted.
    pub minted: Vec<Entry<'a>>,
}

/// One capability.
#[derive(Debug, Serialize)]
pub struct Entry<'a> {
    /// Where both meet.
    pub reflector: &'a ReflectorName,
    /// Whose it is to send.
    pub from: SocketAddr,
    /// Who is reached.
    pub to: SocketAddr,
    /// Whose device that is; absent for a service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<&'a AccountName>,
    /// Which.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// Whether it hides the addresses from both; absent if not.
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    pub sealed: bool,
    /// When it ends, unix seconds.
    pub expires: u32,
}

impl<'a> Line<'a> {
    /// The line of what one device was given.
    pub fn of_device(
        call: &'static str,
        (account, device): (&'a AccountName, DeviceId),
        class: u8,
        minted: &'a [Minted],
        now: Now,
    ) -> Self {
        let entry = |it: &'a Minted| Entry {
            reflector: &it.reflector,
            from: it.from.to_socket(),
            to: it.to.to_socket(),
            account: Some(&it.account),
            device: Some(it.device),
            sealed: it.form == Form::Sealed,
            expires: it.expires,
        };
        let minted = minted.iter().map(entry).collect();
        Line { at_ms: now.unix_ms, call, account: Some(account), device: Some(device), class, minted }
    }
}

impl Audit {
    /// Opens the log and starts its thread; without a configuration lines go nowhere.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(config: Option<AuditConfig>) -> Result<Self, Failure> {
        let failures = Arc::new(AtomicU64::new(0));
        let Some(config) = config else { return Ok(Self { lines: None, failures }) };
        let path = config.path.display().to_string();
        let log = Log::open(config).map_err(|error| Failure::Config(format!("--audit {path}: {error}")))?;
        let (lines, received) = channel(QUEUE_LEN);
        let counter = Arc::clone(&failures);
        std::thread::Builder::new()
            .name(String::from("audit"))
            .spawn(move || run(log, received, &counter))?;
        Ok(Self { lines: Some(lines), failures })
    }

    /// Hands a line over; waits a moment while the log is behind. Whether it was taken: if not, nothing may be answered.
    pub async fn write(&self, line: &Line<'_>) -> bool {
        if line.minted.is_empty() {
            return true;
        }
        let Some(lines) = &self.lines else { return true };
        let Ok(mut text) = serde_json::to_vec(line) else { return false };
        text.push(b'\n');
        lines.send_timeout(Item::Line(text), PATIENCE).await.is_ok()
    }

    /// Writes that the file refused since the start.
    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// Waits until everything handed over so far is written.
    pub async fn flush(&self) {
        let Some(lines) = &self.lines else { return };
        let (written, done) = oneshot::channel();
        if lines.send_timeout(Item::Flush(written), PATIENCE).await.is_ok() {
            // The thread answers unless the disk takes nothing; then a stop does not wait for ever.
            let _ = tokio::time::timeout(PATIENCE, done).await;
        }
    }
}

/// What the thread is sent.
#[derive(Debug)]
enum Item {
    Line(Vec<u8>),
    Flush(oneshot::Sender<()>),
}

/// The current file.
struct Log {
    config: AuditConfig,
    file: File,
    len: u64,
}

impl Log {
    fn open(config: AuditConfig) -> std::io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&config.path)?;
        let len = file.metadata()?.len();
        Ok(Self { config, file, len })
    }

    /// Writes what it can and returns how much that was.
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        if self.len > 0 && self.len + text.len() as u64 > self.config.max_len {
            self.rotate()?;
        }
        let written = self.file.write(text)?;
        self.len += written as u64;
        Ok(written)
    }

    fn rotate(&mut self) -> std::io::Result<()> {
        for number in (0..self.config.kept).rev() {
            match std::fs::rename(self.path(number), self.path(number + 1)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        *self = Self::open(self.config.clone())?;
        Ok(())
    }

    fn path(&self, number: usize) -> PathBuf {
        if number == 0 {
            return self.config.path.clone();
        }
        let mut name = self.config.path.clone().into_os_string();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }
}

fn run(mut log: Log, mut items: Receiver<Item>, failures: &AtomicU64) {
    while let Some(first) = items.blocking_recv() {
        let (mut batch, mut flushed, mut next) = (Vec::new(), Vec::new(), Some(first));
        while let Some(item) = next {
            match item {
                Item::Line(line) => batch.extend(line),
                Item::Flush(written) => flushed.push(written),
            }
            next = if batch.len() < LONGEST_BATCH { items.try_recv().ok() } else { None };
        }
        write_all(&mut log, &batch, failures);
        for written in flushed {
            // The caller may have given up waiting.
            let _ = written.send(());
        }
    }
}

#[expect(clippy::expect_used, reason = "lines that a default would drop are minted and not written down")]
fn write_all(log: &mut Log, mut text: &[u8], failures: &AtomicU64) {
    while !text.is_empty() {
        match log.write(text) {
            Ok(written) => text = text.get(written..).expect("a write takes no more than it is given"),
            Err(error) => {
                if failures.fetch_add(1, Relaxed) == 0 {
                    tracing::error!(%error, "the audit log cannot be written; nothing is minted until it can");
                }
                std::thread::sleep(RETRY);
            }
        }
    }
}

/// Lines that wait for the file.
const QUEUE_LEN: usize = 256;
/// Bytes written at once; also how far a file may be over its length.
const LONGEST_BATCH: usize = 64 << 10;
/// How long an answer waits for the log.
const PATIENCE: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_files_move_up_and_the_oldest_goes() {
        let folder = harness::Folder::new("access-audit");
        let config = AuditConfig { path: folder.file("audit"), max_len: 10, kept: 2 };
        let mut log = Log::open(config.clone()).unwrap();
        for text in ["1\n", "2222222\n", "33\n", "44444444\n", "5555555555555\n", "6\n"] {
            assert_eq!(log.write(text.as_bytes()).unwrap(), text.len());
        }
        let read = |name: &str| std::fs::read_to_string(folder.file(name)).ok();
        assert_eq!(read("audit").as_deref(), Some("6\n"));
        assert_eq!(read("audit.1").as_deref(), Some("5555555555555\n"));
        assert_eq!(read("audit.2").as_deref(), Some("44444444\n"));
        assert_eq!(read("audit.3"), None);
        let mut again = Log::open(config).unwrap();
        again.write(b"7\n").unwrap();
        assert_eq!(read("audit").as_deref(), Some("6\n7\n"), "a restart goes on in the same file");
    }
}
