//! Unmodified programs over `reflector-endpoint tunnel`, between two symmetric NATs, so that all goes through the reflector:
//! iperf 2, and QUIC by quinn over its own UDP sockets.
//!
//! * Judged are bytes and the way that they took; throughput and latency are said, not judged.
//! * Both programs speak to a port on loopback of their own host, and know of nothing else.

use crate::busy::{Watch, judged};
use crate::datagrams::daemon::{Daemon, Path};
use crate::people::calls::SYMMETRIC;
use crate::people::member::{Member, Way, text};
use crate::people::site::{Plan, Site};
use crate::people::talk::Packet;
use crate::{Test, figure, test};
use harness::{Missing, PATIENCE, wait_until};
use lab::Host;
use quinn::rustls::RootCertStore;
use quinn::rustls::pki_types::PrivateKeyDer;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) fn tests(path: Path) -> Vec<Test> {
    vec![test(format!("{path}::session::tunnel::quic"), move || quic(path))]
}

/// Those that need iperf 2.
pub(crate) fn iperf_tests(path: Path) -> Vec<Test> {
    vec![test(format!("{path}::session::tunnel::iperf"), move || iperf(path))]
}

/// iperf of version 2.
pub(crate) fn iperf_2() -> Option<Missing> {
    Missing::programs(&[("iperf", "iperf")]).or_else(|| {
        let output = Command::new("iperf").arg("--version").stdin(Stdio::null()).output();
        let is_two = |output: &std::process::Output| {
            [&output.stdout, &output.stderr].iter().any(|said| text(said).contains("iperf version 2"))
        };
        (!output.as_ref().is_ok_and(is_two)).then(|| Missing::feature("needs iperf of version 2"))
    })
}

/// Two ends of a tunnel, and the reflector between them.
struct Scene {
    site: Site,
    alice: Member,
    bob: Member,
    relayed: u64,
}

impl Scene {
    fn new(path: Path) -> Self {
        let mut site = Site::new(Plan::of(path));
        let [mut alice, mut bob] = site.people([("alice", SYMMETRIC), ("bob", SYMMETRIC)], &[(0, 1)]);
        bob.start(&["tunnel", "--peer", "alice", "--to", &FAR.to_string()]);
        alice.start(&["tunnel", "--peer", "bob", "--local", &NEAR.to_string()]);
        for member in [&alice, &bob] {
            member.hears("datagrams of up to 1415 bytes");
            member.hears("carrying what is sent to");
        }
        let relayed = relayed(&site.reflectors[0], path);
        Self { site, alice, bob, relayed }
    }

    /// Asserts that at least so many datagrams were relayed, over the path that is asked for, and none went directly.
    fn assert_reflected(&self, path: Path, least: u64, cable: &lab::Capture) {
        let reflected = Way::Reflected(self.site.reflector());
        let ways = [self.alice.way_to("bob"), self.bob.way_to("alice")];
        assert_eq!(ways, [reflected.clone(), reflected]);
        let grown = relayed(&self.site.reflectors[0], path) - self.relayed;
        assert!(grown >= least, "{grown} relayed by {path}, and {least} were sent at least");
        let direct = Packet::all(&cable.datagrams().unwrap()).into_iter().find(Packet::is_direct);
        assert_eq!(direct, None);
    }
}

fn iperf(path: Path) {
    let scene = Scene::new(path);
    let cable = scene.bob.host.link().near.capture().unwrap();
    let arrived = judged("iperf", || {
        let watch = Watch::start();
        let gentle = measure(&scene, "10m");
        // A starved machine drops at the programs' own sockets; what arrived must have come through the reflector.
        let arrived = gentle.datagrams.saturating_sub(gentle.lost);
        let enough = gentle.datagrams > 1_000 && arrived * 4 > gentle.datagrams;
        if enough { Ok(arrived) } else { Err(watch.bad(format!("{gentle:?}"))) }
    });
    scene.assert_reflected(path, arrived, &cable);
    let fast = measure(&scene, "200m");
    let (through, alone) = (latency(&scene.alice.host, &scene.bob.host, NEAR, FAR), alone(&scene));
    figure(format_args!(
        "tunnel over {path}: iperf -u offered 200 Mbit/s got {} Mbit/s, {} of {} lost; one way takes {} us, of which the \
         network {} us",
        fast.bits_per_s / 1_000_000,
        fast.lost,
        fast.datagrams,
        through.as_micros() / 2,
        alone.as_micros() / 2
    ));
}

/// What iperf's server reported to its client.
#[derive(Debug)]
struct Report {
    bits_per_s: u64,
    lost: u64,
    datagrams: u64,
}

/// One run of iperf through the tunnel; its server ends with its first client.
fn measure(scene: &Scene, rate: &str) -> Report {
    let (far, near) = (FAR.port().to_string(), NEAR.port().to_string());
    let to = NEAR.ip().to_string();
    let server = ["-s", "-u", "-p", &far, "-y", "C", "-P", "1"];
    let client = ["-c", &to, "-u", "-p", &near, "-b", rate, "-l", "1200", "-t", "2"];
    let (said, sent) = thread::scope(|scope| {
        let server = scope.spawn(|| run_iperf(&scene.bob.host, &server));
        wait_until("iperf's server does not listen", || listens(&scene.bob.host, FAR.port()));
        let sent = run_iperf(&scene.alice.host, &client);
        (server.join().unwrap(), sent)
    });
    // date, source, port, destination, port, id, interval, bytes, bits/s, jitter, lost, datagrams, ...
    let report = said.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |place: usize| fields.get(place)?.parse().ok();
        Some(Report { bits_per_s: number(8)?, lost: number(10)?, datagrams: number(11)? })
    });
    report.unwrap_or_else(|| panic!("no report of the server: {said}{sent}"))
}

/// Whether a UDP socket on a host has this port: proc_net_udp(5), the end of the local address.
fn listens(host: &Host, port: u16) -> bool {
    let table = host.enter(|| fs::read_to_string("/proc/thread-self/net/udp")).unwrap().unwrap();
    let mut locals = table.lines().filter_map(|line| line.split_whitespace().nth(1));
    locals.any(|local| local.ends_with(&format!(":{port:04X}")))
}

/// Runs it for a bounded time; gives what it printed.
fn run_iperf(host: &Host, arguments: &[&str]) -> String {
    let mut command = Command::new("timeout");
    command.args(["120", "iperf"]).args(arguments).stdin(Stdio::null());
    let output = host.enter(|| command.output()).unwrap().unwrap();
    text(&[output.stdout, output.stderr].concat())
}

/// Median round trip between hosts: sent to `to` on the one, received at `at` on the other and sent back.
fn latency(from: &Host, other: &Host, to: SocketAddr, at: SocketAddr) -> Duration {
    let (client, server) = (socket(from, to), other.udp(at.ip(), at.port()).unwrap());
    server.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let over = AtomicBool::new(false);
    let mut times: Vec<Duration> = thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = [0; 1500];
            while !over.load(Ordering::Relaxed) {
                if let Ok((length, from)) = server.recv_from(&mut buffer) {
                    server.send_to(&buffer[..length], from).unwrap();
                }
            }
        });
        let times = (0..PINGS).filter_map(|_| ping(&client, to)).collect();
        over.store(true, Ordering::Relaxed);
        times
    });
    assert!(times.len() > PINGS / 2, "{} of {PINGS} came back", times.len());
    times.sort_unstable();
    times[times.len() / 2]
}

/// The network's part: the same number of cables and NATs, without any program between.
fn alone(scene: &Scene) -> Duration {
    let server = &scene.site.access.host;
    let at = SocketAddr::new(server.ipv4().into(), FAR.port());
    let [alice, bob] = [&scene.alice, &scene.bob].map(|member| latency(&member.host, server, at, at));
    alice + bob
}

fn ping(client: &UdpSocket, to: SocketAddr) -> Option<Duration> {
    let (sent, mut buffer) = (Instant::now(), [0; 1500]);
    client.send_to(&[7; 200], to).unwrap();
    client.recv_from(&mut buffer).ok().map(|_| sent.elapsed())
}

/// A socket on a host from which `to` can be reached.
fn socket(host: &Host, to: SocketAddr) -> UdpSocket {
    let own = if to.ip().is_loopback() { Ipv4Addr::LOCALHOST } else { host.ipv4() };
    let socket = host.udp(own, 0).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    socket
}

/// A stream each way, as large as [`BYTES`], by programs that know of no tunnel.
fn quic(path: Path) {
    let scene = Scene::new(path);
    let cable = scene.bob.host.link().near.capture().unwrap();
    let certificate = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
    let server = quinn::ServerConfig::with_single_cert(vec![certificate.cert.der().clone()], key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.cert.der().clone()).unwrap();
    let client = quinn::ClientConfig::with_root_certificates(Arc::new(roots)).unwrap();
    let sockets =
        (scene.bob.host.udp(FAR.ip(), FAR.port()).unwrap(), scene.alice.host.udp(NEAR.ip(), 0).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let took = runtime
        .block_on(async { tokio::time::timeout(PATIENCE, transfer(server, client, sockets)).await.unwrap() });
    let datagrams = 2 * BYTES as u64 / 1_500;
    scene.assert_reflected(path, datagrams, &cable);
    figure(format_args!(
        "tunnel over {path}: QUIC carried {BYTES} bytes there and back in {} ms, {} Mbit/s",
        took.as_millis(),
        2 * 8 * BYTES as u128 / took.as_micros().max(1)
    ));
}

/// Sends bytes from Alice to Bob, who sends them back; how long it took.
async fn transfer(
    server: quinn::ServerConfig,
    client: quinn::ClientConfig,
    sockets: (UdpSocket, UdpSocket),
) -> Duration {
    let endpoint = |server, socket| {
        let runtime = Arc::new(quinn::TokioRuntime);
        quinn::Endpoint::new(quinn::EndpointConfig::default(), server, socket, runtime).unwrap()
    };
    let (server, alice) = (endpoint(Some(server), sockets.0), endpoint(None, sockets.1));
    let bob = tokio::spawn(async move {
        let connection = server.accept().await.unwrap().await.unwrap();
        let (mut back, mut stream) = connection.accept_bi().await.unwrap();
        let bytes = stream.read_to_end(2 * BYTES).await.unwrap();
        back.write_all(&bytes).await.unwrap();
        back.finish().unwrap();
        connection.closed().await;
        bytes
    });
    let started = Instant::now();
    let connection = alice.connect_with(client, NEAR, NAME).unwrap().await.unwrap();
    let (mut stream, mut back) = connection.open_bi().await.unwrap();
    let bytes: Vec<u8> = (0..=250).cycle().take(BYTES).collect();
    stream.write_all(&bytes).await.unwrap();
    stream.finish().unwrap();
    let returned = back.read_to_end(2 * BYTES).await.unwrap();
    let took = started.elapsed();
    connection.close(0_u8.into(), b"done");
    assert!(returned == bytes && bob.await.unwrap() == bytes, "the bytes are others than were sent");
    took
}

fn relayed(reflector: &Daemon, path: Path) -> u64 {
    let way = [("path", if path == Path::Xdp { "xdp" } else { "socket" })];
    reflector.metric("reflector_relayed_datagrams_total", &way)
}

/// Where a program on Alice's host finds Bob's, and where that one listens.
const NEAR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 5001);
const FAR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 5002);
const PINGS: usize = 200;
const BYTES: usize = 4 << 20;
const NAME: &str = "bob.example.org";
