//! Notices that are due, and what became of each: who shall see whom come or go, since when, and how that was learned.
//!
//! * Opened when both are logged in; closed once: heard directly, heard reflected, learned from the server, void because
//!   one of the two left meanwhile, or lost.
//! * `due = direct + reflected + by_server + void + lost + open`, always.
//! * Pure: time is an argument, microseconds.

use crate::error::Error;
use hdrhistogram::Histogram;
use results::presence::NoticeCounts;
use std::collections::BTreeMap;

/// All notices of a run.
#[derive(Debug)]
pub struct Ledger {
    /// (whom it is about, who shall see it).
    open: BTreeMap<(u32, u32), Notice>,
    /// Those who came, and how many have yet to see it.
    comings: BTreeMap<u32, Coming>,
    late_us: u64,
    /// What became of those that somebody came.
    pub came: Notices,
    /// What became of those that somebody went.
    pub went: Notices,
    /// From coming until every buddy that was there knew it, ns.
    pub to_all_ns: Histogram<u64>,
}

/// How something was learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned {
    /// A datagram from host to host.
    Direct,
    /// A datagram through a reflector.
    Reflected,
    /// What the access server said, or nothing heard for too long.
    Server,
}

/// What became of notices.
#[derive(Clone, Debug)]
pub struct Notices {
    /// Numbers.
    pub counts: NoticeCounts,
    /// From due to heard, ns; those that were heard.
    pub latency_ns: Histogram<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Notice {
    online: bool,
    at_us: u64,
    /// Whether who came waits for it.
    counts: bool,
}

#[derive(Clone, Copy, Debug)]
struct Coming {
    start_us: u64,
    left: u32,
    /// When the last of those who know it learned it.
    last_us: Option<u64>,
}

impl Ledger {
    /// An empty one; what takes longer than this is late.
    ///
    /// # Errors
    /// None in practice: the ranges of its histograms are constants.
    pub fn new(late_us: u64) -> Result<Self, Error> {
        Ok(Self {
            open: BTreeMap::new(),
            comings: BTreeMap::new(),
            late_us,
            came: Notices { counts: NoticeCounts::default(), latency_ns: histogram()? },
            went: Notices { counts: NoticeCounts::default(), latency_ns: histogram()? },
            to_all_ns: histogram()?,
        })
    }

    /// Somebody who began to come at `start_us` is logged in; these buddies shall see it, and these it shall see.
    pub fn come(&mut self, who: u32, start_us: u64, (seen_by, sees): (&[u32], &[u32]), now_us: u64) {
        for other in seen_by {
            self.open((who, *other), Notice { online: true, at_us: now_us, counts: true });
        }
        for other in sees {
            self.open((*other, who), Notice { online: true, at_us: now_us, counts: false });
        }
        let left = u32::try_from(seen_by.len()).unwrap_or(u32::MAX);
        if left == 0 {
            note(&mut self.to_all_ns, now_us.saturating_sub(start_us));
        } else {
            self.comings.insert(who, Coming { start_us, left, last_us: None });
        }
    }

    /// Somebody leaves; these shall see it, and between it and its buddies nothing else is due any more.
    pub fn leave(&mut self, who: u32, (seen_by, buddies): (&[u32], &[u32]), now_us: u64) {
        self.comings.remove(&who);
        for other in buddies {
            self.close((who, *other), |counts| counts.void += 1);
            self.close((*other, who), |counts| counts.void += 1);
        }
        for other in seen_by {
            self.open((who, *other), Notice { online: false, at_us: now_us, counts: false });
        }
    }

    /// `by` has seen that `about` came or went; whether that was due.
    pub fn see(&mut self, (about, by): (u32, u32), online: bool, learned: Learned, now_us: u64) -> bool {
        let pair = (about, by);
        let Some(notice) = self.open.get(&pair).filter(|notice| notice.online == online).copied() else {
            return false;
        };
        let waited_us = now_us.saturating_sub(notice.at_us);
        let late = u64::from(waited_us > self.late_us);
        if let Some(coming) = self.comings.get_mut(&about).filter(|_| notice.counts) {
            coming.last_us = Some(now_us);
        }
        self.close(pair, |counts| {
            counts.late += late;
            match learned {
                Learned::Direct => counts.direct += 1,
                Learned::Reflected => counts.reflected += 1,
                Learned::Server => counts.by_server += 1,
            }
        });
        if learned != Learned::Server {
            note(&mut self.notices(online).latency_ns, waited_us);
        }
        true
    }

    /// How many are open.
    pub fn open_count(&self) -> usize {
        self.open.len()
    }

    /// What is open is lost; void, where a signal ended the run.
    pub fn give_up(&mut self, is_interrupted: bool) {
        self.comings.clear();
        for (_, notice) in std::mem::take(&mut self.open) {
            let counts = &mut self.notices(notice.online).counts;
            // Whoever is stopped in the midst of it has lost nothing.
            *(if is_interrupted { &mut counts.void } else { &mut counts.lost }) += 1;
        }
    }

    fn notices(&mut self, online: bool) -> &mut Notices {
        if online { &mut self.came } else { &mut self.went }
    }

    /// Opens one; an earlier one of the same two is void.
    fn open(&mut self, pair: (u32, u32), notice: Notice) {
        self.close(pair, |counts| counts.void += 1);
        self.open.insert(pair, notice);
        self.notices(notice.online).counts.due += 1;
    }

    fn close(&mut self, pair: (u32, u32), count: impl FnOnce(&mut NoticeCounts)) {
        let Some(notice) = self.open.remove(&pair) else { return };
        count(&mut self.notices(notice.online).counts);
        let Some(coming) = self.comings.get_mut(&pair.0).filter(|_| notice.counts) else { return };
        coming.left = coming.left.saturating_sub(1);
        if coming.left == 0 {
            if let Some(last_us) = coming.last_us {
                note(&mut self.to_all_ns, last_us.saturating_sub(coming.start_us));
            }
            self.comings.remove(&pair.0);
        }
    }
}

/// An empty histogram of times, ns.
///
/// # Errors
/// None in practice: its bounds are constants.
pub fn histogram() -> Result<Histogram<u64>, Error> {
    Histogram::new_with_bounds(1, LONGEST_NS, 3)
        .map_err(|error| Error::Runtime(format!("no histogram of times: {error}")))
}

/// Counts a time of microseconds.
pub fn note(histogram: &mut Histogram<u64>, time_us: u64) {
    histogram.saturating_record(time_us.saturating_mul(1_000));
}

/// Ten minutes, ns.
const LONGEST_NS: u64 = 600_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notice_ends_once_and_late_ones_are_told() {
        let mut ledger = Ledger::new(1_000).unwrap();
        ledger.come(0, 100, (&[1, 2, 3, 4], &[5]), 500);
        assert!(ledger.see((0, 1), true, Learned::Direct, 600));
        assert!(!ledger.see((0, 1), true, Learned::Direct, 601), "once");
        assert!(!ledger.see((0, 2), false, Learned::Direct, 602), "that it went was not due");
        assert!(ledger.see((0, 2), true, Learned::Reflected, 2_000));
        assert!(ledger.see((0, 3), true, Learned::Server, 2_050));
        assert_eq!(ledger.to_all_ns.len(), 0);
        ledger.leave(4, (&[], &[0]), 2_100);
        assert_eq!((ledger.to_all_ns.len(), ledger.to_all_ns.max() / 100_000), (1, 19));
        assert_eq!(ledger.open_count(), 1);
        ledger.give_up(false);
        let expected =
            NoticeCounts { due: 5, direct: 1, reflected: 1, by_server: 1, late: 2, void: 1, lost: 1 };
        assert_eq!(ledger.came.counts, expected);
        assert!(ledger.came.counts.is_conserved());
        assert_eq!(ledger.came.latency_ns.len(), 2);
    }

    #[test]
    fn who_leaves_before_it_was_seen_leaves_nothing_due_but_that_it_went() {
        let mut ledger = Ledger::new(1_000).unwrap();
        ledger.come(0, 0, (&[1, 2], &[]), 10);
        assert!(ledger.see((0, 1), true, Learned::Direct, 20));
        ledger.leave(0, (&[1], &[1, 2]), 30);
        assert!(ledger.see((0, 1), false, Learned::Reflected, 40));
        ledger.come(0, 50, (&[], &[]), 60);
        assert_eq!((ledger.came.counts.due, ledger.came.counts.direct, ledger.came.counts.void), (2, 1, 1));
        assert_eq!((ledger.went.counts.due, ledger.went.counts.reflected), (1, 1));
        assert_eq!((ledger.open_count(), ledger.to_all_ns.len()), (0, 1));
        assert!(ledger.came.counts.is_conserved() && ledger.went.counts.is_conserved());
    }
}
