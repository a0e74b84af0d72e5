//! Why STUN answers a datagram with nothing.
//!
//! * One reason for each datagram: that of the first check that fails.

use ::stun::request::NoRequest;

/// Why a datagram that was handed over is answered with nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
    /// Longer than `--max-datagram`.
    Oversize,
    /// Not a STUN message, or one whose parts do not fit together.
    Malformed,
    /// A STUN message, but no Binding request.
    Kind,
    /// Its FINGERPRINT is wrong.
    Fingerprint,
    /// The policy would refuse its source as destination.
    Source,
    /// The budget of its source's prefix is spent.
    Rate,
}

impl Refusal {
    /// Every reason, in the order of the checks.
    pub const ALL: [Refusal; 6] = [
        Refusal::Oversize,
        Refusal::Malformed,
        Refusal::Kind,
        Refusal::Fingerprint,
        Refusal::Source,
        Refusal::Rate,
    ];

    /// The word that metrics and documents use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Refusal::Oversize => "oversize",
            Refusal::Malformed => "malformed",
            Refusal::Kind => "kind",
            Refusal::Fingerprint => "fingerprint",
            Refusal::Source => "source",
            Refusal::Rate => "rate",
        }
    }
}

impl From<NoRequest> for Refusal {
    fn from(why: NoRequest) -> Refusal {
        match why {
            NoRequest::Malformed => Refusal::Malformed,
            NoRequest::Kind => Refusal::Kind,
            NoRequest::Fingerprint => Refusal::Fingerprint,
        }
    }
}
