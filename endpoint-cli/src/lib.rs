//! The program `reflector-endpoint`: what was typed, done with the endpoint library.
//!
//! * Each command is a module; `up` is what a running endpoint does, and `control` how others ask it.
//! * Everything about paths and presence is the library's; here it is only shown.
#![forbid(unsafe_code)]

pub mod args;
pub mod control;
pub mod enrol;
pub mod failure;
pub mod nat_command;
pub mod program;
pub mod questions;
pub mod snapshot;
pub mod tunnel;
pub mod up;
