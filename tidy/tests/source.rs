//! A file of Rust as text, with code, comments and literals told apart.
//!
//! * `code` and `comments` have the lines of the file; what belongs to the other is blank in each.
//! * Literals (strings of every kind, characters) are in neither. Block comments nest.
//! * Nothing is parsed beyond that: a rule that needs more is a rule too clever to be believed.

use std::path::{Path, PathBuf};
use std::{fmt, fs};

/// One file of Rust, taken apart: `code` and `comments` have the lines of the file, with all else blank.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) code: String,
    pub(crate) comments: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let (mut code, mut comments) = (String::new(), String::new());
        let chars: Vec<char> = text.chars().collect();
        let mut at = 0;
        while at < chars.len() {
            let (piece, end) = piece_at(&chars, at);
            for &c in &chars[at..end] {
                let blank = if c == '\n' { c } else { ' ' };
                code.push(if piece == Piece::Code { c } else { blank });
                comments.push(if piece == Piece::Comment { c } else { blank });
            }
            at = end;
        }
        Self { path: path.to_owned(), text: text.to_owned(), code, comments }
    }

    pub(crate) fn finding(&self, line: usize, rule: &'static str, right: &'static str) -> Finding {
        Finding { path: self.path.clone(), line, rule: rule.to_owned(), right: right.to_owned() }
    }

    pub(crate) fn in_engine(&self) -> bool {
        self.path.starts_with("engine/")
    }
}

/// One broken rule, printed as `path:line: rule; right: what would be right`.
pub(crate) struct Finding {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) rule: String,
    pub(crate) right: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; right: {}", self.path, self.line, self.rule, self.right)
    }
}

/// What a stretch of text is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece {
    Code,
    Comment,
    Literal,
}

pub(crate) fn tree() -> Vec<Source> {
    let (root, mut sources) = (root(), Vec::new());
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the tree can be read") {
            let path = entry.expect("an entry of the tree can be read").path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("names are UTF-8");
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if name.ends_with(".rs") {
                let relative = path.strip_prefix(&root).expect("the tree lies below its root");
                let text = fs::read_to_string(&path).expect("a source file is UTF-8");
                sources.push(Source::new(&relative.to_string_lossy(), &text));
            }
        }
    }
    assert!(sources.iter().any(|source| source.path == "wire/src/lib.rs"), "the tree was not found");
    sources
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tidy lies in the workspace").to_owned()
}

/// The piece of text that starts at `at`, and where it ends.
fn piece_at(chars: &[char], at: usize) -> (Piece, usize) {
    let follows =
        |from: usize, word: &str| word.chars().enumerate().all(|(i, c)| chars.get(from + i) == Some(&c));
    let inside_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    let raw = if inside_word { None } else { raw_string_hashes(chars, at) };
    if follows(at, "//") {
        (Piece::Comment, chars[at..].iter().position(|&c| c == '\n').map_or(chars.len(), |n| at + n))
    } else if follows(at, "/*") {
        let (mut depth, mut end) = (1, at + 2);
        while depth > 0 && end < chars.len() {
            let step = if follows(end, "/*") { 1 } else { -i32::from(follows(end, "*/")) };
            depth += step;
            end += if step == 0 { 1 } else { 2 };
        }
        (Piece::Comment, end.min(chars.len()))
    } else if let Some((open, hashes)) = raw {
        let close = format!("\"{}", "#".repeat(hashes));
        let end = (open..chars.len()).find(|&i| follows(i, &close)).map_or(chars.len(), |i| i + close.len());
        (Piece::Literal, end)
    } else if chars[at] == '"' || (chars[at] == '\'' && (follows(at + 1, "\\") || follows(at + 2, "'"))) {
        let mut end = at + 1;
        while end < chars.len() && chars[end] != chars[at] {
            end += if chars[end] == '\\' { 2 } else { 1 };
        }
        (Piece::Literal, (end + 1).min(chars.len()))
    } else {
        (Piece::Code, at + 1)
    }
}

/// Where the inside of a raw string starts that begins at `at`, and its number of `#`.
fn raw_string_hashes(chars: &[char], at: usize) -> Option<(usize, usize)> {
    let prefix = usize::from(matches!(chars[at], 'b' | 'c'));
    (chars.get(at + prefix) == Some(&'r')).then_some(())?;
    let hashes = chars[at + prefix + 1..].iter().take_while(|&&c| c == '#').count();
    let quote = at + prefix + 1 + hashes;
    (chars.get(quote) == Some(&'"')).then_some((quote + 1, hashes))
}

/// Every word of `code` with its line and what follows it.
pub(crate) fn words(code: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut line = 1;
    let mut rest = code;
    std::iter::from_fn(move || {
        let start = rest.find(is_word)?;
        line += rest[..start].matches('\n').count();
        let from_word = &rest[start..];
        let (word, after) = from_word.split_at(from_word.find(|c| !is_word(c)).unwrap_or(from_word.len()));
        rest = after;
        Some((line, word, after))
    })
}

pub(crate) fn squeezed(text: &str) -> String {
    text.split_whitespace().collect()
}

/// Asserts that there are no findings, and prints them all if there are.
pub(crate) fn assert_none(findings: &[Finding]) {
    let text: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(findings.is_empty(), "{} broken rules\n{}", findings.len(), text.join("\n"));
}
