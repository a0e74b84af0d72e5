//! What `plan`, `report` and `compare` are asked for, as typed.
//!
//! * A population comes from a file, or from presets and flags; a flag changes a preset only if there is one.
//! * What was typed is checked before anything is computed.

use crate::judge::survey::Survey;
use crate::plan::Hosts;
use crate::plan::population::{Population, Traffic, percent};
use crate::rig::cell::Engine;
use crate::sweep::args::thousands;
use anyhow::{Context, bail};
use clap::Args;
use std::fs;
use std::path::PathBuf;

/// The flags of `plan`.
#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    /// A report's folder or its report.json, or a sweep's folder [default: where `sweep` writes].
    #[arg(value_name = "REPORT")]
    pub report: Option<PathBuf>,
    /// The population as a TOML file.
    #[arg(long, value_name = "FILE", env = "REFLECTOR_PERF_POPULATION", conflicts_with_all = ["users", "preset", "nat", "hostile", "keepalive", "active", "rate", "payload", "train"])]
    pub population: Option<PathBuf>,
    /// Users online, such as 50k or 1M.
    #[arg(long, value_name = "N", default_value = "100k", env = "REFLECTOR_PERF_USERS", value_parser = thousands)]
    pub users: u32,
    /// What they do: voice, game, iot, file; repeatable.
    #[arg(long, value_name = "NAME", value_delimiter = ',', env = "REFLECTOR_PERF_PRESET")]
    pub preset: Vec<String>,
    /// NAT behaviours and their shares.
    #[arg(long, value_name = "MIX", default_value_t = nat::Mix::default(), env = "REFLECTOR_PERF_NAT")]
    pub nat: nat::Mix,
    /// Part of the users that is active at once, such as 2%; instead of the preset's.
    #[arg(long, value_name = "SHARE", env = "REFLECTOR_PERF_ACTIVE", value_parser = share)]
    pub active: Option<f64>,
    /// Datagrams that an active user sends a second; instead of the preset's.
    #[arg(long, value_name = "N", env = "REFLECTOR_PERF_RATE")]
    pub rate: Option<f64>,
    /// Bytes behind the header; instead of the preset's.
    #[arg(long, value_name = "BYTES", env = "REFLECTOR_PERF_PAYLOAD")]
    pub payload: Option<u32>,
    /// Datagrams at once; instead of the preset's.
    #[arg(long, value_name = "N", env = "REFLECTOR_PERF_TRAIN")]
    pub train: Option<u32>,
    /// Part of what arrives that has a wrong tag.
    #[arg(long, value_name = "SHARE", default_value = "0%", env = "REFLECTOR_PERF_HOSTILE", value_parser = share)]
    pub hostile: f64,
    /// Seconds between two keepalives of a user; 0: none.
    #[arg(long, value_name = "S", default_value = "15", env = "REFLECTOR_PERF_KEEPALIVE")]
    pub keepalive: f64,
    /// The engine [default: the first of the report].
    #[arg(long, value_name = "ENGINE", env = "REFLECTOR_PERF_ENGINE")]
    pub engine: Option<Engine>,
    /// Cores of a host.
    #[arg(long, value_name = "N", default_value = "8", env = "REFLECTOR_PERF_CORES", value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub cores: u32,
    /// What a host's link takes each way, Gbit/s.
    #[arg(long, value_name = "N", default_value = "10", env = "REFLECTOR_PERF_GBIT")]
    pub gbit: f64,
    /// Part of cores and links that stays free.
    #[arg(long, value_name = "SHARE", default_value = "50%", env = "REFLECTOR_PERF_HEADROOM", value_parser = share)]
    pub headroom: f64,
    /// Hosts beyond those needed.
    #[arg(long, value_name = "N", default_value = "1", env = "REFLECTOR_PERF_SPARE")]
    pub spare: u64,
    /// What a host costs, in any currency and time.
    #[arg(long, value_name = "N", env = "REFLECTOR_PERF_PRICE")]
    pub price: Option<f64>,
    /// Answer beyond what was measured as well, and say how far.
    #[arg(long, env = "REFLECTOR_PERF_EXTRAPOLATE")]
    pub extrapolate: bool,
}

/// The flags of `report`.
#[derive(Clone, Debug, Args)]
pub struct ReportArgs {
    /// A sweep's folder, finished or not [default: where `sweep` writes].
    #[arg(value_name = "DIR")]
    pub sweep: Option<PathBuf>,
    /// Folder for README.md, report.html and report.json [default: the sweep's own].
    #[arg(long, value_name = "DIR", env = "REFLECTOR_PERF_OUT")]
    pub out: Option<PathBuf>,
}

/// The flags of `compare`.
#[derive(Clone, Debug, Args)]
pub struct CompareArgs {
    /// The first report or sweep.
    #[arg(value_name = "A")]
    pub first: PathBuf,
    /// The second.
    #[arg(value_name = "B")]
    pub second: PathBuf,
    /// Predict B's configurations from A, those that A has not measured, and judge the predictions.
    #[arg(long)]
    pub held_out: bool,
}

impl PlanArgs {
    /// The population that was meant.
    ///
    /// # Errors
    /// A file that cannot be read, or a value that cannot be.
    pub fn population(&self) -> anyhow::Result<Population> {
        if let Some(path) = &self.population {
            let shown = path.display();
            let text = fs::read_to_string(path).with_context(|| format!("--population {shown}"))?;
            return Population::parse(&text).with_context(|| format!("--population {shown}"));
        }
        let usual = vec!["voice".to_owned()];
        let names = if self.preset.is_empty() { &usual } else { &self.preset };
        let presets: anyhow::Result<Vec<Traffic>> = names.iter().map(|name| Traffic::preset(name)).collect();
        let mut traffic = presets?;
        let changes =
            self.active.is_some() || self.rate.is_some() || self.payload.is_some() || self.train.is_some();
        match traffic.as_mut_slice() {
            [only] => {
                only.active = self.active.unwrap_or(only.active);
                only.rate_per_s = self.rate.unwrap_or(only.rate_per_s);
                only.payload_bytes = self.payload.unwrap_or(only.payload_bytes);
                only.train = self.train.unwrap_or(only.train);
            }
            _ if changes => bail!(
                "--active, --rate, --payload and --train change one preset; with several, write a --population file"
            ),
            _ => {}
        }
        let population = Population {
            users_online: self.users.into(),
            nat: self.nat,
            keepalive_s: self.keepalive,
            hostile: self.hostile,
            traffic,
        };
        population.checked()
    }

    /// The hosts that were meant.
    ///
    /// # Errors
    /// A value that cannot be, or a report without engines.
    pub fn hosts(&self, survey: &Survey) -> anyhow::Result<Hosts> {
        if !(self.gbit.is_finite() && self.gbit > 0.0) {
            bail!("--gbit {}: a link takes more than 0 Gbit/s", self.gbit);
        }
        if self.headroom >= 1.0 {
            bail!("--headroom {}: something below 100%", crate::figures::percent(self.headroom));
        }
        let engine = self.engine.or_else(|| survey.engines().next()).context("the report has no figures")?;
        Ok(Hosts {
            engine,
            cores: self.cores,
            gbit_per_s: self.gbit,
            headroom: self.headroom,
            spare: self.spare,
            price: self.price,
        })
    }
}

fn share(text: &str) -> Result<f64, String> {
    percent(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use clap::Parser;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        plan: PlanArgs,
    }

    fn typed(arguments: &[&str]) -> PlanArgs {
        Typed::try_parse_from(["plan", "report"].iter().chain(arguments)).unwrap().plan
    }

    #[test]
    fn flags_change_one_preset() {
        let population =
            typed(&["--users", "1M", "--preset", "game", "--active", "2%"]).population().unwrap();
        assert_eq!((population.users_online, population.traffic[0].active), (1_000_000, 0.02));
        assert_eq!(typed(&[]).population().unwrap().traffic[0].name, "voice");
        assert_eq!(typed(&["--preset", "voice,file"]).population().unwrap().traffic.len(), 2);
        let error = typed(&["--preset", "voice,file", "--rate", "9"]).population().unwrap_err().to_string();
        assert!(error.contains("--population file"), "{error}");
        assert!(typed(&["--preset", "video"]).population().is_err());
        assert!(typed(&["--population", "/nonexistent"]).population().is_err());
    }

    #[test]
    fn hosts_are_checked() {
        let survey = sample::survey();
        assert_eq!(typed(&[]).hosts(&survey).unwrap().engine, Engine::Epoll);
        assert_eq!(typed(&["--engine", "xdp", "--headroom", "30%"]).hosts(&survey).unwrap().headroom, 0.3);
        assert!(typed(&["--gbit", "0"]).hosts(&survey).is_err());
        assert!(typed(&["--headroom", "100%"]).hosts(&survey).is_err());
    }
}
