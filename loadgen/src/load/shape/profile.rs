//! The rate over the measured phase: straight lines between points.
//!
//! ```text
//!   steps   20, 40, 60, 80, 100 % of --rate, a fifth of the time each       ramp   10 to 100 % in one line
//!   soak    up within a twentieth, --rate, down within a twentieth          FILE   [[point]] at = "10s", rate = "5k"
//! ```
//!
//! * Times count from the start of the measured phase; the warm-up keeps the first rate.
//! * Two points at one time are a step. What is no such file is refused with its line.
//! * Pure: text in, rates out.

use crate::error::Error;
use crate::units;
use serde::Deserialize;
use std::path::PathBuf;
use std::str::FromStr;

/// A rate over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    points: Vec<Point>,
}

/// The rate at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// From the start of the measured phase, ns.
    pub at_ns: u64,
    /// Datagrams per second.
    pub rate_per_s: f64,
}

impl Profile {
    /// One rate from first to last.
    pub fn constant(rate_per_s: u64, duration_ns: u64) -> Self {
        Self::of_parts(rate_per_s, duration_ns, &[(0, 100), (100, 100)])
    }

    /// A form that is known by name, with the highest rate; `None` for [`Form::File`].
    pub fn named(form: &Form, rate_per_s: u64, duration_ns: u64) -> Option<Self> {
        let parts: &[(u32, u32)] = match form {
            Form::Constant => &[(0, 100), (100, 100)],
            Form::Ramp => &[(0, 10), (100, 100)],
            Form::Soak => &[(0, 10), (5, 100), (95, 100), (100, 10)],
            Form::Steps => &[
                (0, 20),
                (20, 20),
                (20, 40),
                (40, 40),
                (40, 60),
                (60, 60),
                (60, 80),
                (80, 80),
                (80, 100),
                (100, 100),
            ],
            Form::File(_) => return None,
        };
        Some(Self::of_parts(rate_per_s, duration_ns, parts))
    }

    /// Reads a file's points.
    ///
    /// # Errors
    /// What is wrong, with its line, and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| told(text, &error))?;
        let mut points: Vec<Point> = Vec::with_capacity(file.point.len());
        for (entry, number) in file.point.iter().zip(1..) {
            let wrong = |what: String| format!("point {number}: {what}");
            let at_ns = units::duration_ns(&entry.at).map_err(|error| wrong(format!("at = {error}")))?;
            let rate = units::count(&entry.rate).map_err(|error| wrong(format!("rate = {error}")))?;
            if points.last().is_some_and(|last| at_ns < last.at_ns) {
                return Err(wrong(format!("at = {:?} lies before the point above it", entry.at)));
            }
            points.push(Point { at_ns, rate_per_s: as_f64(rate) });
        }
        let profile = Self { points };
        if profile.points.first().is_none_or(|first| first.at_ns != 0) || profile.duration_ns() == 0 {
            return Err("a profile needs at least two [[point]], the first with at = \"0s\"".to_owned());
        }
        if profile.peak_per_s() < 1 {
            return Err("every rate is 0: one has to be at least 1 datagram per second".to_owned());
        }
        Ok(profile)
    }

    /// The points, the earliest first.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// How long it is, ns.
    pub fn duration_ns(&self) -> u64 {
        self.points.last().map_or(0, |last| last.at_ns)
    }

    /// The highest rate, datagrams per second.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Rates were whole numbers, or parts of one.
    pub fn peak_per_s(&self) -> u64 {
        self.points.iter().map(|point| point.rate_per_s).fold(0.0, f64::max).round() as u64
    }

    /// Whether one rate holds from first to last.
    pub fn is_constant(&self) -> bool {
        self.points.windows(2).all(|pair| match pair {
            [one, other] => one.rate_per_s.total_cmp(&other.rate_per_s).is_eq(),
            _ => true,
        })
    }

    /// The rate at a time, datagrams per second; at a step the later one.
    pub fn rate_at(&self, at_ns: u64) -> f64 {
        let next = self.points.partition_point(|point| point.at_ns <= at_ns);
        let before = next.checked_sub(1).and_then(|last| self.points.get(last));
        match (before, self.points.get(next)) {
            (Some(one), Some(other)) => {
                let part = as_f64(at_ns - one.at_ns) / as_f64(other.at_ns - one.at_ns);
                one.rate_per_s + (other.rate_per_s - one.rate_per_s) * part
            }
            (Some(point), None) | (None, Some(point)) => point.rate_per_s,
            (None, None) => 0.0,
        }
    }

    /// Points in percent of time and rate.
    fn of_parts(rate_per_s: u64, duration_ns: u64, parts: &[(u32, u32)]) -> Self {
        let point = |(time, rate): &(u32, u32)| Point {
            at_ns: u64::try_from(u128::from(duration_ns) * u128::from(*time) / 100).unwrap_or(u64::MAX),
            rate_per_s: as_f64(rate_per_s) * f64::from(*rate) / 100.0,
        };
        Self { points: parts.iter().map(point).collect() }
    }
}

/// What was typed for a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// One rate.
    Constant,
    /// Five equal steps up.
    Steps,
    /// One line up.
    Ramp,
    /// Up, long the same, down.
    Soak,
    /// Points of a file.
    File(PathBuf),
}

impl FromStr for Form {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "constant" => Ok(Self::Constant),
            "steps" => Ok(Self::Steps),
            "ramp" => Ok(Self::Ramp),
            "soak" => Ok(Self::Soak),
            path if path.contains(['/', '.']) => Ok(Self::File(PathBuf::from(path))),
            _ => Err(Error::Usage(format!(
                "{} is not constant, steps, ramp, soak or a file of points such as ./rates.toml",
                units::quote(text)
            ))),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    point: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    at: String,
    rate: String,
}

/// A mistake of TOML in one line with its number.
pub fn told(text: &str, error: &toml::de::Error) -> String {
    let start = error.span().map_or(0, |span| span.start);
    let line = text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1;
    let message: Vec<&str> = error.message().lines().map(str::trim).collect();
    format!("line {line}: {}", message.join(" "))
}

#[allow(clippy::cast_precision_loss)] // Days in ns and rates fit into 53 bits.
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn named_forms_have_their_shape() {
        let rates = |form: Form, at: &[u64]| -> Vec<f64> {
            let profile = Profile::named(&form, 1_000, 100 * S).unwrap();
            assert_eq!((profile.duration_ns(), profile.peak_per_s()), (100 * S, 1_000));
            at.iter().map(|at| profile.rate_at(at * S).round()).collect()
        };
        assert_eq!(rates(Form::Constant, &[0, 50, 100]), [1_000.0; 3]);
        assert_eq!(
            rates(Form::Steps, &[0, 19, 20, 39, 40, 79, 80, 99]),
            [200.0, 200.0, 400.0, 400.0, 600.0, 800.0, 1_000.0, 1_000.0]
        );
        assert_eq!(rates(Form::Ramp, &[0, 50, 100]), [100.0, 550.0, 1_000.0]);
        assert_eq!(rates(Form::Soak, &[0, 5, 50, 95, 100]), [100.0, 1_000.0, 1_000.0, 1_000.0, 100.0]);
        assert!(Profile::constant(7, S).is_constant());
        assert!(!Profile::named(&Form::Steps, 7, S).unwrap().is_constant());
    }

    #[test]
    fn a_file_is_lines_between_points_and_steps() {
        let text = "# a pause\n[[point]]\nat = \"0s\"\nrate = \"1k\"\n[[point]]\nat = \"2s\"\nrate = \"1k\"\n\
                    [[point]]\nat = \"2s\"\nrate = \"0\"\n[[point]]\nat = \"4s\"\nrate = \"0.5k\"\n";
        let profile = Profile::parse(text).unwrap();
        assert_eq!((profile.duration_ns(), profile.peak_per_s(), profile.points().len()), (4 * S, 1_000, 4));
        assert_eq!([0, S, 2 * S, 3 * S, 9 * S].map(|at| profile.rate_at(at)), [1e3, 1e3, 0.0, 250.0, 500.0]);
    }

    #[test]
    fn every_mistake_is_named() {
        let point = |at: &str, rate: &str| format!("[[point]]\nat = \"{at}\"\nrate = \"{rate}\"\n");
        let cases = [
            (String::new(), "at least two"),
            (point("0s", "1k"), "at least two"),
            (point("1s", "1k") + &point("2s", "1k"), "the first with at = \"0s\""),
            (point("0s", "0") + &point("2s", "0"), "every rate is 0"),
            (point("0s", "1k") + &point("2", "1k"), "point 2: at ="),
            (point("0s", "1k") + &point("2s", "fast"), "point 2: rate ="),
            (point("0s", "1k") + &point("3s", "1k") + &point("2s", "1k"), "point 3: at = \"2s\" lies before"),
            (point("0s", "1k") + "[[point]]\nat = \"1s\"\n", "line 4"),
            (point("0s", "1k") + "rat = \"1s\"\n", "line 4: unknown field `rat`"),
            ("rate over time".to_owned(), "line 1"),
        ];
        for (text, right) in cases {
            let error = Profile::parse(&text).unwrap_err();
            assert!(error.contains(right) && !error.contains('\n'), "{text:?}: {error}");
        }
    }

    #[test]
    fn words() {
        assert_eq!("soak".parse::<Form>(), Ok(Form::Soak));
        assert_eq!("./x".parse::<Form>(), Ok(Form::File("./x".into())));
        assert!("sawtooth".parse::<Form>().unwrap_err().to_string().contains("steps, ramp, soak"));
    }
}
