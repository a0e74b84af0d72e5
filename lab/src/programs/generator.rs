//! One run of the load generator, and what it says of it.
//!
//! * A black box: started as a program, read through the JSON that it writes; nothing of it is linked.
//! * Its JSON is refused in any schema but [`SCHEMA`]; fields that are not needed here are passed over.
//! * An invalid run (exit 98) or a failed threshold (99) is a result; any other failure is an error with its last words.

use super::interrupt::Interrupt;
use super::process_time::process_ns;
use super::program::{Program, Start, ending};
use super::reflector::Reflector;
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
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

/// What a run gave, as far as reports need it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Version of the generator.
    pub version: String,
    /// Whether a signal ended it early.
    pub interrupted: bool,
    /// How the endpoints learned their contacts.
    pub contacts: Contacts,
    /// Rates of the measured phase.
    pub rate: Rate,
    /// What became of the datagrams of the measured phase.
    pub data: Data,
    /// PROBEs that kept pinholes alive during warm-up and measured phase.
    pub keepalive: Keepalive,
    /// Latency of delivered datagrams, from their intended send time.
    pub latency: Latency,
    /// Delivery by the NAT behaviours of sender and receiver.
    pub nat_pairs: Vec<NatPair>,
    /// What the run cost the generator.
    pub generator: Cost,
    /// Whether the numbers may be believed.
    pub validity: Validity,
}

/// The contacts phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contacts {
    /// Endpoints that obtained a contact.
    pub obtained: u32,
    /// Endpoints that did not.
    pub missing: u32,
    /// PROBEs sent.
    pub probes: u64,
}

/// PROBEs that kept pinholes alive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keepalive {
    /// Sent.
    pub sent: u64,
    /// Answers that entered at the NAT.
    pub answered: u64,
}

/// Rates of the measured phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// Length of the measured phase, ns.
    pub elapsed_ns: u64,
    /// Sent, per second.
    pub sent_per_s: f64,
    /// Came to the receiver's NAT, delivered or refused there, per second.
    pub arrived_per_s: f64,
    /// Delivered, per second.
    pub delivered_per_s: f64,
}

/// What became of the datagrams of the measured phase: `sent = delivered + refused_by_nat + lost`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Data {
    /// Taken by the kernel.
    pub sent: u64,
    /// Entered at the receiver's NAT.
    pub delivered: u64,
    /// Refused there, by reason.
    pub refused_by_nat: BTreeMap<String, u64>,
    /// Never seen again.
    pub lost: u64,
    /// `lost / sent`.
    pub loss: f64,
    /// Seen again.
    pub duplicates: u64,
    /// Overtaken.
    pub reordered: u64,
}

impl Data {
    /// Refused by the receiver's NAT for any reason.
    pub fn refused(&self) -> u64 {
        self.refused_by_nat.values().sum()
    }
}

/// A latency distribution, ns.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // Each field is its name.
pub struct Latency {
    pub count: u64,
    pub min_ns: u64,
    pub mean_ns: f64,
    pub p50_ns: u64,
    pub p90_ns: u64,
    pub p99_ns: u64,
    pub p99_9_ns: u64,
    pub p99_99_ns: u64,
    pub max_ns: u64,
    /// The whole histogram: HdrHistogram V2, deflated, in base64.
    pub hdr_v2_base64: String,
}

/// Delivery between two NAT behaviours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NatPair {
    /// The sender's behaviour.
    pub from: String,
    /// The receiver's.
    pub to: String,
    /// Sent.
    pub sent: u64,
    /// Delivered.
    pub delivered: u64,
    /// Refused by the receiver's NAT.
    pub refused_by_nat: u64,
}

/// What the run cost the generator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Actual less intended send time, 99th percentile, ns.
    pub lag_p99_ns: u64,
    /// Datagrams that its own sockets dropped.
    pub socket_overflows: u64,
    /// CPU time without spinning, over datagrams sent and received, ns.
    pub core_ns_per_datagram: f64,
    /// Resident memory, bytes.
    pub rss_bytes: u64,
}

/// Whether the numbers may be believed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Validity {
    /// Whether every check holds.
    pub valid: bool,
    /// The checks.
    pub checks: Vec<Check>,
}

/// One comparison and its outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What is compared.
    pub name: String,
    /// The value found; `None` where there was nothing to measure.
    pub value: Option<f64>,
    /// `<`, `<=`, `>`, `>=` or `=`.
    pub relation: String,
    /// What it is compared with.
    pub bound: f64,
    /// `ns`, `fraction` or `count`.
    pub unit: String,
    /// Whether it holds.
    pub holds: bool,
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
    pub fn start(binary: &Path, reflector: &Reflector, load: &Load) -> anyhow::Result<Generator> {
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
        Generator::launch(&start, json)
    }

    /// Starts a run whose command line writes its result to `json`.
    ///
    /// # Errors
    /// A program that cannot be started.
    pub fn launch(start: &Start, json: PathBuf) -> anyhow::Result<Generator> {
        let _ = fs::remove_file(&json); // The result of a run before must not pass for this one's.
        Ok(Generator { program: Program::start(start)?, json, command: start.shown() })
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
        let text = fs::read_to_string(&self.json).with_context(|| {
            format!("the generator ended well and wrote no result{}", self.program.last_words())
        })?;
        parse(&text)
    }
}

/// Reads the generator's JSON.
///
/// # Errors
/// Another schema, or a field that is missing or of another form.
pub fn parse(text: &str) -> anyhow::Result<Outcome> {
    #[derive(Deserialize)]
    struct Version {
        schema: u32,
    }
    let Version { schema } =
        serde_json::from_str(text).context("the generator's result has no schema number")?;
    if schema != SCHEMA {
        bail!(
            "the generator's result has schema {schema}, this program reads schema {SCHEMA}: install both programs in \
             the same version"
        );
    }
    serde_json::from_str(text).context("the generator's result does not have the form of its schema")
}

/// The version of the generator's JSON that is read.
pub const SCHEMA: u32 = 1;
/// The generator's exit code of a run that may not be believed.
const INVALID: i32 = 98;
/// The generator's exit code of a threshold that failed.
const THRESHOLD: i32 = 99;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_schema_is_refused() {
        let outcome = Outcome { schema: SCHEMA, ..Outcome::default() };
        let text = serde_json::to_string(&outcome).unwrap();
        assert_eq!(parse(&text).unwrap(), outcome);
        let newer = text.replacen("\"schema\":1", "\"schema\":2", 1);
        assert!(parse(&newer).unwrap_err().to_string().contains("schema 2"));
        assert!(parse("{}").is_err());
        assert!(parse("{\"schema\":1}").is_err());
    }
}
