//! Running it: health, metrics, reload, rotation, drain, and what becomes of reflectors that fall silent.

use crate::client::Answer;
use crate::person::{Person, proofs};
use crate::server::Server;
use crate::tickets::{MASTER, Tickets};
use access::config::Config;
use access::settings::SETTINGS;
use harness::{Folder, PATIENCE, Signal, wait_until};
use program::settings::layers::Layers;
use program::settings::texts::{Origin, Raw};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use wire::header::Kind;

/// A configuration of defaults, for tests of the pure parts.
pub(crate) fn bare_config() -> Config {
    let raw = |text: &str| vec![Raw { text: text.to_owned(), origin: Origin::Flag }];
    let given = [("master", raw("master.toml")), ("store", raw("access.redb"))].into();
    Config::read(&Layers { settings: &SETTINGS, given, file: None }).unwrap()
}

#[test]
fn health_metrics_and_configuration_are_shown_without_a_secret() {
    let server = crate::capabilities::start(&[]);
    assert_eq!(server.get("/livez"), (200, String::from("alive\n")));
    assert_eq!(server.get("/readyz").0, 200);
    let (_, text) = server.get("/config");
    let config: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(config["reflectors"][0]["name"], "fra1");
    assert!(!text.contains("7777777777") && !text.contains(crate::capabilities::TOKEN));
    let page = server.metrics();
    for (name, labels) in [
        ("reflector_access_requests_total", [("call", "login"), ("status", "2xx")].as_slice()),
        ("reflector_access_refused_requests_total", &[("problem", "ticket")]),
        ("reflector_access_password_checks_total", &[("outcome", "busy")]),
        ("reflector_access_minted_capabilities_total", &[("layer", "buddies")]),
        ("reflector_access_reloads_total", &[("outcome", "failure")]),
        ("reflector_access_audit_failures_total", &[]),
        ("reflector_access_sessions", &[]),
    ] {
        assert_eq!(page.sum(name, labels), 0, "{name}");
    }
    assert_eq!(page.sum("reflector_access_offered_reflectors", &[]), 2);
}

#[test]
fn every_metric_is_explained_and_every_explanation_has_its_metric() {
    let server = Server::start(&[]);
    let (_, page) = server.get("/metrics");
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE reflector_access_"));
    let mut shown: Vec<String> = types
        .map(|line| match line.split_once(' ').unwrap() {
            (name, "counter") => format!("{name}_total"),
            (name, "info") => format!("{name}_info"),
            (name, _) => name.to_owned(),
        })
        .collect();
    let runbook =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/runbook.md")).unwrap();
    let (_, ours) = runbook.split_once("\n## The access server\n").unwrap();
    let cells = ours.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" |"));
    let mut explained: Vec<String> = cells
        .flat_map(|(cell, _)| cell.split(", `").map(|it| it.split(['{', '`']).next().unwrap().to_owned()))
        .collect();
    shown.sort();
    explained.sort();
    assert_eq!(explained, shown);
}

#[test]
fn a_key_is_rotated_under_running_sessions() {
    let server = Server::start(&[]);
    server.add_accounts(&["alice", "bob"]);
    let alice = Person::login_at(&server, "alice", &[("fra1", "127.1.0.1:4001", 1)]);
    let _bob = Person::login_at(&server, "bob", &[("fra1", "127.1.0.2:4002", 1)]);
    let key = |alice: &Person| alice.sees("bob").contacts[0].header.unwrap().header().class_key & 15;
    assert_eq!(key(&alice), 3);
    let fresh = MASTER.replace("id = 3", "id = 4").replace("77", "88");
    server.folder.write("master.toml", &format!("{MASTER}{fresh}"));
    server.reload("success");
    assert_eq!(key(&alice), 3, "added last, it only verifies");
    let newer = Tickets::of(&fresh).ticket("fra1", "127.1.0.1:4001", 100);
    let mut contacts = proofs(&server, &[("fra1", "127.1.0.1:4001", 1)]);
    contacts[0].ticket = newer;
    alice.refresh(&contacts).good();
    server.folder.write("master.toml", &format!("{fresh}{MASTER}"));
    server.reload("success");
    assert_eq!(key(&alice), 4, "moved first, it mints");
    server.folder.write("master.toml", &fresh);
    server.reload("success");
    assert_eq!(alice.refresh(&proofs(&server, &[("fra1", "127.1.0.1:4001", 1)])).problem(), "ticket");
    alice.refresh(&contacts).good();
}

#[test]
fn a_reload_that_is_wrong_changes_nothing() {
    let folder = Folder::new("access-test");
    folder.write("config.toml", "reflector = \"fra1=127.9.9.1:1933\"\nlease = \"100s\"\n");
    let mut server =
        Server::start_in(folder, &["--config", "config.toml", "--reflector", "fra1=127.9.9.1:1933"]);
    for (name, text) in [("master.toml", "[[key]]\nid = 99\n"), ("config.toml", "lease = \"100\"\n")] {
        let before = server.folder.read(name);
        server.folder.write(name, text);
        server.reload("failure");
        server.folder.write(name, &before);
    }
    let refused = server.wait_for_line("reload refused; everything stays as it was");
    assert!(refused["reason"].as_str().unwrap().contains("master.toml:"), "{refused}");
    server.folder.write("config.toml", "lease = \"50s\"\nthreads = 2\n");
    server.reload("success");
    let waiting = server.wait_for_line("changed settings wait for a restart");
    assert_eq!(waiting["settings"], "threads");
    server.add_accounts(&["alice"]);
    let mut alice = Person::enrol(&server, "alice");
    assert_eq!(alice.login(&[]).good()["lease_s"], 50);
}

#[test]
fn idle_admin_connections_stop_no_scrape_no_reload_and_no_clock() {
    let mut server = Server::start(&["--drain-timeout", "1s"]);
    let idle: Vec<TcpStream> = (0..80).map(|_| TcpStream::connect(server.admin).unwrap()).collect();
    assert_eq!(server.metrics().sum("reflector_access_ready", &[]), 1);
    server.reload("success");
    // A connection that never ends its request: only the control loop's clock ends this drain.
    let asked = half_asked(&server, "{}");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.exit_code(), Some(0));
    drop((idle, asked));
}

#[test]
fn a_stop_answers_what_was_asked_and_accepts_nothing_more() {
    let mut server = Server::start(&["--request-timeout", "10m", "--drain-timeout", "1h"]);
    let body = "{\"device\":\"AAAAAAAAAAAAAAAAAAAAAA\"}";
    let mut asked = half_asked(&server, body);
    server.signal(Signal::SIGTERM);
    server.wait_for_line("draining");
    assert_eq!(server.get("/readyz"), (503, String::from("draining\n")));
    assert_eq!(server.get("/livez").0, 200);
    wait_until("it still accepts", || TcpStream::connect(server.listen).is_err());
    asked.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    asked.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("nonce"), "{answer}");
    assert_eq!(server.exit_code(), Some(0));
    assert!(!server.folder.file("access.redb.sock").exists());
}

#[test]
fn a_drain_ends_at_its_time_and_a_second_signal_ends_it_sooner() {
    for (drain, twice) in [("100ms", false), ("1h", true)] {
        let mut server = Server::start(&["--request-timeout", "10m", "--drain-timeout", drain]);
        let _held = half_asked(&server, "{}");
        server.signal(Signal::SIGTERM);
        server.wait_for_line("draining");
        if twice {
            server.signal(Signal::SIGTERM);
        }
        assert_eq!(server.exit_code(), Some(0));
    }
    let mut server = Server::start(&[]);
    server.signal(Signal::SIGINT);
    assert_eq!(server.exit_code(), Some(130));
}

#[test]
fn a_reflector_that_falls_silent_or_drains_is_offered_to_nobody() {
    let (good, falls) = (Echo::start(true), Echo::start(false));
    let (at_good, at_falls) = (format!("good={}", good.address), format!("falls={}", falls.address));
    let reflectors =
        ["--reflector", &at_good, "--reflector", &at_falls, "--reflector", "silent=127.9.9.3:1933"];
    let flags =
        |extra: &[&'static str]| [&reflectors, ["--probe-interval", "100ms"].as_slice(), extra].concat();
    let start = |extra: &[&'static str]| Server::start(&flags(extra));
    let mut server = start(&[]);
    server.add_accounts(&["alice", "bob"]);
    let at = |address: &'static str| [("falls", address, 1)];
    let mut alice = Person::login_at(&server, "alice", &at("127.1.0.1:4001"));
    let bob = Person::login_at(&server, "bob", &at("127.1.0.2:4002"));
    let offered = |answer: Answer| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        answer.good()["reflectors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| (text(&it["name"]), text(&it["stun"])))
            .collect()
    };
    let row = |name: &str, stun: &str| (name.to_owned(), stun.to_owned());
    let state = |server: &Server, name: &str, state: &str| {
        server.metrics().sum("reflector_access_reflector_state", &[("reflector", name), ("state", state)])
            == 1
    };
    wait_until("they are not seen to live", || {
        state(&server, "good", "alive") && state(&server, "falls", "alive")
    });
    let warned = server.wait_for_line(
        "never answered a PROBE from here, and is offered all the same; if it runs, its policy refuses this host's \
         address (--allow-destination there), or a firewall drops UDP",
    );
    assert_eq!(warned["reflector"], "silent");
    let all = [row("good", "behaviour"), row("falls", "binding"), row("silent", "off")];
    wait_until("STUN is not found", || {
        offered(alice.refresh(&proofs(&server, &at("127.1.0.1:4001")))) == all
    });
    // Where the machine is busy, three answers in a row may come too late; the next one heals that.
    wait_until("bob's contact is not shown", || alice.sees("bob").contacts.len() == 1);
    let version = alice.profile().version;
    drop(falls);
    wait_until("it is not noticed", || state(&server, "falls", "dead"));
    wait_until("profiles do not change", || alice.profile().version > version);
    wait_until("it is still offered, or another is not", || {
        offered(alice.login(&[])) == [row("good", "behaviour"), row("silent", "off")]
    });
    assert!(bob.sees("alice").contacts.is_empty(), "nor are contacts there handed out");

    let drained = start(&["--drain", "good"]);
    drained.add_accounts(&["carol"]);
    let mut carol = Person::enrol(&drained, "carol");
    let names: Vec<String> = offered(carol.login(&[])).into_iter().map(|(name, _)| name).collect();
    assert!(!names.contains(&String::from("good")) && names.contains(&String::from("silent")), "{names:?}");
}

#[test]
fn a_reflector_that_says_that_it_drains_is_offered_to_nobody_until_it_is_ready() {
    let (reflector, ready) = (Echo::start(false), Arc::new(AtomicBool::new(true)));
    let admin = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = [format!("a={}", reflector.address), format!("a={}", admin.local_addr().unwrap())];
    let says = Arc::clone(&ready);
    std::thread::spawn(move || {
        for stream in admin.incoming().map_while(Result::ok) {
            let status = if says.load(Ordering::Relaxed) { "200 OK" } else { "503 Service Unavailable" };
            // The prober hangs up when it has what it wants, or has waited long enough; the next call is another one.
            let _ = answer(stream, status);
        }
    });
    let flags = ["--reflector", &at[0], "--reflector", "b=127.9.9.3:1933", "--reflector-admin", &at[1]];
    let server = Server::start(&[flags.as_slice(), &["--probe-interval", "100ms"]].concat());
    let state = |state: &str| {
        let labels = [("reflector", "a"), ("state", state)];
        let page = server.metrics();
        let is = page.sum("reflector_access_reflector_state", &labels) == 1;
        is.then(|| page.sum("reflector_access_offered_reflectors", &[]))
    };
    wait_until("it is not seen to live", || state("alive") == Some(2));
    ready.store(false, Ordering::Relaxed);
    wait_until("its drain is not noticed", || state("draining") == Some(1));
    ready.store(true, Ordering::Relaxed);
    wait_until("it is not offered again", || state("alive") == Some(2));
}

/// Reads a request to the end of its head, and answers it in one piece.
fn answer(stream: TcpStream, status: &str) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line)? > 0 && line != "\r\n" {
        line.clear();
    }
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.get_mut().write_all(answer.as_bytes())
}

/// A request whose head the server has read, and which waits for its body.
fn half_asked(server: &Server, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.listen).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = "POST /v1/challenge HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";
    let head = format!("{head}Expect: 100-continue\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

/// A socket that answers PROBEs and STUN as a reflector does, until it is dropped.
struct Echo {
    address: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    fn start(other_address: bool) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let (address, stop) = (socket.local_addr().unwrap().to_string(), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 100];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((len, from)) = socket.recv_from(&mut buffer) else { continue };
                let mut answer = buffer[..len].to_vec();
                match answer[0] {
                    kind if kind == Kind::Probe as u8 => answer[0] = Kind::Observed as u8,
                    _ => {
                        answer[0] = 1;
                        // XOR-MAPPED-ADDRESS and OTHER-ADDRESS, of which only the kind is looked at here.
                        let kinds = if other_address { &[0x0020_u16, 0x802c][..] } else { &[0x0020] };
                        for kind in kinds {
                            answer.extend(kind.to_be_bytes());
                            answer.extend([0, 8, 0, 1, 0x30, 0x39, 127, 0, 0, 1]);
                        }
                        let length = u16::try_from(answer.len() - 20).unwrap();
                        answer[2..4].copy_from_slice(&length.to_be_bytes());
                    }
                }
                // The prober may have hung up.
                let _ = socket.send_to(&answer, from);
            }
        });
        Self { address, stop, thread: Some(thread) }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // It answers nobody from here on, whatever became of it.
        }
    }
}
