//! The generator's host, a cable, and a router where relays are: everything that a run by XDP needs.
//!
//! ```text
//!   host: 10.64.0.0/16 and fd64::/64 are local -- eth0 ==== net1 -- core: relays on its addresses
//! ```

use crate::held_up::note_generator;
use harness::{Missing, Running, wait_until_or};
use lab::{Host, Lab};
use results::run::Report;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// What is missing for these tests.
pub(crate) fn lacks() -> Option<Missing> {
    static MISSING: OnceLock<Option<Missing>> = OnceLock::new();
    let missing = MISSING.get_or_init(|| {
        let both = Missing::both(Missing::root("network namespaces"), Missing::programs(&lab::PROGRAMS));
        both.or_else(|| lab::missing().map(Missing::feature))
    });
    missing.clone()
}

/// A lab of one host.
pub(crate) struct Rig {
    pub(crate) host: Host,
    pub(crate) lab: Lab,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let mut lab = Lab::new().unwrap();
        let host = lab.host("generator").unwrap();
        // Without a program at its other end the cable carries no frame that a program sends.
        host.link().far.face_xdp().unwrap();
        let (ipv4, ipv6) = (host.ipv4(), host.ipv6().unwrap());
        host.namespace().ip("route add local 10.64.0.0/16 dev lo\nroute add local fd64::/64 dev lo").unwrap();
        host.namespace().set("net/ipv6/ip_nonlocal_bind", 1).unwrap();
        let back = format!("route add 10.64.0.0/16 via {ipv4}\nroute add fd64::/64 via {ipv6}");
        lab.core().ip(&back).unwrap();
        Self { host, lab }
    }

    /// A socket on the router, where a relay can be.
    pub(crate) fn relay_socket(&self, ipv4: bool) -> UdpSocket {
        let mut octets = self.host.ipv4().octets();
        octets[3] = 1;
        let mut segments = self.host.ipv6().unwrap().segments();
        segments[7] = 1;
        let ip: IpAddr = if ipv4 { octets.into() } else { segments.into() };
        self.lab.core().enter(|| UdpSocket::bind((ip, 0)).unwrap()).unwrap()
    }

    /// A file that goes with the host.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.host.namespace().folder().unwrap().join(name)
    }

    /// Runs the generator towards `relay`; exit code and report.
    pub(crate) fn run(&self, relay: SocketAddr, flags: &str) -> (i32, Report) {
        let (code, report, _) = self.end(self.start(relay, flags));
        (code, report)
    }

    /// Runs it where it has to fail; exit code and what it said.
    pub(crate) fn fail(&self, relay: SocketAddr, flags: &str) -> (i32, String) {
        let mut running = self.start(relay, flags);
        (running.wait().code().unwrap(), running.stderr())
    }

    pub(crate) fn start(&self, relay: SocketAddr, flags: &str) -> Running {
        self.start_command(&mut self.command(relay, flags))
    }

    pub(crate) fn start_command(&self, command: &mut Command) -> Running {
        self.host.enter(|| Running::start(command)).unwrap()
    }

    /// Waits for the end of a run; exit code, report, and what it said.
    pub(crate) fn end(&self, mut running: Running) -> (i32, Report, String) {
        let (code, said) = (running.wait().code().unwrap(), running.stderr());
        (code, self.report().unwrap_or_else(|| panic!("exit {code}: {said}")), said)
    }

    pub(crate) fn command(&self, relay: SocketAddr, flags: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reflector-loadgen"));
        command.args([
            "run",
            "--reflector",
            &relay.to_string(),
            "--xdp",
            "eth0",
            "--quiet",
            "--workers",
            "1",
        ]);
        command.args(["--warmup", "0", "--json", self.file("report.json").to_str().unwrap()]);
        command.args(flags.split_whitespace());
        command
    }

    /// What the last run wrote.
    pub(crate) fn report(&self) -> Option<Report> {
        let text = std::fs::read(self.file("report.json")).ok()?;
        let report = Report::from_json(&text).unwrap();
        note_generator(&report);
        is_consistent(&report);
        Some(report)
    }
}

/// What holds in every report of a run by XDP.
fn is_consistent(report: &Report) {
    let data = &report.data;
    assert_eq!(report.settings.engine, "xdp");
    assert_eq!(data.sent, data.delivered + data.lost, "{data:?}");
    assert_eq!(data.refused_by_nat.total(), 0);
    assert_eq!(report.latency.count, data.delivered);
    let sum = |count: fn(&results::run::Point) -> u64| report.series.points.iter().map(count).sum::<u64>();
    assert_eq!((sum(|it| it.sent), sum(|it| it.delivered)), (data.sent, data.delivered));
    let pairs = |count: fn(&results::run::NatPair) -> u64| report.nat_pairs.iter().map(count).sum::<u64>();
    assert_eq!((pairs(|it| it.sent), pairs(|it| it.delivered)), (data.sent, data.delivered));
    assert!(report.rate.sent <= report.rate.due);
    // One that is behind from first to last never has time to spin.
    let is_behind = report.rate.sent < report.rate.due;
    assert!(report.generator.cpu_ns > 0, "{:?}", report.generator);
    assert!(report.generator.spin_ns > 0 || is_behind, "{:?}", report.generator);
}

/// Waits until something is so, while a run goes on.
pub(crate) fn wait(running: &mut Running, done: impl Fn() -> bool) {
    let mut ended = false;
    wait_until_or(
        || {
            ended = running.has_ended();
            ended || done()
        },
        || "it never came".to_owned(),
    );
    assert!(done(), "it ended before:\n{}", running.stderr());
}
