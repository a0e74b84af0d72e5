//! A reflector as a process on a host of the lab, reached over one of its paths.
//!
//! * Nothing is opened to it: the policy in force is the fixed one.
//! * Its counters are read inside its namespace; they must account for every datagram whenever a test looks.

use harness::{Missing, PATIENCE, wait_until, wait_until_or};
use http::Metrics;
use lab::programs::found::Programs;
use lab::programs::program::{Program, Signal, Start};
use lab::programs::relay::Counters;
use lab::{Host, Lab};
use std::cell::RefCell;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path as FilePath, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use wire::{KeyRing, ring_file};

/// The way that datagrams take through a reflector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// The kernel's stack and a socket.
    Socket,
    /// An XDP program on the interface, native, with the socket behind it.
    Xdp,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Socket => "socket",
            Self::Xdp => "xdp",
        })
    }
}

/// A host with a running reflector.
pub(crate) struct Daemon {
    pub(crate) host: Host,
    pub(crate) path: Path,
    pub(crate) ipv4: SocketAddr,
    pub(crate) ipv6: SocketAddr,
    program: Option<Program>,
    /// Nobody else reads in it, and it goes with the host.
    folder: PathBuf,
    flags: Vec<String>,
    /// Where its metrics are.
    admin: SocketAddr,
}

impl Daemon {
    /// A reflector with a fresh ring on a new public host, ready.
    pub(crate) fn start(lab: &mut Lab, name: &str, path: Path, flags: &[&str]) -> Self {
        Self::start_on(lab.host(name).unwrap(), path, flags)
    }

    /// A reflector with a fresh ring on this host, ready.
    pub(crate) fn start_on(host: Host, path: Path, flags: &[&str]) -> Self {
        Self::start_with(host, path, flags, &ring_file::render(1, &random()))
    }

    /// A reflector with this ring on this host, ready.
    pub(crate) fn start_with(host: Host, path: Path, flags: &[&str], ring: &str) -> Self {
        let folder = host.namespace().folder().unwrap();
        write_private(&folder.join(RING), ring);
        write_private(&folder.join(CONFIG), "");
        let at = |ip: IpAddr| SocketAddr::new(ip, PORT);
        let (ipv4, ipv6) = (at(host.ipv4().into()), at(host.ipv6().unwrap().into()));
        let admin = flags.iter().position(|flag| *flag == "--admin").map_or(ADMIN, |place| flags[place + 1]);
        let admin = admin.parse().unwrap();
        let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        let mut daemon = Self { host, path, ipv4, ipv6, program: None, folder, flags, admin };
        if path == Path::Xdp {
            daemon.host.link().far.face_xdp().unwrap();
            daemon.host.meet_router().unwrap();
        }
        daemon.launch();
        daemon
    }

    /// Starts the program, which must not be running.
    pub(crate) fn launch(&mut self) {
        let mut start = Start::new(&Programs::find().unwrap().reflector);
        start.arg("run").option("--listen", self.ipv4).option("--listen", self.ipv6);
        start.option("--keys", self.ring_path().display());
        if !self.flags.iter().any(|flag| flag == "--admin") {
            start.option("--admin", ADMIN);
        }
        start.option("--config", self.folder.join(CONFIG).display());
        start.option("--workers", 1).option("--log-format", "json");
        if self.path == Path::Xdp {
            start.option("--xdp", self.host.link().near.interface()).option("--xdp-mode", "native");
        }
        let pins = || self.host.namespace().pin_folder().unwrap().display().to_string();
        self.flags.iter().for_each(|flag| {
            start.arg(if flag == PINS { pins() } else { flag.clone() });
        });
        let mut program = self.host.enter(|| Program::start(&start)).unwrap().unwrap();
        let ready = |line: &str| line.contains(r#""message":"ready""#).then_some(());
        program.wait_for(PATIENCE, ready).unwrap();
        self.program = Some(program);
    }

    /// Its ring now, to mint with.
    pub(crate) fn ring(&self) -> KeyRing {
        ring_file::parse(&self.ring_text()).unwrap()
    }

    /// Its ring file now.
    pub(crate) fn ring_text(&self) -> String {
        std::fs::read_to_string(self.ring_path()).unwrap()
    }

    /// Puts another ring in force, and waits until it is.
    pub(crate) fn replace_ring(&mut self, text: &str) {
        self.replace(RING, text);
    }

    /// Puts another configuration file in force, and waits until it is.
    pub(crate) fn reconfigure(&mut self, text: &str) {
        self.replace(CONFIG, text);
    }

    fn replace(&mut self, name: &str, text: &str) {
        let reloads = |daemon: &Self| daemon.metric("reflector_reloads_total", &[("outcome", "success")]);
        let before = reloads(self);
        let (next, file) = (self.folder.join("next"), self.folder.join(name));
        write_private(&next, text);
        std::fs::rename(next, file).unwrap();
        self.program().signal(Signal::Reload).unwrap();
        eventually("what changed was read again", || reloads(self) > before);
    }

    /// Runs another command of the program on the same host; gives what it printed.
    pub(crate) fn command(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(Programs::find().unwrap().reflector);
        command.args(arguments).stdin(Stdio::null());
        let output = self.host.enter(|| command.output()).unwrap().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "reflector {arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn program(&mut self) -> &mut Program {
        self.program.as_mut().expect("the reflector was started")
    }

    /// The sum of a metric over the samples with these labels.
    pub(crate) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        rounded(self.metrics().sum(name, labels).unwrap())
    }

    /// What it has counted, once everything received is accounted for and nothing moves.
    pub(crate) fn counters(&self) -> Counters {
        self.counters_when(|_| true)
    }

    /// What it has counted, once that is `wanted` as well: what was sent may still be on its way.
    pub(crate) fn counters_when(&self, wanted: impl Fn(&Counters) -> bool) -> Counters {
        let last = RefCell::new((Counters::default(), 0));
        let holds = || {
            let metrics = self.metrics();
            let now = Counters::of(&metrics).unwrap();
            let passed = metrics.sum("reflector_passed_datagrams_total", &[]).map_or(0, rounded);
            let still = now.received == now.accounted() + passed && now.is_still(&last.borrow().0);
            let holds = still && wanted(&now);
            last.replace((now, passed));
            holds
        };
        wait_until_or(holds, || format!("not what was sent, or not all accounted for: {:?}", last.borrow()));
        last.into_inner().0
    }

    fn metrics(&self) -> Metrics {
        self.host.enter(|| Metrics::scrape(self.admin)).unwrap().unwrap()
    }

    fn ring_path(&self) -> PathBuf {
        self.folder.join(RING)
    }
}

/// A reflector that has the XDP path.
pub(crate) fn xdp() -> Option<Missing> {
    (!help().contains("--xdp ")).then(|| Missing::feature("this reflector has no --xdp"))
}

/// A reflector whose XDP program can take next hops from the kernel's routes.
pub(crate) fn fib() -> Option<Missing> {
    let (_, setting) = help().split_once("--xdp-nexthop").unwrap_or_default();
    let offered = setting.split("--").next().is_some_and(|text| text.contains("fib"));
    (!offered).then(|| Missing::feature("this reflector has no --xdp-nexthop fib"))
}

/// What `reflector run --help` prints.
fn help() -> &'static str {
    static HELP: OnceLock<String> = OnceLock::new();
    HELP.get_or_init(|| {
        let program = Programs::find().unwrap().reflector;
        let output = Command::new(program).args(["run", "--help"]).stdin(Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    })
}

/// Gives a host a second address of each family; the flags with which a reflector there offers RFC 5780.
pub(crate) fn discovery_flags(host: &Host) -> [String; 6] {
    let [a, b, c, _] = host.ipv4().octets();
    let second_v4 = IpAddr::from([a, b, c, SECOND]);
    let mut segments = host.ipv6().unwrap().segments();
    segments[7] = u16::from(SECOND);
    let second_v6 = IpAddr::from(segments);
    let near = host.link().near.interface();
    let add = format!("addr add {second_v4}/24 dev {near}\naddr add {second_v6}/64 dev {near} nodad");
    host.namespace().ip(&add).unwrap();
    let [v4, v6] = [second_v4, second_v6].map(|ip| SocketAddr::new(ip, PORT + 1).to_string());
    let [stun, behaviour, alternate] = ["--stun", "behaviour", "--stun-alternate"].map(str::to_owned);
    [stun, behaviour, alternate.clone(), v4, alternate, v6]
}

pub(crate) fn write_private(path: &FilePath, text: &str) {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

/// A fresh secret from the kernel.
fn random() -> [u8; 16] {
    let mut secret = [0; 16];
    File::open("/dev/urandom").unwrap().read_exact(&mut secret).unwrap();
    secret
}

/// Waits until `holds`, or fails.
#[track_caller]
pub(crate) fn eventually(what: &str, holds: impl FnMut() -> bool) {
    wait_until(&format!("never seen: {what}"), holds);
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Counters are whole, and far below 2^53.
fn rounded(value: f64) -> u64 {
    value.round() as u64
}

/// The port of every reflector here.
pub(crate) const PORT: u16 = 4000;
/// The last byte of a reflector's second address.
const SECOND: u8 = 3;
/// Stands among flags for the host's own folder of the BPF file system.
pub(crate) const PINS: &str = "{pins}";
/// Every namespace has a loopback of its own.
const ADMIN: &str = "127.0.0.1:9464";
const RING: &str = "ring.toml";
const CONFIG: &str = "config.toml";
