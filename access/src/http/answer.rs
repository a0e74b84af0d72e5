//! What is answered: JSON, or nothing but a status; never to be kept by anybody on the way.

use crate::http::refusal::Refusal;
use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use wire::json::problem::ProblemKind;

/// 200 with this body.
///
/// # Errors
/// A value that has no JSON form.
pub(crate) fn json(value: &impl Serialize) -> Result<Response<Body>, Refusal> {
    let text = serde_json::to_vec(value).map_err(|error| failed(&error))?;
    let mut response = empty(StatusCode::OK);
    *response.body_mut() = Body::from(text);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// A status without a body.
pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What a failure of this server says; the log says more.
pub(crate) fn failed(error: &dyn std::fmt::Display) -> Refusal {
    tracing::error!(%error, "a request failed");
    Refusal::new(
        ProblemKind::Internal,
        "nothing was changed; try again, and tell the operator, whose log says more",
    )
}

/// Nothing is handed out that is not in the audit log.
pub(crate) fn audit_is_behind() -> Refusal {
    Refusal::new(ProblemKind::Busy, "the audit log cannot be written now, so nothing is minted; try again")
        .after(5)
}
