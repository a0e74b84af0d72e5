//! The files of one crate and who imports whom, read off the source text.
//!
//! * A file imports another if it names something of it: in a `use`, or by a path that starts with `crate`, `self`,
//!   `super` or a module of its own. `mod name;` declares and does not import.
//! * A path belongs to the file of its longest prefix that is a module.
//! * Unit tests (`#[cfg(test)]`) do not count: they may look at anything.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::Source;

/// A crate's files by module path; the root's path is empty.
pub(crate) struct Crate<'a> {
    modules: BTreeMap<Vec<String>, &'a Source>,
    /// What each file imports, by path.
    pub(crate) imports: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

impl<'a> Crate<'a> {
    /// The crate whose root is the file `root` (`.../lib.rs` or `.../main.rs`), out of all sources of the tree.
    pub(crate) fn new(sources: &'a [Source], root: &str) -> Self {
        let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut modules = BTreeMap::new();
        let mut open = vec![(Vec::new(), root.to_owned(), folder.to_owned())];
        while let Some((module, path, folder)) = open.pop() {
            let Some(source) = sources.iter().find(|source| source.path == path) else { continue };
            for name in declared(&without_tests(&source.code)) {
                let child = [module.clone(), vec![name.clone()]].concat();
                open.push((child, format!("{folder}/{name}.rs"), format!("{folder}/{name}")));
            }
            modules.insert(module, source);
        }
        let mut made = Self { modules, imports: BTreeMap::new() };
        for (module, source) in &made.modules {
            let paths = paths(&without_tests(&source.code));
            let targets = paths.iter().filter_map(|path| made.target(module, path));
            made.imports.insert(&source.path, targets.filter(|path| *path != source.path).collect());
        }
        made
    }

    /// The file that `path`, written in `module`, leads to; `None` if it leads out of the crate.
    fn target(&self, module: &[String], path: &[String]) -> Option<&'a str> {
        let ups = path.iter().take_while(|segment| *segment == "super").count();
        let (base, rest) = match path.first()?.as_str() {
            "crate" => (Vec::new(), &path[1..]),
            "self" => (module.to_vec(), &path[1..]),
            "super" => (module[..module.len().checked_sub(ups)?].to_vec(), &path[ups..]),
            first => {
                let is_own = self.modules.contains_key(&[module, &[first.to_owned()]].concat());
                (is_own.then(|| module.to_vec())?, path)
            }
        };
        let full = [base, rest.to_vec()].concat();
        (0..=full.len()).rev().find_map(|length| self.modules.get(&full[..length])).map(|it| it.path.as_str())
    }

    /// Sets of files that import each other, directly or through others.
    pub(crate) fn cycles(&self) -> Vec<Vec<&'a str>> {
        let mut cycles = BTreeSet::new();
        for from in self.imports.keys() {
            let reached = self.reached(from);
            if reached.contains(from) {
                let cycle = reached.iter().filter(|to| self.reached(to).contains(from));
                cycles.insert(cycle.copied().collect::<Vec<_>>());
            }
        }
        cycles.into_iter().collect()
    }

    /// Everything that a file needs, directly or through others.
    fn reached(&self, from: &'a str) -> BTreeSet<&'a str> {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(file) = open.pop() {
            let next = self.imports.get(file).into_iter().flatten().copied();
            open.extend(next.filter(|to| seen.insert(*to)));
        }
        seen
    }
}

/// The modules that a file declares to be in files of their own.
fn declared(code: &str) -> Vec<String> {
    let words: Vec<&str> = tokens(code).collect();
    let is_declaration = |at: &[&str]| at[0] == "mod" && at[2] == ";";
    words.windows(3).filter(|at| is_declaration(at)).map(|at| at[1].to_owned()).collect()
}

/// Every path of at least two segments in the code, `use` trees taken apart.
fn paths(code: &str) -> Vec<Vec<String>> {
    let words: Vec<&str> = tokens(code).collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        // `use<'a>` in a type is no import.
        if words[at] == "use" && words.get(at + 1) != Some(&"<") {
            at = tree(&words, at + 1, &[], &mut found);
        } else if is_name(words[at]) && words.get(at + 1) == Some(&"::") {
            let mut path = vec![words[at].to_owned()];
            while words.get(at + 1) == Some(&"::") && words.get(at + 2).is_some_and(|word| is_name(word)) {
                path.push(words[at + 2].to_owned());
                at += 2;
            }
            found.push(path);
            at += 1;
        } else {
            at += 1;
        }
    }
    found
}

/// Reads one `use` tree that starts at `at`, adds its paths, and returns where it ends.
fn tree(words: &[&str], mut at: usize, prefix: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut path = prefix.to_vec();
    while let Some(&word) = words.get(at) {
        match word {
            "{" => {
                at += 1;
                while words.get(at).is_some_and(|word| *word != "}" && *word != ";") {
                    at = tree(words, at, &path, found);
                    at += usize::from(words.get(at) == Some(&","));
                }
                return at + 1;
            }
            "}" | "," | ";" => break,
            "as" => at += 1,
            word if is_name(word) => path.push(word.to_owned()),
            _ => {}
        }
        at += 1;
    }
    found.push(path);
    at
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Words and signs, `::` as one.
fn tokens(code: &str) -> impl Iterator<Item = &str> {
    let mut rest = code;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let first = rest.chars().next()?;
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let length = if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        Some(token)
    })
}

/// The code without items under `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    let mut kept = code.to_owned();
    while let Some(start) = kept.find("#[cfg(test)]") {
        let (mut depth, mut end) = (0, kept.len());
        for (at, c) in kept[start..].char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if (c == '}' || c == ';') && depth == 0 {
                end = start + at + 1;
                break;
            }
        }
        kept.replace_range(start..end, "");
    }
    kept
}
