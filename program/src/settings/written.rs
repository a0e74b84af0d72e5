//! The settings in force as they were written: what `/config` shows, and what a reload compares.
//!
//! * A setting that does not follow a reload stays as it was written at the start, and the difference is named.

use super::table::Settings;
use super::texts::Texts;
use serde_json::{Value, json};

/// Every text in force, in the order of the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written(Vec<Line>);

/// One text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The setting's key, or that of a numbered table such as `class.1.rate`.
    pub key: String,
    /// The text, as it was written.
    pub text: String,
    /// Where it was written, such as `flag` or `reflector.toml:3`.
    pub origin: String,
}

impl Written {
    /// The lines of these texts.
    pub fn new(settings: &Settings, texts: &Texts) -> Self {
        let line = |key: String, raw: &super::texts::Raw| Line {
            key,
            text: raw.text.clone(),
            origin: raw.origin.to_string(),
        };
        let plain = settings.all.iter().flat_map(|setting| {
            texts.raws(setting.key).iter().map(|raw| line(String::from(setting.key), raw))
        });
        let numbered = settings.numbered.iter().flat_map(|table| {
            texts
                .numbered()
                .iter()
                .map(|(number, raw)| line(format!("{}.{number}.{}", table.name, table.field), raw))
        });
        Self(plain.chain(numbered).collect())
    }

    /// The settings that `fresh` writes differently and that do not follow a reload.
    pub fn fixed_differences(&self, fresh: &Self, settings: &Settings) -> Vec<&'static str> {
        let of = |written: &Self, key: &str| -> Vec<String> {
            written.0.iter().filter(|line| line.key == key).map(|line| line.text.clone()).collect()
        };
        let fixed = settings.all.iter().filter(|setting| !setting.reloads).map(|setting| setting.key);
        fixed.filter(|key| of(self, key) != of(fresh, key)).collect()
    }

    /// These lines, with those of `fresh` in place of the settings that follow a reload.
    #[must_use]
    pub fn merged(&self, fresh: Self, settings: &Settings) -> Self {
        let stays = |line: &Line| settings.find(&line.key).is_some_and(|setting| !setting.reloads);
        let old = self.0.iter().filter(|line| stays(line)).cloned();
        let new = fresh.0.into_iter().filter(|line| !stays(line));
        Self(old.chain(new).collect())
    }

    /// Every line.
    pub fn lines(&self) -> &[Line] {
        &self.0
    }

    /// The lines as `/config` shows them.
    pub fn shown(&self) -> Value {
        self.0.iter().map(|it| json!({"key": it.key, "value": it.text, "from": it.origin})).collect()
    }
}
