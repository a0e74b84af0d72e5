//! What arrived of one pair's numbered datagrams: new, late, or seen before.
//!
//! ```text
//!   window   | next-64 ... next-1 |      one bit each: seen?
//!                                  next: one above the highest number seen
//! ```
//!
//! * 16 bytes a pair; nothing is counted twice as new.
//! * Only what falls behind the window is undecided, and says so.

/// The numbers seen of one pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tracker {
    seen: u64,
    next: u64,
}

impl Tracker {
    /// Notes a number and says what it is.
    #[inline]
    pub fn note(&mut self, sequence: u32) -> Sighting {
        let above = u64::from(sequence) + 1;
        if above > self.next {
            // A shift by 64 or more leaves nothing.
            let ahead = above - self.next;
            self.seen = if ahead < WINDOW { self.seen << ahead } else { 0 } | 1;
            self.next = above;
            return Sighting::New;
        }
        let behind = self.next - above;
        if behind >= WINDOW {
            return Sighting::Stale;
        }
        let bit = 1 << behind;
        if self.seen & bit != 0 {
            return Sighting::Duplicate;
        }
        self.seen |= bit;
        Sighting::Reordered
    }
}

/// What an arrival is to its pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// The highest number so far.
    New,
    /// New, but a higher number came before it.
    Reordered,
    /// Seen before.
    Duplicate,
    /// Too far behind to tell.
    Stale,
}

const WINDOW: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn naive(seen: &mut BTreeSet<u32>, sequence: u32) -> Sighting {
        let highest = seen.last().copied();
        let sighting = match highest {
            Some(highest) if sequence + 64 <= highest => Sighting::Stale,
            Some(_) if seen.contains(&sequence) => Sighting::Duplicate,
            Some(highest) if sequence < highest => Sighting::Reordered,
            _ => Sighting::New,
        };
        if sighting != Sighting::Stale {
            seen.insert(sequence);
        }
        sighting
    }

    proptest! {
        #[test]
        fn equal_to_a_set_of_all_numbers(
            steps in proptest::collection::vec((0_u32..200, any::<bool>()), 1..400),
        ) {
            let (mut tracker, mut seen) = (Tracker::default(), BTreeSet::new());
            let mut base = 0;
            for (step, jump) in steps {
                base += if jump { step } else { 1 };
                let sequence = if jump { base } else { base.saturating_sub(step) };
                prop_assert_eq!(tracker.note(sequence), naive(&mut seen, sequence), "{}", sequence);
            }
        }
    }

    #[test]
    fn edges_of_the_window() {
        let mut tracker = Tracker::default();
        assert_eq!(tracker.note(63), Sighting::New);
        assert_eq!(tracker.note(0), Sighting::Reordered);
        assert_eq!(tracker.note(0), Sighting::Duplicate);
        assert_eq!(tracker.note(64), Sighting::New);
        assert_eq!(tracker.note(0), Sighting::Stale);
        assert_eq!(tracker.note(u32::MAX), Sighting::New);
        assert_eq!(tracker.note(u32::MAX), Sighting::Duplicate);
        assert!(size_of::<Tracker>() <= 16);
    }
}
