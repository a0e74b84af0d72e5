//! What a request brings: its body, its bearer, its query; each read with a limit.
//!
//! * A body is JSON of at most 16 KiB that comes in time, or a refusal.

use crate::http::refusal::Refusal;
use axum::body::{Body, to_bytes};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request, header};
use serde::de::DeserializeOwned;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use wire::json::login::Session;
use wire::json::problem::ProblemKind;

/// Who asks, and how long it may take; put into every request by the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where its connection comes from.
    pub ip: IpAddr,
    /// How long a body may take to come.
    pub patience: Duration,
}

impl Peer {
    /// Of a request; without a connection there is none, and nobody is waited for long.
    pub fn of(request: &Request<Body>) -> Self {
        let nobody = Self { ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED), patience: Duration::from_secs(1) };
        request.extensions().get::<Self>().copied().unwrap_or(nobody)
    }
}

/// The body as a value.
///
/// # Errors
/// Another media type, too long, too slow, not JSON, another shape.
pub async fn json<T: DeserializeOwned>(request: Request<Body>) -> Result<T, Refusal> {
    let media_type =
        request.headers().get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or("");
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err(Refusal::new(ProblemKind::MediaType, "send Content-Type: application/json"));
    }
    let too_large = || {
        let detail = format!("a body is at most {LONGEST_BODY} bytes; no call needs more");
        Refusal::new(ProblemKind::TooLarge, detail)
    };
    let announced =
        request.headers().get(header::CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > LONGEST_BODY) {
        return Err(too_large());
    }
    let patience = Peer::of(&request).patience;
    let read = to_bytes(request.into_body(), LONGEST_BODY);
    let body = match tokio::time::timeout(patience, read).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return Err(too_large()),
        Err(_) => {
            let detail = format!("a body comes within {} ms; send it at once", patience.as_millis());
            return Err(Refusal::new(ProblemKind::Slow, detail));
        }
    };
    serde_json::from_slice(&body).map_err(|error| {
        Refusal::new(ProblemKind::Malformed, format!("{error}; GET /v1/openapi.json describes every body"))
    })
}

/// The bearer of `Authorization`, as it came.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The session of `Authorization`.
///
/// # Errors
/// None, or none of the right form.
pub fn session(headers: &HeaderMap) -> Result<Session, Refusal> {
    bearer(headers).and_then(|token| token.parse().ok()).ok_or_else(no_session)
}

/// What every call says to a session that has ended or never was.
pub fn no_session() -> Refusal {
    let detail = "it has ended, or never was; log in again (POST /v1/challenge, then POST /v1/login) and send \
                  Authorization: Bearer SESSION";
    Refusal::new(ProblemKind::Session, detail)
}

/// The number behind `version=` in the query, if there is one.
///
/// # Errors
/// Something else in the query.
pub fn version(parts: &Parts) -> Result<Option<u64>, Refusal> {
    let query = parts.uri.query().unwrap_or_default();
    if query.is_empty() {
        return Ok(None);
    }
    let number = query.strip_prefix("version=").and_then(|text| text.parse().ok());
    let detail = "the query is ?version=N, with the version of the profile that is there already";
    number.map(Some).ok_or_else(|| Refusal::new(ProblemKind::Malformed, detail))
}

/// Bytes of the longest body: a login with three contacts has less than 1 KiB.
pub const LONGEST_BODY: usize = 16 << 10;
