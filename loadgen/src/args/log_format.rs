//! The form of what the programs say on stderr.

use clap::ValueEnum;

/// The form of what goes to stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines to read.
    Text,
    /// One JSON object a line.
    Json,
}
