//! Byte strings of a fixed length as JSON and people see them: base64url without padding (RFC 4648 section 5).
//!
//! * One text for one value: another length, padding, the other alphabet, or stray bits at the end are refused.
//! * `Debug` never shows the bytes, because many of them are secrets; `Display` is for where they are meant to go.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use core::fmt;
use core::str::FromStr;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `N` bytes, written as base64url.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes<const N: usize>(pub [u8; N]);

impl<const N: usize> Bytes<N> {
    /// Characters of the text.
    pub const TEXT_LEN: usize = (N * 4).div_ceil(3);
}

impl<const N: usize> fmt::Display for Bytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl<const N: usize> fmt::Debug for Bytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes<{N}>(..)")
    }
}

impl<const N: usize> FromStr for Bytes<N> {
    type Err = BytesError;

    fn from_str(text: &str) -> Result<Self, BytesError> {
        let error = BytesError { bytes: N, characters: Self::TEXT_LEN };
        if text.len() != Self::TEXT_LEN {
            return Err(error);
        }
        let decoded = URL_SAFE_NO_PAD.decode(text).map_err(|_| error)?;
        <[u8; N]>::try_from(decoded.as_slice()).map(Bytes).map_err(|_| error)
    }
}

/// A text that is not `bytes` bytes in base64url.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {characters} characters of base64url without padding ({bytes} bytes)")]
pub struct BytesError {
    /// Bytes wanted.
    pub bytes: usize,
    /// Characters wanted.
    pub characters: usize,
}

impl<const N: usize> Serialize for Bytes<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Bytes<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor<const N: usize>;

impl<const N: usize> Visitor<'_> for TextVisitor<N> {
    type Value = Bytes<N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{N} bytes as base64url without padding")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Bytes<N>, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;

    #[test]
    fn a_text_is_read_back_and_no_other_text_is_the_same_bytes() {
        let bytes = Bytes([0xfb, 0xff, 0x00, 0x10]);
        let text = bytes.to_string();
        assert_eq!(text, "-_8AEA");
        assert_eq!(text.parse(), Ok(bytes));
        for wrong in ["", "-_8AE", "-_8AEA==", "-_8AEAA", "+/8AEA", "-_8AEB", "-_8 EA", "-_8AE\u{e9}"] {
            assert!(wrong.parse::<Bytes<4>>().is_err(), "{wrong:?}");
        }
        assert_eq!(Bytes::<32>::TEXT_LEN, 43);
        assert_eq!(Bytes::<64>::TEXT_LEN, 86);
    }

    #[test]
    fn debug_shows_nothing_of_the_bytes() {
        assert_eq!(format!("{:?}", Bytes([7; 32])), "Bytes<32>(..)");
    }
}
