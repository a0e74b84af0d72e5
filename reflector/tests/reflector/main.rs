//! The daemon seen from outside, and its worker measured from inside.
//!
//! * Every reflector is a real process with ports of its own, on loopback only, ended by its id.
//! * Senders wait for what they sent, so that a loss is the reflector's and not a full buffer's.
//! * Nothing here judges a time.
//! * What an engine does, every engine does: the same tests, by parameter. Where io_uring may not be used, those of
//!   it report `ignored` with the reason.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod allocation;
mod budget;
mod command_line;
mod conservation;
mod control;
mod deploy;
mod engines;
mod explain;
mod flood;
mod independent;
mod reach;
mod reload;
mod revoke;
mod rig;
mod rotation;
mod runbook;
mod stun;

use engine::socket::kind::Kind;
use engine::socket::uring::Mode;
use engine::socket::uring::probe::{Refusal, probe};
use harness::{Missing, Suite};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut suite = Suite::new();
    // Most of a test's time is waiting for processes and for silence.
    suite.threads(4);
    for (name, test) in ONCE {
        suite.add(*name, &[], *test);
    }
    suite.add(
        "engines::auto_takes_what_measured_best",
        &[no_best_engine],
        engines::auto_takes_what_measured_best,
    );
    for (name, test) in ON_IO_URING {
        suite.add(*name, &[no_io_uring], *test);
    }
    suite.add(
        "engines::where_memory_may_not_be_locked_auto_takes_epoll_before_a_worker_fails",
        &[no_best_engine, engines::no_limit_of_locked_memory],
        engines::where_memory_may_not_be_locked_auto_takes_epoll_before_a_worker_fails,
    );
    for (name, test) in ON_ENGINES {
        suite.add_if(format!("epoll::{name}"), || missing_ipv6(name), || test(Kind::Epoll));
        let missing = || no_io_uring().or_else(|| missing_ipv6(name));
        suite.add_if(format!("uring::{name}"), missing, || test(Kind::Uring(Mode::Best)));
    }
    suite.run()
}

/// Why a test of both families cannot run here.
fn missing_ipv6(name: &str) -> Option<Missing> {
    OF_BOTH_FAMILIES.contains(&name).then(Missing::ipv6).flatten()
}

/// Why io_uring may not be used here.
fn no_io_uring() -> Option<Missing> {
    refused(Mode::Best)
}

/// Why the mode that `auto` takes may not be used here.
fn no_best_engine() -> Option<Missing> {
    refused(Mode::Deferred)
}

/// Why a mode of io_uring may not be used here. A lack of memory counts only if it lasts: against an ordinary user's limit
/// the rings of other tests count as well, some until after their end.
fn refused(mode: Mode) -> Option<Missing> {
    let mut refusal = probe(mode).err();
    for _ in 0..100 {
        if refusal != Some(Refusal::Memory) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
        refusal = probe(mode).err();
    }
    refusal.map(|refusal| Missing::feature(refusal.to_string()))
}

/// Names and functions of tests, so that neither can be given without the other.
macro_rules! named {
    ($($module:ident::$test:ident,)*) => {
        &[$((concat!(stringify!($module), "::", stringify!($test)), $module::$test)),*]
    };
}

type Named<T> = &'static [(&'static str, T)];

const ONCE: Named<fn()> = named![
    allocation::t19_ten_million_decisions_allocate_nothing,
    allocation::t19_a_million_stun_requests_allocate_nothing,
    command_line::a_malformed_flag_is_named_with_what_would_be_right,
    command_line::a_malformed_variable_is_named,
    command_line::a_malformed_file_is_named_with_its_line,
    command_line::a_malformed_ring_is_named_with_its_line_and_never_shown,
    command_line::an_address_that_cannot_be_had_is_named,
    command_line::a_ring_that_may_not_be_read_is_named,
    command_line::flags_win_over_variables_over_the_file_over_defaults,
    command_line::check_names_what_to_mend_and_the_command,
    command_line::keygen_prints_rings_that_run_accepts_and_no_two_alike,
    command_line::probe_measures_and_says_why_nothing_answers,
    command_line::help_and_version_are_data,
    conservation::every_sample_is_there_from_the_start,
    control::a_drain_ends_when_its_time_is_up_or_at_the_second_signal,
    control::idle_admin_connections_stop_no_scrape_no_reload_and_no_clock,
    control::systemd_is_told_of_every_state,
    control::an_interrupt_ends_with_130,
    control::config_shows_settings_and_their_origin_and_no_secret,
    deploy::dashboard_and_alerts_name_only_what_is_exported,
    deploy::every_alert_says_what_to_do_and_names_its_row,
    deploy::kernel_settings_are_those_that_check_names,
    deploy::the_unit_waits_longer_than_a_drain,
    deploy::the_installed_configuration_runs_once_it_has_an_address,
    deploy::the_container_is_built_by_our_compiler_and_runs_as_nobody,
    engines::where_io_uring_is_forbidden_auto_takes_epoll_and_says_why_in_one_line,
    engines::where_io_uring_is_forbidden_a_demand_for_it_is_refused_with_78,
    engines::check_says_which_engine_would_run_and_why,
    explain::the_first_check_that_fails_is_the_one_that_the_vectors_name,
    explain::an_old_capability_is_called_one,
    explain::a_malformed_question_is_one_line,
    explain::stun_is_explained_where_it_is_on,
    reload::deny_lists_follow_a_reload,
    reload::a_refused_reload_changes_nothing_and_says_why,
    reload::what_needs_a_restart_is_named_and_stays,
    revoke::a_full_table_says_so,
    revoke::revoking_is_refused_where_a_token_would_travel_in_the_clear,
    revoke::the_command_says_what_is_wrong,
    revoke::what_is_not_asked_rightly_is_refused_with_a_problem,
    runbook::every_metric_reason_and_error_has_its_row,
    stun::an_alternate_that_cannot_be_one_is_refused,
];

const ON_IO_URING: Named<fn()> = named![engines::a_thread_of_the_kernel_serves_as_well,];

const ON_ENGINES: Named<fn(Kind)> = named![
    allocation::t19_a_million_datagrams_through_a_socket_allocate_nothing,
    allocation::t19_descriptors_and_memory_are_those_of_the_start,
    budget::a_prefix_gets_its_budget_of_answers_and_no_more,
    budget::a_class_gets_its_rate_per_source_and_an_answer_spends_the_askers_class,
    conservation::received_is_relayed_observed_dropped_or_unsent,
    control::a_drain_goes_on_serving_until_traffic_has_gone,
    control::the_ready_line_says_what_runs,
    flood::t13_sends_to_dead_ports_lose_no_good_datagram,
    flood::t15_every_length_and_empty_datagrams,
    flood::t10_ten_times_as_much_junk_costs_no_good_datagram,
    flood::t20_a_flood_of_junk_writes_nothing_to_the_log,
    independent::an_independent_client_probes_mints_relays_and_answers,
    independent::an_independent_client_talks_both_ways_sealed,
    independent::what_proves_nothing_is_answered_with_nothing,
    reach::ipv4_and_ipv6_endpoints_reach_each_other,
    reach::without_a_socket_of_its_family_a_destination_is_refused,
    reach::a_wildcard_listener_answers_from_the_address_that_was_called,
    reach::t5_the_reflector_does_not_send_to_itself,
    reach::t22_the_admin_server_cannot_be_reached_through_the_relay,
    revoke::t33_a_restart_forgets_nothing,
    revoke::t33_a_running_conversation_ends_within_a_second,
    revoke::t33_what_is_revoked_is_relayed_no_more_and_everybody_else_is,
    rotation::t8_rotations_under_load_refuse_nothing_valid_and_accept_nothing_retired,
    stun::binding_says_what_is_seen_and_nothing_more,
    stun::each_corner_answers_for_every_other,
    stun::without_a_second_address_a_change_is_rejected,
    stun::nothing_but_requests_is_answered,
    stun::t5_what_is_answered_is_taken_from_nobody,
    stun::a_crowd_is_answered_each_its_own,
    stun::a_prefix_gets_its_budget_apart_from_probes,
    stun::off_it_is_junk_like_any_other,
];

const OF_BOTH_FAMILIES: &[&str] = &[
    "conservation::received_is_relayed_observed_dropped_or_unsent",
    "independent::an_independent_client_talks_both_ways_sealed",
    "reach::ipv4_and_ipv6_endpoints_reach_each_other",
    "reach::a_wildcard_listener_answers_from_the_address_that_was_called",
    "reach::t5_the_reflector_does_not_send_to_itself",
    "reach::t22_the_admin_server_cannot_be_reached_through_the_relay",
    "stun::binding_says_what_is_seen_and_nothing_more",
];
