//! What datagrams are judged by: ring, policy and limits, the rates that limits allow, and what was taken back.
//!
//! * A worker sees all of a reload or nothing of it.

pub mod rates;
pub mod revocations;
pub mod shared;
