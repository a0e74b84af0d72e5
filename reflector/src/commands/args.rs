//! The command line: what was typed, as a value.
//!
//! * The flags of `run` come from the table of settings, so that each is also a key of the file and a variable.
//! * A wrong flag is one line on stderr and exit code 2.

use crate::commands::explain::Question;
use crate::commands::probe;
use crate::commands::revoke;
use crate::commands::xdp;
use crate::config::{self, Blocks, Bounds};
use crate::fast_path::settings::FastPathSettings;
use crate::rules::shared::host_blocks;
use crate::settings::SETTINGS;
use crate::stun::settings;
use clap::{Arg, ArgMatches, Command, value_parser};
use engine::host::addresses::Addresses;
use program::failure::Failure;
use program::settings::flags::{self, Parsed, text, value};
use program::settings::layers::Layers;
use program::settings::texts::{Texts, read_text};
use program::units;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wire::json::revocations::SubjectJson;
use wire::{BlockSet, Policy, Revoked, TransportAddress};

/// What to do.
#[derive(Debug)]
pub enum Task {
    /// Serve.
    Run(Layers),
    /// Say what would run.
    Check(Layers),
    /// Print a ring with a key of this id.
    Keygen(u8),
    /// Ask a reflector.
    Probe(probe::Options),
    /// Explain a datagram.
    Explain(Box<Question>),
    /// Take rights back.
    Revoke(Box<revoke::Options>),
    /// Say what XDP programs sit where.
    XdpStatus(xdp::Question),
    /// Take pinned XDP programs off.
    XdpDetach(xdp::Question),
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
        Some(("check", matches)) => Ok(Task::Check(SETTINGS.layers(matches, "run"))),
        Some(("keygen", matches)) => Ok(Task::Keygen(*value(matches, "id"))),
        Some(("probe", matches)) => Ok(Task::Probe(probe_options(matches)?)),
        Some(("explain", matches)) => Ok(Task::Explain(Box::new(question(matches)?))),
        Some(("revoke", matches)) => Ok(Task::Revoke(Box::new(revocation(matches)?))),
        Some(("xdp", matches)) => match matches.subcommand() {
            Some(("detach", matches)) => Ok(Task::XdpDetach(xdp_question(matches)?)),
            Some((_, matches)) => Ok(Task::XdpStatus(xdp_question(matches)?)),
            None => Err(Failure::Usage(String::from("`reflector xdp` takes status or detach"))),
        },
        _ => Err(Failure::Usage(String::from("a command is missing; `reflector --help` lists them"))),
    }
}

/// The whole command line.
pub fn command() -> Command {
    let settings = |command: Command| SETTINGS.arguments(command, "run");
    Command::new("reflector")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A stateless UDP reflector: every datagram carries its destination and the proof that it may go there.")
        .after_help(EXIT_CODES)
        .subcommand_required(true)
        .subcommand(settings(Command::new("run").about("Serve")).after_help(PRECEDENCE))
        .subcommand(
            settings(Command::new("check").about(
                "Say what would run, and what is missing for more speed or safety, with the command that mends it",
            ))
            .after_help(PRECEDENCE),
        )
        .subcommand(keygen_command())
        .subcommand(probe_command())
        .subcommand(explain_command())
        .subcommand(revoke_command())
        .subcommand(xdp_command())
}

fn keygen_command() -> Command {
    Command::new("keygen").about("Print a fresh ring file to stdout").arg(
        Arg::new("id")
            .long("id")
            .value_name("N")
            .default_value("0")
            .value_parser(value_parser!(u8).range(0..=15))
            .help("Key id, 0..=15; in a rotation, one that the ring does not hold yet"),
    )
}

fn probe_command() -> Command {
    Command::new("probe")
        .about(
            "Send PROBEs to a reflector: observed address, round-trip times, ticket expiry; exit code 1 when \
                nothing answers",
        )
        .arg(Arg::new("reflector").value_name("ADDR:PORT").required(true).help("The reflector"))
        .arg(
            Arg::new("count")
                .long("count")
                .value_name("N")
                .default_value("5")
                .value_parser(value_parser!(u32).range(1..=1_000))
                .help("How many PROBEs, one after the other, 1..=1000"),
        )
        .arg(
            Arg::new("timeout")
                .long("timeout")
                .value_name("TIME")
                .default_value("1s")
                .help("How long to wait for each answer, 1ms..=60s"),
        )
}

fn explain_command() -> Command {
    let path = value_parser!(PathBuf);
    Command::new("explain")
        .about("Walk one datagram through every check and name the first that fails")
        .arg(
            Arg::new("hex")
                .value_name("HEX")
                .required(true)
                .help("The datagram's bytes, or its first 32, in hexadecimal"),
        )
        .arg(
            Arg::new("source")
                .long("source")
                .value_name("ADDR:PORT")
                .required(true)
                .help("Where it came from, as the reflector sees it"),
        )
        .arg(
            Arg::new("keys")
                .long("keys")
                .value_name("FILE")
                .required(true)
                .value_parser(path)
                .help("Ring file"),
        )
        .arg(
            Arg::new("now")
                .long("now")
                .value_name("UNIX")
                .value_parser(value_parser!(u32))
                .help("Unix time in seconds [default: now]"),
        )
        .args(SETTINGS.flags("explain"))
        .after_help("Without --listen, sockets of both families are assumed.")
}

fn revoke_command() -> Command {
    let command = Command::new("revoke").about(
        "Revoke, at once, every capability of a transport address or of a pair of them; exits with 1 unless the \
             reflector has the entry in force and on disk",
    );
    SETTINGS
        .arguments(command, "revoke")
        .arg(
            Arg::new("subject")
                .value_name("ADDR:PORT")
                .required(true)
                .num_args(1..=2)
                .help("One address: nothing from or to it is relayed any more. Two: nothing between them"),
        )
        .arg(
            Arg::new("server-name")
                .long("server-name")
                .value_name("NAME")
                .help("With --admin-tls-cert: a name in it [default: the address of --admin]"),
        )
        .after_help(
            "An entry lasts 720 s; by then every capability from before has expired. First stop whatever mints \
             capabilities for the address, or it will be given new ones. Ask every host of the reflector.",
        )
}

fn xdp_command() -> Command {
    let settings = |name: &'static str, about: &'static str| {
        let flags = SETTINGS.flags_with_variables("xdp");
        Command::new(name).about(about).args(flags).after_help("Without --xdp, every interface is meant.")
    };
    Command::new("xdp")
        .about("Look at the XDP fast path without a daemon, or end it")
        .subcommand_required(true)
        .subcommand(settings(
            "status",
            "Say which interfaces have an XDP program, whose, in which mode, and its pin",
        ))
        .subcommand(settings("detach", "Take the programs that are pinned in --xdp-pin off their interfaces"))
}

fn probe_options(matches: &ArgMatches) -> Result<probe::Options, Failure> {
    let timeout = text(matches, "timeout");
    let wait = units::time(timeout)
        .filter(|time| (Duration::from_millis(1)..=Duration::from_mins(1)).contains(time))
        .ok_or_else(|| wrong("--timeout", timeout, "expected a time from 1ms to 60s such as 500ms"))?;
    let reflector = address("ADDR:PORT", text(matches, "reflector"))?;
    if reflector.port() == 0 || reflector.ip().is_unspecified() || reflector.ip().is_multicast() {
        return Err(wrong("ADDR:PORT", text(matches, "reflector"), "expected one address and its port"));
    }
    Ok(probe::Options { reflector, count: *value(matches, "count"), timeout: wait })
}

fn revocation(matches: &ArgMatches) -> Result<revoke::Options, Failure> {
    let layers = SETTINGS.layers(matches, "revoke");
    let texts = layers.read()?;
    let given: Vec<String> = matches.get_many("subject").into_iter().flatten().cloned().collect();
    let subject = SubjectJson::parse(&given).map_err(Failure::Usage)?;
    let admin: SocketAddr = texts.one("admin", "127.0.0.1:9464", config::address)?;
    let path = |key| texts.all(key, units::path).map(|paths| paths.into_iter().next_back());
    let tokens = path("admin-token")?.ok_or_else(|| {
        Failure::Usage(String::from("--admin-token FILE is missing: the file that the reflector has"))
    })?;
    let name = || matches.get_one::<String>("server-name").cloned().unwrap_or_else(|| admin.ip().to_string());
    let tls = path("admin-tls-cert")?.map(|certificate| (certificate, name()));
    Ok(revoke::Options { subject, admin, tokens, tls })
}

fn xdp_question(matches: &ArgMatches) -> Result<xdp::Question, Failure> {
    let texts = SETTINGS.texts(matches, "xdp");
    let FastPathSettings { interfaces, pin, .. } = FastPathSettings::check(&texts)?;
    Ok(xdp::Question { interfaces, pin })
}

fn question(matches: &ArgMatches) -> Result<Question, Failure> {
    let digits = text(matches, "hex");
    let datagram = hex::decode(digits)
        .map_err(|_| wrong("HEX", digits, "expected an even number of hexadecimal digits"))?;
    let keys: &PathBuf = value(matches, "keys");
    let ring = wire::ring_file::parse(&read_text(keys, "--keys")?)
        .map_err(|error| Failure::Config(format!("{}:{}: {}", keys.display(), error.line, error.reason)))?;
    let texts = SETTINGS.texts(matches, "explain");
    Ok(Question {
        datagram,
        source: address("--source", text(matches, "source"))?,
        now_s: matches.get_one("now").copied().unwrap_or_else(unix_s),
        ring,
        policy: policy(&texts)?,
        stun: texts.one("stun", "off", settings::mode)?,
    })
}

fn policy(texts: &Texts) -> Result<Policy, Failure> {
    let listen = config::listen(texts)?;
    let advertise = config::advertise(texts, &listen)?;
    let own: Vec<SocketAddr> = listen.iter().chain(&advertise).copied().collect();
    let (blocks, bounds) = (Blocks::check(texts)?, Bounds::check(texts)?);
    Ok(Policy {
        own: own.iter().filter_map(|it| TransportAddress::from_socket(*it)).collect(),
        // Of the host where the datagram arrived, no more is known here.
        host: host_blocks(&Addresses::default(), own.iter()),
        broadcasts: Vec::new(),
        allow_destination: BlockSet::new(&blocks.allow_destination),
        deny_destination: BlockSet::new(&blocks.deny_destination),
        deny_source: BlockSet::new(&blocks.deny_source),
        sends_ipv4: listen.is_empty() || listen.iter().any(SocketAddr::is_ipv4),
        sends_ipv6: listen.is_empty() || listen.iter().any(SocketAddr::is_ipv6),
        revoked: Revoked::default(),
        max_datagram: bounds.max_datagram,
        answer_lifetime_s: bounds.answer_lifetime_s,
        ticket_lifetime_s: bounds.ticket_lifetime_s,
    })
}

fn address(name: &str, text: &str) -> Result<SocketAddr, Failure> {
    text.parse()
        .map_err(|_| wrong(name, text, "expected ADDR:PORT such as 203.0.113.7:3478 or [2001:db8::7]:3478"))
}

fn wrong(name: &str, text: &str, right: &str) -> Failure {
    Failure::Usage(format!("{name} {text}: {right}"))
}

fn unix_s() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    u32::try_from(now).unwrap_or(u32::MAX)
}

const PRECEDENCE: &str = "Every flag is also a key of the configuration file and an environment variable. Flags win \
over variables, variables over the file, the file over defaults; a higher one replaces a list whole.\n\n\
Only in the file: rate limits by class, in UDP payload per worker and source address; a bucket holds one second's \
worth.\n\n    [class.1]\n    rate = \"5Mbps\"\n\n\
Signals: SIGHUP reads ring, lists, lifetimes, budgets and rates again (all or nothing), SIGTERM drains and exits 0.";

const EXIT_CODES: &str =
    "Exit codes: 0 fine, 1 failed at run time, 2 wrong usage, 78 bad configuration, 130 interrupted.";
