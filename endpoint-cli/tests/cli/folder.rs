//! A folder with the files of devices, and the program run with them.
//!
//! * Folder and processes go when they are dropped, also when a test fails.
//! * Waiting is bounded, and ends with what was said instead.

use harness::wait_until_or;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::process::{Command, Output};

/// A folder with device files, removed at the end.
pub(crate) struct Folder(harness::Folder);

impl Folder {
    /// A fresh one; `name` says in a listing whose it is.
    pub(crate) fn new(name: &str) -> Self {
        Self(harness::Folder::new(&format!("endpoint-{name}")))
    }

    /// A device's file.
    pub(crate) fn file(&self, host: usize) -> PathBuf {
        self.0.file(&format!("host{host}.toml"))
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
        output_of(&mut self.program(host, words))
    }

    /// Makes a device of the account `hostN` at an access server.
    pub(crate) fn enrol(&self, host: usize, url: &str) -> Output {
        let account = format!("host{host}");
        self.run(host, &["enrol", "--access", url, "--account", &account, "--nat", "symmetric"])
    }

    /// Starts a program that stays.
    pub(crate) fn start(&self, host: usize, words: &[&str]) -> Running {
        Running::start(&mut self.program(host, words))
    }
}

/// A program that stays until it is dropped.
pub(crate) struct Running(harness::Running);

impl Running {
    /// Starts a command.
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(harness::Running::start(command))
    }

    /// All that it has said, on standard output and then on standard error.
    pub(crate) fn said(&self) -> String {
        self.0.stdout() + &self.0.stderr()
    }

    /// Waits until it has said these words.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, words: &str) {
        let running = &mut self.0;
        let said = |running: &harness::Running| running.stdout() + &running.stderr();
        wait_until_or(
            || running.has_ended() || said(running).contains(words),
            || format!("`{words}` did not come"),
        );
        let said = self.said();
        assert!(said.contains(words), "it ended without saying `{words}`:\n{said}");
    }
}

impl Deref for Running {
    type Target = harness::Running;

    fn deref(&self) -> &harness::Running {
        &self.0
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut harness::Running {
        &mut self.0
    }
}

/// Runs a command to its end.
#[track_caller]
pub(crate) fn output_of(command: &mut Command) -> Output {
    finished(harness::Running::start(command))
}

/// Waits for the end of a command that was started.
#[track_caller]
pub(crate) fn finished(mut running: harness::Running) -> Output {
    let status = running.wait();
    Output { status, stdout: running.stdout().into_bytes(), stderr: running.stderr().into_bytes() }
}

/// What a program wrote.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The password of every account.
pub(crate) const PASSWORD: &str = "the right one";
