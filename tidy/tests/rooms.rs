//! The inside of each crate: no two files import each other, rooms import downwards only, and folders stay small.
//!
//! * A room is a module with parts: `room.rs` beside `room/`. What lies directly beside a crate's root is no room.
//! * `ROOMS` lists each crate's rooms from the top to the bottom; a room that is missing there is an error.

use std::collections::BTreeMap;

use crate::modules::Crate;
use crate::source::{Finding, Source, assert_none, tree};

fn cycles(sources: &[Source], root: &str) -> Vec<Finding> {
    let right = "the name that both need belongs to one of them, or to a third: give it to its owner";
    let finding = |cycle: Vec<&str>| Finding {
        path: cycle[0].to_owned(),
        line: 1,
        rule: format!("files that import each other: {}", cycle.join(", ")),
        right: right.to_owned(),
    };
    Crate::new(sources, root).cycles().into_iter().map(finding).collect()
}

/// Imports between rooms that point upwards, and rooms that are not listed.
fn upward(sources: &[Source], root: &str, rooms: &[&str]) -> Vec<Finding> {
    let made = Crate::new(sources, root);
    let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
    let room_of = |path: &str| room(path, folder, &made);
    let height = |room: &str| rooms.iter().position(|name| *name == room);
    let mut findings = Vec::new();
    let mut add = |path: &str, rule: String, right: &str| {
        findings.push(Finding { path: path.to_owned(), line: 1, rule, right: right.to_owned() });
    };
    for (from, imported) in &made.imports {
        let Some(own) = room_of(from) else { continue };
        let Some(own_height) = height(&own) else {
            add(from, format!("room {own} is not listed"), "a place among the crate's ROOMS");
            continue;
        };
        for to in imported {
            let other = room_of(to).filter(|other| *other != own);
            if other.as_ref().and_then(|other| height(other)).is_some_and(|other| other < own_height) {
                let rule = format!("{own} imports {} of the higher room {}", to, other.unwrap_or_default());
                add(from, rule, "what both need, in the lower room");
            }
        }
    }
    findings
}

/// The room that a file belongs to: the folder below the crate's own, or the file beside that folder.
fn room(path: &str, folder: &str, made: &Crate<'_>) -> Option<String> {
    let inside = path.strip_prefix(folder)?.trim_start_matches('/');
    let name = inside.split_once('/').map_or_else(|| inside.trim_end_matches(".rs"), |(room, _)| room);
    let below = format!("{folder}/{name}/");
    made.imports.keys().any(|path| path.starts_with(&below)).then(|| name.to_owned())
}

fn crowded(sources: &[Source]) -> Vec<Finding> {
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for source in sources {
        *count.entry(source.path.rsplit_once('/').map_or("", |(folder, _)| folder)).or_default() += 1;
    }
    let is_crowded = |(_, files): &(&str, usize)| *files > MAX_FILES;
    let finding = |(folder, files): (&str, usize)| Finding {
        path: folder.to_owned(),
        line: 1,
        rule: format!("a folder of {files} files"),
        right: format!("at most {MAX_FILES}: a prefix that several names share is a room"),
    };
    count.into_iter().filter(is_crowded).map(finding).collect()
}

fn roots(sources: &[Source]) -> Vec<&str> {
    let paths = sources.iter().map(|source| source.path.as_str());
    paths.filter(|path| path.ends_with("/src/lib.rs")).collect()
}

const MAX_FILES: usize = 20;

/// The rooms of each crate, from the top to the bottom.
const ROOMS: [(&str, &[&str]); 9] = [
    ("wire", &["json"]),
    ("engine", &["load", "xdp", "socket", "host"]),
    ("reflector", &["commands", "run", "fast_path", "stun", "rules"]),
    ("access", &["operate", "http", "accounts", "store", "revoke", "mint", "presence"]),
    ("peer", &["core", "peer", "paths", "noise", "message"]),
    ("lab", &["network", "programs"]),
    ("loadgen", &["society", "args", "report", "load"]),
    ("program", &["admin", "settings"]),
    ("perf", &["plan", "peers", "sweep", "draw", "judge", "rig"]),
];

fn sample(files: &[(&str, &str)]) -> Vec<Source> {
    files.iter().map(|(path, text)| Source::new(path, text)).collect()
}

#[test]
fn no_two_files_import_each_other() {
    let bad: [&[(&str, &str)]; 6] = [
        &[("a/src/b.rs", "use crate::c::C;"), ("a/src/c.rs", "fn c() { crate::b::b() }")],
        &[("a/src/b.rs", "use super::c::{self, C};"), ("a/src/c.rs", "use crate::{b::{B}, d};")],
        &[
            ("a/src/b.rs", "use crate::d::D;"),
            ("a/src/c.rs", "use crate::b;"),
            ("a/src/d.rs", "use crate::c;"),
        ],
        &[("a/src/b.rs", "use crate::Root;")],
        &[("a/src/b.rs", "mod e; use e::E;"), ("a/src/b/e.rs", "use super::B;")],
        &[("a/src/b.rs", "mod e; pub use self::e::E;"), ("a/src/b/e.rs", "use crate::b::B as C;")],
    ];
    let root = ("a/src/lib.rs", "mod b; mod c; mod d; pub use b::B;");
    for files in bad {
        let sources = sample(&[&[root], files].concat());
        assert_eq!(cycles(&sources, root.0).len(), 1, "not noticed: {files:?}");
    }
    let good: [&[(&str, &str)]; 4] = [
        &[
            ("a/src/b.rs", "use crate::c::C;"),
            ("a/src/c.rs", "// crate::b::B\nconst B: &str = \"crate::b\";"),
        ],
        &[("a/src/b.rs", "use crate::c::C;"), ("a/src/c.rs", "#[cfg(test)]\nmod tests { use crate::b::B; }")],
        &[
            ("a/src/b.rs", "mod e; mod f; pub use e::E;"),
            ("a/src/b/e.rs", "use super::f::F;"),
            ("a/src/b/f.rs", ""),
        ],
        &[("a/src/b.rs", "use other::c::C;"), ("a/src/c.rs", "use crate::b::B;")],
    ];
    for files in good {
        assert_none(&cycles(&sample(&[&[root], files].concat()), root.0));
    }
    let sources = tree();
    assert_none(&roots(&sources).into_iter().flat_map(|root| cycles(&sources, root)).collect::<Vec<_>>());
}

#[test]
fn rooms_import_downwards_only() {
    let files = [
        ("a/src/lib.rs", "mod top; mod low; mod plain;"),
        ("a/src/top.rs", "mod b;"),
        ("a/src/top/b.rs", "use crate::low::C;"),
        ("a/src/low.rs", "mod c;"),
        ("a/src/low/c.rs", "use crate::plain::P;"),
        ("a/src/plain.rs", ""),
    ];
    assert_none(&upward(&sample(&files), "a/src/lib.rs", &["top", "low"]));
    assert_eq!(upward(&sample(&files), "a/src/lib.rs", &["low", "top"]).len(), 1, "an upward import");
    assert_eq!(upward(&sample(&files), "a/src/lib.rs", &["top"]).len(), 2, "a room that is not listed");
    let sources = tree();
    let findings = roots(&sources).into_iter().flat_map(|root| {
        let name = root.split('/').next().unwrap_or_default();
        let rooms =
            ROOMS.iter().find(|(crate_name, _)| *crate_name == name).map_or(&[][..], |(_, rooms)| rooms);
        upward(&sources, root, rooms)
    });
    assert_none(&findings.collect::<Vec<_>>());
}

#[test]
fn folders_have_at_most_20_files() {
    let files: Vec<String> = (0..21).map(|number| format!("a/src/b/f{number}.rs")).collect();
    let samples: Vec<(&str, &str)> = files.iter().map(|path| (path.as_str(), "")).collect();
    assert_eq!(crowded(&sample(&samples)).len(), 1, "21 files");
    assert_none(&crowded(&sample(&samples[1..])));
    assert_none(&crowded(&tree()));
}
