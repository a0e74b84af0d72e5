//! A figure over rounds: its median, and how far the rounds lie apart.
//!
//! * A ratio is made within each round, and then the median is taken: what slows a whole round down cancels.
//! * A round without one of its two figures has no ratio.

use serde::{Deserialize, Serialize};

/// A figure over rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The middle one; of an even number, the mean of the two in the middle.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
    /// How many rounds.
    pub rounds: u32,
}

impl Spread {
    /// Of one figure a round; `None` without any.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.into_iter().filter(|figure| figure.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let at = |place: usize| sorted.get(place).copied().unwrap_or(least);
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(at(middle - 1), at(middle))
        } else {
            at(middle)
        };
        Some(Self { median, least, most, rounds: u32::try_from(sorted.len()).unwrap_or(u32::MAX) })
    }

    /// Of one figure over another, each with the number of its round.
    pub fn of_ratios(over: &[(u32, f64)], under: &[(u32, f64)]) -> Option<Self> {
        let same = |round: u32| under.iter().find(|(other, figure)| *other == round && *figure > 0.0);
        Self::of(over.iter().filter_map(|(round, figure)| Some(figure / same(*round)?.1)))
    }

    /// With every figure changed alike.
    #[must_use]
    pub fn map(&self, change: impl Fn(f64) -> f64) -> Self {
        let (a, b) = (change(self.least), change(self.most));
        Self { median: change(self.median), least: a.min(b), most: a.max(b), rounds: self.rounds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_both_ends() {
        let spread = Spread::of([3.0, 1.0, f64::NAN, 2.0]).unwrap();
        assert_eq!((spread.median, spread.least, spread.most, spread.rounds), (2.0, 1.0, 3.0, 3));
        assert_eq!(Spread::of([1.0, 2.0]).unwrap().median, 1.5);
        assert_eq!(Spread::of([]), None);
        let turned = spread.map(|figure| 6.0 / figure);
        assert_eq!((turned.median, turned.least, turned.most), (3.0, 2.0, 6.0));
    }

    #[test]
    fn ratios_are_made_within_rounds() {
        // The machine is twice as slow in round 2; the ratio does not notice.
        let (over, under) =
            ([(1, 2.0), (2, 4.0), (3, 2.0), (4, 9.0)], [(1, 1.0), (2, 2.0), (3, 1.0), (5, 1.0)]);
        let ratio = Spread::of_ratios(&over, &under).unwrap();
        assert_eq!((ratio.median, ratio.least, ratio.most, ratio.rounds), (2.0, 2.0, 2.0, 3));
        assert_eq!(Spread::of_ratios(&over, &[(1, 0.0)]), None);
    }
}
