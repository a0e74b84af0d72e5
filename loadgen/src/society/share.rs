//! What part of something took the reflector, against what the grid of NAT behaviours predicts for the mix.
//!
//! * Counted by clusters (whoever receives, or a conversation), because what one cluster does is not independent.
//! * The interval is that of a ratio of cluster totals around the predicted value, 99.9 %: one honest run in a thousand
//!   falls outside.
//! * Pure.

use results::presence::Share;
use std::collections::BTreeMap;

/// Counts by cluster.
#[derive(Clone, Debug, Default)]
pub struct ShareCount {
    /// All, and those that were reflected.
    clusters: BTreeMap<u32, (u32, u32)>,
    against_grid: u64,
}

impl ShareCount {
    /// Counts one of a cluster: whether it was reflected, and whether the grid says so.
    pub fn note(&mut self, cluster: u32, reflected: bool, predicted: bool) {
        let (all, those) = self.clusters.entry(cluster).or_default();
        *all += 1;
        *those += u32::from(reflected);
        self.against_grid += u64::from(reflected != predicted);
    }

    /// The part, judged by a prediction.
    #[allow(clippy::cast_precision_loss)] // Judged to a few digits.
    pub fn judge(&self, predicted: f64) -> Share {
        let count: u64 = self.clusters.values().map(|(all, _)| u64::from(*all)).sum();
        let reflected: u64 = self.clusters.values().map(|(_, those)| u64::from(*those)).sum();
        if count == 0 {
            return Share { predicted, ..Share::default() };
        }
        let clusters = self.clusters.len() as f64;
        let residual = |(all, those): &(u32, u32)| f64::from(*those) - predicted * f64::from(*all);
        let squares: f64 = self.clusters.values().map(|cluster| residual(cluster).powi(2)).sum();
        let correction = clusters / (clusters - 1.0).max(1.0);
        let sampling_error = QUANTILE * (correction * squares).sqrt() / count as f64;
        let measured = reflected as f64 / count as f64;
        // What is added is what arithmetic rounds.
        let agrees = (measured - predicted).abs() <= sampling_error + 1e-9;
        Share {
            count,
            reflected,
            measured,
            predicted,
            sampling_error,
            agrees,
            against_grid: self.against_grid,
        }
    }
}

/// Of the normal distribution, two-sided 99.9 %.
const QUANTILE: f64 = 3.29;

/// So many of them are this part, rounded.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A part of a u32, rounded.
pub fn share_of(endpoints: u32, part: f64) -> usize {
    (f64::from(endpoints) * part).round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn counted(part: f64, each: u32) -> ShareCount {
        let (mut random, mut count) = (Random::new(5, 1), ShareCount::default());
        for cluster in 0..1_000 {
            let reflected = random.unit() <= part;
            (0..each).for_each(|_| count.note(cluster, reflected, reflected));
        }
        count
    }

    #[test]
    fn a_sample_agrees_with_its_own_part_and_not_with_another() {
        let share = counted(0.9, 1).judge(0.9);
        // 3.29 standard deviations of a binomial of 1,000 and 0.9.
        assert!(share.agrees && (share.sampling_error - 0.031).abs() < 0.004, "{share:?}");
        assert!(!counted(0.9, 1).judge(0.8).agrees);
        assert!(!counted(0.9, 1).judge(1.0).agrees);
    }

    #[test]
    fn what_one_cluster_repeats_makes_nothing_surer() {
        let (once, often) = (counted(0.5, 1).judge(0.5), counted(0.5, 20).judge(0.5));
        assert_eq!((often.count, once.count), (20_000, 1_000));
        assert!((once.sampling_error - often.sampling_error).abs() < 1e-9);
    }

    #[test]
    fn certainties_have_no_error_and_nothing_agrees_with_nothing() {
        let share = counted(1.0, 3).judge(1.0);
        assert!(share.agrees && share.sampling_error == 0.0 && share.against_grid == 0, "{share:?}");
        assert!(!ShareCount::default().judge(0.5).agrees);
        let mut count = ShareCount::default();
        count.note(1, true, false);
        assert_eq!(count.judge(1.0).against_grid, 1);
    }
}
