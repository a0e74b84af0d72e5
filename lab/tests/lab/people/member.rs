//! A person with an account: a host behind a NAT of a known behaviour, a device enrolled on it, and its program.
//!
//! * Everything is done by the program's commands, as the person would; nothing of it is linked.
//! * What it prints is kept, data and talk alike.

use crate::people::access_server::{AccessServer, PASSWORD};
use harness::{PATIENCE, wait_until_or};
use lab::programs::found::SessionPrograms;
use lab::programs::program::{Program, Signal, Start};
use lab::{Host, Lab, NatBox};
use nat::Behaviour;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// A person.
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) host: Host,
    pub(crate) nat: Option<NatBox>,
    pub(crate) behaviour: Behaviour,
    program: Option<Program>,
    config: PathBuf,
}

/// How a buddy is reached, as `status` says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Direct(SocketAddr),
    Reflected(SocketAddr),
    Sealed(SocketAddr),
    None,
}

impl Member {
    /// Someone on a new host with this behaviour, each of whose datagrams takes `delay` to and from the core.
    pub(crate) fn new(lab: &mut Lab, name: &str, behaviour: Behaviour, delay: Duration) -> Self {
        let (host, nat) = match behaviour {
            Behaviour::Open if delay.is_zero() => (lab.host(name).unwrap(), None),
            Behaviour::Open => (lab.far_host(name, delay).unwrap(), None),
            Behaviour::Nat { mapping, filtering } => {
                let label = format!("{name}-nat");
                let mut nat = if delay.is_zero() {
                    lab.nat(&label, mapping, filtering, MAPPING_LIFETIME_S).unwrap()
                } else {
                    lab.far_nat(&label, mapping, filtering, MAPPING_LIFETIME_S, delay).unwrap()
                };
                (lab.inside(&mut nat, name).unwrap(), Some(nat))
            }
        };
        let config = host.namespace().folder().unwrap().join("endpoint.toml");
        Self { name: name.to_owned(), host, nat, behaviour, program: None, config }
    }

    /// Makes the host a device of the account of its name.
    pub(crate) fn enrol(&self, access: &AccessServer) {
        let (url, ca) = (access.url(), access.certificate().display().to_string());
        let output = self.command(&["enrol", "--access", &url, "--account", &self.name, "--ca", &ca]);
        assert!(output.status.success(), "{} cannot enrol: {}", self.name, text(&output.stderr));
    }

    /// Starts `up`.
    pub(crate) fn up(&mut self) {
        self.start(&["up"]);
    }

    /// Starts a command that stays.
    pub(crate) fn start(&mut self, arguments: &[&str]) {
        let mut start = Start::new(&SessionPrograms::find().unwrap().endpoint);
        start.option("--config", self.config.display()).hear_stdout();
        arguments.iter().for_each(|argument| {
            start.arg(argument);
        });
        self.program = Some(self.host.enter(|| Program::start(&start)).unwrap().unwrap());
    }

    /// Ends the program in order.
    pub(crate) fn down(&mut self) {
        let mut program = self.program.take().expect("it was started");
        program.signal(Signal::Terminate).unwrap();
        let status = program.wait(PATIENCE).unwrap();
        assert!(status.success(), "{} ended with {status}{}", self.name, program.last_words());
    }

    /// Ends the program without a word.
    pub(crate) fn kill(&mut self) {
        let mut program = self.program.take().expect("it was started");
        program.signal(Signal::Kill).unwrap();
        program.wait(PATIENCE).unwrap();
    }

    /// Everything that the program has said so far.
    pub(crate) fn words(&self) -> String {
        self.program.as_ref().map(Program::said).unwrap_or_default().join("\n")
    }

    /// How often the program has said a line that contains this.
    pub(crate) fn said(&self, words: &str) -> usize {
        let lines = self.program.as_ref().map(Program::said).unwrap_or_default();
        lines.iter().filter(|line| line.contains(words)).count()
    }

    /// Whether the program, which has logged in, has found out what NAT it is behind.
    pub(crate) fn knows_its_nat(&self) -> bool {
        self.said(&format!(", behind {}", self.behaviour)) == 1
    }

    /// The lines that the program has said and that begin so.
    pub(crate) fn lines(&self, words: &str) -> Vec<String> {
        let lines = self.program.as_ref().map(Program::said).unwrap_or_default();
        lines.into_iter().filter(|line| line.starts_with(words)).collect()
    }

    /// Waits until the program has said this.
    pub(crate) fn hears(&self, words: &str) {
        self.hears_times(words, 1);
    }

    /// Waits until the program has said this so often.
    pub(crate) fn hears_times(&self, words: &str, times: usize) {
        self.wait_until(words, |it| it.said(words) >= times);
    }

    /// Waits until it is so; what this person was told is shown if it never is.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        wait_until_or(|| holds(self), || format!("{} never saw {what:?}; {}", self.name, self.account()));
    }

    /// What `status --json` says.
    pub(crate) fn status(&self) -> serde_json::Value {
        let output = self.command(&["status", "--json"]);
        assert!(output.status.success(), "{}: status: {}", self.name, text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What `status` says of a buddy.
    pub(crate) fn buddy(&self, name: &str) -> serde_json::Value {
        let status = self.status();
        let buddies = status["buddies"].as_array().unwrap();
        buddies.iter().find(|line| line["account"] == name).unwrap_or(&serde_json::Value::Null).clone()
    }

    /// Whether a buddy is online, as far as this person knows.
    pub(crate) fn sees(&self, name: &str) -> bool {
        self.buddy(name)["online"] == true
    }

    /// How a buddy is reached.
    pub(crate) fn way_to(&self, name: &str) -> Way {
        Way::of(&self.buddy(name))
    }

    /// The own contacts: the reflector's address, and what it observes.
    pub(crate) fn contacts(&self) -> Vec<(SocketAddr, Option<SocketAddr>)> {
        let status = self.status();
        let contacts = status["contacts"].as_array().unwrap();
        let address = |value: &serde_json::Value| value.as_str().map(|text| text.parse().unwrap());
        let read =
            |line: &serde_json::Value| (address(&line["address"]).unwrap(), address(&line["observed"]));
        contacts.iter().map(read).collect()
    }

    /// Sends a text that must arrive.
    pub(crate) fn send(&self, name: &str, words: &str) {
        let output = self.command(&["send", name, words]);
        let said = || format!("{}{}", text(&output.stderr), self.account());
        assert!(output.status.success(), "{} to {name}: {}", self.name, said());
    }

    /// What its program said and what its status is, for people who read of a failure.
    pub(crate) fn account(&self) -> String {
        let said = self.program.as_ref().map(Program::said).unwrap_or_default().join("\n  ");
        let status = text(&self.command(&["status"]).stdout);
        format!("its program said:\n  {said}\nand its status is:\n{status}")
    }

    /// Its address as the rest of the world sees it.
    pub(crate) fn external(&self) -> IpAddr {
        self.nat.as_ref().map_or(self.host.ipv4(), NatBox::external).into()
    }

    /// Runs a command of the program to its end.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(SessionPrograms::find().unwrap().endpoint);
        command.arg("--config").arg(&self.config).args(arguments).stdin(Stdio::null());
        command.env("REFLECTOR_ENDPOINT_PASSWORD", PASSWORD);
        self.host.enter(|| command.output()).unwrap().unwrap()
    }
}

impl Way {
    /// Of one line of `status`.
    pub(crate) fn of(line: &serde_json::Value) -> Self {
        let to = line["to"].as_str().and_then(|text| text.parse().ok());
        match (line["path"].as_str(), to) {
            (Some("direct"), Some(to)) => Self::Direct(to),
            (Some("reflected"), Some(to)) => Self::Reflected(to),
            (Some("sealed"), Some(to)) => Self::Sealed(to),
            _ => Self::None,
        }
    }

    pub(crate) fn is_direct(&self) -> bool {
        matches!(self, Self::Direct(_))
    }

    pub(crate) fn is_reflected(&self) -> bool {
        matches!(self, Self::Reflected(_))
    }
}

/// What a program printed, as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Longer than any test lasts.
const MAPPING_LIFETIME_S: u32 = 3_600;
