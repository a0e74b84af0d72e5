//! Which counters of a session were seen: a sliding window over the newest.
//!
//! * A counter is fresh once; whatever lies before the window is not fresh.
//! * Fixed memory, no allocation.

/// The window of one session and direction.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// One more than the highest counter taken.
    end: u64,
    bits: [u64; WORDS],
}

impl Window {
    /// A window that has seen nothing.
    pub(crate) const fn new() -> Self {
        Self { end: 0, bits: [0; WORDS] }
    }

    /// Whether this counter was never taken and is not too old to know.
    pub(crate) fn is_fresh(&self, counter: u32) -> bool {
        let counter = u64::from(counter);
        if counter >= self.end {
            return true;
        }
        counter + WIDTH >= self.end
            && self.bits.get(word(counter)).is_some_and(|bits| bits & bit(counter) == 0)
    }

    /// Takes a counter, once it is authenticated; false if it was not fresh.
    pub(crate) fn take(&mut self, counter: u32) -> bool {
        if !self.is_fresh(counter) {
            return false;
        }
        let counter = u64::from(counter);
        // The window moves by clearing the places that it now uses for newer counters.
        let new = self.end..counter + 1;
        if new.end.saturating_sub(new.start) >= WIDTH {
            self.bits = [0; WORDS];
        } else {
            new.for_each(|passed| self.change(passed, |bits, bit| bits & !bit));
        }
        self.end = self.end.max(counter + 1);
        self.change(counter, |bits, bit| bits | bit);
        true
    }

    fn change(&mut self, counter: u64, change: impl Fn(u64, u64) -> u64) {
        if let Some(bits) = self.bits.get_mut(word(counter)) {
            *bits = change(*bits, bit(counter));
        }
    }
}

fn word(counter: u64) -> usize {
    usize::try_from(counter / 64 % WORDS as u64).unwrap_or(0)
}

const fn bit(counter: u64) -> u64 {
    1 << (counter % 64)
}

/// Counters that are remembered.
const WIDTH: u64 = 1024;
const WORDS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn equals_a_set_within_the_window(steps in prop::collection::vec((0_u32..4000, any::<bool>()), 1..600)) {
            let (mut window, mut seen, mut high) = (Window::new(), BTreeSet::new(), 0_u32);
            for (step, near) in steps {
                let counter = if near { high.saturating_add(step % 7).saturating_sub(3) } else { step };
                let known = u64::from(counter) + WIDTH > u64::from(high) || seen.is_empty();
                let fresh = window.take(counter);
                if known {
                    prop_assert_eq!(fresh, seen.insert(counter), "{} at {}", counter, high);
                } else if fresh {
                    // Exactly at the edge a counter may still be known.
                    prop_assert!(u64::from(counter) + WIDTH >= u64::from(high));
                    prop_assert!(seen.insert(counter));
                }
                high = high.max(counter);
            }
        }
    }

    #[test]
    fn the_last_counter_ends_it_without_overflow() {
        let mut window = Window::new();
        assert!(window.take(u32::MAX) && !window.take(u32::MAX) && window.take(u32::MAX - 1));
        assert!(!window.take(0));
    }
}
