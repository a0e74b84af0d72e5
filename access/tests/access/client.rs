//! An HTTP client that keeps its connection and checks the form of every answer.
//!
//! * Every refusal is a problem document whose status is the answer's; anything else fails the test.

use serde_json::Value;
use ureq::http::{Method, Request};

/// The client.
#[derive(Debug)]
pub(crate) struct Client {
    agent: ureq::Agent,
    base: String,
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) retry_after_s: Option<u64>,
    pub(crate) headers: Vec<(String, String)>,
}

impl Answer {
    /// The last part of a problem's type.
    pub(crate) fn problem(&self) -> &str {
        let kind = self.body["type"].as_str().unwrap_or_else(|| panic!("no problem but {self:?}"));
        kind.strip_prefix("/problems/").unwrap()
    }

    /// The body of a success.
    pub(crate) fn good(self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        self.body
    }
}

impl Client {
    pub(crate) fn new(base: &str) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false).max_idle_connections(1);
        let config = config.timeout_global(Some(harness::PATIENCE)).build();
        Self { agent: config.into(), base: base.to_owned() }
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, None, Some(&body.to_string()))
    }

    pub(crate) fn post_as(&self, path: &str, bearer: &str, body: &Value) -> Answer {
        self.call("POST", path, Some(bearer), Some(&body.to_string()))
    }

    /// Status and text of a page.
    pub(crate) fn text(&self, path: &str) -> (u16, String) {
        let mut response = self.agent.get(format!("{}{path}", self.base)).call().unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    }

    /// Any call; the body is JSON text.
    pub(crate) fn call(&self, method: &str, path: &str, bearer: Option<&str>, body: Option<&str>) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(bearer) = bearer {
            request = request.header("Authorization", format!("Bearer {bearer}"));
        }
        if body.is_some() {
            request = request.header("Content-Type", "application/json");
        }
        self.answer_to(request.body(body.unwrap_or_default().to_owned()).unwrap())
    }

    /// The status of a call without a body; none when the connection ends instead.
    pub(crate) fn try_status(&self, method: &str, path: &str, bearer: &str) -> Option<u16> {
        let request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        let request = request.header("Authorization", format!("Bearer {bearer}")).body(()).unwrap();
        let mut response = self.agent.run(request).ok()?;
        response.body_mut().read_to_string().ok()?;
        Some(response.status().as_u16())
    }

    /// Any request.
    pub(crate) fn answer_to(&self, request: Request<String>) -> Answer {
        let mut response = self.agent.run(request).unwrap();
        let status = response.status().as_u16();
        let headers: Vec<_> = response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().to_owned()))
            .collect();
        let header = |name: &str| headers.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str());
        let text = response.body_mut().read_to_string().unwrap();
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() };
        if status >= 400 {
            assert_eq!(header("content-type"), Some("application/problem+json"), "{text}");
            assert_eq!(body["status"], status, "{text}");
            for field in ["type", "title", "detail"] {
                assert!(body[field].as_str().is_some_and(|it| !it.is_empty()), "{field} of {text}");
            }
        }
        assert_eq!(header("cache-control"), Some("no-store"));
        let retry_after_s = header("retry-after").map(|it| it.parse().unwrap());
        Answer { status, body, retry_after_s, headers }
    }
}
