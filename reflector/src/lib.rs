//! The stateless reflector daemon: configuration, workers, counters, admin server, reload, drain.
//!
//! ```text
//! commands   what is typed: run, check, probe, explain, keygen, xdp
//! run        daemon -> worker (one per CPU, on an engine), control loop, reload, metrics
//! fast_path  the XDP program in front of the sockets
//! stun       STUN on the same sockets
//! rules      ring, policy and limits, and the rates that they allow
//! ```
//!
//! * A room uses those below it; beside them lie settings, configuration, the choice of an engine, and counters.
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
