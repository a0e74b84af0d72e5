//! The running daemon: its workers, its control loop, and what the admin server shows of them.
//!
//! * Workers share rules and the clock's offset; nothing that they do waits for the control loop.

pub mod admin;
pub mod control;
pub mod crew;
pub mod daemon;
pub mod findings;
pub mod metrics;
pub mod reload;
pub mod revoke;
pub mod status;
pub mod worker;
