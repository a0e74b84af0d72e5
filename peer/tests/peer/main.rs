//! Cores wired to each other through simulated NATs, reflectors and an access server, in simulated time.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod contacts;
mod grid;
mod hiding;
mod many;
mod outage;
mod paths;
mod presence;
#[allow(dead_code, reason = "what only the sites on loopback ask of it")]
mod server;
mod strangers;
mod world;
