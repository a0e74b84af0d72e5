//! `reflector-perf`: the thin program over the library.
//!
//! * stdout is data (the table and the sentence), stderr is talk; an error is printed once, with what to do.
//! * Exit codes: 0 fine, 1 failed, 2 usage, 98 no run may be believed, 99 worse, 130 interrupted.

#![forbid(unsafe_code)]

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use lab::programs::found::Programs;
use lab::programs::interrupt::{Interrupt, Interrupted};
use perf::judge::contrast::Contrast;
use perf::judge::survey::Survey;
use perf::peers;
use perf::peers::Peers;
use perf::plan::Plan;
use perf::plan::args::{CompareArgs, PlanArgs, ReportArgs};
use perf::rig::header::Header;
use perf::rig::stage::READY;
use perf::rig::{bare, lacks};
use perf::sweep::args::{Reach, SweepArgs};
use perf::sweep::ledger::Ledger;
use perf::sweep::quick::QuickArgs;
use perf::sweep::{self, Sweep, audit, tables};
use std::io::{Write, stderr, stdout};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Measures a reflector with the load generator and reports.
#[derive(Debug, Parser)]
#[command(name = "reflector-perf", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A sweep of about half a minute over loopback: table, report and one sentence about capacity.
    Quick(QuickArgs),
    /// Engines, workers, payloads, endpoints, trains and hostile shares in turn; a quarter of an hour, goes on when interrupted.
    Sweep(Box<SweepArgs>),
    /// A page, a README and JSON from a sweep's folder.
    Report(ReportArgs),
    /// From a report and a population to cores, hosts, Gbit/s and latency.
    Plan(Box<PlanArgs>),
    /// Two reports or sweeps side by side; exit 99 if the second is worse.
    Compare(CompareArgs),
    /// This reflector, coturn and the limits of socket and interface in turn, on one core each time; as root.
    Peers(PeersArgs),
    /// A limit of `peers`: forwards anything.
    #[command(hide = true)]
    BareForwarder {
        /// Where to listen.
        listen: SocketAddr,
    },
    /// A limit of `peers`: sends everything back at the driver.
    #[command(hide = true)]
    BareSwap {
        /// Where to sit.
        interface: String,
    },
}

#[derive(Debug, Args)]
struct PeersArgs {
    /// Few and short runs, about a minute: shows that everything works, not how fast.
    #[arg(long, env = "REFLECTOR_PERF_SHORT")]
    short: bool,
    /// Folder for the results [default: perf/peers in cargo's target folder].
    #[arg(long, value_name = "DIR", env = "REFLECTOR_PERF_OUT")]
    out: Option<PathBuf>,
    /// Rounds that count; one more warms up [default: 7, with --short 1].
    #[arg(long, value_name = "N", env = "REFLECTOR_PERF_ROUNDS", value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: Option<u32>,
    /// Bytes behind what each relay needs before the payload, 24 to 1400.
    #[arg(
        long,
        value_name = "BYTES",
        default_value = "168",
        env = "REFLECTOR_PERF_PAYLOAD",
        value_parser = clap::value_parser!(u32).range(24..=1_400)
    )]
    payload: u32,
    /// Microseconds between two polls of the relay's interface while frames come, as network interfaces moderate their
    /// interrupts, 0 to 100; 0: every frame that finds its thread asleep wakes it.
    #[arg(
        long,
        value_name = "US",
        default_value = "0",
        env = "REFLECTOR_PERF_MODERATION",
        value_parser = clap::value_parser!(u32).range(0..=100)
    )]
    moderation: u32,
    /// Flows: so many endpoints, each sending to the next.
    #[arg(
        long,
        value_name = "N",
        default_value = "1000",
        env = "REFLECTOR_PERF_FLOWS",
        value_parser = clap::value_parser!(u32).range(16..=10_000)
    )]
    flows: u32,
}

fn main() -> ExitCode {
    let command = match Cli::try_parse() {
        Ok(Cli { command }) => command,
        Err(error) if !error.use_stderr() => {
            let _ = write!(stdout(), "{}", error.render()); // Help and version; a closed pipe is nobody's error.
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            tell(&one_line(&error));
            return ExitCode::from(USAGE);
        }
    };
    let ended = match command {
        Command::Quick(args) => quick(&args),
        Command::Sweep(args) => sweep(&args),
        Command::Report(args) => report(&args),
        Command::Plan(args) => plan(&args),
        Command::Compare(args) => compare(&args),
        Command::Peers(args) => peers(args),
        Command::BareForwarder { listen } => bare::forward(listen, ready).map(|()| 0),
        Command::BareSwap { interface } => bare::swap(&interface, ready).map(|()| 0),
    };
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let is_interrupted = error.is::<Interrupted>();
            let is_lost = is_interrupted && error.chain().count() == 1;
            tell(&format!("error: {error:#}{}", if is_lost { ": no report was written" } else { "" }));
            ExitCode::from(if is_interrupted { INTERRUPTED } else { FAILED })
        }
    }
}

fn quick(args: &QuickArgs) -> anyhow::Result<u8> {
    let Measured { survey, folder, .. } = measure(&args.sweep(), "quick", Ledger::replace)?;
    sweep::report::write(&survey, &folder)?;
    tell(&format!("report: {}", folder.join("report.html").display()));
    show(&format!("\n{}\n{}\n", tables::runs(&survey).terminal(), survey.headline))?;
    Ok(verdict(&survey, "run it again"))
}

fn sweep(args: &SweepArgs) -> anyhow::Result<u8> {
    let name = if args.short { "sweep-short" } else { SWEEP };
    let Measured { survey, folder, is_new } = measure(args, name, Ledger::open)?;
    show(&format!("{}\n{}\n", tables::capacities(&survey).terminal(), survey.headline))?;
    if !is_new {
        tell(
            "nothing was left to measure; to measure again, remove that folder or name another one with --out",
        );
    }
    tell(&format!("figures agree with each other; next: reflector-perf report {}", folder.display()));
    Ok(verdict(&survey, "run it again in another folder"))
}

/// What a sweep has measured.
struct Measured {
    survey: Survey,
    folder: PathBuf,
    /// Whether anything was left to measure.
    is_new: bool,
}

/// Measures what is left of a sweep in its folder, which is named `name` unless somebody typed another one.
fn measure(
    args: &SweepArgs,
    name: &str,
    open: impl Fn(&Path, &Header) -> anyhow::Result<Ledger>,
) -> anyhow::Result<Measured> {
    let interrupt = Interrupt::on_signals()?;
    let programs = programs()?;
    interrupt.check()?;
    let folder = args.out.clone().unwrap_or_else(|| programs.target().join("perf").join(name));
    let mut progress = |line: &str| tell(line);
    let (header, sites) = args.open(&typed(), &programs, &interrupt, &mut progress)?;
    let ledger = open(&folder, &header)?;
    let known = ledger.runs().len();
    let ended = Sweep::new(&header, args.effort(), sites, ledger, &interrupt, &mut progress).run();
    let runs = match args.reach {
        Reach::Quick => ended?,
        Reach::Sweep => ended.with_context(|| {
            format!("what was measured is kept in {}; the same command goes on with it", folder.display())
        })?,
    };
    let faults = audit::faults(&header, &runs)?;
    if !faults.is_empty() {
        anyhow::bail!("the figures contradict each other: {}", faults.join("; "));
    }
    Ok(Measured { survey: sweep::report::read(&folder)?, folder, is_new: runs.len() > known })
}

/// The exit code that follows, with what to do if no run may be believed.
fn verdict(survey: &Survey, what_then: &str) -> u8 {
    if survey.validity.believed > 0 {
        return 0;
    }
    tell(&format!(
        "error: no run may be believed: end other programs, allow two free cores, and {what_then}"
    ));
    INVALID
}

fn report(args: &ReportArgs) -> anyhow::Result<u8> {
    let sweep = args.sweep.clone().map_or_else(last_sweep, Ok)?;
    if sweep.join(peers::report::FILE).exists() {
        return report_of_peers(&sweep, args.out.as_ref().unwrap_or(&sweep));
    }
    let survey = sweep::report::read(&sweep)?;
    let folder = args.out.as_ref().unwrap_or(&sweep);
    sweep::report::write(&survey, folder)?;
    tell(&format!("report: {}", folder.join("report.html").display()));
    show(&format!("{}\n", survey.headline))?;
    Ok(0)
}

/// The files of a comparison, made again from its data.
fn report_of_peers(measured: &Path, folder: &Path) -> anyhow::Result<u8> {
    let comparison = peers::report::read(measured)?;
    peers::report::write(&comparison, folder)?;
    tell(&format!("report: {}", folder.join("peers.html").display()));
    show(&format!("{}\n", comparison.headline()))?;
    Ok(0)
}

fn plan(args: &PlanArgs) -> anyhow::Result<u8> {
    let survey = sweep::report::read(&args.report.clone().map_or_else(last_sweep, Ok)?)?;
    let (population, hosts) = (args.population()?, args.hosts(&survey)?);
    let plan = Plan::of(&survey, &population, &hosts, args.extrapolate)?;
    show(&plan.in_words(&survey, &population, &hosts))?;
    Ok(0)
}

fn compare(args: &CompareArgs) -> anyhow::Result<u8> {
    let (first, second) = (sweep::report::read(&args.first)?, sweep::report::read(&args.second)?);
    let contrast =
        if args.held_out { Contrast::held_out(&first, &second)? } else { Contrast::of(&first, &second) };
    if contrast.lines.is_empty() {
        anyhow::bail!("the two have nothing to compare: measure the same configurations in both");
    }
    show(&contrast.in_words())?;
    Ok(if contrast.has_regressed() { REGRESSED } else { 0 })
}

/// Where a sweep is kept unless somebody says where.
fn last_sweep() -> anyhow::Result<PathBuf> {
    Ok(Programs::find()?.target().join("perf").join(SWEEP))
}

/// The folder of sweeps that are not short.
const SWEEP: &str = "sweep";

/// The command as it was typed, its program by name.
fn typed() -> String {
    let arguments = std::env::args().skip(1).map(|argument| format!(" {argument}"));
    format!("reflector-perf{}", arguments.collect::<String>())
}

fn peers(args: PeersArgs) -> anyhow::Result<u8> {
    if let Some(lack) = lacks::missing() {
        anyhow::bail!("{lack}");
    }
    let interrupt = Interrupt::on_signals()?;
    let programs = programs()?;
    interrupt.check()?;
    let rounds = args.rounds.unwrap_or(if args.short { 1 } else { 7 });
    let peers = Peers {
        moderation_us: args.moderation,
        endpoints: args.flows,
        payload_bytes: args.payload,
        rounds,
        is_short: args.short,
    };
    let comparison = peers.run(&programs, &interrupt, &mut |line| tell(line))?;
    let folder = args.out.unwrap_or_else(|| programs.target().join("perf").join("peers"));
    peers::report::write(&comparison, &folder)?;
    tell(&format!("report: {}", folder.join("peers.html").display()));
    show(&format!("{}\n{}\n", peers::table::terminal(&comparison), comparison.headline()))?;
    match comparison.advice() {
        Some(advice) => {
            tell(&format!("error: {advice}"));
            Ok(INVALID)
        }
        None => Ok(0),
    }
}

/// The programs to be measured, with a word on figures that are worth nothing.
fn programs() -> anyhow::Result<Programs> {
    let programs = Programs::find()?;
    if programs.profile().is_some_and(|profile| profile == "debug") {
        tell("the programs are built without optimisation: figures take `cargo run --release -p perf`");
    }
    Ok(programs)
}

/// What a limit says once it runs.
fn ready() {
    tell(READY);
}

/// On stdout; a closed pipe is nobody's error.
fn show(text: &str) -> anyhow::Result<()> {
    match stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn tell(line: &str) {
    let _ = writeln!(stderr(), "{line}"); // Nobody is left to hear that stderr is closed.
}

/// What was typed wrong and what would be right, without the usage below it.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let told = text.lines().take_while(|line| !line.starts_with("Usage:")).map(str::trim);
    let told: Vec<&str> = told.filter(|line| !line.is_empty() && !line.starts_with("For more")).collect();
    if told.is_empty() {
        "error: no command was given; `reflector-perf quick` is one".to_owned()
    } else {
        told.join(" ")
    }
}

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const INVALID: u8 = 98;
const REGRESSED: u8 = 99;
const INTERRUPTED: u8 = 130;
