//! `POST /v1/devices`: a device joins an account; the only call that takes a password.
//!
//! * Neither password nor keys show in `Debug`.
//! * The same sign key again is the same device again, with the other fields as they are now.

use super::keys::{NoiseKey, SignKey};
use super::login::OfferedReflector;
use super::name::{AccountName, DeviceId};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceRequest {
    /// The account to join.
    pub account: AccountName,
    /// Its password.
    pub password: Password,
    /// What people call the device, at most 64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// By which it will log in.
    pub sign_key: SignKey,
    /// By which others write to it.
    pub noise_key: NoiseKey,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceAnswer {
    /// The device's id from now on.
    pub device: DeviceId,
    /// Where to PROBE before the first login.
    #[serde(default)]
    pub reflectors: Vec<OfferedReflector>,
}

/// A password; `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::base64url::Bytes;

    #[test]
    fn debug_shows_neither_password_nor_key() {
        let request = DeviceRequest {
            account: "alice".parse().unwrap(),
            password: Password(String::from("correct horse")),
            name: None,
            sign_key: SignKey(Bytes([b'k'; 32])),
            noise_key: NoiseKey(Bytes([b'k'; 32])),
        };
        let shown = alloc::format!("{request:?}");
        assert!(shown.contains("alice") && !shown.contains("horse") && !shown.contains("107"), "{shown}");
    }
}
