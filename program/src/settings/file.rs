//! The configuration file: TOML, whose keys are the flags without their dashes.
//!
//! ```toml
//! listen = ["203.0.113.7:3478", "[2001:db8::7]:3478"]
//! keys = "/etc/reflector/ring.toml"
//!
//! [class.1]
//! rate = "5Mbps"
//! ```
//!
//! * An unknown key, a value of the wrong shape, a number out of range: refused with file and line.
//! * What a value means is for the daemon to say.

use super::table::{Numbered, Settings};
use super::texts::{Origin, Raw, Texts};
use crate::failure::Failure;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The texts of a file.
///
/// # Errors
/// Text that is not TOML, unknown keys, values that are neither text nor number nor a list of them.
pub fn parse(settings: &Settings, path: &Path, text: &str) -> Result<Texts, Failure> {
    let place = Place { settings, path, text };
    let table = DeTable::parse(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        place.refuse(start, error.message().lines().next().unwrap_or("not TOML"))
    })?;
    let mut texts = Texts::default();
    for (key, value) in table.get_ref() {
        let name: &str = key.get_ref().as_ref();
        if let Some(numbered) = settings.numbered.filter(|numbered| numbered.name == name) {
            place.numbered(&numbered, value, &mut texts)?;
            continue;
        }
        let setting = settings.find(name).ok_or_else(|| place.unknown(key.span().start, name))?;
        texts.set(setting.key, place.raws(setting.key, value, setting.many)?);
    }
    Ok(texts)
}

/// A file, to say where in it something is.
struct Place<'a> {
    settings: &'a Settings,
    path: &'a Path,
    text: &'a str,
}

impl Place<'_> {
    fn numbered(
        &self,
        numbered: &Numbered,
        value: &Spanned<DeValue<'_>>,
        texts: &mut Texts,
    ) -> Result<(), Failure> {
        let Numbered { name, below, field, example } = numbered;
        let right = format!("a {name} is written as a table such as [{name}.1] with {field} = \"{example}\"");
        let table = value.get_ref().as_table().ok_or_else(|| self.refuse(value.span().start, &right))?;
        for (key, value) in table {
            let text: &str = key.get_ref().as_ref();
            let number = text.parse::<u8>().ok().filter(|number| number < below).ok_or_else(|| {
                self.refuse(key.span().start, &format!("{name} {text} is outside 0..={}", below - 1))
            })?;
            let fields = value.get_ref().as_table().ok_or_else(|| self.refuse(value.span().start, &right))?;
            for (key, value) in fields {
                let text: &str = key.get_ref().as_ref();
                if text != *field {
                    let reason = format!("{text} is no key of a {name}; {field} is");
                    return Err(self.refuse(key.span().start, &reason));
                }
                if let Some(raw) = self.raws(field, value, false)?.pop() {
                    texts.set_numbered(number, raw);
                }
            }
            if !texts.numbered().contains_key(&number) {
                return Err(self.refuse(key.span().start, &right));
            }
        }
        Ok(())
    }

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
        let keys: Vec<&str> = self.settings.all.iter().map(|setting| setting.key).collect();
        let numbered = self.settings.numbered.map(|it| format!(" and [{}.N]", it.name)).unwrap_or_default();
        let reason = format!("{} is no key; the keys are {}{numbered}", name, keys.join(", "));
        self.refuse(offset, &reason)
    }

    fn refuse(&self, offset: usize, reason: &str) -> Failure {
        Failure::Config(format!("{}:{}: {reason}", self.path.display(), self.line(offset)))
    }

    fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }
}
