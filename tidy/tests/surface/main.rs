//! What operators, scripts and other programs depend on, compared with the files in `tidy/surface`.
//!
//! * Help texts, exit codes, metric names and labels, keys of JSON documents, keys and messages of log lines.
//! * The programs are black boxes: everything but the log lines is read off what they print.
//! * A change of the surface shows up in review as a change of those files:
//!   `SURFACE=write cargo test -p tidy --test surface` writes them.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod documents;
mod exit_codes;
mod help;
mod log_lines;
mod metrics;
mod site;

use std::path::{Path, PathBuf};

/// Compares what was found with the file of this name, or writes the file if that was asked for.
#[track_caller]
fn compare(name: &str, found: &str) {
    let path = root().join("tidy/surface").join(name);
    if std::env::var("SURFACE").is_ok_and(|wish| wish == "write") {
        std::fs::write(&path, found).unwrap();
        return;
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    let (known, found): (Vec<&str>, Vec<&str>) = (known.lines().collect(), found.lines().collect());
    let gone = known.iter().filter(|line| !found.contains(line)).map(|line| format!("- {line}"));
    let new = found.iter().filter(|line| !known.contains(line)).map(|line| format!("+ {line}"));
    let changes: Vec<String> = gone.chain(new).collect();
    assert!(
        known == found,
        "the surface differs from tidy/surface/{name}; if that is meant, write it with \
         `SURFACE=write cargo test -p tidy --test surface` and say so in CHANGELOG.md:\n{}",
        if changes.is_empty() { "(the same lines in another order)".to_owned() } else { changes.join("\n") }
    );
}

/// The top folder of the project.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
