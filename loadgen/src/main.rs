//! `reflector-loadgen`: the thin program over the library.
//!
//! * stdout is data (the final table), stderr is talk; an error is one line.
//! * Exit codes: 0 fine, 1 failed, 2 usage, 78 configuration, 98 invalid run, 99 threshold failed, 130 interrupted.

#![forbid(unsafe_code)]

use clap::Parser;
use loadgen::args::{Cli, Command, LogFormat, RunArgs, one_line};
use loadgen::error::Error;
use loadgen::output::Output;
use loadgen::progress::{Progress, Surroundings};
use loadgen::report::Report;
use loadgen::run::run;
use loadgen::{summary, table};
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
    let Command::Run(args) = cli.command;
    start_log(&args);
    match execute(&args) {
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
    let mut progress = Progress::new(args.quiet, stderr().is_terminal());
    let result = run(
        &job,
        &mut Surroundings { interrupted: &interrupted, entropy, watch: &mut |state| progress.tell(state) },
    );
    progress.finish();
    let (report, latency) = result?;
    if let Some(json) = json {
        json.write(&to_json(&report)?)?;
    }
    if let Some(hgrm) = hgrm {
        hgrm.write(table::hgrm(&latency).as_bytes())?;
    }
    // Whoever closed the pipe does not want the table.
    let _ = write!(stdout(), "{}", table::table(&report));
    if let Some(advice) = table::advice(&report) {
        tracing::warn!("{advice}");
    }
    Ok(summary::ending(&report).exit_code())
}

fn to_json(report: &Report) -> Result<Vec<u8>, Error> {
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

fn start_log(args: &RunArgs) {
    let level = if args.quiet { tracing::Level::ERROR } else { tracing::Level::INFO };
    let log = tracing_subscriber::fmt().with_writer(stderr).with_max_level(level).with_target(false);
    match args.log_format {
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
