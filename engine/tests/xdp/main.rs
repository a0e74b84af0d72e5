//! The fast path against the decision that it mirrors: frames through BPF_PROG_TEST_RUN, no wire.
//!
//! * Needs root; without it every test is reported as ignored, with the reason.
//! * Checksums are verified by a computation of their own over whole frames.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod attach;
mod budgets;
mod frame;
mod load;
mod load_arrivals;
mod load_frames;
mod load_runs;
mod object;
mod passes;
mod policy;
mod vectors;

use libtest_mimic::{Arguments, Failed, Trial};
use std::process::ExitCode;

type Test = fn();

fn main() -> ExitCode {
    let permitted = engine::xdp::Xdp::load("lo", &engine::xdp::Config::new()).map(drop);
    let trial = |(name, test): (&'static str, Test)| {
        let denied = permitted.as_ref().err().filter(|_| needs_root(name)).map(ToString::to_string);
        let name = denied.as_ref().map_or(name.to_owned(), |why| format!("{name} (ignored: {why})"));
        let run = move || std::panic::catch_unwind(test).map_err(|_| Failed::without_message());
        Trial::test(name, run).with_ignored_flag(denied.is_some())
    };
    let tests = TESTS.into_iter().map(trial).collect();
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

fn needs_root(name: &str) -> bool {
    !name.starts_with("object")
}

const TESTS: [(&str, Test); 39] = [
    ("object_is_made_of_its_sources", object::is_made_of_its_sources),
    ("vectors", vectors::all),
    ("wrong_checksums_stay_wrong", vectors::wrong_checksums_stay_wrong),
    ("absent_checksum_stays_absent", vectors::absent_checksum_stays_absent),
    ("unmodified_when_passed", passes::unmodified),
    ("next_hops", passes::next_hops),
    ("orphan_passes", passes::orphan),
    ("denied_source", passes::denied_source),
    ("wildcard_listener", passes::wildcard),
    ("reload", passes::reload),
    ("probe_budget", budgets::probe),
    ("class_budget", budgets::class),
    ("too_many_blocks", budgets::too_many_blocks),
    ("clock_runs", budgets::clock_runs),
    ("policy_over_a_part_of_ipv4", policy::a_part_of_ipv4),
    ("policy_over_refused_ports", policy::refused_ports),
    ("attached_and_detached", attach::and_detach),
    ("pinned_outlives_and_is_readopted", attach::pinned),
    ("refusals_say_what_is_right", attach::refusals),
    ("load_frames_are_exact", load_frames::exact),
    ("load_even_gaps_never_drift", load_frames::even_gaps),
    ("load_bursts", load_frames::bursts),
    ("load_poisson", load_frames::poisson),
    ("load_faults", load_frames::faults),
    ("load_heads_in_force", load_frames::heads_in_force),
    ("load_phases_of_sending", load_frames::phases),
    ("load_refusals", load_frames::refusals),
    ("load_a_million_flows", load_frames::a_million_flows),
    ("load_arrivals_expected_and_foreign", load_arrivals::expected_and_foreign),
    ("load_sequences", load_arrivals::sequences),
    ("load_latencies_as_a_histogram", load_arrivals::latencies),
    ("load_lags_as_a_histogram", load_arrivals::lags),
    ("load_phases_of_arriving", load_arrivals::phases),
    ("load_contacts_of_another_family", load_arrivals::contacts_of_another_family),
    ("load_runs_end_to_end", load_runs::end_to_end),
    ("load_runs_of_two_workers", load_runs::two_workers),
    ("load_runs_are_cut", load_runs::cut),
    ("load_heads_are_never_torn", load_runs::heads_are_never_torn),
    ("load_runs_give_up", load_runs::give_up),
];
