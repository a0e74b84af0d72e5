//! The direct paths to one peer: candidates, which of them works, and consent to go on (RFC 7675).
//!
//! * A candidate works once a challenge sent there was answered.
//! * Consent is asked every five seconds; what does not answer within a second, or three round trips, works no longer.
//! * The first that works is kept until it does not; meanwhile the others rest.

use crate::paths::search::Search;
use std::net::SocketAddr;

/// All candidates of one peer.
#[derive(Debug, Default)]
pub(crate) struct DirectPaths {
    list: Vec<Candidate>,
    chosen: Option<SocketAddr>,
    /// Where the last direct message came from.
    heard: Option<SocketAddr>,
}

/// One transport address of the peer.
#[derive(Debug)]
struct Candidate {
    address: SocketAddr,
    origin: Origin,
    works: bool,
    answered_us: u64,
    /// When the first challenge was sent that is not answered.
    asked_us: Option<u64>,
    tries: u32,
    next_us: u64,
    rtt_us: u64,
    search: Search,
}

/// How a candidate became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The peer or its profile named it.
    Named,
    /// A message of the peer came from it.
    Heard,
}

impl DirectPaths {
    /// Adds a candidate, to be challenged at once; a known one is left as it is.
    pub(crate) fn add(&mut self, address: SocketAddr, origin: Origin, now_us: u64) {
        if let Some(known) = self.list.iter_mut().find(|it| it.address == address) {
            if origin == Origin::Named {
                known.origin = origin;
            }
            return;
        }
        if self.list.len() >= LIMIT {
            let Some(place) = self.list.iter().position(|it| !it.works) else { return };
            self.list.remove(place);
        }
        self.list.push(Candidate {
            address,
            origin,
            works: false,
            answered_us: 0,
            asked_us: None,
            tries: 0,
            next_us: now_us,
            rtt_us: 0,
            search: Search::new(address.is_ipv6(), now_us),
        });
    }

    /// A message came directly from this source: a candidate, unless there is a path that works; that one is asked
    /// whether it still does.
    pub(crate) fn hear(&mut self, source: SocketAddr, now_us: u64) {
        let new = self.heard.replace(source) != Some(source);
        if self.chosen.is_none() {
            self.add(source, Origin::Heard, now_us);
        } else if new {
            self.doubt(now_us);
        }
    }

    fn find(&mut self, address: SocketAddr) -> Option<&mut Candidate> {
        self.list.iter_mut().find(|it| it.address == address)
    }

    /// Whether the peer or its profile named this candidate.
    pub(crate) fn is_named(&self, address: SocketAddr) -> bool {
        self.list.iter().any(|it| it.address == address && it.origin == Origin::Named)
    }

    /// The path in use, and the size to try on it now.
    pub(crate) fn poll_size(&mut self, now_us: u64) -> Option<(SocketAddr, usize)> {
        let address = self.chosen?;
        Some((address, self.find(address)?.search.poll(now_us)?))
    }

    /// A challenge of this size that was sent to this address is answered.
    pub(crate) fn handle_size(&mut self, address: SocketAddr, size: usize, now_us: u64) {
        if let Some(candidate) = self.find(address) {
            candidate.search.handle_answer(size, now_us);
        }
    }

    /// The path in use.
    pub(crate) fn chosen(&self) -> Option<SocketAddr> {
        self.chosen
    }

    /// Bytes that the path in use carries.
    pub(crate) fn size(&self) -> Option<usize> {
        self.list.iter().find(|it| Some(it.address) == self.chosen).map(|it| it.search.size())
    }

    /// Whether the search for the size of the path in use is over; nothing if no path is in use.
    pub(crate) fn is_searched(&self) -> Option<bool> {
        self.list.iter().find(|it| Some(it.address) == self.chosen).map(|it| it.search.is_done())
    }

    /// Whether challenges to this address went unanswered.
    pub(crate) fn is_failing(&self, address: SocketAddr) -> bool {
        self.list.iter().any(|it| it.address == address && !it.works && it.tries >= FAILING_TRIES)
    }

    /// Whether any candidate could still begin to work.
    pub(crate) fn is_trying(&self) -> bool {
        self.chosen.is_none() && self.list.iter().any(|it| it.tries < TRIES)
    }

    /// A challenge that was sent to this address is answered.
    pub(crate) fn handle_answer(&mut self, address: SocketAddr, rtt_us: u64, consent_us: u64, now_us: u64) {
        let Some(candidate) = self.find(address) else { return };
        (candidate.works, candidate.asked_us, candidate.tries) = (true, None, 0);
        (candidate.rtt_us, candidate.answered_us) = (rtt_us, now_us);
        candidate.next_us = now_us + consent_us;
        if self.chosen.is_none() {
            self.chosen = Some(address);
            if let Some(candidate) = self.find(address) {
                candidate.search = Search::new(address.is_ipv6(), now_us);
            }
        }
    }

    /// Gives up what does not answer.
    pub(crate) fn check(&mut self, now_us: u64) {
        for candidate in self.list.iter_mut().filter(|it| it.works) {
            let patience_us = CONSENT_PATIENCE_US.max(3 * candidate.rtt_us);
            if candidate.asked_us.is_some_and(|asked_us| now_us >= asked_us + patience_us) {
                (candidate.works, candidate.asked_us, candidate.tries) = (false, None, FAILING_TRIES);
            }
        }
        let works = |address: &SocketAddr| self.list.iter().any(|it| it.address == *address && it.works);
        let lost = self.chosen.take_if(|chosen| !works(chosen)).is_some();
        if lost {
            let working = self.list.iter().filter(|it| it.works && it.asked_us.is_none());
            self.chosen = working.min_by_key(|it| it.rtt_us).map(|it| it.address);
            self.list.iter_mut().for_each(|candidate| candidate.next_us = now_us);
        }
    }

    /// The addresses to challenge now.
    pub(crate) fn poll(&mut self, now_us: u64) -> Vec<SocketAddr> {
        // While a path is in use, the others rest.
        let chosen = self.chosen;
        let rests = |it: &Candidate| chosen.is_some_and(|chosen| chosen != it.address);
        self.list.iter_mut().filter(|it| rests(it)).for_each(|it| it.next_us = now_us + RETRY_US);
        let due = self.list.iter_mut().filter(|it| it.next_us <= now_us);
        due.map(|candidate| {
            candidate.tries += 1;
            candidate.next_us = now_us
                + if candidate.works {
                    candidate.asked_us.get_or_insert(now_us);
                    CONSENT_RETRY_US
                } else if candidate.tries < TRIES {
                    FIRST_PAUSE_US << candidate.tries.min(TRIES)
                } else {
                    RETRY_US
                };
            candidate.address
        })
        .collect()
    }

    /// Asks for consent on the path in use now; something says that it may not work.
    pub(crate) fn doubt(&mut self, now_us: u64) {
        let chosen = self.chosen;
        let sure = |it: &Candidate| it.asked_us.is_some() || now_us < it.answered_us + DOUBT_PAUSE_US;
        if let Some(candidate) = self.list.iter_mut().find(|it| Some(it.address) == chosen && !sure(it)) {
            candidate.next_us = now_us;
        }
    }

    /// Tries all anew that do not work.
    pub(crate) fn retry(&mut self, now_us: u64) {
        for candidate in self.list.iter_mut().filter(|it| !it.works) {
            (candidate.tries, candidate.next_us) = (candidate.tries.min(FAILING_TRIES), now_us);
        }
    }

    /// Forgets everything: the own address or the peer's is another.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// When a challenge is due, or an answer overdue.
    pub(crate) fn due_us(&self) -> Option<u64> {
        let next = self.list.iter().map(|it| it.next_us);
        let search =
            self.list.iter().filter(|it| Some(it.address) == self.chosen).map(|it| it.search.due_us());
        let patience = self
            .list
            .iter()
            .filter(|it| it.works)
            .filter_map(|it| Some(it.asked_us? + CONSENT_PATIENCE_US.max(3 * it.rtt_us)));
        next.chain(search).chain(patience).min()
    }
}

/// Between two consents, before it is spread over 0.8 to 1.2 of it (RFC 7675 section 5.1).
pub(crate) const CONSENT_US: u64 = 5_000_000;
/// Candidates of one peer.
const LIMIT: usize = 12;
/// Challenges to a candidate in quick succession.
const TRIES: u32 = 7;
/// Challenges after which another way is preferred.
const FAILING_TRIES: u32 = 4;
const FIRST_PAUSE_US: u64 = 50_000;
const CONSENT_RETRY_US: u64 = 400_000;
const CONSENT_PATIENCE_US: u64 = 1_000_000;
/// An answer keeps doubt away for so long.
const DOUBT_PAUSE_US: u64 = 500_000;
const RETRY_US: u64 = 60_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn the_first_that_answers_is_used_until_it_does_not() {
        let mut paths = DirectPaths::default();
        paths.add(address(1), Origin::Named, 0);
        paths.add(address(2), Origin::Heard, 0);
        assert_eq!(paths.poll(0), [address(1), address(2)]);
        assert_eq!(paths.chosen(), None);
        paths.handle_answer(address(2), 20_000, CONSENT_US, 20_000);
        paths.handle_answer(address(1), 30_000, CONSENT_US, 30_000);
        assert_eq!(paths.chosen(), Some(address(2)));
        let consent_us = 20_000 + CONSENT_US;
        assert_eq!(paths.poll(consent_us), [address(2)]);
        paths.check(consent_us + CONSENT_PATIENCE_US - 1);
        assert_eq!(paths.chosen(), Some(address(2)));
        paths.check(consent_us + CONSENT_PATIENCE_US);
        assert_eq!(paths.chosen(), Some(address(1)), "the other one still works");
        assert!(paths.is_failing(address(2)));
    }

    #[test]
    fn what_never_answers_costs_little() {
        let mut paths = DirectPaths::default();
        paths.add(address(1), Origin::Named, 0);
        let (mut sent, mut now_us) = (0, 0);
        while now_us < 600_000_000 {
            sent += paths.poll(now_us).len();
            now_us = paths.due_us().unwrap();
        }
        assert!((14..=18).contains(&sent), "{sent}");
        assert!(paths.is_failing(address(1)) && !paths.is_trying());
        for port in 0..100 {
            paths.add(address(port), Origin::Heard, 0);
        }
        assert_eq!(paths.list.len(), LIMIT);
    }
}
