//! An access server as a process of its own, with a folder of its own.
//!
//! * Ready when it says so; ended by its id when the value goes out of scope, whatever the test does.

use crate::client::Client;
use crate::page::Page;
use crate::tickets::{MASTER, Tickets};
use harness::{Folder, Running, Signal, wait_until, wait_until_or};
use serde_json::Value;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    // Ends before the folder goes that it writes to.
    running: Running,
    pub(crate) folder: Folder,
    pub(crate) listen: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) tickets: Tickets,
}

impl Server {
    /// One with two reflectors, fra1 and ams1, loopback opened as contacts, and these flags besides.
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::start_in(Folder::new("access-test"), flags)
    }

    /// One whose folder is there already; `{folder}` in a flag is its path.
    pub(crate) fn start_in(folder: Folder, flags: &[&str]) -> Self {
        if folder.read("master.toml").is_empty() {
            folder.write("master.toml", MASTER);
        }
        let path = folder.path().display().to_string();
        let mut command = program();
        command.current_dir(folder.path()).args(["run", "--admin", "127.0.0.1:0", "--log-format", "json"]);
        command.args([
            "--master",
            "master.toml",
            "--store",
            "access.redb",
            "--allow-destination",
            "127.0.0.0/8",
        ]);
        if !flags.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        if !flags.contains(&"--reflector") {
            command.args(["--reflector", "fra1=127.9.9.1:1933", "--reflector", "ams1=127.9.9.2:1933"]);
        }
        command.args(flags.iter().map(|flag| flag.replace("{folder}", &path)));
        let running = Running::start(&mut command);
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let tickets = Tickets::of(&folder.read("master.toml"));
        let mut server = Self { running, folder, listen: nowhere, admin: nowhere, tickets };
        let ready = server.wait_for_line("ready");
        server.listen = ready["listen"].as_str().unwrap().split(',').next().unwrap().parse().unwrap();
        server.admin = ready["admin"].as_str().unwrap().parse().unwrap();
        server
    }

    /// A client with connections of its own.
    pub(crate) fn client(&self) -> Client {
        Client::new(&format!("http://{}", self.listen))
    }

    /// Adds accounts whose password is [`PASSWORD`], hashed cheaply, and makes each buddies of the next.
    pub(crate) fn add_accounts(&self, names: &[&str]) {
        let row = |name: &&str| format!("{{\"account\":\"{name}\",\"hash\":\"{PASSWORD_HASH}\"}}\n");
        let file = self.folder.write("accounts.jsonl", &names.iter().map(row).collect::<String>());
        assert_done(&self.command(&["account", "import", &file.display().to_string()]));
        for pair in names.windows(2) {
            assert_done(&self.command(&["buddy", "add", pair[0], pair[1]]));
        }
    }

    /// Runs the program beside the server, on the same store.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        self.command_with(arguments, "")
    }

    /// The same, with this on stdin.
    pub(crate) fn command_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = program();
        command.current_dir(self.folder.path()).env("REFLECTOR_ACCESS_STORE", "access.redb").args(arguments);
        output_of(command, input)
    }

    /// The first log line with this message, waited for.
    #[track_caller]
    pub(crate) fn wait_for_line(&mut self, message: &str) -> Value {
        // Looked at first: what it said before it ended has been read then.
        wait_until_or(
            || self.running.has_ended() || self.line(message).is_some(),
            || format!("no line {message:?} came"),
        );
        self.line(message).unwrap_or_else(|| {
            panic!("it ended without a line {message:?}; the log:\n{}", self.running.stderr())
        })
    }

    fn line(&self, message: &str) -> Option<Value> {
        let log = self.running.stderr();
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["message"] == message)
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        self.running.signal(signal);
    }

    /// Kills it without a word, and returns its folder.
    pub(crate) fn kill(mut self) -> Folder {
        self.running.kill();
        self.folder
    }

    /// Waits for the end and returns the exit code.
    #[track_caller]
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        self.running.wait().code()
    }

    /// Status and body of an admin page.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        Client::new(&format!("http://{}", self.admin)).text(path)
    }

    /// The metrics now.
    pub(crate) fn metrics(&self) -> Page {
        let (status, body) = self.get("/metrics");
        assert_eq!(status, 200);
        Page::new(&body)
    }

    /// Reloads and waits until it is done; `outcome` is `success` or `failure`.
    pub(crate) fn reload(&self, outcome: &str) {
        let done = || self.metrics().sum("reflector_access_reloads_total", &[("outcome", outcome)]);
        let before = done();
        self.signal(Signal::SIGHUP);
        wait_until("it does not reload", || done() > before);
    }

    /// The audit log, a value a line; a line that is still being written does not count yet.
    pub(crate) fn audit(&self) -> Vec<Value> {
        let text = self.folder.read("access.redb.audit.jsonl");
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The program, in an environment without settings.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reflector-access"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("REFLECTOR_"))
    {
        command.env_remove(name);
    }
    command
}

/// Runs a command with this on stdin.
pub(crate) fn output_of(mut command: Command, input: &str) -> Output {
    let mut running = Running::start_with_input(command.stdin(Stdio::piped()));
    // A program that refuses its arguments reads nothing.
    let _ = running.child().stdin.take().unwrap().write_all(input.as_bytes());
    let status = running.wait();
    Output { status, stdout: running.stdout().into_bytes(), stderr: running.stderr().into_bytes() }
}

/// Asserts that a command did what it should, and returns what it printed.
pub(crate) fn assert_done(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The password of accounts of [`Server::add_accounts`].
pub(crate) const PASSWORD: &str = "correct horse";
/// Its hash, with parameters that cost a test nothing.
pub(crate) const PASSWORD_HASH: &str =
    "$argon2id$v=19$m=8,t=1,p=1$BwcHBwcHBwcHBwcHBwcHBw$d8cWXRYs+kQt2VnROXEXkPhMCRQBCA3xuMvbGFXM8R4";
