//! One kind of flows at one worker: its pairs, its times, and whose turn it is.
//!
//! * Evenly spaced flows take turns, so that each has its own even pace; with Poisson arrivals the sender is drawn.
//! * A sender that has left passes its turn on; who searches for long finds nobody.

#![deny(clippy::disallowed_types)]

use crate::load::shape::payload::Sizes;
use crate::load::shape::schedule::Schedule;
use crate::random::Random;
use std::ops::Range;

/// The pairs of a kind, `first..first + count` of those that the worker sends.
#[derive(Debug)]
pub struct Stream {
    first: u32,
    count: u32,
    /// From `first`.
    cursor: u32,
    schedule: Schedule,
    /// Datagrams still to send at the present intended time.
    left: u32,
    is_drawn: bool,
    sizes: Sizes,
}

impl Stream {
    /// Datagrams of these sizes for the worker's pairs `pairs`, at the times of the schedule.
    pub fn new(pairs: Range<u32>, schedule: Schedule, sizes: Sizes) -> Self {
        let (first, count) = (pairs.start, pairs.end.saturating_sub(pairs.start));
        let (left, is_drawn) = (schedule.burst(), schedule.is_random());
        Self { first, count, cursor: 0, schedule, left, is_drawn, sizes }
    }

    /// The next intended time, ns; never without pairs.
    #[inline]
    pub fn next_ns(&self) -> u64 {
        self.schedule.next_ns()
    }

    /// The pair whose turn it is, by its place among all that the worker sends, the first for which `is_there`.
    #[inline]
    pub fn pair(&mut self, is_there: impl Fn(usize) -> bool) -> Option<usize> {
        for _ in 0..self.count.min(MOST_LOOKS) {
            let place = (self.first + self.cursor) as usize;
            if is_there(place) {
                return Some(place);
            }
            self.turn();
        }
        None
    }

    /// Bytes of the next datagram's payload.
    #[inline]
    pub fn size(&self, random: &mut Random) -> usize {
        self.sizes.draw(random)
    }

    /// Goes on to the next datagram: of the train, or of the next intended time and pair.
    #[inline]
    pub fn step(&mut self, random: &mut Random) {
        self.left = self.left.saturating_sub(1);
        if self.left > 0 {
            return;
        }
        self.left = self.schedule.burst();
        self.schedule.advance();
        if self.is_drawn {
            self.cursor = random.below(self.count);
        } else {
            self.turn();
        }
    }

    /// Gives up what is left before `end_ns`; how many datagrams from `from_ns` on.
    ///
    /// Counted one by one up to a million, and what is beyond by the pace: a rate far out of reach leaves more than there is
    /// time to count.
    pub fn give_up(&mut self, from_ns: u64, end_ns: u64, random: &mut Random) -> u64 {
        let mut given_up = 0;
        for _ in 0..MOST_COUNTED {
            let next_ns = self.next_ns();
            if next_ns >= end_ns {
                return given_up;
            }
            given_up += u64::from(next_ns >= from_ns);
            self.step(random);
        }
        let rest = self.schedule.about_between(self.next_ns().max(from_ns), end_ns);
        given_up + rest.saturating_mul(u64::from(self.schedule.burst()))
    }

    #[inline]
    fn turn(&mut self) {
        self.cursor = if self.cursor + 1 < self.count { self.cursor + 1 } else { 0 };
    }
}

/// Datagrams given up that are counted one by one.
const MOST_COUNTED: u32 = 1_000_000;
/// Pairs looked at for one that may send.
const MOST_LOOKS: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::shape::payload::Payload;
    use crate::load::shape::schedule::{Arrivals, Pace, Share};

    fn stream(arrivals: Arrivals, train: u32) -> Stream {
        let pace = Pace { arrivals, rate_per_s: 1_000, train };
        let share = Share { worker: 0, part: 3, whole: 3 };
        let sizes = Payload::fixed(100).kinds.remove(0).sizes;
        Stream::new(10..13, Schedule::new(pace, share, 0, None, Random::new(1, 1)), sizes)
    }

    #[test]
    fn pairs_take_turns_and_trains_stay_together() {
        let (mut stream, mut random) = (stream(Arrivals::Uniform, 2), Random::new(2, 2));
        let mut seen = Vec::new();
        for _ in 0..8 {
            seen.push((stream.next_ns() / 1_000_000, stream.pair(|_| true).unwrap()));
            stream.step(&mut random);
        }
        assert_eq!(seen, [(0, 10), (0, 10), (2, 11), (2, 11), (4, 12), (4, 12), (6, 10), (6, 10)]);
        assert_eq!(stream.size(&mut random), 100);
    }

    #[test]
    fn a_turn_is_passed_on_and_nobody_is_nobody() {
        let (mut stream, mut random) = (stream(Arrivals::Uniform, 1), Random::new(2, 2));
        let mut seen = Vec::new();
        for _ in 0..4 {
            seen.push(stream.pair(|place| place != 11).unwrap());
            stream.step(&mut random);
        }
        assert_eq!(seen, [10, 12, 10, 12]);
        assert_eq!(stream.pair(|_| false), None);
    }

    #[test]
    fn what_is_given_up_is_counted_however_much_it_is() {
        let (second_ns, mut random) = (1_000_000_000, Random::new(2, 2));
        // 1,000 a second: some are counted, ten million mostly follow from the pace.
        assert_eq!(stream(Arrivals::Uniform, 2).give_up(second_ns, 3 * second_ns, &mut random), 2_000);
        let many = stream(Arrivals::Uniform, 2).give_up(0, 10_000 * second_ns, &mut random);
        assert!(many.abs_diff(10_000_000) <= 2, "{many}");
        let drawn = stream(Arrivals::Poisson, 1).give_up(0, 10_000 * second_ns, &mut random);
        // The million that is counted took its own time.
        assert!(drawn.abs_diff(10_000_000) < 10_000, "{drawn}");
    }

    #[test]
    fn poisson_senders_are_drawn() {
        let (mut stream, mut random) = (stream(Arrivals::Poisson, 1), Random::new(2, 2));
        let mut counts = [0_u32; 3];
        for _ in 0..3_000 {
            counts[stream.pair(|_| true).unwrap() - 10] += 1;
            stream.step(&mut random);
        }
        // Five standard deviations of a binomial of 3,000 and a third are 129.
        assert!(counts.iter().all(|count| count.abs_diff(1_000) < 129), "{counts:?}");
    }
}
