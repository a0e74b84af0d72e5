//! Rights taken back: what reaches the reflectors' hosts, and how often it is said.

use crate::person::{Person, proofs};
use crate::server::{Server, assert_done};
use crate::tickets::unix_s;
use harness::{Folder, wait_until, wait_until_or};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

/// The admin listener of a host, which writes down what it is asked.
struct Host {
    url: String,
    state: Arc<Mutex<State>>,
}

struct State {
    start_id: String,
    status: u16,
    /// Subjects, in order, with every repetition.
    revoked: Vec<Value>,
    ages: Vec<u64>,
    wrong_bearers: usize,
}

impl Host {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = State {
            start_id: String::from("1"),
            status: 200,
            revoked: Vec::new(),
            ages: Vec::new(),
            wrong_bearers: 0,
        };
        let state = Arc::new(Mutex::new(state));
        let kept = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A caller may hang up; the next one is served all the same.
                let _ = serve(stream, &kept);
            }
        });
        Self { url, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn revoked(&self) -> Vec<Value> {
        self.state().revoked.clone()
    }

    fn waits_for(&self, subjects: &Value) {
        let expected = as_set(subjects.as_array().unwrap());
        let are = || as_set(&self.revoked());
        wait_until_or(|| are() == expected, || format!("revoked are {:?}, not {expected:?}", are()));
    }
}

fn as_set(subjects: &[Value]) -> BTreeSet<String> {
    subjects.iter().map(Value::to_string).collect()
}

fn serve(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut first, mut length, mut bearer) = (String::new(), 0, false);
    stream.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(text) = line.strip_prefix("content-length:") {
            length = text.trim().parse().unwrap_or(0);
        }
        bearer |= line == format!("authorization: bearer {ADMIN_TOKEN}");
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let mut state = state.lock().unwrap();
    let (status, answer) = if first.starts_with("GET /readyz ") {
        (200, json!("ready"))
    } else if !bearer {
        state.wrong_bearers += 1;
        (
            401,
            json!({"type": "/problems/service", "title": "wrong", "status": 401, "detail": "show another token"}),
        )
    } else if state.status != 200 {
        (
            state.status,
            json!({"type": "/problems/full", "title": "full", "status": 507, "detail": "send it later"}),
        )
    } else {
        if let Ok(request) = serde_json::from_slice::<Value>(&body) {
            state.revoked.extend(request["revoke"].as_array().unwrap().clone());
            state.ages.push(request["age_s"].as_u64().unwrap());
        }
        (200, json!({"start_id": state.start_id, "entries": state.revoked.len(), "pairs": 0}))
    };
    let answer = answer.to_string();
    let head =
        format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", answer.len());
    stream.get_mut().write_all(format!("{head}{answer}").as_bytes())
}

/// A server that knows one host of fra1 and one of ams1.
fn start(fra1: &[&Host], ams1: &[&Host], flags: &[&str]) -> Server {
    start_in(Folder::new("access-test"), fra1, ams1, flags)
}

fn start_in(folder: Folder, fra1: &[&Host], ams1: &[&Host], flags: &[&str]) -> Server {
    folder.write("services", &format!("{SERVICE}\n{OTHER_SERVICE}\n"));
    folder.write("admin-token", &format!("# of all reflectors\n{ADMIN_TOKEN}\n"));
    let named = |name: &str, hosts: &[&Host]| -> Vec<String> {
        hosts
            .iter()
            .flat_map(|it| [String::from("--reflector-admin"), format!("{name}={}", it.url)])
            .collect()
    };
    let admins = [named("fra1", fra1), named("ams1", ams1)].concat();
    let admins: Vec<&str> = admins.iter().map(String::as_str).collect();
    let ours = ["--reflector-admin-token", "admin-token", "--service-credentials", "services"];
    Server::start_in(folder, &[&ours[..], &admins, flags].concat())
}

#[test]
fn a_disabled_account_is_taken_back_at_every_address_where_it_ever_was() {
    let (one, other, ams1) = (Host::start(), Host::start(), Host::start());
    let server = start(&[&one, &other], &[&ams1], &[]);
    server.add_accounts(&["alice", "bob"]);
    let mut alice =
        Person::login_at(&server, "alice", &[("fra1", "127.1.0.1:4001", 1), ("ams1", "127.1.0.1:4002", 1)]);
    Person::login_at(&server, "bob", &[("fra1", "127.1.0.2:5001", 1)]);
    alice.refresh(&proofs(&server, &[("fra1", "127.1.0.1:4003", 1)])).good();
    alice.login(&proofs(&server, &[("fra1", "127.1.0.3:4004", 1)])).good();
    let output = server.command(&["account", "disable", "alice"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("4 rights taken back at 3 hosts"), "{said}");
    let at_fra1 = json!([["127.1.0.1:4001"], ["127.1.0.1:4003"], ["127.1.0.3:4004"]]);
    for host in [&one, &other] {
        host.waits_for(&at_fra1);
        assert_eq!(host.revoked().len(), 3, "said once: {:?}", host.revoked());
    }
    ams1.waits_for(&json!([["127.1.0.1:4002"]]));
    assert_eq!(alice.try_profile(), None);
    // These places are settled; a later address is taken back on its own.
    assert_done(&server.command(&["account", "enable", "alice"]));
    alice.login(&proofs(&server, &[("fra1", "127.1.0.9:4009", 1)])).good();
    assert_done(&server.command(&["account", "disable", "alice"]));
    assert_eq!(one.revoked().len(), 4);
    let page = server.metrics();
    assert_eq!(page.sum("reflector_access_revocations", &[]), 5);
    assert_eq!(page.sum("reflector_access_waiting_revocations", &[]), 0);
}

#[test]
fn the_end_of_a_friendship_takes_back_the_pairs_and_nothing_of_others() {
    let host = Host::start();
    let server = start(&[&host], &[], &[]);
    server.add_accounts(&["alice", "bob", "carol"]);
    let alice = Person::login_at(&server, "alice", &[("fra1", "127.1.0.1:4001", 1)]);
    let bob =
        Person::login_at(&server, "bob", &[("fra1", "127.1.0.2:5001", 1), ("ams1", "127.1.0.2:5002", 1)]);
    Person::login_at(&server, "carol", &[("fra1", "127.1.0.3:6001", 1)]);
    bob.refresh(&proofs(&server, &[("fra1", "127.1.0.2:5003", 1)])).good();
    assert_eq!(alice.call("DELETE", "/v1/buddies/bob").status, 204);
    host.waits_for(&json!([["127.1.0.1:4001", "127.1.0.2:5001"], ["127.1.0.1:4001", "127.1.0.2:5003"]]));
    assert_eq!(alice.call("DELETE", "/v1/buddies/bob").status, 204, "nothing there is no error");
    assert_eq!(host.revoked().len(), 2);
    // By the operator's hand it is the same.
    assert_done(&server.command(&["buddy", "remove", "bob", "carol"]));
    assert_eq!(host.revoked().len(), 4);
}

#[test]
fn a_service_takes_back_what_it_had_minted_and_nothing_else() {
    let host = Host::start();
    let server = start(&[&host], &[], &[]);
    let ticket = |address: &str| server.tickets.ticket("fra1", address, 100);
    let body = json!({"reflector": "fra1", "tickets": [ticket("127.1.0.1:4001"), ticket("127.1.0.2:4002")]});
    let client = server.client();
    let minted = client.post_as("/v1/capabilities", SERVICE, &body).good();
    let receipts = json!({"receipts": [minted["receipt"]]});
    let refused = client.post_as("/v1/revocations", OTHER_SERVICE, &receipts);
    assert_eq!((refused.status, refused.problem()), (400, "malformed"), "another service's");
    assert!(refused.body["detail"].as_str().unwrap().starts_with("receipts[0] is not one"), "{refused:?}");
    let both = json!({"receipts": [minted["receipt"], "AAAA"]});
    assert_eq!(client.post_as("/v1/revocations", SERVICE, &both).status, 400, "all or nothing");
    assert_eq!(host.revoked(), Vec::<Value>::new());
    let done = client.post_as("/v1/revocations", SERVICE, &receipts).good();
    assert_eq!(done, json!({"revoked": 1, "hosts": 1, "waiting": 0, "untold": []}));
    assert_eq!(host.revoked(), [json!(["127.1.0.1:4001", "127.1.0.2:4002"])]);
}

#[test]
fn who_begins_to_hide_is_taken_back_where_it_was_seen() {
    let host = Host::start();
    let server = start(&[&host], &[], &[]);
    server.add_accounts(&["alice", "bob"]);
    let alice = Person::login_at(&server, "alice", &[("fra1", "127.1.0.1:4001", 1)]);
    let bob = Person::login_at(&server, "bob", &[("fra1", "127.1.0.2:5001", 1)]);
    assert!(bob.sees("alice").contacts[0].address.is_some(), "the profile of the claim");
    let hide = |hide: bool| {
        let body = json!({"hide_address": hide}).to_string();
        alice.client.call("PUT", "/v1/privacy", Some(&alice.session), Some(&body)).good()
    };
    assert_eq!(hide(true), json!({"hide_address": true}));
    host.waits_for(&json!([["127.1.0.1:4001"]]));
    let seen = bob.sees("alice");
    assert!(seen.hidden && seen.contacts.is_empty() && seen.nat.is_none(), "{seen:?}");
    let own = alice
        .refresh(&proofs(&server, &[("fra1", "127.1.0.1:4002", 9), ("ams1", "127.1.0.1:4003", 1)]))
        .good();
    assert_eq!(own["hide_address"], true);
    // One place, of its own choice, and sealed both ways.
    let seen = bob.sees("alice");
    assert_eq!(
        (seen.contacts.len(), seen.probe.as_ref().map(wire::json::name::ReflectorName::as_str)),
        (1, Some("ams1"))
    );
    bob.refresh(&proofs(&server, &[("ams1", "127.1.0.2:5002", 1)])).good();
    let (of_alice, of_bob) = (bob.sees("alice"), alice.sees("bob"));
    let header = |it: &wire::json::profile::BuddyDevice| it.contacts[0].header.unwrap();
    assert_eq!(of_alice.contacts[0].address, None);
    let text = serde_json::to_string(&of_alice).unwrap();
    assert!(!text.contains("127.1.0.1") && !text.contains("rtt"), "{text}");
    for (header, from, to) in [
        (header(&of_alice), "127.1.0.2:5002", "127.1.0.1:4003"),
        (header(&of_bob), "127.1.0.1:4003", "127.1.0.2:5002"),
    ] {
        assert_eq!(header.header().kind, wire::Kind::SealedSend as u8);
        assert_eq!(server.tickets.relays("ams1", &header.to_string(), from), Some(to.parse().unwrap()));
    }
    let lines = server.audit();
    assert!(lines.iter().any(|line| line["minted"][0]["sealed"] == true), "{lines:?}");
    hide(false);
    assert!(!bob.sees("alice").hidden);
    assert_eq!(host.revoked().len(), 1, "showing takes nothing back");
    // The operator hides the account, and with it every device.
    assert_done(&server.command(&["account", "hide", "alice"]));
    host.waits_for(&json!([["127.1.0.1:4001"], ["127.1.0.1:4002"]]));
    assert!(bob.sees("alice").hidden);
    assert!(assert_done(&server.command(&["account", "list"])).contains("hidden"));
}

#[test]
fn a_host_that_does_not_acknowledge_is_named_and_asked_again_also_after_a_restart() {
    let (good, bad) = (Host::start(), Host::start());
    bad.state().status = 507;
    let server = start(&[&good, &bad], &[], &[]);
    server.add_accounts(&["alice"]);
    Person::login_at(&server, "alice", &[("fra1", "127.1.0.1:4001", 1)]);
    let output = server.command(&["account", "disable", "alice"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains(&format!("not in force at fra1 at {}: full: send it later", bad.url)), "{said}");
    let listed = assert_done(&server.command(&["revocations"]));
    let row = |url: &str| listed.lines().find(|line| line.contains(url)).unwrap().to_owned();
    assert!(row(&good.url).ends_with("acknowledged") && row(&bad.url).contains("send it later"), "{listed}");
    assert_eq!(
        server.metrics().sum("reflector_access_waiting_revocations", &[("host", bad.url.as_str())]),
        1
    );
    let folder = server.kill();
    bad.state().status = 200;
    let _server = start_in(folder, &[&good, &bad], &[], &[]);
    bad.waits_for(&json!([["127.1.0.1:4001"]]));
}

#[test]
fn a_host_that_restarted_is_told_everything_again() {
    let host = Host::start();
    let server = start(&[&host], &[], &[]);
    server.add_accounts(&["alice"]);
    Person::login_at(&server, "alice", &[("fra1", "127.1.0.1:4001", 1)]);
    assert_done(&server.command(&["account", "disable", "alice"]));
    let before = unix_s();
    {
        let mut state = host.state();
        assert_eq!(state.revoked.len(), 1);
        (state.start_id, state.revoked) = (String::from("2"), Vec::new());
    }
    host.waits_for(&json!([["127.1.0.1:4001"]]));
    let age_s = *host.state().ages.last().unwrap();
    assert!(age_s <= u64::from(unix_s() - before) + 30, "what is old ends no later: {age_s} s");
}

#[test]
fn without_a_token_it_is_said_what_goes_on() {
    let host = Host::start();
    let admin = format!("fra1={}", host.url);
    let mut server = Server::start(&["--reflector-admin", &admin]);
    server.wait_for_line("rights cannot be taken back there: give --reflector-admin NAME=URL for each host, and --reflector-admin-token");
    server.add_accounts(&["alice"]);
    Person::login_at(&server, "alice", &[("fra1", "127.1.0.1:4001", 1)]);
    let output = server.command(&["account", "disable", "alice"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("fra1: it has no --reflector-admin"), "{said}");
    assert_eq!((host.revoked(), host.state().wrong_bearers), (Vec::new(), 0), "nobody was asked");
}

#[test]
fn a_wrong_token_and_an_open_network_are_refused_with_what_would_be_right() {
    let host = Host::start();
    let folder = Folder::new("access-test");
    let server = start_in(folder, &[&host], &[], &[]);
    server.folder.write("admin-token", &"x".repeat(40));
    server.reload("success");
    server.add_accounts(&["alice"]);
    Person::login_at(&server, "alice", &[("fra1", "127.1.0.1:4001", 1)]);
    let output = server.command(&["account", "disable", "alice"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("show another token"));
    // Right again, without a restart.
    server.folder.write("admin-token", ADMIN_TOKEN);
    server.reload("success");
    wait_until("it is not delivered", || host.revoked().len() == 1);
    server.folder.write("admin-token", "short");
    server.reload("failure");
}

const ADMIN_TOKEN: &str = "00112233445566778899aabbccddeeff";
const SERVICE: &str = "0123456789abcdef0123456789abcdef";
const OTHER_SERVICE: &str = "fedcba9876543210fedcba9876543210";
