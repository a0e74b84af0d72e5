//! Rights taken back at once: what is to be revoked, and how far every host of the reflectors has come with it.
//!
//! ```text
//! place     where a device was while a key in force existed           (in the store, before anything is minted there)
//! outbox    what is taken back, and which host has acknowledged it    (in the store, before it is acknowledged here)
//! receipt   what lets a service take back what it had minted, and nothing else
//! ```
//!
//! * `operate::deliver` carries it there.

pub mod outbox;
pub mod place;
pub mod receipt;
