//! The real programs together on loopback, as a user would run them: access server, reflectors, endpoints.
//!
//! * Needs no root. Under cargo the other programs are built before the first test.
//! * Waits are bounds, not measurements.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../cli/folder.rs"]
mod folder;
mod site;

use folder::text;
use harness::{Signal, Suite, wait_until, wait_until_or};
use site::Site;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut suite = Suite::new();
    suite.add("two_see_each_other_talk_and_notice_a_crash", &[], two_see_each_other_talk_and_notice_a_crash);
    suite.add(
        "an_access_server_that_was_killed_is_logged_in_at_again",
        &[],
        a_killed_access_server_is_missed_by_nobody,
    );
    suite.add("a_reflector_that_was_killed_is_replaced", &[], a_killed_reflector_is_replaced);
    suite.add("nat_says_what_two_reflectors_show", &[], nat_says_what_two_reflectors_show);
    suite.run()
}

fn two_see_each_other_talk_and_notice_a_crash() {
    // Short, so that its end comes soon, and long enough for one who is held up for two seconds: a device whose own lease
    // has ended does not believe for a minute that others have gone.
    let site = Site::start("crash", &["--lease", "6s"]);
    let mut alice = site.folder.start(0, &["up"]);
    let mut bob = site.folder.start(1, &["up"]);
    alice.wait_for("host1 is online");
    bob.wait_for("host0 is online");
    let mut watch = site.folder.start(0, &["watch"]);
    watch.wait_for("host1            online");

    // Before anybody has spoken the way is the reflector's: both are behind one address.
    let mut status = status(&site);
    wait_until("it is not reflected", || {
        status = crate::status(&site);
        status["buddies"][0]["path"] == "reflected"
    });
    assert_eq!(status["buddies"][0]["why"], "shared-address");
    let via = status["buddies"][0]["to"].as_str().unwrap().parse().unwrap();
    assert!(site.reflectors().contains(&via), "{status}");
    assert_eq!(status["contacts"].as_array().unwrap().len(), 2);
    assert!(status["buddies"][0]["expires_in_s"].as_i64().unwrap() > 200, "{status}");

    let sent = site.folder.run(0, &["send", "host1", "hello bob"]);
    assert!(sent.status.success() && text(&sent.stderr) == "host1 has it\n", "{}", text(&sent.stderr));
    bob.wait_for("host0 says: hello bob");
    let sent = site.folder.run(1, &["send", "host0", "hello alice"]);
    assert!(sent.status.success(), "{}", text(&sent.stderr));
    alice.wait_for("host1 says: hello alice");
    // They talk now, so a direct path is sought, and found: nothing lies between.
    alice.wait_for("host1 is reached directly");
    let shown = || text(&site.folder.run(0, &["status", "host1"]).stdout);
    let is_direct = |shown: &str| shown.contains("direct ") && shown.contains("a direct path answered");
    wait_until_or(|| is_direct(&shown()), || format!("not direct: {}", shown()));

    bob.kill();
    alice.wait_for("host1 is offline");
    watch.wait_for("host1            offline");
    wait_until_or(|| shown().contains("offline"), || format!("still online: {}", shown()));
    // What the crashed one left behind does not keep it from starting again.
    let mut bob = site.folder.start(1, &["up"]);
    bob.wait_for("host0 is online");
    // The table goes first: it would log in as soon as nobody is there whom it could ask.
    drop(watch);
    alice.signal(Signal::SIGTERM);
    bob.wait_for("host0 is offline");
}

fn a_killed_access_server_is_missed_by_nobody() {
    // A refresh comes at half of a lease, so a short lease shows the outage soon. But on a busy machine somebody may be
    // held up until a short lease is over, and go offline as it should be; a longer one tells that from a fault.
    let nobody_went = |lease: &&str| is_missed_by_nobody(lease);
    let told = ["2s", "10s", "60s"].iter().any(nobody_went);
    assert!(told, "somebody was shown as offline because the access server was");
}

/// Kills the access server and starts it again; false if somebody was shown as offline.
fn is_missed_by_nobody(lease: &str) -> bool {
    let mut site = Site::start("access", &["--lease", lease]);
    let mut alice = site.folder.start(0, &["up"]);
    let mut bob = site.folder.start(1, &["up"]);
    alice.wait_for("host1 is online");
    bob.wait_for("host0 is online");
    site.kill_access();
    alice.wait_for("trying again");
    bob.wait_for("trying again");
    let sent = site.folder.run(0, &["send", "host1", "still here"]);
    assert!(sent.status.success(), "{}", text(&sent.stderr));
    bob.wait_for("host0 says: still here");
    assert!(status(&site)["access_failure"].is_string());
    site.start_access();
    let healed = || status(&site)["access_failure"].is_null();
    wait_until_or(healed, || format!("not logged in again: {}", alice.said()));
    let online = status(&site)["buddies"][0]["online"] == true;
    online && !alice.said().contains("offline")
}

fn a_killed_reflector_is_replaced() {
    // A PROBE each second, so that silence shows soon.
    let mut site = Site::start("reflector", &["--keepalive", "1s"]);
    let mut alice = site.folder.start(0, &["up"]);
    let mut bob = site.folder.start(1, &["up"]);
    alice.wait_for("host1 is online");
    bob.wait_for("host0 is online");
    let dead = site.kill_reflector();
    let left = site.reflectors();
    let answers = |address: &str| {
        let status = status(&site);
        let contacts = status["contacts"].as_array().unwrap();
        contacts.iter().any(|it| it["address"] == address && it["answers"] == true)
    };
    let (dead, left) = (dead.to_string(), left[0].to_string());
    wait_until_or(|| !answers(&dead), || format!("still believed in: {}", status(&site)));
    wait_until_or(|| answers(&left), || format!("not believed in: {}", status(&site)));
    let sent = site.folder.run(0, &["send", "host1", "another way"]);
    assert!(sent.status.success(), "{}", text(&sent.stderr));
    bob.wait_for("host0 says: another way");
}

fn nat_says_what_two_reflectors_show() {
    let site = Site::start("nat", &[]);
    let reflectors = site.reflectors();
    let said = text(&site.folder.run(0, &["nat"]).stdout);
    assert!(
        said.contains("mapping    eim, endpoint-independent: one external port towards everybody\n"),
        "{said}"
    );
    assert!(said.contains("filtering  apdf") && said.contains("(not found out"), "{said}");
    assert!(said.contains("address    127.0.0.1:"), "{said}");
    // One reflector shows no mapping.
    let said = text(&site.folder.run(7, &["nat", "--reflector", &reflectors[0].to_string()]).stdout);
    assert_eq!(said.matches("(not found out").count(), 2, "{said}");
    // A socket that answers nothing, and keeps others from answering there.
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let silent = site.folder.run(7, &["nat", "--reflector", &address]);
    assert_eq!(silent.status.code(), Some(1));
    let said = text(&silent.stderr);
    assert!(said.contains(&format!("is UDP to {address} blocked here?")), "{said}");
}

/// What alice's running endpoint says of itself.
fn status(site: &Site) -> serde_json::Value {
    let output = site.folder.run(0, &["status", "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
