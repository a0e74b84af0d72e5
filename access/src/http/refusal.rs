//! A refusal on its way out: a problem document with its headers.
//!
//! * Whatever goes wrong, the body is a problem document; nothing else is ever said.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use wire::json::problem::{PROBLEM_MEDIA_TYPE, Problem, ProblemKind};

/// A problem, and when to come again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong.
    pub problem: Problem,
    /// Seconds after which a retry makes sense.
    pub retry_after_s: Option<u64>,
}

impl Refusal {
    /// A refusal of this kind.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self { problem: Problem::new(kind, detail), retry_after_s: None }
    }

    /// The same, with the time to wait.
    #[must_use]
    pub fn after(self, seconds: u64) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }

    /// The kind.
    pub fn kind(&self) -> ProblemKind {
        self.problem.kind().unwrap_or(ProblemKind::Internal)
    }

    /// The answer.
    #[expect(
        clippy::expect_used,
        reason = "a problem is made of texts and a number, and memory takes any of them"
    )]
    pub fn response(&self) -> Response<Body> {
        let text = serde_json::to_vec(&self.problem).expect("a problem has a JSON form");
        let mut response = Response::new(Body::from(text));
        *response.status_mut() =
            StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_MEDIA_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if matches!(self.kind(), ProblemKind::Session | ProblemKind::Service) {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { problem, retry_after_s: None }
    }
}
