//! Why a result cannot be read or written.

/// What is wrong with a result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is not JSON, or lacks a field.
    #[error("not a report of `reflector-loadgen run --json`: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The report is of another version than this program reads.
    #[error("a report of version {found}, and this program reads version {read}: run both of one release")]
    OtherVersion {
        /// The version that the report names.
        found: u32,
        /// The version that is read here.
        read: u32,
    },
    /// A histogram's text is not base64, or what it holds is no histogram.
    #[error("the histogram of a result cannot be read: {0}")]
    NoHistogram(String),
    /// Two histograms cannot be added, or one cannot be written.
    #[error("a latency histogram cannot be written: {0}")]
    Unwritable(String),
}
