//! One conformance suite: the same datagrams in, the same bytes and reasons out, whatever serves them.
//!
//! ```text
//!   docs/vectors ──┐                       ┌─ reference   wire::decide and budgets
//!                  ├─ datagrams, frames ──►├─ worker      the daemon's handler, called directly
//!   random scenes ─┘                       ├─ loopback    the handler on every socket engine
//!                                          └─ kernel      the XDP program, BPF_PROG_TEST_RUN
//! ```
//!
//! * Every subject is held to the reference; the program also to a model of frames written from the documents.
//! * What lacks root or a kernel feature reports itself `ignored`, with the reason.
//! * Counters close after every run: received == relayed + observed + drops by reason (+ passed).
//! * The long run: `CONFORMANCE_CASES=10000000 cargo test -p reflector --test conformance -- xdp_frames`.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::print_stderr)]

mod arrivals;
mod budget;
mod checksum;
mod datagrams;
mod differential;
mod frame;
mod kernel;
mod loopback;
mod model;
mod outcome;
mod random;
mod reference;
mod scene;
mod setup;
mod sockets;
mod vectors;
mod vicinity;
mod walk;
mod worker;

use engine::socket::kind::Kind;
use engine::socket::uring::Mode;
use engine::socket::uring::probe::{Refusal, probe};
use harness::{Missing, Suite};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut suite = Suite::new();
    suite.add("checksums_have_their_known_answers", &[], checksum::known_answers);
    suite.add("vectors_on_the_reference", &[], vectors::on_the_reference);
    suite.add("vectors_on_the_worker", &[], vectors::on_the_worker);
    add_on_engines(&mut suite, "vectors_over_sockets_by", sockets::vectors);
    suite.add("random_datagrams_on_the_worker", &[], sockets::random_on_the_worker);
    add_on_engines(&mut suite, "random_datagrams_over_sockets_by", sockets::random);
    for (name, test) in IN_THE_KERNEL {
        suite.add(name, &[kernel::missing], move || test().unwrap_or_else(|words| panic!("{words}")));
    }
    suite.run()
}

fn add_on_engines(suite: &mut Suite, name: &str, test: fn(Kind)) {
    for kind in [Kind::Epoll, Kind::Uring(Mode::Best)] {
        suite.add_if(format!("{name}_{}", kind.as_str()), move || missing(kind), move || test(kind));
    }
}

/// Why an engine may not run here.
fn missing(kind: Kind) -> Option<Missing> {
    // The reflector of these tests listens on both families.
    Missing::ipv6().or_else(|| match kind {
        Kind::Epoll => None,
        Kind::Uring(mode) => refused(mode),
    })
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

type Compared = fn() -> Result<(), String>;

const IN_THE_KERNEL: [(&str, Compared); 6] = [
    ("vectors_on_the_xdp_program", vectors::on_the_program),
    ("xdp_frames", differential::run),
    ("xdp_frames_one_step_from_good", vicinity::run),
    ("xdp_frames_control", differential::control),
    ("t3_all_ipv4_addresses_on_the_xdp_program", walk::run),
    ("t3_all_ipv4_addresses_control", walk::control),
];
