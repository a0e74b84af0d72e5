//! The wire: one 32-byte header, its tag, the key ring, the policy, and the decision.
//!
//! * Pure: no socket, no clock, no thread, no randomness; time is an argument in unix seconds.
//! * [`decide`](decide::decide) neither allocates nor panics, whatever bytes it is given.
//! * What a reflector emits (OBSERVED, DATA, SEALED_DATA), no reflector accepts.
//! * `no_std` with `alloc`; files, and the JSON between endpoints and the access server, stand behind the feature `std`.
//!
//! The protocol is described in `docs/wire.md`; its test vectors stand in `docs/vectors/`.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod address;
pub mod block;
pub mod decide;
pub mod header;
#[cfg(feature = "std")]
pub mod json;
pub mod last_ticket;
pub mod mint;
pub mod policy;
pub mod reason;
pub mod revoked;
pub mod ring;
#[cfg(feature = "std")]
pub mod ring_file;
pub mod seal;
pub mod siphash;
pub mod tag;

pub use address::TransportAddress;
pub use block::{Block, BlockSet};
pub use decide::{Verdict, decide};
pub use header::{HEADER_LEN, Header, Kind};
pub use last_ticket::LastTicket;
pub use policy::Policy;
pub use reason::Reason;
pub use revoked::Revoked;
pub use ring::{KeyId, KeyRing};
pub use tag::Form;
