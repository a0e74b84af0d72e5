//! `reflector-loadgen`: the thin program over the library.
//!
//! * stdout is data (the final table), stderr is talk; an error is one line.
//! * Exit codes: 0 fine, 1 failed, 2 usage, 78 configuration, 98 invalid run, 99 threshold failed, 130 interrupted.

#![forbid(unsafe_code)]

use clap::Parser;
use loadgen::args::log_format::LogFormat;
use loadgen::args::presence::PresenceArgs;
use loadgen::args::{Cli, Command, RunArgs, one_line};
use loadgen::error::Error;
use loadgen::find::find;
use loadgen::load::shape::job::Job;
use loadgen::load::watch::progress::Progress;
use loadgen::load::watch::state::Surroundings;
use loadgen::report::output::Output;
use loadgen::report::{summary, table};
use loadgen::run::run;
use loadgen::society;
use loadgen::units::show_count;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if !error.use_stderr() => {
            // Help and version are data; a closed pipe is nobody's error.
            let _ = write!(stdout(), "{}", error.render());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            let _ = writeln!(stderr(), "{}", one_line(&error));
            return ExitCode::from(2);
        }
    };
    let outcome = match cli.command {
        Command::Run(args) => {
            start_log(args.quiet, args.log_format);
            execute(&args)
        }
        Command::Presence(args) => {
            start_log(args.quiet, args.log_format);
            attend(&args)
        }
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn execute(args: &RunArgs) -> Result<u8, Error> {
    let (fresh_seed, entropy) = (random()?, random()?);
    let job = args.to_job(fresh_seed >> 32)?;
    let json = args.json.as_deref().map(Output::open).transpose()?;
    let hgrm = args.hgrm.as_deref().map(Output::open).transpose()?;
    if let Some(keys) = &args.keys {
        warn_about_ring(keys);
    }
    let interrupted = watch_signals()?;
    let mut progress = Progress::new(args.quiet, stderr().is_terminal(), title(&job));
    let mut surroundings =
        Surroundings { interrupted: &interrupted, entropy, watch: &mut |state| progress.tell(state) };
    let result = match args.find {
        Some(goal) => find(&job, goal, &mut surroundings),
        None => run(&job, &mut surroundings),
    };
    let view_ns = progress.finish();
    let (mut report, latency) = result?;
    report.generator.view_ns = view_ns;
    if let Some(json) = json {
        json.write(&to_json(&report)?)?;
    }
    if let Some(hgrm) = hgrm {
        hgrm.write(table::hgrm(&latency).as_bytes())?;
    }
    // Whoever closed the pipe does not want the table.
    let _ = write!(stdout(), "{}", table::table(&report));
    match table::advice(&report) {
        Some(advice) if report.refused_all || !report.failed.is_empty() => tracing::error!("{advice}"),
        Some(advice) => tracing::warn!("{advice}"),
        None => {}
    }
    Ok(summary::ending(&report).exit_code())
}

fn attend(args: &PresenceArgs) -> Result<u8, Error> {
    let plan = args.to_plan(random()? >> 32)?;
    let json = args.json.as_deref().map(Output::open).transpose()?;
    let interrupted = watch_signals()?;
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)
        .map_err(|error| Error::Runtime(format!("the kernel gives no random bytes: {error}")))?;
    let report = society::run(&plan, secret, &interrupted)?;
    if let Some(json) = json {
        json.write(&to_json(&report)?)?;
    }
    let _ = write!(stdout(), "{}", society::table::table(&report));
    if !report.failed.is_empty() {
        tracing::error!("{}", report.failed);
    }
    Ok(summary::ending_of_presence(&report).exit_code())
}

/// What runs, in a line.
fn title(job: &Job) -> String {
    let traffic = job.traffic();
    let who = match job {
        Job::Endpoints(config) => format!("{} endpoints", show_count(u64::from(config.endpoints))),
        Job::Flows(ready) => format!("{} flows", show_count(ready.flows.len() as u64)),
    };
    format!("reflector-loadgen {}  {who}, payload {}", traffic.relay, traffic.payload.text)
}

fn to_json(report: &impl serde::Serialize) -> Result<Vec<u8>, Error> {
    let mut json = serde_json::to_vec_pretty(report)
        .map_err(|error| Error::Runtime(format!("the report cannot be written as JSON: {error}")))?;
    json.push(b'\n');
    Ok(json)
}

/// A flag that SIGINT and SIGTERM set.
fn watch_signals() -> Result<Arc<AtomicBool>, Error> {
    let failed = |error: std::io::Error| Error::Runtime(format!("cannot watch for signals: {error}"));
    let flag = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
    let (mut interrupt, mut terminate) = {
        let _guard = runtime.enter();
        (signal(SignalKind::interrupt()).map_err(failed)?, signal(SignalKind::terminate()).map_err(failed)?)
    };
    let set = Arc::clone(&flag);
    std::thread::spawn(move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                set.store(true, Ordering::Relaxed);
            }
        });
    });
    Ok(flag)
}

fn start_log(quiet: bool, format: LogFormat) {
    let level = if quiet { tracing::Level::ERROR } else { tracing::Level::INFO };
    let log = tracing_subscriber::fmt().with_writer(stderr).with_max_level(level).with_target(false);
    match format {
        LogFormat::Text => log.without_time().with_ansi(stderr().is_terminal()).init(),
        LogFormat::Json => log.json().init(),
    }
}

fn warn_about_ring(path: &Path) {
    let readable = std::fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o077 != 0);
    if readable {
        tracing::warn!("{} can be read by others: `chmod 600` it", path.display());
    }
}

fn random() -> Result<u64, Error> {
    getrandom::u64().map_err(|error| Error::Runtime(format!("the kernel gives no random number: {error}")))
}
