//! Why a run did not take place or did not end well, and the exit code that says so.
//!
//! * One line each: what is wrong and what would be right.

/// An error of the generator, by whose move is next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The command line is wrong: exit 2.
    #[error("{0}")]
    Usage(String),
    /// What the command line names (ring, block, CPU, file) is not as it should be: exit 78.
    #[error("{0}")]
    Configuration(String),
    /// The run failed: exit 1.
    #[error("{0}")]
    Runtime(String),
    /// A signal came before there was anything to keep: exit 130.
    #[error("interrupted before anything was measured")]
    Interrupted,
}

impl Error {
    /// The exit code of a program that ends with this error.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Configuration(_) => 78,
            Self::Runtime(_) => 1,
            Self::Interrupted => 130,
        }
    }
}

impl From<results::error::Error> for Error {
    fn from(error: results::error::Error) -> Self {
        Self::Runtime(error.to_string())
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Valid, and every threshold holds.
    Fine,
    /// The numbers may not be believed.
    Invalid,
    /// Valid, but a threshold does not hold.
    ThresholdFailed,
    /// No SEND ever came back: a wrong ring, most likely.
    Refused,
    /// What was measured went away before the end.
    Failed,
    /// A signal ended it early.
    Interrupted,
}

impl Ending {
    /// The exit code that says so.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Failed => 1,
            Self::Refused => 78,
            Self::Invalid => 98,
            Self::ThresholdFailed => 99,
            Self::Interrupted => 130,
        }
    }
}

/// A usage error with this message, if something is wrong.
///
/// # Errors
/// [`Error::Usage`] if `wrong`.
pub fn refuse(wrong: bool, message: impl FnOnce() -> String) -> Result<(), Error> {
    if wrong { Err(Error::Usage(message())) } else { Ok(()) }
}
