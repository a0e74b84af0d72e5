//! Capabilities for products with users of their own.

use crate::client::Answer;
use crate::server::Server;
use crate::tickets::unix_s;
use harness::{Folder, wait_until};
use serde_json::{Value, json};

/// A server with one service credential.
pub(crate) fn start(flags: &[&str]) -> Server {
    let folder = Folder::new("access-test");
    folder.write("services", &format!("# our product\n{TOKEN}\n"));
    Server::start_in(folder, &[&["--service-credentials", "services"], flags].concat())
}

fn request(server: &Server, a_left_s: i64, b_left_s: i64) -> Value {
    let ticket = |address: &str, left_s: i64| server.tickets.ticket("fra1", address, left_s);
    json!({"reflector": "fra1", "tickets": [ticket("127.1.0.1:4001", a_left_s), ticket("127.1.0.2:4002", b_left_s)]})
}

fn ask(server: &Server, body: &Value) -> Answer {
    server.client().post_as("/v1/capabilities", TOKEN, body)
}

#[test]
fn two_tickets_make_two_headers_that_relay() {
    let server = start(&[]);
    let before = unix_s();
    let answer = ask(&server, &request(&server, 100, 90)).good();
    let expires = u32::try_from(answer["expires"].as_u64().unwrap()).unwrap();
    assert!((before + 300..=unix_s() + 300).contains(&expires), "now is sooner than both tickets' ends");
    let header = |at: usize| answer["headers"][at].as_str().unwrap().to_owned();
    let relayed = |at: usize, from: &str| server.tickets.relays("fra1", &header(at), from);
    assert_eq!(relayed(0, "127.1.0.1:4001"), Some("127.1.0.2:4002".parse().unwrap()));
    assert_eq!(relayed(1, "127.1.0.2:4002"), Some("127.1.0.1:4001".parse().unwrap()));
    assert_eq!(relayed(0, "127.1.0.2:4002"), None);
    assert_eq!(server.tickets.relays("ams1", &header(0), "127.1.0.1:4001"), None, "at no other reflector");
    wait_until("no line in the audit log", || !server.audit().is_empty());
    let minted = &server.audit()[0];
    assert_eq!((&minted["call"], minted["minted"].as_array().unwrap().len()), (&json!("capabilities"), 2));
    assert_eq!(
        server.metrics().sum("reflector_access_minted_capabilities_total", &[("layer", "service")]),
        2
    );
}

#[test]
fn class_and_lifetime_are_the_callers_within_bounds() {
    let server = start(&[]);
    let with = |field: &str, value: Value| {
        let mut body = request(&server, 100, 100);
        body[field] = value;
        ask(&server, &body)
    };
    let before = unix_s();
    let long = with("lifetime_s", json!(540)).good();
    assert!(long["expires"].as_u64().unwrap() >= u64::from(before) + 540);
    let classed = with("class", json!(15)).good();
    let header: wire::json::header::HeaderJson =
        serde_json::from_value(classed["headers"][0].clone()).unwrap();
    assert_eq!(header.header().class_key, 15 << 4 | 3);
    for (field, value) in [
        ("lifetime_s", json!(541)),
        ("lifetime_s", json!(9)),
        ("lifetime_s", json!(-1)),
        ("class", json!(16)),
        ("class", json!(256)),
        ("reflector", json!("FRA1")),
        ("tickets", json!([])),
        ("extra", json!(0)),
    ] {
        assert_eq!(with(field, value.clone()).problem(), "malformed", "{field} {value}");
    }
    assert_eq!(with("reflector", json!("nowhere")).problem(), "reflector");
    assert_eq!(with("reflector", json!("ams1")).problem(), "ticket", "of another reflector's ring");
    assert_eq!(ask(&server, &request(&server, 100, -2)).problem(), "ticket");
    let mut same = request(&server, 100, 100);
    same["tickets"][1] = same["tickets"][0].clone();
    assert_eq!(ask(&server, &same).problem(), "ticket", "both for one address");
}

#[test]
fn only_a_service_is_answered() {
    let server = start(&[]);
    let body = request(&server, 100, 100);
    let client = server.client();
    let missing = client.post("/v1/capabilities", &body);
    assert_eq!((missing.status, missing.problem()), (401, "service"));
    for wrong in ["x", &TOKEN[1..], "0123456789abcdef0123456789abcdeg", "# our product"] {
        assert_eq!(client.post_as("/v1/capabilities", wrong, &body).body, missing.body, "{wrong}");
    }
    // A credential that is taken out of the file is worth nothing after a reload.
    let other = "fedcba9876543210fedcba9876543210";
    server.folder.write("services", &format!("{other}\n"));
    server.reload("success");
    assert_eq!(client.post_as("/v1/capabilities", TOKEN, &body).problem(), "service");
    client.post_as("/v1/capabilities", other, &body).good();
    let none = Server::start(&[]);
    let refused = none.client().post_as("/v1/capabilities", TOKEN, &body);
    assert!(refused.body["detail"].as_str().unwrap().contains("--service-credentials"));
}

pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";
