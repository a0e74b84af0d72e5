//! The command line: what was typed, as a value.
//!
//! * The flags come from the table of settings, so that each is also a key of the file and a variable.
//! * A wrong flag is one line on stderr and exit code 2.

use crate::operate::account;
use crate::operate::mint;
use crate::settings::SETTINGS;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use program::failure::Failure;
use program::settings::flags::{self, Parsed, text, value};
use program::settings::layers::Layers;
use std::ffi::OsString;
use std::path::PathBuf;
use wire::Form;
use wire::json::name::{AccountName, ReflectorName};

/// What to do.
#[derive(Debug)]
pub enum Task {
    /// Serve.
    Run(Layers),
    /// Print a master with a key of this id.
    Keygen(u8),
    /// Print the ring file of a reflector.
    Ring(Layers, ReflectorName),
    /// Mint for two sides.
    Mint(Box<mint::Question>),
    /// Do something to accounts or buddies.
    Account(Layers, account::Task),
    /// Print this: help or version.
    Print(String),
}

/// Reads the command line and the variables of the environment.
///
/// # Errors
/// Whatever is unknown, missing or malformed.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Task, Failure> {
    let matches = match flags::parse(command(), arguments)? {
        Parsed::Command(matches) => matches,
        Parsed::Print(text) => return Ok(Task::Print(text)),
    };
    match matches.subcommand() {
        Some(("run", matches)) => Ok(Task::Run(SETTINGS.layers(matches, "run"))),
        Some(("keygen", matches)) => Ok(Task::Keygen(*value(matches, "id"))),
        Some(("ring", matches)) => {
            Ok(Task::Ring(SETTINGS.layers(matches, "ring"), reflector(matches, "name")?))
        }
        Some(("mint", matches)) => Ok(Task::Mint(Box::new(question(matches)?))),
        Some(("revocations", matches)) => {
            Ok(Task::Account(SETTINGS.layers(matches, "account"), account::Task::Revocations))
        }
        Some((group @ ("account" | "buddy"), matches)) => match matches.subcommand() {
            Some((verb, matches)) => {
                Ok(Task::Account(SETTINGS.layers(matches, group), account_task(group, verb, matches)?))
            }
            None => Err(missing()),
        },
        _ => Err(missing()),
    }
}

/// The whole command line.
pub fn command() -> Command {
    Command::new("reflector-access")
        .version(env!("CARGO_PKG_VERSION"))
        .about("The access server: accounts, devices, who is there, and the capabilities to reach them.")
        .after_help(EXIT_CODES)
        .subcommand_required(true)
        .subcommand(settings("run", Command::new("run").about("Serve")).after_help(PRECEDENCE))
        .subcommand(keygen_command())
        .subcommand(settings("ring", ring_command()))
        .subcommand(settings("mint", mint_command()))
        .subcommand(account_command())
        .subcommand(buddy_command())
        .subcommand(settings(
            "account",
            Command::new("revocations").about(
                "List the hosts of the reflectors, and whether each has acknowledged every revocation",
            ),
        ))
}

fn keygen_command() -> Command {
    Command::new("keygen").about("Print a fresh master file to stdout").arg(
        Arg::new("id")
            .long("id")
            .value_name("N")
            .default_value("0")
            .value_parser(value_parser!(u8).range(0..=15))
            .help("Key id, 0..=15; in a rotation, one that the master does not hold yet"),
    )
}

fn ring_command() -> Command {
    Command::new("ring").about("Print the ring file of a reflector, derived from the master").arg(named(
        "name",
        "NAME",
        "The reflector's name: a-z, 0-9 and -, at most 32 characters",
    ))
}

fn mint_command() -> Command {
    Command::new("mint")
        .about("Print the SEND headers of two sides, from two addresses or tickets")
        .arg(named("at", "NAME", "The reflector where both meet"))
        .arg(named("a", "ADDR:PORT|TICKET", "One side, as that reflector sees it"))
        .arg(named("b", "ADDR:PORT|TICKET", "The other side"))
        .arg(
            Arg::new("class")
                .long("class")
                .value_name("N")
                .default_value("0")
                .value_parser(value_parser!(u8).range(0..=15))
                .help("Rate class, 0..=15"),
        )
        .arg(
            Arg::new("sealed")
                .long("sealed")
                .action(ArgAction::SetTrue)
                .help("Headers by which neither side learns the other's address"),
        )
}

fn account_command() -> Command {
    let account = || named("account", "ACCOUNT", "Its name: a-z, 0-9 and . _ @ + -, at most 64 characters");
    let generate = || {
        Arg::new("generate")
            .long("generate")
            .action(ArgAction::SetTrue)
            .help("Make a password and print it, instead of reading one line from stdin")
    };
    let verb = |name: &'static str, about: &'static str| settings("account", Command::new(name).about(about));
    Command::new("account")
        .about("Add, list, disable, enable, hide, show and import accounts, and set passwords; the server may run or not")
        .subcommand_required(true)
        .subcommand(verb("add", "Add an account").arg(account()).arg(generate()))
        .subcommand(verb("password", "Set the password of an account").arg(account()).arg(generate()))
        .subcommand(verb("list", "List all accounts"))
        .subcommand(
            verb(
                "disable",
                "Keep an account out: its sessions end, nothing more is minted for it, and its running conversations are \
                 cut at the reflectors",
            )
            .arg(account()),
        )
        .subcommand(verb("enable", "Let a disabled account in again").arg(account()))
        .subcommand(
            verb("hide", "Hide the addresses of an account's devices from its buddies: they are reached through reflectors only")
                .arg(account()),
        )
        .subcommand(verb("show", "Show the addresses of an account's devices to its buddies again").arg(account()))
        .subcommand(
            verb("import", "Add many accounts: JSON lines with account and either password or hash (argon2id, PHC string)")
                .arg(named("file", "FILE", "The lines")),
        )
}

fn buddy_command() -> Command {
    let account = || named("account", "ACCOUNT", "One account");
    let buddy = || named("buddy", "BUDDY", "The other");
    let verb = |name: &'static str, about: &'static str| settings("buddy", Command::new(name).about(about));
    Command::new("buddy")
        .about("Make accounts buddies of each other, end that, list it; the server may run or not")
        .subcommand_required(true)
        .subcommand(
            verb("add", "Make two accounts buddies, as if each had asked").arg(account()).arg(buddy()),
        )
        .subcommand(verb("remove", "End what is between two accounts").arg(account()).arg(buddy()))
        .subcommand(verb("list", "List whom an account asked or was asked by").arg(account()))
}

fn settings(group: &str, command: Command) -> Command {
    SETTINGS.arguments(command, group)
}

fn named(id: &'static str, value_name: &'static str, help: &'static str) -> Arg {
    Arg::new(id).value_name(value_name).required(true).help(help)
}

fn account_task(group: &str, verb: &str, matches: &ArgMatches) -> Result<account::Task, Failure> {
    use account::Task;
    let generate = || matches.get_flag("generate");
    Ok(match (group, verb) {
        ("account", "add") => Task::Add(account(matches, "account")?, generate()),
        ("account", "password") => Task::Password(account(matches, "account")?, generate()),
        ("account", "list") => Task::List,
        ("account", "disable") => Task::Enable(account(matches, "account")?, false),
        ("account", "enable") => Task::Enable(account(matches, "account")?, true),
        ("account", "hide") => Task::Hide(account(matches, "account")?, true),
        ("account", "show") => Task::Hide(account(matches, "account")?, false),
        ("account", "import") => Task::Import(PathBuf::from(text(matches, "file"))),
        ("buddy", "add") => Task::AddBuddy(account(matches, "account")?, account(matches, "buddy")?),
        ("buddy", "remove") => Task::RemoveBuddy(account(matches, "account")?, account(matches, "buddy")?),
        ("buddy", "list") => Task::ListBuddies(account(matches, "account")?),
        _ => return Err(missing()),
    })
}

fn question(matches: &ArgMatches) -> Result<mint::Question, Failure> {
    Ok(mint::Question {
        layers: SETTINGS.layers(matches, "mint"),
        reflector: reflector(matches, "at")?,
        sides: [String::from(text(matches, "a")), String::from(text(matches, "b"))],
        class: *value(matches, "class"),
        form: if matches.get_flag("sealed") { Form::Sealed } else { Form::Plain },
    })
}

fn account(matches: &ArgMatches, id: &str) -> Result<AccountName, Failure> {
    let text = text(matches, id);
    text.parse().map_err(|error| Failure::Usage(format!("{text}: {error}")))
}

fn reflector(matches: &ArgMatches, id: &str) -> Result<ReflectorName, Failure> {
    let text = text(matches, id);
    text.parse().map_err(|error| Failure::Usage(format!("{text}: {error}")))
}

fn missing() -> Failure {
    Failure::Usage(String::from("a command is missing; `reflector-access --help` lists them"))
}

const PRECEDENCE: &str = "Every flag is also a key of the configuration file and an environment variable. Flags win \
over variables, variables over the file, the file over defaults; a higher one replaces a list whole.\n\n\
Signals: SIGHUP reads master, reflectors, certificate, credentials, lists and times again (all or nothing), SIGTERM \
answers what was asked and exits 0.";

const EXIT_CODES: &str =
    "Exit codes: 0 fine, 1 failed at run time, 2 wrong usage, 78 bad configuration, 130 interrupted.";
