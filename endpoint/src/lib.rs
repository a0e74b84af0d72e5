//! The client of the method: log in, see who is online, send, directly or through a reflector.

#![forbid(unsafe_code)]

mod challenge;
mod contact;
mod event;
mod frame;
mod headers;
mod noise;
mod notice;
mod own;
mod packet;
mod reliable;
mod replay;
mod search;

pub use noise::{PublicKey, Secret, public_key};
pub use notice::{Carrier, Notice, Presence, Status};
pub use packet::OVERHEAD;
