//! Whether a sweep's figures agree with each other: what must be so whatever the machine did.
//!
//! * Every datagram is in one place in both programs' books; merged histograms hold what their parts held; percentiles
//!   rise; only runs that may be believed are in a figure.
//! * No time and no rate is judged: a busy machine makes runs invalid, never inconsistent.

use crate::judge::finding::counted;
use crate::judge::survey::Survey;
use crate::rig::header::Header;
use crate::rig::run::{Purpose, Run};
use results::latency::{decode, merged};

/// What does not agree, in words; nothing if everything does.
///
/// # Errors
/// A histogram that cannot be read.
pub fn faults(header: &Header, runs: &[Run]) -> anyhow::Result<Vec<String>> {
    let mut faults = Vec::new();
    for (number, run) in runs.iter().enumerate() {
        let told = of_run(run)?.into_iter();
        faults.extend(told.map(|fault| format!("run {} on {}: {fault}", number + 1, run.cell)));
    }
    let survey = Survey::of(header.clone(), runs, &[])?;
    for finding in &survey.findings {
        let own: Vec<&Run> = runs.iter().filter(|run| run.cell == finding.cell).collect();
        let mut tell = |fault: &str| faults.push(format!("{}: {fault}", finding.cell));
        for load in &finding.loads {
            let rounds = counted(&own, load.purpose);
            let all = merged(rounds.iter().map(|run| run.hdr_v2_base64.as_str()))?;
            let delivered: u64 = rounds.iter().map(|run| run.delivered).sum();
            let sent: u64 = rounds.iter().map(|run| run.sent).sum();
            if all.len() != delivered {
                tell("the merged histogram does not hold what was delivered");
            }
            if load.sent != sent || load.pairs.iter().map(|pair| pair.sent).sum::<u64>() != sent {
                tell("what was sent is not the sum of rounds and NAT pairs");
            }
            let most = rounds.iter().filter_map(|run| Some(run.latency?.max_ns)).max().unwrap_or(0);
            if !all.equivalent(all.max(), most) {
                tell("the merged histogram's largest value is none of its rounds'");
            }
            if load.curve.windows(2).any(|pair| matches!(pair, [a, b] if a.latency_ns > b.latency_ns)) {
                tell("latency falls along its percentiles");
            }
            if rounds.iter().any(|run| !run.is_believed() || run.round == 0) {
                tell("a run that may not be believed is in a figure");
            }
        }
        if finding.ceiling.ndr_per_s > finding.ceiling.pdr_per_s {
            tell("more passed without loss than with some");
        }
    }
    Ok(faults)
}

fn of_run(run: &Run) -> anyhow::Result<Vec<&'static str>> {
    let mut faults = Vec::new();
    let arrived = run.delivered + run.refused;
    if run.sent != arrived + run.lost {
        faults.push("sent is not delivered, refused and lost");
    }
    if !run.relay.is_conserved() {
        faults.push("the reflector's counters do not add up");
    }
    if arrived + run.duplicates > run.relay.relayed {
        faults.push("more came than the reflector relayed");
    }
    if run.cell.hostile_percent > 0 && run.sent > 0 && run.relay.dropped.is_empty() {
        faults.push("no wrong tag was dropped");
    }
    if run.cell.hostile_percent == 0 && run.relay.dropped.contains_key("tag") {
        faults.push("a right tag was dropped");
    }
    if let Some(latency) = run.latency {
        let rising = [latency.p50_ns, latency.p90_ns, latency.p99_ns, latency.p99_9_ns, latency.p99_99_ns];
        if !rising.is_sorted() || latency.p99_99_ns > latency.max_ns {
            faults.push("percentiles do not rise");
        }
    }
    if run.purpose != Purpose::Search {
        if decode(&run.hdr_v2_base64)?.len() != run.delivered {
            faults.push("the histogram does not hold what was delivered");
        }
        if run.pairs.iter().map(|pair| pair.sent).sum::<u64>() != run.sent {
            faults.push("NAT pairs are not what was sent");
        }
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::cell::Axis;
    use crate::sample;

    fn spoiled(spoil: impl Fn(&mut Run)) -> Vec<String> {
        let header = sample::header();
        let mut runs = sample::runs_of_all(&header);
        let half = runs.iter_mut().find(|run| run.purpose == Purpose::Half && run.round == 1);
        spoil(half.unwrap());
        faults(&header, &runs).unwrap()
    }

    #[test]
    fn each_inconsistency_is_found() {
        assert!(spoiled(|_| {}).iter().all(|fault| fault.contains("no wrong tag")), "{:?}", spoiled(|_| {}));
        let has = |spoil: &dyn Fn(&mut Run), words: &str| {
            let found = spoiled(spoil);
            assert!(found.iter().any(|fault| fault.contains(words)), "{words}: {found:?}");
        };
        has(&|run| run.lost += 1, "sent is not delivered");
        has(&|run| run.relay.received += 1, "do not add up");
        has(&|run| run.relay.relayed -= 1, "more came than");
        has(&|run| run.hdr_v2_base64.clear(), "the merged histogram does not hold");
        has(&|run| run.pairs.clear(), "NAT pairs are not");
        has(&|run| run.latency.as_mut().unwrap().p50_ns = u64::MAX, "percentiles do not rise");
        has(&|run| run.latency.as_mut().unwrap().max_ns *= 2, "largest value");
        has(&|run| run.cell = run.cell.with(Axis::Hostile, 20), "no wrong tag was dropped");
        has(
            &|run| {
                run.relay.dropped.insert("tag".to_owned(), 1);
            },
            "a right tag was dropped",
        );
    }
}
