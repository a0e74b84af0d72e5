//! The keys of every JSON document that a program writes: one line a key, with the kind of its value.
//!
//! * Keys that are data (an address, a pair of NAT behaviours) are written `*`.
//! * Some keys depend on what was measured: they are marked in the file, by hand, and may be missing in a run.
//! * Files of the configuration have the keys of the settings on the page `/config`.

use crate::site::{Site, command, said};
use crate::{compare, root};
use harness::{Sibling, wait_until};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write;

#[test]
fn documents_have_the_keys_as_written() {
    let site = Site::start("surface-documents");
    let mut text = String::new();
    let mut add = |name: &str, document: &str| {
        let value: Value = serde_json::from_str(document).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut keys = BTreeSet::new();
        walk("", &value, &mut keys);
        writeln!(text, "==== {name}").unwrap();
        keys.iter().for_each(|key| writeln!(text, "{key}").unwrap());
    };
    add("reflector: /config", &site.reflector.get("/config"));
    add("reflector-access: /config", &site.access.get("/config"));
    add("reflector-loadgen run --json", &run(&site));
    add("reflector-loadgen presence --json", &presence(&site));
    add("reflector-endpoint status --json", &status(&site));
    add("reflector-perf quick: report.json", &quick(&site));
    compare("documents.txt", &with_what_may_be_missing(&text));
}

/// The keys found, and those of the file that are marked as sometimes missing.
fn with_what_may_be_missing(found: &str) -> String {
    let known = std::fs::read_to_string(root().join("tidy/surface/documents.txt")).unwrap_or_default();
    let mut lines = BTreeSet::new();
    for (text, marked_only) in [(known.as_str(), true), (found, false)] {
        let mut document = "";
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("==== ") {
                document = name;
            } else if line.ends_with(MARK) || !marked_only {
                lines.insert((document, line));
            }
        }
    }
    let marked: BTreeSet<(&str, &str)> =
        lines.iter().filter_map(|(document, line)| Some((*document, line.strip_suffix(MARK)?))).collect();
    lines.retain(|line| !marked.contains(line));
    let (mut text, mut last) = (String::new(), "");
    for (document, line) in lines {
        if document != last {
            writeln!(text, "==== {document}").unwrap();
            last = document;
        }
        writeln!(text, "{line}").unwrap();
    }
    text
}

/// Behind a key that some runs lack.
const MARK: &str = " (not always)";

fn run(site: &Site) -> String {
    let mut run = command(&site.folder, Sibling::Loadgen);
    run.args(["run", "--reflector", &site.reflector.listen, "--keys", "ring.toml", "--endpoints", "20"]);
    run.args(["--rate", "500", "--duration", "1s", "--warmup", "0s", "--json", "run.json"]);
    finish(run, site, "run.json")
}

fn presence(site: &Site) -> String {
    let mut run = command(&site.folder, Sibling::Loadgen);
    run.args(["presence", "--access", &format!("http://{}", site.access.listen), "--json", "presence.json"]);
    run.args(["--control", "store.redb.sock", "--endpoints", "8", "--storm", "1s", "--steady", "2s"]);
    finish(run, site, "presence.json")
}

fn quick(site: &Site) -> String {
    let mut quick = command(&site.folder, Sibling::Perf);
    quick.args(["quick", "--short", "--out", "quick"]);
    // It builds, or finds, the other programs as in everyday use.
    quick.envs(std::env::vars_os().filter(|(name, _)| !name.to_string_lossy().starts_with("REFLECTOR_")));
    finish(quick, site, "quick/report.json")
}

/// Runs a command to its end and returns the file that it wrote. An invalid run (98) writes one as well.
fn finish(mut command: std::process::Command, site: &Site, file: &str) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!([Some(0), Some(98)].contains(&output.status.code()), "{command:?}: {said}");
    site.folder.read(file)
}

/// What one of two buddies shows of itself and the other.
fn status(site: &Site) -> String {
    let store = ["--store", "store.redb"];
    let access = format!("http://{}", site.access.listen);
    for account in ["alice", "bob"] {
        let mut add = command(&site.folder, Sibling::Access);
        add.args(["account", "add", account, "--generate"]).args(store);
        let output = add.output().unwrap();
        let password = String::from_utf8(output.stdout).unwrap();
        let mut enrol = command(&site.folder, Sibling::Endpoint);
        enrol.args([
            "--config",
            &format!("{account}.toml"),
            "enrol",
            "--access",
            &access,
            "--account",
            account,
        ]);
        enrol.args(["--nat", "symmetric"]).env("REFLECTOR_ENDPOINT_PASSWORD", password.trim());
        let output = enrol.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    said(&site.folder, Sibling::Access, &["buddy", "add", "alice", "bob", "--store", "store.redb"]);
    let up = |account: &str| {
        let mut up = command(&site.folder, Sibling::Endpoint);
        up.args(["--config", &format!("{account}.toml"), "up"]);
        harness::Running::start(&mut up)
    };
    let (_alice, _bob) = (up("alice"), up("bob"));
    let mut document = String::new();
    wait_until("alice does not see and hear bob", || {
        let mut status = command(&site.folder, Sibling::Endpoint);
        let output = status.args(["--config", "alice.toml", "status", "--json"]).output().unwrap();
        document = String::from_utf8(output.stdout).unwrap();
        // The server tells her at once that he is there; hearing from him takes a moment longer.
        let whole: Value = serde_json::from_str(&document).unwrap_or_default();
        let bob = &whole["buddies"][0];
        bob["online"] == true && ["path", "expires_in_s", "heard_ago_s"].iter().all(|key| !bob[key].is_null())
    });
    document
}

/// Adds the keys below a value.
fn walk(path: &str, value: &Value, keys: &mut BTreeSet<String>) {
    let kind = match value {
        Value::Object(map) => {
            for (key, value) in map {
                let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
                // Of what failed the names of the checks are data.
                let is_data = path.ends_with(".validity.failed")
                    || !key.starts_with(|c: char| c.is_ascii_lowercase())
                    || !key.chars().all(is_plain);
                walk(&format!("{path}.{}", if is_data { "*" } else { key }), value, keys);
            }
            return;
        }
        Value::Array(values) => {
            values.iter().for_each(|value| walk(&format!("{path}[]"), value, keys));
            return;
        }
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "number",
        Value::String(_) => "text",
    };
    // A list that is empty at one run and not at another must not change the surface; nor may a value that can be null.
    if kind != "null" {
        keys.insert(format!("{path}: {kind}"));
    }
}
