//! Who is there: sessions, leases, contacts, and everything that a request looks up.
//!
//! * Memory alone; a restart forgets it and endpoints log in again.

pub mod contact;
pub mod directory;
pub mod lease;
pub mod sessions;
