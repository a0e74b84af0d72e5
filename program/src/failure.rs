//! Why the program ends before its work is done, and with which exit code.
//!
//! * One line, which says what is wrong and what would be right.
//! * Control characters in it are escaped, so that it stays one line whatever text it quotes.

use std::fmt::{self, Write as _};

/// A reason to end, with the exit code that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The command line is wrong: exit code 2.
    Usage(String),
    /// The configuration is wrong, or what it names cannot be had: exit code 78 (EX_CONFIG of sysexits.h).
    Config(String),
    /// Something failed while it ran: exit code 1.
    Runtime(String),
    /// SIGINT: exit code 130.
    Interrupted,
}

impl Failure {
    /// The exit code of the process.
    pub fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Config(_) => 78,
            Self::Runtime(_) => 1,
            Self::Interrupted => 130,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(line) | Self::Config(line) | Self::Runtime(line) => {
                line.chars().try_for_each(|c| match c.is_control() {
                    true => write!(f, "{}", c.escape_default()),
                    false => f.write_char(c),
                })
            }
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Runtime(error.to_string())
    }
}
