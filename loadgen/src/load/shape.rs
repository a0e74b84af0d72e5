//! What load looks like: who talks to whom, when, and with which bytes. Pure, whatever the engine.

pub mod addresses;
pub mod churn;
pub mod config;
pub mod directory;
pub mod endpoint;
pub mod fault;
pub mod job;
pub mod pairing;
pub mod payload;
pub mod phase;
pub mod plan;
pub mod profile;
pub mod renewal;
pub mod schedule;
pub mod stamp;
pub mod stream;
pub mod traffic;
pub mod warp;
