//! The text of each setting, and where it was written.
//!
//! * Every text keeps its origin, so that an error names the flag, the variable, or file and line.

use super::table::Settings;
use crate::failure::Failure;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// The texts in force.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    by_key: BTreeMap<&'static str, Vec<Raw>>,
    numbered: BTreeMap<u8, Raw>,
}

impl Texts {
    /// Sets every text of a setting, in place of those that it had.
    pub fn set(&mut self, key: &'static str, raws: Vec<Raw>) {
        self.by_key.insert(key, raws);
    }

    /// Sets the one text of a numbered table.
    pub fn set_numbered(&mut self, number: u8, raw: Raw) {
        self.numbered.insert(number, raw);
    }

    /// The texts of a setting as they were written.
    pub fn raws(&self, key: &str) -> &[Raw] {
        self.by_key.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// The texts of the numbered tables, by number.
    pub fn numbered(&self) -> &BTreeMap<u8, Raw> {
        &self.numbered
    }

    /// Adds the default of every setting that has one and is not set.
    #[must_use]
    pub fn or_defaults(mut self, settings: &Settings) -> Self {
        for setting in settings.all {
            if let Some(default) = setting.default {
                let raw = || vec![Raw { text: String::from(default), origin: Origin::Default }];
                self.by_key.entry(setting.key).or_insert_with(raw);
            }
        }
        self
    }

    /// Every text of a setting, read by `parse`.
    ///
    /// # Errors
    /// The first text that `parse` refuses, with its origin and what `parse` says would be right.
    pub fn all<T>(&self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, Failure> {
        self.raws(key).iter().map(|raw| parse(&raw.text).map_err(|right| raw.refuse(key, &right))).collect()
    }

    /// The text of a setting that must be set, read by `parse`; `example` is a value that would be right.
    ///
    /// # Errors
    /// Not set, or refused by `parse`.
    pub fn one<T>(
        &self,
        key: &str,
        example: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Failure> {
        self.perhaps(key, parse)?.ok_or_else(|| missing(key, example))
    }

    /// The text of a setting that need not be set, read by `parse`.
    ///
    /// # Errors
    /// Refused by `parse`.
    pub fn perhaps<T>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Failure> {
        Ok(self.all(key, parse)?.into_iter().last())
    }

    /// The failure of a setting as a whole, with the origin of its last text.
    pub fn refuse(&self, key: &str, right: &str) -> Failure {
        match self.raws(key).last() {
            Some(raw) => raw.refuse(key, right),
            None => missing(key, right),
        }
    }
}

/// The text of a value, and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    /// The text, as it was written.
    pub text: String,
    /// Where it was written.
    pub origin: Origin,
}

impl Raw {
    /// The failure that names this text and says what would be right.
    pub fn refuse(&self, key: &str, right: &str) -> Failure {
        let text = &self.text;
        match &self.origin {
            Origin::Flag => Failure::Usage(format!("--{key} {text}: {right}")),
            Origin::Variable { name } => Failure::Config(format!("{name}={text}: {right}")),
            Origin::File { path, line } => {
                Failure::Config(format!("{}:{line}: {key} = {text}: {right}", path.display()))
            }
            Origin::Default => Failure::Config(format!("{key} = {text} by default: {right}")),
        }
    }
}

/// Where a text was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// On the command line.
    Flag,
    /// In the environment.
    Variable {
        /// The variable.
        name: String,
    },
    /// In a file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// Nowhere: it is the default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Variable { .. } => f.write_str("environment"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The text of a file that a setting names.
///
/// # Errors
/// A file that cannot be read, is longer than 1 MiB, or is no UTF-8.
pub fn read_text(path: &Path, named_by: &str) -> Result<String, Failure> {
    let refuse = |right: String| Failure::Config(format!("{named_by} {}: {right}", path.display()));
    let length = std::fs::metadata(path).map_err(|error| refuse(error.to_string()))?.len();
    if length > MAX_FILE_LEN {
        return Err(refuse(format!("{length} bytes; at most {MAX_FILE_LEN} are read")));
    }
    std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))
}

fn missing(key: &str, example: &str) -> Failure {
    Failure::Config(format!("{key} is not set; for example --{key} {example}"))
}

const MAX_FILE_LEN: u64 = 1 << 20;
