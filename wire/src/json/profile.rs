//! A profile: who an account's buddies are, which of their devices are there, and how to reach each.
//!
//! * `version` grows whenever anything in it changes, save the headers, which are fresh each time.
//! * Only agreed buddies have devices here; who merely asked, or was asked, is a name.
//! * A device's contacts at reflectors that the reader shares come first, nearest first (sum of both round trips), and
//!   only they have headers.

use super::header::HeaderJson;
use super::keys::{NoiseKey, SignKey};
use super::name::{AccountName, DeviceId, ReflectorName};
use super::nat::NatJson;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;
use serde::{Deserialize, Serialize};

/// What one device sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Whose it is.
    pub account: AccountName,
    /// Grows with every change, also across restarts of the server; what `GET /v1/profile?version=` compares.
    pub version: u64,
    /// By name.
    pub buddies: Vec<Buddy>,
}

/// Another account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buddy {
    /// Its name.
    pub account: AccountName,
    /// How far the friendship got.
    pub state: BuddyState,
    /// Its devices; none before both have asked.
    #[serde(default)]
    pub devices: Vec<BuddyDevice>,
}

/// How far a friendship got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuddyState {
    /// The reader asked, the other did not answer.
    Asked,
    /// The other asked; `PUT /v1/buddies/{account}` agrees.
    AskedBy,
    /// Both asked.
    Agreed,
}

/// A device of a buddy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuddyDevice {
    /// Its id.
    pub device: DeviceId,
    /// What its owner calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether its lease runs.
    pub status: Status,
    /// To write to it.
    pub noise_key: NoiseKey,
    /// Its login key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_key: Option<SignKey>,
    /// Whether it hides its address: then there is no NAT here, and contacts are sealed headers at one reflector.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub hidden: bool,
    /// How its NAT behaves; absent while offline, and of one that hides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nat: Option<NatJson>,
    /// Of its last login, so that notices of an earlier life are older; absent if the server has seen none since it
    /// started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<u64>,
    /// Where it is reached, the best first; empty while offline.
    #[serde(default)]
    pub contacts: Vec<BuddyContact>,
    /// The reflector to PROBE because the two share none; of one that hides, its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<ReflectorName>,
}

/// Whether a device is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its lease runs.
    Online,
    /// It logged out, or its lease ended.
    Offline,
}

/// An address of a device towards one reflector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuddyContact {
    /// That reflector.
    pub reflector: ReflectorName,
    /// The address, as that reflector sees it; absent of one that hides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// The SEND header from the reader's contact at the same reflector to this one; SEALED_SEND if either hides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderJson>,
    /// When the header ends, unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::base64url::Bytes;
    use nat::Behaviour;

    #[test]
    fn a_profile_is_written_without_what_is_absent_and_read_back() {
        let device = BuddyDevice {
            device: DeviceId(Bytes([0; 16])),
            name: None,
            status: Status::Online,
            noise_key: NoiseKey(Bytes([0; 32])),
            sign_key: None,
            hidden: false,
            nat: Some(NatJson(Behaviour::Open)),
            incarnation: None,
            contacts: alloc::vec![BuddyContact {
                reflector: "fra1".parse().unwrap(),
                address: Some("[2001:db8::7]:4000".parse().unwrap()),
                header: None,
                expires: None,
            }],
            probe: None,
        };
        let (account, asked) = ("bob".parse().unwrap(), "carol".parse().unwrap());
        let buddies = alloc::vec![
            Buddy { account, state: BuddyState::Agreed, devices: alloc::vec![device] },
            Buddy { account: asked, state: BuddyState::AskedBy, devices: Vec::new() },
        ];
        let profile = Profile { account: "alice".parse().unwrap(), version: 7, buddies };
        let text = serde_json::to_string(&profile).unwrap();
        let (zeros_16, zeros_32) = ("A".repeat(22), "A".repeat(43));
        let right = alloc::format!(
            concat!(
                r#"{{"account":"alice","version":7,"buddies":[{{"account":"bob","state":"agreed","devices":[{{"#,
                r#""device":"{}","status":"online","noise_key":"{}","nat":{{"mapping":"open","filtering":"open"}},"#,
                r#""contacts":[{{"reflector":"fra1","address":"[2001:db8::7]:4000"}}]}}]}},"#,
                r#"{{"account":"carol","state":"asked-by","devices":[]}}]}}"#
            ),
            zeros_16,
            zeros_32
        );
        assert_eq!(text, right);
        assert_eq!(serde_json::from_str::<Profile>(&text).unwrap(), profile);
    }
}
