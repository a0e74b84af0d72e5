//! Waiting for a thing to happen, with a limit that only ends a hang.

use std::time::{Duration, Instant};

/// How long a test waits for what must come. Far beyond what the slowest machine needs, so reaching it means a hang.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until `met` holds; panics with `complaint` when [`PATIENCE`] is over.
#[track_caller]
pub fn wait_until(complaint: &str, met: impl FnMut() -> bool) {
    wait_until_or(met, || complaint.to_owned());
}

/// Waits until `met` holds; panics with what `complaint` says at that moment when [`PATIENCE`] is over.
#[track_caller]
#[expect(clippy::panic, reason = "a test that waited in vain has failed")]
pub fn wait_until_or(mut met: impl FnMut() -> bool, complaint: impl FnOnce() -> String) {
    let deadline = Instant::now() + PATIENCE;
    while !met() {
        if Instant::now() >= deadline {
            panic!("{} (waited {} s)", complaint(), PATIENCE.as_secs());
        }
        std::thread::sleep(POLL);
    }
}

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(5);
