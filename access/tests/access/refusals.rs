//! Bad input: what is shown wrongly is refused in one shape, and nothing is minted or changed by it.

use crate::capabilities::TOKEN;
use crate::client::Answer;
use crate::person::{Person, device_request, fresh, proofs};
use crate::server::{PASSWORD, Server};
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use ureq::http::Request;
use wire::header::Header;
use wire::json::base64url::Bytes;
use wire::json::header::HeaderJson;
use wire::json::login::{ContactProof, LoginRequest, Nonce};
use wire::json::name::DeviceId;

fn send(person: &Person, request: &LoginRequest) -> Answer {
    person.client.post("/v1/login", &serde_json::to_value(request).unwrap())
}

/// A contact with this ticket.
fn shown(reflector: &str, ticket: HeaderJson) -> Vec<ContactProof> {
    vec![ContactProof { reflector: reflector.parse().unwrap(), ticket, rtt_us: 1 }]
}

#[test]
fn wrong_passwords_and_unknown_accounts_are_one_answer() {
    let server = Server::start(&[]);
    server.add_accounts(&["alice", "mallory"]);
    assert!(server.command(&["account", "disable", "mallory"]).status.success());
    let client = server.client();
    let key = SigningKey::from_bytes(&fresh());
    let enrol =
        |name: &str, password: &str| client.post("/v1/devices", &device_request(name, password, &key));
    let wrong = enrol("alice", "wrong horse");
    assert_eq!((wrong.status, wrong.problem()), (401, "credentials"));
    for other in [enrol("nobody", "wrong horse"), enrol("nobody", PASSWORD), enrol("mallory", PASSWORD)] {
        assert_eq!((other.status, &other.body), (wrong.status, &wrong.body));
    }
    assert!(enrol("alice", PASSWORD).body["device"].is_string());
}

#[test]
fn a_device_is_enrolled_once_and_its_key_must_be_one() {
    let server = Server::start(&[]);
    server.add_accounts(&["alice"]);
    let client = server.client();
    let key = SigningKey::from_bytes(&fresh());
    let request = device_request("alice", PASSWORD, &key);
    let first = client.post("/v1/devices", &request).good();
    assert_eq!(
        client.post("/v1/devices", &request).good()["device"],
        first["device"],
        "a retry is no second device"
    );
    assert_eq!(first["reflectors"][1]["name"], "ams1", "where to PROBE before the first login");
    let with = |field: &str, value: Value| {
        let mut request = request.clone();
        request[field] = value;
        client.post("/v1/devices", &request)
    };
    for (field, value) in [
        ("sign_key", json!(Bytes([0; 32]))),
        ("sign_key", json!(Bytes([2; 32]))),
        ("sign_key", json!("short")),
        ("name", json!("x".repeat(65))),
        ("name", json!("a\nb")),
        ("password", json!("x".repeat(257))),
        ("password", json!(7)),
        ("account", json!("Alice")),
        ("extra", json!(1)),
    ] {
        let answer = with(field, value.clone());
        assert_eq!((answer.status, answer.problem()), (400, "malformed"), "{field} {value}");
    }
    for _ in 1..16 {
        client
            .post("/v1/devices", &device_request("alice", PASSWORD, &SigningKey::from_bytes(&fresh())))
            .good();
    }
    let full =
        client.post("/v1/devices", &device_request("alice", PASSWORD, &SigningKey::from_bytes(&fresh())));
    assert_eq!((full.status, full.problem()), (409, "limit"));
    assert_eq!(client.post("/v1/devices", &request).good()["device"], first["device"]);
}

#[test]
fn whatever_is_wrong_with_a_login_it_is_one_answer() {
    let server = Server::start(&[]);
    server.add_accounts(&["alice", "bob"]);
    let alice = Person::enrol(&server, "alice");
    let bob = Person::enrol(&server, "bob");
    let contacts = proofs(&server, &[("fra1", "127.1.0.1:4001", 1)]);
    let good = alice.login_request(&contacts);
    let bobs = bob.login_request(&[]);
    let mut bent = good.clone();
    bent.signature.0.0[7] ^= 1;
    let resigned = |change: &dyn Fn(&mut LoginRequest)| {
        let mut request = good.clone();
        change(&mut request);
        alice.sign(request, "127.0.0.1")
    };
    let mut unsigned_contacts = good.clone();
    unsigned_contacts.contacts[0].rtt_us += 1;
    let answers = [
        send(&alice, &bent),
        send(&alice, &bob.sign(good.clone(), "127.0.0.1")),
        send(&alice, &alice.sign(good.clone(), "evil.example")),
        send(&alice, &unsigned_contacts),
        send(&alice, &resigned(&|it| it.device = DeviceId(Bytes([7; 16])))),
        send(&alice, &resigned(&|it| it.device = bob.device)),
        send(&alice, &resigned(&|it| it.nonce = Nonce(Bytes([7; 32])))),
        send(&alice, &resigned(&|it| it.nonce = bobs.nonce)),
        // Tickets are looked at only behind a good signature.
        send(&alice, &{
            let mut request = bent.clone();
            request.contacts[0].ticket = HeaderJson(Bytes([9; 32]));
            request
        }),
    ];
    for answer in &answers {
        assert_eq!((answer.status, answer.problem(), &answer.body), (401, "login", &answers[0].body));
    }
    assert_eq!(send(&alice, &good).status, 200, "none of it used the nonce up");
    assert!(server.audit().is_empty());
}

#[test]
fn a_replayed_login_gains_nothing() {
    let server = Server::start(&[]);
    server.add_accounts(&["alice", "bob"]);
    let mut bob = Person::enrol(&server, "bob");
    bob.login(&proofs(&server, &[("fra1", "127.1.0.2:4002", 1)])).good();
    let mut alice = Person::enrol(&server, "alice");
    let request = alice.login_request(&proofs(&server, &[("fra1", "127.1.0.1:4001", 1)]));
    let first = send(&alice, &request).good();
    alice.session = first["session"].as_str().unwrap().to_owned();
    let replayed = send(&alice, &request);
    assert_eq!((replayed.status, replayed.problem()), (401, "login"));
    assert!(replayed.body.get("session").is_none());
    assert_eq!(alice.call("GET", "/v1/profile").status, 200, "and ends nothing");
    assert_eq!(alice.call("POST", "/v1/logout").status, 204);
    assert_eq!(send(&alice, &request).problem(), "login", "nor does it bring a session back");
    assert_eq!(bob.sees("alice").contacts.len(), 0);
    let early = alice.login_request(&[]);
    alice.login(&[]).good();
    assert_eq!(send(&alice, &early).problem(), "login", "a nonce of before the last login is used up");
    // A restart forgets which nonces were used, and so takes none of before.
    let kept = alice.login_request(&[]);
    let server = Server::start_in(server.kill(), &[]);
    alice.client = server.client();
    assert_eq!(send(&alice, &kept).problem(), "login");
    alice.login(&[]).good();
}

#[test]
fn t1_contacts_that_prove_nothing_are_refused_and_nothing_is_minted() {
    let server = Server::start(&[]);
    server.add_accounts(&["alice", "bob"]);
    let bob = Person::login_at(&server, "bob", &[("fra1", "127.1.0.2:4002", 1)]);
    let mut alice = Person::enrol(&server, "alice");
    let address = "127.1.0.1:4001";
    let ticket = |reflector: &str, left_s: i64| server.tickets.ticket(reflector, address, left_s);
    let changed = |change: &dyn Fn(&mut Header)| {
        let mut header = ticket("fra1", 100).header();
        change(&mut header);
        HeaderJson::from(header)
    };
    let foreign =
        crate::tickets::Tickets::of(&format!("[[key]]\nid = 3\nsecret = \"{}\"\n", "12".repeat(32)));
    let cases = [
        ("ticket of another reflector's ring", shown("fra1", ticket("ams1", 100)), "ticket"),
        ("swapped contacts", shown("ams1", ticket("fra1", 100)), "ticket"),
        ("another deployment", shown("fra1", foreign.ticket("fra1", address, 100)), "ticket"),
        ("expired", shown("fra1", ticket("fra1", -2)), "ticket"),
        ("longer than any lives", shown("fra1", ticket("fra1", 190)), "ticket"),
        ("another address", shown("fra1", changed(&|it| it.peer.port += 1)), "ticket"),
        ("prolonged", shown("fra1", changed(&|it| it.expires += 1)), "ticket"),
        ("another key", shown("fra1", changed(&|it| it.class_key = 4)), "ticket"),
        ("a capability", shown("fra1", bob_header(&server)), "ticket"),
        ("an unknown reflector", shown("nowhere", ticket("nowhere", 100)), "reflector"),
    ];
    for (what, contacts, problem) in cases {
        let login = alice.login(&contacts);
        assert_eq!((login.status, login.problem()), (422, problem), "{what}");
        assert!(alice.session.is_empty());
    }
    alice.login(&proofs(&server, &[("fra1", address, 1)])).good();
    // Without the header, whose end moves on with the second in which it is minted.
    let seen = || -> Vec<_> {
        let contacts = bob.sees("alice").contacts;
        contacts.into_iter().map(|it| (it.reflector, it.address, it.header.is_some())).collect()
    };
    let before = seen();
    let refreshed = alice.refresh(&shown("fra1", ticket("ams1", 100)));
    assert_eq!((refreshed.status, refreshed.problem()), (422, "ticket"));
    assert_eq!(seen(), before, "a refused refresh changes nothing");
    let twice = [proofs(&server, &[("fra1", address, 1)]), proofs(&server, &[("fra1", address, 1)])].concat();
    assert_eq!(alice.refresh(&twice).problem(), "malformed");
}

/// A SEND header as a ring holder makes it.
fn bob_header(server: &Server) -> HeaderJson {
    let (from, to) = ("127.1.0.1:4001", "127.1.0.2:4002");
    let (from, to) = (crate::tickets::address_of(from), crate::tickets::address_of(to));
    let expires = crate::tickets::unix_s() + 100;
    wire::mint::send_header(&server.tickets.ring("fra1"), wire::Form::Plain, 0, expires, from, to)
        .unwrap()
        .into()
}

#[test]
fn t3_no_ticket_makes_a_contact_of_an_address_that_reflectors_refuse() {
    let server = crate::capabilities::start(&[]);
    server.add_accounts(&["alice"]);
    let mut alice = Person::enrol(&server, "alice");
    for address in [
        "10.0.0.1:4000",
        "192.168.1.1:4000",
        "169.254.169.254:4000",
        "224.0.0.1:4000",
        "255.255.255.255:4000",
        "0.0.0.0:4000",
        "127.0.0.1:80",
        "8.8.8.8:53",
        "8.8.8.8:11211",
        "[fe80::1]:4000",
        "[fd00:ec2::254]:4000",
        "[64:ff9b::7f00:1]:4000",
        "[2002:7f00:1::]:4000",
        "[::127.0.0.1]:4000",
        "127.9.9.1:1933",
        "127.9.9.2:1933",
    ] {
        let ticket = server.tickets.ticket("fra1", address, 100);
        let login = alice.login(&shown("fra1", ticket));
        assert_eq!((login.status, login.problem()), (422, "destination"), "{address}");
        let body = json!({"reflector": "fra1", "tickets": [ticket, server.tickets.ticket("fra1", "127.1.0.1:4000", 90)]});
        let minted = server.client().post_as("/v1/capabilities", TOKEN, &body);
        assert_eq!(minted.problem(), "destination", "{address}");
    }
    assert!(server.audit().is_empty());
}

#[test]
fn t1_a_capability_for_somebody_who_is_no_buddy_is_never_minted() {
    let server = Server::start(&[]);
    server.add_accounts(&["alice"]);
    server.add_accounts(&["bob"]);
    let alice = Person::login_at(&server, "alice", &[("fra1", "127.1.0.1:4001", 1)]);
    let bob = Person::login_at(&server, "bob", &[("fra1", "127.1.0.2:4002", 1)]);
    assert!(alice.profile().buddies.is_empty());
    alice.call("PUT", "/v1/buddies/bob").good();
    assert!(alice.profile().buddies[0].devices.is_empty(), "asking alone shows no device");
    assert!(bob.profile().buddies[0].devices.is_empty());
    let answer = alice.refresh(&proofs(&server, &[("fra1", "127.1.0.1:4001", 1)]));
    assert!(!answer.good().to_string().contains("127.1.0.2"), "nor an address");
    assert!(server.audit().is_empty());
}

#[test]
fn disabling_an_account_ends_its_sessions_and_minting_at_once() {
    let server = Server::start(&[]);
    server.add_accounts(&["alice", "bob"]);
    let mut alice = Person::login_at(&server, "alice", &[("fra1", "127.1.0.1:4001", 1)]);
    let bob = Person::login_at(&server, "bob", &[("fra1", "127.1.0.2:4002", 1)]);
    assert_eq!(bob.sees("alice").contacts.len(), 1);
    let output = server.command(&["account", "disable", "alice"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--deny-source"), "{said}");
    assert_eq!(alice.call("GET", "/v1/profile").problem(), "session");
    assert_eq!(bob.sees("alice").contacts.len(), 0);
    let refused = alice.login(&[]);
    assert_eq!(refused.problem(), "login");
    assert!(server.command(&["account", "enable", "alice"]).status.success());
    assert_eq!(alice.login(&[]).status, 200);
}

#[test]
fn requests_of_the_wrong_form_are_problem_documents() {
    let server = Server::start(&[]);
    let client = server.client();
    let call = |method: &str, path: &str, body: Option<&str>| client.call(method, path, None, body);
    let long = format!("{{\"device\":\"{}\"}}", "a".repeat(20_000));
    let deep = "[".repeat(10_000);
    for (body, problem) in [
        ("", "malformed"),
        ("{", "malformed"),
        ("null", "malformed"),
        ("{}", "malformed"),
        ("{\"device\":1}", "malformed"),
        ("{\"device\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"device\":\"AAAAAAAAAAAAAAAAAAAAAA\"}", "malformed"),
        ("{\"device\":\"AAAAAAAAAAAAAAAAAAAAAA\"} x", "malformed"),
        (deep.as_str(), "malformed"),
        ("\u{0}", "malformed"),
        (long.as_str(), "too-large"),
    ] {
        let answer = call("POST", "/v1/challenge", Some(body));
        assert_eq!(answer.problem(), problem, "{}", body.chars().take(60).collect::<String>());
    }
    assert_eq!(call("GET", "/v1/login", None).problem(), "method");
    assert!(call("PATCH", "/v1/buddies/x", None).headers.contains(&("allow".into(), "PUT, DELETE".into())));
    for path in ["/", "/v1", "/v1/", "/v1/login/", "/v1/buddies/a/b", "/metrics", "/v1/../v1/login"] {
        assert_eq!(call("GET", path, None).problem(), "not-found", "{path}");
    }
    let typed = Request::builder().method("POST").uri(format!("http://{}/v1/challenge", server.listen));
    let typed = typed.header("Content-Type", "text/plain").body(String::from("{}")).unwrap();
    assert_eq!(client.answer_to(typed).problem(), "media-type");
    for bearer in [None, Some(""), Some("x"), Some("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")] {
        let answer = client.call("GET", "/v1/profile", bearer, None);
        assert_eq!((answer.status, answer.problem()), (401, "session"));
        assert!(answer.headers.contains(&("www-authenticate".into(), "Bearer".into())));
    }
    let page = server.metrics();
    assert_eq!(page.sum("reflector_access_refused_requests_total", &[("problem", "too-large")]), 1);
    assert!(page.sum("reflector_access_requests_total", &[("call", "challenge"), ("status", "4xx")]) >= 10);
}

#[test]
fn a_profile_query_is_a_version_or_refused() {
    let server = Server::start(&[]);
    server.add_accounts(&["alice"]);
    let alice = Person::login_at(&server, "alice", &[]);
    for query in
        ["version=", "version=x", "version=-1", "v=1", "version=1&x=2", "version=99999999999999999999"]
    {
        assert_eq!(alice.call("GET", &format!("/v1/profile?{query}")).problem(), "malformed", "{query}");
    }
}
