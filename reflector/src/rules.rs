//! What datagrams are judged by: ring, policy and limits, and the rates that limits allow.
//!
//! * A worker sees all of a reload or nothing of it.

pub mod rates;
pub mod shared;
