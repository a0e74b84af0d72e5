//! Where a setting's text comes from: flags over variables over the file over defaults.
//!
//! * A higher layer replaces a setting whole; lists are not joined across layers.
//! * Every text keeps its origin, so that an error names the flag, the variable, or file and line.

use crate::failure::Failure;
use crate::file;
use crate::settings::{self, SETTINGS};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// What was typed, and which file to read beside it; read again at every reload.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// Texts by key, from flags and variables.
    pub given: BTreeMap<&'static str, Vec<Raw>>,
    /// The configuration file.
    pub file: Option<PathBuf>,
}

impl Layers {
    /// Reads the file and lays the layers over one another.
    ///
    /// # Errors
    /// A file that cannot be read or is malformed.
    pub fn read(&self) -> Result<Texts, Failure> {
        let mut texts = match &self.file {
            Some(path) => file::parse(path, &read_text(path, "--config")?)?,
            None => Texts::default(),
        };
        for (key, raws) in &self.given {
            texts.by_key.insert(key, raws.clone());
        }
        Ok(texts.or_defaults())
    }
}

/// The texts in force.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    /// Texts by key.
    pub by_key: BTreeMap<&'static str, Vec<Raw>>,
}

impl Texts {
    /// Adds the default of every setting that has one and is not set.
    #[must_use]
    pub fn or_defaults(mut self) -> Texts {
        for setting in SETTINGS {
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
        let raws = self.by_key.get(key).map(Vec::as_slice).unwrap_or_default();
        raws.iter().map(|raw| parse(&raw.text).map_err(|right| raw.refuse(key, &right))).collect()
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
        let found = self.all(key, parse)?.into_iter().last();
        found.ok_or_else(|| missing(key, example))
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
        match self.by_key.get(key).and_then(|raws| raws.last()) {
            Some(raw) => raw.refuse(key, right),
            None => missing(key, right),
        }
    }
}

/// The text of a value, and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    /// As it was written.
    pub text: String,
    /// Where.
    pub origin: Origin,
}

impl Raw {
    /// The failure that names this text and says what would be right.
    pub fn refuse(&self, key: &str, right: &str) -> Failure {
        let text = &self.text;
        match &self.origin {
            Origin::Flag => Failure::Usage(format!("--{key} {text}: {right}")),
            Origin::Variable => {
                let variable =
                    settings::find(key).map_or_else(|| String::from(key), settings::Setting::variable);
                Failure::Config(format!("{variable}={text}: {right}"))
            }
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
    Variable,
    /// In a file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// Nowhere.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag => f.write_str("flag"),
            Origin::Variable => f.write_str("environment"),
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Default => f.write_str("default"),
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
