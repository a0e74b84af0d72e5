//! The public keys of a device, as JSON carries them: 43 characters of base64url each.

use super::base64url::Bytes;
use serde::{Deserialize, Serialize};

/// An Ed25519 public key (RFC 8032): signs logins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SignKey(pub Bytes<32>);

/// An X25519 public key (RFC 7748): the static key of Noise handshakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NoiseKey(pub Bytes<32>);
