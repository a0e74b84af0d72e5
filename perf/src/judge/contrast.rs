//! `compare`: two sweeps side by side, metric by metric, with what is noise and what is not.
//!
//! * Noise is what the rounds of both runs spread, added as independent errors are, and never below 3 %.
//! * A metric is worse if it lies beyond that on the wrong side and the ranges of both runs do not touch.
//! * With `held_out`, the cells of the second are predicted from the first, and missed by more than allowed is a failure.

use crate::figures::{compact, percent, time};
use crate::judge::finding::Finding;
use crate::judge::model::{Prediction, error};
use crate::judge::spread::Spread;
use crate::judge::survey::Survey;
use crate::rig::cell::Cell;
use crate::rig::run::Purpose;

/// Two sweeps side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct Contrast {
    /// What was compared.
    pub lines: Vec<Line>,
    /// What a reader must know before believing it.
    pub caveats: Vec<String>,
    /// Whether the first is a prediction of the second.
    pub is_prediction: bool,
}

/// One metric of one cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The cell.
    pub cell: Cell,
    /// Which metric.
    pub metric: Metric,
    /// In the first.
    pub before: f64,
    /// In the second.
    pub after: f64,
    /// The change that is only noise, as a part.
    pub noise: f64,
    /// What follows.
    pub verdict: Verdict,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Datagrams a second with at most 0.5 % loss.
    Capacity,
    /// Busy time per datagram at half load.
    Cost,
    /// Median latency at half load.
    P50,
    /// 99th percentile of latency at half load.
    P99,
    /// Resident memory of the reflector.
    Memory,
}

/// What follows from a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Within noise.
    Same,
    /// Better beyond noise.
    Better,
    /// Worse beyond noise, or predicted too badly.
    Worse,
}

impl Contrast {
    /// Of the cells that both have.
    pub fn of(before: &Survey, after: &Survey) -> Self {
        let mut lines = Vec::new();
        for new in &after.findings {
            let Some(old) = before.finding(&new.cell) else { continue };
            for metric in Metric::ALL {
                let (Some(was), Some(is)) = (metric.of(old), metric.of(new)) else { continue };
                lines.push(Line::of(new.cell, metric, was, is));
            }
        }
        let is_alone = |one: &Survey, other: &Survey| {
            one.findings.iter().filter(|finding| other.finding(&finding.cell).is_none()).count()
        };
        let mut caveats = caveats(before, after);
        for (count, which) in [(is_alone(before, after), "first"), (is_alone(after, before), "second")] {
            if count > 0 {
                caveats.push(format!("{count} configurations are in the {which} alone and not compared"));
            }
        }
        Self { lines, caveats, is_prediction: false }
    }

    /// Of what the first predicts with what the second found; cells that the first has measured itself are left out.
    ///
    /// # Errors
    /// A cell of the second lies beyond what the first measured.
    pub fn held_out(before: &Survey, after: &Survey) -> anyhow::Result<Self> {
        let mut lines = Vec::new();
        for found in &after.findings {
            if before.finding(&found.cell).is_some() {
                continue;
            }
            let predicted = Prediction::of(before, found.cell, false)?;
            if let Some(is) = Metric::Capacity.of(found) {
                let was = predicted.capacity_per_s;
                let off = error(was.median, is.median);
                let verdict = if off.abs() > MOST_ERROR { Verdict::Worse } else { Verdict::Same };
                let (before, after) = (was.median, is.median);
                lines.push(Line {
                    cell: found.cell,
                    metric: Metric::Capacity,
                    before,
                    after,
                    noise: MOST_ERROR,
                    verdict,
                });
            }
            if let Some(is) = Metric::P99.of(found) {
                let (was, _) = predicted.p99_ns(before, 0.5)?;
                let is_within = (was.least..=was.most).contains(&is.median);
                let factor = (was.median / is.median).max(is.median / was.median);
                let verdict = if is_within || factor <= MOST_FACTOR { Verdict::Same } else { Verdict::Worse };
                let (before, after) = (was.median, is.median);
                let noise = MOST_FACTOR - 1.0;
                lines.push(Line { cell: found.cell, metric: Metric::P99, before, after, noise, verdict });
            }
        }
        Ok(Self { lines, caveats: caveats(before, after), is_prediction: true })
    }

    /// Whether anything is worse.
    pub fn has_regressed(&self) -> bool {
        self.lines.iter().any(|line| line.verdict == Verdict::Worse)
    }

    /// It as a table to read, with a sentence at the end.
    pub fn in_words(&self) -> String {
        let heads = match self.is_prediction {
            true => ["predicted", "measured", "error", "allowed"],
            false => ["first", "second", "change", "noise"],
        };
        let [first, second, change, noise] = heads;
        let mut text = format!(
            "{:<34} {:<9} {first:>12} {second:>12} {change:>9} {noise:>9}  {}\n",
            "configuration", "metric", "verdict"
        );
        for line in &self.lines {
            let allowed = match (self.is_prediction, line.metric) {
                (true, Metric::P99) => format!("×{MOST_FACTOR}"),
                _ => format!("±{}", percent(line.noise)),
            };
            // An error is a part of what is, a change of what was.
            let (to, from) =
                if self.is_prediction { (line.before, line.after) } else { (line.after, line.before) };
            text.push_str(&format!(
                "{:<34} {:<9} {:>12} {:>12} {:>9} {:>9}  {}\n",
                line.cell.to_string(),
                line.metric.name(),
                line.metric.shown(line.before),
                line.metric.shown(line.after),
                signed(to / from - 1.0),
                allowed,
                line.verdict.word(self.is_prediction)
            ));
        }
        self.caveats.iter().for_each(|caveat| text.push_str(&format!("note: {caveat}\n")));
        let count = |verdict| self.lines.iter().filter(|line| line.verdict == verdict).count();
        let (worse, better, same, all) =
            (count(Verdict::Worse), count(Verdict::Better), count(Verdict::Same), self.lines.len());
        text.push_str(&match self.is_prediction {
            true => format!("{same} of {all} predicted within what is allowed\n"),
            false => format!("{worse} worse, {better} better, {same} within noise, of {all} compared\n"),
        });
        text
    }
}

impl Line {
    fn of(cell: Cell, metric: Metric, was: Spread, is: Spread) -> Self {
        let half =
            |spread: &Spread| (spread.most - spread.least) / 2.0 / spread.median.max(f64::MIN_POSITIVE);
        let noise = half(&was).hypot(half(&is)).max(LEAST_NOISE);
        let change = is.median / was.median - 1.0;
        let overlap = was.least <= is.most && is.least <= was.most;
        let gain = if metric.is_more_better() { change } else { -change };
        let verdict = match gain {
            _ if overlap => Verdict::Same,
            gain if gain > noise => Verdict::Better,
            gain if gain < -noise => Verdict::Worse,
            _ => Verdict::Same,
        };
        Self { cell, metric, before: was.median, after: is.median, noise, verdict }
    }
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Capacity, Self::Cost, Self::P50, Self::P99, Self::Memory];

    /// Its value for a cell.
    pub fn of(self, finding: &Finding) -> Option<Spread> {
        let half = finding.at(Purpose::Half);
        let found = match self {
            Self::Capacity => finding.capacity.map(|capacity| capacity.per_s),
            Self::Cost => finding.cost_ns(),
            Self::P50 => half.map(|half| half.p50_ns),
            Self::P99 => half.map(|half| half.p99_ns),
            Self::Memory => half.map(|half| half.reflector_bytes),
        };
        found.filter(|spread| spread.median > 0.0)
    }

    fn is_more_better(self) -> bool {
        self == Self::Capacity
    }

    fn name(self) -> &'static str {
        match self {
            Self::Capacity => "capacity",
            Self::Cost => "core-time",
            Self::P50 => "p50",
            Self::P99 => "p99",
            Self::Memory => "memory",
        }
    }

    fn shown(self, value: f64) -> String {
        match self {
            Self::Capacity => format!("{}/s", compact(value)),
            Self::Cost | Self::P50 | Self::P99 => time(value),
            Self::Memory => format!("{:.1} MiB", value / f64::from(1 << 20)),
        }
    }
}

impl Verdict {
    fn word(self, is_prediction: bool) -> &'static str {
        match (self, is_prediction) {
            (Self::Same, false) => "same",
            (Self::Same, true) => "held",
            (Self::Better, _) => "better",
            (Self::Worse, false) => "WORSE",
            (Self::Worse, true) => "MISSED",
        }
    }
}

/// Why the two may not be comparable.
fn caveats(before: &Survey, after: &Survey) -> Vec<String> {
    let (old, new) = (&before.header, &after.header);
    let checks = [
        ("the machines differ", old.environment.machine == new.environment.machine),
        ("they ran over different grounds", old.ground == new.ground),
        ("the NAT mixes differ", old.nat == new.nat),
        ("runs were of different length", old.duration_ns == new.duration_ns),
        ("mitigations differ", old.environment.mitigations == new.environment.mitigations),
    ];
    let mut caveats: Vec<String> =
        checks.into_iter().filter(|(_, holds)| !holds).map(|(words, _)| words.to_owned()).collect();
    if old.is_short || new.is_short {
        caveats.push("a short sweep has no figures worth comparing".to_owned());
    }
    caveats
}

fn signed(part: f64) -> String {
    format!("{:+.1} %", part * 100.0)
}

/// A change that is never more than noise: the kernel's own accounting is not much finer.
const LEAST_NOISE: f64 = 0.03;
/// By how much a prediction of capacity may be off.
const MOST_ERROR: f64 = 0.2;
/// By which factor a predicted 99th percentile may be off beyond its own spread.
const MOST_FACTOR: f64 = 2.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::cell::{Axis, Engine};
    use crate::sample;

    /// The survey with one engine's capacity, cost and latency changed by a factor.
    fn slower(factor: f64) -> Survey {
        let mut survey = sample::survey();
        let own = survey.findings.iter_mut().filter(|finding| finding.cell.engine == Engine::Epoll);
        for finding in own {
            let capacity = finding.capacity.as_mut().unwrap();
            capacity.per_s = capacity.per_s.map(|value| value / factor);
            for load in &mut finding.loads {
                load.cost_ns = load.cost_ns.map(|cost| cost.map(|value| value * factor));
                load.p99_ns = load.p99_ns.map(|value| value * factor);
            }
        }
        survey
    }

    #[test]
    fn a_regression_is_found_and_noise_is_not() {
        let survey = sample::survey();
        let same = Contrast::of(&survey, &survey);
        assert!(!same.has_regressed() && same.lines.len() == survey.findings.len() * Metric::ALL.len());
        assert!(!Contrast::of(&survey, &slower(1.02)).has_regressed());
        let worse = Contrast::of(&survey, &slower(1.2));
        let count = |verdict| worse.lines.iter().filter(|line| line.verdict == verdict).count();
        assert_eq!((count(Verdict::Worse), count(Verdict::Better)), (6 * 3, 0));
        let better = Contrast::of(&slower(1.2), &survey);
        assert!(!better.has_regressed() && better.lines.iter().any(|line| line.verdict == Verdict::Better));
        assert!(
            worse.in_words().ends_with("18 worse, 0 better, 42 within noise, of 60 compared\n"),
            "{}",
            worse.in_words()
        );
    }

    #[test]
    fn wide_rounds_hide_small_changes() {
        let was = Spread { median: 100.0, least: 80.0, most: 120.0, rounds: 7 };
        let is = was.map(|value| value * 1.3);
        assert_eq!(Line::of(sample::cell(), Metric::P99, was, is).verdict, Verdict::Same);
        let far = was.map(|value| value * 3.0);
        assert_eq!(Line::of(sample::cell(), Metric::P99, was, far).verdict, Verdict::Worse);
        assert_eq!(Line::of(sample::cell(), Metric::Capacity, was, far).verdict, Verdict::Better);
    }

    #[test]
    fn what_was_held_out_is_predicted() {
        let survey = sample::survey();
        let mut header = sample::header();
        header.matrix.payloads_bytes = vec![600];
        header.matrix.hostile_percent = vec![10];
        header.cells = header.matrix.cells();
        let runs = sample::runs_of_all(&header);
        let fresh = Survey::of(header, &runs, &[]).unwrap();
        let contrast = Contrast::held_out(&survey, &fresh).unwrap();
        assert!(!contrast.lines.is_empty() && !contrast.has_regressed(), "{}", contrast.in_words());
        // A machine that is a third slower than the one that the prediction is made from.
        let mut other = fresh;
        other.findings.iter_mut().for_each(|finding| {
            let capacity = finding.capacity.as_mut().unwrap();
            capacity.per_s = capacity.per_s.map(|value| value * 0.7);
        });
        assert!(Contrast::held_out(&survey, &other).unwrap().has_regressed());
        other.findings[0].cell = other.findings[0].cell.with(Axis::Train, 60);
        assert!(Contrast::held_out(&survey, &other).is_err());
    }

    #[test]
    fn different_machines_are_named() {
        let survey = sample::survey();
        let mut other = sample::survey();
        other.header.environment.machine.clear();
        other.findings.pop();
        let caveats = Contrast::of(&survey, &other).caveats;
        assert_eq!(
            caveats,
            ["the machines differ", "1 configurations are in the first alone and not compared"]
        );
    }
}
