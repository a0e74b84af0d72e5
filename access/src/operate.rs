//! What an operator runs and sees: the command line, the daemon, its control loop, its pages, and the probing of reflectors and deliveries to them.
//!
//! * Beside a running server, `account` and `buddy` reach it by its socket (`operator`); without one they open the store.

pub mod account;
pub mod admin;
pub mod args;
pub mod commands;
pub mod control;
pub mod daemon;
pub mod deliver;
pub mod keygen;
pub mod metrics;
pub mod mint;
pub mod operation;
pub mod operator;
pub mod prober;
