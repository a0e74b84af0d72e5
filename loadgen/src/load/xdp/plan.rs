//! What the XDP programs are told before a run: times, faults, and for each worker its flows and its pace.
//!
//! * Flows are dealt out in one piece each, as evenly as they can be; workers send in proportion to theirs.
//! * Intended times are those of the socket generator for the same rate: one even comb over all workers.
//! * Pure.

use crate::load::shape::phase::Phase;
use crate::load::shape::schedule::Arrivals;
use crate::load::shape::traffic::Traffic;
use crate::load::watch::slices;
use crate::random::Random;
use engine::load::{MAX_SLICES, Pace, Times};

/// The times of a run.
pub fn times(phase: &Phase, traffic: &Traffic) -> Times {
    Times {
        start_ns: phase.start_ns(),
        measured_ns: phase.measured_ns(),
        end_ns: phase.end_ns(),
        slice_ns: slices::interval_ns(traffic.duration_ns),
    }
}

/// Each worker's flows and pace, for `flows` of them.
pub fn paces(traffic: &Traffic, flows: u32) -> Vec<Pace> {
    let workers = traffic.workers().max(1);
    // One kind of flows: others are refused with XDP.
    let train = traffic.payload.kinds.first().map_or(1, |kind| kind.train);
    let burst = if let Arrivals::Burst(count) = traffic.arrivals { count.max(1) } else { train.max(1) };
    let burst_ns = f64::from(burst) * NS_PER_S / as_f64(traffic.rate_per_s.max(1));
    let pace = |worker: u32| {
        let bound = |worker: u32| share_below(flows, worker, workers);
        let (first_flow, flows_here) = (bound(worker), bound(worker + 1) - bound(worker));
        Pace {
            first_flow,
            flows: flows_here,
            phase_ns: phase_ns(traffic, burst, worker),
            gap_ns: burst_ns * f64::from(flows) / f64::from(flows_here.max(1)),
            poisson: traffic.arrivals == Arrivals::Poisson,
            burst,
            seed: Random::new(traffic.seed, PURPOSE_PACE + u64::from(worker)).next_u64(),
        }
    };
    (0..workers).map(pace).collect()
}

/// The flows of the workers below `worker`.
fn share_below(flows: u32, worker: u32, workers: u32) -> u32 {
    let bound = u64::from(flows) * u64::from(worker) / u64::from(workers);
    u32::try_from(bound).unwrap_or(u32::MAX)
}

/// Where in the comb of all workers this one begins, ns.
fn phase_ns(traffic: &Traffic, burst: u32, worker: u32) -> u64 {
    let phase =
        u128::from(worker) * u128::from(burst) * 1_000_000_000 / u128::from(traffic.rate_per_s.max(1));
    u64::try_from(phase).unwrap_or(u64::MAX)
}

#[allow(clippy::cast_precision_loss)] // A rate to 53 bits is exact enough.
fn as_f64(count: u64) -> f64 {
    count as f64
}

const NS_PER_S: f64 = 1e9;
const PURPOSE_PACE: u64 = 0x400_0000;
const _: () =
    assert!(slices::MOST_SLICES <= MAX_SLICES, "the programs count as many slices as the report has");

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::load::shape::payload::Payload;
    use crate::load::shape::profile::Profile;

    pub(crate) fn traffic(rate_per_s: u64, arrivals: Arrivals, workers: usize) -> Traffic {
        Traffic {
            relay: "192.0.2.1:3478".parse().unwrap(),
            rate_per_s,
            profile: Profile::constant(rate_per_s, 10_000_000_000),
            profile_name: String::new(),
            payload: Payload::fixed(168),
            duration_ns: 10_000_000_000,
            warmup_ns: 2_000_000_000,
            arrivals,
            cpus: (0..workers).collect(),
            single_cpu: false,
            seed: 7,
            thresholds: Vec::new(),
        }
    }

    #[test]
    fn every_flow_has_one_worker() {
        for (flows, workers) in [(1, 1), (10, 3), (1_000_000, 7), (3, 3), (1 << 20, 16)] {
            let paces = paces(&traffic(1_000, Arrivals::Uniform, workers), flows);
            assert_eq!(paces.len(), workers);
            let (mut next, least) = (0, flows / u32::try_from(workers).unwrap());
            for pace in &paces {
                assert_eq!(pace.first_flow, next);
                assert!([0, 1].contains(&(pace.flows - least)));
                next += pace.flows;
            }
            assert_eq!(next, flows);
        }
    }

    #[test]
    fn the_rate_is_the_sum_of_all_workers() {
        for arrivals in [Arrivals::Uniform, Arrivals::Poisson, Arrivals::Burst(16)] {
            for (rate, flows, workers) in [(3_000_000, 999_999, 1), (100_000, 10, 3), (7, 5, 2)] {
                let paces = paces(&traffic(rate, arrivals, workers), flows);
                let sum: f64 = paces.iter().map(|pace| f64::from(pace.burst) * 1e9 / pace.gap_ns).sum();
                assert!((sum / rate as f64 - 1.0).abs() < 1e-9, "{arrivals}: {sum} of {rate}");
                let seeds: std::collections::BTreeSet<u64> = paces.iter().map(|pace| pace.seed).collect();
                assert_eq!(seeds.len(), workers);
            }
        }
    }

    #[test]
    fn workers_interleave_as_those_with_sockets_do() {
        let paces = paces(&traffic(1_000, Arrivals::Burst(10), 2), 8);
        assert_eq!(paces.iter().map(|pace| pace.phase_ns).collect::<Vec<_>>(), [0, 10_000_000]);
        assert!(paces.iter().all(|pace| (pace.gap_ns - 20_000_000.0).abs() < 1e-6 && pace.burst == 10));
    }

    #[test]
    fn times_are_those_of_the_phase() {
        let traffic = traffic(1_000, Arrivals::Uniform, 1);
        let phase = Phase::new(5, traffic.warmup_ns, traffic.duration_ns);
        let found = times(&phase, &traffic);
        let (measured_ns, end_ns) = (2_000_000_005, 12_000_000_005);
        assert_eq!(found, Times { start_ns: 5, measured_ns, end_ns, slice_ns: 100_000_000 });
    }
}
