//! A reflector as a process of its own, with a folder of its own.
//!
//! * Ready when it says so; ended by its id when the value goes out of scope, whatever the test does.

use super::page::Page;
use super::protocol::Key;
use engine::socket::kind::Kind;
use harness::{Running, Signal, wait_until, wait_until_or};
use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

pub(crate) use harness::{Folder, PATIENCE};

/// A running reflector.
#[derive(Debug)]
pub(crate) struct Reflector {
    running: Running,
    pub(crate) folder: Folder,
    pub(crate) key: Key,
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) admin: SocketAddr,
    pub(crate) ready: serde_json::Value,
}

impl Reflector {
    /// One that serves 127.0.0.1, with loopback opened and one worker, and these flags besides.
    pub(crate) fn start(flags: &[&str]) -> Self {
        let common =
            ["--listen", "127.0.0.1:0", "--workers", "1", "--allow-destination", "127.0.0.0/8,::1/128"];
        Self::start_bare(&[&common, flags].concat())
    }

    /// As [`Reflector::start`], on this engine.
    pub(crate) fn start_on(kind: Kind, flags: &[&str]) -> Self {
        Self::start(&[flags, &["--engine", kind.as_str()]].concat())
    }

    /// As [`Reflector::start_bare`], on this engine.
    pub(crate) fn start_bare_on(kind: Kind, flags: &[&str]) -> Self {
        Self::start_bare(&[flags, &["--engine", kind.as_str()]].concat())
    }

    /// One with these flags and nothing besides keys, admin port and log form.
    pub(crate) fn start_bare(flags: &[&str]) -> Self {
        Self::start_in(Folder::new("reflector-test"), flags)
    }

    /// One whose folder is there already; `{folder}` in a flag is its path.
    pub(crate) fn start_in(folder: Folder, flags: &[&str]) -> Self {
        Self::start_by(program(), folder, flags)
    }

    /// One that this command starts.
    pub(crate) fn start_by(mut command: Command, folder: Folder, flags: &[&str]) -> Self {
        let key = Key::new(7, 7);
        folder.write("ring.toml", &key.toml());
        let path = folder.path().display().to_string();
        command.arg("run");
        // An address of its own stands for the usual one.
        if !flags.contains(&"--admin") {
            command.args(["--admin", "127.0.0.1:0"]);
        }
        command.args(["--log-format", "json", "--keys"]).arg(folder.file("ring.toml"));
        command.args(flags.iter().map(|flag| flag.replace("{folder}", &path)));
        let mut reflector = Self {
            running: start(&mut command),
            folder,
            key,
            listen: Vec::new(),
            admin: SocketAddr::from(([127, 0, 0, 1], 0)),
            ready: serde_json::Value::Null,
        };
        let ready = reflector.wait_for_line("ready");
        let text = |field: &str| ready[field].as_str().unwrap().to_owned();
        reflector.listen = text("listen").split(',').map(|it| it.parse().unwrap()).collect();
        reflector.admin = text("admin").parse().unwrap();
        reflector.ready = ready;
        reflector
    }

    /// Its folder, for another one.
    pub(crate) fn into_folder(self) -> Folder {
        self.folder
    }

    /// The first address that it serves.
    pub(crate) fn address(&self) -> SocketAddr {
        self.listen[0]
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.running.id()
    }

    /// Everything logged so far.
    pub(crate) fn log(&self) -> String {
        self.running.stderr()
    }

    /// Waits until the log says this. A metric may already count an event whose line has not been read yet.
    pub(crate) fn wait_for_words(&self, words: &str) {
        let complaint = || format!("{words:?} never came; the log:\n{}", self.log());
        wait_until_or(|| self.log().contains(words), complaint);
    }

    /// The first log line with this message, waited for.
    pub(crate) fn wait_for_line(&mut self, message: &str) -> serde_json::Value {
        let find = |log: &str| {
            let mut lines =
                log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            lines.find(|line| line["message"] == message)
        };
        let running = RefCell::new(&mut self.running);
        let mut found = None;
        let came = || {
            // Once it has ended, the log is whole.
            let ended = running.borrow_mut().has_ended();
            found = find(&running.borrow().stderr());
            found.is_some() || ended
        };
        let complaint = || format!("no line {message:?} came; the log:\n{}", running.borrow().stderr());
        wait_until_or(came, complaint);
        found.unwrap_or_else(|| panic!("it ended without a line {message:?}; the log:\n{}", self.log()))
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        self.running.signal(signal);
    }

    /// Waits for the end and returns the exit code.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        self.running.wait().code()
    }

    /// Status and body of an admin page.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: reflector\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// The metrics now.
    pub(crate) fn metrics(&self) -> Page {
        let (status, body) = self.get("/metrics");
        assert_eq!(status, 200);
        Page::new(&body)
    }

    /// The metrics once `met` holds.
    pub(crate) fn metrics_when(&self, met: impl Fn(&Page) -> bool) -> Page {
        let mut page = None;
        let is_met = || met(page.insert(self.metrics()));
        wait_until_or(is_met, || format!("the condition is not met:\n{:?}", self.metrics()));
        page.unwrap()
    }

    /// Reloads and waits until it is done; `outcome` is `success` or `failure`.
    pub(crate) fn reload(&self, outcome: &str) {
        let done = |page: &Page| page.sum("reflector_reloads_total", &[("outcome", outcome)]);
        let before = done(&self.metrics());
        self.signal(Signal::SIGHUP);
        self.metrics_when(|page| done(page) > before);
    }
}

/// Starts a reflector that has come up, or ended, when this returns.
///
/// Against an ordinary user's limit of locked memory the rings of other tests count as well, some until after their end. A
/// reflector that is refused io_uring for that is started again.
fn start(command: &mut Command) -> Running {
    let mut running = Running::start(command);
    wait_until("a reflector neither comes up nor ends", || {
        let ended = running.has_ended();
        let said = running.stderr();
        let no_memory = ended && said.contains("the kernel grants no memory for io_uring");
        if no_memory {
            running = Running::start(command);
        }
        !no_memory && (ended || said.contains("\"ready\""))
    });
    running
}

/// The program, in an environment without settings.
pub(crate) fn program() -> Command {
    program_at(Path::new(env!("CARGO_BIN_EXE_reflector")))
}

/// A copy of the program, likewise.
pub(crate) fn program_at(path: &Path) -> Command {
    let mut command = Command::new(path);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("REFLECTOR_"))
    {
        command.env_remove(name);
    }
    command
}
