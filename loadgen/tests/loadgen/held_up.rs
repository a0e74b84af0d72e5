//! Whether the machine kept somebody from running during a test, and another try if the test failed of it.
//!
//! * Everyone who takes part notes the time for which it had no CPU: the generator's lag, the relays' threads, and a sentinel
//!   for this process as a whole.
//! * Counts are exact and times are right as long as that is next to nothing. So a test that fails although nobody was
//!   held up has failed; one of which somebody was held up shows nothing and is repeated.
//! * Tests run side by side, one per processor; what they take from each other is noted like anything else's.

#![allow(clippy::print_stderr)] // A repetition is told; libtest keeps it to itself.

use results::run::Report;
use search::Verdict;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook, take_hook};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

/// Runs a test; again if it fails while somebody was held up.
pub(crate) fn unless_held_up(test: impl Fn()) {
    for _ in 1..TRIES {
        let before_ns = HELD_UP_NS.load(SeqCst);
        let Err(panic) = quietly(|| beside_a_sentinel(&test)) else { return };
        let held_up = Duration::from_nanos(HELD_UP_NS.load(SeqCst) - before_ns);
        let said = SAID.take();
        if held_up < TOLERATED {
            eprintln!("{said}");
            resume_unwind(panic);
        }
        let said: String = said.replace('\n', " ").chars().take(MOST_SAID).collect();
        eprintln!("once more, because somebody had no CPU for {held_up:?} when a test {said}");
    }
    test();
}

/// Runs a test; what its panic says is kept for the case that it counts.
fn quietly(test: impl Fn()) -> thread::Result<()> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = take_hook();
        set_hook(Box::new(move |info| match IS_QUIET.get() {
            true => SAID.set(info.to_string()),
            false => loud(info),
        }));
    });
    IS_QUIET.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(test));
    IS_QUIET.set(false);
    outcome
}

thread_local! {
    /// Whether a panic of this thread may be one that shows nothing.
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
    /// What the last of them said.
    static SAID: Cell<String> = const { Cell::new(String::new()) };
}

/// Notes what the generator says of itself.
#[allow(dead_code)] // A day of presence has a report of its own.
pub(crate) fn note_generator(report: &Report) {
    note(Duration::from_nanos(report.generator.lag_max_ns));
    // What it gave up, because the end of the run came first, has no lag.
    let gave_up = report.rate.sent < report.rate.due;
    // Of the other tries of a search there is only a word.
    let is_spoiled =
        |verdict: &str| verdict == Verdict::Disturbed.word() || verdict == Verdict::Invalid.word();
    let tried = report.found.iter().flat_map(|found| &found.tried);
    if gave_up || tried.into_iter().any(|tried| is_spoiled(&tried.verdict)) {
        note(TOLERATED);
    }
}

/// The time between two looks of a thread that looks at least every [`Looks::every`].
pub(crate) struct Looks {
    every: Duration,
    last: Instant,
}

impl Looks {
    pub(crate) fn new(every: Duration) -> Self {
        Self { every, last: Instant::now() }
    }

    /// The thread runs; what it took longer than expected is noted.
    pub(crate) fn look(&mut self) {
        note(self.last.elapsed().saturating_sub(self.every));
        self.forget();
    }

    /// What the thread did since the last look took its time on purpose.
    pub(crate) fn forget(&mut self) {
        self.last = Instant::now();
    }
}

/// Notes a time without a CPU.
pub(crate) fn note(time: Duration) {
    if time > NEGLIGIBLE {
        HELD_UP_NS.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), SeqCst);
    }
}

/// Runs a test while a thread looks whether this process runs at all.
fn beside_a_sentinel(test: impl Fn()) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut looks = Looks::new(GLANCE);
            while !over.load(SeqCst) {
                thread::sleep(GLANCE);
                looks.look();
            }
        });
        let outcome = catch_unwind(AssertUnwindSafe(test));
        over.store(true, SeqCst);
        outcome.unwrap_or_else(|panic| resume_unwind(panic));
    });
}

/// Times without a CPU so far, added up, ns.
static HELD_UP_NS: AtomicU64 = AtomicU64::new(0);
const GLANCE: Duration = Duration::from_millis(10);
/// A scheduler that shares a CPU fairly makes anybody wait so long.
const NEGLIGIBLE: Duration = Duration::from_millis(20);
/// Every test stands this much.
const TOLERATED: Duration = Duration::from_millis(100);
/// As much of a failure that shows nothing is told.
const MOST_SAID: usize = 300;
/// A machine that holds somebody up in each of so many tries has no time for tests.
const TRIES: u32 = 20;
