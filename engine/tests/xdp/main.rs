//! The fast path against the decision that it mirrors: frames through BPF_PROG_TEST_RUN, no wire.
//!
//! * Needs root; without it, and without what else a test needs, it reports `ignored` with the reason.
//! * Links are in namespaces without a name, which go with the threads in them: nothing is left behind, however it ends.
//! * Checksums are verified by a computation of their own over whole frames.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod attach;
mod budgets;
mod frame;
mod links;
mod load;
mod load_arrivals;
mod load_frames;
mod load_runs;
mod object;
mod passes;
mod policy;
mod vectors;

use engine::xdp::{Config, Xdp, XdpError};
use harness::{Missing, Need, Suite};
use std::process::ExitCode;
use std::sync::OnceLock;

type Test = fn();

fn main() -> ExitCode {
    let mut suite = Suite::new();
    suite.add("object_is_made_of_its_sources", &[], object::is_made_of_its_sources);
    for (tests, needs) in [(FRAMES, &[programs as Need][..]), (LINKS, &[programs, links::missing])] {
        for (name, test) in tests {
            suite.add(*name, needs, *test);
        }
    }
    suite.run()
}

/// Why no program can be loaded here.
fn programs() -> Option<Missing> {
    static MISSING: OnceLock<Option<Missing>> = OnceLock::new();
    let look = || match Xdp::load("lo", &Config::new()) {
        Ok(_) => None,
        Err(XdpError::NotPermitted(_)) if !nix::unistd::geteuid().is_root() => {
            Missing::root("loading programs into the kernel")
        }
        Err(error) => Some(Missing::feature(error.to_string())),
    };
    MISSING.get_or_init(look).clone()
}

/// Tests of programs that are loaded and run on frames that no wire brought.
const FRAMES: &[(&str, Test)] = &[
    // The longest first, so that the others run beside it.
    ("policy_over_a_part_of_ipv4", policy::a_part_of_ipv4),
    ("vectors", vectors::all),
    ("revoked_among_many", vectors::revoked_among_many),
    ("wrong_checksums_stay_wrong", vectors::wrong_checksums_stay_wrong),
    ("absent_checksum_stays_absent", vectors::absent_checksum_stays_absent),
    ("unmodified_when_passed", passes::unmodified),
    ("next_hops", passes::next_hops),
    ("orphan_passes", passes::orphan),
    ("denied_source", passes::denied_source),
    ("wildcard_listener", passes::wildcard),
    ("reload", passes::reload),
    ("probe_budget", budgets::probe),
    ("probe_with_its_last_ticket", budgets::last_ticket),
    ("class_budget", budgets::class),
    ("too_many_blocks", budgets::too_many_blocks),
    ("clock_runs", budgets::clock_runs),
    ("policy_over_refused_ports", policy::refused_ports),
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
];

/// Tests on links, in network namespaces of their own.
const LINKS: &[(&str, Test)] = &[
    ("attached_and_detached", attach::and_detach),
    ("pinned_outlives_and_is_readopted", attach::pinned),
    ("refusals_say_what_is_right", attach::refusals),
    ("load_runs_end_to_end", load_runs::end_to_end),
    ("load_runs_of_two_workers", load_runs::two_workers),
    ("load_runs_are_cut", load_runs::cut),
    ("load_heads_are_never_torn", load_runs::heads_are_never_torn),
    ("load_runs_give_up", load_runs::give_up),
];
