//! The files of a comparison: what a dated report consists of.
//!
//! * `README.md` to read, `peers.svg` to look at, `peers.html` with everything, `peers.json` for machines.
//! * All are drawn from the same data; an old result can be drawn again.

use crate::draw::files;
use crate::draw::page::moment;
use crate::draw::tables;
use crate::peers::comparison::{Comparison, Counted, SCHEMA};
use crate::peers::page;
use crate::peers::page::{method, validity_notes};
use crate::peers::picture;
use crate::peers::table::{capital, goals, subjects};
use crate::rig::environment::Fact;
use crate::rig::subject::Traffic;
use anyhow::Context;
use std::fs;
use std::path::Path;

/// Writes all files into a folder, which is made if need be.
///
/// # Errors
/// A file that cannot be written, or a chart that cannot be drawn.
pub fn write(comparison: &Comparison, folder: &Path) -> anyhow::Result<()> {
    let json = serde_json::to_string(comparison).context("cannot write the result as JSON")? + "\n";
    let files = [
        ("README.md", readme(comparison)),
        ("peers.svg", picture::draw(comparison)),
        ("peers.html", page::render(comparison)?),
        (FILE, json),
    ];
    files::write(folder, &files)
}

/// Reads a comparison out of its folder.
///
/// # Errors
/// There is none, or one of another version.
pub fn read(folder: &Path) -> anyhow::Result<Comparison> {
    let file = folder.join(FILE);
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    Comparison::parse(&text).with_context(|| file.display().to_string())
}

/// The report in Markdown.
pub fn readme(comparison: &Comparison) -> String {
    let mut text = format!(
        "# What one core relays, {}\n\n{}\n\n![Datagrams per second that one core relays](peers.svg)\n",
        moment(comparison.started_unix_s),
        comparison.headline()
    );
    for traffic in Traffic::ALL {
        let table = subjects(comparison, traffic).markdown();
        text.push_str(&format!("\n## {}\n\n{table}", capital(traffic.name())));
    }
    text.push_str(&format!("\n## What was to be shown\n\n{}", goals(comparison).markdown()));
    text.push_str(&format!("\n## Method\n\n{}\n", method(comparison)));
    text.push_str("\n## Validity\n\n");
    validity_notes(comparison).iter().for_each(|note| text.push_str(&format!("* {note}\n")));
    comparison.counted.iter().for_each(|counted| text.push_str(&conservation(counted)));
    text.push_str(&environment(comparison));
    text.push_str("\n## Commands\n\n```text\nreflector-perf peers\n");
    comparison.commands.iter().for_each(|command| text.push_str(&format!("{command}\n")));
    text.push_str(&format!(
        "```\n\n[peers.html](peers.html) has the curves, [peers.json](peers.json) (schema {SCHEMA}) every run.\n"
    ));
    text
}

fn conservation(counted: &Counted) -> String {
    let counters = &counted.counters;
    format!(
        "* {}: received {} = relayed, observed, dropped, not sent {} + passed to its sockets {}: {}.\n",
        counted.subject,
        counters.received,
        counters.accounted(),
        counted.passed,
        if counted.is_conserved() { "holds" } else { "fails" }
    )
}

fn environment(comparison: &Comparison) -> String {
    let facts = &comparison.environment;
    let peers: Vec<Fact> = comparison
        .present()
        .map(|peer| crate::rig::environment::fact(peer.subject.name(), peer.version.clone()))
        .collect();
    let groups =
        [&facts.machine, &facts.versions, &peers, &comparison.cable, &facts.mitigations, &facts.sysctls];
    let table = tables::facts("Environment", &groups.map(Vec::as_slice).concat()).markdown();
    format!("\n## Environment\n\n{table}")
}

/// The name of a comparison's JSON in its folder.
pub const FILE: &str = "peers.json";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_report_is_four_files() {
        let scratch = lab::programs::scratch::Scratch::new().unwrap();
        let folder = scratch.path().join("a/b");
        let comparison = sample::comparison();
        write(&comparison, &folder).unwrap();
        let mut names: Vec<String> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["README.md", "peers.html", "peers.json", "peers.svg"]);
        assert_eq!(read(&folder).unwrap(), comparison);
        let error = write(&comparison, &folder.join("peers.json")).unwrap_err();
        assert!(format!("{error:#}").contains("--out"));
    }

    #[test]
    fn the_report_in_words_has_every_part() {
        let text = readme(&sample::comparison());
        let parts = [
            "Singles",
            "Trains of 16",
            "What was to be shown",
            "Method",
            "Validity",
            "Environment",
            "Commands",
        ];
        assert!(parts.iter().all(|part| text.contains(&format!("\n## {part}\n"))), "{text}");
        assert!(text.contains("* reflector, epoll: received 10 = ") && text.contains("0: holds."), "{text}");
        assert!(text.contains("| coturn | 4.6.1 |") && text.contains("Veth, not a NIC."));
    }
}
