//! Why a lab could not be built or used.
//!
//! * Says which command or file it was, and what the kernel or the program answered.

use std::io;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program said no.
    #[error("`{command}` failed: {said}")]
    Tool {
        /// The command line.
        command: String,
        /// Its standard error.
        said: String,
    },
    /// The kernel said no.
    #[error("{what}: {error}")]
    Kernel {
        /// What was tried.
        what: String,
        /// Its answer.
        error: io::Error,
    },
    /// The kernel's NAT cannot behave so.
    #[error(
        "nftables has no address-dependent mapping (ADM); take EIM or APDM, or simulate it with the crate nat"
    )]
    AddressDependentMapping,
    /// More networks than the plan of addresses holds.
    #[error("a lab has at most {most} networks and a NAT as many inside hosts; build a second lab")]
    Full {
        /// The number of the last.
        most: u8,
    },
}

impl Error {
    /// An answer of the kernel, with what was tried.
    pub(crate) fn kernel(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Kernel { what: what.into(), error }
    }
}
