//! A site of real programs on loopback: an access server and two reflectors, at free ports, in a folder of their own.
//!
//! * Everything that was started is ended, and every file removed, when the site is dropped, also by a failed test.
//! * Names and keys are the site's own, so any number can run side by side.

use crate::held_up::note;
use harness::{Folder, Running, Sibling, sibling, wait_until};
use results::presence::PresenceReport;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// A site.
pub(crate) struct Site {
    /// Dropped before the folder that they write to.
    running: Vec<Running>,
    folder: Folder,
    reflectors: Vec<(SocketAddr, SocketAddr)>,
    access: SocketAddr,
    access_admin: SocketAddr,
}

impl Site {
    /// Starts everything; whether the access server accepts contacts on loopback is to choose.
    pub(crate) fn start(accepts: bool) -> Self {
        let (reflector, access) = (sibling(Sibling::Reflector), sibling(Sibling::Access));
        let nowhere: SocketAddr = ([127, 0, 0, 1], 0).into();
        let mut site = Self {
            running: Vec::new(),
            folder: Folder::new("presence"),
            reflectors: Vec::new(),
            access: nowhere,
            access_admin: nowhere,
        };
        let made = |command: &mut Command| {
            let mut made = Running::start(command.env_clear());
            assert!(made.wait().success(), "{command:?}: {}", made.stderr());
            made.stdout()
        };
        let master = site.folder.write("master.toml", &made(Command::new(&access).arg("keygen")));
        for name in NAMES {
            let mut derive = Command::new(&access);
            let ring = made(derive.args(["ring", name, "--master"]).arg(&master));
            let ring = site.folder.write(&format!("{name}.toml"), &ring);
            let mut command = Command::new(&reflector);
            command.args(["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--workers", "1"]);
            command.args(["--engine", "epoll", "--allow-destination", "127.0.0.0/8", "--keys"]).arg(&ring);
            let places = site.launch(command);
            site.reflectors.push(places);
        }
        let mut command = Command::new(&access);
        command.args(["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        if accepts {
            command.args(["--allow-destination", "127.0.0.0/8"]);
        }
        command.arg("--master").arg(&master).arg("--store").arg(site.folder.file("store.redb"));
        for (name, (address, _)) in NAMES.iter().zip(&site.reflectors) {
            command.args(["--reflector", &format!("{name}={address}")]);
        }
        (site.access, site.access_admin) = site.launch(command);
        site
    }

    /// `reflector-loadgen presence` with these flags, the site's own before them.
    pub(crate) fn command(&self, flags: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reflector-loadgen"));
        command.env_clear().arg("presence");
        // What a test gives itself takes the place of what the site would give.
        if !flags.contains(&"--access") {
            command.args(["--access", &format!("http://{}", self.access)]);
        }
        if !flags.contains(&"--control") {
            command.arg("--control").arg(self.folder.file("store.redb.sock"));
        }
        command.arg("--json").arg(self.folder.file("report.json")).args(flags);
        command
    }

    /// The same, started.
    pub(crate) fn spawn(&self, flags: &[&str]) -> Running {
        Running::start(&mut self.command(flags))
    }

    /// The same, to its end: exit code, standard output, standard error.
    pub(crate) fn run(&self, flags: &[&str]) -> (i32, String, String) {
        let mut run = self.spawn(flags);
        (run.wait().code().unwrap(), run.stdout(), run.stderr())
    }

    /// The same where it has a report: exit code and that.
    pub(crate) fn finish(&self, flags: &[&str]) -> (i32, PresenceReport) {
        let (code, table, said) = self.run(flags);
        assert!(table.starts_with("access ") && table.contains("\nvalidity"), "{said}");
        (code, self.report())
    }

    /// The report that was written last.
    pub(crate) fn report(&self) -> PresenceReport {
        let report: PresenceReport = serde_json::from_str(&self.folder.read("report.json")).unwrap();
        note(Duration::from_nanos(report.generator.lag_max_ns));
        report
    }

    /// A file that goes with the site.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.file(name)
    }

    /// Ends both reflectors, as a power cut would.
    pub(crate) fn end_reflectors(&mut self) {
        self.running[..NAMES.len()].iter_mut().for_each(Running::kill);
    }

    /// Ends the access server in the same way.
    pub(crate) fn end_access(&mut self) {
        self.access_server().kill();
    }

    /// The access server.
    pub(crate) fn access_server(&mut self) -> &mut Running {
        &mut self.running[NAMES.len()]
    }

    /// Where the metrics of the reflectors are.
    pub(crate) fn metrics(&self) -> Vec<String> {
        self.reflectors.iter().map(|(_, admin)| format!("http://{admin}/metrics")).collect()
    }

    /// Waits until so many logins were answered.
    pub(crate) fn wait_for_logins(&self, count: u64) {
        let metrics = format!("http://{}/metrics", self.access_admin);
        let logins = || {
            let text = ureq::get(&metrics).call().unwrap().body_mut().read_to_string().unwrap();
            let head = "reflector_access_requests_total{call=\"login\",status=\"2xx\"} ";
            let count = text.lines().find_map(|line| line.strip_prefix(head));
            count.unwrap_or_else(|| panic!("no logins in {text}")).parse::<u64>().unwrap()
        };
        wait_until("nobody logs in", || logins() >= count);
    }

    /// Starts a daemon; where it listens, and its admin listener.
    fn launch(&mut self, mut command: Command) -> (SocketAddr, SocketAddr) {
        let mut daemon = Running::start(command.env_clear());
        daemon.wait_for("INFO ready ");
        let said = daemon.stderr();
        self.running.push(daemon);
        let line = said.lines().find(|line| line.contains("INFO ready ")).unwrap();
        let value = |key: &str| {
            let rest = line.split(&format!("{key}=")).nth(1)?.trim_start_matches('"');
            rest.split(['"', ' ']).next()?.parse().ok()
        };
        let address = |key: &str| value(key).unwrap_or_else(|| panic!("no {key} in {line}"));
        (address("listen"), address("admin"))
    }
}

const NAMES: [&str; 2] = ["lo1", "lo2"];
