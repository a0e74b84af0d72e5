//! Whom to call, and what a call and its answer are.
//!
//! * A call takes at most [`Limits::patience`], and at most [`Limits::most_bytes`] of an answer are read.
//! * The connection of a single call ends with it.

use crate::error::Error;
#[cfg(feature = "tls")]
use crate::tls::Tls;
use crate::url::Url;
use hyper::Method;
use hyper::body::Bytes;
use std::net::SocketAddr;
use std::time::Duration;

/// Who can be called.
#[derive(Clone)]
pub struct Client {
    pub(crate) place: Place,
    /// The header `Host`.
    pub(crate) authority: String,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Tls>,
    pub(crate) limits: Limits,
}

/// Where a server is.
#[derive(Clone)]
pub(crate) enum Place {
    /// At this address.
    At(SocketAddr),
    /// Wherever this name leads, at this port.
    Named(String, u16),
}

/// What a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest time from connecting to the last byte of the answer.
    pub patience: Duration,
    /// Bytes of the longest body that is read.
    pub most_bytes: usize,
}

/// One call.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// What to do.
    pub method: Method,
    /// The path, and whatever follows it.
    pub path: &'a str,
    /// The token of the header `Authorization: Bearer`.
    pub bearer: Option<String>,
    /// The body, which is JSON.
    pub json: Option<Vec<u8>>,
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The status code and its usual words, such as `404 Not Found`.
    pub reason: String,
    /// The body.
    pub body: Bytes,
}

impl Client {
    /// A client of the server at this address, without TLS.
    #[must_use]
    pub fn at(address: SocketAddr, limits: Limits) -> Self {
        Self {
            place: Place::At(address),
            authority: address.to_string(),
            #[cfg(feature = "tls")]
            tls: None,
            limits,
        }
    }

    /// A client of the server that a URL names, without TLS.
    #[must_use]
    pub fn plain(url: &Url, limits: Limits) -> Self {
        Self {
            place: Place::Named(url.host().to_owned(), url.port()),
            authority: url.authority().to_owned(),
            #[cfg(feature = "tls")]
            tls: None,
            limits,
        }
    }

    /// The same client, told at which address its server is.
    #[must_use]
    pub fn placed(mut self, address: SocketAddr) -> Self {
        self.place = Place::At(address);
        self
    }

    /// A client of the server that an `https` URL names.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn secure(url: &Url, limits: Limits, tls: Tls) -> Self {
        Self { tls: Some(tls), ..Self::plain(url, limits) }
    }
}

impl<'a> Call<'a> {
    /// A call that only reads.
    #[must_use]
    pub fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, bearer: None, json: None }
    }
}

impl Answer {
    /// Whether the status says that it worked: 200 to 299.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Waits for a call on this thread, for callers without a runtime; not to be used within one.
///
/// # Errors
/// What the call says; the system gives no runtime.
pub fn wait<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    runtime.block_on(work)
}
