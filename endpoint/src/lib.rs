//! The client of the method: log in, see who is online, send, directly or through a reflector.
//!
//! * [`Endpoint`] is a core (`peer/`) on a network, with tokio; [`Peer::quic`] is QUIC over its paths.
//! * What a core tells the application, as [`Event`] and [`PeerReport`], is given on as it is.
//! * Knows nothing of how an access server stores or a reflector runs.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod access_client;
mod behaviour;
mod client;
mod clock;
mod device;
mod driver;
mod error;
mod quic;
mod socket;

pub use access_client::AccessClient;
pub use behaviour::{compare, discover, discover_at};
pub use client::{Datagrams, Endpoint, Peer};
pub use device::{Device, random_secret, write_private};
pub use error::Error;
pub use peer::{
    ContactReport, Counts, Event, Findings, MESSAGE_MAX, Path, PeerId, PeerReport, PublicKey, Secret,
    SendError, Why, public_key,
};
pub use quic::QUIC_PEER;
