//! Messages that are sent until acknowledged, and delivered once and in order.
//!
//! * Numbers count from zero for each pair of lives (a life is one start of one endpoint), so a peer that restarts
//!   gets what it had not acknowledged, under new numbers.
//! * At most [`WINDOW`] are under way and [`LIMIT`] wait; a message that nobody acknowledges in [`LIFETIME_US`] is given
//!   up, and its sender is told.

use std::collections::{BTreeMap, VecDeque};

/// Both directions with one peer.
#[derive(Debug, Default)]
pub(crate) struct Reliable {
    /// The peer's life that the numbers belong to.
    life: u64,
    sending: VecDeque<Sending>,
    next_number: u32,
    next_ticket: u64,
    expected: u32,
    early: BTreeMap<u32, Vec<u8>>,
    /// Something arrived that is not acknowledged yet.
    owes: bool,
    rtt_us: Option<u64>,
    repeated: u64,
}

#[derive(Debug)]
struct Sending {
    number: u32,
    ticket: u64,
    bytes: Vec<u8>,
    since_us: u64,
    tries: u32,
    next_us: u64,
}

/// A message to send now.
pub(crate) struct Due {
    /// Its number.
    pub(crate) number: u32,
    /// The lowest number that will still come: what lies below and has not arrived was given up.
    pub(crate) oldest: u32,
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// Whether it was sent before.
    pub(crate) again: bool,
}

impl Reliable {
    /// Binds the numbers to a life of the peer; another one than before starts them anew. True if the peer has restarted.
    pub(crate) fn set_life(&mut self, life: u64, now_us: u64) -> bool {
        if self.life == life {
            return false;
        }
        let restarted = std::mem::replace(&mut self.life, life) != 0;
        (self.expected, self.owes) = (0, false);
        self.early.clear();
        self.next_number = 0;
        for sending in &mut self.sending {
            sending.number = self.next_number;
            (sending.tries, sending.next_us) = (0, now_us);
            self.next_number += 1;
        }
        restarted
    }

    /// Takes a message to send; its ticket, or nothing when too many wait.
    pub(crate) fn push(&mut self, bytes: Vec<u8>, now_us: u64) -> Option<u64> {
        if self.sending.len() >= LIMIT {
            return None;
        }
        let (number, ticket) = (self.next_number, self.next_ticket);
        self.next_number += 1;
        self.next_ticket += 1;
        self.sending.push_back(Sending {
            number,
            ticket,
            bytes,
            since_us: now_us,
            tries: 0,
            next_us: now_us,
        });
        Some(ticket)
    }

    /// Whether anything waits to be acknowledged.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.sending.is_empty()
    }

    /// How long the way to the peer and back takes.
    pub(crate) fn set_rtt(&mut self, rtt_us: u64) {
        self.rtt_us = Some(rtt_us);
    }

    /// How long the way to the peer and back took last.
    pub(crate) fn rtt_us(&self) -> Option<u64> {
        self.rtt_us
    }

    /// Messages that had to be sent again.
    pub(crate) fn repeated(&self) -> u64 {
        self.repeated
    }

    /// The messages to send now.
    pub(crate) fn poll(&mut self, now_us: u64) -> Vec<Due> {
        let oldest = self.sending.front().map_or(self.next_number, |first| first.number);
        let base_us = (2 * self.rtt_us.unwrap_or(0)).clamp(RTO_MIN_US, RTO_MAX_US);
        let due = self.sending.iter_mut().take(WINDOW).filter(|sending| sending.next_us <= now_us);
        due.map(|sending| {
            let again = sending.tries > 0;
            self.repeated += u64::from(again);
            sending.next_us = now_us + (base_us << sending.tries.min(6)).min(RTO_MAX_US);
            sending.tries += 1;
            Due { number: sending.number, oldest, bytes: sending.bytes.clone(), again }
        })
        .collect()
    }

    /// The tickets of messages that nobody acknowledged in time.
    pub(crate) fn give_up(&mut self, now_us: u64) -> Vec<u64> {
        let old = |sending: &Sending| now_us >= sending.since_us + LIFETIME_US;
        let lost = self.sending.iter().filter(|it| old(it)).map(|it| it.ticket).collect();
        self.sending.retain(|it| !old(it));
        lost
    }

    /// The peer has all below `next`; the tickets of those.
    pub(crate) fn handle_received(&mut self, next: u32) -> Vec<u64> {
        let mut arrived = Vec::new();
        while self.sending.front().is_some_and(|first| first.number < next && first.tries > 0) {
            arrived.extend(self.sending.pop_front().map(|first| first.ticket));
        }
        arrived
    }

    /// Takes a message of the peer, below whose `oldest` nothing comes any more; those that can be delivered now.
    pub(crate) fn handle_message(&mut self, number: u32, oldest: u32, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.owes = true;
        let mut ready = Vec::new();
        if oldest > self.expected && oldest <= number {
            let later = self.early.split_off(&oldest);
            ready.extend(std::mem::replace(&mut self.early, later).into_values());
            self.expected = oldest;
        }
        let ahead = number.checked_sub(self.expected).and_then(|ahead| usize::try_from(ahead).ok());
        if ahead.is_some_and(|ahead| ahead < WINDOW) {
            self.early.entry(number).or_insert_with(|| bytes.to_vec());
        }
        while let Some(bytes) = self.early.remove(&self.expected) {
            self.expected += 1;
            ready.push(bytes);
        }
        ready
    }

    /// What to acknowledge, once.
    pub(crate) fn poll_received(&mut self) -> Option<u32> {
        std::mem::take(&mut self.owes).then_some(self.expected)
    }

    /// When something is to be given up, and, while there is a session, sent.
    pub(crate) fn due_us(&self, is_open: bool) -> Option<u64> {
        let next = self.sending.iter().take(WINDOW).map(|sending| sending.next_us).min().filter(|_| is_open);
        let end = self.sending.front().map(|sending| sending.since_us + LIFETIME_US);
        next.into_iter().chain(end).min()
    }
}

/// Messages under way at once.
pub(crate) const WINDOW: usize = 32;
/// Messages that wait, those under way included.
pub(crate) const LIMIT: usize = 256;
/// So long a message is tried.
pub(crate) const LIFETIME_US: u64 = 60_000_000;
const RTO_MIN_US: u64 = 200_000;
const RTO_MAX_US: u64 = 5_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sends `count` messages over a way that loses and repeats as `luck` says; what was delivered, and which tickets.
    fn run(count: u8, luck: &[u8]) -> (Vec<Vec<u8>>, Vec<u64>) {
        let (mut a, mut b) = (Reliable::default(), Reliable::default());
        a.set_life(7, 0);
        b.set_life(8, 0);
        let mut luck = luck.iter().copied().chain(std::iter::repeat(1));
        let (mut delivered, mut tickets, mut now_us) = (Vec::new(), Vec::new(), 0);
        for byte in 0..count {
            assert_eq!(a.push(vec![byte], 0), Some(u64::from(byte)));
        }
        while a.is_waiting() {
            let mut under_way = a.poll(now_us);
            if luck.next() == Some(2) {
                under_way.reverse();
            }
            for due in under_way {
                for _ in 0..luck.next().unwrap_or(1) % 3 {
                    delivered.extend(b.handle_message(due.number, due.oldest, &due.bytes));
                }
            }
            if let (Some(next), true) = (b.poll_received(), luck.next() != Some(0)) {
                tickets.extend(a.handle_received(next));
            }
            now_us = a.due_us(true).unwrap_or(now_us).max(now_us + 1);
        }
        (delivered, tickets)
    }

    proptest! {
        #[test]
        fn all_arrive_once_and_in_order(count in 0_u8..80, luck in prop::collection::vec(0_u8..4, 0..200)) {
            let (delivered, tickets) = run(count, &luck);
            prop_assert_eq!(delivered, (0..count).map(|byte| vec![byte]).collect::<Vec<_>>());
            prop_assert_eq!(tickets, (0..u64::from(count)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_peer_that_restarts_gets_what_it_had_not_acknowledged() {
        let mut a = Reliable::default();
        a.set_life(1, 0);
        for byte in 0..4 {
            a.push(vec![byte], 0);
        }
        assert_eq!(a.poll(0).len(), 4);
        assert_eq!(a.handle_received(2), [0, 1]);
        a.set_life(2, 10);
        let again = a.poll(10);
        let mut restarted = Reliable::default();
        restarted.set_life(9, 0);
        let delivered: Vec<_> =
            again.iter().flat_map(|it| restarted.handle_message(it.number, it.oldest, &it.bytes)).collect();
        assert_eq!(delivered, [[2], [3]]);
        assert_eq!(a.handle_received(2), [2, 3]);
    }

    #[test]
    fn what_was_given_up_does_not_stop_what_follows() {
        let (mut a, mut b) = (Reliable::default(), Reliable::default());
        a.push(vec![0], 0);
        assert_eq!(a.poll(0).len(), 1);
        a.push(vec![1], 1_000_000);
        assert_eq!(a.give_up(LIFETIME_US), [0]);
        let due = a.poll(LIFETIME_US);
        assert_eq!(due.len(), 1);
        assert_eq!(b.handle_message(due[0].number, due[0].oldest, &due[0].bytes), [[1]]);
        assert_eq!(b.poll_received(), Some(2));
        assert_eq!(b.poll_received(), None);
        assert_eq!(a.handle_received(2), [1]);
        for _ in 0..LIMIT {
            assert!(a.push(vec![], 0).is_some());
        }
        assert_eq!(a.push(vec![], 0), None, "too many wait");
    }
}
