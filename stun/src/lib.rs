//! STUN's Binding method, and the attributes of RFC 5780 that show how a NAT behaves.
//!
//! * One codec for everybody: servers read requests and write responses, clients write requests and read responses.
//! * Pure: bytes in, values out. No sockets, no clock, no allocation on the server's side.
//! * Sources: RFC 8489 (STUN), RFC 5780 (NAT behaviour discovery), RFC 7983 (which first bytes are STUN's).
//!
//! ```text
//! offset  0          2         4              8                                 20
//!         +----------+---------+--------------+---------------------------------+
//!         | type     | length  | magic cookie | transaction id (12)             | attributes
//!         +----------+---------+--------------+---------------------------------+
//! attribute: type (2) | length (2) | value, padded to 4
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

pub mod address;
pub mod message;
pub mod request;
pub mod response;
