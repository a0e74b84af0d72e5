//! The real programs together on loopback, as a user would run them: access server, reflectors, endpoints.
//!
//! * Needs no root. Where the other programs were not built beside this test it is `ignored` and says so; with the
//!   variable NOTHING_IGNORED set, it fails and says so.
//! * Waits are bounds, not measurements.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../endpoint/folder.rs"]
mod folder;
mod site;

use folder::{text, wait};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use site::{Programs, Site};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

fn main() -> ExitCode {
    let trials = vec![
        trial("two_see_each_other_talk_and_notice_a_crash", two_see_each_other_talk_and_notice_a_crash),
        trial(
            "an_access_server_that_was_killed_is_logged_in_at_again",
            a_killed_access_server_is_missed_by_nobody,
        ),
        trial("a_reflector_that_was_killed_is_replaced", a_killed_reflector_is_replaced),
        trial("nat_says_what_two_reflectors_show", nat_says_what_two_reflectors_show),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn two_see_each_other_talk_and_notice_a_crash(programs: &Programs) {
    let site = Site::start(programs, "crash");
    let alice = site.folder.start(0, &["up"]);
    let mut bob = site.folder.start(1, &["up"]);
    alice.wait_for("host1 is online");
    bob.wait_for("host0 is online");
    let watch = site.folder.start(0, &["watch"]);
    watch.wait_for("host1            online");

    // Before anybody has spoken the way is the reflector's: both are behind one address.
    let status = status(&site);
    assert_eq!(status["buddies"][0]["path"], "reflected", "{status}");
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
    let shown = text(&site.folder.run(0, &["status", "host1"]).stdout);
    assert!(shown.contains("direct ") && shown.contains("a direct path answered"), "{shown}");

    bob.child.kill().unwrap();
    bob.child.wait().unwrap();
    alice.wait_for("host1 is offline");
    watch.wait_for("host1            offline");
    let late = site.folder.run(0, &["status", "host1"]);
    assert!(text(&late.stdout).contains("offline"));
    // What the crashed one left behind does not keep it from starting again.
    let bob = site.folder.start(1, &["up"]);
    bob.wait_for("host0 is online");
    // The table goes first: it would log in as soon as nobody is there whom it could ask.
    drop(watch);
    alice.signal("TERM");
    bob.wait_for("host0 is offline");
}

fn a_killed_access_server_is_missed_by_nobody(programs: &Programs) {
    let mut site = Site::start(programs, "access");
    let alice = site.folder.start(0, &["up"]);
    let bob = site.folder.start(1, &["up"]);
    alice.wait_for("host1 is online");
    bob.wait_for("host0 is online");
    site.kill_access();
    alice.wait_for("trying again");
    bob.wait_for("trying again");
    let sent = site.folder.run(0, &["send", "host1", "still here"]);
    assert!(sent.status.success(), "{}", text(&sent.stderr));
    bob.wait_for("host0 says: still here");
    assert!(status(&site)["access_failure"].is_string());
    site.start_access(programs);
    let healed = || status(&site)["access_failure"].is_null();
    wait(healed, || format!("not logged in again: {}", alice.said()));
    assert_eq!(status(&site)["buddies"][0]["online"], true);
    assert!(!alice.said().contains("offline"), "{}", alice.said());
}

fn a_killed_reflector_is_replaced(programs: &Programs) {
    let mut site = Site::start(programs, "reflector");
    let alice = site.folder.start(0, &["up"]);
    let bob = site.folder.start(1, &["up"]);
    alice.wait_for("host1 is online");
    bob.wait_for("host0 is online");
    let dead = site.kill_reflector();
    let left = site.reflectors();
    let answers = |status: &serde_json::Value, address: &str| {
        let contacts = status["contacts"].as_array().unwrap();
        contacts.iter().any(|it| it["address"] == address && it["answers"] == true)
    };
    let noticed = || !answers(&status(&site), &dead.to_string());
    wait(noticed, || format!("still believed in: {}", status(&site)));
    assert!(answers(&status(&site), &left[0].to_string()), "{}", status(&site));
    let sent = site.folder.run(0, &["send", "host1", "another way"]);
    assert!(sent.status.success(), "{}", text(&sent.stderr));
    bob.wait_for("host0 says: another way");
}

fn nat_says_what_two_reflectors_show(programs: &Programs) {
    let site = Site::start(programs, "nat");
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
    let silent = site.folder.run(7, &["nat", "--reflector", "127.0.0.1:9"]);
    assert_eq!(silent.status.code(), Some(1));
    assert!(text(&silent.stderr).contains("is UDP to 127.0.0.1:9 blocked here?"), "{}", text(&silent.stderr));
}

/// What alice's running endpoint says of itself.
fn status(site: &Site) -> serde_json::Value {
    let output = site.folder.run(0, &["status", "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A trial that runs where the programs are.
fn trial(name: &str, work: fn(&Programs)) -> Trial {
    Trial::ignorable_test(name, move || match Programs::find() {
        Err(reason) if std::env::var_os("NOTHING_IGNORED").is_some() => Err(Failed::from(reason)),
        Err(reason) => Ok(Completion::ignored_with(reason)),
        Ok(programs) => {
            let outcome = catch_unwind(AssertUnwindSafe(|| work(&programs))).map(|()| Completion::Completed);
            outcome.map_err(|panic| {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                Failed::from(
                    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words"),
                )
            })
        }
    })
}
