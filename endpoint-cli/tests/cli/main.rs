//! The program on loopback: what it prints, what it writes, and its exit codes.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod cli;
mod folder;
#[allow(dead_code, reason = "what only simulated worlds ask of it")]
#[path = "../../../peer/tests/peer/server.rs"]
mod server;
#[allow(dead_code, reason = "what only the library's tests ask of it")]
#[path = "../../../endpoint/tests/endpoint/site.rs"]
mod site;
