//! From even time to the time of a profile: what would leave at one highest rate leaves as the rate over time says.
//!
//! ```text
//!   even time   | | | | | | | | |     one rate, the highest
//!   real time   |   |  |  | | |||     the same datagrams, under the curve of the profile
//! ```
//!
//! * Exact for straight lines: a quadratic a segment, solved forward only; Poisson arrivals stay Poisson.
//! * Time within the present segment, so that a day loses no nanosecond.
//! * Pure.

#![deny(clippy::disallowed_types)]

use crate::load::shape::profile::Profile;

/// Forward in time through one profile.
#[derive(Clone, Debug)]
pub struct Warp {
    segments: Vec<Segment>,
    place: usize,
    start_ns: u64,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    /// From the start of the run, ns: real and even.
    real_ns: f64,
    even_ns: f64,
    /// The part of the highest rate at the start, and what it gains each ns.
    part: f64,
    slope: f64,
    /// Even time that it takes, ns.
    length_ns: f64,
}

impl Warp {
    /// For a run that starts at `start_ns` and warms up at the first rate; `None` if the rate never changes.
    #[allow(clippy::cast_precision_loss)] // Two days in ns fit into 53 bits.
    pub fn new(profile: &Profile, start_ns: u64, warmup_ns: u64) -> Option<Self> {
        if profile.is_constant() {
            return None;
        }
        let peak = profile.peak_per_s().max(1) as f64;
        let warm = profile.points().first().map(|first| (0.0, first.rate_per_s));
        let moved = |at_ns: u64| warmup_ns.saturating_add(at_ns) as f64;
        let ends = warm
            .into_iter()
            .chain(profile.points().iter().map(|point| (moved(point.at_ns), point.rate_per_s)));
        let ends: Vec<(f64, f64)> = ends.collect();
        let (mut even_ns, mut segments) = (0.0, Vec::with_capacity(ends.len()));
        for pair in ends.windows(2) {
            let [(from_ns, from), (to_ns, to)] = pair else { continue };
            let (lasts_ns, part) = (to_ns - from_ns, from / peak);
            if lasts_ns > 0.0 {
                let length_ns = lasts_ns * (from + to) / (2.0 * peak);
                let slope = (to - from) / peak / lasts_ns;
                segments.push(Segment { real_ns: *from_ns, even_ns, part, slope, length_ns });
                even_ns += length_ns;
            }
        }
        Some(Self { segments, place: 0, start_ns })
    }

    /// When a datagram of this even time leaves, ns; never beyond the end. Even times may not go back.
    #[inline]
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn real_ns(&mut self, even_ns: u64) -> u64 {
        if even_ns == u64::MAX {
            return u64::MAX;
        }
        let even_ns = even_ns.saturating_sub(self.start_ns) as f64;
        loop {
            let Some(segment) = self.segments.get(self.place) else { return u64::MAX };
            let ahead_ns = even_ns - segment.even_ns;
            if ahead_ns < segment.length_ns {
                let root = (segment.part * segment.part + 2.0 * segment.slope * ahead_ns).max(0.0).sqrt();
                let within_ns = if ahead_ns > 0.0 { 2.0 * ahead_ns / (segment.part + root) } else { 0.0 };
                return self.start_ns.saturating_add((segment.real_ns + within_ns) as u64);
            }
            self.place += 1;
        }
    }

    /// The even time between two real ones, ns.
    #[allow(clippy::cast_precision_loss)] // Two days in ns fit into 53 bits.
    pub fn span_ns(&self, from_ns: u64, to_ns: u64) -> f64 {
        let even_ns = |real_ns: u64| self.even_ns(real_ns.saturating_sub(self.start_ns) as f64);
        (even_ns(to_ns) - even_ns(from_ns)).max(0.0)
    }

    /// The even time at a real one, both from the start of the run, ns: what lies under the curve until then.
    fn even_ns(&self, real_ns: f64) -> f64 {
        let reached = |segment: &&Segment| segment.real_ns <= real_ns;
        let Some(segment) = self.segments.iter().take_while(reached).last() else { return 0.0 };
        let ahead_ns = real_ns - segment.real_ns;
        let length_ns = segment.part * ahead_ns + segment.slope * ahead_ns * ahead_ns / 2.0;
        segment.even_ns + length_ns.min(segment.length_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::shape::profile::Form;

    const S: u64 = 1_000_000_000;

    /// Datagrams of a profile of 1,000 a second at its highest, in each of ten parts of the time.
    fn counts(form: &Form, warmup_ns: u64) -> Vec<u64> {
        let profile = Profile::named(form, 1_000, 100 * S).unwrap();
        let mut warp = Warp::new(&profile, 7, warmup_ns).unwrap();
        let mut counts = vec![0; 10];
        let mut last_ns = 0;
        for number in 0.. {
            let real_ns = warp.real_ns(7 + number * 1_000_000);
            assert!(real_ns >= last_ns, "{real_ns} after {last_ns}");
            last_ns = real_ns;
            if real_ns == u64::MAX {
                return counts;
            }
            if let Some(at_ns) = (real_ns - 7).checked_sub(warmup_ns) {
                counts[usize::try_from(at_ns / (10 * S)).unwrap()] += 1;
            }
        }
        counts
    }

    #[test]
    fn as_many_leave_as_lie_under_the_curve() {
        for warmup_ns in [0, 2 * S] {
            let steps = counts(&Form::Steps, warmup_ns);
            for (part, count) in steps.iter().enumerate() {
                let exact = 2_000 * (part as u64 / 2 + 1);
                assert!(count.abs_diff(exact) <= 1, "{steps:?}");
            }
            let ramp = counts(&Form::Ramp, warmup_ns);
            for (part, count) in ramp.iter().enumerate() {
                // 10 to 100 %: the middle of part k is at 14.5 + 9 k percent.
                let exact = 1_450 + 900 * part as u64;
                assert!(count.abs_diff(exact) <= 1, "{ramp:?}");
            }
            let soak = counts(&Form::Soak, warmup_ns);
            assert!(soak[1..9].iter().all(|count| count.abs_diff(10_000) <= 1), "{soak:?}");
            assert!(soak[0].abs_diff(7_750) <= 1 && soak[9].abs_diff(7_750) <= 1, "{soak:?}");
        }
    }

    #[test]
    fn there_and_back_is_the_same_time() {
        for form in [Form::Steps, Form::Ramp, Form::Soak] {
            let mut warp = Warp::new(&Profile::named(&form, 1_000, 100 * S).unwrap(), 7, 2 * S).unwrap();
            for even_ns in (0..20).map(|number| number * S) {
                let real_ns = warp.real_ns(7 + even_ns) - 7;
                let back_ns = warp.even_ns(real_ns as f64);
                assert!((back_ns - even_ns as f64).abs() < 2.0, "{even_ns} {real_ns} {back_ns}");
            }
        }
    }

    #[test]
    fn a_pause_sends_nothing_and_a_rate_that_never_changes_needs_no_warp() {
        let point = |at: &str, rate: &str| format!("[[point]]\nat = \"{at}\"\nrate = \"{rate}\"\n");
        let text = [point("0s", "1k"), point("1s", "1k"), point("1s", "0"), point("3s", "0")].concat();
        let text = text + &point("3s", "1k") + &point("4s", "1k");
        let mut warp = Warp::new(&Profile::parse(&text).unwrap(), 0, 0).unwrap();
        assert_eq!(warp.real_ns(999_000_000), 999_000_000);
        assert_eq!(warp.real_ns(S), 3 * S);
        assert_eq!(warp.real_ns(S + S / 2), 3 * S + S / 2);
        assert_eq!((warp.real_ns(2 * S), warp.real_ns(u64::MAX)), (u64::MAX, u64::MAX));
        assert!(Warp::new(&Profile::constant(5, S), 0, 0).is_none());
    }
}
