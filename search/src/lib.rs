//! Which rate is tried next, from what became of those tried before.
//!
//! * Pure: the same history gives the same next rate.
//! * A try that others disturbed is repeated, and says nothing; disturbed again and again, the search ends.
//! * Climbs by a factor until a rate fails, then halves the gap on a logarithmic scale.
//! * What fails narrowly is tried again: a limit fails each time, a bad moment of the machine does not.
//! * Ends after a number of tries, when the gap is small, or when there is nothing lower to try.

#![forbid(unsafe_code)]

/// How to search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Search {
    /// The first rate, per second.
    pub first_per_s: u64,
    /// From one rate to the next while climbing.
    pub factor: u64,
    /// Tries in all.
    pub most_tries: usize,
    /// Tries of a rate that fails narrowly, until it counts as failed.
    pub most_failures: usize,
    /// What part of a rate that passed is a small gap to one that failed: 8 is one eighth.
    pub small_gap: u64,
}

/// One rate that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Offered, per second.
    pub rate_per_s: u64,
    /// What the generator managed of it, per second.
    pub achieved_per_s: u64,
    /// What came out of the subject, per second.
    pub delivered_per_s: u64,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Relayed within the loss allowed, in a valid run.
    Passed,
    /// A valid run with more loss.
    Lost,
    /// The generator was not able to.
    Invalid,
    /// Other programs took the cores: says nothing about this rate.
    Disturbed,
}

impl Verdict {
    /// Whether its figures may be believed.
    pub fn is_believed(self) -> bool {
        matches!(self, Self::Passed | Self::Lost)
    }

    /// It in a word or two.
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "relayed",
            Self::Lost => "too lossy",
            Self::Invalid => "not valid",
            Self::Disturbed => "disturbed",
        }
    }

    /// Whether it says that the rate is too high.
    fn is_failure(self) -> bool {
        matches!(self, Self::Lost | Self::Invalid)
    }
}

/// Between which rates the limit lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bracket {
    /// The highest rate that passed, below the lowest that failed for good.
    pub passed: Option<u64>,
    /// The lowest rate that failed and did not pass when tried again, with its last verdict.
    pub failed: Option<Tried>,
}

impl Tried {
    /// Whether the generator, which managed a higher rate another time, was only held up at this one: not every time.
    fn was_held_up(self, tried: &[Self]) -> bool {
        let here = tried.iter().filter(|each| each.rate_per_s == self.rate_per_s).count();
        let managed = tried.iter().any(|each| each.achieved_per_s > self.rate_per_s);
        self.verdict == Verdict::Invalid && managed && here < MOST_DISTURBED
    }

    /// Whether it failed by so much that a second try would change nothing.
    fn fails_by_far(self, tried: &[Self]) -> bool {
        match self.verdict {
            Verdict::Invalid => self.achieved_per_s < self.rate_per_s / 5 * 4 && !self.was_held_up(tried),
            Verdict::Lost => self.delivered_per_s < self.achieved_per_s / 4 * 3,
            Verdict::Passed | Verdict::Disturbed => false,
        }
    }
}

impl Search {
    /// The next rate to try; `None` at the end.
    pub fn next(&self, tried: &[Tried]) -> Option<u64> {
        if tried.len() >= self.most_tries {
            return None;
        }
        let Some(last) = tried.last() else { return Some(self.first_per_s) };
        if last.verdict == Verdict::Disturbed {
            let in_a_row = tried.iter().rev().take_while(|each| each.verdict == Verdict::Disturbed).count();
            return (in_a_row < MOST_DISTURBED).then_some(last.rate_per_s);
        }
        let failures = tried
            .iter()
            .filter(|each| each.rate_per_s == last.rate_per_s && each.verdict.is_failure())
            .count();
        if last.verdict.is_failure() && failures < self.most_failures && !last.fails_by_far(tried) {
            return Some(last.rate_per_s);
        }
        match bracket(tried) {
            Bracket { passed: None, failed: None } => Some(self.first_per_s),
            Bracket { passed: Some(passed), failed: None } => Some(passed.saturating_mul(self.factor)),
            Bracket { passed: None, failed: Some(failed) } => {
                let lower = failed.rate_per_s / self.factor.saturating_mul(self.factor).max(2);
                (lower >= LOWEST_PER_S).then_some(lower)
            }
            Bracket { passed: Some(passed), failed: Some(failed) } => {
                // Beyond what the generator managed there is nothing to find.
                let ceiling = match failed.verdict {
                    Verdict::Invalid => failed.achieved_per_s.min(failed.rate_per_s),
                    _ => failed.rate_per_s,
                };
                let gap = ceiling.saturating_sub(passed);
                (gap > passed / self.small_gap.max(1)).then(|| between(passed, ceiling))
            }
        }
    }
}

/// Between which rates the limit lies.
pub fn bracket(tried: &[Tried]) -> Bracket {
    let rates = |verdict_fits: fn(Verdict) -> bool| {
        tried.iter().filter(move |each| verdict_fits(each.verdict)).map(|each| each.rate_per_s)
    };
    let has_passed = |rate: u64| rates(|verdict| verdict == Verdict::Passed).any(|passed| passed == rate);
    let is_refuted = |each: &Tried| has_passed(each.rate_per_s) || each.was_held_up(tried);
    let fails = |each: &&Tried| each.verdict.is_failure() && !is_refuted(each);
    let lowest = tried.iter().filter(fails).map(|each| each.rate_per_s).min();
    let is_it = |each: &&Tried| fails(each) && Some(each.rate_per_s) == lowest;
    let failed = tried.iter().rev().find(is_it).copied();
    let below =
        rates(|verdict| verdict == Verdict::Passed).filter(|rate| lowest.is_none_or(|lowest| *rate < lowest));
    Bracket { passed: below.max(), failed }
}

/// The geometric middle, rounded to thousands where that says enough.
fn between(low: u64, high: u64) -> u64 {
    let middle = (u128::from(low) * u128::from(high)).isqrt();
    let middle = u64::try_from(middle).unwrap_or(low);
    let rounded = middle / 1_000 * 1_000;
    if rounded > low { rounded } else { middle }
}

/// A machine on which so many tries in a row are disturbed is not free.
const MOST_DISTURBED: usize = 3;
/// Lower rates say nothing about a reflector.
const LOWEST_PER_S: u64 = 500;

#[cfg(test)]
mod tests {
    use super::*;

    const SEARCH: Search =
        Search { first_per_s: 10_000, factor: 2, most_tries: 9, most_failures: 2, small_gap: 8 };

    /// Tries rates against a relay that passes up to a limit, with another verdict for the tries named.
    fn run(passes_up_to: u64, otherwise: Verdict, spoiled: &[usize], with: Verdict) -> Vec<Tried> {
        let mut tried: Vec<Tried> = Vec::new();
        while let Some(rate_per_s) = SEARCH.next(&tried) {
            let is_spoiled = spoiled.contains(&tried.len());
            let verdict = match rate_per_s <= passes_up_to {
                _ if is_spoiled => with,
                true => Verdict::Passed,
                false => otherwise,
            };
            let achieved_per_s = rate_per_s.min(GENERATOR_PER_S);
            let delivered_per_s = achieved_per_s.min(passes_up_to);
            tried.push(Tried { rate_per_s, achieved_per_s, delivered_per_s, verdict });
        }
        tried
    }

    /// What the generator of these tests manages.
    const GENERATOR_PER_S: u64 = 400_000;

    fn rates(tried: &[Tried]) -> Vec<u64> {
        tried.iter().map(|each| each.rate_per_s / 1_000).collect()
    }

    #[test]
    fn it_climbs_confirms_and_closes_in() {
        let tried = run(100_000, Verdict::Lost, &[], Verdict::Invalid);
        // 160 loses so much that it is not tried again, 113 so little that it is.
        assert_eq!(rates(&tried), [10, 20, 40, 80, 160, 113, 113, 95, 103]);
        let Bracket { passed, failed } = bracket(&tried);
        assert_eq!(passed, Some(95_000));
        assert_eq!(failed.unwrap().verdict, Verdict::Lost);
    }

    #[test]
    fn a_bad_moment_is_no_limit() {
        let tried = run(100_000, Verdict::Lost, &[1], Verdict::Invalid);
        assert_eq!(rates(&tried)[..5], [10, 20, 20, 40, 80]);
        assert_eq!(bracket(&tried).failed.unwrap().verdict, Verdict::Lost);
        // Nor is it one when it comes late.
        let tried = run(100_000, Verdict::Lost, &[7], Verdict::Lost);
        assert_eq!(rates(&tried), [10, 20, 40, 80, 160, 113, 113, 95, 95]);
        assert_eq!(bracket(&tried).passed, Some(95_000));
    }

    #[test]
    fn a_disturbed_try_is_repeated_and_says_nothing() {
        let tried = run(100_000, Verdict::Lost, &[1, 2, 5], Verdict::Disturbed);
        assert_eq!(rates(&tried), [10, 20, 20, 20, 40, 80, 80, 160, 113]);
        let Bracket { passed, failed } = bracket(&tried);
        assert_eq!((passed, failed.map(|failed| failed.rate_per_s)), (Some(80_000), Some(113_000)));
        let busy = run(100_000, Verdict::Lost, &[1, 2, 3, 4], Verdict::Disturbed);
        assert_eq!((rates(&busy), bracket(&busy).failed), (vec![10, 20, 20, 20], None));
    }

    #[test]
    fn what_the_generator_managed_higher_up_it_manages_lower_down() {
        let tried = |rate_per_s, verdict| Tried {
            rate_per_s,
            achieved_per_s: rate_per_s,
            delivered_per_s: rate_per_s,
            verdict,
        };
        let mut history = vec![
            tried(1_400_000, Verdict::Passed),
            tried(2_000_000, Verdict::Invalid),
            tried(500_000, Verdict::Invalid),
        ];
        let found = bracket(&history);
        assert_eq!((found.passed, found.failed.map(|it| it.rate_per_s)), (Some(1_400_000), Some(2_000_000)));
        // That a higher rate was lost tells as much of the generator.
        history[0] = tried(1_400_000, Verdict::Lost);
        let found = bracket(&history);
        assert_eq!((found.passed, found.failed.map(|it| it.rate_per_s)), (None, Some(1_400_000)));
        history[0] = tried(1_400_000, Verdict::Passed);
        // A loss, however, is the subject's own.
        history.push(tried(500_000, Verdict::Lost));
        let found = bracket(&history);
        assert_eq!((found.passed, found.failed.map(|it| it.rate_per_s)), (None, Some(500_000)));
    }

    #[test]
    fn it_ends_whatever_happens() {
        let hopeless = run(0, Verdict::Invalid, &[], Verdict::Lost);
        assert_eq!((rates(&hopeless), bracket(&hopeless).passed), (vec![10, 10, 2, 2, 2, 0, 0, 0], None));
        let generators = run(GENERATOR_PER_S, Verdict::Invalid, &[], Verdict::Lost);
        assert_eq!(rates(&generators), [10, 20, 40, 80, 160, 320, 640, 357]);
        let unlimited = run(u64::MAX, Verdict::Lost, &[], Verdict::Lost);
        assert_eq!((unlimited.len(), bracket(&unlimited).failed), (9, None));
        assert_eq!(bracket(&[]), Bracket { passed: None, failed: None });
        assert_eq!(between(10, 11), 10);
    }
}
