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

pub mod accounts;
pub mod app;
pub mod config;
pub mod counters;
pub mod fleet;
pub mod http;
pub mod mint;
pub mod now;
pub mod operate;
pub mod presence;
pub mod rules;
pub mod settings;
pub mod store;
