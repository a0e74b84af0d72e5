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

pub mod acceleration;
pub mod accelerator;
pub mod admin;
pub mod args;
pub mod check;
pub mod choice;
pub mod commands;
pub mod config;
pub mod control;
pub mod counters;
pub mod crew;
pub mod daemon;
pub mod explain;
pub mod fastpath;
pub mod figures;
pub mod finding;
pub mod findings;
pub mod host;
pub mod kernel_config;
pub mod keygen;
pub mod metrics;
pub mod probe;
pub mod rates;
pub mod reload;
pub mod settings;
pub mod shared;
pub mod status;
pub mod stun;
pub mod stun_refusal;
pub mod stun_settings;
pub mod stun_sockets;
pub mod worker;
pub mod xdp_command;
pub mod xdp_findings;
