//! All that a sweep found, as data: what was measured where, each cell's figures, and how it scales.
//!
//! * Made from the runs alone, and from nothing else; made again, it is the same.
//! * Versioned: [`SCHEMA`] grows when a field changes its meaning or goes; readers refuse other versions.
//! * Units stand in the names; fractions are 0.0 to 1.0.

use crate::figures::{compact, count, float, floored, rounded, time};
use crate::judge::finding::Finding;
use crate::judge::usl::{LEAST_POINTS, Usl};
use crate::rig::cell::HEADER_BYTES;
use crate::rig::cell::{Axis, Cell, Engine};
use crate::rig::header::Header;
use crate::rig::run::{Purpose, Run};
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A sweep's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Survey {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The result in a sentence or two.
    pub headline: String,
    /// What was measured, and where.
    pub header: Header,
    /// Each cell's figures, in the order of the sweep.
    pub findings: Vec<Finding>,
    /// How engines scale over workers.
    pub scaling: Vec<Scaling>,
    /// Whether the runs may be believed.
    pub validity: Validity,
    /// The command lines: each reflector's, and one of each cell and load.
    pub commands: Vec<String>,
}

/// How an engine scales.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    /// The engine.
    pub engine: Engine,
    /// Worker counts and what they relay, per second, all together.
    pub points: Vec<(f64, f64)>,
    /// The law that they follow; `None` with fewer than five of them.
    pub law: Option<Usl>,
}

/// Whether the runs may be believed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    /// Runs in rounds, without the one that warms up.
    pub runs: u64,
    /// Of these, believed.
    pub believed: u64,
    /// Checks that failed, and how often.
    pub failed: BTreeMap<String, u64>,
    /// Runs of all kinds whose datagrams are not all accounted for, exactly.
    pub not_conserved: u64,
    /// Datagrams received by reflectors in all of it.
    pub received: u64,
    /// Loads that the rounds were to have and do not: an unfinished sweep, or runs that were never believed.
    pub missing: u64,
}

impl Survey {
    /// What the runs say.
    ///
    /// # Errors
    /// A histogram that cannot be read.
    pub fn of(header: Header, runs: &[Run], commands: &[String]) -> anyhow::Result<Self> {
        let findings: anyhow::Result<Vec<Finding>> =
            header.cells.iter().map(|cell| Finding::of(*cell, runs)).collect();
        let findings = findings?;
        let scaling = header.matrix.engines.iter().map(|engine| Scaling::of(*engine, &header, &findings));
        let survey = Self {
            schema: SCHEMA,
            headline: String::new(),
            scaling: scaling.collect(),
            validity: Validity::of(runs, &findings),
            commands: distinct(commands),
            header,
            findings,
        };
        Ok(Self { headline: survey.in_words(), ..survey })
    }

    /// Reads a report's JSON.
    ///
    /// # Errors
    /// Another version, or another form.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let value: serde_json::Value = serde_json::from_str(text).context("not JSON")?;
        match value.get("schema").and_then(serde_json::Value::as_u64) {
            Some(schema) if schema == u64::from(SCHEMA) && value.get("findings").is_some() => {}
            Some(schema) if value.get("findings").is_some() => bail!(
                "has schema {schema}, this program reads schema {SCHEMA}: make the report again, or read it with the \
                 version that made it"
            ),
            _ => bail!("is no report of a sweep (peers has a report of its own)"),
        }
        serde_json::from_value(value).context("does not have the form of its schema")
    }

    /// A cell's figures.
    pub fn finding(&self, cell: &Cell) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.cell == *cell)
    }

    /// The base of an engine.
    pub fn base(&self, engine: Engine) -> Option<&Finding> {
        self.finding(&self.header.matrix.base(engine)?)
    }

    /// The engines that have figures, in order.
    pub fn engines(&self) -> impl Iterator<Item = Engine> {
        let has = |engine: &Engine| self.findings.iter().any(|finding| finding.cell.engine == *engine);
        self.header.matrix.engines.iter().copied().filter(has)
    }

    /// What an engine was measured at along one axis, everything else as in its base.
    pub fn along(&self, engine: Engine, axis: Axis) -> Vec<&Finding> {
        let Some(base) = self.header.matrix.base(engine) else { return Vec::new() };
        let is_there = |finding: &&Finding| {
            finding.cell.engine == engine
                && finding.cell.differences(&base).iter().all(|differs| *differs == axis)
        };
        let mut found: Vec<&Finding> = self.findings.iter().filter(is_there).collect();
        found.sort_by_key(|finding| finding.cell.value(axis));
        found
    }

    fn in_words(&self) -> String {
        let words = |engine: Engine| {
            let finding = self.base(engine)?;
            let (capacity, cost) = (finding.capacity?, finding.cost_ns());
            let about = if capacity.is_estimated { "about " } else { "" };
            let cost = cost.map_or_else(String::new, |cost| format!(" ({} each)", time(cost.median)));
            let rate = count(floored(finding.per_worker_per_s()?, 3));
            Some(format!("{about}{rate} through {}{cost}", engine.title()))
        };
        let found: Vec<String> = self.engines().filter_map(words).collect();
        let bytes =
            self.engines().find_map(|engine| self.base(engine)).map_or(0, |base| base.cell.payload_bytes);
        let aside = if self.header.fit_for_planning { "" } else { ": not for planning" };
        let caveats = self.header.caveats.join("; ");
        if found.is_empty() {
            return format!("No run may be believed ({caveats}{aside}).");
        }
        let all = found.join(", ").replacen(
            " through",
            &format!(" datagrams/s of {} bytes through", bytes + HEADER_BYTES),
            1,
        );
        format!(
            "One worker relays {all}, with at most 0.5 % loss{} ({caveats}{aside}).",
            self.latency_in_words()
        )
    }
}

impl Survey {
    /// Latency where a single cell is all there is; a longer sweep has tables for that.
    fn latency_in_words(&self) -> String {
        let half = match self.findings.as_slice() {
            [only] => only.at(Purpose::Half),
            _ => None,
        };
        half.map_or_else(String::new, |half| {
            format!("; at half of that the p99 latency is {}", time(half.p99_ns.median))
        })
    }
}

impl Scaling {
    fn of(engine: Engine, header: &Header, findings: &[Finding]) -> Self {
        let base = header.matrix.base(engine);
        let is_there = |finding: &&Finding| {
            base.is_some_and(|base| base.with(Axis::Workers, finding.cell.workers) == finding.cell)
        };
        let found = findings
            .iter()
            .filter(is_there)
            .filter_map(|finding| Some((f64::from(finding.cell.workers), finding.capacity?.per_s.median)));
        let points: Vec<(f64, f64)> = found.collect();
        Self { engine, law: Usl::fit(&points), points }
    }

    /// The law, or why there is none.
    pub fn in_words(&self) -> String {
        match &self.law {
            Some(law) => {
                let peak = law.peak_workers().map_or_else(
                    || "no peak".to_owned(),
                    |peak| format!("most with {} workers", count(rounded(peak))),
                );
                format!(
                    "{}: {}/s for one worker, contention {:.4}, coherency {:.6}, {peak}; R² {:.3}",
                    self.engine.title(),
                    compact(law.rate_per_s),
                    law.contention,
                    law.coherency,
                    law.explained
                )
            }
            None => format!(
                "{}: not fitted: {} of the {LEAST_POINTS} worker counts that a fit needs",
                self.engine.title(),
                self.points.len()
            ),
        }
    }
}

impl Validity {
    fn of(runs: &[Run], findings: &[Finding]) -> Self {
        let rounds = || runs.iter().filter(|run| run.purpose != Purpose::Search && run.round > 0);
        let mut failed = BTreeMap::new();
        for name in rounds().flat_map(|run| &run.failed) {
            *failed.entry(name.clone()).or_insert(0) += 1;
        }
        let amount = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let missing = findings.iter().filter(|finding| finding.at(Purpose::Half).is_none()).count();
        Self {
            runs: amount(rounds().count()),
            believed: amount(rounds().filter(|run| run.is_believed()).count()),
            failed,
            not_conserved: amount(runs.iter().filter(|run| !run.relay.is_conserved()).count()),
            received: runs.iter().map(|run| run.relay.received).sum(),
            missing: amount(missing),
        }
    }

    /// The part of the runs that may be believed.
    pub fn part(&self) -> f64 {
        if self.runs == 0 { 0.0 } else { float(self.believed) / float(self.runs) }
    }
}

/// Each command once, rates and results aside: what a reader needs to run one again.
fn distinct(commands: &[String]) -> Vec<String> {
    let mut seen: Vec<Vec<&str>> = Vec::new();
    let mut kept = Vec::new();
    for command in commands {
        let words: Vec<&str> = command.split(' ').collect();
        let is_value = |place: usize| {
            let flag = place.checked_sub(1).and_then(|before| words.get(before).copied());
            matches!(flag, Some("--rate" | "--json" | "--keys" | "--duration"))
        };
        let kind: Vec<&str> =
            words.iter().enumerate().filter(|(place, _)| !is_value(*place)).map(|(_, word)| *word).collect();
        if !seen.contains(&kind) {
            seen.push(kind);
            kept.push(command.clone());
        }
    }
    kept
}

/// The version of this form.
pub const SCHEMA: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_survey_says_what_was_found() {
        let survey = sample::survey();
        assert!(survey.headline.starts_with("One worker relays 19"), "{}", survey.headline);
        assert!(survey.headline.contains("of 200 bytes") && survey.headline.contains("through XDP"));
        assert!(survey.headline.ends_with("(veth, not a NIC: not for planning)."), "{}", survey.headline);
        assert_eq!(survey.validity.part(), 1.0);
        assert_eq!((survey.validity.not_conserved, survey.validity.missing), (0, 0));
        let payloads: Vec<u32> = survey
            .along(Engine::Epoll, Axis::Payload)
            .iter()
            .map(|finding| finding.cell.payload_bytes)
            .collect();
        assert_eq!(payloads, [24, 168, 1_200]);
        assert!(survey.scaling[0].in_words().contains("not fitted: 1 of the 5"), "{:?}", survey.scaling);
    }

    #[test]
    fn it_reads_back_and_other_forms_are_refused() {
        let survey = sample::survey();
        let text = serde_json::to_string(&survey).unwrap();
        let read = Survey::parse(&text).unwrap();
        // Numbers read from JSON may differ in their last digit.
        assert_eq!(
            (&read.header, &read.headline, &read.validity),
            (&survey.header, &survey.headline, &survey.validity)
        );
        assert_eq!(
            read.finding(&sample::cell()).map(|finding| finding.capacity),
            survey.findings.first().map(|finding| finding.capacity)
        );
        let newer = text.replacen("\"schema\":1", "\"schema\":7", 1);
        assert!(Survey::parse(&newer).unwrap_err().to_string().contains("schema 7"));
        assert!(
            Survey::parse("{\"schema\":1,\"steps\":[]}")
                .unwrap_err()
                .to_string()
                .contains("no report of a sweep")
        );
    }

    #[test]
    fn commands_that_differ_in_rate_only_are_shown_once() {
        let lines = ["run --rate 1 --x 2", "run --rate 9 --x 2", "run --rate 1 --x 3"].map(str::to_owned);
        assert_eq!(distinct(&lines), [lines[0].clone(), lines[2].clone()]);
    }

    #[test]
    fn five_worker_counts_are_fitted() {
        let mut header = sample::header();
        header.matrix.workers = vec![1, 2, 3, 4, 6];
        header.matrix.engines = vec![Engine::Epoll];
        header.cells = header.matrix.cells();
        let runs = sample::runs_of_all(&header);
        let survey = Survey::of(header, &runs, &[]).unwrap();
        let law = survey.scaling[0].law.unwrap();
        // Of the made-up sweep more workers relay no more, which is contention alone.
        assert!(law.contention > 0.5 && survey.scaling[0].points.len() == 5, "{law:?}");
    }
}
