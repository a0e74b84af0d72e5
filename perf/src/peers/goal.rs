//! What the comparison is to show, as ratios in one run, and whether it does.
//!
//! * A ratio is made within each round; a goal holds if its median does, and the spread stands beside it.
//! * What one of the two figures lacks for is not judged, and said so.

use crate::judge::spread::Spread;
use crate::peers::row::counted;
use crate::rig::run::{Purpose, Run};
use crate::rig::subject::{Entry, Subject, Traffic};
use serde::{Deserialize, Serialize};

/// A ratio and its bound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    /// What is compared, in words.
    pub what: String,
    /// The ratio; `None` where there are no figures for it.
    pub ratio: Option<Spread>,
    /// What it is to be at most.
    pub most: f64,
    /// Why it is that, where it is not fixed.
    pub why: Option<String>,
}

impl Goal {
    /// Whether it holds; `None` if it cannot be judged.
    pub fn holds(&self) -> Option<bool> {
        self.ratio.map(|ratio| ratio.median <= self.most)
    }

    /// All of them.
    pub fn all(runs: &[Run<Entry>]) -> Vec<Self> {
        let core =
            |subject, traffic| series(runs, (Entry { subject, traffic }, Purpose::Half), Run::core_total_ns);
        let p99 = |subject| {
            let cell = Entry { subject, traffic: Traffic::Singles };
            series(runs, (cell, Purpose::HalfOfEpoll), |run| Some(crate::figures::float(run.latency?.p99_ns)))
        };
        let over_coturn =
            |subject, traffic| Spread::of_ratios(&core(subject, traffic), &core(Subject::Coturn, traffic));
        let limit = over_coturn(Subject::Forwarder, Traffic::Singles)
            .map(|forwarder| OVER_FORWARDER * forwarder.median)
            .filter(|limit| *limit > EPOLL_SINGLES);
        let goal = |what: &str, ratio, most| Self { what: what.to_owned(), ratio, most, why: None };
        vec![
            goal(
                "core-time, XDP against coturn, singles",
                over_coturn(Subject::Xdp, Traffic::Singles),
                1.0 / 20.0,
            ),
            goal(
                "core-time, XDP against coturn, trains of 16",
                over_coturn(Subject::Xdp, Traffic::Trains),
                1.0 / 20.0,
            ),
            Self {
                why: limit.map(|limit| {
                    format!("1.10 of the bare socket forwarder, which is {:.3}", limit / OVER_FORWARDER)
                }),
                ..goal(
                    "core-time, epoll against coturn, singles",
                    over_coturn(Subject::Epoll, Traffic::Singles),
                    limit.unwrap_or(EPOLL_SINGLES),
                )
            },
            goal(
                "core-time, epoll against coturn, trains of 16",
                over_coturn(Subject::Epoll, Traffic::Trains),
                EPOLL_TRAINS,
            ),
            goal(
                "p99 at half of epoll's capacity, XDP against coturn, singles",
                Spread::of_ratios(&p99(Subject::Xdp), &p99(Subject::Coturn)),
                1.0 / 3.0,
            ),
        ]
    }
}

/// One figure of every round of one kind of run.
pub fn series(
    runs: &[Run<Entry>],
    (cell, purpose): (Entry, Purpose),
    figure: impl Fn(&Run<Entry>) -> Option<f64>,
) -> Vec<(u32, f64)> {
    let is_own = |run: &&Run<Entry>| (run.cell, run.purpose) == (cell, purpose);
    let counted = counted(runs.iter().filter(is_own)).into_iter();
    counted.filter_map(|run| Some((run.round, figure(run)?))).collect()
}

/// Core-time of epoll over coturn's with singles.
const EPOLL_SINGLES: f64 = 0.85;
/// Core-time of epoll over the bare forwarder's, which no socket can pass.
const OVER_FORWARDER: f64 = 1.10;
/// Core-time of epoll over coturn's with trains of 16.
const EPOLL_TRAINS: f64 = 0.15;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn goals_are_judged_within_rounds() {
        let runs = sample::peers_runs();
        let goals = Goal::all(&runs);
        let verdicts: Vec<Option<bool>> = goals.iter().map(Goal::holds).collect();
        assert_eq!(verdicts, [Some(true), None, Some(true), None, Some(true)], "{goals:?}");
        assert!((goals[0].ratio.unwrap().median - 250.0 / 7_000.0).abs() < 1e-9);
        // The forwarder of the sample costs 5,600 ns, so 1.10 of it is more than 0.85 of coturn's 7,000.
        assert!((goals[2].most - 1.1 * 0.8).abs() < 1e-9 && goals[2].why.is_some(), "{:?}", goals[2]);
    }

    #[test]
    fn a_goal_that_is_missed_says_so() {
        let mut runs = sample::peers_runs();
        let slow = runs.iter_mut().filter(|run| run.cell.subject == Subject::Xdp);
        slow.for_each(|run| run.core_ns = Some([0.0, 0.0, 2_000.0]));
        let goals = Goal::all(&runs);
        assert_eq!(goals[0].holds(), Some(false));
        runs.retain(|run| run.cell.subject != Subject::Coturn);
        assert!(Goal::all(&runs).iter().all(|goal| goal.holds().is_none()));
    }
}
