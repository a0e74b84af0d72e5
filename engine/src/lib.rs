//! One worker's way to receive datagrams, have each decided in place, and send them on.
//!
//! ```text
//!   socket --recvmmsg--> Inbound (fixed buffers) --each datagram--> Handler::handle
//!                            |                                         | Drop, InPlace, Scratch
//!   socket <--sendmmsg-- Outbound (groups by destination, GSO) <-------+        then Handler::sent
//! ```
//!
//! * Knows nothing of what a datagram means; the handler does.
//! * The engine pushes: the handler works on the engine's own buffer, so bytes never move.
//! * After start: no allocation, no lock, no clock, no log, no descriptor opened or closed.
//! * The only crate with `unsafe`, lifted per file, each block with its SAFETY note.

#![deny(unsafe_code)]

mod exact;
pub mod host;
pub mod load;
pub mod socket;
pub mod xdp;

pub use socket::handler::{
    Action, Arrival, Batch, Condition, Handler, Label, SCRATCH_LEN, SendError, Sent, SocketId,
};
