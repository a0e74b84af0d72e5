//! What may fail on a busy machine though the program is right: times, and what is judged by a silence.
//!
//! * A good run says that the program can do it, on any machine. A bad one says something of the program only if the machine
//!   was quiet; otherwise the whole run is repeated, a few times.
//! * Quiet is a machine whose processors were idle for half of the time, and which its host did not hold up.

use crate::figure;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

/// Runs a test, and once or twice more if it fails while the machine is busy: then the kernel may lose datagrams, and
/// programs are late.
pub(crate) fn unless_busy(test: &impl Fn()) {
    for _ in 1..MOST_TRIES {
        let watch = Watch::start();
        let Err(panic) = catch_unwind(AssertUnwindSafe(test)) else { return };
        let Bad { was_busy: true, .. } = watch.bad("") else { resume_unwind(panic) };
        figure(format_args!("the machine was busy when that failed, so once more"));
    }
    test();
}

/// Repeats `run` while it fails on a busy machine, and gives what it gave at last.
pub(crate) fn judged<T>(what: &str, mut run: impl FnMut() -> Result<T, Bad>) -> T {
    let mut bad = match run() {
        Ok(good) => return good,
        Err(bad) => bad,
    };
    for _ in 1..MOST_RUNS {
        assert!(bad.was_busy, "{what}: {}", bad.why);
        figure(format_args!("{what}, on a busy machine, so once more: {}", bad.why));
        bad = match run() {
            Ok(good) => return good,
            Err(bad) => bad,
        };
    }
    panic!("{what}: bad in each of {MOST_RUNS} runs, at last: {}", bad.why);
}

/// Asserts that what `run` times is within a bound, and says what it took.
pub(crate) fn bounded(what: &str, bound: Duration, mut run: impl FnMut() -> (Duration, Watch)) {
    judged(what, || {
        let (took, watch) = run();
        figure(format_args!("{what}: {} ms, promised {} ms", took.as_millis(), bound.as_millis()));
        if took <= bound + SLACK { Ok(()) } else { Err(watch.bad(format!("took {took:?}, not {bound:?}"))) }
    });
}

/// A run whose result is not what it should be.
#[derive(Debug)]
pub(crate) struct Bad {
    why: String,
    was_busy: bool,
}

impl Bad {
    /// The same, and `of_the_machine` says whether something else shows that the machine was busy.
    pub(crate) fn or(self, of_the_machine: bool) -> Self {
        Self { was_busy: self.was_busy || of_the_machine, ..self }
    }
}

/// What the machine does from now on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    before: Processors,
}

impl Watch {
    pub(crate) fn start() -> Self {
        Self { before: Processors::read() }
    }

    /// A run under this watch was bad.
    pub(crate) fn bad(self, why: impl Into<String>) -> Bad {
        let (before, now) = (self.before, Processors::read());
        let all = now.all - before.all;
        let was_busy = 2 * (now.idle - before.idle) <= all || 50 * (now.stolen - before.stolen) > all;
        Bad { why: why.into(), was_busy }
    }
}

/// Times of all processors together since boot, in the kernel's ticks.
#[derive(Clone, Copy, Debug)]
struct Processors {
    all: u64,
    idle: u64,
    stolen: u64,
}

impl Processors {
    /// proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal; what guests took is in the first two.
    fn read() -> Self {
        let text = fs::read_to_string("/proc/stat").unwrap();
        let first = text.lines().next().unwrap().split_whitespace().skip(1).take(8);
        let ticks: Vec<u64> = first.map(|ticks| ticks.parse().unwrap()).collect();
        Self { all: ticks.iter().sum(), idle: ticks[3] + ticks[4], stolen: ticks[7] }
    }
}

/// How often a whole test is run at most.
const MOST_TRIES: u32 = 3;
/// How often something is run at most.
const MOST_RUNS: u32 = 5;
/// What a machine may take longer that does something else for a moment.
const SLACK: Duration = Duration::from_secs(2);
