//! Logins of the access server, and the profile of an account with 100 buddies.
//!
//! * The server is this very program, started again on a core of its own with one thread; everything over kept-alive
//!   plain HTTP on loopback.
//! * A login is a challenge and a login, signed by the device, with one contact and its ticket. Logins per second and
//!   core are logins over the CPU time of the server's process, in the kernel and out of it, so a busy machine disturbs
//!   little; what is offered comes from 16 connections on the other core.
//! * A profile's latency is from the first byte written to the last byte read, one request at a time.
//! * The first round is thrown away.

use access::mint::master::Master;
use ed25519_dalek::{Signer, SigningKey};
use engine::host::affinity;
use engine::host::clock;
use serde_json::{Value, json};
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use wire::header::{Header, Kind};
use wire::json::base64url::Bytes;
use wire::json::header::HeaderJson;
use wire::json::login::{ContactProof, LoginRequest, Nonce, Signature};
use wire::json::nat::NatJson;
use wire::{TransportAddress, tag};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some((_, rest)) =
        arguments.split_first().filter(|(_, rest)| rest.first().is_some_and(|it| it == SERVER))
    {
        if let Some(cpu) = affinity::allowed()?.first() {
            affinity::pin(&[*cpu])?;
        }
        return Ok(access::operate::commands::main(rest.iter().map(Into::into)));
    }
    // As a test it shows that everything runs; as a benchmark it measures.
    let bench = arguments.iter().any(|argument| argument == "--bench");
    let (rounds, logins, profiles) = if bench { (8, 1_000, 5_000) } else { (2, 4, 20) };
    let cpus = affinity::allowed()?;
    let server = Server::start()?;
    affinity::pin(cpus.get(1..).filter(|rest| !rest.is_empty()).unwrap_or(&cpus))?;
    let mut devices =
        (0..DEVICES).map(|number| Device::enrol(&server, number)).collect::<Result<Vec<_>>>()?;
    for device in &mut devices {
        device.login()?;
    }
    let (mut per_core, mut per_second, mut latencies_us) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let (start, before) = (Instant::now(), server.cpu_s()?);
        std::thread::scope(|scope| {
            let log_in = |device| scope.spawn(|| repeat(device, logins));
            let running: Vec<_> = devices.iter_mut().skip(1).take(CONNECTIONS).map(log_in).collect();
            running.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a client panicked")?)
        })?;
        let count = (CONNECTIONS * logins) as f64;
        let (spent_s, took_s) = (server.cpu_s()? - before, start.elapsed().as_secs_f64());
        let mut round_us = devices.first_mut().ok_or("no device")?.profiles_us(profiles)?;
        if round > 0 {
            per_core.push(count / spent_s);
            per_second.push(count / took_s);
            latencies_us.append(&mut round_us);
        }
    }
    report("logins per second of the server's CPU time", &mut per_core);
    report("logins per second, as they were", &mut per_second);
    report_latencies(&mut latencies_us);
    Ok(ExitCode::SUCCESS)
}

/// The server in a process and a folder of its own, with accounts of which the first has all others as buddies.
struct Server {
    child: Child,
    folder: PathBuf,
    address: SocketAddr,
}

impl Server {
    fn start() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("bench-access-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let mut command = server_command(&folder)?;
        command.args(["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--threads", "1"]);
        command.args(["--master", "master.toml", "--store", STORE, "--allow-destination", "127.0.0.0/8"]);
        command.args(["--reflector", "fra1=127.9.9.1:3478", "--log-format", "json", "--lease", "1h"]);
        fs::write(folder.join("master.toml"), MASTER)?;
        let mut child = command.stderr(Stdio::piped()).spawn()?;
        let lines = BufReader::new(child.stderr.take().ok_or("no stderr")?)
            .lines()
            .map_while(std::result::Result::ok);
        let mut lines = lines.filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        let ready = lines
            .find(|line| field(line, "message").is_ok_and(|it| it == "ready"))
            .ok_or("the server did not start")?;
        // What it says later is not for this program; the pipe stays open while the server lives.
        std::thread::spawn(move || lines.for_each(drop));
        let address = field(&ready, "listen")?.parse()?;
        let server = Self { child, folder, address };
        let row = |number| format!("{{\"account\":\"{}\",\"hash\":\"{PASSWORD_HASH}\"}}\n", account(number));
        fs::write(server.folder.join("accounts"), (0..DEVICES).map(row).collect::<String>())?;
        server.operate(&["account", "import", "accounts", "--store", STORE])?;
        for number in 1..DEVICES {
            server.operate(&["buddy", "add", &account(0), &account(number), "--store", STORE])?;
        }
        Ok(server)
    }

    fn operate(&self, arguments: &[&str]) -> Result<()> {
        let output = server_command(&self.folder)?.args(arguments).output()?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into()) }
    }

    /// CPU time of all its threads, in and out of the kernel.
    fn cpu_s(&self) -> Result<f64> {
        let mut spent_ns = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = fs::read_to_string(task?.path().join("schedstat"))?;
            spent_ns += text.split(' ').next().ok_or("schedstat is empty")?.parse::<u64>()?;
        }
        Ok(spent_ns as f64 / 1e9)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // What cannot be ended or removed is left to the system; there is nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// This program as the access server's, in its folder.
fn server_command(folder: &Path) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(SERVER).current_dir(folder).stdin(Stdio::null());
    Ok(command)
}

/// A device with a connection that it keeps.
struct Device {
    connection: Connection,
    key: SigningKey,
    id: String,
    session: String,
    contact: ContactProof,
}

impl Device {
    fn enrol(server: &Server, number: u16) -> Result<Self> {
        let key = SigningKey::from_bytes(&program::random::bytes().map_err(|failure| failure.to_string())?);
        let mut connection = Connection::open(server.address)?;
        let body = json!({
            "account": account(number), "password": "correct horse", "name": "bench",
            "sign_key": Bytes(key.verifying_key().to_bytes()), "noise_key": Bytes([9; 32]),
        });
        let answer = connection.call("POST", "/v1/devices", "", &body.to_string())?;
        let id = field(&answer, "device")?.to_owned();
        let [high, low] = number.to_be_bytes();
        let address = SocketAddr::from(([127, 1, high, low], 4_000));
        let contact = ContactProof { reflector: "fra1".parse()?, ticket: ticket(address)?, rtt_us: 1 };
        Ok(Self { connection, key, id, session: String::new(), contact })
    }

    fn login(&mut self) -> Result<()> {
        let challenge = json!({ "device": self.id }).to_string();
        let nonce = self.connection.call("POST", "/v1/challenge", "", &challenge)?;
        let nonce = Nonce(field(&nonce, "nonce")?.parse()?);
        let (nat, contacts) = (NatJson("eim/apdf".parse()?), vec![self.contact.clone()]);
        let signature = Signature(Bytes([0; 64]));
        let mut request = LoginRequest { device: self.id.parse()?, nonce, nat, contacts, signature };
        request.signature = Signature(Bytes(self.key.sign(&request.signed_bytes("127.0.0.1")).to_bytes()));
        let answer = self.connection.call("POST", "/v1/login", "", &serde_json::to_string(&request)?)?;
        self.session = field(&answer, "session")?.to_owned();
        Ok(())
    }

    fn profiles_us(&mut self, count: usize) -> Result<Vec<f64>> {
        let one = |_| {
            let start = Instant::now();
            let text = self.connection.text("GET", "/v1/profile", &self.session, "")?;
            let took_us = start.elapsed().as_secs_f64() * 1e6;
            let headers = text.matches("\"header\":\"").count();
            if headers == BUDDIES { Ok(took_us) } else { Err(format!("{headers} headers in {text}").into()) }
        };
        (0..count).map(one).collect()
    }
}

fn repeat(device: &mut Device, logins: usize) -> Result<()> {
    (0..logins).try_for_each(|_| device.login())
}

/// Tickets of [`MASTER`], good for the two minutes that a run takes at most.
fn ticket(address: SocketAddr) -> Result<HeaderJson> {
    let ring = Master::parse(MASTER)?.ring(&"fra1".parse()?)?;
    let peer = TransportAddress::from_socket(address).ok_or("no such address")?;
    let (class_key, expires) =
        (ring.minting().get(), clock::unix_s(clock::realtime_ns(), 0).saturating_add(119));
    let key = ring.get(ring.minting()).ok_or("no key")?;
    let tag = tag::ticket(key, class_key, expires, peer);
    Ok(HeaderJson::from(Header { kind: Kind::Observed as u8, class_key, expires, peer, tag }))
}

/// HTTP/1.1 as far as it takes: one request, its answer with a Content-Length, and the next.
struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    fn open(server: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    fn call(&mut self, method: &str, path: &str, session: &str, body: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.text(method, path, session, body)?)?)
    }

    fn text(&mut self, method: &str, path: &str, session: &str, body: &str) -> Result<String> {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {session}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let (mut status, mut length) = (String::new(), 0);
        self.stream.read_line(&mut status)?;
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse()?;
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        let body = String::from_utf8(body)?;
        if status.contains(" 200 ") { Ok(body) } else { Err(format!("{}: {body}", status.trim_end()).into()) }
    }
}

/// A text in an answer.
fn field<'a>(answer: &'a Value, name: &str) -> Result<&'a str> {
    answer.get(name).and_then(Value::as_str).ok_or_else(|| format!("no {name} in {answer}").into())
}

fn account(number: u16) -> String {
    format!("bench{number}")
}

/// Median and range of the rounds.
#[allow(clippy::print_stdout)] // This is a program: its result is its output.
fn report(what: &str, figures: &mut [f64]) {
    figures.sort_by(f64::total_cmp);
    let at = |place: usize| figures.get(place).copied().unwrap_or(f64::NAN);
    let (median, least, most) = (at(figures.len() / 2), at(0), at(figures.len().saturating_sub(1)));
    println!("{what:<48} {median:>7.0}  ({least:.0} to {most:.0}, {} rounds)", figures.len());
}

#[allow(clippy::print_stdout)] // This is a program: its result is its output.
fn report_latencies(figures_us: &mut [f64]) {
    figures_us.sort_by(f64::total_cmp);
    let at = |thousandth: usize| {
        figures_us
            .get((figures_us.len() * thousandth / 1_000).min(figures_us.len().saturating_sub(1)))
            .copied()
    };
    let shown = |thousandth| at(thousandth).unwrap_or(f64::NAN);
    println!(
        "profile of {BUDDIES} buddies, all there, µs: p50 {:.0}, p99 {:.0}, p99.9 {:.0}, max {:.0} ({} requests)",
        shown(500),
        shown(990),
        shown(999),
        shown(1_000),
        figures_us.len()
    );
}

/// The argument with which this program is the server.
const SERVER: &str = "reflector-access";
const STORE: &str = "access.redb";
const BUDDIES: usize = 100;
const DEVICES: u16 = 101;
const CONNECTIONS: usize = 16;
const MASTER: &str =
    "[[key]]\nid = 3\nsecret = \"6262626262626262626262626262626262626262626262626262626262626262\"\n";
/// Of "correct horse", with parameters that cost a benchmark nothing.
const PASSWORD_HASH: &str =
    "$argon2id$v=19$m=8,t=1,p=1$BwcHBwcHBwcHBwcHBwcHBw$d8cWXRYs+kQt2VnROXEXkPhMCRQBCA3xuMvbGFXM8R4";
