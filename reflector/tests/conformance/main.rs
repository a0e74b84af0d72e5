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

use engine::kind::Kind;
use engine::uring::Mode;
use engine::uring_probe::probe;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let plain = |name: &str, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    let on_engine = |name: &str, kind: Kind, test: fn(Kind)| {
        Trial::ignorable_test(format!("{name}_{}", kind.as_str()), move || {
            let refusal = match kind {
                Kind::Mio => None,
                Kind::Uring(mode) => probe(mode).err(),
            };
            match refusal {
                Some(refusal) => Ok(Completion::ignored_with(refusal.to_string())),
                None => {
                    test(kind);
                    Ok(Completion::Completed)
                }
            }
        })
    };
    let uring = Kind::Uring(Mode::Best);
    let in_kernel = |name: &str, test: fn() -> Result<(), String>| {
        Trial::ignorable_test(name, move || match kernel::missing() {
            Some(missing) => Ok(Completion::ignored_with(missing)),
            None => test().map(|()| Completion::Completed).map_err(Failed::from),
        })
    };
    let trials = vec![
        plain("checksums_have_their_known_answers", checksum::known_answers),
        plain("vectors_on_the_reference", vectors::on_the_reference),
        plain("vectors_on_the_worker", vectors::on_the_worker),
        on_engine("vectors_over_sockets_by", Kind::Mio, sockets::vectors),
        on_engine("vectors_over_sockets_by", uring, sockets::vectors),
        plain("random_datagrams_on_the_worker", sockets::random_on_the_worker),
        on_engine("random_datagrams_over_sockets_by", Kind::Mio, sockets::random),
        on_engine("random_datagrams_over_sockets_by", uring, sockets::random),
        in_kernel("vectors_on_the_xdp_program", vectors::on_the_program),
        in_kernel("xdp_frames", differential::run),
        in_kernel("xdp_frames_one_step_from_good", vicinity::run),
        in_kernel("xdp_frames_control", differential::control),
        in_kernel("t3_all_ipv4_addresses_on_the_xdp_program", walk::run),
        in_kernel("t3_all_ipv4_addresses_control", walk::control),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}
