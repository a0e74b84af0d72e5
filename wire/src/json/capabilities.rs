//! `POST /v1/capabilities`: two tickets in, two SEND headers out, for products with users of their own.
//!
//! * The caller shows its service credential as `Authorization: Bearer`; no account is known or made.
//! * The headers stand in the order of the tickets: `headers[0]` is for whoever showed `tickets[0]`.

use super::header::HeaderJson;
use super::name::ReflectorName;
use serde::{Deserialize, Serialize};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapabilitiesRequest {
    /// The reflector that gave both tickets.
    pub reflector: ReflectorName,
    /// The first 32 bytes of the OBSERVED that each side received.
    pub tickets: [HeaderJson; 2],
    /// Rate class, 0..=15; 0 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<u8>,
    /// Lifetime, 10..=540 s; the server's own (300 s by default) if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_s: Option<u32>,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilitiesAnswer {
    /// SEND headers: the first sends from the first ticket's address to the second's, and the other way round.
    pub headers: [HeaderJson; 2],
    /// When both end, unix seconds.
    pub expires: u32,
}
