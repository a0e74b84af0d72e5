//! Integration tests of `engine` on real sockets, one binary. Loopback only.
//!
//! * What an engine does, every engine does: the same tests, by parameter. `epoll::` or `uring::` before a name says which.
//! * Where io_uring may not be used, its tests report `ignored` with the reason.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::cast_possible_truncation)]

mod groups;
mod limits;
mod refused;
mod rig;
mod serving;
mod trains;

use engine::socket::kind::Kind;
use engine::socket::uring::Mode;
use engine::socket::uring::probe::{Refusal, probe};
use harness::{Missing, Suite};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut suite = Suite::new();
    for (name, test) in ONCE {
        suite.add_if(*name, || missing_ipv6(name), *test);
    }
    for (name, test) in UNDER_A_FILTER {
        suite.add(*name, &[switched_off], *test);
    }
    suite.add("refused::a_filter_that_forbids_one_of_its_calls_is_noticed", &[no_io_uring], || {
        refused::a_filter_that_forbids_one_of_its_calls_is_noticed();
    });
    for (prefix, kind) in KINDS.into_iter().chain(SLOWER_MODES) {
        add_on_engine(&mut suite, prefix, kind, ON_ENGINES);
    }
    for (prefix, kind) in KINDS {
        add_on_engine(&mut suite, prefix, kind, LONG_ON_ENGINES);
    }
    suite.run()
}

fn add_on_engine(suite: &mut Suite, prefix: &str, kind: Kind, tests: Named<fn(Kind)>) {
    for (name, test) in tests {
        suite.add_if(
            format!("{prefix}::{name}"),
            move || missing(kind).or_else(|| missing_ipv6(name)),
            move || test(kind),
        );
    }
}

/// Why a test of both families cannot run here.
fn missing_ipv6(name: &str) -> Option<Missing> {
    OF_BOTH_FAMILIES.contains(&name).then(Missing::ipv6).flatten()
}

/// Why an engine may not run here.
fn missing(kind: Kind) -> Option<Missing> {
    match kind {
        Kind::Epoll => None,
        Kind::Uring(mode) => refused(mode),
    }
}

fn refused(mode: Mode) -> Option<Missing> {
    judged(mode).err().map(|refusal| Missing::feature(refusal.to_string()))
}

/// Whether a mode of io_uring may be used here. A lack of memory counts only if it lasts: against an ordinary user's limit
/// the rings of other tests count as well, some until after their end.
fn judged(mode: Mode) -> Result<(), Refusal> {
    let mut judged = probe(mode);
    for _ in 0..100 {
        if judged != Err(Refusal::Memory) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
        judged = probe(mode);
    }
    judged
}

fn no_io_uring() -> Option<Missing> {
    missing(Kind::Uring(Mode::Best))
}

/// A host that has switched io_uring off says so whatever a filter forbids.
fn switched_off() -> Option<Missing> {
    match judged(Mode::Best) {
        Err(refusal @ Refusal::Disabled(_)) => Some(Missing::feature(refusal.to_string())),
        _ => None,
    }
}

/// Names and functions of tests, so that neither can be given without the other.
macro_rules! named {
    ($($module:ident::$test:ident,)*) => {
        &[$((concat!(stringify!($module), "::", stringify!($test)), $module::$test)),*]
    };
}

const KINDS: [(&str, Kind); 2] = [("epoll", Kind::Epoll), ("uring", Kind::Uring(Mode::Best))];

/// What older kernels fall back to, and what is asked for by name.
const SLOWER_MODES: [(&str, Kind); 3] = [
    ("uring_cooperative", Kind::Uring(Mode::Cooperative)),
    ("uring_plain", Kind::Uring(Mode::Plain)),
    ("uring_sqpoll", Kind::Uring(Mode::Polled)),
];

type Named<T> = &'static [(&'static str, T)];

const ONCE: Named<fn()> = named![
    groups::a_group_shares_one_port,
    groups::t12_a_port_in_use_is_refused_even_to_the_same_user,
    groups::an_address_that_no_interface_has_is_refused_with_its_name,
    groups::ipv6_sockets_take_ipv6_only,
    groups::steering_by_cpu_serves_a_datagram_where_it_arrived,
    trains::t16_any_split_of_a_million_equals_one_by_one,
];

const UNDER_A_FILTER: Named<fn()> =
    named![refused::a_filter_that_forbids_io_uring_is_named, refused::a_filter_that_hides_io_uring_is_named,];

const ON_ENGINES: Named<fn(Kind)> = named![
    serving::a_datagram_comes_back_from_the_address_that_was_called,
    serving::a_wildcard_listener_answers_from_the_address_that_was_called,
    serving::a_datagram_crosses_families_through_the_partner_socket,
    serving::without_a_partner_a_datagram_to_the_other_family_is_an_error_and_no_more,
    serving::a_longer_answer_leaves_from_the_scratch,
    serving::t15_every_length_comes_back_whole,
    serving::t15_what_the_buffer_cuts_says_so,
    serving::a_stopped_worker_gives_its_sockets_back_with_what_they_queued,
    trains::t16_every_mask_of_a_train_is_decided_datagram_by_datagram,
    trains::trains_of_mixed_destinations_are_sorted_out_in_order,
    trains::a_train_that_is_relayed_arrives_as_a_train,
    limits::a_worker_with_room_for_one_message_serves_all,
    limits::every_longer_answer_of_a_train_leaves,
    limits::a_stop_loses_nothing,
    limits::a_handler_that_panics_leaves_nothing_behind,
    limits::a_stopped_workers_port_is_free,
];

const LONG_ON_ENGINES: Named<fn(Kind)> = named![
    serving::t15_a_million_empty_datagrams_are_a_million_datagrams,
    serving::t13_dead_ports_cost_nothing_but_themselves,
    serving::the_kernel_says_what_a_full_queue_cost,
    serving::a_stopper_that_is_dropped_at_once_has_stopped_its_worker,
];

const OF_BOTH_FAMILIES: &[&str] = &[
    "groups::ipv6_sockets_take_ipv6_only",
    "serving::a_datagram_comes_back_from_the_address_that_was_called",
    "serving::a_datagram_crosses_families_through_the_partner_socket",
];
