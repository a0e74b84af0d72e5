//! Throughput over workers, as the Universal Scalability Law has it.
//!
//! X(N) = γN / (1 + α(N − 1) + βN(N − 1)): γ one worker's rate, α what they wait for each other, β what keeping them
//! consistent costs (N. J. Gunther, "Guerrilla Capacity Planning", 2007).
//!
//! * Fitted by least squares on the rates themselves, with α and β at least 0 (Levenberg and Marquardt).
//! * Fitted from five different worker counts on; with fewer the law would follow any points.

use serde::{Deserialize, Serialize};

/// A fitted law.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Usl {
    /// γ: one worker's rate, per second.
    pub rate_per_s: f64,
    /// α: contention.
    pub contention: f64,
    /// β: coherency.
    pub coherency: f64,
    /// R²: the part of the variance that it explains.
    pub explained: f64,
}

/// One measurement: so many workers, so many datagrams per second.
pub type Point = (f64, f64);

impl Usl {
    /// The law that lies nearest to the points; `None` with fewer than [`LEAST_POINTS`] worker counts.
    pub fn fit(points: &[Point]) -> Option<Self> {
        let mut counts: Vec<f64> = points.iter().map(|(workers, _)| *workers).collect();
        counts.sort_by(f64::total_cmp);
        counts.dedup();
        let usable = points.iter().all(|(workers, rate)| *workers >= 1.0 && *rate > 0.0);
        if counts.len() < LEAST_POINTS || !usable {
            return None;
        }
        let start = points.iter().map(|(workers, rate)| rate / workers).fold(0.0, f64::max);
        let mut law = [start, 0.01, 1e-4];
        let (mut error, mut damping) = (squares(&law, points), 1e-3);
        for _ in 0..MOST_STEPS {
            let tried = step(&law, points, damping);
            match tried.map(|tried| (tried, squares(&tried, points))) {
                Some((tried, less)) if less < error => {
                    let is_settled = error - less < error * 1e-15;
                    (law, error, damping) = (tried, less, damping / 3.0);
                    if is_settled {
                        break;
                    }
                }
                _ if damping > 1e20 => break,
                _ => damping *= 2.0,
            }
        }
        let [rate_per_s, contention, coherency] = law;
        let mean = points.iter().map(|(_, rate)| rate).sum::<f64>() / count(points);
        let all: f64 = points.iter().map(|(_, rate)| (rate - mean).powi(2)).sum();
        let explained = if all > 0.0 { 1.0 - error / all } else { 1.0 };
        Some(Self { rate_per_s, contention, coherency, explained })
    }

    /// What so many workers relay, per second.
    pub fn rate_of(&self, workers: f64) -> f64 {
        rate(&[self.rate_per_s, self.contention, self.coherency], workers)
    }

    /// The number of workers beyond which more of them relay less; `None` if there is none.
    pub fn peak_workers(&self) -> Option<f64> {
        (self.coherency > 0.0 && self.contention < 1.0)
            .then(|| ((1.0 - self.contention) / self.coherency).sqrt())
    }
}

fn rate([rate_per_s, contention, coherency]: &[f64; 3], workers: f64) -> f64 {
    rate_per_s * workers / slowness(*contention, *coherency, workers)
}

fn slowness(contention: f64, coherency: f64, workers: f64) -> f64 {
    1.0 + contention * (workers - 1.0) + coherency * workers * (workers - 1.0)
}

fn squares(law: &[f64; 3], points: &[Point]) -> f64 {
    points.iter().map(|(workers, found)| (found - rate(law, *workers)).powi(2)).sum()
}

/// One damped step of Gauss and Newton.
fn step(law: &[f64; 3], points: &[Point], damping: f64) -> Option<[f64; 3]> {
    let [rate_per_s, contention, coherency] = *law;
    let (mut normal, mut right) = ([[0.0; 3]; 3], [0.0; 3]);
    for (workers, found) in points {
        let slow = slowness(contention, coherency, *workers);
        let here = rate_per_s * workers / slow;
        let others = workers - 1.0;
        let slopes = [workers / slow, -here * others / slow, -here * workers * others / slow];
        for ((row, slope), sum) in normal.iter_mut().zip(slopes).zip(&mut right) {
            *sum += slope * (found - here);
            row.iter_mut().zip(slopes).for_each(|(cell, other)| *cell += slope * other);
        }
    }
    for (place, row) in normal.iter_mut().enumerate() {
        if let Some(diagonal) = row.get_mut(place) {
            *diagonal *= 1.0 + damping;
        }
    }
    let [a, b, c] = solved(normal, right)?;
    Some([rate_per_s + a, (contention + b).max(0.0), (coherency + c).max(0.0)])
}

/// Three equations in three unknowns, by Cramer's rule; `None` if they have no single answer.
fn solved([a, b, c]: [[f64; 3]; 3], right: [f64; 3]) -> Option<[f64; 3]> {
    let whole = determinant(a, b, c);
    // The matrix is symmetric, so that its rows are its columns.
    let answer = [determinant(right, b, c), determinant(a, right, c), determinant(a, b, right)];
    let answer = answer.map(|part| part / whole);
    answer.iter().all(|part| part.is_finite()).then_some(answer)
}

fn determinant([a, b, c]: [f64; 3], [d, e, f]: [f64; 3], [g, h, i]: [f64; 3]) -> f64 {
    a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
}

fn count(points: &[Point]) -> f64 {
    points.iter().map(|_| 1.0).sum()
}

/// Worker counts that a fit takes.
pub const LEAST_POINTS: usize = 5;
const MOST_STEPS: u32 = 5_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// SPEC SDM91 on a Sun SPARCcenter 2000, as the R package `usl` 3.0 by S. Moeding has it (data set `specsdm91`,
    /// from the results at spec.org); its README gives the coefficients.
    const SPEC_SDM91: [Point; 7] = [
        (1.0, 64.9),
        (18.0, 995.9),
        (36.0, 1_652.4),
        (72.0, 1_853.2),
        (108.0, 1_828.9),
        (144.0, 1_775.0),
        (216.0, 1_702.2),
    ];

    fn is_near(found: f64, published: f64, part: f64) -> bool {
        (found / published - 1.0).abs() < part
    }

    #[test]
    fn published_coefficients_are_found() {
        let law = Usl::fit(&SPEC_SDM91).unwrap();
        assert!(is_near(law.rate_per_s, 89.995_233, 1e-6), "{law:?}");
        assert!(is_near(law.contention, 0.027_728_5, 1e-5), "{law:?}");
        assert!(is_near(law.coherency, 0.000_104_4, 1e-3), "{law:?}");
        assert!(is_near(law.peak_workers().unwrap(), 96.5, 1e-3), "{:?}", law.peak_workers());
        assert!(law.explained > 0.98 && law.explained < 1.0);
    }

    #[test]
    fn what_follows_the_law_is_found_exactly() {
        let law = [150_000.0, 0.03, 0.0];
        let points = [1.0, 2.0, 3.0, 4.0, 6.0, 8.0].map(|workers| (workers, rate(&law, workers)));
        let found = Usl::fit(&points).unwrap();
        assert!(is_near(found.rate_per_s, 150_000.0, 1e-6) && is_near(found.contention, 0.03, 1e-4));
        assert!(found.coherency < 1e-6 && found.peak_workers().is_none_or(|peak| peak > 900.0), "{found:?}");
        assert!(is_near(found.rate_of(16.0), rate(&law, 16.0), 1e-3));
        // More than twice as fast with two workers cannot be contention below 0.
        let linear = [1.0, 2.0, 3.0, 4.0, 5.0].map(|workers| (workers, 10.0 * workers * workers));
        assert!(Usl::fit(&linear).unwrap().contention >= 0.0);
    }

    #[test]
    fn fewer_than_five_counts_are_not_fitted() {
        assert_eq!(Usl::fit(&SPEC_SDM91[..4]), None);
        let twice = [SPEC_SDM91[0], SPEC_SDM91[0], SPEC_SDM91[1], SPEC_SDM91[2], SPEC_SDM91[3]];
        assert_eq!(Usl::fit(&twice), None);
        let mut spoiled = SPEC_SDM91;
        spoiled[0].1 = 0.0;
        assert_eq!(Usl::fit(&spoiled), None);
    }
}
