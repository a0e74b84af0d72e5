//! The axis of a chart: from values to places, and which values get a mark.
//!
//! * Values are placed by [`Axis::place`]; a logarithmic axis places by the logarithm.
//! * Marks are round numbers (1, 2, 5 times a power of ten), at most as many as fit.

/// One axis.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What it shows, with the unit.
    pub label: String,
    /// How values lie along it.
    pub scale: Scale,
    /// Smallest and largest value shown.
    pub range: (f64, f64),
    /// How a mark is written.
    pub format: fn(f64) -> String,
    /// Values marked instead of round numbers, where those say more, each with what is written.
    pub marks: Option<Vec<(f64, String)>>,
}

/// How values lie along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal steps are equally far apart.
    Linear,
    /// Equal factors are equally far apart; only values above 0 have a place.
    Log,
}

impl Axis {
    /// A linear axis from 0 to a little above the largest value.
    pub fn linear(label: &str, values: impl Iterator<Item = f64>, format: fn(f64) -> String) -> Self {
        let most = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
        let most = if most > 0.0 { most * 1.05 } else { 1.0 };
        Self { label: label.to_owned(), scale: Scale::Linear, range: (0.0, most), format, marks: None }
    }

    /// A logarithmic axis around the values above 0.
    pub fn log(label: &str, values: impl Iterator<Item = f64>, format: fn(f64) -> String) -> Self {
        let (least, most) = values
            .filter(|value| value.is_finite() && *value > 0.0)
            .fold((f64::INFINITY, 0.0), |(least, most), value| (value.min(least), value.max(most)));
        let (least, most) = if least <= most { (least, most) } else { (1.0, 10.0) };
        let range = (round_down(least), round_up(most));
        Self { label: label.to_owned(), scale: Scale::Log, range, format, marks: None }
    }

    /// Where a value lies; `None` where it has no place.
    pub fn place(&self, value: f64) -> Option<f64> {
        match self.scale {
            Scale::Linear => value.is_finite().then_some(value),
            Scale::Log => (value.is_finite() && value > 0.0).then(|| value.log10()),
        }
    }

    /// The places of both ends.
    pub fn ends(&self) -> (f64, f64) {
        let (from, to) = self.range;
        (self.place(from).unwrap_or(0.0), self.place(to).unwrap_or(1.0))
    }

    /// The values that get a mark, at most `most`, each with what is written.
    pub fn ticks(&self, most: usize) -> Vec<(f64, String)> {
        let (from, to) = self.range;
        if let Some(marks) = &self.marks {
            let within = marks.iter().filter(|(mark, _)| (from..=to).contains(mark));
            return thinned(within.cloned().collect(), most);
        }
        let ticks = match self.scale {
            Scale::Linear => linear_ticks(from, to, most),
            Scale::Log => log_ticks(from, to, most),
        };
        ticks.into_iter().map(|tick| (tick, (self.format)(tick))).collect()
    }
}

fn linear_ticks(from: f64, to: f64, most: usize) -> Vec<f64> {
    let steps = (-9..=15).flat_map(|power| [1.0, 2.0, 5.0].map(|lead| lead * 10f64.powi(power)));
    let ticks_of = |step: f64| {
        let first = (from / step).ceil();
        (0..=MOST_TICKS).map(move |n| (first + f64::from(n)) * step).take_while(move |tick| *tick <= to)
    };
    let fits = |step: &f64| ticks_of(*step).count() <= most.min(MOST_TICKS.into());
    steps.clone().find(fits).map_or_else(Vec::new, |step| ticks_of(step).collect())
}

fn log_ticks(from: f64, to: f64, most: usize) -> Vec<f64> {
    let ticks_of = |leads: &'static [f64]| {
        (-9..=15)
            .flat_map(move |power| leads.iter().map(move |lead| lead * 10f64.powi(power)))
            .filter(move |tick| *tick >= from * 0.999 && *tick <= to * 1.001)
    };
    let fine: Vec<f64> = ticks_of(&[1.0, 2.0, 5.0]).collect();
    if fine.len() <= most { fine } else { thinned(ticks_of(&[1.0]).collect(), most) }
}

/// Every second, third, ... until no more than `most` are left.
fn thinned<T>(ticks: Vec<T>, most: usize) -> Vec<T> {
    let every = ticks.len().div_ceil(most.max(1)).max(1);
    ticks.into_iter().step_by(every).collect()
}

/// The largest of 1, 2, 5 times a power of ten that is not above the value.
fn round_down(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let lead = [5.0, 2.0].into_iter().find(|lead| lead * power <= value * 1.001).unwrap_or(1.0);
    lead * power
}

/// The smallest of 1, 2, 5 times a power of ten that is not below the value.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let lead = [1.0, 2.0, 5.0].into_iter().find(|lead| lead * power >= value * 0.999).unwrap_or(10.0);
    lead * power
}

/// More marks than these no chart shows.
const MOST_TICKS: u8 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: f64) -> String {
        value.to_string()
    }

    #[test]
    fn marks_are_round_and_few() {
        let linear = Axis::linear("x", [3.0, 187_000.0].into_iter(), shown);
        let values =
            |axis: &Axis, most| axis.ticks(most).into_iter().map(|(value, _)| value).collect::<Vec<_>>();
        assert_eq!(values(&linear, 6), [0.0, 50_000.0, 100_000.0, 150_000.0]);
        let log = Axis::log("x", [23.0, 4_100.0].into_iter(), shown);
        assert_eq!(log.range, (20.0, 5_000.0));
        let ticks = values(&log, 10);
        assert_eq!(ticks.len(), 8);
        assert!(ticks.iter().zip([20.0, 50.0, 100.0]).all(|(a, b)| (a - b).abs() < 1e-6), "{ticks:?}");
        assert_eq!(log.ticks(4).len(), 2);
    }

    #[test]
    fn what_has_no_place_gets_none() {
        let log = Axis::log("x", [0.0, -1.0, f64::NAN].into_iter(), shown);
        assert_eq!(log.range, (1.0, 10.0));
        assert_eq!([log.place(0.0), log.place(f64::NAN), log.place(100.0)], [None, None, Some(2.0)]);
        assert_eq!(Axis::linear("x", std::iter::empty(), shown).range, (0.0, 1.0));
    }
}
