//! `POST /v1/capabilities`: two tickets in, two SEND headers, plain or sealed, out, for products with users of their own.
//!
//! * The caller shows its service credential as `Authorization: Bearer`; no account is known or made.
//! * The headers stand in the order of the tickets: `headers[0]` is for whoever showed `tickets[0]`.

use super::header::HeaderJson;
use super::name::ReflectorName;
use alloc::string::String;
use alloc::vec::Vec;
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
    /// Whether the headers are to hide each side's address from the other; they do not if absent.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub sealed: bool,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilitiesAnswer {
    /// SEND headers, or SEALED_SEND ones: the first sends from the first ticket's address to the second's, and the other way round.
    pub headers: [HeaderJson; 2],
    /// When both end, unix seconds.
    pub expires: u32,
    /// Given to `POST /v1/revocations`, it ends the conversation of the two; absent from what was minted on the command
    /// line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
}

/// `POST /v1/revocations`: what a service has had minted is taken back at the reflectors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakeBackRequest {
    /// Receipts of the same credential; all are taken back, or none if one of them is not right.
    pub receipts: Vec<String>,
}

/// What is answered, when every host has acknowledged it or after two seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakeBackAnswer {
    /// Pairs taken back.
    pub revoked: usize,
    /// Hosts where that is in force.
    pub hosts: usize,
    /// Hosts that have not acknowledged it yet; they are asked again until they do.
    pub waiting: usize,
    /// Reflectors that cannot be told: conversations there go on until their key is retired.
    pub untold: Vec<ReflectorName>,
}
