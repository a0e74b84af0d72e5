//! How far a run of many like steps is, and how long it will still take.
//!
//! * From the mean of the steps done so far; before the first nothing is said.

use std::time::{Duration, Instant};

/// The pace of a run.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    began: Instant,
    done: usize,
    left: usize,
}

impl Pace {
    /// So many steps from now on.
    pub fn new(steps: usize, now: Instant) -> Self {
        Self { began: now, done: 0, left: steps }
    }

    /// One step is done.
    pub fn done(&mut self) {
        self.done += 1;
        self.left = self.left.saturating_sub(1);
    }

    /// So many steps are not needed.
    pub fn skip(&mut self, steps: usize) {
        self.left = self.left.saturating_sub(steps);
    }

    /// From here on it is known how many steps are left.
    pub fn set_left(&mut self, steps: usize) {
        self.left = steps;
    }

    /// What is left, in words: `about 4 min left`.
    pub fn left(&self, now: Instant) -> String {
        let Some(mean) = u32::try_from(self.done).ok().filter(|done| *done > 0) else { return String::new() };
        let each = now.duration_since(self.began) / mean;
        let left = each.saturating_mul(u32::try_from(self.left).unwrap_or(u32::MAX));
        match left.as_secs() {
            0..=90 => format!("about {} s left", left.max(Duration::from_secs(1)).as_secs()),
            seconds => format!("about {} min left", seconds.div_ceil(60)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_follows_from_what_was_done() {
        let began = Instant::now();
        let mut pace = Pace::new(101, began);
        let after = |seconds| began + Duration::from_secs(seconds);
        assert_eq!(pace.left(after(5)), "");
        pace.done();
        assert_eq!(pace.left(after(2)), "about 4 min left");
        pace.skip(60);
        assert_eq!(pace.left(after(2)), "about 80 s left");
        pace.set_left(0);
        assert_eq!(pace.left(after(2)), "about 1 s left");
    }
}
