//! How large a datagram one path carries: the search of RFC 8899 over a few sizes that networks have.
//!
//! * Starts at [`BASE`]; a size counts once a probe of that size was answered.
//! * A probe that is lost three times says that its size is too large; the next is half-way between. An answer that comes
//!   after all, from a peer that was held up, says that it is not.
//! * A size that was found is confirmed now and then; three losses there start the search anew.
//! * Sizes are UDP payloads, header of the reflector included.

/// The search on one path.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    /// Place of the largest size that was answered.
    good: usize,
    /// Place of the smallest that was lost, or `top`.
    bad: usize,
    /// One beyond the largest place that this family allows.
    top: usize,
    tries: u32,
    next_us: u64,
    /// When larger sizes are tried again.
    raise_us: u64,
}

impl Search {
    /// A search that has found nothing; a path over IPv6 has 20 bytes less.
    pub(crate) fn new(ipv6: bool, now_us: u64) -> Self {
        let top = if ipv6 { SIZES.len() - 1 } else { SIZES.len() };
        Self { good: 0, bad: top, top, tries: 0, next_us: now_us, raise_us: now_us + RAISE_US }
    }

    /// Bytes that the path carries, as far as is known.
    pub(crate) fn size(&self) -> usize {
        SIZES.get(self.good).copied().unwrap_or(BASE)
    }

    /// Whether there is nothing more to find.
    pub(crate) fn is_done(&self) -> bool {
        self.bad <= self.good + 1
    }

    /// When [`Search::poll`] has something to send.
    pub(crate) fn due_us(&self) -> u64 {
        self.next_us
    }

    /// The size of the probe to send now.
    pub(crate) fn poll(&mut self, now_us: u64) -> Option<usize> {
        if now_us < self.next_us {
            return None;
        }
        if self.tries >= TRIES {
            self.tries = 0;
            // A size that was confirmed before no longer holds, or a larger one does not.
            (self.good, self.bad) = if self.is_done() { (0, self.top) } else { (self.good, self.probed()) };
        }
        if self.is_done() && now_us >= self.raise_us {
            (self.bad, self.raise_us) = (self.top, now_us + RAISE_US);
        }
        if self.is_done() && self.good == 0 {
            self.next_us = self.raise_us.max(now_us + TRY_US);
            return None;
        }
        self.tries += 1;
        self.next_us = now_us + TRY_US;
        SIZES.get(if self.is_done() { self.good } else { self.probed() }).copied()
    }

    /// A probe of this size was answered.
    pub(crate) fn handle_answer(&mut self, size: usize, now_us: u64) {
        let Some(place) = SIZES.iter().position(|it| *it == size) else { return };
        if place < self.good {
            return;
        }
        if place >= self.bad {
            // What was lost above it may have been late as well.
            self.bad = self.top;
        }
        self.good = place;
        self.tries = 0;
        self.next_us = if self.is_done() { now_us + CONFIRM_US } else { now_us };
    }

    /// The place to probe: the largest first, because most networks carry it, then half-way.
    fn probed(&self) -> usize {
        if self.bad == self.top { self.bad - 1 } else { self.good.midpoint(self.bad) }
    }
}

/// What every path is taken to carry.
pub(crate) const BASE: usize = 1200;
/// UDP payloads over links of 1,280, 1,420 (WireGuard), 1,480 (a tunnel), 1,492 (PPPoE) and 1,500 bytes, over IPv6 and
/// IPv4, and what lies between.
const SIZES: [usize; 8] = [BASE, 1232, 1280, 1352, 1392, 1432, 1452, 1472];
const TRIES: u32 = 3;
const TRY_US: u64 = 300_000;
/// RFC 8899 section 5.1.1: confirmation of a size in use.
const CONFIRM_US: u64 = 30_000_000;
/// RFC 8899 section 5.1.1: PMTU_RAISE_TIMER.
const RAISE_US: u64 = 600_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a search on a path that carries `limit` bytes for `until_us`; what was found and how many were sent.
    fn run(search: &mut Search, limit: usize, now_us: &mut u64, until_us: u64) -> (usize, usize) {
        let mut sent = 0;
        while *now_us < until_us {
            if let Some(size) = search.poll(*now_us) {
                sent += 1;
                if size <= limit {
                    search.handle_answer(size, *now_us);
                }
            }
            *now_us = search.due_us().max(*now_us + 1);
        }
        (search.size(), sent)
    }

    #[test]
    fn finds_the_largest_size_that_every_limit_allows() {
        for ipv6 in [false, true] {
            for limit in 1200..1500 {
                let mut search = Search::new(ipv6, 0);
                let (found, sent) = run(&mut search, limit, &mut 0, 20_000_000);
                let highest = if ipv6 { 1452 } else { 1472 };
                let right = SIZES.iter().rev().find(|size| **size <= limit.min(highest)).unwrap();
                assert_eq!(found, *right, "{limit} {ipv6}");
                assert!(sent <= 14, "{sent} probes for {limit}");
            }
        }
    }

    #[test]
    fn an_answer_that_comes_late_counts_as_well() {
        let mut search = Search::new(false, 0);
        let mut now_us = 0;
        // Nobody answers while the peer is held up, and the search goes down.
        let (found, sent) = run(&mut search, 0, &mut now_us, 3 * 3 * TRY_US);
        assert_eq!((found, sent), (BASE, 9));
        search.handle_answer(1472, now_us);
        assert_eq!((search.size(), search.is_done()), (1472, true));
        // One of a smaller size leaves the larger ones to be tried again.
        let mut search = Search::new(false, 0);
        let mut now_us = 0;
        run(&mut search, 0, &mut now_us, 2 * 3 * TRY_US + 1);
        search.handle_answer(1352, now_us);
        assert_eq!(run(&mut search, 1472, &mut now_us, 20_000_000).0, 1472);
    }

    #[test]
    fn a_path_that_shrinks_is_noticed_and_one_that_grows_too() {
        let mut search = Search::new(false, 0);
        let mut now_us = 0;
        assert_eq!(run(&mut search, 1500, &mut now_us, 60_000_000).0, 1472);
        assert_eq!(run(&mut search, 1300, &mut now_us, 120_000_000).0, 1280);
        assert_eq!(run(&mut search, 1210, &mut now_us, 200_000_000).0, 1200);
        assert_eq!(run(&mut search, 1500, &mut now_us, 1_900_000_000).0, 1472);
    }
}
