//! What was typed, and how it becomes what is meant.
//!
//! * Every value carries its unit; every flag is also an environment variable `REFLECTOR_LOADGEN_...`.
//! * One line for each mistake: what is wrong and what would be right.

pub mod load;
pub mod log_format;
pub mod presence;
pub mod target;
pub mod xdp;

use crate::args::load::{LoadArgs, Meant};
use crate::args::log_format::LogFormat;
use crate::args::presence::PresenceArgs;
use crate::args::xdp::XdpArgs;
use crate::error::{Error, refuse};
use crate::goal::Goal;
use crate::load::shape::churn::Churn;
use crate::load::shape::config::{Capabilities, Config, make_local};
use crate::load::shape::fault::FaultMix;
use crate::load::shape::job::Job;
use crate::load::shape::payload;
use crate::load::shape::plan::Pattern;
use crate::load::shape::profile;
use crate::load::shape::traffic::Traffic;
use crate::load::xdp::ready::Ready;
use crate::threshold::Threshold;
use crate::units;
use clap::{Args, Parser, Subcommand};
use engine::host::affinity;
use nat::Mix;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use wire::{Block, KeyRing, ring_file};

/// Open-loop load from endpoints behind simulated NATs.
#[derive(Clone, Debug, Parser)]
#[command(name = "reflector-loadgen", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Sends load through a reflector and reports what became of it.
    Run(Box<RunArgs>),
    /// Lets endpoints log in at an access server, tell each other, talk, come and go, and reports what became of it.
    Presence(Box<PresenceArgs>),
}

/// The flags of `run`.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Transport address of the reflector; with --flows of any relay.
    #[arg(long, value_name = "ADDR:PORT", env = "REFLECTOR_LOADGEN_REFLECTOR", value_parser = reflector)]
    pub reflector: SocketAddr,
    /// Ring file of that reflector (`reflector keygen` prints one).
    #[arg(long, value_name = "FILE", env = "REFLECTOR_LOADGEN_KEYS", required_unless_present = "flows")]
    pub keys: Option<PathBuf>,
    /// Endpoints, each behind a NAT of its own.
    #[arg(long, value_name = "N", default_value = "10k", env = "REFLECTOR_LOADGEN_ENDPOINTS", value_parser = endpoints)]
    pub endpoints: u32,
    /// NAT behaviours and their shares; full-cone, restricted, port-restricted, symmetric and open are names too.
    #[arg(
        long,
        value_name = "MIX",
        env = "REFLECTOR_LOADGEN_NAT",
        default_value = "eim/eif=10%,eim/adf=20%,eim/apdf=50%,apdm/apdf=20%"
    )]
    pub nat: Mix,
    /// What is sent, how fast and how long.
    #[command(flatten)]
    pub load: LoadArgs,
    /// Searches the highest rate instead: without loss (ndr), or with 0.5 % at most (pdr); each try lasts --duration.
    #[arg(long, value_name = "GOAL", env = "REFLECTOR_LOADGEN_FIND")]
    pub find: Option<Goal>,
    /// Datagrams that are wrong on purpose: tag, kind, key, expired, lifetime, destination, short, oversize, stolen, loop,
    /// data, garbage, probe.
    #[arg(
        long,
        value_name = "FAULT=PERCENT%,...",
        default_value = "",
        hide_default_value = true,
        env = "REFLECTOR_LOADGEN_INVALID"
    )]
    pub invalid: FaultMix,
    /// Share of the pairs that talk under sealed headers (SEALED_SEND), such as 30%.
    #[arg(
        long,
        value_name = "PERCENT%",
        default_value = "0%",
        env = "REFLECTOR_LOADGEN_SEALED",
        value_parser = units::percentage
    )]
    pub sealed: f64,
    /// Who sends to whom: random or random:N (to N others), ring, star, calls (two and two, both ways), groups:N (rooms
    /// of N, everybody to everybody).
    #[arg(long, value_name = "PATTERN", default_value = "random", env = "REFLECTOR_LOADGEN_PAIRS")]
    pub pairs: Pattern,
    /// Worker threads, each on a CPU of its own; by default one for each of --cpus, else for half of the CPUs.
    #[arg(long, value_name = "N", env = "REFLECTOR_LOADGEN_WORKERS", value_parser = units::count)]
    pub workers: Option<u64>,
    /// CPUs that workers may use, such as 1 or 0,2-3.
    #[arg(long, value_name = "LIST", env = "REFLECTOR_LOADGEN_CPUS", value_parser = cpus)]
    pub cpus: Option<CpuList>,
    /// Block of the simulated NATs' external addresses, local to this host; 127.64.0.0/10 for a reflector on 127/8.
    #[arg(long, value_name = "CIDR", env = "REFLECTOR_LOADGEN_EXTERNAL", value_parser = block)]
    pub external: Option<Block>,
    /// Time between two keepalive PROBEs of an endpoint; 0 for none [default: 15s, with --xdp 0].
    #[arg(long, value_name = "TIME", env = "REFLECTOR_LOADGEN_KEEPALIVE", value_parser = units::duration_ns)]
    pub keepalive: Option<u64>,
    /// After this silence a simulated NAT forgets a mapping [default: 120s, with --xdp never].
    #[arg(long, value_name = "TIME", env = "REFLECTOR_LOADGEN_MAPPING_TIMEOUT", value_parser = units::duration_ns)]
    pub mapping_timeout: Option<u64>,
    /// How endpoints come by what they send with: mint a capability and another at half of its time, or adopt the ones
    /// that a peer's datagrams bring, which the reflector renews; the latter needs pairs both ways.
    #[arg(long, value_name = "HOW", default_value = "mint", env = "REFLECTOR_LOADGEN_CAPABILITIES")]
    pub capabilities: Capabilities,
    /// What a capability is made for, 1s to 600s.
    #[arg(long, value_name = "TIME", default_value = "300s", env = "REFLECTOR_LOADGEN_CAPABILITY_LIFETIME", value_parser = units::duration_ns)]
    pub capability_lifetime: u64,
    /// How long endpoints stay and are then away, on the average, such as 60s/10s; who comes back has new mappings.
    #[arg(long, value_name = "STAY/AWAY", env = "REFLECTOR_LOADGEN_CHURN")]
    pub churn: Option<Churn>,
    /// Below the sockets.
    #[command(flatten)]
    pub below: XdpArgs,
    /// Seed of everything random; by default a fresh one, which the report names.
    #[arg(long, value_name = "N", env = "REFLECTOR_LOADGEN_SEED")]
    pub seed: Option<u64>,
    /// What has to hold, else exit 99: p50, p90, p99, p99.9, p99.99, max or loss; repeatable.
    #[arg(long = "threshold", value_name = "METRIC<BOUND", env = "REFLECTOR_LOADGEN_THRESHOLD")]
    pub thresholds: Vec<Threshold>,
    /// Writes the report as JSON.
    #[arg(long, value_name = "FILE", env = "REFLECTOR_LOADGEN_JSON")]
    pub json: Option<PathBuf>,
    /// Writes the latency percentiles in HdrHistogram's text form, in ms.
    #[arg(long, value_name = "FILE", env = "REFLECTOR_LOADGEN_HGRM")]
    pub hgrm: Option<PathBuf>,
    /// No progress, no live view and no notes on stderr; errors still.
    #[arg(long, env = "REFLECTOR_LOADGEN_QUIET")]
    pub quiet: bool,
    /// Form of the lines on stderr.
    #[arg(long, value_name = "FORM", default_value = "text", env = "REFLECTOR_LOADGEN_LOG_FORMAT")]
    pub log_format: LogFormat,
}

impl RunArgs {
    /// The run that is meant; `fresh_seed` is taken unless one was typed.
    ///
    /// # Errors
    /// The first value that is wrong by itself, against another, or against this host.
    pub fn to_job(&self, fresh_seed: u64) -> Result<Job, Error> {
        let allowed = affinity::allowed()
            .map_err(|error| Error::Runtime(format!("cannot ask which CPUs may be used: {error}")))?;
        let is_search = self.find.is_some();
        refuse(is_search && self.load.profile != profile::Form::Constant, || {
            "--find with --profile: a search tries one rate after the other; leave one of the two out"
                .to_owned()
        })?;
        refuse(self.below.flows.is_some() && !matches!(self.load.payload, payload::Form::Fixed(_)), || {
            "--payload with --flows: flows of a file have one size; name its bytes".to_owned()
        })?;
        let pairs = self.pairs.pair_count(self.endpoints);
        let Meant { profile, profile_name, payload } = self.load.meant(pairs, is_search)?;
        let traffic = Traffic {
            relay: self.reflector,
            rate_per_s: profile.peak_per_s(),
            duration_ns: profile.duration_ns(),
            profile,
            profile_name,
            payload,
            warmup_ns: self.load.warmup,
            arrivals: self.load.arrivals,
            cpus: self.choose_cpus(&allowed)?,
            single_cpu: allowed.len() < 2,
            seed: self.seed.unwrap_or(fresh_seed),
            thresholds: self.thresholds.clone(),
        };
        match (&self.below.flows, &self.below.xdp, &self.keys) {
            (Some(flows), Some(interface), _) => {
                self.to_ready(traffic, flows, interface).map(|ready| Job::Flows(Box::new(ready)))
            }
            (_, _, Some(keys)) => Ok(Job::Endpoints(Box::new(self.to_config(traffic, keys)?))),
            _ => Err(Error::Usage("--keys is needed: name the ring file of the reflector".to_owned())),
        }
    }

    fn to_ready(&self, traffic: Traffic, flows: &Path, interface: &str) -> Result<Ready, Error> {
        let flows = xdp::read_flows(flows, self.reflector)?;
        let ready =
            Ready { traffic, interface: interface.to_owned(), arriving: self.below.arriving(), flows };
        ready.check()?;
        Ok(ready)
    }

    fn to_config(&self, traffic: Traffic, keys: &Path) -> Result<Config, Error> {
        let (keepalive_ns, mapping_timeout_ns) = self.below.mappings(self.keepalive, self.mapping_timeout)?;
        let config = Config {
            traffic,
            engine: self.below.engine(),
            ring: read_ring(keys)?,
            endpoints: self.endpoints,
            mix: self.nat,
            faults: self.invalid.clone(),
            sealed: self.sealed,
            pattern: self.pairs,
            capabilities: self.capabilities,
            capability_lifetime_s: u32::try_from(self.capability_lifetime / NS_PER_S).unwrap_or(u32::MAX),
            churn: self.churn,
            external: self.choose_block()?,
            keepalive_ns,
            mapping_timeout_ns,
        };
        config.check()?;
        config.check_addresses()?;
        Ok(config)
    }

    fn choose_cpus(&self, allowed: &[usize]) -> Result<Vec<usize>, Error> {
        let usable = self.cpus.as_ref().map_or(allowed, |CpuList(cpus)| cpus);
        if let Some(foreign) = usable.iter().find(|cpu| !allowed.contains(cpu)) {
            return Err(Error::Configuration(format!("--cpus {foreign}: this process may use {allowed:?}")));
        }
        let half = (allowed.len() / 2).max(1);
        let workers = match (self.workers, &self.cpus) {
            (Some(workers), _) => usize::try_from(workers).unwrap_or(usize::MAX),
            (None, Some(_)) => usable.len(),
            (None, None) => half,
        };
        if workers == 0 || workers > usable.len() {
            return Err(Error::Configuration(format!(
                "--workers {workers}: 1 to {}, since a worker needs a CPU of its own",
                usable.len()
            )));
        }
        // The last ones: the first CPU is where everything else on a host likes to run.
        Ok(usable.iter().copied().skip(usable.len() - workers).collect())
    }

    fn choose_block(&self) -> Result<Block, Error> {
        let reflector = self.reflector.ip();
        match self.external {
            Some(block) => Ok(block),
            None if reflector.is_loopback() && reflector.is_ipv4() => {
                Block::new(Ipv4Addr::new(127, 64, 0, 0).into(), 10)
                    .map_err(|error| Error::Usage(error.to_string()))
            }
            None => {
                let example = if reflector.is_ipv4() { "10.64.0.0/16" } else { "fd00:64::/64" };
                let mend = make_local(example, reflector.is_ipv4());
                Err(Error::Usage(format!(
                    "--external is needed for a reflector at {reflector}: name a block that is local here, such as {example} after {mend}"
                )))
            }
        }
    }
}

/// CPUs as one value of one flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuList(pub Vec<usize>);

fn read_ring(path: &Path) -> Result<KeyRing, Error> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| {
        Error::Configuration(format!("--keys {shown}: {error}; name the reflector's ring file"))
    })?;
    ring_file::parse(&text).map_err(|error| Error::Configuration(format!("--keys {shown}: {error}")))
}

/// A mistake on the command line as one line, from clap's several.
pub fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let told: Vec<&str> =
        text.lines().take_while(|line| !line.starts_with("Usage:")).map(str::trim).collect();
    let told: Vec<&str> =
        told.into_iter().filter(|line| !line.is_empty() && !line.starts_with("For more")).collect();
    told.join(" ")
}

fn reflector(text: &str) -> Result<SocketAddr, Error> {
    text.parse().map_err(|_| {
        Error::Usage(format!(
            "{} is not an address and port such as 192.0.2.1:3478 or [2001:db8::1]:3478",
            units::quote(text)
        ))
    })
}

fn endpoints(text: &str) -> Result<u32, Error> {
    let count = u32::try_from(units::count(text)?).ok().filter(|count| *count <= MAX_ENDPOINTS);
    count
        .ok_or_else(|| Error::Usage(format!("{} is more than {MAX_ENDPOINTS} endpoints", units::quote(text))))
}

fn cpus(text: &str) -> Result<CpuList, Error> {
    units::cpus(text).map(CpuList)
}

fn block(text: &str) -> Result<Block, Error> {
    text.parse().map_err(|error| Error::Usage(format!("{error}")))
}

const NS_PER_S: u64 = 1_000_000_000;
const MAX_ENDPOINTS: u32 = 100_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn mistakes_are_one_line() {
        for flags in [&["run"][..], &["run", "--rate", "x"], &["run", "--no-such"], &["walk"], &[]] {
            let typed = std::iter::once("reflector-loadgen").chain(flags.iter().copied());
            let line = one_line(&Cli::try_parse_from(typed).unwrap_err());
            assert!(line.len() > 20 && !line.contains('\n'), "{flags:?}: {line:?}");
        }
    }
}
