//! The metrics pages of both daemons: every name with its type, unit and labels, and what each label may say.
//!
//! * Values are left out, and so are labels whose values are this machine's: `GIVEN`.

use crate::compare;
use crate::site::Site;
use std::collections::BTreeSet;
use std::fmt::Write;

#[test]
fn metrics_are_as_written() {
    let site = Site::start("surface-metrics");
    let mut text = String::new();
    for (name, daemon) in [("reflector", &site.reflector), ("reflector-access", &site.access)] {
        writeln!(text, "==== {name}").unwrap();
        let page = daemon.get("/metrics");
        let lines: BTreeSet<String> = page.lines().map(without_values).collect();
        lines.iter().for_each(|line| writeln!(text, "{line}").unwrap());
    }
    compare("metrics.txt", &text);
}

/// A line of the page without its value; comment lines are kept as they are.
fn without_values(line: &str) -> String {
    if line.starts_with('#') {
        return line.to_owned();
    }
    let sample = line.rsplit_once(' ').map_or(line, |(sample, _)| sample);
    let Some((name, labels)) = sample.split_once('{') else { return sample.to_owned() };
    let labels = labels.trim_end_matches('}').split(',').map(|label| {
        let (key, value) = label.split_once('=').unwrap();
        if GIVEN.contains(&key) { format!("{key}=...") } else { format!("{key}={value}") }
    });
    format!("{name}{{{}}}", labels.collect::<Vec<_>>().join(","))
}

/// Labels whose values depend on the version or the configuration.
const GIVEN: [&str; 3] = ["version", "fingerprint", "minting_key"];
