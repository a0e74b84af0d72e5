//! The client of the method: log in, see who is online, send, directly or through a reflector.
//!
//! * [`Core`] is the endpoint without input and output; everything that decides is in it.
//! * [`Endpoint`] is a core on a network, with tokio; [`Peer::quic`] is QUIC over its paths.
//! * Knows the wire and NATs; nothing of how an access server stores or a reflector runs.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod access_client;
pub mod args;
mod behaviour;
mod challenge;
mod client;
mod clock;
mod contact;
pub mod control;
mod conversation;
mod core;
mod device;
mod direct;
mod discovery;
mod driver;
pub mod enrol;
mod error;
mod event;
pub mod failure;
mod frame;
mod handshake;
mod headers;
mod lease;
pub mod nat_command;
mod noise;
mod notice;
mod own;
mod packet;
mod peer;
pub mod program;
pub mod questions;
mod quic;
mod reliable;
mod replay;
mod report;
mod roster;
mod search;
mod sessions;
pub mod snapshot;
mod socket;
pub mod tunnel;
pub mod up;

pub use access_client::AccessClient;
pub use behaviour::discover;
pub use client::{Endpoint, Peer};
pub use contact::{ContactReport, Families};
pub use core::{Core, MESSAGE_MAX, SendError, Settings};
pub use device::{Device, random_secret};
pub use discovery::{Discovery, Findings};
pub use error::Error;
pub use event::{Event, Path, PeerId, Request, Transmit, Why};
pub use noise::{PublicKey, Secret, public_key};
pub use notice::{Carrier, Notice, Presence, Status};
pub use packet::OVERHEAD;
pub use peer::Counts;
pub use quic::QUIC_PEER;
pub use report::PeerReport;
