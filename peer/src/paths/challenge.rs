//! Outstanding challenges to one peer: which token was sent where, and when.
//!
//! * A token is random, sealed, and sent to one place only, so its answer proves that what is sent there arrives.
//! * At most [`LIMIT`] are remembered; the oldest goes first.

use crate::message::frame::Token;
use std::collections::VecDeque;
use std::net::SocketAddr;
use wire::TransportAddress;

/// The challenges that may still be answered.
#[derive(Debug, Default)]
pub(crate) struct Challenges {
    outstanding: VecDeque<Challenge>,
    /// When an address that nobody named was last challenged.
    doubted_us: Option<u64>,
    /// Challenges sent and answered that try no size.
    sent: u64,
    answered: u64,
}

/// One challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    token: Token,
    /// Where it was sent.
    pub(crate) to: Target,
    /// The size it was padded to, if it tries a size.
    pub(crate) size: Option<usize>,
    /// When.
    pub(crate) sent_us: u64,
}

/// Where a challenge was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// From host to host.
    Direct(SocketAddr),
    /// Through a reflector to this address of the peer.
    Reflected {
        /// The reflector.
        via: SocketAddr,
        /// The peer's address there.
        peer: TransportAddress,
    },
}

impl Challenges {
    /// Remembers a challenge.
    pub(crate) fn push(&mut self, token: Token, to: Target, size: Option<usize>, now_us: u64) {
        if self.outstanding.len() >= LIMIT {
            self.outstanding.pop_front();
        }
        self.sent += u64::from(size.is_none());
        self.outstanding.push_back(Challenge { token, to, size, sent_us: now_us });
    }

    /// Takes the challenge that this token answers, unless it is too old.
    pub(crate) fn take(&mut self, token: Token, now_us: u64) -> Option<Challenge> {
        self.outstanding.retain(|it| now_us < it.sent_us + LIFETIME_US);
        let place = self.outstanding.iter().position(|it| it.token == token)?;
        let answered = self.outstanding.remove(place);
        self.answered += u64::from(answered.is_some_and(|it| it.size.is_none()));
        answered
    }

    /// Whether an address that nobody named may be challenged; if so, the next has to wait.
    pub(crate) fn may_doubt(&mut self, now_us: u64) -> bool {
        let may = self.doubted_us.is_none_or(|last_us| now_us >= last_us + DOUBT_PAUSE_US);
        if may {
            self.doubted_us = Some(now_us);
        }
        may
    }

    /// Challenges sent that try no size.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Those of them that were answered.
    pub(crate) fn answered(&self) -> u64 {
        self.answered
    }

    /// The challenge that this token answers, left where it is.
    pub(crate) fn find(&self, token: Token) -> Option<Challenge> {
        self.outstanding.iter().find(|it| it.token == token).copied()
    }
}

const LIMIT: usize = 32;
const LIFETIME_US: u64 = 10_000_000;
/// Between two challenges to an address at a reflector that nobody named.
const DOUBT_PAUSE_US: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_once_for_a_while_and_where_it_was_sent() {
        let mut challenges = Challenges::default();
        let to = |port| Target::Direct(SocketAddr::from(([192, 0, 2, 1], port)));
        challenges.push([1; 8], to(1), None, 0);
        challenges.push([2; 8], to(2), Some(1400), 5);
        assert_eq!(challenges.take([3; 8], 5), None);
        assert_eq!(challenges.find([2; 8]).unwrap().size, Some(1400));
        assert_eq!(challenges.take([2; 8], 6).map(|it| (it.to, it.sent_us)), Some((to(2), 5)));
        assert_eq!(challenges.take([2; 8], 6), None);
        assert_eq!(challenges.take([1; 8], LIFETIME_US), None, "too old");
        for port in 0..100_u8 {
            challenges.push([port; 8], to(1), None, 0);
        }
        assert!(challenges.outstanding.len() == LIMIT && challenges.find([99; 8]).is_some());
    }
}
