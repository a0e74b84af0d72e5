//! The description of the interface, held against what the server does: every path, method, status and field.
//!
//! * A value fits a schema when its type, its fields, their number and their texts do; a field that the schema does not
//!   name is an error also where the schema would let it pass, so that no answer grows in silence.

use crate::client::{Answer, Client};
use crate::person::{Person, device_request, fresh, proofs};
use crate::server::{PASSWORD, Server};
use ed25519_dalek::SigningKey;
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::collections::BTreeSet;

#[test]
fn every_call_is_as_it_is_described() {
    let server = crate::capabilities::start(&[]);
    server.add_accounts(&["alice", "bob"]);
    let client = server.client();
    let book = Book::read(&client);
    services(&book, &server);
    let contacts = [("fra1", "127.1.0.2:4002", 1), ("ams1", "127.1.0.2:4003", 1)];
    let bob = Person::login_at(&server, "bob", &contacts);
    let alice = Person::enrol(&server, "alice");
    devices(&book);
    let session = &sessions(&book, &server, &alice);
    profiles(&book, &server, &bob, session);
    privacy(&book, &server, &bob, session);
    buddies(&book, session);
    book.run("post", "/v1/logout", &[], Some(session), None, 204);
    book.run("post", "/v1/logout", &[], Some(session), None, 401);
    book.run("get", "/v1/openapi.json", &[], None, None, 200);
    book.malformed();
    book.is_read_whole();
}

fn services(book: &Book<'_>, server: &Server) {
    let ticket = |address: &str| server.tickets.ticket("fra1", address, 100);
    let tickets = [ticket("127.1.0.1:4001"), ticket("127.1.0.2:4002")];
    let body = json!({"reflector": "fra1", "tickets": tickets, "class": 1, "lifetime_s": 60});
    let service = Some(crate::capabilities::TOKEN);
    book.run("post", "/v1/capabilities", &[], service, Some(&body), 200);
    book.run("post", "/v1/capabilities", &[], None, Some(&body), 401);
    let mut sealed = body.clone();
    sealed["sealed"] = json!(true);
    let minted = book.run("post", "/v1/capabilities", &[], service, Some(&sealed), 200).body;
    let receipts = json!({"receipts": [minted["receipt"]]});
    let taken = book.run("post", "/v1/revocations", &[], service, Some(&receipts), 200).body;
    assert_eq!(taken, json!({"revoked": 1, "hosts": 0, "waiting": 0, "untold": ["fra1"]}));
    book.run("post", "/v1/revocations", &[], service, Some(&json!({"receipts": ["AAAA"]})), 400);
    book.run("post", "/v1/revocations", &[], None, Some(&receipts), 401);
    let mut foreign = body;
    foreign["reflector"] = json!("ams1");
    book.run("post", "/v1/capabilities", &[], service, Some(&foreign), 422);
}

fn devices(book: &Book<'_>) {
    let enrol = |name: &str, password: &str, status: u16| {
        let request = device_request(name, password, &SigningKey::from_bytes(&fresh()));
        book.run("post", "/v1/devices", &[], None, Some(&request), status);
    };
    enrol("alice", PASSWORD, 200);
    (0..10).for_each(|_| enrol("alice", "wrong horse", 401));
    enrol("alice", "wrong horse", 429);
    (1..16).for_each(|_| enrol("bob", PASSWORD, 200));
    enrol("bob", PASSWORD, 409);
}

/// Returns the session.
fn sessions(book: &Book<'_>, server: &Server, alice: &Person) -> String {
    book.run("post", "/v1/challenge", &[], None, Some(&json!({"device": alice.device})), 200);
    let contacts = proofs(server, &[("fra1", "127.1.0.1:4001", 1)]);
    let login = serde_json::to_value(alice.login_request(&contacts)).unwrap();
    let answer = book.run("post", "/v1/login", &[], None, Some(&login), 200);
    book.run("post", "/v1/login", &[], None, Some(&login), 401);
    let session = answer.body["session"].as_str().unwrap().to_owned();
    let ticket = server.tickets.ticket("fra1", "127.1.0.1:4001", 100);
    let wrong = json!([{"reflector": "ams1", "ticket": ticket, "rtt_us": 1}]);
    let mut other = alice.login_request(&contacts);
    other.contacts = serde_json::from_value(wrong.clone()).unwrap();
    let other = serde_json::to_value(alice.sign(other, "127.0.0.1")).unwrap();
    book.run("post", "/v1/login", &[], None, Some(&other), 422);
    let nat = json!({"mapping": "open", "filtering": "open"});
    let refresh = |bearer, body: &Value, status| {
        book.run("post", "/v1/refresh", &[], bearer, Some(body), status);
    };
    refresh(Some(session.as_str()), &json!({"contacts": contacts, "nat": nat}), 200);
    refresh(Some(session.as_str()), &json!({"contacts": wrong}), 422);
    refresh(Some(session.as_str()), &json!({}), 400);
    refresh(None, &json!({"contacts": []}), 401);
    session
}

fn profiles(book: &Book<'_>, server: &Server, bob: &Person, session: &str) {
    let look = |parts: &[(&str, &str)], bearer, status| {
        book.run("get", "/v1/profile", parts, bearer, None, status).body
    };
    let full = look(&[], Some(session), 200);
    let bobs = |profile: &Value| profile["buddies"][0]["devices"][0].clone();
    assert!(bobs(&full)["contacts"][0]["header"].is_string(), "the fullest profile is described");
    look(&[("?", &format!("version={}", full["version"]))], Some(session), 304);
    look(&[("?", "version=x")], Some(session), 400);
    look(&[], None, 401);
    bob.refresh(&proofs(server, &[("ams1", "127.1.0.2:4003", 1)])).good();
    assert_eq!(bobs(&look(&[], Some(session), 200))["probe"], "ams1");
}

/// Hides bob until his budget is spent, and then ends no friendship either.
fn privacy(book: &Book<'_>, server: &Server, bob: &Person, session: &str) {
    let hide = |bearer, hide: bool, status| {
        book.run("put", "/v1/privacy", &[], bearer, Some(&json!({"hide_address": hide})), status);
    };
    hide(None, true, 401);
    let his = bob.session.clone();
    hide(Some(&his), true, 200);
    let contacts = proofs(server, &[("ams1", "127.1.0.2:4004", 1)]);
    let refreshed =
        book.run("post", "/v1/refresh", &[], Some(&his), Some(&json!({"contacts": contacts})), 200);
    assert_eq!(refreshed.body["hide_address"], true);
    let seen = book.run("get", "/v1/profile", &[], Some(session), None, 200).body;
    let device =
        &seen["buddies"].as_array().unwrap().iter().find(|it| it["account"] == "bob").unwrap()["devices"][0];
    assert_eq!((&device["hidden"], &device["nat"]), (&json!(true), &Value::Null));
    assert_eq!(device["contacts"].as_array().unwrap().len(), 1);
    assert_eq!(device["contacts"][0]["address"], Value::Null);
    (1..16).for_each(|turn| hide(Some(&his), turn % 2 == 0, 200));
    hide(Some(&his), true, 429);
    book.run("delete", "/v1/buddies/{account}", &[("{account}", "alice")], Some(&his), None, 429);
}

fn buddies(book: &Book<'_>, session: &str) {
    let call = |method: &str, account: &str, bearer, status| {
        book.run(method, "/v1/buddies/{account}", &[("{account}", account)], bearer, None, status);
    };
    call("put", "bob", Some(session), 200);
    call("put", "alice", Some(session), 400);
    call("put", "bob", None, 401);
    call("delete", "bob", Some(session), 204);
    call("delete", "B", Some(session), 400);
    call("delete", "bob", None, 401);
    (0..512).for_each(|number| call("put", &format!("x{number}"), Some(session), 200));
    call("put", "bob", Some(session), 409);
}

/// The description, and what of it was met.
struct Book<'a> {
    client: &'a Client,
    text: Value,
    met: RefCell<BTreeSet<(String, String, u16)>>,
}

impl Book<'_> {
    fn read(client: &Client) -> Book<'_> {
        let text = client.call("GET", "/v1/openapi.json", None, None).good();
        let kept: Value = serde_json::from_str(access::http::api::OPENAPI).unwrap();
        assert_eq!(text, kept);
        assert_eq!(text["openapi"], "3.1.0");
        Book { client, text, met: RefCell::default() }
    }

    /// Makes a call, and asserts that request, status and answer are described.
    fn run(
        &self,
        method: &str,
        path: &str,
        parts: &[(&str, &str)],
        bearer: Option<&str>,
        body: Option<&Value>,
        status: u16,
    ) -> Answer {
        let call = &self.text["paths"][path][method];
        assert!(call.is_object(), "{method} {path} is not described");
        let mut real = path.to_owned();
        for (name, value) in parts {
            real = if *name == "?" { format!("{real}?{value}") } else { real.replace(name, value) };
        }
        let body_schema = &call["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!(body.is_some(), body_schema.is_object(), "{method} {path}");
        // Only a body that is refused for its form may differ from its description.
        if let Some(body) = body.filter(|_| status != 400) {
            self.fits(body, body_schema, &format!("request of {path}"));
        }
        let answer =
            self.client.call(&method.to_uppercase(), &real, bearer, body.map(Value::to_string).as_deref());
        assert_eq!(answer.status, status, "{method} {real}: {answer:?}");
        assert_eq!(call["security"].is_array(), self.is_guarded(call), "{method} {path}");
        let described = &call["responses"][status.to_string()];
        assert!(described.is_object(), "{method} {path}: {status} is not described");
        let media_type = if status >= 400 { "application/problem+json" } else { "application/json" };
        match &described["content"][media_type]["schema"] {
            Value::Null => assert_eq!(answer.body, Value::Null),
            schema if path != "/v1/openapi.json" => {
                self.fits(&answer.body, schema, &format!("answer of {path}"));
            }
            _ => {}
        }
        self.met.borrow_mut().insert((path.to_owned(), method.to_owned(), status));
        answer
    }

    fn is_guarded(&self, call: &Value) -> bool {
        let names = call["security"].as_array().into_iter().flatten().filter_map(Value::as_object);
        let schemes = self.text["components"]["securitySchemes"].as_object().unwrap();
        names.flat_map(Map::keys).filter(|name| schemes.contains_key(*name)).count() == 1
    }

    /// Sends bodies of the wrong form to every call that takes one.
    fn malformed(&self) {
        let paths = self.text["paths"].as_object().unwrap();
        let methods = ["post", "put"]
            .map(|method| paths.iter().map(move |(path, calls)| (path, method, &calls[method])));
        let takes = methods.into_iter().flatten().filter(|(.., call)| call["requestBody"].is_object());
        for (path, method, call) in takes {
            let services = ["/v1/capabilities", "/v1/revocations"];
            let bearer = if services.contains(&path.as_str()) { crate::capabilities::TOKEN } else { "" };
            for (body, status) in [(String::from("{}"), 400), (" ".repeat(20_000), 413)] {
                let answer = self.client.call(&method.to_uppercase(), path, Some(bearer), Some(&body));
                // A session is asked for first.
                let expected =
                    if ["/v1/refresh", "/v1/privacy"].contains(&path.as_str()) { 401 } else { status };
                assert_eq!(answer.status, expected, "{path}");
                assert!(call["responses"][status.to_string()].is_object());
                self.met.borrow_mut().insert((path.clone(), String::from(method), status));
            }
        }
    }

    /// Asserts that every status that is described was met, save those of a slow client, another media type, a device
    /// that was everywhere, a reflector that does not answer, or a server in trouble.
    fn is_read_whole(&self) {
        let elsewhere = ["202", "408", "415", "500", "503"];
        let everywhere =
            |path: &str, status: &str| status == "429" && ["/v1/login", "/v1/refresh"].contains(&path);
        let mut missing = Vec::new();
        for (path, methods) in self.text["paths"].as_object().unwrap() {
            for (method, call) in methods.as_object().unwrap() {
                for status in call["responses"].as_object().unwrap().keys() {
                    let met = (path.clone(), method.clone(), status.parse().unwrap());
                    let elsewhere = elsewhere.contains(&status.as_str()) || everywhere(path, status);
                    if !elsewhere && !self.met.borrow().contains(&met) {
                        missing.push(met);
                    }
                }
            }
        }
        assert!(missing.is_empty(), "described and never met: {missing:?}");
    }

    fn fits(&self, value: &Value, schema: &Value, place: &str) {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.strip_prefix("#/components/schemas/").unwrap();
            return self.fits(value, &self.text["components"]["schemas"][name], &format!("{place} {name}"));
        }
        match (schema["type"].as_str(), value) {
            (Some("object"), Value::Object(fields)) => {
                let known =
                    schema["properties"].as_object().unwrap_or_else(|| panic!("{place} has no fields"));
                for (name, value) in fields {
                    let schema =
                        known.get(name).unwrap_or_else(|| panic!("{place} has an undescribed {name}"));
                    self.fits(value, schema, &format!("{place}.{name}"));
                }
                for name in schema["required"].as_array().unwrap() {
                    assert!(fields.contains_key(name.as_str().unwrap()), "{place} lacks {name}");
                }
            }
            (Some("array"), Value::Array(items)) => {
                let bound = |name: &str, otherwise: u64| schema[name].as_u64().unwrap_or(otherwise);
                let number = items.len() as u64;
                assert!((bound("minItems", 0)..=bound("maxItems", u64::MAX)).contains(&number), "{place}");
                items.iter().for_each(|item| self.fits(item, &schema["items"], place));
            }
            (Some("integer"), Value::Number(number)) => {
                let number = number.as_u64().unwrap();
                let bound = |name: &str, otherwise: u64| schema[name].as_u64().unwrap_or(otherwise);
                assert!(
                    (bound("minimum", 0)..=bound("maximum", u64::MAX)).contains(&number),
                    "{place}: {number}"
                );
            }
            (Some("boolean"), Value::Bool(_)) => {}
            (Some("string"), Value::String(text)) => {
                let listed = schema["enum"].as_array().is_none_or(|words| words.contains(value));
                assert!(listed && matches(text, schema["pattern"].as_str()), "{place}: {text:?}");
            }
            (kind, value) => panic!("{place} is {value}, described as {kind:?}"),
        }
    }
}

/// Whether a text is as a pattern of the form `^[SET]{N}$`, `^[SET]{1,N}$` or `^[SET][SET]{0,N}$` says.
fn matches(text: &str, pattern: Option<&str>) -> bool {
    let Some(pattern) = pattern else { return true };
    let (sets, count) =
        pattern.strip_prefix('^').unwrap().strip_suffix("}$").unwrap().rsplit_once('{').unwrap();
    let most: usize = count.rsplit(',').next().unwrap().parse().unwrap();
    let extra = usize::from(count.starts_with("0,"));
    let last = sets.rsplit('[').next().unwrap().strip_suffix(']').unwrap();
    let in_set = |c: char| {
        c.is_ascii_alphanumeric() && (!c.is_ascii_uppercase() || last.contains("A-Z")) || last.contains(c)
    };
    let exact = !count.contains(',');
    let length = text.chars().count();
    text.chars().all(in_set) && if exact { length == most } else { (1..=most + extra).contains(&length) }
}
