//! Which charts a report shows, and what is on them.
//!
//! * Lines join steps that may be believed; others are crosses.
//! * A chart without anything to show is left out.

use crate::draw::axis::{Axis, Scale};
use crate::draw::percentiles;
use crate::draw::plot::{Bar, Figure, Ink, Mark, SERIES_INKS, Series};
use crate::figures::{compact, count, float, percent, time};
use crate::rig::attempt::MOST_LOSS;
use crate::sweep::quick_report::{Report, Step};

/// Offered against what came through.
pub fn throughput(report: &Report) -> Option<Figure> {
    let steps = report.steps_by_rate();
    let series =
        by_rate("relayed", Ink::Series(0), Mark::Disc, &steps, |step| step.outcome.rate.arrived_per_s)?;
    let most = steps.iter().map(|step| float(step.offered_per_s)).fold(0.0, f64::max);
    let ideal = Series {
        name: "all that was offered".to_owned(),
        ink: Ink::Limit,
        mark: Mark::None,
        points: vec![(0.0, 0.0), (most, most)],
        doubtful: Vec::new(),
    };
    Some(Figure {
        title: "Relayed against offered".to_owned(),
        description:
            "Datagrams per second that reached the receiver's NAT, over datagrams per second offered."
                .to_owned(),
        x: Axis::linear("offered, datagrams/s", [most].into_iter(), compact),
        y: Axis::linear("relayed, datagrams/s", [most].into_iter(), compact),
        bars: Vec::new(),
        series: vec![ideal, series],
    })
}

/// Loss over the rate offered.
pub fn loss(report: &Report) -> Option<Figure> {
    let steps = report.steps_by_rate();
    let series = by_rate("lost", Ink::Series(3), Mark::Square, &steps, |step| step.outcome.data.loss)?;
    let most = steps.iter().map(|step| float(step.offered_per_s)).fold(0.0, f64::max);
    let losses = steps.iter().map(|step| step.outcome.data.loss).chain([2.0 * MOST_LOSS]);
    let allowed = Series {
        name: format!("{}: what counts as relayed", percent(MOST_LOSS)),
        ink: Ink::Limit,
        mark: Mark::None,
        points: vec![(0.0, MOST_LOSS), (most, MOST_LOSS)],
        doubtful: Vec::new(),
    };
    Some(Figure {
        title: "Loss".to_owned(),
        description: "Part of the datagrams that never came back, over datagrams per second offered."
            .to_owned(),
        x: Axis::linear("offered, datagrams/s", [most].into_iter(), compact),
        y: Axis::linear("lost", losses, percent),
        bars: Vec::new(),
        series: vec![allowed, series],
    })
}

/// Latency percentiles over the rate offered.
pub fn latency_by_rate(report: &Report) -> Option<Figure> {
    let steps = report.steps_by_rate();
    let series: Vec<Series> = [
        by_rate("p99.9", Ink::Series(2), Mark::Square, &steps, |step| float(step.outcome.latency.p99_9_ns)),
        by_rate("p99", Ink::Series(1), Mark::Triangle, &steps, |step| float(step.outcome.latency.p99_ns)),
        by_rate("p50", Ink::Series(0), Mark::Disc, &steps, |step| float(step.outcome.latency.p50_ns)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let points = || series.iter().flat_map(|series| series.points.iter().chain(&series.doubtful));
    points().next()?;
    Some(Figure {
        title: "Latency by rate".to_owned(),
        description:
            "Latency from the intended send time, 50th, 99th and 99.9th percentile, over datagrams per \
                      second offered."
                .to_owned(),
        x: Axis::log("offered, datagrams/s", points().map(|point| point.0), compact),
        y: Axis::log("latency", points().map(|point| point.1), time),
        bars: Vec::new(),
        series,
    })
}

/// Latency over percentiles, for a few steps.
pub fn latency_curve(report: &Report) -> Option<Figure> {
    let steps: Vec<&Step> = report.steps_by_rate().into_iter().filter(|step| is_drawn(step)).collect();
    let chosen = spread(&steps, report.best_step());
    let series: Vec<Series> = chosen
        .iter()
        .zip(0..SERIES_INKS)
        .map(|(step, number)| Series {
            name: format!("{}/s", count(step.offered_per_s)),
            ink: Ink::Series(number),
            mark: Mark::None,
            points: percentiles::line(&step.curve),
            doubtful: Vec::new(),
        })
        .collect();
    percentiles::figure("Latency over percentiles", "a rate", series)
}

/// Busy time of the reflector's core per datagram, one bar per rate.
pub fn core_time(report: &Report) -> Option<Figure> {
    let steps: Vec<(&Step, [f64; 3])> = report
        .steps_by_rate()
        .into_iter()
        .filter(|step| step.is_valid())
        .filter_map(|step| Some((step, step.core_split_ns_per_datagram()?)))
        .collect();
    steps.first()?;
    let mut bars = Vec::new();
    let mut marks = Vec::new();
    for (place, (step, split)) in (0_u32..).zip(&steps) {
        let left = f64::from(place);
        marks.push((left + 0.5, compact(float(step.offered_per_s))));
        let mut bottom = 0.0;
        for (part, number) in split.iter().zip(0..) {
            bars.push(Bar {
                x: (left + 0.2, left + 0.8),
                y: (bottom, bottom + part),
                ink: Ink::Series(number),
            });
            bottom += part;
        }
    }
    let right = f64::from(u32::try_from(steps.len()).unwrap_or(u32::MAX));
    let tops = steps.iter().map(|(_, split)| split.iter().sum());
    let name = |name: &str, number: u8| Series {
        name: name.to_owned(),
        ink: Ink::Series(number),
        mark: Mark::Bar,
        points: Vec::new(),
        doubtful: Vec::new(),
    };
    Some(Figure {
        title: "Core-time by rate".to_owned(),
        description:
            "Busy time of the reflector's core per datagram relayed, split into user, system and soft \
                      interrupt, one bar per rate offered."
                .to_owned(),
        x: Axis {
            label: "offered, datagrams/s".to_owned(),
            scale: Scale::Linear,
            range: (0.0, right),
            format: compact,
            marks: Some(marks),
        },
        y: Axis::linear("per datagram", tops, short_time),
        bars,
        series: vec![name("soft interrupt", 2), name("system", 1), name("user", 0)],
    })
}

/// The line of one figure of every step; `None` without any step to draw.
fn by_rate(name: &str, ink: Ink, mark: Mark, steps: &[&Step], figure: fn(&Step) -> f64) -> Option<Series> {
    let drawn = || steps.iter().filter(|step| step.outcome.data.sent > 0);
    drawn().next()?;
    let points = |is_doubtful: bool| {
        let those = drawn().filter(move |step| step.verdict().is_believed() != is_doubtful);
        those.map(|step| (float(step.offered_per_s), figure(step))).collect()
    };
    Some(Series { name: name.to_owned(), ink, mark, points: points(false), doubtful: points(true) })
}

fn is_drawn(step: &Step) -> bool {
    step.is_valid() && !step.curve.is_empty()
}

/// The lowest and highest rate, the best, and one between: more lines than these nobody can follow.
fn spread<'a>(steps: &[&'a Step], best: Option<&'a Step>) -> Vec<&'a Step> {
    let middle = steps.get(steps.len() / 2).copied();
    let wanted = [steps.first().copied(), middle, best, steps.last().copied()];
    let is_wanted =
        |step: &&&Step| wanted.into_iter().flatten().any(|wanted| wanted.offered_per_s == step.offered_per_s);
    steps.iter().filter(is_wanted).copied().collect()
}

/// A time on an axis that begins at 0.
fn short_time(ns: f64) -> String {
    if ns == 0.0 { "0".to_owned() } else { time(ns) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn what_is_doubtful_is_not_on_the_line() {
        let report = sample::report();
        let relayed = throughput(&report).unwrap().series.pop().unwrap();
        assert_eq!((relayed.points.len(), relayed.doubtful.len()), (6, 1));
        assert_eq!(relayed.doubtful[0].0, 134_000.0);
        assert_eq!(latency_by_rate(&report).unwrap().series.len(), 3);
        assert_eq!(core_time(&report).unwrap().bars.len(), 3 * 6);
        let curves = latency_curve(&report).unwrap().series;
        let names: Vec<&str> = curves.iter().map(|series| series.name.as_str()).collect();
        assert_eq!(names, ["10,000/s", "80,000/s", "113,000/s", "160,000/s"]);
    }

    #[test]
    fn nothing_to_show_is_no_chart() {
        let mut report = sample::report();
        report.steps.clear();
        let figures =
            [throughput, loss, latency_by_rate, latency_curve, core_time].map(|figure| figure(&report));
        assert!(figures.iter().all(Option::is_none));
    }
}
