//! What a sender of revocations asks of a reflector's admin listener: `POST /v1/revocations`.
//!
//! ```json
//! {"revoke": [["198.51.100.7:40000"], ["198.51.100.7:40000", "[2001:db8::9]:5000"]], "age_s": 30}
//! ```
//!
//! * One transport address stands for everything from and to it, two for everything between them.

use crate::address::TransportAddress;
use crate::revoked::Subject;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::net::SocketAddr;

/// The request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevocationsRequest {
    /// What is taken back.
    pub revoke: Vec<SubjectJson>,
    /// How long ago it was taken back, seconds: what is sent again ends no later for it.
    #[serde(default)]
    pub age_s: u64,
}

/// The answer, once the table holds everything and the file has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationsAnswer {
    /// Changes with every start of the reflector, which then knows only what its file holds.
    pub start_id: String,
    /// Entries of the table.
    pub entries: usize,
    /// Pairs among them.
    pub pairs: usize,
}

/// A subject as one or two texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubjectJson(pub Subject);

impl SubjectJson {
    /// The subject of one or two `ADDR:PORT`.
    ///
    /// # Errors
    /// There are not one or two of them, or one is no transport address; the message shows what would be right.
    pub fn parse(texts: &[impl AsRef<str>]) -> Result<Self, String> {
        match texts {
            [one] => Ok(Self(Subject::Address(address(one.as_ref())?))),
            [a, b] => Ok(Self(Subject::pair(address(a.as_ref())?, address(b.as_ref())?))),
            _ => Err(String::from("expected one ADDR:PORT, or the two of a pair")),
        }
    }

    /// Its one or two texts.
    pub fn texts(&self) -> Vec<String> {
        let text = |address: TransportAddress| address.to_socket().to_string();
        match self.0 {
            Subject::Address(address) => Vec::from([text(address)]),
            Subject::Pair(low, high) => Vec::from([text(low), text(high)]),
        }
    }
}

impl Serialize for SubjectJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.texts().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SubjectJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&Vec::<String>::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

fn address(text: &str) -> Result<TransportAddress, String> {
    let socket = text.parse::<SocketAddr>().ok().filter(|socket| socket.port() != 0);
    socket.and_then(TransportAddress::from_socket).ok_or_else(|| {
        let shown = text.chars().take(LONGEST_SHOWN).collect::<String>();
        alloc::format!("{shown:?} is no transport address such as 198.51.100.7:40000 or [2001:db8::9]:5000")
    })
}

const LONGEST_SHOWN: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_is_written_and_a_pair_has_no_order() {
        let text =
            r#"{"revoke":[["198.51.100.7:40000"],["198.51.100.7:40000","[2001:db8::9]:5000"]],"age_s":30}"#;
        let request: RevocationsRequest = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&request).unwrap(), text);
        let turned = SubjectJson::parse(&["[2001:db8::9]:5000", "198.51.100.7:40000"]).unwrap();
        assert_eq!(request.revoke[1], turned);
        let bare: RevocationsRequest = serde_json::from_str(r#"{"revoke":[]}"#).unwrap();
        assert_eq!((bare.revoke.len(), bare.age_s), (0, 0));
    }

    #[test]
    fn what_is_no_address_is_named() {
        for text in
            ["", "host:1", "1.2.3.4", "1.2.3.4:0", "1.2.3.4:65536", "[::ffff:1.2.3.4]:5", "1.2.3.4:5 "]
        {
            let error = SubjectJson::parse(&[text]).unwrap_err();
            assert!(error.starts_with(&alloc::format!("{text:?} is no transport address")), "{error}");
        }
        for texts in [&[][..], &["1.2.3.4:5"; 3]] {
            assert!(SubjectJson::parse(texts).unwrap_err().starts_with("expected one ADDR:PORT"));
        }
        assert!(serde_json::from_str::<RevocationsRequest>(r#"{"revoke":[],"more":1}"#).is_err());
    }
}
