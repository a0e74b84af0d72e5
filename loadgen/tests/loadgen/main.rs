//! The program from outside: what it refuses, and what it finds at reflectors that do right and wrong.
//!
//! * Traffic stays on loopback; runs come one after the other, so that they do not starve each other.
//! * A run during which the machine kept somebody waiting shows nothing and is repeated (`held_up`).
//! * Nothing here judges a time that was not injected.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod bad_input;
mod echo;
mod held_up;
mod mishaps;
mod population;
mod runs;
mod search;
mod set_clock;
mod shapes;
mod steady;
