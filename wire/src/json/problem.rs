//! What went wrong, as a problem document (RFC 9457): `{type, title, status, detail}`.
//!
//! * `type` is for programs and one of [`ProblemKind`]; `detail` is for people and says what to do.
//! * A kind decides status and title, so two refusals of one kind differ in nothing but their detail.

use alloc::string::String;
use core::fmt;
use serde::{Deserialize, Serialize};

/// A problem document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A path such as `/problems/ticket`, relative to the server; see [`Problem::kind`].
    #[serde(rename = "type")]
    pub kind_uri: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong here, and what to do.
    pub detail: String,
}

impl Problem {
    /// A problem of this kind.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            kind_uri: alloc::format!("{PREFIX}{}", kind.slug()),
            title: String::from(kind.title()),
            status: kind.status(),
            detail: detail.into(),
        }
    }

    /// The kind, unless a newer server knows more kinds.
    pub fn kind(&self) -> Option<ProblemKind> {
        let slug = self.kind_uri.strip_prefix(PREFIX)?;
        ProblemKind::ALL.into_iter().find(|kind| kind.slug() == slug)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.title, self.detail)
    }
}

impl core::error::Error for Problem {}

/// What programs tell problems apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// The request is no JSON of the right shape, or a path or query has a wrong value.
    Malformed,
    /// Account and password do not fit, or the account is unknown or disabled.
    Credentials,
    /// Device, nonce and signature do not fit, or the nonce is used or too old: ask for a new challenge.
    Login,
    /// The session has ended or never was: log in again.
    Session,
    /// The service credential does not fit.
    Service,
    /// No such path.
    NotFound,
    /// The path has other methods.
    Method,
    /// The request took too long to come.
    Slow,
    /// A limit on devices or buddies is reached.
    Limit,
    /// The request is longer than any that is served.
    TooLarge,
    /// The body is not `application/json`.
    MediaType,
    /// A ticket proves nothing at that reflector now: PROBE again.
    Ticket,
    /// The server knows no reflector of that name.
    Reflector,
    /// No reflector would send to that address.
    Destination,
    /// Too many tries: wait.
    Budget,
    /// A table of fixed size is full for now.
    Full,
    /// The server failed; nothing was changed.
    Internal,
    /// The server has too much to do, or is about to stop: try again later.
    Busy,
}

impl ProblemKind {
    /// Every kind, by status.
    pub const ALL: [Self; 18] = [
        Self::Malformed,
        Self::Credentials,
        Self::Login,
        Self::Session,
        Self::Service,
        Self::NotFound,
        Self::Method,
        Self::Slow,
        Self::Limit,
        Self::TooLarge,
        Self::MediaType,
        Self::Ticket,
        Self::Reflector,
        Self::Destination,
        Self::Budget,
        Self::Internal,
        Self::Busy,
        Self::Full,
    ];

    /// The last part of the type's path.
    pub const fn slug(self) -> &'static str {
        self.row().slug
    }

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        self.row().status
    }

    /// The kind in words.
    pub const fn title(self) -> &'static str {
        self.row().title
    }

    const fn row(self) -> Row {
        match self {
            Self::Malformed => Row::new("malformed", 400, "The request has not the right form"),
            Self::Credentials => Row::new("credentials", 401, "Account or password is wrong"),
            Self::Login => Row::new("login", 401, "The login proves nothing"),
            Self::Session => Row::new("session", 401, "There is no such session"),
            Self::Service => Row::new("service", 401, "The service credential is missing or wrong"),
            Self::NotFound => Row::new("not-found", 404, "There is nothing at this path"),
            Self::Method => Row::new("method", 405, "The path has other methods"),
            Self::Slow => Row::new("slow", 408, "The request took too long to come"),
            Self::Limit => Row::new("limit", 409, "A limit is reached"),
            Self::TooLarge => Row::new("too-large", 413, "The request is too long"),
            Self::MediaType => Row::new("media-type", 415, "The body is not JSON"),
            Self::Ticket => Row::new("ticket", 422, "A ticket proves nothing"),
            Self::Reflector => Row::new("reflector", 422, "There is no such reflector"),
            Self::Destination => Row::new("destination", 422, "No reflector sends to this address"),
            Self::Budget => Row::new("budget", 429, "Too many tries"),
            Self::Internal => Row::new("internal", 500, "The server failed"),
            Self::Busy => Row::new("busy", 503, "The server is busy"),
            Self::Full => Row::new("full", 507, "There is no room for more"),
        }
    }
}

/// What is fixed about a kind.
struct Row {
    slug: &'static str,
    status: u16,
    title: &'static str,
}

impl Row {
    const fn new(slug: &'static str, status: u16, title: &'static str) -> Self {
        Self { slug, status, title }
    }
}

/// The media type of a problem document.
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";
const PREFIX: &str = "/problems/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_again_by_its_type() {
        for kind in ProblemKind::ALL {
            let problem = Problem::new(kind, "x");
            assert_eq!(problem.kind(), Some(kind));
            let text = serde_json::to_string(&problem).unwrap();
            assert_eq!(serde_json::from_str::<Problem>(&text).unwrap(), problem);
        }
        let text = serde_json::to_string(&Problem::new(ProblemKind::Ticket, "PROBE again")).unwrap();
        assert_eq!(
            text,
            r#"{"type":"/problems/ticket","title":"A ticket proves nothing","status":422,"detail":"PROBE again"}"#
        );
        let newer =
            Problem { kind_uri: String::from("/problems/other"), ..Problem::new(ProblemKind::Busy, "") };
        assert_eq!(newer.kind(), None);
    }
}
