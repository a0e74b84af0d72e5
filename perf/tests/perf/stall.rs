//! No coordinated omission: a reflector that stands still is seen in latency, or in loss, and nowhere hidden.
//!
//! * The backlog of the stall is sized by the receive buffer that the kernel granted: well below it, and well above it.
//! * What a datagram of 200 bytes takes of that buffer depends on the kernel; bounds on both sides are used.

use crate::{Stage, load};
use lab::generator::{Generator, Outcome};
use lab::program::Signal;
use lab::reflector::Reflector;
use lab::relay::Counters;
use std::thread::sleep;
use std::time::{Duration, Instant};

#[test]
fn a_stall_that_fits_the_buffer_is_latency() {
    let stage = Stage::enter();
    let mut reflector = stage.reflector(&[]);
    // Room for five times the stall, on a machine that may be slow to let the reflector go on.
    let backlog = reflector.ready().receive_buffer_bytes / MOST_BYTES_EACH;
    let rate_per_s = (backlog * 1_000 / STALL_MS / 5).clamp(100, 2_000);
    let (outcome, counters) = run_with_stall(&stage, &mut reflector, rate_per_s);
    assert_eq!((outcome.data.lost, counters.overflows), (0, 0), "at {rate_per_s} datagrams/s");
    let late_ns = Duration::from_millis(STALL_MS / 2).as_nanos().try_into().unwrap();
    let latency = &outcome.latency;
    assert!(
        latency.p99_9_ns >= late_ns && latency.max_ns > latency.p50_ns,
        "the stall is not seen: {latency:?}"
    );
    assert_eq!(latency.count, outcome.data.delivered);
}

#[test]
fn a_stall_beyond_the_buffer_is_loss() {
    let stage = Stage::enter();
    let mut reflector = stage.reflector(&["--receive-buffer", "64KiB"]);
    let rate_per_s = reflector.ready().receive_buffer_bytes / LEAST_BYTES_EACH * 1_000 / STALL_MS * 2;
    assert!(rate_per_s < 50_000, "the kernel granted {} bytes", reflector.ready().receive_buffer_bytes);
    let (outcome, counters) = run_with_stall(&stage, &mut reflector, rate_per_s);
    assert!(outcome.data.lost > 0 && counters.overflows > 0, "{:?} {counters:?}", outcome.data);
    assert!(outcome.data.loss > 0.0 && outcome.data.loss < 1.0);
}

/// Stops the reflector once, in the middle of a run of three seconds.
fn run_with_stall(stage: &Stage, reflector: &mut Reflector, rate_per_s: u64) -> (Outcome, Counters) {
    let generator =
        Generator::start(&stage.programs.loadgen, reflector, &load(200, rate_per_s, 3_000)).unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while Counters::of(&reflector.metrics().unwrap()).unwrap().relayed == 0 {
        assert!(Instant::now() < until, "no datagram was relayed");
        sleep(Duration::from_millis(20));
    }
    sleep(Duration::from_millis(500));
    reflector.program().signal(Signal::Stop).unwrap();
    sleep(Duration::from_millis(STALL_MS));
    reflector.program().signal(Signal::Continue).unwrap();
    let outcome = generator.finish(reflector, &stage.interrupt).unwrap().outcome;
    (outcome, reflector.settled(&stage.interrupt).unwrap())
}

const STALL_MS: u64 = 200;
/// More than any kernel books for a datagram of 200 bytes: a page would be 4,096 with everything around it.
const MOST_BYTES_EACH: u64 = 4_352;
/// Less than any kernel books for it.
const LEAST_BYTES_EACH: u64 = 256;
