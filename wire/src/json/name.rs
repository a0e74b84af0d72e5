//! Names in JSON, each a type of its own: accounts, reflectors, devices.
//!
//! * A name that breaks its rule cannot be made, so whoever holds one may write it into a path, a log or a file.
//! * Account and reflector names are lower case and compared as bytes.

use super::base64url::Bytes;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::str::FromStr;
use serde::{Deserialize, Serialize};

/// An account: 1 to 64 characters of `a-z 0-9 . _ @ + -`, the first a letter or digit; cheap to copy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountName(Arc<str>);

impl AccountName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let starts = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._@+-".contains(&b);
        if starts && text.len() <= ACCOUNT_LEN && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(NameError::Account)
        }
    }
}

impl TryFrom<String> for AccountName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<AccountName> for String {
    fn from(name: AccountName) -> Self {
        Self::from(name.as_str())
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A reflector: 1 to 32 characters of `a-z 0-9 -`; one name is one transport address per family; cheap to copy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReflectorName(Arc<str>);

impl ReflectorName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ReflectorName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if (1..=REFLECTOR_LEN).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(NameError::Reflector)
        }
    }
}

impl TryFrom<String> for ReflectorName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<ReflectorName> for String {
    fn from(name: ReflectorName) -> Self {
        Self::from(name.as_str())
    }
}

impl fmt::Display for ReflectorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A device of an account: 16 random bytes that the access server chose, no secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceId(pub Bytes<16>);

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceId({})", self.0)
    }
}

impl FromStr for DeviceId {
    type Err = crate::json::base64url::BytesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(DeviceId)
    }
}

/// A text that is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not an account's.
    #[error("an account name is 1 to 64 characters of a-z, 0-9 and . _ @ + -, the first a letter or digit")]
    Account,
    /// Not a reflector's.
    #[error("a reflector name is 1 to 32 characters of a-z, 0-9 and -")]
    Reflector,
}

const ACCOUNT_LEN: usize = 64;
const REFLECTOR_LEN: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_rules() {
        for good in ["a", "7", "alice", "a.b_c@example.org", "x+1-2"] {
            assert!(good.parse::<AccountName>().is_ok(), "{good}");
        }
        let long = "a".repeat(65);
        for bad in ["", ".a", "-a", "Alice", "a b", "a/b", "a\u{e9}", "a\n", "..", long.as_str()] {
            assert!(bad.parse::<AccountName>().is_err(), "{bad:?}");
        }
        for good in ["fra1", "a", "-", "eu-west-2"] {
            assert!(good.parse::<ReflectorName>().is_ok(), "{good}");
        }
        let long = "a".repeat(33);
        for bad in ["", "FRA1", "fra_1", "fra.1", "fra 1", long.as_str()] {
            assert!(bad.parse::<ReflectorName>().is_err(), "{bad:?}");
        }
    }
}
