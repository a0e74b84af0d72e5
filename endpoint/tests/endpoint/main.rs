//! The client library on loopback: its sockets, HTTP and TLS, and the examples that its README shows.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod loopback;
mod readme;
#[allow(dead_code, reason = "what only simulated worlds ask of it")]
#[path = "../../../peer/tests/peer/server.rs"]
mod server;
mod site;
