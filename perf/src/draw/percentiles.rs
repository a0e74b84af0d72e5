//! Latency over percentiles, as every report draws it.
//!
//! * The further right, the rarer: 90, 99 and 99.9 % are equally far apart.

use crate::draw::axis::{Axis, Scale};
use crate::draw::plot::{Figure, Series};
use crate::figures::{compact, float, time};
use crate::judge::histogram::CurvePoint;

/// The points of a line.
pub fn line(curve: &[CurvePoint]) -> Vec<(f64, f64)> {
    curve.iter().map(|point| (rarity(point.percentile), float(point.latency_ns))).collect()
}

/// The chart; `None` without a point. `each` is what there is a line of, such as "a relay".
pub fn figure(title: &str, each: &str, series: Vec<Series>) -> Option<Figure> {
    let points = || series.iter().flat_map(|series| &series.points);
    points().next()?;
    let rarest = points().map(|point| point.0).fold(10.0, f64::max);
    let marks =
        [(1.0, "0 %"), (10.0, "90 %"), (1e2, "99 %"), (1e3, "99.9 %"), (1e4, "99.99 %"), (1e5, "99.999 %")];
    Some(Figure {
        title: title.to_owned(),
        description: format!(
            "The latency that a given part of the datagrams did not exceed, one line {each}."
        ),
        x: Axis {
            label: "part of the datagrams".to_owned(),
            scale: Scale::Log,
            // Rounding must not push the last mark out.
            range: (1.0, rarest * 1.001),
            format: compact,
            marks: Some(marks.map(|(at, written)| (at, written.to_owned())).to_vec()),
        },
        y: Axis::log("latency at most", points().map(|point| point.1), time),
        bars: Vec::new(),
        series,
    })
}

/// One in so many datagrams lies beyond a percentile.
fn rarity(percentile: f64) -> f64 {
    100.0 / (100.0 - percentile).max(1e-7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::plot::{Ink, Mark};

    #[test]
    fn rare_latencies_have_room() {
        let curve = [(0.0, 1_000), (90.0, 2_000), (99.0, 3_000), (99.9, 4_000)]
            .map(|(percentile, latency_ns)| CurvePoint { percentile, latency_ns });
        let points = line(&curve);
        assert!(
            points.iter().zip([1.0, 10.0, 100.0, 1e3]).all(|(point, at)| (point.0 / at - 1.0).abs() < 1e-6)
        );
        let series = Series {
            name: "one".to_owned(),
            ink: Ink::Series(0),
            mark: Mark::None,
            points,
            doubtful: Vec::new(),
        };
        let chart = figure("Latency", "a rate", vec![series]).unwrap();
        assert!(chart.x.range.1 >= 1e3 && chart.description.ends_with("one line a rate."), "{chart:?}");
        assert!(figure("Latency", "a rate", Vec::new()).is_none());
    }
}
