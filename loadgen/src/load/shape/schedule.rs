//! When datagrams are to leave: the intended times of one worker, whatever the network does.
//!
//! * Open loop: a time depends on nothing but rate, seed and number; lateness never moves a later time.
//! * A profile bends the times of its highest rate, and nothing else.
//! * Uniform times of all workers interleave into one even comb, exact to a nanosecond without drift.
//! * Pure: no clock.

use crate::error::Error;
use crate::load::shape::warp::Warp;
use crate::random::Random;
use crate::units;
use std::fmt;
use std::str::FromStr;

/// How datagrams follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// Evenly spaced.
    Uniform,
    /// Exponential gaps, senders drawn at random: many independent sources.
    Poisson,
    /// So many datagrams of one pair at one intended time, bursts evenly spaced.
    Burst(u32),
}

impl FromStr for Arrivals {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let burst = |count: &str| {
            let count = units::count(count).ok().and_then(|count| u32::try_from(count).ok());
            count.filter(|count| (1..=MAX_BURST).contains(count)).map(Arrivals::Burst)
        };
        let arrivals = match text {
            "uniform" => Some(Self::Uniform),
            "poisson" => Some(Self::Poisson),
            _ => text.strip_prefix("burst:").and_then(burst),
        };
        arrivals.ok_or_else(|| {
            let shown = units::quote(text);
            Error::Usage(format!("{shown} is not uniform, poisson or burst:N with N from 1 to {MAX_BURST}"))
        })
    }
}

impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uniform => f.write_str("uniform"),
            Self::Poisson => f.write_str("poisson"),
            Self::Burst(count) => write!(f, "burst:{count}"),
        }
    }
}

/// The intended times of one worker.
#[derive(Clone, Debug)]
pub struct Schedule {
    next_ns: u64,
    /// The same at the highest rate throughout, where a profile bends it.
    even_ns: u64,
    warp: Option<Warp>,
    gaps: Gaps,
    burst: u32,
}

/// How a kind of flows is paced, all workers together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How datagrams, or trains of them, follow each other.
    pub arrivals: Arrivals,
    /// Datagrams per second, the most.
    pub rate_per_s: u64,
    /// Datagrams that leave together, where arrivals are no bursts.
    pub train: u32,
}

impl Schedule {
    /// A worker's share in a pace, from `start_ns` on.
    ///
    /// A rate of 0 counts as 1; a share of nothing never comes.
    pub fn new(pace: Pace, share: Share, start_ns: u64, warp: Option<Warp>, random: Random) -> Self {
        let Pace { arrivals, rate_per_s, train } = pace;
        let burst = if let Arrivals::Burst(count) = arrivals { count.max(1) } else { train.max(1) };
        let rate = u128::from(rate_per_s.max(1));
        let numerator = u128::from(share.whole) * u128::from(burst) * NS_PER_S;
        let denominator = (rate * u128::from(share.part)).max(1);
        let even = |whole, part| Gaps::Even(Even { whole, part, denominator, carried: 0 });
        let at = |even_ns, gaps| Self { next_ns: even_ns, even_ns, warp, gaps, burst };
        if share.part == 0 {
            return Self { warp: None, ..at(u64::MAX, even(0, 0)) };
        }
        let mut schedule = match arrivals {
            Arrivals::Uniform | Arrivals::Burst(_) => {
                let phase_ns = u128::from(share.worker) * u128::from(burst) * NS_PER_S / rate;
                let gaps = even(clamp(numerator / denominator), numerator % denominator);
                at(start_ns.saturating_add(clamp(phase_ns)), gaps)
            }
            #[allow(clippy::cast_precision_loss)] // A mean to 53 bits is exact enough.
            Arrivals::Poisson => {
                let mean_ns = numerator as f64 / denominator as f64;
                let mut gaps = Gaps::Exponential { mean_ns, fraction_ns: 0.0, random };
                let first_ns = start_ns.saturating_add(gaps.next());
                at(first_ns, gaps)
            }
        };
        schedule.bend();
        schedule
    }

    /// The next intended time, ns.
    #[inline]
    pub fn next_ns(&self) -> u64 {
        self.next_ns
    }

    /// How many datagrams leave at each intended time.
    #[inline]
    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// Whether arrivals are random.
    #[inline]
    pub fn is_random(&self) -> bool {
        matches!(self.gaps, Gaps::Exponential { .. })
    }

    /// Goes on to the time behind.
    #[inline]
    pub fn advance(&mut self) {
        self.even_ns = self.even_ns.saturating_add(self.gaps.next());
        self.bend();
    }

    /// About how many intended times lie between two times, which is exact but for one where times are even.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    pub fn about_between(&self, from_ns: u64, to_ns: u64) -> u64 {
        let mean_ns = match &self.gaps {
            Gaps::Even(even) => even.whole as f64 + even.part as f64 / even.denominator as f64,
            Gaps::Exponential { mean_ns, .. } => *mean_ns,
        };
        let span_ns = match &self.warp {
            Some(warp) => warp.span_ns(from_ns, to_ns),
            None => to_ns.saturating_sub(from_ns) as f64,
        };
        // A worker without a share has gaps of no length, and no times.
        if mean_ns > 0.0 { (span_ns / mean_ns) as u64 } else { 0 }
    }

    #[inline]
    fn bend(&mut self) {
        self.next_ns = match &mut self.warp {
            Some(warp) => warp.real_ns(self.even_ns),
            None => self.even_ns,
        };
    }
}

/// What a worker sends of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Its number, which shifts its times between those of the others.
    pub worker: u32,
    /// Its pairs.
    pub part: u64,
    /// The pairs of all workers together.
    pub whole: u64,
}

#[derive(Clone, Debug)]
enum Gaps {
    Even(Even),
    Exponential { mean_ns: f64, fraction_ns: f64, random: Random },
}

impl Gaps {
    #[inline]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    fn next(&mut self) -> u64 {
        match self {
            Self::Even(even) => even.next(),
            Self::Exponential { mean_ns, fraction_ns, random } => {
                // The fraction is carried on, so that rounding moves no mean.
                let gap_ns = *fraction_ns - random.unit().ln() * *mean_ns;
                let whole = gap_ns as u64;
                *fraction_ns = gap_ns - whole as f64;
                whole
            }
        }
    }
}

/// Gaps of `whole + part / denominator` ns on the average, each rounded so that the sum never drifts.
#[derive(Clone, Copy, Debug)]
struct Even {
    whole: u64,
    part: u128,
    denominator: u128,
    carried: u128,
}

impl Even {
    #[inline]
    fn next(&mut self) -> u64 {
        self.carried += self.part;
        if self.carried >= self.denominator {
            self.carried -= self.denominator;
            return self.whole.saturating_add(1);
        }
        self.whole
    }
}

fn clamp(ns: u128) -> u64 {
    u64::try_from(ns).unwrap_or(u64::MAX)
}

const NS_PER_S: u128 = 1_000_000_000;
const MAX_BURST: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::shape::profile::{Form, Profile};

    fn equal(worker: u32, workers: u64) -> Share {
        Share { worker, part: 7, whole: 7 * workers }
    }

    fn pace(arrivals: Arrivals, rate_per_s: u64) -> Pace {
        Pace { arrivals, rate_per_s, train: 1 }
    }

    fn times(arrivals: Arrivals, rate: u64, share: Share, count: usize) -> Vec<u64> {
        let mut schedule = Schedule::new(pace(arrivals, rate), share, 1_000, None, Random::new(3, 0));
        let next = || {
            let next = schedule.next_ns();
            schedule.advance();
            next
        };
        std::iter::repeat_with(next).take(count).collect()
    }

    #[test]
    fn uniform_times_of_all_workers_are_one_even_comb() {
        for (rate, workers) in [(3, 1), (7_000, 3), (99_991, 4), (1_000_000_000, 2)] {
            let mut all: Vec<u64> = (0..workers)
                .flat_map(|w| times(Arrivals::Uniform, rate, equal(w, workers.into()), 1000))
                .collect();
            all.sort_unstable();
            for (index, time) in all.iter().enumerate().take(3000.min(all.len())) {
                let exact = 1_000 + clamp(index as u128 * NS_PER_S / u128::from(rate));
                assert!(time.abs_diff(exact) <= 1, "rate {rate}, datagram {index}: {time}, not {exact}");
            }
        }
    }

    #[test]
    fn uniform_times_never_drift() {
        let last = times(Arrivals::Uniform, 99_991, equal(0, 1), 99_991 * 3 + 1);
        assert_eq!(last.last(), Some(&3_000_001_000));
    }

    #[test]
    fn poisson_gaps_have_the_mean_spread_and_shape_of_exponentials() {
        let times = times(Arrivals::Poisson, 50_000, equal(1, 2), 200_001);
        let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
        let count = gaps.len() as f64;
        let mean = gaps.iter().sum::<f64>() / count;
        // The mean of n exponentials has a standard deviation of mean / sqrt(n): five of them.
        assert!((mean - 40_000.0).abs() < 5.0 * 40_000.0 / count.sqrt(), "{mean}");
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / count;
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.02, "{}", variance.sqrt() / mean);
        for (multiple, above) in [(0.5, 0.606_53), (1.0, 0.367_88), (3.0, 0.049_79)] {
            let share = gaps.iter().filter(|gap| **gap > multiple * 40_000.0).count() as f64 / count;
            assert!((share - above).abs() < 0.006, "above {multiple} means: {share}");
        }
    }

    #[test]
    fn bursts_keep_the_rate() {
        let times = times(Arrivals::Burst(10), 1_000, equal(0, 1), 4);
        assert_eq!(times, [1_000, 10_001_000, 20_001_000, 30_001_000]);
        let second = |pace| Schedule::new(pace, equal(1, 2), 0, None, Random::new(0, 0));
        assert_eq!(second(pace(Arrivals::Burst(10), 1_000)).next_ns(), 10_000_000);
        let trains = second(Pace { train: 10, ..pace(Arrivals::Uniform, 1_000) });
        assert_eq!((trains.next_ns(), trains.burst()), (10_000_000, 10));
    }

    #[test]
    fn a_profile_bends_the_times_of_all_arrivals() {
        let profile = Profile::named(&Form::Ramp, 10_000, 10_000_000_000).unwrap();
        for (arrivals, slack) in [(Arrivals::Uniform, 1), (Arrivals::Poisson, 790), (Arrivals::Burst(1), 1)] {
            let warp = Warp::new(&profile, 500, 0);
            let mut schedule =
                Schedule::new(pace(arrivals, 10_000), equal(0, 1), 500, warp, Random::new(3, 0));
            let (mut first, mut second) = (0_u64, 0_u64);
            while schedule.next_ns() != u64::MAX {
                let half = if schedule.next_ns() < 5_000_000_500 { &mut first } else { &mut second };
                *half += 1;
                schedule.advance();
            }
            // The areas under 10 to 55 % and 55 to 100 %; for Poisson four standard deviations.
            assert!(first.abs_diff(16_250) <= slack && second.abs_diff(38_750) <= slack, "{first} {second}");
        }
    }

    #[test]
    fn workers_send_in_proportion_to_their_pairs() {
        let share = |part| Share { worker: 0, part, whole: 400 };
        assert_eq!(times(Arrivals::Uniform, 1_000, share(300), 4), [1_000, 1_334_333, 2_667_666, 4_001_000]);
        assert_eq!(times(Arrivals::Uniform, 1_000, share(100), 2), [1_000, 4_001_000]);
        assert_eq!(times(Arrivals::Uniform, 1_000, share(0), 1), [u64::MAX]);
        assert_eq!(times(Arrivals::Poisson, 1_000, share(0), 1), [u64::MAX]);
    }

    #[test]
    fn forms_are_read_back_and_others_refused() {
        for text in ["uniform", "poisson", "burst:16"] {
            assert_eq!(text.parse::<Arrivals>().unwrap().to_string(), text);
        }
        for text in ["", "burst", "burst:", "burst:0", "burst:1001", "burst:x", "Uniform", "poisson "] {
            assert!(text.parse::<Arrivals>().unwrap_err().to_string().contains("burst:N"), "{text}");
        }
    }
}
