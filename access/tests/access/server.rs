//! An access server as a process of its own, with a folder of its own.
//!
//! * Ready when it says so; ended by its id when the value goes out of scope, whatever the test does.

use crate::client::Client;
use crate::folder::Folder;
use crate::page::Page;
use crate::tickets::{MASTER, Tickets};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    pub(crate) folder: Folder,
    pub(crate) listen: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) tickets: Tickets,
}

impl Server {
    /// One with two reflectors, fra1 and ams1, loopback opened as contacts, and these flags besides.
    pub(crate) fn start(flags: &[&str]) -> Server {
        Server::start_in(Folder::new(), flags)
    }

    /// One whose folder is there already; `{folder}` in a flag is its path.
    pub(crate) fn start_in(folder: Folder, flags: &[&str]) -> Server {
        if folder.read("master.toml").is_empty() {
            folder.write("master.toml", MASTER);
        }
        let path = folder.path.display().to_string();
        let mut command = program();
        command.current_dir(&folder.path).args(["run", "--admin", "127.0.0.1:0", "--log-format", "json"]);
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
            command.args(["--reflector", "fra1=127.9.9.1:3478", "--reflector", "ams1=127.9.9.2:3478"]);
        }
        command.args(flags.iter().map(|flag| flag.replace("{folder}", &path)));
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let writer = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                *writer.lock().unwrap() += &(line + "\n");
            }
        });
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let tickets = Tickets::of(&folder.read("master.toml"));
        let reader = Some(reader);
        let mut server = Server { child, log, reader, folder, listen: nowhere, admin: nowhere, tickets };
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
        command.current_dir(&self.folder.path).env("REFLECTOR_ACCESS_STORE", "access.redb").args(arguments);
        output_of(command, input)
    }

    /// Everything logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// The first log line with this message, waited for.
    pub(crate) fn wait_for_line(&mut self, message: &str) -> serde_json::Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ended = self.child.try_wait().unwrap().is_some();
            if let Some(reader) = self.reader.take_if(|_| ended) {
                reader.join().unwrap();
            }
            let log = self.log();
            let mut lines =
                log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            if let Some(line) = lines.find(|line| line["message"] == message) {
                return line;
            }
            assert!(!ended && Instant::now() < deadline, "no line {message:?} came; the log:\n{log}");
            sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal by name, e.g. `HUP`.
    pub(crate) fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
    }

    /// Kills it without a word, and returns its folder.
    pub(crate) fn kill(mut self) -> Folder {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::mem::replace(&mut self.folder, Folder::new())
    }

    /// Waits for the end and returns the exit code.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        let mut code = None;
        until("it does not end", || {
            let status = self.child.try_wait().unwrap();
            code = status.and_then(|status| status.code());
            status.is_some()
        });
        code
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
        self.signal("HUP");
        until("it does not reload", || done() > before);
    }

    /// The audit log, a value a line.
    pub(crate) fn audit(&self) -> Vec<serde_json::Value> {
        let text = self.folder.read("access.redb.audit.jsonl");
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which is what some tests want.
        let _ = self.child.kill();
        let _ = self.child.wait();
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
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that refuses its arguments reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// Asserts that a command did what it should, and returns what it printed.
pub(crate) fn assert_done(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Waits for a condition.
pub(crate) fn until(what: &str, mut met: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !met() {
        assert!(Instant::now() < deadline, "{what}");
        sleep(Duration::from_millis(5));
    }
}

/// How long to wait for what must come: far beyond what a busy machine needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The password of accounts of [`Server::add_accounts`].
pub(crate) const PASSWORD: &str = "correct horse";
/// Its hash, with parameters that cost a test nothing.
pub(crate) const PASSWORD_HASH: &str =
    "$argon2id$v=19$m=8,t=1,p=1$BwcHBwcHBwcHBwcHBwcHBw$d8cWXRYs+kQt2VnROXEXkPhMCRQBCA3xuMvbGFXM8R4";
