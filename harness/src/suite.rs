//! A binary's tests: each with what it needs, run by libtest-mimic, which can report `ignored` with a reason.
//!
//! * With the variable `NOTHING_IGNORED` set, a test that cannot run fails instead of being ignored.
//! * What was ignored is recorded for the last line of `cargo test --workspace`, and how long each test took for CI.

use crate::need::{Missing, Need};
use crate::record::{record, record_time};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

/// What a test does; it panics if it fails.
pub type Work = Box<dyn FnOnce() + Send>;

/// The tests of one binary.
pub struct Suite {
    arguments: Arguments,
    trials: Vec<Trial>,
}

impl Suite {
    /// An empty suite that obeys the command line, which is libtest's.
    #[expect(clippy::new_without_default, reason = "it reads the command line, which no default should")]
    pub fn new() -> Self {
        Self { arguments: Arguments::from_args(), trials: Vec::new() }
    }

    /// Runs this many tests at a time unless the command line says otherwise.
    pub fn threads(&mut self, threads: usize) {
        self.arguments.test_threads.get_or_insert(threads);
    }

    /// Adds a test that runs if none of `needs` is missing.
    pub fn add(&mut self, name: impl Into<String>, needs: &[Need], work: impl FnOnce() + Send + 'static) {
        let needs = needs.to_vec();
        self.add_if(name, move || needs.iter().find_map(|need| need()), work);
    }

    /// Adds a test that runs if `missing` says `None` when the test's turn comes.
    pub fn add_if(
        &mut self,
        name: impl Into<String>,
        missing: impl FnOnce() -> Option<Missing> + Send + 'static,
        work: impl FnOnce() + Send + 'static,
    ) {
        let name = name.into();
        self.trials.push(Trial::ignorable_test(name.clone(), move || match missing() {
            Some(missing) if std::env::var_os(NOTHING_IGNORED).is_some() => {
                Err(Failed::from(format!("{}; and {NOTHING_IGNORED} is set", missing.reason)))
            }
            Some(missing) => {
                record(&missing);
                Ok(Completion::ignored_with(missing.reason))
            }
            None => run(&name, work),
        }));
    }

    /// Runs the tests that the command line chose.
    pub fn run(self) -> ExitCode {
        libtest_mimic::run(&self.arguments, self.trials).exit_code()
    }
}

/// Runs one test; a panic is its failure, in the panic's own words.
fn run(name: &str, work: impl FnOnce()) -> Result<Completion, Failed> {
    let start = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(work)).map(|()| Completion::Completed);
    record_time(name, start.elapsed());
    outcome.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        Failed::from(text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words"))
    })
}

/// Set where everything must be there, as in CI.
const NOTHING_IGNORED: &str = "NOTHING_IGNORED";
