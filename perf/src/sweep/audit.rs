//! Whether a sweep's figures agree with each other: what must be so whatever the machine did.
//!
//! * Every datagram is in one place in both programs' books; merged histograms hold what their parts held; percentiles
//!   rise; only runs that may be believed are in a figure.
//! * No time and no rate is judged: a busy machine makes runs invalid, never inconsistent.

use crate::judge::finding::counted;
use crate::judge::survey::Survey;
use crate::rig::header::Header;
use crate::rig::reading::{Purpose, Reading};
use results::latency::{decode, merged};

/// What does not agree, in words; nothing if everything does.
///
/// # Errors
/// A histogram that cannot be read.
pub fn faults(header: &Header, readings: &[Reading]) -> anyhow::Result<Vec<String>> {
    let mut faults = Vec::new();
    for (number, reading) in readings.iter().enumerate() {
        let told = of_reading(reading)?.into_iter();
        faults.extend(told.map(|fault| format!("run {} on {}: {fault}", number + 1, reading.cell)));
    }
    let survey = Survey::of(header.clone(), readings, &[])?;
    for finding in &survey.findings {
        let own: Vec<&Reading> = readings.iter().filter(|reading| reading.cell == finding.cell).collect();
        let mut tell = |fault: &str| faults.push(format!("{}: {fault}", finding.cell));
        for load in &finding.loads {
            let rounds = counted(&own, load.purpose);
            let all = merged(rounds.iter().map(|reading| reading.hdr_v2_base64.as_str()))?;
            let delivered: u64 = rounds.iter().map(|reading| reading.delivered).sum();
            let sent: u64 = rounds.iter().map(|reading| reading.sent).sum();
            if all.len() != delivered {
                tell("the merged histogram does not hold what was delivered");
            }
            if load.sent != sent || load.pairs.iter().map(|pair| pair.sent).sum::<u64>() != sent {
                tell("what was sent is not the sum of rounds and NAT pairs");
            }
            let most = rounds.iter().filter_map(|reading| Some(reading.latency?.max_ns)).max().unwrap_or(0);
            if !all.equivalent(all.max(), most) {
                tell("the merged histogram's largest value is none of its rounds'");
            }
            if load.curve.windows(2).any(|pair| matches!(pair, [a, b] if a.latency_ns > b.latency_ns)) {
                tell("latency falls along its percentiles");
            }
            if rounds.iter().any(|reading| !reading.is_believed() || reading.round == 0) {
                tell("a run that may not be believed is in a figure");
            }
        }
        if finding.ceiling.ndr_per_s > finding.ceiling.pdr_per_s {
            tell("more passed without loss than with some");
        }
    }
    Ok(faults)
}

fn of_reading(reading: &Reading) -> anyhow::Result<Vec<&'static str>> {
    let mut faults = Vec::new();
    let arrived = reading.delivered + reading.refused;
    if reading.sent != arrived + reading.lost {
        faults.push("sent is not delivered, refused and lost");
    }
    if !reading.relay.is_conserved() {
        faults.push("the reflector's counters do not add up");
    }
    if arrived + reading.duplicates > reading.relay.relayed {
        faults.push("more came than the reflector relayed");
    }
    if reading.cell.hostile_percent > 0 && reading.sent > 0 && reading.relay.dropped.is_empty() {
        faults.push("no wrong tag was dropped");
    }
    if reading.cell.hostile_percent == 0 && reading.relay.dropped.contains_key("tag") {
        faults.push("a right tag was dropped");
    }
    if let Some(latency) = reading.latency {
        let rising = [latency.p50_ns, latency.p90_ns, latency.p99_ns, latency.p99_9_ns, latency.p99_99_ns];
        if !rising.is_sorted() || latency.p99_99_ns > latency.max_ns {
            faults.push("percentiles do not rise");
        }
    }
    if reading.purpose != Purpose::Search {
        if decode(&reading.hdr_v2_base64)?.len() != reading.delivered {
            faults.push("the histogram does not hold what was delivered");
        }
        if reading.pairs.iter().map(|pair| pair.sent).sum::<u64>() != reading.sent {
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

    fn spoiled(spoil: impl Fn(&mut Reading)) -> Vec<String> {
        let header = sample::header();
        let mut readings = sample::readings_of_all(&header);
        let half = readings.iter_mut().find(|reading| reading.purpose == Purpose::Half && reading.round == 1);
        spoil(half.unwrap());
        faults(&header, &readings).unwrap()
    }

    #[test]
    fn each_inconsistency_is_found() {
        assert!(spoiled(|_| {}).iter().all(|fault| fault.contains("no wrong tag")), "{:?}", spoiled(|_| {}));
        let has = |spoil: &dyn Fn(&mut Reading), words: &str| {
            let found = spoiled(spoil);
            assert!(found.iter().any(|fault| fault.contains(words)), "{words}: {found:?}");
        };
        has(&|reading| reading.lost += 1, "sent is not delivered");
        has(&|reading| reading.relay.received += 1, "do not add up");
        has(&|reading| reading.relay.relayed -= 1, "more came than");
        has(&|reading| reading.hdr_v2_base64.clear(), "the merged histogram does not hold");
        has(&|reading| reading.pairs.clear(), "NAT pairs are not");
        has(&|reading| reading.latency.as_mut().unwrap().p50_ns = u64::MAX, "percentiles do not rise");
        has(&|reading| reading.latency.as_mut().unwrap().max_ns *= 2, "largest value");
        has(&|reading| reading.cell = reading.cell.with(Axis::Hostile, 20), "no wrong tag was dropped");
        has(
            &|reading| {
                reading.relay.dropped.insert("tag".to_owned(), 1);
            },
            "a right tag was dropped",
        );
    }
}
