//! The HTTP client of every part: one call, or a connection that is kept; and what metrics endpoints answer.
//!
//! * [`Client`] says whom to call, for how long at most, and how much of an answer is read.
//! * [`Client::call`] opens a connection for one call; [`Connection`] is kept and opened again when it has ended.
//! * [`wait`] is for programs that have no runtime of their own; [`Metrics::scrape`] uses it.
//! * Knows nothing of what is asked, and nothing of Linux.
#![forbid(unsafe_code)]

mod client;
mod connection;
mod error;
mod metrics;
#[cfg(feature = "tls")]
mod tls;
mod url;

pub use client::{Answer, Call, Client, Limits, wait};
pub use connection::Connection;
pub use error::Error;
pub use hyper::Method;
pub use metrics::{Metrics, Sample};
#[cfg(feature = "tls")]
pub use tls::Tls;
pub use url::Url;
