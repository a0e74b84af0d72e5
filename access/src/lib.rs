//! The access server: accounts, devices, login, profile, presence, and the capabilities to reach each other.
//!
//! ```text
//! operate   the command line, the daemon, its control loop and pages, the probing of reflectors
//! http      connections -> routes -> calls -> answers and refusals
//! accounts  who may log in: accounts, devices, passwords, challenges       (in the store, before it is acknowledged)
//! revoke    what is taken back, and how far the reflectors have come with it
//! mint      what is minted, by which keys, and the audit log
//! presence  who is there: sessions, leases, contacts                       (in memory)
//! ```
//!
//! * A room uses those below it; beside them lie what all share: settings, configuration, rules, the fleet, the clock.
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
pub mod hosts;
pub mod http;
pub mod mint;
pub mod now;
pub mod operate;
pub mod presence;
pub mod revoke;
pub mod rules;
pub mod settings;
pub mod store;
