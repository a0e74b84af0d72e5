//! Login, profile, refresh, logout and the ends of leases, as two or three people see them.

use crate::person::{Person, device_of, proofs};
use crate::server::Server;
use harness::{Signal, wait_until};
use serde_json::json;
use wire::json::profile::{BuddyState, Status};

#[test]
fn two_buddies_see_each_other_and_get_headers_that_relay_both_ways() {
    let server = Server::start(&[]);
    server.add_accounts(&["alice", "bob"]);
    let mut alice = Person::enrol(&server, "alice");
    let bob = Person::enrol(&server, "bob");
    assert_eq!(bob.device.to_string().len(), 22);
    let answer = alice.login(&proofs(&server, &[("fra1", "127.1.0.1:4001", 20_000)])).good();
    assert_eq!((answer["lease_s"].as_u64(), answer["keepalive_s"].as_u64()), (Some(120), Some(15)));
    assert_eq!(
        answer["reflectors"][0],
        json!({"name": "fra1", "addresses": ["127.9.9.1:1933"], "stun": "off"})
    );
    let shown = alice.sees("bob");
    assert_eq!((shown.status, shown.nat, shown.contacts.len()), (Status::Offline, None, 0));

    let mut bob = bob;
    bob.nat = String::from("apdm/apdf");
    bob.login(&proofs(&server, &[("fra1", "127.1.0.2:4002", 30_000)])).good();
    let bob_shown = alice.sees("bob");
    assert_eq!(bob_shown.status, Status::Online);
    assert_eq!(bob_shown.nat.unwrap().to_string(), "apdm/apdf");
    assert_eq!(bob_shown.noise_key.0.0, [9; 32]);
    assert_eq!(bob_shown.sign_key.unwrap().0.0, bob.key.verifying_key().to_bytes());
    let contact = &bob_shown.contacts[0];
    assert_eq!(contact.address.unwrap().to_string(), "127.1.0.2:4002");
    let header = contact.header.unwrap().to_string();
    assert_eq!(contact.header.unwrap().header().expires, contact.expires.unwrap());
    let relayed = |header: &str, from: &str| server.tickets.relays("fra1", header, from);
    assert_eq!(relayed(&header, "127.1.0.1:4001"), contact.address);
    assert_eq!(relayed(&header, "127.1.0.3:4001"), None, "from nowhere else");
    let back = bob.sees("alice").contacts[0].header.unwrap().to_string();
    assert_eq!(relayed(&back, "127.1.0.2:4002"), Some("127.1.0.1:4001".parse().unwrap()));
}

#[test]
fn what_is_minted_stands_in_the_audit_log() {
    let mut server = Server::start(&["--class", "5"]);
    server.add_accounts(&["alice", "bob"]);
    let alice = Person::login_at(&server, "alice", &[("fra1", "127.1.0.1:4001", 1)]);
    let bob = Person::login_at(&server, "bob", &[("fra1", "127.1.0.2:4002", 1)]);
    let shown = alice.sees("bob");
    assert_eq!(shown.contacts[0].header.unwrap().header().class_key, 5 << 4 | 3);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.exit_code(), Some(0));
    let lines = server.audit();
    let line = lines.iter().find(|line| line["call"] == "profile" && line["account"] == "alice").unwrap();
    assert_eq!(line["device"], alice.device.to_string());
    assert_eq!(line["class"], 5);
    let entry = json!({
        "reflector": "fra1",
        "from": "127.1.0.1:4001",
        "to": "127.1.0.2:4002",
        "account": "bob",
        "device": bob.device.to_string(),
        "expires": shown.contacts[0].expires.unwrap(),
    });
    assert_eq!(line["minted"], json!([entry]));
    assert!(lines.iter().all(|line| !line["minted"].as_array().unwrap().is_empty()));
}

#[test]
fn common_reflectors_come_first_by_the_sum_of_round_trips_and_without_one_the_nearest_is_named() {
    let server = Server::start(&[]);
    server.add_accounts(&["alice", "bob", "carol"]);
    let near = |fra1_us, ams1_us| [("fra1", "127.1.0.1:4001", fra1_us), ("ams1", "127.1.0.1:4002", ams1_us)];
    let alice = Person::login_at(&server, "alice", &near(10_000, 30_000));
    let bob = [("fra1", "127.1.0.2:4001", 50_000), ("ams1", "127.1.0.2:4002", 20_000)];
    let bob = Person::login_at(&server, "bob", &bob);
    let order = |person: &Person, name: &str| -> Vec<(String, bool)> {
        let contacts = person.sees(name).contacts;
        contacts.iter().map(|it| (it.reflector.to_string(), it.header.is_some())).collect()
    };
    let both = [(String::from("ams1"), true), (String::from("fra1"), true)];
    assert_eq!(order(&alice, "bob"), both, "50 ms together, not 60");
    assert_eq!(order(&bob, "alice"), both);
    bob.refresh(&proofs(&server, &[("fra1", "127.1.0.2:4001", 50_000)])).good();
    let carol = Person::login_at(&server, "carol", &[("ams1", "127.1.0.3:4001", 5_000)]);
    assert_eq!(order(&bob, "carol"), [(String::from("ams1"), false)]);
    assert_eq!(bob.sees("carol").probe.unwrap().as_str(), "ams1");
    assert_eq!(carol.sees("bob").probe, None, "carol is there already");
    bob.refresh(&proofs(&server, &[("ams1", "127.1.0.2:4002", 9_000), ("fra1", "127.1.0.2:4001", 1)])).good();
    assert_eq!(order(&bob, "carol"), [(String::from("ams1"), true)]);
    assert_eq!((bob.sees("carol").probe, order(&carol, "bob").len()), (None, 2));
}

#[test]
fn a_profile_says_304_until_something_changes() {
    let server = Server::start(&[]);
    server.add_accounts(&["alice", "bob"]);
    let alice = Person::login_at(&server, "alice", &[("fra1", "127.1.0.1:4001", 1)]);
    let version = || alice.profile().version;
    let at = |version: u64| alice.call("GET", &format!("/v1/profile?version={version}"));
    let first = version();
    assert_eq!(at(first).status, 304);
    assert_eq!(at(first + 1).status, 200);
    alice.refresh(&proofs(&server, &[("fra1", "127.1.0.1:4001", 1)])).good();
    assert_eq!(at(first).status, 304, "the same address is no change");
    let bob = Person::login_at(&server, "bob", &[("fra1", "127.1.0.2:4002", 1)]);
    let second = at(first).good()["version"].as_u64().unwrap();
    assert!(second > first);
    bob.refresh(&proofs(&server, &[("fra1", "127.1.0.2:4003", 1)])).good();
    assert_eq!(at(second).status, 200, "a mapping changed");
    assert_eq!(alice.sees("bob").contacts[0].address.unwrap().to_string(), "127.1.0.2:4003");
    let third = version();
    assert_eq!(bob.call("POST", "/v1/logout").status, 204);
    assert_eq!(at(third).status, 200);
    assert_eq!(alice.sees("bob").status, Status::Offline);
    assert!(alice.sees("bob").incarnation.is_some(), "so that notices of that life are known to be over");
    assert_eq!(bob.call("GET", "/v1/profile").problem(), "session");
}

#[test]
fn a_lease_that_is_not_renewed_ends_for_everybody() {
    let server = Server::start(&["--lease", "2s"]);
    server.add_accounts(&["alice", "bob"]);
    let mut alice = Person::login_at(&server, "alice", &[("fra1", "127.1.0.1:4001", 1)]);
    let bob = Person::login_at(&server, "bob", &[("fra1", "127.1.0.2:4002", 1)]);
    let renew = |alice: &mut Person| {
        let contacts = proofs(&server, &[("fra1", "127.1.0.1:4001", 1)]);
        if alice.refresh(&contacts).status != 200 {
            alice.login(&contacts).good();
        }
    };
    wait_until("bob's lease does not end", || {
        renew(&mut alice);
        // On a busy machine alice's own lease may have ended since.
        alice.try_profile().is_some_and(|profile| device_of(profile, "bob").status == Status::Offline)
    });
    assert_eq!(bob.refresh(&[]).problem(), "session");
    assert_eq!(bob.call("GET", "/v1/profile").problem(), "session");
    wait_until("the end is not counted", || {
        server.metrics().sum("reflector_access_ended_leases_total", &[]) >= 1
    });
}

#[test]
fn a_new_login_ends_the_old_session_and_a_restart_ends_all() {
    let server = Server::start(&[]);
    server.add_accounts(&["alice", "bob"]);
    let mut alice = Person::enrol(&server, "alice");
    let first = alice.login(&[]).good();
    let old = alice.session.clone();
    let second = alice.login(&[]).good();
    assert!(second["incarnation"].as_u64() > first["incarnation"].as_u64());
    assert_ne!(old, alice.session);
    assert_eq!(alice.client.call("GET", "/v1/profile", Some(&old), None).problem(), "session");
    let (version, incarnation) = (alice.profile().version, second["incarnation"].as_u64().unwrap());
    let server = Server::start_in(server.kill(), &[]);
    alice.client = server.client();
    assert_eq!(alice.call("GET", "/v1/profile").problem(), "session");
    let again = alice.login(&[]).good();
    assert!(again["incarnation"].as_u64().unwrap() > incarnation, "later logins outrank earlier ones");
    assert!(alice.profile().version > version, "versions grow across restarts");
}

#[test]
fn friendship_needs_both_and_one_ends_it() {
    let server = Server::start(&[]);
    server.add_accounts(&["alice"]);
    server.add_accounts(&["bob"]);
    let alice = Person::login_at(&server, "alice", &[("fra1", "127.1.0.1:4001", 1)]);
    let bob = Person::login_at(&server, "bob", &[("fra1", "127.1.0.2:4002", 1)]);
    let state = |person: &Person| person.profile().buddies.first().map(|it| (it.state, it.devices.len()));
    assert_eq!((state(&alice), state(&bob)), (None, None));
    let asked = alice.call("PUT", "/v1/buddies/bob").good();
    assert_eq!(asked, json!({"account": "bob", "state": "asked", "devices": []}));
    assert_eq!(
        alice.call("PUT", "/v1/buddies/nobody").good()["state"],
        "asked",
        "which tells nothing of nobody"
    );
    assert_eq!(alice.call("DELETE", "/v1/buddies/nobody").status, 204);
    assert_eq!(state(&alice), Some((BuddyState::Asked, 0)));
    assert_eq!(state(&bob), Some((BuddyState::AskedBy, 0)));
    let agreed = bob.call("PUT", "/v1/buddies/alice").good();
    assert_eq!(agreed["state"], "agreed");
    assert!(agreed["devices"][0]["contacts"][0]["header"].is_string(), "and can be written to at once");
    assert_eq!(state(&alice), Some((BuddyState::Agreed, 1)));
    assert_eq!(bob.call("DELETE", "/v1/buddies/alice").status, 204);
    assert_eq!((state(&alice), state(&bob)), (None, None));
    for (path, problem) in [("/v1/buddies/alice", "malformed"), ("/v1/buddies/A%20B", "malformed")] {
        assert_eq!(alice.call("PUT", path).problem(), problem);
    }
}

#[test]
fn of_many_logins_at_once_each_has_a_number_of_its_own_and_one_session_stays() {
    let server = Server::start(&[]);
    server.add_accounts(&["alice", "bob"]);
    let bob = Person::login_at(&server, "bob", &[]);
    let alice = Person::enrol(&server, "alice");
    let log_in = || {
        let (client, contacts) = (server.client(), proofs(&server, &[("fra1", "127.1.0.1:4001", 1)]));
        let person = Person {
            client,
            key: alice.key.clone(),
            device: alice.device,
            session: String::new(),
            nat: alice.nat.clone(),
        };
        let mut let_in: Vec<(u64, String)> = Vec::new();
        for _ in 0..20 {
            let request = serde_json::to_value(person.login_request(&contacts)).unwrap();
            let answer = person.client.post("/v1/login", &request);
            if answer.status != 200 {
                // Another's nonce was newer.
                assert_eq!(answer.problem(), "login");
                continue;
            }
            let text = |name: &str| answer.body[name].as_str().unwrap().to_owned();
            let number = answer.body["incarnation"].as_u64().unwrap();
            let_in.push((number, text("session")));
            // A refresh says the number of its own login, or that the session has ended.
            let refreshed =
                person.client.post_as("/v1/refresh", &text("session"), &serde_json::json!({"contacts": []}));
            assert!(refreshed.status == 401 || refreshed.body["incarnation"] == number, "{refreshed:?}");
        }
        assert!(let_in.is_sorted(), "a later login has a greater number");
        let_in
    };
    let mut all: Vec<(u64, String)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(log_in)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    all.sort();
    assert!(all.windows(2).all(|pair| pair[0].0 < pair[1].0), "two logins have one number");
    let runs = |session: &str| alice.client.call("GET", "/v1/profile", Some(session), None).status == 200;
    let running: Vec<_> = all.iter().filter(|(_, session)| runs(session)).collect();
    assert_eq!(running, [all.last().unwrap()], "the last login's session, and no other");
    assert_eq!(bob.sees("alice").incarnation, Some(running[0].0));
}
