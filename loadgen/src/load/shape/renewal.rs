//! When the heads of a long run are minted anew, and how many at a time.
//!
//! ```text
//!   minted ------ 120 s ------ written, some at every look ... all in force by half of their time ------ ...
//! ```
//!
//! * A reflector renews what has less than half of its time left; it never has to.
//! * All heads change at once, when the last one is written: until then the old ones hold.
//! * Pure: time comes in.

use std::ops::Range;

/// The heads of a run, by number.
#[derive(Clone, Debug)]
pub struct Renewal {
    heads: u32,
    /// Unix seconds after which those in force prove nothing.
    expires_s: u32,
    /// The next to write, and until when it proves something; `None` between two rounds.
    writing: Option<(u32, u32)>,
}

impl Renewal {
    /// So many heads, all in force until `expires_s`.
    pub fn new(heads: u32, expires_s: u32) -> Self {
        Self { heads, expires_s, writing: None }
    }

    /// The heads to write now, if any.
    pub fn due(&mut self, now_s: u32) -> Option<Batch> {
        let (first, expires_s) = match self.writing {
            Some(writing) => writing,
            None if self.expires_s.saturating_sub(now_s) > LIFETIME_S / 2 + LEAD_S => return None,
            None => (0, expiry(now_s)),
        };
        let end = first.saturating_add(AT_ONCE).min(self.heads);
        let last = end == self.heads;
        self.writing = (!last).then_some((end, expires_s));
        if last {
            self.expires_s = expires_s;
        }
        Some(Batch { heads: first..end, expires_s, last })
    }
}

/// Heads to be written at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Their numbers.
    pub heads: Range<u32>,
    /// Unix seconds after which they prove nothing.
    pub expires_s: u32,
    /// Whether these were all that were missing, so that they can come into force.
    pub last: bool,
}

/// Until when a head proves something that is minted now, unix seconds.
pub fn expiry(now_s: u32) -> u32 {
    now_s.saturating_add(LIFETIME_S)
}

/// Seconds that a capability is minted for, as the socket generator does.
pub const LIFETIME_S: u32 = 300;
/// Seconds before half of the time within which all are written: a million, at 20 looks a second, take 26.
const LEAD_S: u32 = 30;
/// Heads a look: about 1 ms of work, of 50.
const AT_ONCE: u32 = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_heads_are_in_force_by_half_of_their_time_and_only_then_again() {
        let start_s = 1_700_000_000;
        let heads = 1 << 20;
        let mut renewal = Renewal::new(heads, expiry(start_s));
        let (mut in_force, mut next, mut rounds) = (expiry(start_s), 0, 0);
        // Twenty looks a second for twenty minutes.
        for look in 0..20 * 1_200 {
            let now_s = start_s + look / 20;
            if let Some(batch) = renewal.due(now_s) {
                assert!(batch.heads.start == next && batch.heads.len() <= AT_ONCE as usize);
                next = batch.heads.end;
                if batch.last {
                    assert_eq!(next, heads);
                    (in_force, next, rounds) = (batch.expires_s, 0, rounds + 1);
                }
            }
            assert!(in_force - now_s >= LIFETIME_S / 2, "{} s left", in_force - now_s);
        }
        assert!((8..=10).contains(&rounds), "{rounds}");
    }

    #[test]
    fn a_short_run_renews_nothing_and_few_heads_are_one_batch() {
        let mut renewal = Renewal::new(10, expiry(1_000));
        assert!((1_000..1_120).all(|now_s| renewal.due(now_s).is_none()));
        assert_eq!(renewal.due(1_120), Some(Batch { heads: 0..10, expires_s: 1_420, last: true }));
        assert_eq!(renewal.due(1_121), None);
    }
}
