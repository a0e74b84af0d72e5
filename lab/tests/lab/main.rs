//! The lab proved, and the reflector in it: real programs, real kernel NATs, nothing simulated.
//!
//! * First the lab itself: each NAT behaves as named, seen by plain sockets, and nothing is ever left behind.
//! * Then the reflector, end to end, one list of tests for every path that a datagram may take through it.
//! * Then everything together: access server, reflectors and endpoints as their users run them, the claim step by step.
//! * Without root, or a program or a path that is needed, a test is `ignored` and says why; with the variable
//!   NOTHING_IGNORED set, it fails and says why.
//! * Correctness only, never speed: waits are bounds, not measurements.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod absence;
mod access_server;
mod cables;
mod calls;
mod changes;
mod conversation;
mod daemon;
mod endpoint;
mod examples;
mod generator;
mod grid;
mod leftovers;
mod loops;
mod member;
mod nat_behaviour;
mod operation;
mod site;
mod story;
mod strangers;
mod stun;
mod talk;
mod tunnel;
mod tutorial;

use daemon::Path;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::OnceLock;

/// A test: its name and what it does; it panics when it fails.
type Test = (String, Box<dyn FnOnce() + Send>);

/// What a test does with a reflector, over one of its paths.
type OnPath = fn(Path);

fn main() -> ExitCode {
    if leftovers::is_victim() {
        return leftovers::be_victim();
    }
    let mut arguments = Arguments::from_args();
    // Most of a test's time is waiting for silence.
    arguments.test_threads.get_or_insert(4);
    let of_the_lab = [nat_behaviour::tests(), cables::tests(), leftovers::tests()].into_iter().flatten();
    let mut trials: Vec<Trial> = of_the_lab.map(|test| trial(test, &[lacks_for_a_lab])).collect();
    let of_a_path = [conversation::tests, strangers::tests, loops::tests, operation::tests, generator::tests];
    let over = |path: Path| of_a_path.into_iter().flat_map(move |tests| tests(path));
    trials.extend(over(Path::Socket).map(|test| trial(test, &[lacks_for_a_lab])));
    trials.extend(over(Path::Xdp).map(|test| trial(test, &[lacks_for_a_lab, daemon::lacks_xdp])));
    let asked = |test| trial(test, &[lacks_for_a_lab, stun::lacks_coturn]);
    let asked_over_xdp = |test| trial(test, &[lacks_for_a_lab, daemon::lacks_xdp, stun::lacks_coturn]);
    trials.extend(stun::tests(Path::Socket).into_iter().map(asked));
    trials.extend(stun::tests(Path::Xdp).into_iter().map(asked_over_xdp));
    let aioice = stun::aioice_tests(Path::Socket).into_iter();
    trials.extend(aioice.map(|test| trial(test, &[lacks_for_a_lab, stun::lacks_aioice])));
    let of_sessions = [story::tests, calls::tests, changes::tests, absence::tests, grid::tests]
        .into_iter()
        .flat_map(|tests| tests(Path::Socket));
    trials.extend(of_sessions.map(|test| trial(test, &[lacks_for_a_lab])));
    let story = story::tests(Path::Xdp).into_iter();
    trials.extend(story.map(|test| trial(test, &[lacks_for_a_lab, daemon::lacks_xdp])));
    trials.extend(over_tunnel(Path::Socket, &[lacks_for_a_lab, tunnel::lacks_iperf]));
    trials.extend(over_tunnel(Path::Xdp, &[lacks_for_a_lab, daemon::lacks_xdp, tunnel::lacks_iperf]));
    trials.extend(tutorial::tests().into_iter().map(|test| trial(test, &[lacks_for_a_lab])));
    trials.extend(examples::tests().into_iter().map(|(test, lacks)| trial(test, lacks)));
    let by_fib = test("xdp::neighbours_by_fib", || conversation::neighbours_by_fib(Path::Xdp));
    trials.push(trial(by_fib, &[lacks_for_a_lab, daemon::lacks_fib]));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Unmodified programs over a tunnel; the last of what may be lacking is iperf.
fn over_tunnel(path: Path, lacks: &'static [Lack]) -> impl Iterator<Item = Trial> {
    let without_iperf = lacks.split_last().map_or(lacks, |(_, others)| others);
    let quic = tunnel::tests(path).into_iter().map(move |test| trial(test, without_iperf));
    quic.chain(tunnel::iperf_tests(path).into_iter().map(move |test| trial(test, lacks)))
}

/// What is missing for something, in words.
type Lack = fn() -> Option<String>;

fn lacks_for_a_lab() -> Option<String> {
    static MISSING: OnceLock<Option<String>> = OnceLock::new();
    MISSING.get_or_init(lab::missing).clone()
}

/// A trial that runs unless something is lacking, asked when its turn comes.
fn trial((name, work): Test, lacks: &'static [Lack]) -> Trial {
    Trial::ignorable_test(name, move || match lacks.iter().find_map(|lack| lack()) {
        Some(reason) if std::env::var_os(NOTHING_IGNORED).is_some() => {
            Err(Failed::from(format!("{reason}; and {NOTHING_IGNORED} is set")))
        }
        Some(reason) => Ok(Completion::ignored_with(reason)),
        None => {
            let outcome = catch_unwind(AssertUnwindSafe(work)).map(|()| Completion::Completed);
            outcome.map_err(|panic| {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or(panic.downcast_ref::<&str>().copied());
                Failed::from(text.unwrap_or("a panic without words"))
            })
        }
    })
}

/// A test by its name.
fn test(name: impl Into<String>, work: impl FnOnce() + Send + 'static) -> Test {
    (name.into(), Box::new(work))
}

/// Says a figure on standard error, for whoever reads a run; nothing is judged by it.
#[allow(clippy::print_stderr)]
fn figure(line: std::fmt::Arguments<'_>) {
    eprintln!("figure: {line}");
}

/// Set where everything must be there.
const NOTHING_IGNORED: &str = "NOTHING_IGNORED";
