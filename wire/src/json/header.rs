//! A header in JSON: its 32 bytes as 43 characters of base64url.
//!
//! * Whatever 32 bytes stand there are a header; whether they prove anything is for `mint` and `decide` to say.

use super::base64url::{Bytes, BytesError};
use crate::header::{HEADER_LEN, Header};
use core::fmt;
use core::str::FromStr;
use serde::{Deserialize, Serialize};

/// A header, SEND or OBSERVED, written as base64url; `Debug` shows nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HeaderJson(pub Bytes<HEADER_LEN>);

impl HeaderJson {
    /// The header's fields.
    pub fn header(&self) -> Header {
        Header::read(&self.0.0)
    }
}

impl From<Header> for HeaderJson {
    fn from(header: Header) -> Self {
        Self(Bytes(header.to_bytes()))
    }
}

impl fmt::Display for HeaderJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for HeaderJson {
    type Err = BytesError;

    fn from_str(text: &str) -> Result<Self, BytesError> {
        text.parse().map(HeaderJson)
    }
}
