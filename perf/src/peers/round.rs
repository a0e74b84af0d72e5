//! One round: whom to load with how much, in which order.
//!
//! * Pure: the same capacities give the same round, and every round is the same.
//! * Each at half of its own capacity; then those that can stand it at half of epoll's, since latencies compare at one
//!   rate only. coturn is asked for that in any case: what it loses there stands beside its latency.

use crate::figures::float;
use crate::judge::ceiling::Ceiling;
use crate::rig::run::Purpose;
use crate::rig::stage::Load;
use crate::rig::subject::{Subject, Traffic};
use std::time::Duration;

/// One run of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Through whom.
    pub subject: Subject,
    /// What for.
    pub purpose: Purpose,
    /// With what.
    pub load: Load,
}

/// How long the runs of a round are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// Measured phase.
    pub duration: Duration,
    /// Before it.
    pub warmup: Duration,
}

/// What was found of a subject under one kind of traffic.
#[derive(Clone, Debug)]
pub struct Found {
    /// Which relay was searched.
    pub subject: Subject,
    /// What it had to relay.
    pub traffic: Traffic,
    /// The highest rates at which it still kept up.
    pub ceiling: Ceiling,
}

/// The turns of a round for what was found; a subject without a capacity gets `otherwise`, if anything.
pub fn turns(
    found: &[Found],
    Lengths { duration, warmup }: Lengths,
    otherwise_per_s: Option<u64>,
) -> Vec<Turn> {
    let mut turns = Vec::new();
    for traffic in Traffic::ALL {
        let own = || found.iter().filter(|found| found.traffic == traffic);
        let turn = |subject: Subject, purpose: Purpose, rate_per_s: u64| Turn {
            subject,
            purpose,
            load: Load { traffic, rate_per_s, duration, warmup },
        };
        let half_per_s = |found: &Found| found.ceiling.half_per_s().or(otherwise_per_s);
        turns.extend(own().filter_map(|found| Some(turn(found.subject, Purpose::Half, half_per_s(found)?))));
        let epoll = own().find(|found| found.subject == Subject::Epoll);
        let Some(of_epoll) = epoll.and_then(half_per_s) else { continue };
        let can = |subject: Subject, ceiling: &Ceiling| match (subject, traffic) {
            (Subject::Epoll, _) => false,
            (Subject::Coturn, Traffic::Singles) => true,
            _ => {
                ceiling.capacity_per_s().is_some_and(|capacity| capacity * MOST_OF_CAPACITY > float(of_epoll))
            }
        };
        let able = own().filter(|found| can(found.subject, &found.ceiling));
        turns.extend(able.map(|found| turn(found.subject, Purpose::HalfOfEpoll, of_epoll)));
    }
    turns
}

/// A subject can stand a rate up to this part of its capacity.
const MOST_OF_CAPACITY: f64 = 0.9;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(subject: Subject, traffic: Traffic, per_s: u64) -> Found {
        let ceiling =
            Ceiling { ndr_per_s: Some(per_s), pdr_per_s: Some(per_s), is_generators: false, core_ns: None };
        Found { subject, traffic, ceiling }
    }

    const LENGTHS: Lengths = Lengths { duration: Duration::from_secs(1), warmup: Duration::ZERO };

    #[test]
    fn each_at_its_own_half_and_those_who_can_at_epolls() {
        let found = [
            found(Subject::Coturn, Traffic::Singles, 60_000),
            found(Subject::Epoll, Traffic::Singles, 160_000),
            found(Subject::Forwarder, Traffic::Singles, 80_000),
            found(Subject::Xdp, Traffic::Singles, 4_000_000),
            found(Subject::Coturn, Traffic::Trains, 100_000),
            found(Subject::Epoll, Traffic::Trains, 900_000),
        ];
        let turns = turns(&found, LENGTHS, None);
        let shown: Vec<_> =
            turns.iter().map(|turn| (turn.subject, turn.purpose, turn.load.rate_per_s / 1_000)).collect();
        assert_eq!(
            shown,
            [
                (Subject::Coturn, Purpose::Half, 30),
                (Subject::Epoll, Purpose::Half, 80),
                (Subject::Forwarder, Purpose::Half, 40),
                (Subject::Xdp, Purpose::Half, 2_000),
                (Subject::Coturn, Purpose::HalfOfEpoll, 80),
                (Subject::Xdp, Purpose::HalfOfEpoll, 80),
                (Subject::Coturn, Purpose::Half, 50),
                (Subject::Epoll, Purpose::Half, 450),
            ]
        );
    }

    #[test]
    fn without_a_capacity_there_is_no_turn_unless_a_rate_is_given() {
        let found = [Found { subject: Subject::Xdp, traffic: Traffic::Singles, ceiling: Ceiling::default() }];
        assert!(turns(&found, LENGTHS, None).is_empty());
        assert_eq!(turns(&found, LENGTHS, Some(9_000))[0].load.rate_per_s, 9_000);
    }
}
