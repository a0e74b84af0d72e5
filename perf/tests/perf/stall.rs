//! No coordinated omission: a reflector that stands still is seen in latency, or in loss, and nowhere hidden.
//!
//! * The backlog of the stall is sized by the receive buffer that the kernel granted: well below it, and well above it.
//! * What a datagram of 200 bytes takes of that buffer depends on the kernel; bounds on both sides are used.

use crate::{Stage, load, wait_for_relaying};
use lab::programs::generator::Generator;
use lab::programs::program::Signal;
use lab::programs::reflector::Reflector;
use lab::programs::relay::Counters;
use results::outcome::Outcome;
use std::thread::sleep;
use std::time::{Duration, Instant};

#[test]
fn a_stall_that_fits_the_buffer_is_latency() {
    let stage = Stage::enter();
    let mut reflector = stage.reflector(&[]);
    // Room for five times the stall, on a machine that may be slow to let the reflector go on.
    let backlog = reflector.ready().receive_buffer_bytes / MOST_BYTES_EACH;
    let rate_per_s = (backlog * 1_000 / STALL_MS / 5).clamp(100, 2_000);
    let late_ns = Duration::from_millis(STALL_MS / 2).as_nanos().try_into().unwrap();
    let is_seen = |outcome: &Outcome| {
        outcome.latency.p99_9_ns >= late_ns && outcome.latency.max_ns > outcome.latency.p50_ns
    };
    let fits = |outcome: &Outcome, counters: &Counters| {
        (outcome.data.lost, counters.overflows) == (0, 0) && is_seen(outcome)
    };
    let (outcome, counters) = run_with_stall(&stage, &mut reflector, rate_per_s, fits);
    assert_eq!((outcome.data.lost, counters.overflows), (0, 0), "at {rate_per_s} datagrams/s");
    assert!(is_seen(&outcome), "the stall is not seen: {:?}", outcome.latency);
    assert_eq!(outcome.latency.count, outcome.data.delivered);
}

#[test]
fn a_stall_beyond_the_buffer_is_loss() {
    let stage = Stage::enter();
    let mut reflector = stage.reflector(&["--receive-buffer", "64KiB"]);
    let rate_per_s = reflector.ready().receive_buffer_bytes / LEAST_BYTES_EACH * 1_000 / STALL_MS * 2;
    assert!(rate_per_s < 50_000, "the kernel granted {} bytes", reflector.ready().receive_buffer_bytes);
    let is_lost = |outcome: &Outcome, counters: &Counters| outcome.data.lost > 0 && counters.overflows > 0;
    let (outcome, counters) = run_with_stall(&stage, &mut reflector, rate_per_s, is_lost);
    assert!(is_lost(&outcome, &counters), "{:?} {counters:?}", outcome.data);
    assert!(outcome.data.loss > 0.0 && outcome.data.loss < 1.0);
}

/// Stops the reflector once, in the middle of a run of three seconds. On a busy machine the stall may be much longer, or come
/// when the run is over, or the generator may stand still itself: such a run says nothing if it is not `as_expected`, and is
/// repeated.
fn run_with_stall(
    stage: &Stage,
    reflector: &mut Reflector,
    rate_per_s: u64,
    as_expected: impl Fn(&Outcome, &Counters) -> bool,
) -> (Outcome, Counters) {
    for _ in 1..MOST_RUNS {
        let (is_undisturbed, outcome, counters) = run_once(stage, reflector, rate_per_s);
        if is_undisturbed || as_expected(&outcome, &counters) {
            return (outcome, counters);
        }
    }
    let (_, outcome, counters) = run_once(stage, reflector, rate_per_s);
    (outcome, counters)
}

/// One such run; whether nothing came between, what it gave, and what the reflector counted.
fn run_once(stage: &Stage, reflector: &mut Reflector, rate_per_s: u64) -> (bool, Outcome, Counters) {
    let before = reflector.settled(&stage.interrupt).unwrap();
    let load = load(200, rate_per_s, 3_000);
    let mut generator = Generator::start(&stage.programs.loadgen, reflector, &load).unwrap();
    wait_for_relaying(reflector, before.relayed);
    sleep(Duration::from_millis(500));
    let stopped = Instant::now();
    reflector.program().signal(Signal::Stop).unwrap();
    sleep(Duration::from_millis(STALL_MS));
    reflector.program().signal(Signal::Continue).unwrap();
    let is_as_long = stopped.elapsed() < Duration::from_millis(2 * STALL_MS);
    let is_in_the_run = generator.program().ended().unwrap().is_none();
    let outcome = generator.finish(reflector, &stage.interrupt).unwrap().outcome;
    let counters = reflector.settled(&stage.interrupt).unwrap().since(&before);
    (is_as_long && is_in_the_run && outcome.validity.valid, outcome, counters)
}

/// How often a run is tried at most.
const MOST_RUNS: u32 = 10;
const STALL_MS: u64 = 200;
/// More than any kernel books for a datagram of 200 bytes: a page would be 4,096 with everything around it.
const MOST_BYTES_EACH: u64 = 4_352;
/// Less than any kernel books for it.
const LEAST_BYTES_EACH: u64 = 256;
