//! The data path in miniature: every datagram is found again, in both programs' books.
//!
//! * Without warm-up the generator's result holds everything that it sent, so both books must agree to the datagram.

use crate::{Stage, load};
use lab::programs::generator::Outcome;
use lab::programs::relay::Counters;
use perf::judge::histogram;
use perf::rig::attempt::DISTURBANCES;
use perf::rig::cores::Cores;
use perf::rig::pair::Rig;
use perf::sweep::quick_report::Step;

#[test]
fn both_books_agree_to_the_datagram() {
    let stage = Stage::enter();
    let mut rig = Rig::start(&stage.programs, Cores::choose().unwrap()).unwrap();
    let mut steps: Vec<Step> = Vec::new();
    for rate in [3_000, 6_000] {
        // On a machine so busy that hardly anything is delivered the books agree, too, but that says little.
        let mut run = || {
            let step = rig.measure(&load(300, rate, 1_000), &stage.interrupt).unwrap();
            let delivered = step.outcome.data.delivered;
            steps.push(step);
            delivered
        };
        assert!((0..MOST_RUNS).any(|_| run() > 1_000), "nearly nothing was delivered: {steps:?}");
    }
    for Step { outcome, relay, checks, curve, .. } in &steps {
        let failed = |check: &&lab::programs::generator::Check| {
            !check.holds && !DISTURBANCES.contains(&check.name.as_str())
        };
        assert_eq!(checks.iter().find(failed), None);
        books_agree(outcome, relay);
        assert!(curve.windows(2).all(|pair| pair[0].latency_ns <= pair[1].latency_ns) && !curve.is_empty());
    }
    let texts = steps.iter().map(|step| step.outcome.latency.hdr_v2_base64.as_str());
    let merged = histogram::merged(texts).unwrap();
    let delivered: u64 = steps.iter().map(|step| step.outcome.data.delivered).sum();
    assert_eq!(merged.len(), delivered);
    let largest = steps.iter().map(|step| step.outcome.latency.max_ns).max().unwrap();
    assert!(merged.equivalent(merged.max(), largest), "{} is not {largest}", merged.max());
    assert_eq!(rig.commands().len(), 1 + steps.len());
}

fn books_agree(outcome: &Outcome, relay: &Counters) {
    let data = &outcome.data;
    assert_eq!((outcome.contacts.obtained, outcome.contacts.missing), (300, 0));
    assert_eq!(data.sent, data.delivered + data.refused() + data.lost);
    // The reflector's side has one PROBE more, by which its counters were settled.
    let sent = data.sent + outcome.contacts.probes + outcome.keepalive.sent + 1;
    assert_eq!(sent, relay.received + relay.overflows);
    assert!(relay.is_conserved() && relay.dropped.is_empty() && relay.send_errors.is_empty(), "{relay:?}");
    assert_eq!(relay.observed, outcome.contacts.probes + outcome.keepalive.sent + 1);
    assert_eq!(data.delivered + data.refused() + data.duplicates, relay.relayed);
    assert_eq!((data.duplicates, outcome.latency.count), (0, data.delivered));
    let pairs = &outcome.nat_pairs;
    assert!(
        pairs.iter().any(|pair| pair.from == "apdm/apdf" && pair.to == "apdm/apdf" && pair.delivered > 0)
    );
    assert_eq!(pairs.iter().map(|pair| pair.sent).sum::<u64>(), data.sent);
    assert_eq!(pairs.iter().map(|pair| pair.delivered).sum::<u64>(), data.delivered);
}

/// How often a load is tried at most.
const MOST_RUNS: u32 = 10;
