//! How behaviours are read: "open", "eim/apdf", or one of the four classic names.
//!
//! * Whatever `Display` prints is read back unchanged.
//! * The four classic names of RFC 3489 are read as well, never printed by `Display`.

use crate::behaviour::Behaviour;
use crate::behaviour::Filtering::{self, Adf, Apdf, Eif};
use crate::behaviour::Mapping::{self, Adm, Apdm, Eim};
use crate::error::{Error, quote};
use std::str::FromStr;

impl FromStr for Behaviour {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some((mapping, filtering)) = text.split_once('/') {
            return Ok(Self::nat(mapping.parse()?, filtering.parse()?));
        }
        if text == "open" {
            return Ok(Self::Open);
        }
        Self::ALL
            .into_iter()
            .find(|behaviour| behaviour.classic_name() == Some(text))
            .ok_or_else(|| Error::Behaviour { text: quote(text) })
    }
}

impl FromStr for Mapping {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "eim" => Ok(Eim),
            "adm" => Ok(Adm),
            "apdm" => Ok(Apdm),
            _ => Err(Error::Mapping { text: quote(text) }),
        }
    }
}

impl FromStr for Filtering {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "eif" => Ok(Eif),
            "adf" => Ok(Adf),
            "apdf" => Ok(Apdf),
            _ => Err(Error::Filtering { text: quote(text) }),
        }
    }
}
