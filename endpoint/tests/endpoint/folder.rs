//! A folder with the files of devices, and the program run with them.
//!
//! * Folder and processes go when they are dropped, also when a test fails.
//! * Waiting is bounded, and ends with what was said instead.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A folder with device files, removed at the end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// A fresh one; `name` tells those of one process apart.
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("endpoint-cli-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// A device's file.
    pub(crate) fn file(&self, host: usize) -> PathBuf {
        self.0.join(format!("host{host}.toml"))
    }

    /// The program with a device's file.
    pub(crate) fn program(&self, host: usize, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reflector-endpoint"));
        command.env_clear().arg("--config").arg(self.file(host)).args(words);
        command.env("REFLECTOR_ENDPOINT_PASSWORD", PASSWORD);
        command
    }

    /// The same, to its end.
    pub(crate) fn run(&self, host: usize, words: &[&str]) -> Output {
        self.program(host, words).stdin(Stdio::null()).output().unwrap()
    }

    /// Makes a device of the account `hostN` at an access server.
    pub(crate) fn enrol(&self, host: usize, url: &str) -> Output {
        let account = format!("host{host}");
        self.run(host, &["enrol", "--access", url, "--account", &account, "--nat", "symmetric"])
    }

    /// Starts a program that stays, its talk going into a file.
    pub(crate) fn start(&self, host: usize, words: &[&str]) -> Running {
        Running::start(self.program(host, words), self.0.join(format!("host{host}-{}.log", words[0])))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// A program that stays until it is dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts a command, all that it says going into a file.
    pub(crate) fn start(mut command: Command, log: PathBuf) -> Self {
        let file = std::fs::File::create(&log).unwrap();
        let (out, err) = (file.try_clone().unwrap(), file);
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().unwrap();
        Self { child, log }
    }

    /// Sends a signal, such as `INT`, as a terminal or `kill` does.
    pub(crate) fn signal(&self, name: &str) {
        let signal = format!("-{name}");
        let sent = Command::new("kill").args([&signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// All that it has said.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until it has said these words.
    pub(crate) fn wait_for(&self, words: &str) {
        wait(|| self.said().contains(words), || format!("no `{words}` in:\n{}", self.said()));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Waits until something is so.
pub(crate) fn wait(done: impl Fn() -> bool, complaint: impl Fn() -> String) {
    let end = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < end, "{}", complaint());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a program wrote.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The password of every account.
pub(crate) const PASSWORD: &str = "the right one";
