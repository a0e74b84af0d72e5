//! The XDP fast path: a program on each interface named, kept equal to rules, routes and clock.
//!
//! * The sockets serve whatever no program serves: losing a program loses no datagram.

pub mod config;
pub mod figures;
pub mod findings;
pub mod host;
pub mod program;
pub mod programs;
pub mod settings;
