//! Every build of the workspace resolves the same features, so that no build compiles again what another has built.
//!
//! * The builds are those of README.md's commands and of the programs that they start; `features/Cargo.toml` says why.
//! * Asks cargo, offline: what is compared are packages that are there already.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::source::root;

/// The features of each package and version; a package that is built for the host as well may have two sets.
type Features = BTreeMap<String, BTreeSet<String>>;

/// What cargo would build for these flags.
fn resolved(flags: &[&str]) -> Features {
    let mut tree = Command::new(env!("CARGO"));
    tree.args(["tree", "--offline", "--locked", "--prefix", "none", "--no-dedupe", "--format", "{p}|{f}"]);
    let output = tree.args(flags).current_dir(root()).output().expect("cargo can be run");
    assert!(output.status.success(), "{tree:?}: {}", String::from_utf8_lossy(&output.stderr));
    parse(&String::from_utf8_lossy(&output.stdout))
}

fn parse(tree: &str) -> Features {
    let mut features = Features::new();
    for (package, set) in tree.lines().filter_map(|line| line.split_once('|')) {
        let name = package.split(" (").next().unwrap_or(package);
        features.entry(name.to_owned()).or_default().insert(set.trim_end_matches(" (*)").to_owned());
    }
    features
}

/// The packages that `part` builds with features with which `all` does not build them.
fn built_twice(all: &Features, part: &Features) -> Vec<String> {
    let lacks = |(name, sets): (&String, &BTreeSet<String>)| {
        let known = all.get(name);
        let new = sets.iter().find(|set| known.is_none_or(|known| !known.contains(*set)))?;
        let known =
            known.map_or_else(String::new, |known| known.iter().cloned().collect::<Vec<_>>().join(" or "));
        Some(format!("{name} is built with [{new}] there and with [{known}] elsewhere"))
    };
    part.iter().filter_map(lacks).collect()
}

#[test]
fn every_build_resolves_the_same_features() {
    let sample = parse("log v0.4.1|std\nlibc v0.2.1 (/a/b)|default,std (*)\nsyn v2.0.1 (proc-macro)|full");
    assert_eq!(built_twice(&sample, &parse("log v0.4.1|std\nsyn v2.0.1|full")), [""; 0]);
    let other = built_twice(&sample, &parse("log v0.4.1|\nlibc v0.2.1|default,std"));
    assert_eq!(other, ["log v0.4.1 is built with [] there and with [std] elsewhere"]);

    let all = resolved(&["--workspace", "--edges", "normal,build,dev"]);
    assert!(all.len() > 100, "cargo tree printed {} packages", all.len());
    for flags in BUILDS {
        let twice = built_twice(&all, &resolved(flags));
        assert!(
            twice.is_empty(),
            "`cargo build {}` builds packages that `cargo test --workspace` builds differently; add the features to \
             features/Cargo.toml:\n{}",
            flags[..flags.len() - 2].join(" "),
            twice.join("\n")
        );
    }
}

/// The builds besides `cargo test --workspace`, as flags of cargo.
const BUILDS: [&[&str]; 4] = [
    &["--workspace", "--edges", "normal,build"],
    &["-p", "perf", "--edges", "normal,build"],
    &["-p", "features", "-p", "reflector", "-p", "loadgen", "--edges", "normal,build"],
    &["-p", "benches", "--edges", "normal,build,dev"],
];
