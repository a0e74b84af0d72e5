//! The configuration file: TOML, the keys being the flags without their dashes.
//!
//! ```toml
//! listen = "203.0.113.9:443"
//! master = "/etc/reflector/master.toml"
//! reflector = ["fra1=203.0.113.7:3478,[2001:db8::7]:3478"]
//! ```
//!
//! * An unknown key, a value of the wrong shape: refused with file and line.
//! * What a value means is for `config` to say.

use crate::failure::Failure;
use crate::layers::{Origin, Raw, Texts};
use crate::settings::{self, SETTINGS};
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The texts of a file.
///
/// # Errors
/// Text that is not TOML, unknown keys, values that are neither text nor number nor a list of them.
pub fn parse(path: &Path, text: &str) -> Result<Texts, Failure> {
    let place = Place { path, text };
    let table = DeTable::parse(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        place.refuse(start, error.message().lines().next().unwrap_or("not TOML"))
    })?;
    let mut texts = Texts::default();
    for (key, value) in table.get_ref() {
        let name: &str = key.get_ref().as_ref();
        let setting = settings::find(name).ok_or_else(|| place.unknown(key.span().start, name))?;
        texts.by_key.insert(setting.key, place.raws(setting.key, value, setting.many)?);
    }
    Ok(texts)
}

/// A file, to say where in it something is.
struct Place<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Place<'_> {
    fn raws(&self, key: &str, value: &Spanned<DeValue<'_>>, many: bool) -> Result<Vec<Raw>, Failure> {
        let start = value.span().start;
        match value.get_ref() {
            DeValue::Array(items) if many => {
                let raws = items.iter().map(|item| self.raws(key, item, false));
                Ok(raws.collect::<Result<Vec<_>, _>>()?.concat())
            }
            DeValue::String(text) => Ok(vec![self.raw(start, text)]),
            DeValue::Integer(number) if number.radix() == 10 => Ok(vec![self.raw(start, number.as_str())]),
            other => {
                let right = if many { "text or a list of texts" } else { "text or a number" };
                let reason = format!("{key} is {}; it would be {right}", other.type_str());
                Err(self.refuse(start, &reason))
            }
        }
    }

    fn raw(&self, offset: usize, text: &str) -> Raw {
        let origin = Origin::File { path: self.path.to_path_buf(), line: self.line(offset) };
        Raw { text: String::from(text), origin }
    }

    fn unknown(&self, offset: usize, name: &str) -> Failure {
        let keys: Vec<&str> = SETTINGS.iter().map(|setting| setting.key).collect();
        let reason = format!("{} is no key; the keys are {}", name, keys.join(", "));
        self.refuse(offset, &reason)
    }

    fn refuse(&self, offset: usize, reason: &str) -> Failure {
        Failure::Config(format!("{}:{}: {reason}", self.path.display(), self.line(offset)))
    }

    fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }
}
