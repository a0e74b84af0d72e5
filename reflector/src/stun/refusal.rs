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
    pub const ALL: [Self; 6] =
        [Self::Oversize, Self::Malformed, Self::Kind, Self::Fingerprint, Self::Source, Self::Rate];

    /// The word that metrics and documents use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Oversize => "oversize",
            Self::Malformed => "malformed",
            Self::Kind => "kind",
            Self::Fingerprint => "fingerprint",
            Self::Source => "source",
            Self::Rate => "rate",
        }
    }
}

impl From<NoRequest> for Refusal {
    fn from(why: NoRequest) -> Self {
        match why {
            NoRequest::Malformed => Self::Malformed,
            NoRequest::Kind => Self::Kind,
            NoRequest::Fingerprint => Self::Fingerprint,
        }
    }
}
