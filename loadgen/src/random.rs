//! Randomness that repeats: SplitMix64, one stream for each purpose.
//!
//! * The same seed gives the same run; two purposes of one seed share nothing.
//! * Fast and statistically sound; nothing here is a secret.
//!
//! Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The stream of a seed for one purpose and one worker, say.
    pub fn new(seed: u64, purpose: u64) -> Self {
        Self { state: finalise(seed ^ finalise(purpose)) }
    }

    /// The next 64 bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        finalise(self.state)
    }

    /// A number below `bound`, uniformly up to one part in 2^32; 0 for a bound of 0.
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // The upper half of a product of 32-bit numbers.
    pub fn below(&mut self, bound: u32) -> u32 {
        let product = (self.next_u64() >> 32) * u64::from(bound);
        (product >> 32) as u32
    }

    /// Uniform in (0, 1], never 0, so that its logarithm exists.
    #[inline]
    #[allow(clippy::cast_precision_loss)] // 53 bits fit.
    pub fn unit(&mut self) -> f64 {
        ((self.next_u64() >> 11) + 1) as f64 / 9_007_199_254_740_992.0
    }

    /// Shuffles in place (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for index in (1..items.len()).rev() {
            let bound = u32::try_from(index + 1).unwrap_or(u32::MAX);
            items.swap(index, self.below(bound) as usize);
        }
    }
}

/// The finaliser of SplitMix64: every bit of the input moves every bit of the output.
#[inline]
pub fn finalise(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_to_the_published_sequence() {
        // The first outputs of SplitMix64 from state 1234567, as its authors' test programs print them.
        let mut random = Random { state: 1_234_567 };
        let first = [random.next_u64(), random.next_u64(), random.next_u64()];
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn bounded_numbers_fill_their_range_evenly() {
        let mut random = Random::new(7, 1);
        let mut counts = [0_u32; 10];
        for _ in 0..100_000 {
            counts[random.below(10) as usize] += 1;
        }
        // Five standard deviations of a binomial of 100,000 and 0.1 are 474.
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 474), "{counts:?}");
        assert_eq!(random.below(0), 0);
        assert!((0..1000).map(|_| random.unit()).all(|unit| unit > 0.0 && unit <= 1.0));
    }

    #[test]
    fn a_shuffle_is_a_permutation_that_repeats() {
        let shuffled = |seed| {
            let mut items: Vec<u32> = (0..1000).collect();
            Random::new(seed, 0).shuffle(&mut items);
            items
        };
        assert_eq!(shuffled(1), shuffled(1));
        assert_ne!(shuffled(1), shuffled(2));
        let mut sorted = shuffled(1);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
    }
}
