//! The rules of the structure, read off the tree as text; each rule first shows that it notices what it forbids.
//!
//! * A finding says `file:line`, the rule that is broken, and what would be right.
//! * Words inside strings and comments are never taken for code, nor code for comments.
//! * Every `.rs` file counts, committed or not, except below `target` and hidden folders.
//! * A function's lines are all lines from `fn` to its closing brace.

#![forbid(unsafe_code)]
#![allow(clippy::expect_used, clippy::indexing_slicing)]

mod documents;
mod edges;
mod features;
mod modules;
mod rooms;
mod source;

use std::collections::BTreeSet;

use crate::source::{Finding, Source, assert_none, squeezed, tree, words};

fn head(source: &Source) -> Vec<Finding> {
    let right = "begin with `//!`: what the file is in one phrase, then its invariants as a list";
    let missing = !source.text.starts_with("//!");
    missing.then(|| source.finding(1, "a file without a head", right)).into_iter().collect()
}

fn short_functions(source: &Source) -> Vec<Finding> {
    let is_long = |after: &str| function_lines(after).is_some_and(|lines| lines > MAX_FUNCTION_LINES);
    let named = |after: &str| after.trim_start().starts_with(|c: char| c.is_alphabetic() || c == '_');
    words(&source.code)
        .filter(|&(_, word, after)| word == "fn" && named(after) && is_long(after))
        .map(|(line, ..)| {
            source.finding(line, "a function over 70 lines", "keep the branching, move leaves out")
        })
        .collect()
}

/// How many lines a function takes from `fn` to its closing brace; `None` for a signature without a body.
fn function_lines(after_fn: &str) -> Option<usize> {
    let (mut brackets, mut braces, mut lines) = (0, 0, 1);
    for c in after_fn.chars() {
        match c {
            '\n' => lines += 1,
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets -= 1,
            ';' if brackets == 0 && braces == 0 => return None,
            '{' => braces += 1,
            '}' if braces == 1 => return Some(lines),
            '}' => braces -= 1,
            _ => {}
        }
    }
    None
}

fn short_files(source: &Source) -> Vec<Finding> {
    let is_long = source.text.lines().count() > MAX_FILE_LINES;
    let right = "one noun a file: give the second noun a file of its own";
    is_long.then(|| source.finding(MAX_FILE_LINES + 1, "a file over 500 lines", right)).into_iter().collect()
}

fn plain_names(source: &Source) -> Vec<Finding> {
    let vague = source.path.split('/').any(|part| VAGUE_NAMES.contains(&part.trim_end_matches(".rs")));
    let right = "name the one noun that the file holds; a module is `name.rs`";
    vague.then(|| source.finding(1, "a name that says nothing", right)).into_iter().collect()
}

fn unsafe_in_its_place(source: &Source) -> Vec<Finding> {
    let right = "say it with a safe crate, or put the system call into engine/";
    words(&source.code)
        .filter(|&(_, word, _)| word == "unsafe" && !source.in_engine())
        .map(|(line, ..)| source.finding(line, "`unsafe` outside engine/", right))
        .collect()
}

fn unsafe_forbidden(source: &Source) -> Vec<Finding> {
    let root = ["/src/lib.rs", "/src/main.rs", "/build.rs"].iter().any(|end| source.path.ends_with(end))
        || ["/src/bin/", "/fuzz_targets/"].iter().any(|folder| format!("/{}", source.path).contains(folder));
    let forbids = squeezed(&source.code).contains("#![forbid(unsafe_code)]");
    let right = "`#![forbid(unsafe_code)]` below the head";
    let missing = root && !source.in_engine() && !forbids;
    missing
        .then(|| source.finding(1, "a crate root that does not forbid `unsafe`", right))
        .into_iter()
        .collect()
}

fn unsafe_explained(source: &Source) -> Vec<Finding> {
    let needs_note = |after: &str| {
        let next = after.trim_start();
        !next.starts_with("fn ") && !next.starts_with("extern")
    };
    let right = "a comment directly above: `// SAFETY:`, the precondition and why it holds here";
    words(&source.code)
        .filter(|&(line, word, after)| {
            word == "unsafe" && needs_note(after) && !has_safety_note(source, line)
        })
        .map(|(line, ..)| source.finding(line, "`unsafe` without its reason", right))
        .collect()
}

/// Whether the comment directly above the statement or item that reaches `line` says `SAFETY:`.
fn has_safety_note(source: &Source, line: usize) -> bool {
    let code: Vec<&str> = source.code.lines().map(str::trim).collect();
    let comments: Vec<&str> = source.comments.lines().map(str::trim).collect();
    let mut above = line - 1;
    let goes_on = |text: &str| !text.is_empty() && !text.ends_with([';', '{', '}', ',']);
    while above > 0 && goes_on(code[above - 1]) {
        above -= 1;
    }
    let note = (0..above).rev().take_while(|&i| code[i].is_empty() && !comments[i].is_empty());
    note.into_iter().any(|i| comments[i].starts_with("// SAFETY:"))
}

fn nothing_left_over(source: &Source) -> Vec<Finding> {
    let right = "finish it, or open an issue and leave no trace here";
    let in_code = source.code.lines().zip(1..).filter(|(text, _)| {
        let text = squeezed(text);
        LEFTOVER_CODE.iter().any(|leftover| text.contains(leftover))
    });
    let in_comments = words(&source.comments).filter(|(_, word, _)| LEFTOVER_WORDS.contains(word));
    let lines: BTreeSet<usize> =
        in_code.map(|(_, line)| line).chain(in_comments.map(|(line, ..)| line)).collect();
    lines.into_iter().map(|line| source.finding(line, "a leftover", right)).collect()
}

fn derives_in_order(source: &Source) -> Vec<Finding> {
    let place = |name: &str| DERIVES.iter().position(|known| *known == name).unwrap_or(DERIVES.len());
    let right = "std's derives first, in this order: Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash";
    source
        .code
        .lines()
        .zip(1..)
        .filter(|(text, _)| {
            let list = text.trim().strip_prefix("#[derive(").and_then(|rest| rest.split(')').next());
            let places: Vec<usize> = list.into_iter().flat_map(|list| list.split(", ")).map(place).collect();
            !places.is_sorted()
        })
        .map(|(_, line)| source.finding(line, "derives out of order", right))
        .collect()
}

/// Asserts that `rule` finds exactly these lines in each sample (path, text, lines).
fn judge(rule: fn(&Source) -> Vec<Finding>, samples: &[(&str, &str, &[usize])]) {
    for (path, text, lines) in samples {
        let found: Vec<usize> = rule(&Source::new(path, text)).iter().map(|finding| finding.line).collect();
        assert_eq!(found, *lines, "the rule misjudges this sample: {path}\n{text}");
    }
}

/// Asserts that `rule` finds nothing in the tree.
fn hold(rule: fn(&Source) -> Vec<Finding>) {
    assert_none(&tree().iter().flat_map(rule).collect::<Vec<_>>());
}

const MAX_FUNCTION_LINES: usize = 70;
const MAX_FILE_LINES: usize = 500;
const VAGUE_NAMES: [&str; 7] = ["mod", "util", "utils", "common", "helper", "helpers", "manager"];
const DERIVES: [&str; 9] =
    ["Clone", "Copy", "Debug", "Default", "PartialEq", "Eq", "PartialOrd", "Ord", "Hash"];
const LEFTOVER_CODE: [&str; 4] = ["todo!", "unimplemented!", "dbg!", "#[ignore"];
const LEFTOVER_WORDS: [&str; 2] = ["TODO", "FIXME"];

#[test]
fn files_begin_with_a_head() {
    judge(head, &[("a.rs", "use std::fs;\n//! late", &[1]), ("a.rs", "//! A thing.\nuse std::fs;", &[])]);
    hold(head);
}

#[test]
fn functions_have_at_most_70_lines() {
    let function = |lines: usize| {
        format!("\n{}}}\n", "fn f(a: [u8; 2], g: fn(u8)) {".to_owned() + &"\n".repeat(lines - 1))
    };
    judge(short_functions, &[("a.rs", &function(71), &[2]), ("a.rs", &function(70), &[])]);
    let signature = format!("trait T {{\nfn f();\n{}}}", "\n".repeat(100));
    judge(short_functions, &[("a.rs", &signature, &[]), ("a.rs", &format!("//{}", function(71)), &[2])]);
    hold(short_functions);
}

#[test]
fn files_have_at_most_500_lines() {
    judge(short_files, &[("a.rs", &"\n".repeat(501), &[501]), ("a.rs", &"\n".repeat(500), &[])]);
    hold(short_files);
}

#[test]
fn files_have_plain_names() {
    let wrong =
        ["a/src/mod.rs", "a/src/utils.rs", "a/tests/common/b.rs", "a/src/helpers.rs", "a/src/manager.rs"];
    for path in wrong {
        judge(plain_names, &[(path, "", &[1])]);
    }
    judge(plain_names, &[("a/src/modes.rs", "", &[]), ("a/src/ring.rs", "", &[])]);
    hold(plain_names);
}

#[test]
fn unsafe_stays_in_engine() {
    let sample = "fn f() {\n    unsafe { g() }\n}";
    judge(unsafe_in_its_place, &[("wire/src/a.rs", sample, &[2]), ("engine/src/a.rs", sample, &[])]);
    let not_code = [
        "// unsafe",
        "/* unsafe /* */ unsafe */",
        r#""\"unsafe""#,
        "r#\"\"unsafe\"#",
        "b\"unsafe\"",
        "unsafe_code",
    ];
    for text in not_code {
        judge(unsafe_in_its_place, &[("a.rs", text, &[])]);
        judge(unsafe_in_its_place, &[("a.rs", &format!("{text}\n'\"'; '\\''; <'a>; unsafe"), &[2])]);
    }
    hold(unsafe_in_its_place);
}

#[test]
fn crate_roots_forbid_unsafe() {
    let good = "//! A.\n#![forbid(unsafe_code)]";
    judge(unsafe_forbidden, &[("a/src/lib.rs", "//! A.", &[1]), ("a/src/lib.rs", good, &[])]);
    judge(
        unsafe_forbidden,
        &[("a/src/main.rs", "// #![forbid(unsafe_code)]", &[1]), ("a/src/b.rs", "", &[])],
    );
    judge(unsafe_forbidden, &[("a/src/bin/b.rs", "", &[1]), ("engine/src/lib.rs", "", &[])]);
    hold(unsafe_forbidden);
}

#[test]
fn unsafe_gives_its_reason() {
    let bare = "// Closes it.\nlet a =\n    unsafe { close(1) };";
    let noted = "// SAFETY: one is open,\n// and ours.\nlet a =\n    unsafe { close(1) };";
    let apart = "// SAFETY: one is open.\n\nunsafe impl Send for A {}";
    let second = "// SAFETY: one is open.\nunsafe { close(1) };\nunsafe { close(2) };";
    judge(unsafe_explained, &[("engine/a.rs", bare, &[3]), ("engine/a.rs", noted, &[])]);
    judge(unsafe_explained, &[("engine/a.rs", apart, &[3]), ("engine/a.rs", second, &[3])]);
    judge(unsafe_explained, &[("engine/a.rs", "unsafe fn close(fd: i32);", &[])]);
    hold(unsafe_explained);
}

#[test]
fn nothing_is_left_over() {
    let wrong = [
        "// TODO: b",
        "/* FIXME */",
        "todo!()",
        "unimplemented!()",
        "dbg!(a)",
        "#[ignore]",
        "# [ignore = \"a\"]",
    ];
    for text in wrong {
        judge(nothing_left_over, &[("a.rs", &format!("\n{text}"), &[2])]);
    }
    judge(
        nothing_left_over,
        &[("a.rs", "let a = \"TODO todo!() dbg!\"; // todo!() is a macro, TODOS are not", &[])],
    );
    hold(nothing_left_over);
}

#[test]
fn derives_have_one_order() {
    let right = "#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]";
    let not_code = "// #[derive(Debug, Clone)]";
    judge(derives_in_order, &[("a.rs", right, &[]), ("a.rs", not_code, &[])]);
    let wrong = ["#[derive(Debug, Clone)]", "    #[derive(Args, Debug)]", "#[derive(PartialEq, Debug, Eq)]"];
    for text in wrong {
        judge(derives_in_order, &[("a.rs", &format!("\n{text}\nstruct A;"), &[2])]);
    }
    hold(derives_in_order);
}
