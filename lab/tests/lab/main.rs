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

mod busy;
mod datagrams;
mod guides;
mod network;
mod people;

use datagrams::daemon::{self, Path};
use datagrams::{conversation, generator, loops, operation, strangers, stun};
use guides::{examples, tutorial};
use harness::{Missing, Need, Suite, Work};
use network::{cables, leftovers, nat_behaviour};
use people::{absence, calls, changes, grid, hiding, story, tunnel};
use std::process::ExitCode;
use std::sync::OnceLock;

/// A test: its name and what it does; it panics when it fails.
type Test = (String, Work);

/// What a test does with a reflector, over one of its paths.
type OnPath = fn(Path);

fn main() -> ExitCode {
    if leftovers::is_victim() {
        return leftovers::be_victim();
    }
    let mut suite = Suite::new();
    // Most of a test's time is waiting for silence.
    suite.threads(4);
    let mut add = |needs: &[Need], tests: Vec<Test>| {
        tests.into_iter().for_each(|(name, work)| suite.add(name, needs, work));
    };
    // The longest first, so that the others run beside them: most of their time passes in waiting.
    for tests in [absence::tests, grid::tests, calls::tests, changes::tests] {
        add(&[lab], tests(Path::Socket));
    }
    add(&[lab], nat_behaviour::tests());
    add(&[lab], cables::tests());
    add(&[lab], leftovers::tests());
    for path in [Path::Socket, Path::Xdp] {
        add(needs(path), conversation::tests(path));
        add(needs(path), strangers::tests(path));
        add(needs(path), loops::tests(path));
        add(needs(path), operation::tests(path));
        add(needs(path), generator::tests(path));
        add(&[needs(path), &[stun::coturn]].concat(), stun::tests(path));
        add(needs(path), hiding::tests(path));
        add(needs(path), story::tests(path));
        add(needs(path), tunnel::tests(path));
        add(&[needs(path), &[tunnel::iperf_2]].concat(), tunnel::iperf_tests(path));
    }
    add(&[lab, stun::aioice], stun::aioice_tests(Path::Socket));
    add(&[lab], tutorial::tests());
    examples::tests().into_iter().for_each(|(test, needs)| add(needs, vec![test]));
    let by_fib = test("xdp::neighbours_by_fib", || conversation::neighbours_by_fib(Path::Xdp));
    add(&[lab, daemon::fib], vec![by_fib]);
    suite.run()
}

/// What every test over this path needs.
fn needs(path: Path) -> &'static [Need] {
    match path {
        Path::Socket => &[lab],
        Path::Xdp => &[lab, daemon::xdp],
    }
}

/// Namespaces, and the programs that join and shape them.
fn lab() -> Option<Missing> {
    static MISSING: OnceLock<Option<Missing>> = OnceLock::new();
    let missing = MISSING.get_or_init(|| {
        let both = Missing::both(Missing::root("network namespaces"), Missing::programs(&::lab::PROGRAMS));
        both.or_else(|| ::lab::missing().map(Missing::feature))
    });
    missing.clone()
}

/// A test by its name, which is repeated if it fails while the machine is busy.
fn test(name: impl Into<String>, work: impl Fn() + Send + 'static) -> Test {
    (name.into(), Box::new(move || busy::unless_busy(&work)))
}

/// Says a figure on standard error, for people who read a run; nothing is judged by it.
#[allow(clippy::print_stderr)]
fn figure(line: std::fmt::Arguments<'_>) {
    eprintln!("figure: {line}");
}
