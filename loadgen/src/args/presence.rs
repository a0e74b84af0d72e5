//! What was typed behind `presence`, and how it becomes what is meant.
//!
//! * As `run`: every value carries its unit, every flag is also a variable `REFLECTOR_LOADGEN_...`, a mistake is one line.

use crate::args::log_format::LogFormat;
use crate::args::target::Target;
use crate::error::{Error, refuse};
use crate::load::shape::addresses::Addresses;
use crate::load::shape::churn::Churn;
use crate::load::shape::config::make_local;
use crate::threshold::Threshold;
use crate::units;
use clap::Args;
use nat::Mix;
use std::net::UdpSocket;
use std::path::PathBuf;
use wire::Block;

/// The flags of `presence`.
#[derive(Clone, Debug, Args)]
pub struct PresenceArgs {
    /// The access server, http://HOST:PORT.
    #[arg(long, value_name = "URL", env = "REFLECTOR_LOADGEN_ACCESS")]
    pub access: String,
    /// Its control socket (STORE.sock by default), through which accounts are added and made buddies; they stay there.
    #[arg(long, value_name = "PATH", env = "REFLECTOR_LOADGEN_CONTROL")]
    pub control: PathBuf,
    /// Endpoints, each a device of an account of its own behind a NAT of its own.
    #[arg(long, value_name = "N", default_value = "10k", env = "REFLECTOR_LOADGEN_ENDPOINTS", value_parser = endpoints)]
    pub endpoints: u32,
    /// Buddies of each, about.
    #[arg(long, value_name = "N", default_value = "8", env = "REFLECTOR_LOADGEN_BUDDIES", value_parser = buddies)]
    pub buddies: u32,
    /// NAT behaviours and their shares, as `run` takes them.
    #[arg(
        long,
        value_name = "MIX",
        env = "REFLECTOR_LOADGEN_NAT",
        default_value = "eim/eif=10%,eim/adf=20%,eim/apdf=50%,apdm/apdf=20%"
    )]
    pub nat: Mix,
    /// Time over which all of them start, evenly.
    #[arg(long, value_name = "TIME", default_value = "60s", env = "REFLECTOR_LOADGEN_STORM", value_parser = units::duration_ns)]
    pub storm: u64,
    /// Time that they then stay, with keepalives, refreshes and conversations.
    #[arg(long, value_name = "TIME", default_value = "60s", env = "REFLECTOR_LOADGEN_STEADY", value_parser = units::duration_ns)]
    pub steady: u64,
    /// Part of them that talks to a buddy meanwhile, a datagram a second each way.
    #[arg(long, value_name = "PERCENT%", default_value = "10%", env = "REFLECTOR_LOADGEN_TALK", value_parser = units::percentage)]
    pub talk: f64,
    /// Share of accounts that hide their addresses: whatever they send or receive goes through reflectors, sealed.
    #[arg(long, value_name = "PERCENT%", default_value = "0%", env = "REFLECTOR_LOADGEN_HIDDEN", value_parser = units::percentage)]
    pub hidden: f64,
    /// How long endpoints stay and are then away, on the average, such as 300s/30s; none leaves without it.
    #[arg(long, value_name = "STAY/AWAY", env = "REFLECTOR_LOADGEN_CHURN")]
    pub churn: Option<Churn>,
    /// Part of them that then leaves while the others look on.
    #[arg(long, value_name = "PERCENT%", default_value = "50%", env = "REFLECTOR_LOADGEN_OFFLINE", value_parser = units::percentage)]
    pub offline: f64,
    /// Time over which they leave.
    #[arg(long, value_name = "TIME", default_value = "5s", env = "REFLECTOR_LOADGEN_OFFLINE_TIME", value_parser = units::duration_ns)]
    pub offline_time: u64,
    /// A notice that takes longer is late.
    #[arg(long, value_name = "TIME", default_value = "2s", env = "REFLECTOR_LOADGEN_LATE", value_parser = units::duration_ns)]
    pub late: u64,
    /// So long the end of a phase waits for notices that have not come; then they are lost.
    #[arg(long, value_name = "TIME", default_value = "10s", env = "REFLECTOR_LOADGEN_PATIENCE", value_parser = units::duration_ns)]
    pub patience: u64,
    /// Metrics of a reflector, http://HOST:PORT/metrics: its load stands in the report; repeatable.
    #[arg(long, value_name = "URL", env = "REFLECTOR_LOADGEN_METRICS")]
    pub metrics: Vec<String>,
    /// Block of the simulated NATs' external addresses, local to this host, and allowed by access server and reflectors.
    #[arg(long, value_name = "CIDR", default_value = "127.64.0.0/10", env = "REFLECTOR_LOADGEN_EXTERNAL", value_parser = block)]
    pub external: Block,
    /// After this silence a simulated NAT forgets a mapping.
    #[arg(long, value_name = "TIME", default_value = "120s", env = "REFLECTOR_LOADGEN_MAPPING_TIMEOUT", value_parser = units::duration_ns)]
    pub mapping_timeout: u64,
    /// Connections to the access server, kept alive.
    #[arg(long, value_name = "N", default_value = "32", env = "REFLECTOR_LOADGEN_CONNECTIONS", value_parser = connections)]
    pub connections: u32,
    /// Seed of friendships, conversations and comings and goings; by default a fresh one, which the report names.
    #[arg(long, value_name = "N", env = "REFLECTOR_LOADGEN_SEED")]
    pub seed: Option<u64>,
    /// What has to hold of the notices that somebody came, else exit 99: p50, p90, p99, p99.9, p99.99, max or loss;
    /// repeatable.
    #[arg(long = "threshold", value_name = "METRIC<BOUND", env = "REFLECTOR_LOADGEN_THRESHOLD")]
    pub thresholds: Vec<Threshold>,
    /// Writes the report as JSON.
    #[arg(long, value_name = "FILE", env = "REFLECTOR_LOADGEN_JSON")]
    pub json: Option<PathBuf>,
    /// No progress on stderr; errors still.
    #[arg(long, env = "REFLECTOR_LOADGEN_QUIET")]
    pub quiet: bool,
    /// Form of the lines on stderr.
    #[arg(long, value_name = "FORM", default_value = "text", env = "REFLECTOR_LOADGEN_LOG_FORMAT")]
    pub log_format: LogFormat,
}

/// What is meant, beside what the flags already say.
#[derive(Clone, Debug)]
pub struct PresencePlan {
    /// As typed.
    pub args: PresenceArgs,
    /// The access server.
    pub target: Target,
    /// The metrics of reflectors, as typed and as they are called.
    pub metrics: Vec<(String, Target)>,
    /// External addresses by number.
    pub addresses: Addresses,
    /// Of everything that repeats.
    pub seed: u64,
}

impl PresenceArgs {
    /// The run that is meant; `fresh_seed` is taken unless one was typed.
    ///
    /// # Errors
    /// The first value that is wrong by itself, against another, or against this host.
    pub fn to_plan(&self, fresh_seed: u64) -> Result<PresencePlan, Error> {
        let target = Target::find(&self.access)?;
        let addresses = Addresses::of(self.external);
        let (count, block) = (addresses.count(), self.external);
        refuse(!block.first().is_ipv4(), || {
            format!(
                "--external {block}: endpoints are simulated with IPv4 addresses here; name an IPv4 block"
            )
        })?;
        refuse(u64::from(self.endpoints) > count, || {
            format!(
                "--external {block} has {count} addresses for {} endpoints: name a larger block",
                self.endpoints
            )
        })?;
        refuse(self.late > self.patience, || {
            "--late is longer than --patience: what comes late would be lost before".to_owned()
        })?;
        for number in [0, u64::from(self.endpoints) - 1] {
            let address = addresses.get(number);
            UdpSocket::bind((address, 0)).map_err(|error| {
                let mend = make_local(&block.to_string(), true);
                Error::Configuration(format!(
                    "--external {block}: cannot send from {address} ({error}); make the block local with {mend}, and \
                     route it here from the reflectors' hosts"
                ))
            })?;
        }
        let named = |url: &String| Ok((url.clone(), Target::find(url)?));
        let metrics = self.metrics.iter().map(named).collect::<Result<_, Error>>()?;
        Ok(PresencePlan {
            args: self.clone(),
            target,
            metrics,
            addresses,
            seed: self.seed.unwrap_or(fresh_seed),
        })
    }
}

fn endpoints(text: &str) -> Result<u32, Error> {
    bounded(text, 2, MOST_ENDPOINTS, "endpoints")
}

fn buddies(text: &str) -> Result<u32, Error> {
    bounded(text, 1, MOST_BUDDIES, "buddies")
}

fn connections(text: &str) -> Result<u32, Error> {
    bounded(text, 1, MOST_CONNECTIONS, "connections")
}

fn bounded(text: &str, least: u32, most: u32, what: &str) -> Result<u32, Error> {
    let count = u32::try_from(units::count(text)?).ok().filter(|count| (least..=most).contains(count));
    count.ok_or_else(|| Error::Usage(format!("{} is not {least} to {most} {what}", units::quote(text))))
}

fn block(text: &str) -> Result<Block, Error> {
    text.parse().map_err(|error| Error::Usage(format!("{error}")))
}

const MOST_ENDPOINTS: u32 = 1_000_000;
/// A NAT keeps a pinhole for each; and an access server takes no more than this.
const MOST_BUDDIES: u32 = 100;
const MOST_CONNECTIONS: u32 = 1_000;
