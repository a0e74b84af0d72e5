//! The access server seen from outside, and its pure parts under a flood.
//!
//! * Every server is a real process with ports and a folder of its own, on loopback only, ended by its id.
//! * Tickets are made as a reflector makes them, with the ring that the master gives it; no reflector runs here.
//! * Times are judged only where one is a multiple of the other, never in seconds.
//! * A test named `tN_...` is the proof, at this level, of the threat of that number.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod accounts;
mod capabilities;
mod client;
mod command_line;
mod conversation;
mod description;
mod durability;
mod minting;
mod operation;
mod page;
mod passwords;
mod person;
mod refusals;
mod revocations;
mod server;
mod slow;
mod tickets;
mod tls;
