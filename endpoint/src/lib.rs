//! The client of the method: log in, see who is online, send, directly or through a reflector.

#![forbid(unsafe_code)]

mod access_client;
mod behaviour;
mod challenge;
mod client;
mod clock;
mod contact;
mod conversation;
mod core;
mod device;
mod direct;
mod discovery;
mod driver;
mod error;
mod event;
mod frame;
mod handshake;
mod headers;
mod lease;
mod noise;
mod notice;
mod own;
mod packet;
mod peer;
mod reliable;
mod replay;
mod report;
mod roster;
mod search;
mod sessions;
mod socket;
mod stun;

pub use access_client::AccessClient;
pub use behaviour::discover;
pub use client::{Endpoint, Peer};
pub use contact::Families;
pub use core::{Core, MESSAGE_MAX, SendError, Settings};
pub use device::{Device, random_secret};
pub use discovery::{Discovery, Findings};
pub use error::Error;
pub use event::{Event, Path, PeerId, Request, Transmit};
pub use noise::{PublicKey, Secret, public_key};
pub use notice::{Carrier, Notice, Presence, Status};
pub use packet::OVERHEAD;
pub use peer::Counts;
pub use report::{ContactReport, PeerReport, Why};
