//! The daemon seen from outside, and its worker measured from inside.
//!
//! * Every reflector is a real process with ports of its own, on loopback only, ended by its id.
//! * Senders wait for what they sent, so that a loss is the reflector's and not a full buffer's.
//! * Nothing here judges a time.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod allocation;
mod budget;
mod command_line;
mod conservation;
mod control;
mod daemon;
mod explain;
mod flood;
mod independent;
mod page;
mod protocol;
mod reach;
mod reload;
mod rotation;
mod runbook;
mod stun;
mod stun_message;
mod traffic;
