//! `quick`: a short sweep over loopback that ends with one sentence about capacity.
//!
//! * One reflector worker on one core, one generator worker on another; unprivileged.
//! * About half a minute; `--short` is for checking that everything works, not for figures.
//! * Loopback is no network interface: the result says so and is never for planning.

use crate::draw::page;
use crate::figures::count;
use crate::judge::capacity::{Capacity, Limit};
use crate::rig::cell::HEADER_BYTES;
use crate::rig::cores::Cores;
use crate::rig::environment::Environment;
use crate::rig::pair::Rig;
use crate::sweep::quick_report::{Report, SCHEMA, Settings, Step};
use crate::sweep::terminal::step_in_words;
use anyhow::Context;
use lab::programs::found::Programs;
use lab::programs::generator::Load;
use lab::programs::interrupt::Interrupt;
use search::{Search, Tried, Verdict};
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What to run.
#[derive(Clone, Debug)]
pub struct Quick {
    /// Endpoints, each behind a NAT of its own.
    pub endpoints: u32,
    /// NAT mix.
    pub nat: nat::Mix,
    /// Bytes behind the header.
    pub payload_bytes: u32,
    /// Fewer and shorter steps.
    pub is_short: bool,
}

impl Quick {
    /// Runs the sweep, telling `progress` line by line what happens.
    ///
    /// # Errors
    /// One of the programs failed, or the run was interrupted.
    pub fn run(
        &self,
        programs: &Programs,
        interrupt: &Interrupt,
        progress: &mut dyn FnMut(&str),
    ) -> anyhow::Result<Report> {
        let started_unix_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let environment = Environment::read(programs);
        let cores = Cores::choose()?;
        progress(&match cores.caveat() {
            None => format!(
                "reflector on processor {}, generator on processor {}",
                cores.reflector, cores.generator
            ),
            Some(caveat) => format!("{caveat}: figures will be low"),
        });
        let mut rig = Rig::start(programs, cores)?;
        let (search, mut load) = (self.search(), self.load());
        let mut steps: Vec<Step> = Vec::new();
        let mut tried: Vec<Tried> = Vec::new();
        while let Some(rate_per_s) = search.next(&tried) {
            load.rate_per_s = rate_per_s;
            let number = steps.len() + 1;
            let shown =
                format!("step {number} of at most {}: {} datagrams/s", search.most_tries, count(rate_per_s));
            progress(&format!("{shown} ..."));
            let step = rig.measure(&load, interrupt)?;
            progress(&format!("{shown}: {}", step_in_words(&step)));
            if step.verdict() == Verdict::Disturbed {
                progress("other programs took the cores; waiting for them, at most 10 s");
                rig.wait_for_calm(interrupt)?;
            }
            tried.push(step.tried());
            steps.push(step);
        }
        let caveats = self.caveats(cores);
        let capacity = Capacity::of(&steps);
        let settings = self.settings(&load);
        Ok(Report {
            schema: SCHEMA,
            subject: "quick".to_owned(),
            started_unix_s,
            headline: capacity.in_words(&steps, settings.datagram_bytes, &caveats),
            fit_for_planning: false,
            caveats,
            settings,
            cores,
            reflector: rig.ready().clone(),
            capacity,
            steps,
            environment,
            commands: rig.commands().to_vec(),
        })
    }

    fn search(&self) -> Search {
        let (factor, most_tries) = if self.is_short { (4, 4) } else { (2, 9) };
        Search { first_per_s: FIRST_PER_S, factor, most_tries, most_failures: 2, small_gap: 8 }
    }

    fn load(&self) -> Load {
        let (duration_ms, warmup_ms) = if self.is_short { (600, 200) } else { (2_000, 500) };
        Load {
            endpoints: self.endpoints,
            nat: self.nat,
            rate_per_s: FIRST_PER_S,
            // Thousands of endpoints send independently; and even gaps could beat against the kernel's own ticks.
            arrivals: "poisson".to_owned(),
            payload_bytes: self.payload_bytes,
            duration: Duration::from_millis(duration_ms),
            warmup: Duration::from_millis(warmup_ms),
            cpus: Vec::new(),
        }
    }

    fn settings(&self, load: &Load) -> Settings {
        let ns = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Settings {
            endpoints: self.endpoints,
            nat: self.nat.to_string(),
            arrivals: load.arrivals.clone(),
            payload_bytes: self.payload_bytes,
            datagram_bytes: self.payload_bytes + HEADER_BYTES,
            duration_ns: ns(load.duration),
            warmup_ns: ns(load.warmup),
        }
    }

    fn caveats(&self, cores: Cores) -> Vec<String> {
        let short = self.is_short.then_some("steps too short for figures");
        let all = [Some("loopback, not a NIC"), cores.caveat(), short];
        all.into_iter().flatten().map(str::to_owned).collect()
    }
}

/// What to do when no step may be believed; `None` if at least one may.
pub fn advice(report: &Report) -> Option<String> {
    if report.capacity.limit != Limit::Unknown {
        return None;
    }
    let mut failed: Vec<&str> = report
        .steps
        .iter()
        .filter(|step| !step.verdict().is_believed())
        .flat_map(Step::failed_checks)
        .map(|check| check.name.as_str())
        .collect();
    failed.sort_unstable();
    failed.dedup();
    Some(format!(
        "no step may be believed (failed: {}). Something else used these cores, or the machine is too slow: end other \
         programs, allow two free cores, and run it again",
        failed.join(", ")
    ))
}

/// Writes `report.html` and `report.json` into a folder, which is made if need be.
///
/// # Errors
/// A file that cannot be written, or a chart that cannot be drawn.
pub fn write(report: &Report, folder: &Path) -> anyhow::Result<()> {
    let page = page::render(report)?;
    let json = serde_json::to_string_pretty(report).context("cannot write the result as JSON")? + "\n";
    fs::create_dir_all(folder).with_context(|| {
        format!("cannot make the folder {}; name a writable one with --out", folder.display())
    })?;
    for (name, text) in [("report.html", page), ("report.json", json)] {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The first rate of a sweep; any machine relays it.
const FIRST_PER_S: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn advice_is_given_only_when_nothing_may_be_believed() {
        let mut report = sample::report();
        assert_eq!(advice(&report), None);
        report.steps = vec![sample::invalid_step(10_000), sample::invalid_step(10_000)];
        report.capacity = Capacity::of(&report.steps);
        let advice = advice(&report).unwrap();
        assert!(advice.contains("failed: lag-p99)") && advice.contains("run it again"), "{advice}");
    }

    #[test]
    fn both_files_are_written_or_the_folder_is_named() {
        let scratch = lab::programs::scratch::Scratch::new().unwrap();
        let folder = scratch.path().join("a/b");
        write(&sample::report(), &folder).unwrap();
        let json: Report =
            serde_json::from_str(&fs::read_to_string(folder.join("report.json")).unwrap()).unwrap();
        assert_eq!(json, sample::report());
        assert!(fs::read_to_string(folder.join("report.html")).unwrap().ends_with("</html>\n"));
        let error = write(&json, &folder.join("report.json")).unwrap_err();
        assert!(format!("{error:#}").contains("report.json"));
    }

    #[test]
    fn caveats_travel_with_the_result() {
        let quick = Quick { endpoints: 2_000, nat: nat::Mix::default(), payload_bytes: 168, is_short: true };
        let cores = Cores { reflector: 0, generator: 0, sharing: crate::rig::cores::Sharing::Processor };
        assert_eq!(quick.caveats(cores).len(), 3);
        let settings = quick.settings(&quick.load());
        assert_eq!((settings.datagram_bytes, settings.duration_ns), (200, 600_000_000));
    }
}
