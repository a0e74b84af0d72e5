//! T33: rights that were given are taken back at once, at a running reflector, and stay taken back over a restart.

use crate::rig::daemon::{Folder, Reflector, program};
use crate::rig::protocol::{SEALED_SEND, SEND, now_s};
use crate::rig::traffic::{Endpoint, own_address, settled};
use engine::socket::kind::Kind;
use harness::Signal;
use http::{Answer, Call, Client, Limits, Method};
use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use std::time::{Duration, Instant};
use wire::json::revocations::RevocationsAnswer;

pub(crate) fn t33_what_is_revoked_is_relayed_no_more_and_everybody_else_is(kind: Kind) {
    let reflector = start(folder(), &["--engine", kind.as_str()]);
    let [alice, bob, carol] =
        ["127.0.0.1:0", "127.0.0.2:0", "127.0.0.3:0"].map(|it| Endpoint::new(it, &reflector));
    let key = reflector.key;
    let headers = |from: &Endpoint, to: &Endpoint| {
        let until = now_s() + 500;
        [
            key.send_header(0, until, from.address, to.address),
            key.sealed_header(0, until, from.address, to.address),
        ]
    };
    let arrives = |from: &Endpoint, to: &Endpoint| {
        for header in headers(from, to) {
            from.send(&header);
            assert_eq!(to.receive()[0], header[0] + 1);
        }
    };
    let is_lost = |from: &Endpoint, to: &Endpoint| {
        headers(from, to).iter().for_each(|header| from.send(header));
        from.fence();
        to.assert_silence();
    };
    arrives(&alice, &bob);
    arrives(&alice, &carol);
    assert_eq!(revoke(&reflector, &[alice.address, bob.address]).status.code(), Some(0));
    is_lost(&alice, &bob);
    is_lost(&bob, &alice);
    arrives(&alice, &carol);
    arrives(&carol, &alice);
    assert_eq!(revoke(&reflector, &[alice.address]).status.code(), Some(0));
    is_lost(&alice, &carol);
    is_lost(&carol, &alice);
    arrives(&carol, &bob);
    let page = settled(&reflector, &[&alice, &bob, &carol]);
    assert_eq!((page.dropped("revoked"), page.relayed()), (8, 10));
    assert_eq!(page.sum("reflector_revoked_entries", &[("subject", "pair")]), 1);
    assert_eq!(page.sum("reflector_revoked_entries", &[("subject", "address")]), 1);
    assert_eq!(page.sum("reflector_revocation_requests_total", &[("outcome", "done")]), 2);
}

pub(crate) fn t33_a_running_conversation_ends_within_a_second(kind: Kind) {
    let reflector = start(folder(), &["--engine", kind.as_str()]);
    let key = reflector.key;
    for answer in [SEND, SEALED_SEND] {
        // Others for each, because an address stays revoked.
        let [alice, bob] = ["127.0.0.1:0", "127.0.0.2:0"].map(|it| Endpoint::new(it, &reflector));
        let (until, ends) = (now_s() + 100, (alice.address, bob.address));
        let first = match answer {
            SEND => key.send_header(0, until, ends.0, ends.1),
            _ => key.sealed_header(0, until, ends.0, ends.1),
        };
        // Both keep each other's right alive, as two do who collude.
        alice.send(&first);
        for _ in 0..50 {
            for (from, to) in [(&bob, &alice), (&alice, &bob)] {
                let received = from.receive();
                from.send(&[&[answer][..], &received[1..32]].concat());
                let _ = to;
            }
        }
        let last = bob.receive();
        let answered = [&[answer][..], &last[1..32]].concat();
        let begun = Instant::now();
        assert!(revoke(&reflector, &[bob.address]).status.success());
        let took = begun.elapsed();
        bob.send(&answered);
        bob.fence();
        alice.assert_silence();
        assert!(took < Duration::from_secs(60), "{took:?}: it hangs");
    }
}

pub(crate) fn t33_a_restart_forgets_nothing(kind: Kind) {
    let at = own_address(kind, 96).to_string();
    let flags =
        ["--engine", kind.as_str(), "--listen", &at, "--workers", "1", "--allow-destination", "127.0.0.0/8"];
    let mut reflector = start_bare(folder(), &flags);
    let [alice, bob] = ["127.0.0.1:0", "127.0.0.2:0"].map(|it| Endpoint::new(it, &reflector));
    let header = reflector.key.send_header(0, now_s() + 500, alice.address, bob.address);
    assert!(revoke(&reflector, &[bob.address, alice.address]).status.success());
    let before = id_of_start(&reflector);
    reflector.signal(Signal::SIGKILL);
    reflector.exit_code();
    let again = start_bare(reflector.into_folder(), &flags);
    alice.send(&header);
    alice.fence();
    bob.assert_silence();
    assert_eq!(settled(&again, &[&alice]).dropped("revoked"), 1);
    assert_ne!(id_of_start(&again), before, "who sends revocations notices the restart");
}

pub(crate) fn what_is_not_asked_rightly_is_refused_with_a_problem() {
    let reflector = start(folder(), &[]);
    let ask = |token: Option<&str>, body: &str| {
        let bearer = token.map(String::from);
        let json = Some(Vec::from(body));
        call(&reflector, Call { method: Method::POST, path: "/v1/revocations", bearer, json })
    };
    let good = r#"{"revoke":[["198.51.100.7:4000"]]}"#;
    let many = format!(r#"{{"revoke":[{}]}}"#, vec![r#"["1.2.3.4:5"]"#; 4_097].join(","));
    let long = format!(r#"{{"revoke":[{}]}}"#, " ".repeat(600_000));
    for (token, body, status, words) in [
        (None, good, 401, "--admin-token"),
        (Some("0123456789abcdef0123456789abcdeX"), good, 401, "--admin-token"),
        (Some(""), good, 401, "--admin-token"),
        (Some(TOKEN), "", 400, "expected {"),
        (Some(TOKEN), r#"{"revoke":[["198.51.100.7"]]}"#, 400, "\"198.51.100.7\" is no transport address"),
        (Some(TOKEN), r#"{"revoke":[[]]}"#, 400, "expected one ADDR:PORT"),
        (Some(TOKEN), r#"{"revoke":[],"age_s":721}"#, 400, "older than 720 s"),
        (Some(TOKEN), &many, 413, "at most 4096"),
        (Some(TOKEN), &long, 413, "bytes"),
    ] {
        let answer = ask(token, body);
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, status, "{text}");
        let problem: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(problem["detail"].as_str().unwrap().contains(words), "{text}");
    }
    assert_eq!(reflector.metrics().sum("reflector_revoked_entries", &[]), 0);
    let answer = ask(Some(TOKEN), good);
    let said: RevocationsAnswer = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status, said.entries, said.pairs), (200, 1, 0));
    // A token that is put into the file is good from then on.
    reflector.folder.write("tokens", &format!("{TOKEN}\n{OTHER_TOKEN}\n"));
    permit(&reflector.folder, 0o600);
    assert_eq!(ask(Some(OTHER_TOKEN), good).status, 200);
    // Without a token nobody learns what is revoked.
    let show = |bearer: Option<&str>| {
        let bearer = bearer.map(String::from);
        call(&reflector, Call { bearer, ..Call::get("/v1/revocations") }).status
    };
    assert_eq!((show(None), show(Some(TOKEN))), (401, 200));
    let (_, config) = reflector.get("/config");
    assert!(config.contains("\"entries\": 1") && !config.contains(TOKEN) && !config.contains("198.51.100.7"));
}

pub(crate) fn a_full_table_says_so() {
    let reflector = start(folder(), &[]);
    let mut refused = 0;
    for part in 0..9_u16 {
        let pair = |at: u16| format!(r#"["45.{part}.{}.{}:4000","46.0.0.1:4000"]"#, at >> 8, at & 255);
        let body = format!(r#"{{"revoke":[{}]}}"#, (0..4_096).map(pair).collect::<Vec<_>>().join(","));
        let (bearer, json) = (Some(String::from(TOKEN)), Some(body.into_bytes()));
        let answer = call(&reflector, Call { method: Method::POST, path: "/v1/revocations", bearer, json });
        if answer.status == 507 {
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(text.contains("4096 of 4096 did not fit") && text.contains("32768 pairs"), "{text}");
            refused += 1;
        }
    }
    assert_eq!(refused, 1);
    assert_eq!(reflector.metrics().sum("reflector_revoked_entries", &[("subject", "pair")]), 32_768);
}

pub(crate) fn the_command_says_what_is_wrong() {
    let folder = folder();
    let path = folder.path().display().to_string();
    let tokens = format!("{path}/tokens");
    let run = |arguments: &[&str]| program().arg("revoke").args(arguments).output().unwrap();
    for (arguments, code, words) in [
        (&["198.51.100.7:1"][..], 2, "--admin-token FILE is missing"),
        (&["198.51.100.7", "--admin-token", &tokens], 2, "is no transport address"),
        (&["1.2.3.4:5", "--admin-token", "/nowhere"], 78, "--admin-token /nowhere"),
        (
            &["1.2.3.4:5", "--admin-token", &tokens, "--admin", "127.0.0.1:1"],
            1,
            "the admin server at 127.0.0.1:1",
        ),
    ] {
        let output = run(arguments);
        let line = String::from_utf8(output.stderr).unwrap();
        assert!(line.lines().count() == 1 && line.contains(words), "{line}");
        assert_eq!(output.status.code(), Some(code), "{line}");
    }
    let reflector = Reflector::start(&[]);
    let admin = reflector.admin.to_string();
    let output = run(&["1.2.3.4:5", "--admin-token", &tokens, "--admin", &admin]);
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(1) && line.contains("404") && line.contains("--revocations"),
        "{line}"
    );
}

pub(crate) fn revoking_is_refused_where_a_token_would_travel_in_the_clear() {
    let folder = folder();
    folder.write("ring.toml", &reflector_ring());
    let run = |flags: &[&str]| {
        let mut command = program();
        command.current_dir(folder.path()).args(["run", "--listen", "127.0.0.1:0", "--keys", "ring.toml"]);
        command.args(flags).output().unwrap()
    };
    let both = ["--admin-token", "tokens", "--revocations", "revocations"];
    for (flags, words) in [
        (["--admin-token", "tokens"].to_vec(), "--revocations FILE"),
        (["--revocations", "revocations"].to_vec(), "--admin-token FILE"),
        ([&both[..], &["--admin", "198.51.100.7:9464"]].concat(), "--admin-tls-cert"),
        ([&both[..], &["--admin", "0.0.0.0:9464"]].concat(), "--admin-tls-cert"),
        (["--admin-tls-cert", "cert.pem"].to_vec(), "--admin-tls-key FILE"),
    ] {
        let output = run(&flags);
        let line = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && line.contains(words), "{line}");
    }
    permit(&folder, 0o644);
    let output = run(&both);
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(78) && line.contains("chmod o="), "{line}");
    folder.write("tokens", "short\n");
    permit(&folder, 0o600);
    let line = String::from_utf8(run(&both).stderr).unwrap();
    assert!(line.contains("fewer than 32 characters"), "{line}");
}

/// A folder with a file of tokens that only its owner can read.
fn folder() -> Folder {
    let folder = Folder::new("reflector-test");
    folder.write("tokens", &format!("# who mints\n{TOKEN}\n"));
    permit(&folder, 0o600);
    folder
}

fn permit(folder: &Folder, mode: u32) {
    std::fs::set_permissions(folder.file("tokens"), Permissions::from_mode(mode)).unwrap();
}

fn start(folder: Folder, flags: &[&str]) -> Reflector {
    let common = ["--listen", "127.0.0.1:0", "--workers", "1", "--allow-destination", "127.0.0.0/8"];
    start_bare(folder, &[&common, flags].concat())
}

fn start_bare(folder: Folder, flags: &[&str]) -> Reflector {
    let revoking = ["--admin-token", "{folder}/tokens", "--revocations", "{folder}/revocations"];
    Reflector::start_in(folder, &[&revoking, flags].concat())
}

fn reflector_ring() -> String {
    String::from("[[key]]\nid = 1\nsecret = \"0102030405060708090a0b0c0d0e0f10\"\n")
}

/// `reflector revoke` for one address, or for a pair.
fn revoke(reflector: &Reflector, subject: &[SocketAddr]) -> Output {
    let mut command = program();
    command.arg("revoke").args(subject.iter().map(ToString::to_string));
    command
        .args(["--admin", &reflector.admin.to_string(), "--admin-token"])
        .arg(reflector.folder.file("tokens"));
    let output = command.output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn id_of_start(reflector: &Reflector) -> String {
    let call_ = Call { bearer: Some(String::from(TOKEN)), ..Call::get("/v1/revocations") };
    let answer: RevocationsAnswer = serde_json::from_slice(&call(reflector, call_).body).unwrap();
    assert_eq!(answer.entries, 1);
    answer.start_id
}

fn call(reflector: &Reflector, call: Call<'_>) -> Answer {
    let limits = Limits { patience: Duration::from_secs(60), most_bytes: 64 << 10 };
    let client = Client::at(reflector.admin, limits);
    http::wait(async move { client.call(call).await }).unwrap()
}

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const OTHER_TOKEN: &str = "fedcba9876543210fedcba9876543210";
