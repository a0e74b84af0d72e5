//! The access server: accounts, devices, login, profile, presence, and the capabilities to reach each other.
//!
//! ```text
//! settings -> args -> config -> daemon -> server -> api -> *_calls
//!                                               |                          | judge: challenge, contact, password
//!                                               +-> control, prober        | know:  registry = store + directory
//!                                                                          +-> sight: profile, and minting
//! ```
//!
//! * Nothing is minted but between proven contacts at one reflector: of agreed buddies, or for a service that showed
//!   two tickets.
//! * What lasts (accounts, devices, buddies) is stored before it is acknowledged; presence is memory alone.
//! * Knows nothing of how datagrams move; reflectors know nothing of it.

#![forbid(unsafe_code)]

mod account_calls;
pub mod account_command;
pub mod admin;
mod answer;
pub mod api;
pub mod app;
pub mod args;
pub mod audit;
pub mod budget;
pub mod call;
pub mod challenge;
pub mod commands;
pub mod config;
pub mod contact;
pub mod control;
pub mod counters;
pub mod daemon;
pub mod directory;
pub mod fleet;
pub mod impatient;
pub mod keygen;
pub mod master;
pub mod metrics;
pub mod mint_command;
pub mod minting;
pub mod now;
pub mod operation;
pub mod operator;
pub mod password;
pub mod password_gate;
pub mod presence;
pub mod prober;
pub mod readiness;
pub mod refusal;
pub mod registry;
pub mod request;
pub mod rules;
pub mod server;
mod service_calls;
mod session_calls;
pub mod sessions;
pub mod settings;
pub mod sight;
pub mod store;
pub mod tls;
