//! The master: 32-byte secrets from which the ring of every reflector is derived.
//!
//! * secret of reflector NAME under key ID = first 16 bytes of HMAC-SHA256(master secret, "reflector-ring-v1" | ID | NAME)
//! * A ring has the ids of the master in the master's order; the first key mints.
//! * Refused whole, with the line and the reason, or read whole. Neither `Debug` nor an error ever shows a secret.
//!
//! Source: docs/wire.md, "Ring".

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;
use std::fmt;
use toml::Spanned;
use wire::KeyRing;
use wire::json::name::ReflectorName;
use wire::ring_file;

/// The keys of a deployment, in minting order; at least one.
#[derive(Clone, PartialEq, Eq)]
pub struct Master {
    keys: Vec<(u8, [u8; 32])>,
}

impl Master {
    /// A master of `(id, secret)` in minting order.
    ///
    /// # Errors
    /// No key, an id outside 0..=15, an id twice, a secret of zeros.
    pub fn new(keys: Vec<(u8, [u8; 32])>) -> Result<Self, String> {
        if keys.is_empty() {
            return Err(String::from(
                "the master holds no key; `reflector-access keygen` prints a fresh one",
            ));
        }
        for (place, (id, secret)) in keys.iter().enumerate() {
            if *id > 15 {
                return Err(format!("key id {id} is outside 0..=15"));
            }
            if keys.iter().take(place).any(|(other, _)| other == id) {
                return Err(format!("key id {id} stands twice; every key needs an id of its own"));
            }
            if *secret == [0; 32] {
                return Err(String::from(
                    "the secret is all zeros; `reflector-access keygen` prints a random one",
                ));
            }
        }
        Ok(Self { keys })
    }

    /// Reads a master file.
    ///
    /// # Errors
    /// Text that is not TOML, an unknown or missing field, and what [`Master::new`] refuses; each with its line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| {
            // Behind these words serde quotes the value, which may be a secret.
            let message = error.message().lines().next().unwrap_or_default();
            let shown = if message.contains("invalid") { "a value of the wrong type" } else { message };
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            format!(
                "line {line}: {shown}; a key is written [[key]], id = 0 to 15, secret = \"64 hexadecimal digits\""
            )
        })?;
        let mut keys = Vec::new();
        for entry in &file.key {
            let at = |offset: usize, reason: &str| format!("line {}: {reason}", line_of(text, offset));
            let (id, secret) = (&entry.id, &entry.secret);
            let number = u8::try_from(*id.get_ref()).ok().filter(|id| *id < 16);
            let number = number.ok_or_else(|| at(id.span().start, "the key id is outside 0..=15"))?;
            let mut bytes = [0; 32];
            hex::decode_to_slice(secret.get_ref(), &mut bytes).map_err(|_| {
                at(
                    secret.span().start,
                    &format!("the secret of key {number} is not 64 hexadecimal digits (32 bytes)"),
                )
            })?;
            keys.push((number, bytes));
            Self::new(keys.clone()).map_err(|reason| at(id.span().start, &reason))?;
        }
        Self::new(keys).map_err(|reason| format!("line 1: {reason}"))
    }

    /// The ring of a reflector.
    ///
    /// # Errors
    /// A derived secret that a ring refuses; no random master makes one.
    pub fn ring(&self, reflector: &ReflectorName) -> Result<KeyRing, String> {
        KeyRing::new(&self.secrets(reflector)).map_err(|error| error.to_string())
    }

    /// The ring of a reflector as its file.
    pub fn ring_file(&self, reflector: &ReflectorName) -> String {
        self.secrets(reflector).iter().map(|(id, secret)| ring_file::render(*id, secret)).collect()
    }

    /// Keys of receipts, in minting order.
    pub fn receipt_keys(&self) -> Vec<[u8; 32]> {
        self.keys.iter().map(|(_, secret)| hmac(secret, &[LABEL_RECEIPTS])).collect()
    }

    /// A number for each key that tells it from all others, and says nothing about its secret.
    pub fn prints(&self) -> Vec<u64> {
        let print = |(id, secret): &(u8, [u8; 32])| {
            let [a, b, c, d, e, f, g, h, ..] = hmac(secret, &[LABEL_PRINT, &[*id]]);
            u64::from_be_bytes([a, b, c, d, e, f, g, h])
        };
        self.keys.iter().map(print).collect()
    }

    /// Whether it holds the secret that the documentation prints.
    pub fn is_example(&self) -> bool {
        self.keys.iter().any(|(_, secret)| *secret == EXAMPLE_SECRET)
    }

    /// The ids, in minting order.
    pub fn ids(&self) -> impl Iterator<Item = u8> + '_ {
        self.keys.iter().map(|(id, _)| *id)
    }

    fn secrets(&self, reflector: &ReflectorName) -> Vec<(u8, [u8; 16])> {
        self.keys.iter().map(|(id, secret)| (*id, derive(secret, *id, reflector))).collect()
    }
}

impl fmt::Debug for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Master(key ids {:?})", self.ids().collect::<Vec<_>>())
    }
}

/// The text of a master file with one key.
pub fn render(id: u8, secret: &[u8; 32]) -> String {
    format!("[[key]]\nid = {id}\nsecret = \"{}\"\n", hex::encode(secret))
}

/// HMAC-SHA256 of the parts one after the other.
pub fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // The key length of the type is the only thing that could be refused, and every length is good for an HMAC.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    key: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: Spanned<i64>,
    secret: Spanned<String>,
}

fn derive(master: &[u8; 32], id: u8, reflector: &ReflectorName) -> [u8; 16] {
    let whole = hmac(master, &[LABEL, &[id], reflector.as_str().as_bytes()]);
    let mut secret = [0; 16];
    secret.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
    secret
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

const LABEL: &[u8] = b"reflector-ring-v1";
const LABEL_RECEIPTS: &[u8] = b"reflector-receipts-v1";
const LABEL_PRINT: &[u8] = b"reflector-key-print-v1";
/// Bytes 00 to 1f, the master of the documentation's vector.
const EXAMPLE_SECRET: [u8; 32] = {
    let mut bytes = [0; 32];
    let mut at = 0;
    while at < 32 {
        #[allow(clippy::cast_possible_truncation, clippy::indexing_slicing)] // Below 32, at compile time.
        {
            bytes[at] = at as u8;
        }
        at += 1;
    }
    bytes
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vector_of_the_protocol_holds() {
        let master = Master::new(vec![(3, EXAMPLE_SECRET)]).unwrap();
        let name = "fra1".parse().unwrap();
        let file = master.ring_file(&name);
        assert_eq!(file, "[[key]]\nid = 3\nsecret = \"fae4e90370bca93c6461b14ca1b35615\"\n");
        let ring = master.ring(&name).unwrap();
        assert_eq!(ring.fingerprint(), ring_file::parse(&file).unwrap().fingerprint());
        assert!(master.is_example());
    }

    #[test]
    fn every_reflector_and_every_key_has_another_secret_in_the_masters_order() {
        let master = Master::new(vec![(5, [1; 32]), (2, [1; 32]), (9, [2; 32])]).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for name in ["fra1", "fra2", "a"] {
            let name = name.parse().unwrap();
            let secrets = master.secrets(&name);
            assert_eq!(secrets.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [5, 2, 9]);
            assert_eq!(master.ring(&name).unwrap().minting().get(), 5);
            seen.extend(secrets.into_iter().map(|(_, secret)| secret));
        }
        assert_eq!(seen.len(), 9);
    }

    #[test]
    fn a_wrong_file_is_refused_with_its_line_and_without_its_secret() {
        let secret = "ab".repeat(32);
        let key = |id: &str, secret: &str| format!("[[key]]\nid = {id}\nsecret = \"{secret}\"\n");
        for (text, words) in [
            (String::new(), "line 1: the master holds no key"),
            (key("16", &secret), "line 2: the key id is outside"),
            (key("1", &secret) + &key("1", &secret), "line 5: key id 1 stands twice"),
            (key("1", &secret[1..]), "line 3: the secret of key 1 is not 64"),
            (key("1", &"0".repeat(64)), "line 2: the secret is all zeros"),
            (key(&format!("\"{secret}\""), "x"), "line 2: a value of the wrong type"),
            (key("1", &secret) + "extra = 1\n", "line 4: unknown field"),
        ] {
            let reason = Master::parse(&text).unwrap_err();
            assert!(reason.contains(words), "{reason}");
            assert!(!reason.contains("abab"), "a secret was shown: {reason}");
        }
        let master = Master::parse(&(key("1", &secret) + &key("0", &secret))).unwrap();
        assert_eq!(format!("{master:?}"), "Master(key ids [1, 0])");
    }
}
