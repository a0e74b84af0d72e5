//! Every path that ARCHITECTURE.md and CONTRIBUTING.md name exists.

use crate::source::{Finding, assert_none, root};
use std::fs;

/// Paths in backquotes: what has a slash and no space.
fn missing(document: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let quoted = line.split('`').skip(1).step_by(2);
        let is_path =
            |word: &&str| word.contains('/') && !word.contains([' ', '*', ':']) && !word.starts_with('/');
        for path in quoted.filter(is_path).filter(|path| !root().join(path).exists()) {
            let rule = format!("{path} does not exist");
            let right = "the place where it is now".to_owned();
            findings.push(Finding { path: document.to_owned(), line: number, rule, right });
        }
    }
    findings
}

#[test]
fn the_documents_name_paths_that_exist() {
    let sample = "`wire/src/no.rs` and `wire/src/lib.rs`,\n`no/` or `/livez`, `a b/c`, `socket/*`, no/such";
    let found: Vec<usize> = missing("a.md", sample).iter().map(|finding| finding.line).collect();
    assert_eq!(found, [1, 2]);
    for document in ["ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(root().join(document)).expect("a document can be read");
        assert!(text.matches('`').count() > 20, "{document} names nothing");
        assert_none(&missing(document, &text));
    }
}
