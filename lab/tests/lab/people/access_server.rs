//! An access server as a process on a public host of the lab, served over TLS, with the rings of its reflectors.
//!
//! * Its certificate is made for this run and trusted by file, as an operator without a public name would do it.
//! * What it was asked is read from its own counters, inside its namespace.

use crate::datagrams::daemon::{eventually, write_private};
use harness::PATIENCE;
use http::Metrics;
use lab::Host;
use lab::programs::found::SessionPrograms;
use lab::programs::program::{Program, Signal, Start};
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// An access server.
pub(crate) struct AccessServer {
    pub(crate) host: Host,
    program: Option<Program>,
    folder: PathBuf,
    flags: Vec<String>,
}

impl AccessServer {
    /// One that does not run yet, with a fresh master and a certificate.
    pub(crate) fn new(host: Host, flags: &[&str]) -> Self {
        let folder = host.namespace().folder().unwrap();
        let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        let server = Self { host, program: None, folder, flags };
        let made = rcgen::generate_simple_self_signed([server.host.ipv4().to_string()]).unwrap();
        write_private(&server.certificate(), &made.cert.pem());
        write_private(&server.file("key.pem"), &made.signing_key.serialize_pem());
        let master = server.command(&["keygen", "--id", "1"]);
        write_private(&server.file("master.toml"), &master);
        server
    }

    /// Starts it for these reflectors, and waits until all have answered it.
    pub(crate) fn launch(&mut self, reflectors: &[(String, SocketAddr)]) {
        let mut start = Start::new(&SessionPrograms::find().unwrap().access);
        start.arg("run").option("--listen", self.listen()).option("--admin", ADMIN);
        start.option("--master", self.file("master.toml").display());
        start.option("--store", self.file("access.redb").display());
        start.option("--tls-cert", self.certificate().display());
        start.option("--tls-key", self.file("key.pem").display());
        start.option("--probe-interval", "200ms").option("--log-format", "json");
        reflectors.iter().for_each(|(name, address)| {
            start.option("--reflector", format!("{name}={address}"));
        });
        self.flags.iter().for_each(|flag| {
            start.arg(flag);
        });
        let mut program = self.host.enter(|| Program::start(&start)).unwrap().unwrap();
        let ready = |line: &str| line.contains(r#""message":"ready""#).then_some(());
        program.wait_for(PATIENCE, ready).unwrap();
        self.program = Some(program);
        eventually("the access server hears every reflector", || {
            let alive = self.metrics().sum("reflector_access_reflector_state", &[("state", "alive")]);
            alive.is_ok_and(|alive| alive >= reflectors.len() as f64)
        });
    }

    /// Adds accounts whose password is [`PASSWORD`].
    pub(crate) fn add_accounts(&self, names: &[&str]) {
        let row = |name: &&str| format!("{{\"account\":\"{name}\",\"hash\":\"{PASSWORD_HASH}\"}}\n");
        let file = self.file("accounts.jsonl");
        write_private(&file, &names.iter().map(row).collect::<String>());
        self.command(&["account", "import", &file.display().to_string(), "--store", &self.store()]);
    }

    /// Has it take rights back at this admin listener of a reflector, once it is launched.
    pub(crate) fn tell(&mut self, reflector: &str, admin: &str) {
        write_private(&self.file("admin-token"), ADMIN_TOKEN);
        if self.flags.iter().all(|flag| flag != "--reflector-admin") {
            let token = self.file("admin-token").display().to_string();
            self.flags.extend([String::from("--reflector-admin-token"), token]);
        }
        self.flags.extend([String::from("--reflector-admin"), format!("{reflector}=http://{admin}")]);
    }

    /// Hides the addresses of an account's devices.
    pub(crate) fn hide(&self, account: &str) {
        self.command(&["account", "hide", account, "--store", &self.store()]);
    }

    /// Keeps an account out; done when every reflector has taken its rights back.
    pub(crate) fn disable(&self, account: &str) {
        self.command(&["account", "disable", account, "--store", &self.store()]);
    }

    /// Makes two accounts buddies.
    pub(crate) fn befriend(&self, one: &str, other: &str) {
        self.command(&["buddy", "add", one, other, "--store", &self.store()]);
    }

    /// The device file that a new device of this account is given: what it is told of the reflectors stands in it.
    pub(crate) fn offered_to(&self, account: &str) -> String {
        let file = self.file("scout.toml");
        let _ = fs::remove_file(&file); // Of the time before, if there was one.
        let mut command = Command::new(SessionPrograms::find().unwrap().endpoint);
        command.arg("--config").arg(&file).args(["enrol", "--access", &self.url(), "--account", account]);
        command.arg("--ca").arg(self.certificate()).env("REFLECTOR_ENDPOINT_PASSWORD", PASSWORD);
        let output = self.host.enter(|| command.stdin(Stdio::null()).output()).unwrap().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "enrol for {account}: {said}");
        fs::read_to_string(file).unwrap()
    }

    /// The ring file of a reflector, as the master has it now.
    pub(crate) fn ring(&self, reflector: &str) -> String {
        let master = self.file("master.toml").display().to_string();
        self.command(&["ring", reflector, "--master", &master])
    }

    /// Its master file.
    pub(crate) fn master(&self) -> String {
        fs::read_to_string(self.file("master.toml")).unwrap()
    }

    /// A master file of one fresh key.
    pub(crate) fn fresh_key(&self, id: u8) -> String {
        self.command(&["keygen", "--id", &id.to_string()])
    }

    /// Writes another master file; in force with the next reload.
    pub(crate) fn replace_master(&self, text: &str) {
        write_private(&self.file("master.toml"), text);
    }

    /// Has its files read again.
    pub(crate) fn reload(&mut self) {
        let reloads = |it: &Self| it.count("reflector_access_reloads_total", &[("outcome", "success")]);
        let before = reloads(self);
        self.program.as_mut().expect("it runs").signal(Signal::Reload).unwrap();
        eventually("the access server has read its files again", || reloads(self) > before);
    }

    /// Stops it without a word.
    pub(crate) fn kill(&mut self) {
        let mut program = self.program.take().expect("it runs");
        program.signal(Signal::Kill).unwrap();
        program.wait(PATIENCE).unwrap();
    }

    /// How often each call was asked so far, whatever was answered.
    pub(crate) fn asked(&self) -> BTreeMap<String, u64> {
        let metrics = self.metrics();
        let calls = metrics.values("reflector_access_requests_total", "call");
        let of = |call: &str| metrics.sum("reflector_access_requests_total", &[("call", call)]).unwrap();
        calls.into_iter().map(|call| (call.to_owned(), whole(of(call)))).collect()
    }

    /// The sum of a metric over the samples with these labels.
    pub(crate) fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        whole(self.metrics().sum(name, labels).unwrap())
    }

    /// By which endpoints call it.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.listen())
    }

    /// Whom endpoints trust to call it.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.file("cert.pem")
    }

    fn listen(&self) -> SocketAddr {
        SocketAddr::new(self.host.ipv4().into(), 8443)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn store(&self) -> String {
        self.file("access.redb").display().to_string()
    }

    fn metrics(&self) -> Metrics {
        self.host.enter(|| Metrics::scrape(ADMIN.parse().unwrap())).unwrap().unwrap()
    }

    /// Runs another command of the program on its host; gives what it printed.
    fn command(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(SessionPrograms::find().unwrap().access);
        command.args(arguments).stdin(Stdio::null());
        let output = self.host.enter(|| command.output()).unwrap().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "reflector-access {arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Counters are whole, and far below 2^53.
fn whole(value: f64) -> u64 {
    value.round() as u64
}

/// Every namespace has a loopback of its own.
const ADMIN: &str = "127.0.0.1:9465";
/// The token of every reflector's admin listener.
pub(crate) const ADMIN_TOKEN: &str = "00112233445566778899aabbccddeeff";
pub(crate) const PASSWORD: &str = "correct horse";
/// Its argon2id hash with parameters that cost little.
pub(crate) const PASSWORD_HASH: &str =
    "$argon2id$v=19$m=8,t=1,p=1$BwcHBwcHBwcHBwcHBwcHBw$d8cWXRYs+kQt2VnROXEXkPhMCRQBCA3xuMvbGFXM8R4";
