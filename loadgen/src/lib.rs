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

pub mod addresses;
pub mod args;
pub mod buddies;
pub mod calls;
pub mod churn;
pub mod config;
pub mod contacts;
pub mod crews;
pub mod directory;
pub mod endpoint;
pub mod error;
pub mod events;
pub mod fault;
pub mod find;
pub mod flows;
pub mod glances;
pub mod goal;
pub mod job;
pub mod keys;
pub mod ledger;
pub mod link;
pub mod load_args;
pub mod log_format;
pub mod measured;
pub mod member;
pub mod operator;
pub mod output;
pub mod pairing;
pub mod payload;
pub mod phase;
pub mod plan;
pub mod presence;
pub mod presence_args;
pub mod presence_table;
pub mod profile;
pub mod progress;
pub mod random;
pub mod ready;
pub mod receiver;
pub mod renewal;
pub mod run;
pub mod schedule;
pub mod scrape;
pub mod screen;
pub mod sender;
pub mod settlement;
pub mod share;
pub mod slices;
pub mod society;
pub mod socket_run;
pub mod stamp;
pub mod state;
pub mod station;
pub mod stream;
pub mod summary;
pub mod table;
pub mod tally;
pub mod threads;
pub mod threshold;
pub mod tracker;
pub mod traffic;
pub mod units;
pub mod unix_clock;
pub mod usage;
pub mod validity;
pub mod view;
pub mod warp;
pub mod way;
pub mod worker;
pub mod xdp_args;
pub mod xdp_plan;
pub mod xdp_refusal;
pub mod xdp_run;
pub mod xdp_tally;
