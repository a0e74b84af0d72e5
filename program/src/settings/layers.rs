//! Where a setting's text comes from: flags over variables over the file over defaults.
//!
//! * A higher layer replaces a setting whole; lists are not joined across layers.

use super::file;
use super::table::Settings;
use super::texts::{Raw, Texts, read_text};
use crate::failure::Failure;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What was typed, and which file to read beside it; read again at every reload.
#[derive(Clone, Debug)]
pub struct Layers {
    /// The program's settings.
    pub settings: &'static Settings,
    /// Texts by key, from flags and variables.
    pub given: BTreeMap<&'static str, Vec<Raw>>,
    /// The configuration file, if one is named.
    pub file: Option<PathBuf>,
}

impl Layers {
    /// A file and nothing typed.
    pub fn new(settings: &'static Settings, file: Option<PathBuf>) -> Self {
        Self { settings, given: BTreeMap::new(), file }
    }

    /// Reads the file and lays the layers over one another.
    ///
    /// # Errors
    /// A file that cannot be read or is malformed.
    pub fn read(&self) -> Result<Texts, Failure> {
        let mut texts = match &self.file {
            Some(path) => file::parse(self.settings, path, &read_text(path, "--config")?)?,
            None => Texts::default(),
        };
        for (key, raws) in &self.given {
            texts.set(key, raws.clone());
        }
        Ok(texts.or_defaults(self.settings))
    }
}
