//! Why a datagram was dropped: one reason each, in the order of the checks.
//!
//! * The first check that fails names the reason; a dropped datagram is answered with nothing.

/// The one reason why a datagram was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// The kernel lost control data of the datagram (MSG_CTRUNC).
    Truncated,
    /// The operator denies this source.
    Denied,
    /// Shorter than a header.
    Short,
    /// Longer than a datagram, or a PROBE, may be.
    Oversize,
    /// Neither PROBE, SEND nor SEALED_SEND.
    Kind,
    /// A PROBE from an address or port that the policy refuses.
    Source,
    /// The key id is not in the ring.
    Key,
    /// The capability's time is over.
    Expired,
    /// The capability claims to live longer than any may.
    Lifetime,
    /// The policy refuses the destination, or no socket of its family exists.
    Destination,
    /// The tag does not prove what the header says.
    Tag,
    /// One of the two addresses was taken back, or the pair of both.
    Revoked,
    /// Accepted, but its class or its prefix has spent its budget.
    Rate,
}

impl Reason {
    /// Every reason, in the order of the checks.
    pub const ALL: [Self; 13] = [
        Self::Truncated,
        Self::Denied,
        Self::Short,
        Self::Oversize,
        Self::Kind,
        Self::Source,
        Self::Key,
        Self::Expired,
        Self::Lifetime,
        Self::Destination,
        Self::Tag,
        Self::Revoked,
        Self::Rate,
    ];

    /// The word that metrics and documents use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Denied => "denied",
            Self::Short => "short",
            Self::Oversize => "oversize",
            Self::Kind => "kind",
            Self::Source => "source",
            Self::Key => "key",
            Self::Expired => "expired",
            Self::Lifetime => "lifetime",
            Self::Destination => "destination",
            Self::Tag => "tag",
            Self::Revoked => "revoked",
            Self::Rate => "rate",
        }
    }
}

impl core::fmt::Display for Reason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}
