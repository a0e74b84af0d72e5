//! The data path in miniature: every datagram is found again, in both programs' books.
//!
//! * Without warm-up the generator's result holds everything that it sent, so both books must agree to the datagram.

use crate::{Stage, load};
use lab::programs::generator::Generator;
use lab::programs::reflector::Reflector;
use lab::programs::relay::Counters;
use perf::judge::histogram;
use results::outcome::Outcome;

#[test]
fn both_books_agree_to_the_datagram() {
    let stage = Stage::enter();
    let mut reflector = stage.reflector(&[]);
    let mut runs: Vec<(Outcome, Counters)> = Vec::new();
    for rate in [3_000, 6_000] {
        // On a machine so busy that hardly anything is delivered the books agree, too, but that says little.
        let mut run = || {
            runs.push(measure(&stage, &mut reflector, rate));
            runs.last().map_or(0, |(outcome, _)| outcome.data.delivered)
        };
        assert!((0..MOST_RUNS).any(|_| run() > 1_000), "nearly nothing was delivered: {runs:?}");
    }
    for (outcome, relay) in &runs {
        books_agree(outcome, relay);
        let latencies = results::latency::decode(&outcome.latency.hdr_v2_base64).unwrap();
        assert_eq!(latencies.len(), outcome.data.delivered);
        let curve = histogram::curve(&latencies);
        assert!(curve.windows(2).all(|pair| pair[0].latency_ns <= pair[1].latency_ns) && !curve.is_empty());
    }
    let texts = runs.iter().map(|(outcome, _)| outcome.latency.hdr_v2_base64.as_str());
    let merged = results::latency::merged(texts).unwrap();
    let delivered: u64 = runs.iter().map(|(outcome, _)| outcome.data.delivered).sum();
    assert_eq!(merged.len(), delivered);
    let largest = runs.iter().map(|(outcome, _)| outcome.latency.max_ns).max().unwrap();
    assert!(merged.equivalent(merged.max(), largest), "{} is not {largest}", merged.max());
}

/// One run, and what the reflector counted of it.
fn measure(stage: &Stage, reflector: &mut Reflector, rate_per_s: u64) -> (Outcome, Counters) {
    let before = reflector.settled(&stage.interrupt).unwrap();
    let load = load(300, rate_per_s, 1_000);
    let generator = Generator::start(&stage.programs.loadgen, reflector, &load).unwrap();
    let outcome = generator.finish(reflector, &stage.interrupt).unwrap().outcome;
    let counters = reflector.settled(&stage.interrupt).unwrap().since(&before);
    (outcome, counters)
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
