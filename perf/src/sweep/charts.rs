//! Which charts the report of a sweep shows, and what is on them.
//!
//! * One colour an engine, the same on every chart. Points are medians of rounds, and a bar at each reaches from the
//!   least to the most of them.
//! * A chart without anything to show is left out.

use crate::draw::axis::{Axis as Scaled, Scale};
use crate::draw::bars;
use crate::draw::bars::CoreTime;
use crate::draw::percentiles;
use crate::draw::plot::{Bar, Figure, Ink, Mark, Series};
use crate::figures::{bytes, compact, float, percent, rounded, time};
use crate::judge::finding::{Finding, LoadFigures};
use crate::judge::spread::Spread;
use crate::judge::survey::Survey;
use crate::rig::attempt::MOST_LOSS;
use crate::rig::cell::{Axis, Engine};
use crate::rig::run::Purpose;

/// A point with its spread.
type Spot = (f64, Spread);

/// Offered against what came through, one line an engine.
pub fn throughput(survey: &Survey) -> Option<Figure> {
    let mut series = Vec::new();
    let mut most = 0.0;
    for engine in survey.engines() {
        let Some(base) = survey.base(engine) else { continue };
        let mut points: Vec<(f64, f64)> = Vec::new();
        let mut doubtful = Vec::new();
        for offered in &base.offered {
            let point = (float(offered.offered_per_s), offered.arrived_per_s);
            most = f64::max(most, point.0);
            if offered.is_believed { points.push(point) } else { doubtful.push(point) }
        }
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        series.push(Series { points, doubtful, ..line(engine) });
    }
    let least = least(all_points(&series).map(|point| point.0))?;
    let ideal = Series {
        name: "all that was offered".to_owned(),
        points: vec![(least, least), (most, most)],
        ..limit()
    };
    series.insert(0, ideal);
    Some(Figure {
        title: "Relayed against offered".to_owned(),
        description: "Good datagrams per second that came through, over datagrams per second offered."
            .to_owned(),
        x: Scaled::log("offered, datagrams/s", [least, most].into_iter(), compact),
        y: Scaled::log("relayed, datagrams/s", all_y(&series), compact),
        bars: Vec::new(),
        series,
    })
}

/// Latency over percentiles at half load, one line an engine.
pub fn latency_curves(survey: &Survey) -> Option<Figure> {
    let curve = |engine: Engine| {
        let half = survey.base(engine)?.at(Purpose::Half)?;
        Some(Series { points: percentiles::line(&half.curve), mark: Mark::None, ..line(engine) })
    };
    let series: Vec<Series> = survey.engines().filter_map(curve).collect();
    percentiles::figure("Latency over percentiles, each at half of its own capacity", "an engine", series)
}

/// The 99th percentile over the rate, at a tenth, a half and nine tenths of each engine's capacity.
pub fn latency_by_load(survey: &Survey) -> Option<Figure> {
    let spots = |engine: Engine| -> Vec<Spot> {
        let loads = survey.base(engine).map(|base| base.loads.as_slice()).unwrap_or_default();
        loads.iter().map(|load| (float(load.offered_per_s), load.p99_ns)).collect()
    };
    spotted(
        survey,
        spots,
        (
            "p99 at 10, 50 and 90 % of each capacity",
            "99th percentile of latency over datagrams per second offered.",
        ),
        |points| {
            let all = || points.iter();
            (
                Scaled::log("offered, datagrams/s", all().map(|spot| spot.0), compact),
                Scaled::log("p99", all().flat_map(|spot| [spot.1.least, spot.1.most]), time),
            )
        },
    )
}

/// Cost along an axis, one line an engine.
pub fn cost_along(survey: &Survey, axis: Axis, title: &str) -> Option<Figure> {
    let spots = |engine: Engine| -> Vec<Spot> {
        let along = survey.along(engine, axis).into_iter();
        along.filter_map(|finding| Some((f64::from(finding.cell.value(axis)), finding.cost_ns()?))).collect()
    };
    let has_two = survey.engines().any(|engine| spots(engine).len() > 1);
    if !has_two {
        return None;
    }
    let description = format!("Busy time of the reflector's processors per datagram, over {}.", axis.name());
    spotted(survey, spots, (title, &description), |points| {
        (x_of(axis, points), Scaled::log("per datagram", reach(points), time))
    })
}

/// Resident memory of both programs over endpoints.
pub fn memory(survey: &Survey) -> Option<Figure> {
    let engine = survey.engines().find(|engine| survey.along(*engine, Axis::Endpoints).len() > 1)?;
    let along = survey.along(engine, Axis::Endpoints);
    let halves: Vec<(&Finding, &LoadFigures)> =
        along.into_iter().filter_map(|finding| Some((finding, finding.at(Purpose::Half)?))).collect();
    let spots = |figure: fn(&LoadFigures) -> Spread| -> Vec<Spot> {
        halves.iter().map(|(finding, load)| (f64::from(finding.cell.endpoints), figure(load))).collect()
    };
    let (own, other) = (spots(|load| load.reflector_bytes), spots(|load| load.generator_bytes));
    let all: Vec<Spot> = own.iter().chain(&other).copied().collect();
    all.first()?;
    let x = x_of(Axis::Endpoints, &all);
    let series = |name: &str, number: u8, mark: Mark, spots: &[Spot]| Series {
        name: name.to_owned(),
        ink: Ink::Series(number),
        mark,
        points: spots.iter().map(|(x, spread)| (*x, spread.median)).collect(),
        doubtful: Vec::new(),
    };
    let bars = whiskers(&x, &own, Ink::Series(0)).chain(whiskers(&x, &other, Ink::Series(1))).collect();
    Some(Figure {
        title: format!("Memory, {}", engine.title()),
        description: "Resident memory of the reflector and of the generator over endpoints.".to_owned(),
        y: Scaled::linear("resident", reach(&all), mib),
        series: vec![
            series("reflector", 0, Mark::Disc, &own),
            series("generator", 1, Mark::Triangle, &other),
        ],
        x,
        bars,
    })
}

/// What several workers relay, and the law that they follow.
pub fn scaling(survey: &Survey) -> Option<Figure> {
    let mut series = Vec::new();
    for scaling in survey.scaling.iter().filter(|scaling| scaling.points.len() > 1) {
        series.push(Series { points: scaling.points.clone(), ..line(scaling.engine) });
        if let (Some(law), Some(last)) = (&scaling.law, scaling.points.last()) {
            let step = |number: u8| 1.0 + (last.0 - 1.0) * f64::from(number) / 40.0;
            series.push(Series {
                name: format!("{}, fitted", scaling.engine.title()),
                points: (0..=40).map(step).map(|workers| (workers, law.rate_of(workers))).collect(),
                ..limit()
            });
        }
    }
    series.first()?;
    let workers = series.iter().flat_map(|series| &series.points).map(|point| point.0).collect::<Vec<_>>();
    Some(Figure {
        title: "Relayed by several workers".to_owned(),
        description: "Datagrams per second of all workers together, over their number.".to_owned(),
        x: Scaled::linear("workers", workers.into_iter(), compact),
        y: Scaled::linear("relayed, datagrams/s", all_y(&series), compact),
        bars: Vec::new(),
        series,
    })
}

/// Loss over the rate offered, one line an engine.
pub fn loss(survey: &Survey) -> Option<Figure> {
    let loss = |engine: Engine| {
        let base = survey.base(engine)?;
        let searched = || base.offered.iter().filter(|run| run.purpose == Some(Purpose::Search));
        let points = |is_believed: bool| {
            let own = searched().filter(|run| run.is_believed == is_believed);
            let mut points: Vec<(f64, f64)> = own.map(|run| (float(run.offered_per_s), run.loss)).collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            points
        };
        searched().next()?;
        Some(Series { points: points(true), doubtful: points(false), ..line(engine) })
    };
    let mut series: Vec<Series> = survey.engines().filter_map(loss).collect();
    let offered = all_points(&series).map(|point| point.0).collect::<Vec<_>>();
    let (least, most) = (least(offered.iter().copied())?, offered.iter().copied().fold(0.0, f64::max));
    let allowed = Series {
        name: format!("{}: what counts as relayed", percent(MOST_LOSS)),
        points: vec![(least, MOST_LOSS), (most, MOST_LOSS)],
        ..limit()
    };
    series.insert(0, allowed);
    Some(Figure {
        title: "Loss in the search".to_owned(),
        description: "Part of the datagrams that never came back, over datagrams per second offered."
            .to_owned(),
        x: Scaled::log("offered, datagrams/s", offered.into_iter(), compact),
        y: Scaled::linear("lost", all_y(&series).chain([2.0 * MOST_LOSS]), percent),
        bars: Vec::new(),
        series,
    })
}

/// Busy time per datagram, split: one bar an engine at half load; of a single engine one a load.
pub fn cost_split(survey: &Survey) -> Option<Figure> {
    let engines: Vec<&Finding> = survey.engines().filter_map(|engine| survey.base(engine)).collect();
    let bar =
        |name: &str, load: &LoadFigures| Some(CoreTime { name: name.to_owned(), split_ns: load.split_ns? });
    let (title, each, bars): (_, _, Vec<CoreTime>) = match engines.as_slice() {
        [only] => (
            "Core-time per datagram by load",
            "load",
            only.loads.iter().filter_map(|load| bar(load.purpose.words(), load)).collect(),
        ),
        several => (
            "Core-time per datagram at half load",
            "engine",
            several
                .iter()
                .filter_map(|base| bar(base.cell.engine.title(), base.at(Purpose::Half)?))
                .collect(),
        ),
    };
    bars::figure(title, "the reflector's processors", each, &bars)
}

/// A figure of points with their spread, one line an engine; the axes follow from all of the points.
fn spotted(
    survey: &Survey,
    spots: impl Fn(Engine) -> Vec<Spot>,
    (title, description): (&str, &str),
    axes: impl Fn(&[Spot]) -> (Scaled, Scaled),
) -> Option<Figure> {
    let all: Vec<Spot> = survey.engines().flat_map(&spots).collect();
    all.first()?;
    let (x, y) = axes(&all);
    let (mut series, mut bars) = (Vec::new(), Vec::new());
    for engine in survey.engines() {
        let own = spots(engine);
        bars.extend(whiskers(&x, &own, line(engine).ink));
        let points = own.iter().map(|(x, spread)| (*x, spread.median)).collect();
        series.push(Series { points, ..line(engine) });
    }
    Some(Figure { title: title.to_owned(), description: description.to_owned(), x, y, bars, series })
}

/// A thin bar from the least to the most, at each point.
fn whiskers<'a>(x: &Scaled, spots: &'a [Spot], ink: Ink) -> impl Iterator<Item = Bar> + 'a {
    let (is_log, width) = (x.scale == Scale::Log, (x.range.1 - x.range.0) * 0.003);
    let decades = (x.range.1 / x.range.0.max(f64::MIN_POSITIVE)).log10();
    let factor = 10f64.powf(decades * 0.003);
    spots.iter().map(move |(at, spread)| {
        let x = if is_log { (at / factor, at * factor) } else { (at - width, at + width) };
        Bar { x, y: (spread.least, spread.most), ink }
    })
}

/// The axis of what was varied, with a mark at every value that was measured.
fn x_of(axis: Axis, spots: &[Spot]) -> Scaled {
    let values = || spots.iter().map(|spot| spot.0);
    let label = axis.name();
    let mut scaled = match axis {
        Axis::Endpoints | Axis::Train => Scaled::log(label, values(), compact),
        Axis::Workers | Axis::Payload | Axis::Hostile => Scaled::linear(label, values(), compact),
    };
    let mut marks: Vec<f64> = values().collect();
    marks.sort_by(f64::total_cmp);
    marks.dedup();
    scaled.marks = Some(marks.into_iter().map(|mark| (mark, compact(mark))).collect());
    scaled
}

fn reach(spots: &[Spot]) -> impl Iterator<Item = f64> + '_ {
    spots.iter().flat_map(|(_, spread)| [spread.least, spread.most])
}

fn all_points(series: &[Series]) -> impl Iterator<Item = &(f64, f64)> {
    series.iter().flat_map(|series| series.points.iter().chain(&series.doubtful))
}

fn all_y(series: &[Series]) -> impl Iterator<Item = f64> + '_ {
    all_points(series).map(|point| point.1)
}

/// The least of some values; `None` without any.
fn least(values: impl Iterator<Item = f64>) -> Option<f64> {
    values.reduce(f64::min)
}

/// A dashed line that measurements are compared with, without points.
fn limit() -> Series {
    Series {
        name: String::new(),
        ink: Ink::Limit,
        mark: Mark::None,
        points: Vec::new(),
        doubtful: Vec::new(),
    }
}

/// An engine's line, without points.
fn line(engine: Engine) -> Series {
    let (number, mark) = match engine {
        Engine::Epoll => (0, Mark::Disc),
        Engine::Uring => (1, Mark::Triangle),
        Engine::Xdp => (2, Mark::Square),
    };
    let name = engine.title().to_owned();
    Series { name, ink: Ink::Series(number), mark, points: Vec::new(), doubtful: Vec::new() }
}

fn mib(value: f64) -> String {
    let whole = rounded(value / f64::from(1 << 20));
    if value == 0.0 { "0".to_owned() } else { bytes(whole << 20) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn every_chart_shows_every_engine_and_its_spread() {
        let survey = sample::survey();
        let along = cost_along(&survey, Axis::Payload, "x").unwrap();
        assert_eq!((along.series.len(), along.bars.len()), (2, 6));
        assert!(along.bars.iter().all(|bar| bar.x.0 < bar.x.1 && bar.y.0 <= bar.y.1));
        assert_eq!(throughput(&survey).unwrap().series.len(), 3);
        assert_eq!(latency_curves(&survey).unwrap().series.len(), 2);
        assert_eq!(latency_by_load(&survey).unwrap().bars.len(), 6);
        assert_eq!(cost_split(&survey).unwrap().bars.len(), 6);
        let lost = loss(&survey).unwrap().series;
        assert_eq!((lost.len(), lost[1].doubtful.len()), (3, 0));
        let one = Survey { findings: vec![survey.findings[0].clone()], ..survey.clone() };
        assert_eq!(cost_split(&one).unwrap().bars.len(), 9, "three loads of one engine");
        assert_eq!(memory(&survey).unwrap().series.len(), 2);
        assert!(scaling(&survey).is_none(), "one worker count is no line");
    }

    #[test]
    fn nothing_to_show_is_no_chart() {
        let survey = Survey { findings: Vec::new(), scaling: Vec::new(), ..sample::survey() };
        let charts = [throughput, loss, latency_curves, latency_by_load, memory, scaling, cost_split];
        assert!(charts.iter().all(|chart| chart(&survey).is_none()));
        assert!(Axis::ALL.iter().all(|axis| cost_along(&survey, *axis, "x").is_none()));
    }

    #[test]
    fn a_law_is_drawn_beside_its_points() {
        let mut survey = sample::survey();
        let law =
            crate::judge::usl::Usl { rate_per_s: 100.0, contention: 0.1, coherency: 0.0, explained: 1.0 };
        survey.scaling[0].points = [1.0, 2.0, 3.0, 4.0, 5.0].map(|n| (n, law.rate_of(n))).to_vec();
        survey.scaling[0].law = Some(law);
        let figure = scaling(&survey).unwrap();
        assert_eq!(figure.series.len(), 2);
        assert_eq!(figure.series[1].points.last().unwrap().0, 5.0);
    }
}
