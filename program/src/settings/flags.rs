//! The command line, as far as it is made of settings: flags, their variables, and what clap says of them.
//!
//! * A wrong flag is one line on stderr and exit code 2; a wrong variable is 78.

use super::layers::Layers;
use super::table::{Setting, Settings};
use super::texts::{Origin, Raw, Texts};
use crate::failure::Failure;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// What a command line comes to.
#[derive(Debug)]
pub enum Parsed {
    /// A command and its flags.
    Command(ArgMatches),
    /// A help text or a version, to be printed.
    Print(String),
}

/// Reads a command line and the variables of the environment.
///
/// # Errors
/// Whatever is unknown, missing or malformed.
pub fn parse(command: Command, arguments: impl Iterator<Item = OsString>) -> Result<Parsed, Failure> {
    match command.try_get_matches_from(arguments) {
        Ok(matches) => Ok(Parsed::Command(matches)),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            Ok(Parsed::Print(error.to_string()))
        }
        Err(error) => Err(usage(&error)),
    }
}

/// The text of an argument that is required or has a default.
pub fn text<'a>(matches: &'a ArgMatches, id: &str) -> &'a str {
    value::<String>(matches, id)
}

/// The value of an argument that is required or has a default.
#[expect(clippy::expect_used, reason = "clap refuses a command line in which a required argument is missing")]
pub fn value<'a, T: Clone + Send + Sync + 'static>(matches: &'a ArgMatches, id: &str) -> &'a T {
    matches.get_one::<T>(id).expect("the argument is required or has a default")
}

impl Settings {
    /// Gives a command `--config` and the settings that `group` takes, each with its variable.
    pub fn arguments(&self, command: Command, group: &str) -> Command {
        let file = Arg::new("config").long("config").value_name("FILE").env(self.config_variable());
        let file = file.hide_env_values(true).value_parser(value_parser!(PathBuf));
        let file = file.help("Configuration file (TOML); its keys are the flags without dashes");
        command.arg(file).args(self.flags_with_variables(group))
    }

    /// The flags of the settings that `group` takes; variables do not count.
    pub fn flags(&self, group: &str) -> Vec<Arg> {
        self.of(group).map(flag).collect()
    }

    /// The flags of the settings that `group` takes, each with its variable.
    pub fn flags_with_variables(&self, group: &str) -> Vec<Arg> {
        let with_variable =
            |setting: &'static Setting| flag(setting).env(self.variable(setting.key)).hide_env_values(true);
        self.of(group).map(with_variable).collect()
    }

    /// What was typed of the settings that `group` takes, and the file that was named.
    pub fn layers(&'static self, matches: &ArgMatches, group: &str) -> Layers {
        let file = matches.get_one::<PathBuf>("config").cloned();
        Layers { settings: self, given: self.given(matches, group), file }
    }

    /// What was typed of the settings that `group` takes, over their defaults, without any file.
    pub fn texts(&self, matches: &ArgMatches, group: &str) -> Texts {
        let mut texts = Texts::default();
        self.given(matches, group).into_iter().for_each(|(key, raws)| texts.set(key, raws));
        texts.or_defaults(self)
    }

    fn given(&self, matches: &ArgMatches, group: &str) -> BTreeMap<&'static str, Vec<Raw>> {
        self.of(group).filter_map(|setting| Some((setting.key, self.raws(matches, setting.key)?))).collect()
    }

    fn raws(&self, matches: &ArgMatches, key: &str) -> Option<Vec<Raw>> {
        let origin = match matches.value_source(key)? {
            ValueSource::EnvVariable => Origin::Variable { name: self.variable(key) },
            _ => Origin::Flag,
        };
        let texts = matches.get_many::<String>(key)?;
        Some(texts.map(|text| Raw { text: text.clone(), origin: origin.clone() }).collect())
    }
}

fn flag(setting: &'static Setting) -> Arg {
    let arg = Arg::new(setting.key).long(setting.key).value_name(setting.value_name);
    let arg = match setting.many {
        true => arg.action(ArgAction::Append).value_delimiter(','),
        false => arg.action(ArgAction::Set),
    };
    let arg = match setting.value_name {
        // A switch: by itself it means on.
        "on|off" => arg.num_args(0..=1).default_missing_value("on"),
        _ => arg,
    };
    let mut help = String::from(setting.help);
    if setting.many {
        help.push_str("; repeatable");
    }
    if let Some(default) = setting.default {
        help.push_str(&format!(" [default: {default}]"));
    }
    arg.help(help)
}

/// What clap says, as one line.
fn usage(error: &clap::Error) -> Failure {
    let rendered = error.to_string();
    let said = rendered.split("\nUsage:").next().unwrap_or_default();
    let said = said.split("\nFor more information").next().unwrap_or_default();
    let words: Vec<&str> = said.trim_start_matches("error: ").split_whitespace().collect();
    let line = format!("{}; `--help` shows what there is", words.join(" "));
    match error.kind() {
        _ if from_environment(error) => Failure::Config(line),
        _ => Failure::Usage(line),
    }
}

/// Whether a variable, and nothing on the command line, made clap refuse.
fn from_environment(error: &clap::Error) -> bool {
    error.kind() == ErrorKind::InvalidUtf8 && std::env::args_os().all(|argument| argument.to_str().is_some())
}
