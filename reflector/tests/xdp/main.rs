//! The daemon with the XDP fast path on an interface, in network namespaces of the test's own.
//!
//! ```text
//!   the reflector's namespace             the endpoints' namespace
//!   daemon -- r0 (XDP, native) == veth == p0 (an XDP program that passes, tx checksums off) -- sockets
//! ```
//!
//! * Needs root; without it every test reports itself `ignored`, with the reason.
//! * Namespaces have no name and live as long as a thread or a descriptor of the test: nothing is left behind, however it
//!   ends. What ip(8) or the daemon pins is in a BPF file system of the test's own.
//! * Addresses look like the Internet's and exist inside the namespaces only.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[allow(dead_code)] // Shared with the suite that needs no root.
#[path = "../reflector/rig/daemon.rs"]
mod daemon;
mod lifecycle;
mod limits;
#[allow(dead_code)]
#[path = "../reflector/rig/page.rs"]
mod page;
mod paths;
#[allow(dead_code)]
#[path = "../reflector/rig/protocol.rs"]
mod protocol;
mod spaces;

use harness::Suite;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut suite = Suite::new();
    // Most of a test's time is waiting for processes and for silence.
    suite.threads(4);
    for (name, test) in TESTS {
        suite.add(name, &[spaces::missing], move || spaces::apart(test));
    }
    suite.run()
}

const TESTS: [(&str, fn()); 14] = [
    ("probes_and_sends_are_answered_at_the_driver", paths::at_the_driver),
    ("what_the_program_passes_is_served_by_the_sockets", paths::passed),
    ("a_gateway_is_used_once_the_kernel_knows_it", paths::gateway),
    ("generic_mode_serves_as_well", paths::generic),
    ("a_reload_holds_at_the_driver", lifecycle::reload),
    ("a_reload_that_does_not_fit_changes_nothing", lifecycle::reload_refused),
    ("an_interface_that_comes_back_gets_a_program", lifecycle::interface_comes_back),
    ("a_new_address_of_the_host_is_its_own_at_the_driver", lifecycle::new_address),
    ("t22_a_whole_local_prefix_is_this_hosts_own", lifecycle::whole_prefix),
    ("check_names_the_networks_that_this_host_is_in", lifecycle::connected),
    ("t17_killed_and_restarted_loses_nothing", lifecycle::killed_and_restarted),
    ("a_stop_takes_the_program_off", lifecycle::stop),
    ("status_and_detach_need_no_daemon", lifecycle::status_and_detach),
    ("what_does_not_fit_is_refused_with_the_count", limits::too_much),
];
