//! The endpoint's core: everything that decides, without input and output. `docs/peer.md` is its specification.
//!
//! * [`Core`] is one endpoint: datagrams, answers of the access server and the time go in; datagrams, requests and
//!   events come out. Thousands of them fit into one process.
//! * [`Discovery`] finds out what NAT there is, in the same manner.
//! * Knows the wire, STUN and NATs; nothing of sockets, HTTP or clocks, which are the driver's (`endpoint/`).
#![forbid(unsafe_code)]

mod contact;
mod core;
mod discovery;
mod event;
mod lease;
mod message;
mod noise;
mod own;
mod paths;
mod peer;

pub use contact::{ContactReport, Families};
pub use core::{Core, MESSAGE_MAX, SendError, Settings};
pub use discovery::{Discovery, Findings};
pub use event::{Event, Path, PeerId, Request, Transmit, Why};
pub use message::notice::{Carrier, Notice, Presence, Status};
pub use message::packet::OVERHEAD;
pub use noise::{PublicKey, Secret, public_key};
pub use peer::Counts;
pub use peer::report::PeerReport;
