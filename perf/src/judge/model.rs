//! What a configuration would do that was not measured, from what was.
//!
//! * Between measured values of an axis, straight lines; several axes at once change cost by the product of what each
//!   changes alone.
//! * Beyond what was measured there is no answer unless it is asked for, and then it says how far beyond it is.
//! * Spreads go along: that of the base, and of every step away from it.

use crate::figures::float;
use crate::judge::finding::Finding;
use crate::judge::spread::Spread;
use crate::judge::survey::Survey;
use crate::rig::cell::{Axis, Cell};
use crate::rig::run::Purpose;
use anyhow::{Context, bail};

/// What a configuration is expected to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The configuration.
    pub cell: Cell,
    /// Datagrams a second that it relays with at most 0.5 % loss.
    pub capacity_per_s: Spread,
    /// Busy time of processors per datagram at half load, ns.
    pub cost_ns: Spread,
    /// Its 99th percentile at half load, over that of its engine's base.
    pub p99_ratio: Spread,
    /// Whether it was measured itself.
    pub is_measured: bool,
    /// In what it lies beyond everything measured.
    pub beyond: Vec<Beyond>,
}

/// A value outside what was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Beyond {
    /// Of what, with its unit.
    pub what: String,
    /// The value asked for.
    pub asked: f64,
    /// The least and the most that was measured.
    pub measured: (f64, f64),
}

/// A figure of a cell.
type Figure = fn(&Finding) -> Option<Spread>;

impl Prediction {
    /// Of a configuration; with `is_bold` also beyond what was measured.
    ///
    /// # Errors
    /// The engine was not measured, or the configuration lies beyond what was and `is_bold` is false.
    pub fn of(survey: &Survey, cell: Cell, is_bold: bool) -> anyhow::Result<Self> {
        let base = survey.base(cell.engine).with_context(|| {
            let known: Vec<&str> = survey.engines().map(crate::rig::cell::Engine::name).collect();
            format!("{} was not measured; measured were: {}", cell.engine, known.join(", "))
        })?;
        let whole = |figure: Figure, what: &str| {
            figure(base)
                .with_context(|| format!("the base of {} has no {what}: measure it again", cell.engine))
        };
        let [base_gap, base_cost, base_p99] =
            [whole(gap, "capacity")?, whole(cost, "cost")?, whole(p99, "latency")?];
        let has_all = |known: &&Finding| gap(known).is_some() && cost(known).is_some();
        if let Some(known) = survey.finding(&cell).filter(has_all) {
            return Ok(Self {
                cell,
                capacity_per_s: turned(gap(known).unwrap_or(base_gap)),
                cost_ns: cost(known).unwrap_or(base_cost),
                p99_ratio: ratio(p99(known).unwrap_or(base_p99), base_p99.median),
                is_measured: true,
                beyond: Vec::new(),
            });
        }
        let mut beyond = Vec::new();
        let mut changes = [one(), one(), one()];
        for axis in cell.differences(&base.cell) {
            let along = survey.along(cell.engine, axis);
            beyond.extend(outside(&along, axis, cell.value(axis)));
            let figures = [(gap as Figure, base_gap), (cost, base_cost), (p99, base_p99)];
            for (change, (figure, base)) in changes.iter_mut().zip(figures) {
                let here = along_axis(&along, axis, cell.value(axis), figure)?;
                *change = times(*change, ratio(here, base.median));
            }
        }
        if let (false, Some(first)) = (is_bold, beyond.first()) {
            bail!("{}; measure it, or ask for it all the same with --extrapolate", first.in_words());
        }
        let [gap_change, cost_change, p99_ratio] = changes;
        Ok(Self {
            cell,
            capacity_per_s: turned(times(base_gap, gap_change)),
            cost_ns: times(base_cost, cost_change),
            p99_ratio,
            is_measured: false,
            beyond,
        })
    }

    /// The 99th percentile of latency at a part of the capacity, ns, and whether that part was measured.
    ///
    /// # Errors
    /// The base of the engine has no latencies.
    pub fn p99_ns(&self, survey: &Survey, part: f64) -> anyhow::Result<(Spread, Option<Beyond>)> {
        let base = survey.base(self.cell.engine).context("the engine was not measured")?;
        let known = base.loads.iter().filter_map(|load| Some((base.part_of(load)?, load.p99_ns)));
        let mut points: Vec<(f64, Spread)> = known.collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (first, last) = (points.first().context("no latency was measured")?, points.last());
        let (least, most) = (first.0, last.map_or(first.0, |last| last.0));
        // Lighter load than the lightest measured waits no longer; a little above the heaviest is within what it varies.
        let is_beyond = part > most * 1.05;
        let beyond = is_beyond.then(|| Beyond {
            what: "load, part of the capacity".to_owned(),
            asked: part,
            measured: (least, most),
        });
        let clamped = part.clamp(least, most);
        let at = |figure: fn(&Spread) -> f64| {
            let logs: Vec<(f64, f64)> =
                points.iter().map(|(part, spread)| (*part, figure(spread).max(1.0).ln())).collect();
            straight(&logs, clamped).map(f64::exp)
        };
        let found = [at(|p99| p99.median), at(|p99| p99.least), at(|p99| p99.most)];
        let [Some(median), Some(least), Some(most)] = found else { bail!("no latency was measured") };
        Ok((times(Spread { median, least, most, rounds: first.1.rounds }, self.p99_ratio), beyond))
    }
}

impl Beyond {
    /// It in words: what was measured, and how far beyond it this is.
    pub fn in_words(&self) -> String {
        let (least, most) = self.measured;
        let (edge, word) = if self.asked > most { (most, "above") } else { (least, "below") };
        let far = if edge > 0.0 && self.asked > 0.0 {
            format!(
                "{:.1} times as {}",
                (self.asked / edge).max(edge / self.asked),
                if word == "above" { "much" } else { "little" }
            )
        } else {
            format!("{} away", crate::figures::compact((self.asked - edge).abs()))
        };
        format!(
            "{} {} lies {word} what was measured ({} to {}), {far}",
            self.what,
            crate::figures::compact(self.asked),
            crate::figures::compact(least),
            crate::figures::compact(most)
        )
    }
}

/// From one datagram to the next at capacity, ns: what a train or a payload adds is added to this, not to the rate.
fn gap(finding: &Finding) -> Option<Spread> {
    finding.capacity.map(|capacity| turned(capacity.per_s))
}

/// A rate as the time between two, ns, and back.
fn turned(spread: Spread) -> Spread {
    spread.map(|value| 1e9 / value.max(f64::MIN_POSITIVE))
}

fn cost(finding: &Finding) -> Option<Spread> {
    finding.cost_ns()
}

fn p99(finding: &Finding) -> Option<Spread> {
    finding.at(Purpose::Half).map(|half| half.p99_ns)
}

/// A figure at a value of an axis, everything else as in the engine's base.
fn along_axis(along: &[&Finding], axis: Axis, value: u32, figure: Figure) -> anyhow::Result<Spread> {
    let known =
        along.iter().filter_map(|finding| Some((axis.place(finding.cell.value(axis)), figure(finding)?)));
    let mut points: Vec<(f64, Spread)> = known.collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    if points.is_empty() {
        bail!("{} was never measured", axis.name());
    }
    let place = axis.place(value);
    let at = |figure: fn(&Spread) -> f64| {
        let values: Vec<(f64, f64)> = points.iter().map(|(place, spread)| (*place, figure(spread))).collect();
        straight(&values, place)
    };
    let found = [at(|spread| spread.median), at(|spread| spread.least), at(|spread| spread.most)];
    let [Some(median), Some(least), Some(most)] = found else { bail!("{} was never measured", axis.name()) };
    let rounds = points.iter().map(|(_, spread)| spread.rounds).min().unwrap_or(0);
    Ok(Spread { median, least, most, rounds })
}

/// Whether a value lies outside what was measured on an axis.
fn outside(along: &[&Finding], axis: Axis, value: u32) -> Option<Beyond> {
    let values = || along.iter().map(|finding| finding.cell.value(axis));
    let (least, most) = (values().min()?, values().max()?);
    let beyond = Beyond {
        what: axis.name().to_owned(),
        asked: f64::from(value),
        measured: (f64::from(least), f64::from(most)),
    };
    (!(least..=most).contains(&value)).then_some(beyond)
}

/// The value at a place: on the line between its neighbours, or on that of the two nearest beyond the ends.
fn straight(points: &[(f64, f64)], place: f64) -> Option<f64> {
    let first = points.first()?;
    let upper =
        points.iter().position(|point| point.0 >= place).unwrap_or(points.len()).clamp(1, points.len());
    let (Some(left), Some(right)) = (points.get(upper - 1), points.get(upper.min(points.len() - 1))) else {
        return Some(first.1);
    };
    let left = if left.0 == right.0 { points.get(upper.saturating_sub(2)).unwrap_or(left) } else { left };
    if left.0 == right.0 {
        return Some(left.1);
    }
    Some(left.1 + (right.1 - left.1) * (place - left.0) / (right.0 - left.0))
}

fn one() -> Spread {
    Spread { median: 1.0, least: 1.0, most: 1.0, rounds: u32::MAX }
}

fn ratio(spread: Spread, base: f64) -> Spread {
    spread.map(|value| value / base)
}

/// Two figures multiplied, whose relative spreads add up as independent ones do.
fn times(one: Spread, other: Spread) -> Spread {
    let part = |spread: &Spread, end: f64| if spread.median > 0.0 { end / spread.median - 1.0 } else { 0.0 };
    let both = |a: f64, b: f64| a.hypot(b);
    let median = one.median * other.median;
    let down = both(part(&one, one.least), part(&other, other.least)).min(0.99);
    let up = both(part(&one, one.most), part(&other, other.most));
    Spread {
        median,
        least: median * (1.0 - down),
        most: median * (1.0 + up),
        rounds: one.rounds.min(other.rounds),
    }
}

/// How far apart two rates are, as a part of the second.
pub fn error(predicted: f64, found: f64) -> f64 {
    if found > 0.0 { predicted / found - 1.0 } else { f64::INFINITY }
}

/// The endpoints that were measured at most; more cost a reflector nothing that it knows of.
pub fn most_endpoints(survey: &Survey) -> u32 {
    survey.header.matrix.endpoints.iter().copied().max().unwrap_or(0)
}

/// The worker counts that were measured, at most.
pub fn most_workers(survey: &Survey) -> f64 {
    survey.header.matrix.workers.iter().copied().max().map_or(1.0, |workers| float(workers.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::cell::Engine;
    use crate::sample;

    #[test]
    fn what_was_held_out_is_found_within_a_few_per_cent() {
        let survey = sample::survey();
        let held_out = [
            sample::cell().with(Axis::Payload, 600),
            sample::cell().with(Axis::Train, 4),
            sample::cell().with(Axis::Hostile, 10).with(Axis::Payload, 900),
            sample::cell().with(Axis::Train, 8).with(Axis::Endpoints, 3_000).through(Engine::Xdp),
        ];
        for cell in held_out {
            let found = Prediction::of(&survey, cell, false).unwrap();
            let expected = 1e9 / sample::cost_ns(cell) * 0.98;
            assert!(error(found.capacity_per_s.median, expected).abs() < 0.12, "{cell}: {found:?}");
            assert!(error(found.cost_ns.median, sample::cost_ns(cell)).abs() < 0.02, "{cell}: {found:?}");
            assert!(!found.is_measured && found.beyond.is_empty());
            assert!(found.capacity_per_s.least <= found.capacity_per_s.median);
        }
    }

    #[test]
    fn what_was_measured_is_not_guessed() {
        let survey = sample::survey();
        let cell = sample::cell().with(Axis::Payload, 24);
        let found = Prediction::of(&survey, cell, false).unwrap();
        assert!(found.is_measured);
        let known = survey.finding(&cell).unwrap().capacity.unwrap().per_s;
        assert!((found.capacity_per_s.median - known.median).abs() < 1e-6);
    }

    #[test]
    fn beyond_what_was_measured_it_answers_only_when_asked_to() {
        let survey = sample::survey();
        let cell = sample::cell().with(Axis::Hostile, 60);
        let error = Prediction::of(&survey, cell, false).unwrap_err().to_string();
        assert!(
            error.contains("hostile, % 60 lies above what was measured (0 to 20), 3.0 times as much"),
            "{error}"
        );
        assert!(error.contains("--extrapolate"), "{error}");
        let bold = Prediction::of(&survey, cell, true).unwrap();
        assert_eq!(bold.beyond.len(), 1);
        assert!((bold.cost_ns.median - sample::cost_ns(cell)).abs() < 50.0, "{bold:?}");
        let engine = Prediction::of(&survey, cell.through(Engine::Uring), true).unwrap_err().to_string();
        assert!(engine.contains("uring was not measured; measured were: epoll, xdp"), "{engine}");
    }

    #[test]
    fn latency_follows_load() {
        let survey = sample::survey();
        let found = Prediction::of(&survey, sample::cell(), false).unwrap();
        let at = |part| found.p99_ns(&survey, part).unwrap();
        let (light, half, heavy) = (at(0.1).0.median, at(0.5).0.median, at(0.8).0.median);
        assert!(light < half && half < heavy, "{light} {half} {heavy}");
        assert!((half - 150_000.0).abs() < 2_000.0, "{half}");
        assert!(at(0.8).1.is_none() && at(1.2).1.is_some());
    }

    #[test]
    fn lines_go_through_their_points() {
        let points = [(1.0, 10.0), (2.0, 20.0), (4.0, 20.0)];
        let found = [0.0, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0].map(|place| straight(&points, place).unwrap());
        assert_eq!(found, [0.0, 10.0, 15.0, 20.0, 20.0, 20.0, 20.0]);
        assert_eq!((straight(&points[..1], 9.0), straight(&[], 9.0)), (Some(10.0), None));
    }
}
