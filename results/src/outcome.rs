//! The part of a run's result that reports and sweeps keep: every figure, without settings, events and slices.

use crate::error::Error;
use crate::latency::Latency;
use crate::run::{Contacts, Data, Generator, Keepalive, NatPair, Rate, check_version};
use crate::verdict::Validity;
use serde::{Deserialize, Serialize};

/// What a run gave.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// [`crate::run::SCHEMA`].
    pub schema: u32,
    /// Version of the generator.
    pub version: String,
    /// Whether a signal ended it early.
    pub interrupted: bool,
    /// How the endpoints learned their contacts.
    pub contacts: Contacts,
    /// Rates of the measured phase.
    pub rate: Rate,
    /// What became of the valid datagrams of the measured phase.
    pub data: Data,
    /// PROBEs that kept pinholes alive during warm-up and measured phase.
    pub keepalive: Keepalive,
    /// Latency of delivered datagrams, from their intended send time.
    pub latency: Latency,
    /// Delivery by the NAT behaviours of sender and receiver.
    pub nat_pairs: Vec<NatPair>,
    /// What the run cost the generator.
    pub generator: Generator,
    /// Whether the numbers may be believed.
    pub validity: Validity,
}

impl Outcome {
    /// Reads it out of a report of this version; what else the report says is passed over.
    ///
    /// # Errors
    /// Text that is no report, and a report of another version.
    pub fn from_json(text: &[u8]) -> Result<Self, Error> {
        check_version(text)?;
        Ok(serde_json::from_slice(text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Report, SCHEMA};

    #[test]
    fn a_report_is_an_outcome_and_another_schema_is_refused() {
        let report = Report { schema: SCHEMA, version: "1".to_owned(), ..Report::default() };
        let text = serde_json::to_string(&report).unwrap();
        let outcome = Outcome { schema: SCHEMA, version: "1".to_owned(), ..Outcome::default() };
        assert_eq!(Outcome::from_json(text.as_bytes()).unwrap(), outcome);
        let newer = text.replacen("\"schema\":1", "\"schema\":2", 1);
        assert!(Outcome::from_json(newer.as_bytes()).unwrap_err().to_string().contains("version 2"));
        assert!(Outcome::from_json(b"{}").is_err() && Outcome::from_json(b"{\"schema\":1}").is_err());
    }
}
