//! `POST /v1/challenge`, `/v1/login`, `/v1/refresh`: how a device becomes a session and stays one.
//!
//! * A login is signed over the server's name, the nonce and the whole request, so it is good for one server, once.
//! * [`LoginRequest::signed_bytes`] makes the bytes that both sides sign and verify.
//!
//! ```text
//! "reflector-login-v1" 0 | server name | 0 | nonce (32) | SHA-256( RFC 8785 form of the request without `signature` )
//! ```

use super::base64url::Bytes;
use super::canonical;
use super::header::HeaderJson;
use super::name::{DeviceId, ReflectorName};
use super::nat::NatJson;
use super::profile::Profile;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use core::str::FromStr;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Asks for a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengeRequest {
    /// Who will log in.
    pub device: DeviceId,
}

/// A nonce to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeAnswer {
    /// To be sent back once.
    pub nonce: Nonce,
    /// Seconds until it is worth nothing.
    pub expires_s: u32,
}

/// A login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// Who logs in.
    pub device: DeviceId,
    /// From the challenge.
    pub nonce: Nonce,
    /// How its NAT behaves.
    pub nat: NatJson,
    /// Where it can be reached: at most three, each at another reflector.
    pub contacts: Vec<ContactProof>,
    /// Ed25519 over [`LoginRequest::signed_bytes`].
    pub signature: Signature,
}

impl LoginRequest {
    /// What the device signs, and the server verifies, for a server of this name (see [`server_name`]).
    pub fn signed_bytes(&self, server_name: &str) -> Vec<u8> {
        let unsigned = serde_json::json!({
            "device": self.device,
            "nonce": self.nonce,
            "nat": self.nat,
            "contacts": self.contacts,
        });
        let mut bytes = Vec::with_capacity(LABEL.len() + server_name.len() + 1 + 32 + 32);
        bytes.extend_from_slice(LABEL);
        bytes.extend_from_slice(server_name.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(&self.nonce.0.0);
        bytes.extend_from_slice(&body_hash(&unsigned));
        bytes
    }
}

/// A contact as it is shown to the access server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContactProof {
    /// The reflector that was probed.
    pub reflector: ReflectorName,
    /// The first 32 bytes of the OBSERVED it answered.
    pub ticket: HeaderJson,
    /// Round trip to that reflector, microseconds.
    pub rtt_us: u32,
}

/// Renews the lease and every capability; the session stands in `Authorization: Bearer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefreshRequest {
    /// Where it can be reached now; replaces what was shown before.
    pub contacts: Vec<ContactProof>,
    /// How its NAT behaves, if that changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nat: Option<NatJson>,
}

/// What login and refresh answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginAnswer {
    /// The bearer of every further call.
    pub session: Session,
    /// This login's incarnation, grown since the device's last login also across restarts of the server; the device
    /// puts it into its notices, and profiles show it to its buddies.
    pub incarnation: u64,
    /// Seconds without refresh after which the device is offline; refresh at half of it.
    pub lease_s: u32,
    /// Seconds between PROBEs to each reflector of a contact.
    pub keepalive_s: u32,
    /// Who is there, and how to reach them.
    pub profile: Profile,
    /// Where to PROBE, the server's preference first.
    pub reflectors: Vec<OfferedReflector>,
    /// Whether this device hides its address: it then sends to nobody but through its reflector, and sealed.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub hide_address: bool,
}

/// `PUT /v1/privacy`: whether the session's device hides its address from its buddies; the answer is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Privacy {
    /// Whether it does. That of its account is the operator's to say, and holds for all of its devices.
    pub hide_address: bool,
}

/// A reflector that an endpoint may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferedReflector {
    /// Its name.
    pub name: ReflectorName,
    /// At most one IPv4 and one IPv6 transport address.
    pub addresses: Vec<SocketAddr>,
    /// What STUN it speaks.
    pub stun: Stun,
}

/// What STUN a reflector speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stun {
    /// None, or not known.
    #[default]
    Off,
    /// Binding (RFC 8489).
    Binding,
    /// Binding and behaviour discovery (RFC 5780).
    Behaviour,
}

/// What a challenge hands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nonce(pub Bytes<32>);

/// An Ed25519 signature (RFC 8032).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signature(pub Bytes<64>);

/// A session's bearer: 32 random bytes; `Debug` shows nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Session(pub Bytes<32>);

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Session {
    type Err = crate::json::base64url::BytesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Session)
    }
}

/// The name by which a client knows the server at `url`: the host, lower case, without port or brackets.
///
/// `None` for what is not `http://HOST...` or `https://HOST...`.
pub fn server_name(url: &str) -> Option<String> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split_once(']')?.0,
        None => authority.split(':').next()?,
    };
    let plain = !host.is_empty() && !host.contains('@');
    plain.then(|| host.to_ascii_lowercase())
}

#[expect(clippy::expect_used, reason = "every number in it is a u32, which always has a canonical form")]
fn body_hash(unsigned: &Value) -> [u8; 32] {
    let text = canonical::text(unsigned).expect("a request without its signature has a canonical form");
    Sha256::digest(text.as_bytes()).into()
}

/// Contacts that a device may show at once.
pub const MAX_CONTACTS: usize = 3;
const LABEL: &[u8] = b"reflector-login-v1\0";

#[cfg(test)]
mod tests {
    use super::*;
    use nat::Behaviour;

    fn request() -> LoginRequest {
        LoginRequest {
            device: DeviceId(Bytes([1; 16])),
            nonce: Nonce(Bytes([2; 32])),
            nat: NatJson(Behaviour::Open),
            contacts: alloc::vec![ContactProof {
                reflector: "fra1".parse().unwrap(),
                ticket: HeaderJson(Bytes([3; 32])),
                rtt_us: 20_000,
            }],
            signature: Signature(Bytes([0; 64])),
        }
    }

    #[test]
    fn the_signed_bytes_are_those_that_the_text_describes() {
        let body = concat!(
            r#"{"contacts":[{"reflector":"fra1","rtt_us":20000,"ticket":"AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM"}],"#,
            r#""device":"AQEBAQEBAQEBAQEBAQEBAQ","nat":{"filtering":"open","mapping":"open"},"#,
            r#""nonce":"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI"}"#
        );
        let mut right = b"reflector-login-v1\0example.org\0".to_vec();
        right.extend([2; 32]);
        right.extend(Sha256::digest(body));
        assert_eq!(request().signed_bytes("example.org"), right);
        // Whoever has only the JSON gets the same body: the request without its signature.
        let mut value = serde_json::to_value(request()).unwrap();
        value.as_object_mut().unwrap().remove("signature");
        assert_eq!(canonical::text(&value).unwrap(), body);
    }

    #[test]
    fn everything_that_is_sent_is_signed() {
        let signed = |change: fn(&mut LoginRequest)| {
            let mut request = request();
            change(&mut request);
            request.signed_bytes("a")
        };
        let same = signed(|it| it.signature = Signature(Bytes([9; 64])));
        assert_eq!(same, signed(|_| ()));
        for other in [
            signed(|it| it.device = DeviceId(Bytes([9; 16]))),
            signed(|it| it.nonce = Nonce(Bytes([9; 32]))),
            signed(|it| it.nat = NatJson("eim/eif".parse().unwrap())),
            signed(|it| it.contacts.clear()),
            signed(|it| it.contacts[0].rtt_us += 1),
            signed(|it| it.contacts[0].reflector = "fra2".parse().unwrap()),
            request().signed_bytes("b"),
        ] {
            assert_ne!(other, same);
        }
    }

    #[test]
    fn a_server_is_known_by_its_host() {
        for (url, name) in [
            ("https://Access.Example.org/", "access.example.org"),
            ("http://127.0.0.1:8080", "127.0.0.1"),
            ("http://[::1]:8080/v1", "::1"),
            ("https://a?x", "a"),
        ] {
            assert_eq!(server_name(url).as_deref(), Some(name), "{url}");
        }
        for wrong in ["access.example.org", "ftp://a", "http://", "http://u@h/", "http://[::1"] {
            assert_eq!(server_name(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn unknown_fields_of_a_request_are_refused_and_of_an_answer_ignored() {
        let text = serde_json::to_string(&request()).unwrap();
        assert_eq!(serde_json::from_str::<LoginRequest>(&text).unwrap(), request());
        assert!(serde_json::from_str::<LoginRequest>(&text.replacen('{', "{\"x\":1,", 1)).is_err());
        let answer = r#"{"nonce":"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI","expires_s":30,"x":1}"#;
        assert_eq!(serde_json::from_str::<ChallengeAnswer>(answer).unwrap().expires_s, 30);
    }
}
