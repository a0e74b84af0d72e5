//! Endpoints that leave and come back: who is drawn when, at one worker.
//!
//! ```text
//!   leave: every STAY / endpoints on the average, somebody drawn at random; if present, it leaves
//!   come:  every AWAY / endpoints on the average, somebody drawn at random; if away, it comes back
//! ```
//!
//! * So every stay is exponential with mean STAY and every absence with mean AWAY, and nothing is kept of anybody.
//! * Open loop: what happens on the network moves no time.
//! * Pure.

#![deny(clippy::disallowed_types)]

use crate::error::Error;
use crate::random::Random;
use crate::units;
use std::fmt;
use std::str::FromStr;

/// How long endpoints stay, and how long they are away, on the average, ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Churn {
    /// Present.
    pub stay_ns: u64,
    /// Away.
    pub away_ns: u64,
}

impl FromStr for Churn {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let times = text.split_once('/').and_then(|(stay, away)| {
            let (stay_ns, away_ns) = (units::duration_ns(stay).ok()?, units::duration_ns(away).ok()?);
            (stay_ns >= LEAST_NS && away_ns >= LEAST_NS).then_some(Self { stay_ns, away_ns })
        });
        times.ok_or_else(|| {
            let shown = units::quote(text);
            Error::Usage(format!("{shown} is not STAY/AWAY such as 60s/10s, at least 10ms each"))
        })
    }
}

impl fmt::Display for Churn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms/{}ms", self.stay_ns / 1_000_000, self.away_ns / 1_000_000)
    }
}

/// Who may leave or come back next.
#[derive(Clone, Debug)]
pub struct Draws {
    next_ns: u64,
    mean_ns: f64,
    endpoints: u32,
    random: Random,
}

impl Draws {
    /// Of so many endpoints, each once in `each_ns` on the average; never without an `each_ns`.
    #[allow(clippy::cast_precision_loss)] // A mean.
    pub fn new(each_ns: Option<u64>, endpoints: usize, start_ns: u64, random: Random) -> Self {
        let endpoints = u32::try_from(endpoints).unwrap_or(u32::MAX);
        let mean_ns = each_ns.unwrap_or(0) as f64 / f64::from(endpoints.max(1));
        let mut draws = Self { next_ns: start_ns, mean_ns, endpoints, random };
        if each_ns.is_none() || endpoints == 0 {
            draws.next_ns = u64::MAX;
        } else {
            draws.advance();
        }
        draws
    }

    /// When somebody is drawn next, ns.
    #[inline]
    pub fn next_ns(&self) -> u64 {
        self.next_ns
    }

    /// Who is drawn, if it is time; by number at the worker.
    #[inline]
    pub fn due(&mut self, now_ns: u64) -> Option<u32> {
        if self.next_ns > now_ns {
            return None;
        }
        self.advance();
        Some(self.random.below(self.endpoints))
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Positive, and saturating.
    fn advance(&mut self) {
        let gap_ns = (-self.random.unit().ln() * self.mean_ns) as u64;
        self.next_ns = self.next_ns.saturating_add(gap_ns.max(1));
    }
}

const LEAST_NS: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_and_absences_have_their_means() {
        const S: u64 = 1_000_000_000;
        let count = 1_000;
        let mut leave = Draws::new(Some(6 * S), count, 0, Random::new(1, 1));
        let mut come = Draws::new(Some(2 * S), count, 0, Random::new(1, 2));
        let mut present = vec![true; count];
        let (mut away, mut looks, mut left) = (0_u64, 0_u64, 0_u64);
        for tick in 0..60_000_u64 {
            let now_ns = tick * S / 1_000;
            while let Some(place) = leave.due(now_ns) {
                left += u64::from(std::mem::replace(&mut present[place as usize], false));
            }
            while let Some(place) = come.due(now_ns) {
                present[place as usize] = true;
            }
            if tick > 20_000 && tick % 100 == 0 {
                away += present.iter().filter(|present| !**present).count() as u64;
                looks += count as u64;
            }
        }
        let part = away as f64 / looks as f64;
        assert!((part - 0.25).abs() < 0.02, "{part}");
        // Three quarters of 1,000 leave once in 6 s, for a minute: 7,500, and somewhat more while all are present.
        assert!((7_200..8_200).contains(&left), "{left}");
    }

    #[test]
    fn nobody_leaves_without_churn() {
        assert_eq!(Draws::new(None, 10, 0, Random::new(0, 0)).due(u64::MAX - 1), None);
        assert_eq!(Draws::new(Some(1), 0, 0, Random::new(0, 0)).due(u64::MAX - 1), None);
    }

    #[test]
    fn forms() {
        let churn: Churn = "60s/1.5s".parse().unwrap();
        assert_eq!((churn.stay_ns, churn.away_ns), (60_000_000_000, 1_500_000_000));
        assert_eq!(churn.to_string().parse::<Churn>(), Ok(churn));
        for text in ["", "60s", "60s/", "60/10", "60s/0", "1ms/1s"] {
            assert!(text.parse::<Churn>().unwrap_err().to_string().contains("60s/10s"), "{text}");
        }
    }
}
