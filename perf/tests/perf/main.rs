//! Tests that start the real programs on loopback.
//!
//! * Correctness only: what was counted, lost and said, never how fast; a machine that is busy fails nothing here.
//! * Every program is ended whatever happens.
//! * Rates are a few thousand a second, runs a few seconds.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod command;
mod conservation;
mod failures;
mod stall;
mod sweep;

use harness::wait_until;
use lab::programs::found::Programs;
use lab::programs::generator::Load;
use lab::programs::interrupt::Interrupt;
use lab::programs::reflector::{Options, Reflector};
use lab::programs::relay::Counters;
use std::time::Duration;

/// The programs, and nobody who interrupts them.
struct Stage {
    programs: Programs,
    interrupt: Interrupt,
}

impl Stage {
    fn enter() -> Self {
        Self { programs: Programs::find().unwrap(), interrupt: Interrupt::never() }
    }

    fn reflector(&self, arguments: &[&str]) -> Reflector {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Reflector::start(&self.programs.reflector, &Options { cpus: Vec::new(), arguments }).unwrap()
    }
}

/// Waits until a reflector has relayed more than so many datagrams.
fn wait_for_relaying(reflector: &mut Reflector, before: u64) {
    wait_until("no datagram was relayed", || {
        Counters::of(&reflector.metrics().unwrap()).unwrap().relayed > before
    });
}

/// A small load without warm-up, so that everything sent is in the result.
fn load(endpoints: u32, rate_per_s: u64, duration_ms: u64) -> Load {
    Load {
        endpoints,
        nat: nat::Mix::default(),
        rate_per_s,
        arrivals: "uniform".to_owned(),
        payload_bytes: 168,
        duration: Duration::from_millis(duration_ms),
        warmup: Duration::ZERO,
        cpus: Vec::new(),
    }
}
