//! What the daemons log: the level, the keys and the message of every line, read off the sources.

use crate::{compare, root};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn log_lines_are_as_written() {
    let mut lines = BTreeSet::new();
    for entry in fs::read_dir(root()).unwrap() {
        let folder = entry.unwrap().path().join("src");
        read(&folder, &mut lines);
    }
    assert!(lines.len() > 20, "{} lines were found", lines.len());
    let sample = "tracing::warn!(%error, reflector = name, at_s = now(1, 2), \"it \\\"hurts\\\"\")";
    let mut of_sample = BTreeSet::new();
    scan(sample, &mut of_sample);
    assert_eq!(
        of_sample.into_iter().collect::<Vec<_>>(),
        ["warn [at_s, error, reflector] \"it \\\"hurts\\\"\""]
    );
    compare("log.txt", &(lines.into_iter().collect::<Vec<_>>().join("\n") + "\n"));
}

fn read(folder: &Path, lines: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            read(&path, lines);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            scan(&fs::read_to_string(&path).unwrap(), lines);
        }
    }
}

/// Adds the log lines of a source text.
fn scan(text: &str, lines: &mut BTreeSet<String>) {
    for level in ["error", "warn", "info", "debug", "trace"] {
        for (_, rest) in
            text.match_indices(&format!("tracing::{level}!(")).map(|(at, it)| (at, &text[at + it.len()..]))
        {
            let parts = parts(rest);
            let message = parts.iter().find(|part| part.starts_with('"')).cloned().unwrap_or_default();
            let keys: BTreeSet<&str> =
                parts.iter().filter(|part| !part.starts_with('"')).map(|part| key(part)).collect();
            let keys: Vec<&str> = keys.into_iter().filter(|key| !key.is_empty()).collect();
            lines.insert(format!("{level} [{}] {message}", keys.join(", ")));
        }
    }
}

/// The arguments of a macro call, up to the message.
fn parts(rest: &str) -> Vec<String> {
    let (mut parts, mut part, mut depth, mut quoted, mut escaped) =
        (Vec::new(), String::new(), 0, false, false);
    for c in rest.chars() {
        if quoted {
            quoted = c != '"' || escaped;
            escaped = c == '\\' && !escaped;
            part.push(c);
            continue;
        }
        match c {
            '"' => quoted = true,
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth < 0 || (c == ',' && depth == 0) {
            let done = part.trim().to_owned();
            let is_message = done.starts_with('"');
            parts.push(done);
            part.clear();
            if depth < 0 || is_message {
                break;
            }
        } else {
            part.push(c);
        }
    }
    // A message that goes on in the next source line has blanks there.
    parts
        .into_iter()
        .map(|part| part.split_whitespace().collect::<Vec<_>>().join(" ").replace("\\ ", ""))
        .collect()
}

/// The key of `key = value`, `%key` or `key`.
fn key(part: &str) -> &str {
    part.split('=').next().unwrap_or_default().trim().trim_start_matches(['%', '?'])
}
