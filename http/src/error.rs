//! Why a call failed, or its answer could not be used.

use std::net::SocketAddr;
use std::time::Duration;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server cannot be connected to, or its name has no address.
    #[error("{0}")]
    Connect(std::io::Error),
    /// The call, connecting included, took longer than it may.
    #[error("no answer within {} s", .0.as_secs())]
    Late(Duration),
    /// The connection ended early, what came over it is no HTTP, or the answer is longer than is read.
    #[error("{0}")]
    Exchange(String),
    /// There is no TLS with the server: its certificate is not trusted, or it speaks something else.
    #[error("{0}")]
    Tls(String),
    /// A certificate authority's file cannot be used.
    #[error("{reason}")]
    Authority {
        /// Why not.
        reason: String,
    },
    /// No runtime could be made to wait on.
    #[error("no runtime for calls: {0}")]
    Runtime(std::io::Error),
    /// The answer has a status other than 200.
    #[error("the answer is {0}")]
    Status(u16),
    /// A metrics endpoint does not answer with metrics.
    #[error("no metrics from http://{admin}/metrics: {reason}")]
    NoMetrics {
        /// Where it is.
        admin: SocketAddr,
        /// Why its answer could not be read as metrics.
        reason: Box<Self>,
    },
    /// A line is neither a comment nor a sample.
    #[error("not a metric: {line:?}")]
    NotAMetric {
        /// The line, as it came.
        line: String,
    },
    /// No sample has this name and these labels.
    #[error("no metric {name} with labels {labels}")]
    NoSample {
        /// The name that was looked for.
        name: String,
        /// The labels that were looked for.
        labels: String,
    },
    /// What was to be counted is no whole number.
    #[error("metric {name} is {sum}; right would be a whole number up to 2^53")]
    NotACount {
        /// The name that was looked for.
        name: String,
        /// The sum of its samples.
        sum: f64,
    },
}
