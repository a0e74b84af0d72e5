//! What becomes of a datagram, in the one form that all subjects are compared in.
//!
//! * A drop leaves nothing to compare but its reason; what leaves is compared byte for byte.

use std::fmt;
use std::net::SocketAddr;
use wire::Reason;

/// What a subject did with a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing left, for this reason.
    Dropped(Reason),
    /// This OBSERVED went back to its source.
    Observed(Vec<u8>),
    /// This DATA went to its destination.
    Relayed(SocketAddr, Vec<u8>),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dropped(reason) => write!(f, "dropped: {reason}"),
            Self::Observed(bytes) => write!(f, "observed: {}", hex::encode(bytes)),
            Self::Relayed(to, bytes) => write!(f, "relayed to {to}: {}", hex::encode(bytes)),
        }
    }
}

/// What the XDP program did with a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FrameOutcome {
    /// Handed to the stack unseen: not for the reflector.
    NotOurs,
    /// Handed to the stack and counted: the socket path's to serve.
    Passed,
    /// Nothing left, for this reason.
    Dropped(Reason),
    /// Left as this frame, counted as observed.
    Observed(Vec<u8>),
    /// Left as this frame, counted as relayed.
    Relayed(Vec<u8>),
}

impl fmt::Display for FrameOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOurs => f.write_str("not ours"),
            Self::Passed => f.write_str("passed"),
            Self::Dropped(reason) => write!(f, "dropped: {reason}"),
            Self::Observed(bytes) => write!(f, "observed: {}", hex::encode(bytes)),
            Self::Relayed(bytes) => write!(f, "relayed: {}", hex::encode(bytes)),
        }
    }
}
