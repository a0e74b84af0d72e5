//! `explain` names the reason that the daemon would count, for every case of the test vectors and every reason.

use crate::rig::daemon::{Folder, program};
use serde_json::Value;

fn vectors() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/vectors/header.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().unwrap()
}

/// `address port` as the vectors write it.
fn socket(case: &Value, field: &str) -> String {
    let (address, port) = text(case, field).split_once(' ').unwrap();
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

pub(crate) fn the_first_check_that_fails_is_the_one_that_the_vectors_name() {
    let vectors = vectors();
    let folder = Folder::new("reflector-test");
    let ring: String = vectors["ring"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| format!("[[key]]\nid = {}\nsecret = {}\n", key["id"], key["secret"]))
        .collect();
    folder.write("ring.toml", &ring);
    let mut seen = std::collections::BTreeSet::new();
    for case in vectors["cases"].as_array().unwrap() {
        if case.get("revoked").is_some() {
            continue; // What is revoked is the daemon's to know.
        }
        let verdict = text(case, "verdict");
        let now = case["now"].to_string();
        let mut command = program();
        command.current_dir(folder.path()).args(["explain", text(case, "datagram"), "--keys", "ring.toml"]);
        command.args(["--source", &socket(case, "source"), "--now", &now]);
        for block in case["allow"].as_array().unwrap() {
            command.args(["--allow-destination", block.as_str().unwrap()]);
        }
        // One run of the program for each kind of verdict keeps the test short.
        let number = case["name"].as_str().unwrap().rsplit(' ').next().unwrap().to_owned();
        if !seen.insert((verdict.to_owned(), number.len() > 1)) && number != "0" {
            continue;
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{case}: {output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        let failed: Vec<&str> = said
            .lines()
            .filter(|line| line.split_whitespace().nth(1) == Some("FAILED"))
            .map(|line| line.split_whitespace().next().unwrap())
            .collect();
        match verdict.strip_prefix("drop ") {
            Some(reason) => {
                assert_eq!(failed, [reason], "{case}\n{said}");
                assert!(said.contains(&format!("dropped: {reason}")), "{said}");
            }
            None => {
                assert!(failed.is_empty() && !said.contains("not reached"), "{case}\n{said}");
                assert!(said.contains(&text(case, "emitted")[..64]), "{case}\n{said}");
            }
        }
    }
    assert!(seen.len() > 8, "the vectors have a case of nearly every verdict: {seen:?}");
}

/// Capabilities from before version 1, when a tag hashed both addresses at full length.
pub(crate) fn an_old_capability_is_called_one() {
    let folder = Folder::new("reflector-test");
    folder.write("ring.toml", "[[key]]\nid = 13\nsecret = \"6110e5781bcccea696762e6116c6e9c9\"\n[[key]]\nid = 4\nsecret = \"303e61cdc4bb86c3d1c427103c344c41\"\n");
    for (header, source) in [
        ("0a0d0fa06b49d23c00000000000000000000ffff5d01e445f58cbf0dc1ae3fad", "45.48.249.8:59568"),
        (
            "0a140fa06b49d2002a000000ddbd358f6156c4df12bccdcb356fc25ef1c2de02",
            "[2a00:0:521b:18a9:1ab1:c42f:c52f:4fbe]:3588",
        ),
    ] {
        let explained = |header: &str| {
            let arguments =
                ["explain", header, "--source", source, "--keys", "ring.toml", "--now", "1800000000"];
            let output = program().current_dir(folder.path()).args(arguments).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let said = explained(header);
        assert!(said.contains("before version 1") && said.contains("dropped: tag"), "{said}");
        let other = explained(&format!("{}00", &header[..62]));
        assert!(!other.contains("before version 1") && other.contains("dropped: tag"), "{other}");
    }
}

pub(crate) fn a_malformed_question_is_one_line() {
    let folder = Folder::new("reflector-test");
    folder.write("ring.toml", "[[key]]\nid = 1\nsecret = \"0102030405060708090a0b0c0d0e0f10\"\n");
    for (arguments, words) in [
        (&["xyz", "--source", "1.2.3.4:5", "--keys", "ring.toml"][..], "HEX xyz"),
        (&["00", "--source", "1.2.3.4", "--keys", "ring.toml"], "--source 1.2.3.4"),
        (&["00", "--source", "1.2.3.4:5", "--keys", "none.toml"], "--keys none.toml"),
        (&["00", "--source", "1.2.3.4:5"], "--keys"),
        (&["00", "--source", "1.2.3.4:5", "--keys", "ring.toml", "--deny-source", "x"], "--deny-source x"),
    ] {
        let output = program().current_dir(folder.path()).arg("explain").args(arguments).output().unwrap();
        let line = String::from_utf8(output.stderr).unwrap();
        assert!(line.lines().count() == 1 && line.contains(words), "{line}");
        assert!([2, 78].contains(&output.status.code().unwrap()));
    }
    let denied = ["00", "--source", "1.2.3.4:5", "--keys", "ring.toml", "--deny-source", "1.2.3.0/24"];
    let output = program().current_dir(folder.path()).arg("explain").args(denied).output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains("dropped: denied"));
}

pub(crate) fn stun_is_explained_where_it_is_on() {
    let folder = Folder::new("reflector-test");
    folder.write("ring.toml", "[[key]]\nid = 1\nsecret = \"0102030405060708090a0b0c0d0e0f10\"\n");
    let bare = "000100002112a442000102030405060708090a0b";
    let change = "000100082112a442000102030405060708090a0b0003000400000006";
    let response = "010100002112a442000102030405060708090a0b";
    for (hex, source, mode, words) in [
        (bare, "8.8.8.8:5000", "off", "dropped: short"),
        (bare, "8.8.8.8:5000", "binding", "answered: a Binding success response goes to 8.8.8.8:5000"),
        (bare, "8.8.8.8:53", "binding", "dropped: source"),
        (change, "8.8.8.8:5000", "binding", "error 420 goes to 8.8.8.8:5000, for attributes 0x0003"),
        (change, "8.8.8.8:5000", "behaviour", "answered"),
        (response, "8.8.8.8:5000", "behaviour", "dropped: kind"),
    ] {
        let arguments = [hex, "--source", source, "--keys", "ring.toml", "--stun", mode];
        let output = program().current_dir(folder.path()).arg("explain").args(arguments).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains(words) && said.contains("handed to STUN") == (mode != "off"), "{hex}: {said}");
    }
}
