//! A NAT's behaviour in JSON: `{"mapping": "eim", "filtering": "apdf"}`, in RFC 4787's words.
//!
//! * `open` stands in both fields or in none.

use core::fmt;
use nat::{Behaviour, Filtering, Mapping};
use serde::{Deserialize, Serialize};

/// A behaviour, written as an object of two words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Words", into = "Words")]
pub struct NatJson(pub Behaviour);

impl From<Behaviour> for NatJson {
    fn from(behaviour: Behaviour) -> Self {
        Self(behaviour)
    }
}

impl fmt::Display for NatJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    mapping: MappingWord,
    filtering: FilteringWord,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum MappingWord {
    Open,
    Eim,
    Adm,
    Apdm,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FilteringWord {
    Open,
    Eif,
    Adf,
    Apdf,
}

impl TryFrom<Words> for NatJson {
    type Error = HalfOpen;

    fn try_from(words: Words) -> Result<Self, HalfOpen> {
        let mapping = match words.mapping {
            MappingWord::Open => None,
            MappingWord::Eim => Some(Mapping::Eim),
            MappingWord::Adm => Some(Mapping::Adm),
            MappingWord::Apdm => Some(Mapping::Apdm),
        };
        let filtering = match words.filtering {
            FilteringWord::Open => None,
            FilteringWord::Eif => Some(Filtering::Eif),
            FilteringWord::Adf => Some(Filtering::Adf),
            FilteringWord::Apdf => Some(Filtering::Apdf),
        };
        match (mapping, filtering) {
            (None, None) => Ok(Self(Behaviour::Open)),
            (Some(mapping), Some(filtering)) => Ok(Self(Behaviour::nat(mapping, filtering))),
            _ => Err(HalfOpen),
        }
    }
}

impl From<NatJson> for Words {
    fn from(nat: NatJson) -> Self {
        let Behaviour::Nat { mapping, filtering } = nat.0 else {
            return Self { mapping: MappingWord::Open, filtering: FilteringWord::Open };
        };
        Self {
            mapping: match mapping {
                Mapping::Eim => MappingWord::Eim,
                Mapping::Adm => MappingWord::Adm,
                Mapping::Apdm => MappingWord::Apdm,
            },
            filtering: match filtering {
                Filtering::Eif => FilteringWord::Eif,
                Filtering::Adf => FilteringWord::Adf,
                Filtering::Apdf => FilteringWord::Apdf,
            },
        }
    }
}

/// One field says `open`, the other a NAT's behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("mapping and filtering are both open, or neither is")]
pub struct HalfOpen;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_behaviour_is_written_and_read_back() {
        for behaviour in Behaviour::ALL {
            let text = serde_json::to_string(&NatJson(behaviour)).unwrap();
            assert_eq!(serde_json::from_str::<NatJson>(&text).unwrap(), NatJson(behaviour), "{text}");
        }
        let text = serde_json::to_string(&NatJson(Behaviour::nat(Mapping::Apdm, Filtering::Adf))).unwrap();
        assert_eq!(text, r#"{"mapping":"apdm","filtering":"adf"}"#);
    }

    #[test]
    fn half_open_and_unknown_words_are_refused() {
        for text in [
            r#"{"mapping":"open","filtering":"eif"}"#,
            r#"{"mapping":"eim","filtering":"open"}"#,
            r#"{"mapping":"EIM","filtering":"eif"}"#,
            r#"{"mapping":"eim"}"#,
            r#"{"mapping":"eim","filtering":"eif","x":1}"#,
            r#""open""#,
        ] {
            assert!(serde_json::from_str::<NatJson>(text).is_err(), "{text}");
        }
    }
}
