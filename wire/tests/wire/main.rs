//! Integration tests of `wire`, one binary.
//!
//! * What the crate says is compared with `oracle` and `table`, written from `docs/wire.md` without its modules.
//! * A test named `tN_...` is the proof, at this level, of the threat of that number.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used,
    clippy::cast_possible_truncation
)]

mod address;
mod decision;
mod forgery;
mod last_ticket;
mod mint;
mod oracle;
mod policy;
mod random;
mod revoked;
mod ring;
mod ring_file;
mod rotation;
mod seal;
mod setup;
mod siphash;
mod table;
mod times;
mod vectors;
