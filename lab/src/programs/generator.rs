//! One run of the load generator, and what it says of it.
//!
//! * A black box: started as a program, read through the JSON that it writes; nothing of it is linked.
//! * Its JSON is refused in any schema but that of `results`; fields that are not needed here are passed over.
//! * An invalid run (exit 98) or a failed threshold (99) is a result; any other failure is an error with its last words.

use super::interrupt::Interrupt;
use super::process_time::process_ns;
use super::program::{Program, Start, ending};
use super::reflector::Reflector;
use anyhow::{Context, bail};
use results::outcome::Outcome;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a run is asked for.
#[derive(Clone, Debug)]
pub struct Load {
    /// Endpoints, each behind a NAT of its own.
    pub endpoints: u32,
    /// NAT mix.
    pub nat: nat::Mix,
    /// Datagrams per second, all endpoints together.
    pub rate_per_s: u64,
    /// How they follow each other, as `--arrivals` reads it.
    pub arrivals: String,
    /// Bytes behind the header.
    pub payload_bytes: u32,
    /// Measured phase.
    pub duration: Duration,
    /// Before it.
    pub warmup: Duration,
    /// The processors to run on; empty: any.
    pub cpus: Vec<usize>,
}

/// A run that has ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// What it gave.
    pub outcome: Outcome,
    /// CPU time of the generator's process, spinning included, ns.
    pub process_ns: u64,
}

/// A run under way.
#[derive(Debug)]
pub struct Generator {
    program: Program,
    json: PathBuf,
    command: String,
}

impl Generator {
    /// Starts a run against a reflector.
    ///
    /// # Errors
    /// A program that cannot be started.
    pub fn start(binary: &Path, reflector: &Reflector, load: &Load) -> anyhow::Result<Self> {
        let json = reflector.scratch().join("run.json");
        let mut start = Start::new(binary);
        start
            .arg("run")
            .option("--reflector", reflector.listen())
            .option("--keys", reflector.keys().display());
        start.option("--endpoints", load.endpoints).option("--nat", load.nat);
        start.option("--rate", load.rate_per_s).option("--payload", load.payload_bytes);
        start.option("--arrivals", &load.arrivals);
        start.option("--duration", format!("{}ms", load.duration.as_millis()));
        start.option("--warmup", format!("{}ms", load.warmup.as_millis()));
        start.option("--workers", 1).option("--json", json.display()).arg("--quiet");
        start.on(&load.cpus);
        Self::launch(&start, json)
    }

    /// Starts a run whose command line writes its result to `json`.
    ///
    /// # Errors
    /// A program that cannot be started.
    pub fn launch(start: &Start, json: PathBuf) -> anyhow::Result<Self> {
        let _ = fs::remove_file(&json); // The result of a run before must not pass for this one's.
        Ok(Self { program: Program::start(start)?, json, command: start.shown() })
    }

    /// The command line, as a person would type it.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// The program itself, to be signalled.
    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    /// Waits for the end of the run.
    ///
    /// # Errors
    /// The generator or the reflector failed, the run was interrupted, or its JSON cannot be read; with last words.
    pub fn finish(mut self, reflector: &mut Reflector, interrupt: &Interrupt) -> anyhow::Result<Finished> {
        let mut spent_ns = 0;
        loop {
            // Read while it runs: nothing is left of it afterwards.
            spent_ns = process_ns(self.program.id()).unwrap_or(spent_ns);
            let outcome = self.poll();
            reflector.ensure_alive()?;
            interrupt.check()?;
            if let Some(outcome) = outcome? {
                return Ok(Finished { outcome, process_ns: spent_ns });
            }
            interrupt.sleep(Duration::from_millis(20));
        }
    }

    /// What the run gave, once it has ended.
    ///
    /// # Errors
    /// The generator failed, or its JSON cannot be read; with last words.
    pub fn poll(&mut self) -> anyhow::Result<Option<Outcome>> {
        let Some(status) = self.program.ended()? else { return Ok(None) };
        match status.code() {
            Some(0 | INVALID | THRESHOLD) => self.outcome().map(Some),
            _ => bail!("the generator failed ({}){}", ending(status), self.program.last_words()),
        }
    }

    fn outcome(&self) -> anyhow::Result<Outcome> {
        let text = fs::read(&self.json).with_context(|| {
            format!("the generator ended well and wrote no result{}", self.program.last_words())
        })?;
        Ok(Outcome::from_json(&text)?)
    }
}

/// The generator's exit code of a run that may not be believed.
const INVALID: i32 = 98;
/// The generator's exit code of a threshold that failed.
const THRESHOLD: i32 = 99;
