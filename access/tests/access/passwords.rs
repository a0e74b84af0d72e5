//! Passwords under attack: budgets, equal answers, equal work, and logins that go on meanwhile.

use crate::person::{Person, device_request, fresh};
use crate::server::{PASSWORD, Server};
use ed25519_dalek::SigningKey;
use std::time::{Duration, Instant};

#[test]
fn t23_guessing_is_cut_off_the_same_for_accounts_that_are_not_there() {
    let server = Server::start(&[]);
    server.add_accounts(&["alice", "bob"]);
    let mut bob = Person::enrol(&server, "bob");
    let client = server.client();
    let key = SigningKey::from_bytes(&fresh());
    let guess =
        |name: &str, password: &str| client.post("/v1/devices", &device_request(name, password, &key));
    for name in ["alice", "nobody"] {
        let answers: Vec<_> = (0..14).map(|number| guess(name, &format!("wrong horse {number}"))).collect();
        let wrong = answers.iter().take_while(|it| it.problem() == "credentials").count();
        // One more may have come back while the first ones were judged.
        assert!((10..=11).contains(&wrong), "{wrong} tries of {name}");
        for cut in &answers[wrong..] {
            assert_eq!((cut.status, cut.problem()), (429, "budget"));
            assert!(cut.retry_after_s.is_some_and(|wait_s| (1..=60).contains(&wait_s)));
        }
    }
    assert_eq!(guess("alice", PASSWORD).problem(), "budget", "the right one is not told either");
    bob.login(&[]).good();
    let checks = |outcome: &str| {
        server.metrics().sum("reflector_access_password_checks_total", &[("outcome", outcome)])
    };
    assert!(
        checks("wrong") <= 22 && checks("budget") >= 6,
        "{} wrong, {} cut",
        checks("wrong"),
        checks("budget")
    );
}

#[test]
fn t23_an_unknown_account_costs_the_same_work_as_a_wrong_password() {
    let hash = access::accounts::password::hash(PASSWORD).unwrap();
    // A busy machine may spoil a round; without the work, the unknown one would take a thousandth in each of them.
    let mut rounds = Vec::new();
    let is_same = (0..5).any(|_| {
        let (known, unknown) = medians(&hash);
        rounds.push((known, unknown));
        unknown > known / 4 && unknown < known * 4
    });
    assert!(is_same, "{rounds:?}");
}

/// How long a wrong password takes for an account with this hash, and for one that is not there.
fn medians(hash: &str) -> (Duration, Duration) {
    let took = |hash: Option<&str>| {
        let started = Instant::now();
        assert!(!access::accounts::password::verify("wrong horse", hash));
        started.elapsed()
    };
    let (mut known, mut unknown): (Vec<Duration>, Vec<Duration>) = (Vec::new(), Vec::new());
    for _ in 0..9 {
        // Taken in turns, so that a busy machine slows both.
        known.push(took(Some(hash)));
        unknown.push(took(None));
    }
    known.sort();
    unknown.sort();
    (known[4], unknown[4])
}

#[test]
fn right_passwords_cost_no_budget() {
    let server = Server::start(&[]);
    server.add_accounts(&["alice"]);
    let key = SigningKey::from_bytes(&fresh());
    let client = server.client();
    for _ in 0..30 {
        client.post("/v1/devices", &device_request("alice", PASSWORD, &key)).good();
    }
}
