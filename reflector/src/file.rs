//! The configuration file: TOML, the keys being the flags without their dashes, and a table for each limited class.
//!
//! ```toml
//! listen = ["203.0.113.7:3478", "[2001:db8::7]:3478"]
//! keys = "/etc/reflector/ring.toml"
//!
//! [class.1]
//! rate = "5Mbps"
//! ```
//!
//! * An unknown key, a value of the wrong shape, a class outside 0..=15: refused with file and line.
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
        if name == CLASS {
            classes(&place, value, &mut texts)?;
            continue;
        }
        let setting = settings::find(name).ok_or_else(|| place.unknown(key.span().start, name))?;
        texts.by_key.insert(setting.key, place.raws(setting.key, value, setting.many)?);
    }
    Ok(texts)
}

fn classes(place: &Place<'_>, value: &Spanned<DeValue<'_>>, texts: &mut Texts) -> Result<(), Failure> {
    const RIGHT: &str = "a class is written as a table such as [class.1] with rate = \"5Mbps\"";
    let table = value.get_ref().as_table().ok_or_else(|| place.refuse(value.span().start, RIGHT))?;
    for (key, value) in table {
        let name: &str = key.get_ref().as_ref();
        let class = name.parse::<u8>().ok().filter(|class| *class < 16).ok_or_else(|| {
            let reason = format!("class {name} is outside 0..=15");
            place.refuse(key.span().start, &reason)
        })?;
        let fields = value.get_ref().as_table().ok_or_else(|| place.refuse(value.span().start, RIGHT))?;
        for (field, value) in fields {
            let name: &str = field.get_ref().as_ref();
            if name != RATE {
                let reason = format!("{name} is no key of a class; rate is");
                return Err(place.refuse(field.span().start, &reason));
            }
            if let Some(raw) = place.raws(RATE, value, false)?.pop() {
                texts.classes.insert(class, raw);
            }
        }
        if !texts.classes.contains_key(&class) {
            return Err(place.refuse(key.span().start, RIGHT));
        }
    }
    Ok(())
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
        let reason = format!("{} is no key; the keys are {} and [class.N]", name, keys.join(", "));
        self.refuse(offset, &reason)
    }

    fn refuse(&self, offset: usize, reason: &str) -> Failure {
        Failure::Config(format!("{}:{}: {reason}", self.path.display(), self.line(offset)))
    }

    fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }
}

const CLASS: &str = "class";
const RATE: &str = "rate";
