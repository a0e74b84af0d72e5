//! The stateless reflector daemon: configuration, workers, counters, admin server, reload, drain.
//!
//! ```text
//! settings -> args -> config -> daemon -> worker (one per CPU, on an engine)
//!                                               |         | reads shared, writes counters
//!                                               +-> control: signals, clock, reload, drain, admin, metrics
//! ```
//!
//! * Workers share rules, the clock's offset and nothing else; whatever a datagram needs is in the datagram.
//! * Nothing is started before everything is open; a failure is one line and an exit code.
//! * Knows no accounts and no endpoints; how datagrams move is the engine's, what they mean is the wire's.

#![forbid(unsafe_code)]

pub mod choice;
pub mod commands;
pub mod config;
pub mod counters;
pub mod fast_path;
pub mod finding;
pub mod rules;
pub mod run;
pub mod settings;
pub mod stun;
