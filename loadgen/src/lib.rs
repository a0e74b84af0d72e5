//! Open-loop load from endpoints behind simulated NATs, through a reflector that is a black box.
//!
//! ```text
//!   args -> config -> run:  crews { contacts } --+-> socket_run { worker { sender, receiver } } --+-> summary
//!        `-> ready ----------------------------- +-> xdp_run ------------------------------------'      |
//!   pure underneath: plan, addresses, schedule, stamp, fault, tracker, slices, phase, flows,      report, table
//!                    xdp_plan, xdp_tally, renewal, glances, way, threshold, validity
//! ```
//!
//! * Open loop: every datagram has an intended time, latency counts from it, lateness is judged and never hidden.
//! * An endpoint is a NAT and an address, not a socket; a few wildcard sockets choose source addresses.
//! * Knows the reflector only by what the wire says.

#![forbid(unsafe_code)]

pub mod addresses;
pub mod args;
pub mod config;
pub mod contacts;
pub mod crews;
pub mod endpoint;
pub mod error;
pub mod fault;
pub mod flows;
pub mod glances;
pub mod output;
pub mod pairing;
pub mod phase;
pub mod plan;
pub mod progress;
pub mod random;
pub mod ready;
pub mod receiver;
pub mod renewal;
pub mod report;
pub mod run;
pub mod schedule;
pub mod sender;
pub mod slices;
pub mod socket_run;
pub mod stamp;
pub mod station;
pub mod summary;
pub mod table;
pub mod tally;
pub mod threads;
pub mod threshold;
pub mod tracker;
pub mod traffic;
pub mod units;
pub mod usage;
pub mod validity;
pub mod way;
pub mod worker;
pub mod xdp_args;
pub mod xdp_plan;
pub mod xdp_refusal;
pub mod xdp_run;
pub mod xdp_tally;
