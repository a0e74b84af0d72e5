//! A ring as a file: TOML, one `[[key]]` a key, the first of which mints.
//!
//! * Refused whole, with the line and the reason, or read whole.
//! * An error never shows a secret, not even a malformed one.

use crate::ring::{KeyRing, RingError, check_secret};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::Deserialize;
use toml::Spanned;

/// Reads a ring.
///
/// # Errors
/// Text that is not TOML, an unknown or missing field, and everything [`KeyRing::new`] refuses; each with its line.
pub fn parse(text: &str) -> Result<KeyRing, RingFileError> {
    let file: File = toml::from_str(text).map_err(|error| RingFileError {
        line: error.span().map_or(1, |span| line_of(text, span.start)),
        reason: sanitised(error.message()),
    })?;
    let mut keys: Vec<(u8, [u8; 16])> = Vec::with_capacity(file.key.len());
    for entry in &file.key {
        let key = entry.read(text)?;
        if keys.iter().any(|(id, _)| *id == key.0) {
            return Err(at(text, entry.id.span().start, &RingError::Twice(key.0)));
        }
        keys.push(key);
    }
    KeyRing::new(&keys).map_err(|error| at(text, 0, &error))
}

/// The text of a ring file with one key.
pub fn render(id: u8, secret: &[u8; 16]) -> String {
    format!("[[key]]\nid = {id}\nsecret = \"{}\"\n", hex::encode(secret))
}

/// Why a ring file was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct RingFileError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong and what would be right.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    key: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: Spanned<i64>,
    secret: Spanned<String>,
}

impl Entry {
    fn read(&self, text: &str) -> Result<(u8, [u8; 16]), RingFileError> {
        let id = *self.id.get_ref();
        let id = u8::try_from(id).ok().filter(|id| *id < 16).ok_or_else(|| {
            let reason = if id.unsigned_abs() <= LONGEST_ID_SHOWN {
                format!("key id {id} is outside 0..=15")
            } else {
                String::from("the key id is outside 0..=15") // It may be a secret in the wrong place.
            };
            RingFileError { line: line_of(text, self.id.span().start), reason }
        })?;
        let line = line_of(text, self.secret.span().start);
        let mut secret = [0; 16];
        hex::decode_to_slice(self.secret.get_ref(), &mut secret).map_err(|_| {
            let found = match self.secret.get_ref().chars().count() {
                32 => String::from("holds a character that is no hexadecimal digit"),
                length => format!("has {length} characters"),
            };
            let reason =
                format!("the secret of key {id} {found}; a secret is 32 hexadecimal digits (16 bytes)");
            RingFileError { line, reason }
        })?;
        check_secret(&secret).map_err(|error| RingFileError { line, reason: error.to_string() })?;
        Ok((id, secret))
    }
}

fn at(text: &str, offset: usize, error: &RingError) -> RingFileError {
    RingFileError { line: line_of(text, offset), reason: error.to_string() }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// The first line of a parser's message and the right form, without what could be a secret.
fn sanitised(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    let what = match first.split_once("invalid type: ").or_else(|| first.split_once("invalid value: ")) {
        // Behind these words serde quotes the value.
        Some(_) => String::from("a value of the wrong type"),
        None => redacted(first),
    };
    format!("{what}; a key is written [[key]], id = 0 to 15, secret = \"32 hexadecimal digits\"")
}

/// The text with runs of hexadecimal digits and control characters taken out: names in it are the file's own.
fn redacted(text: &str) -> String {
    let is_digit = |c: char| c.is_ascii_hexdigit();
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let digits = rest.find(|c| !is_digit(c)).unwrap_or(rest.len());
        let (piece, behind) = rest.split_at(digits.max(next.len_utf8()));
        match piece {
            _ if digits >= SHORTEST_RUN_HIDDEN => shown.push_str("..."),
            _ if next.is_control() => shown.push('?'),
            _ => shown.push_str(piece),
        }
        rest = behind;
    }
    shown
}

/// A number of more digits than this could be a secret, or a piece of one.
const LONGEST_ID_SHOWN: u64 = 999_999;
/// As many hexadecimal digits in a row could be a piece of a secret.
const SHORTEST_RUN_HIDDEN: usize = 7;
