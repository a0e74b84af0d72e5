//! The floors of the workspace, and the edges between its crates that they allow.
//!
//! * Crates depend only downwards, as `FLOORS` says; build dependencies count like normal ones.
//! * Tests may also use crates of their own floor or lower, but never across a pair of `STRANGERS`, and never so
//!   that two crates end up needing each other.
//! * A crate of the workspace without a floor is an error, so the picture is always whole.

use std::collections::BTreeSet;
use std::fs;

use crate::source::{Finding, assert_none, root};

/// One manifest: the crate's folder and what it depends on, normal and build edges apart from dev edges.
struct Manifest {
    folder: String,
    text: String,
    package: String,
    normal: BTreeSet<String>,
    dev: BTreeSet<String>,
}

impl Manifest {
    fn new(folder: &str, text: &str) -> Self {
        let table: toml::Table = text.parse().expect("a manifest is TOML");
        let package = table.get("package").and_then(|p| p.get("name")).and_then(toml::Value::as_str);
        let mut manifest = Self {
            folder: folder.to_owned(),
            text: text.to_owned(),
            package: short(package.expect("a manifest names its package")).to_owned(),
            normal: BTreeSet::new(),
            dev: BTreeSet::new(),
        };
        manifest.take_edges(&table);
        let targets = table.get("target").and_then(toml::Value::as_table);
        targets.into_iter().flatten().filter_map(|(_, t)| t.as_table()).for_each(|t| manifest.take_edges(t));
        manifest
    }

    fn take_edges(&mut self, table: &toml::Table) {
        for (kind, is_dev) in
            [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)]
        {
            for (key, value) in table.get(kind).and_then(toml::Value::as_table).into_iter().flatten() {
                let name = short(value.get("package").and_then(toml::Value::as_str).unwrap_or(key));
                let edges = if is_dev { &mut self.dev } else { &mut self.normal };
                if floor_of(name).is_some() || value.get("path").is_some() {
                    edges.insert(name.to_owned());
                }
            }
        }
    }

    /// A finding at the line that first names `word`.
    fn finding(&self, word: &str, rule: String, right: String) -> Finding {
        let names = |text: &str| text.starts_with(word) || text.contains(&format!("{word}\""));
        let line = self.text.lines().position(names).map_or(1, |above| above + 1);
        Finding { path: format!("{}/Cargo.toml", self.folder), line, rule, right }
    }
}

/// A package's name as folders and floors have it: libraries are published with a prefix of their own.
fn short(package: &str) -> &str {
    package.strip_prefix("reflector-").unwrap_or(package)
}

fn floor_of(name: &str) -> Option<(u8, &'static [&'static str])> {
    FLOORS.iter().find(|(crate_name, ..)| *crate_name == name).map(|&(_, floor, below)| (floor, below))
}

fn edges(manifests: &[Manifest]) -> Vec<Finding> {
    manifests
        .iter()
        .flat_map(|manifest| own_edges(manifest).into_iter().chain(circle(manifests, manifest)))
        .collect()
}

fn own_edges(manifest: &Manifest) -> Vec<Finding> {
    let name = manifest.package.as_str();
    if name != manifest.folder {
        let rule = format!("package {name} lies in {}/", manifest.folder);
        return vec![manifest.finding(name, rule, "folder = crate".to_owned())];
    }
    let Some((floor, below)) = floor_of(name) else {
        let rule = format!("{name} has no floor");
        return vec![manifest.finding(name, rule, "a line in FLOORS of tidy/tests/edges.rs".to_owned())];
    };
    let normal = manifest.normal.iter().filter(|to| !below.contains(&to.as_str())).map(|to| {
        let rule = format!("{name} -> {to} does not point down");
        manifest.finding(to, rule, format!("{name} may depend on {below:?}"))
    });
    let in_tests = manifest.dev.iter().filter(|to| !test_edge_allowed(name, floor, to)).map(|to| {
        let rule = format!("{name} -> {to} is not for tests either");
        manifest.finding(to, rule, "crates of its own floor or lower; strangers meet on the wire".to_owned())
    });
    normal.chain(in_tests).collect()
}

fn test_edge_allowed(name: &str, floor: u8, to: &str) -> bool {
    let strangers = STRANGERS.iter().any(|pair| pair.contains(&name) && pair.contains(&to));
    !strangers && floor_of(to).is_some_and(|(to_floor, _)| to_floor <= floor)
}

fn circle(manifests: &[Manifest], manifest: &Manifest) -> Option<Finding> {
    let name = manifest.package.as_str();
    let rule = format!("{name} needs itself, through its tests or another crate's");
    let right = "what both need, in the lower of them".to_owned();
    reachable(manifests, name).contains(name).then(|| manifest.finding(name, rule, right))
}

/// Every crate that `name` needs, directly or through others, tests included.
fn reachable<'a>(manifests: &'a [Manifest], name: &'a str) -> BTreeSet<&'a str> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![name]);
    while let Some(needed) = open.pop() {
        let Some(manifest) = manifests.iter().find(|manifest| manifest.package == needed) else { continue };
        let next = manifest.normal.iter().chain(&manifest.dev).map(String::as_str);
        open.extend(next.filter(|to| seen.insert(*to)));
    }
    seen
}

fn manifests() -> Vec<Manifest> {
    let text = fs::read_to_string(root().join("Cargo.toml")).expect("the root manifest can be read");
    let table: toml::Table = text.parse().expect("the root manifest is TOML");
    let members = table["workspace"]["members"].as_array().expect("the workspace lists its members");
    for (key, value) in table["workspace"]["dependencies"].as_table().into_iter().flatten() {
        let package = value.get("package").and_then(toml::Value::as_str);
        let known = package.is_none_or(|package| short(package) == key) && floor_of(key).is_some();
        assert!(
            value.get("path").is_none() || known,
            "Cargo.toml: {key} needs its own name and a floor in FLOORS"
        );
    }
    let outside = table["workspace"].get("exclude").and_then(toml::Value::as_array);
    let folders = members.iter().chain(outside.into_iter().flatten()).filter_map(toml::Value::as_str);
    let read = |folder: &str| {
        Some((folder.to_owned(), fs::read_to_string(root().join(folder).join("Cargo.toml")).ok()?))
    };
    folders.filter_map(read).map(|(folder, text)| Manifest::new(&folder, &text)).collect()
}

/// Every crate, its floor, and the crates that it may depend on.
const FLOORS: [(&str, u8, &[&str]); 22] = [
    ("nat", 0, &[]),
    ("wire", 0, &["nat"]),
    ("search", 0, &[]),
    ("stun", 0, &[]),
    ("results", 0, &[]),
    // Apart from `wire`: what is budgeted need not be a datagram.
    ("budget", 0, &[]),
    ("peer", 0, &["wire", "nat", "stun"]),
    ("fuzz", 0, &["wire", "stun"]),
    ("tidy", 0, &[]),
    // For tests of any floor; no program may need it.
    ("harness", 0, &[]),
    ("engine", 1, &[]),
    // What every daemon is made of; endpoints and tools have no use for it.
    ("program", 1, &[]),
    ("http", 1, &[]),
    // Asks for all features of all that any build needs.
    ("features", 1, &["http"]),
    ("lab", 2, &["wire", "nat", "results", "engine", "http"]),
    ("reflector", 2, &["wire", "stun", "budget", "engine", "program", "http"]),
    ("access", 2, &["wire", "nat", "stun", "budget", "engine", "program", "http"]),
    ("endpoint", 2, &["wire", "nat", "peer", "http"]),
    ("endpoint-cli", 2, &["wire", "nat", "endpoint"]),
    // Drives thousands of real endpoint cores by hand (`presence`); of the reflector it knows only the wire.
    ("loadgen", 3, &["wire", "nat", "search", "results", "engine", "http", "peer"]),
    ("perf", 3, &["features", "wire", "nat", "search", "results", "engine", "http", "lab"]),
    ("benches", 3, &["features", "wire", "nat", "engine", "reflector", "access", "peer"]),
];

/// Crates that know each other through the network alone, in tests as well.
const STRANGERS: [[&str; 2]; 6] = [
    ["reflector", "access"],
    ["reflector", "endpoint"],
    ["reflector", "endpoint-cli"],
    ["access", "endpoint"],
    ["access", "endpoint-cli"],
    ["loadgen", "reflector"],
];

#[test]
fn crates_depend_downwards_only() {
    let sample =
        |name: &str, rest: &str| Manifest::new(name, &format!("[package]\nname = \"{name}\"\n{rest}"));
    let wrong = [
        ("nat", "[dependencies]\nwire.workspace = true", "nat/Cargo.toml:4: nat -> wire"),
        (
            "engine",
            "[build-dependencies]\nwire = { path = \"../wire\" }",
            "engine/Cargo.toml:4: engine -> wire",
        ),
        (
            "wire",
            "[target.'cfg(unix)'.dependencies]\nengine.workspace = true",
            "wire/Cargo.toml:4: wire -> engine",
        ),
        ("perf", "[dependencies]\nr = { package = \"reflector\" }", "perf/Cargo.toml:4: perf -> reflector"),
        ("perf", "[dependencies]\nextra = { path = \"../extra\" }", "perf/Cargo.toml:4: perf -> extra"),
        (
            "loadgen",
            "[dev-dependencies]\nreflector.workspace = true",
            "loadgen/Cargo.toml:4: loadgen -> reflector",
        ),
        (
            "reflector",
            "[dev-dependencies]\nperf.workspace = true",
            "reflector/Cargo.toml:4: reflector -> perf",
        ),
        (
            "access",
            "[dev-dependencies]\nendpoint.workspace = true",
            "access/Cargo.toml:4: access -> endpoint",
        ),
        ("nat", "[dev-dependencies]\nnat.workspace = true", "nat/Cargo.toml:2: nat needs itself"),
        ("extra", "", "extra/Cargo.toml:2: extra has no floor"),
    ];
    for (name, rest, finding) in wrong {
        let found = edges(&[sample(name, rest)]);
        assert!(found.len() == 1 && found[0].to_string().starts_with(finding), "not noticed: {finding}");
    }
    let moved = Manifest::new("folder", "[package]\nname = \"wire\"");
    assert_eq!(edges(&[moved]).len(), 1, "a package in a folder of another name was not noticed");
    let around = [sample("wire", "[dependencies]\nnat = ''"), sample("nat", "[dev-dependencies]\nwire = ''")];
    assert_eq!(edges(&around).len(), 2, "wire and nat need each other, and it was not noticed");
    let fine = "[dependencies]\nwire = ''\nserde = '1'\n[dev-dependencies]\nloadgen = ''";
    assert_none(&edges(&[sample("perf", fine)]));
}

#[test]
fn the_workspace_depends_downwards_only() {
    assert_none(&edges(&manifests()));
}
