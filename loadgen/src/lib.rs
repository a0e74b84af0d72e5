//! Open-loop load from endpoints behind simulated NATs, through a reflector that is a black box.
//!
//! ```text
//!   args -> config -> find -> run:  crews { contacts } --+-> socket_run { worker { sender, receiver } } --+-> summary
//!        `-> ready ------------------------------------- +-> xdp_run ------------------------------------'      |
//!   pure underneath: plan, addresses, profile, warp, schedule, payload, stream, churn,                   report, table
//!                    stamp, fault, tracker, slices, phase, flows, xdp_plan, xdp_tally,
//!                    renewal, glances, way, threshold, validity, events, view
//!
//!   presence_args -> presence:  settlement { operator } -> society { member { peer::Core, NAT }, ledger, calls { link } }
//!                          `-> presence_report, presence_table;   pure underneath: buddies, share, ledger, keys
//! ```
//!
//! * Open loop: every datagram has an intended time, latency counts from it, lateness is judged and never hidden.
//! * An endpoint is a NAT and an address, not a socket; a few wildcard sockets choose source addresses.
//! * Knows the reflector only by what the wire says.

#![forbid(unsafe_code)]

pub mod args;
pub mod error;
pub mod find;
pub mod goal;
pub mod keys;
pub mod load;
pub mod random;
pub mod report;
pub mod run;
pub mod society;
pub mod threshold;
pub mod units;
pub mod usage;
