//! What can go wrong around an endpoint, and what would be right.

use std::net::SocketAddr;
use std::path::PathBuf;
use wire::json::problem::Problem;

/// Why an endpoint, or a call of the access server, failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A device's file cannot be used.
    #[error("{}: {reason}", path.display())]
    DeviceFile {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The system has no randomness.
    #[error("the system gives no random bytes ({reason}); nothing can be encrypted without")]
    Random {
        /// What it says.
        reason: String,
    },
    /// An access server's URL is none.
    #[error("`{url}` is no access server; write http://HOST:PORT or https://HOST")]
    Url {
        /// What was given.
        url: String,
    },
    /// The access server cannot be reached, or does not speak as it should.
    #[error("the access server at {url} does not answer: {reason}")]
    Unreachable {
        /// Its URL.
        url: String,
        /// Why.
        reason: String,
    },
    /// The access server refused.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// A socket cannot be had.
    #[error("no UDP socket at {address}: {reason}")]
    Socket {
        /// Where.
        address: SocketAddr,
        /// Why.
        reason: String,
    },
    /// There is no reflector to PROBE.
    #[error("no reflector is known; enrol again, or ask the operator of the access server")]
    NoReflector,
    /// No reflector answered in time.
    #[error("no reflector answers; is UDP to {addresses} blocked here?")]
    NoContact {
        /// Where they are.
        addresses: String,
    },
    /// There is nobody of that name.
    #[error("`{name}` is no buddy; `status` lists them")]
    NoBuddy {
        /// What was given.
        name: String,
    },
    /// A datagram or message could not be taken.
    #[error(transparent)]
    Send(#[from] peer::SendError),
    /// The behaviour in a device's file is none.
    #[error(transparent)]
    Behaviour(#[from] nat::Error),
    /// The endpoint has ended.
    #[error("the endpoint has left")]
    Left,
}
