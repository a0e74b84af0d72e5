//! The flags that say what is sent, how fast and how long.
//!
//! * A file that is named is read here; what it says and what was typed beside it may not contradict each other.

use crate::error::{Error, refuse};
use crate::load::shape::payload;
use crate::load::shape::payload::Payload;
use crate::load::shape::profile;
use crate::load::shape::profile::Profile;
use crate::load::shape::schedule::Arrivals;
use crate::units;
use clap::Args;
use std::fs;
use std::path::Path;

/// The flags.
#[derive(Clone, Debug, Args)]
pub struct LoadArgs {
    /// Datagrams per second, all endpoints together; with --profile the most, with --find the first that is tried
    /// [default: 100k; of a paced --payload what all pairs send; with --find 10k].
    #[arg(long, value_name = "N", env = "REFLECTOR_LOADGEN_RATE", value_parser = units::count)]
    pub rate: Option<u64>,
    /// What stands behind the 32-byte header: a number of bytes, voice (160 at 50/s a flow), video (30 trains of 8 x
    /// 1,200 a second), game (80 at 30/s), or a TOML file of `[[flow]]`. Where flows have a pace, as many talk as --rate
    /// needs.
    #[arg(long, value_name = "BYTES|NAME|FILE", default_value = "168", env = "REFLECTOR_LOADGEN_PAYLOAD")]
    pub payload: payload::Form,
    /// Length of the measured phase [default: 10s; of a --profile FILE its own].
    #[arg(long, value_name = "TIME", env = "REFLECTOR_LOADGEN_DURATION", value_parser = units::duration_ns)]
    pub duration: Option<u64>,
    /// Load before it, not measured.
    #[arg(long, value_name = "TIME", default_value = "2s", env = "REFLECTOR_LOADGEN_WARMUP", value_parser = units::duration_ns)]
    pub warmup: u64,
    /// How datagrams follow each other: uniform, poisson, or burst:N (N of one pair at one time).
    #[arg(long, value_name = "FORM", default_value = "uniform", env = "REFLECTOR_LOADGEN_ARRIVALS")]
    pub arrivals: Arrivals,
    /// The rate over the measured phase: constant, steps (20 to 100 %), ramp (10 to 100 %), soak (up, long the same,
    /// down), or a TOML file of `[[point]]`.
    #[arg(long, value_name = "NAME|FILE", default_value = "constant", env = "REFLECTOR_LOADGEN_PROFILE")]
    pub profile: profile::Form,
}

/// What they mean.
#[derive(Clone, Debug)]
pub struct Meant {
    /// The rate over time.
    pub profile: Profile,
    /// As `--profile` reads it; empty for one rate.
    pub profile_name: String,
    /// What is sent.
    pub payload: Payload,
}

impl LoadArgs {
    /// What is meant, for so many pairs; `is_search`: the rate is looked for.
    ///
    /// # Errors
    /// A file that cannot be read or is none, a flag that contradicts it.
    pub fn meant(&self, pairs: u64, is_search: bool) -> Result<Meant, Error> {
        let payload = match (Payload::named(&self.payload), &self.payload) {
            (None, payload::Form::File(path)) => {
                let text = read("--payload", path, "[[flow]]")?;
                Payload::parse(path.display().to_string(), &text)
                    .map_err(|what| broken("--payload", path, &what))?
            }
            (named, _) => named.unwrap_or(Payload::fixed(0)),
        };
        let duration_ns = self.duration.unwrap_or(DURATION_NS);
        let rate_per_s = self.rate.unwrap_or(match payload.flow_per_s() {
            _ if is_search => SEARCH_PER_S,
            Some(flow_per_s) => all_pairs(pairs, flow_per_s),
            None => RATE_PER_S,
        });
        let profile = match (Profile::named(&self.profile, rate_per_s, duration_ns), &self.profile) {
            (None, profile::Form::File(path)) => {
                refuse(self.rate.is_some() || self.duration.is_some(), || {
                    format!(
                        "--profile {}: the file says rate and time; leave --rate and --duration out",
                        path.display()
                    )
                })?;
                let text = read("--profile", path, "[[point]]")?;
                Profile::parse(&text).map_err(|what| broken("--profile", path, &what))?
            }
            (named, _) => named.unwrap_or(Profile::constant(rate_per_s, duration_ns)),
        };
        Ok(Meant { profile, profile_name: self.profile_name(), payload })
    }

    fn profile_name(&self) -> String {
        match &self.profile {
            profile::Form::Constant => String::new(),
            profile::Form::Steps => "steps".to_owned(),
            profile::Form::Ramp => "ramp".to_owned(),
            profile::Form::Soak => "soak".to_owned(),
            profile::Form::File(path) => path.display().to_string(),
        }
    }
}

fn read(flag: &str, path: &Path, entries: &str) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|error| {
        let shown = path.display();
        Error::Configuration(format!("{flag} {shown}: {error}; name a TOML file of {entries}"))
    })
}

fn broken(flag: &str, path: &Path, what: &str) -> Error {
    Error::Configuration(format!("{flag} {}: {what}", path.display()))
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn all_pairs(pairs: u64, flow_per_s: f64) -> u64 {
    // Half a datagram a second is less than anybody can measure.
    (pairs as f64 * flow_per_s).floor() as u64
}

const DURATION_NS: u64 = 10_000_000_000;
const RATE_PER_S: u64 = 100_000;
const SEARCH_PER_S: u64 = 10_000;
