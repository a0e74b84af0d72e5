//! What the admin server shows, and what a daemon lets it do.
//!
//! * Shows no secret: what `/config` says is the daemon's to choose, and names files instead of what is in them.

use super::status::Status;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// Where the four pages come from, and what else there is.
pub struct Pages {
    /// What `/metrics` shows.
    pub registry: Registry,
    /// What `/readyz` shows.
    pub status: Arc<Status>,
    /// What `/config` shows.
    pub config: Box<dyn Fn() -> Value + Send + Sync>,
    /// Further paths of the daemon's own, each of which checks for itself who may call it.
    pub calls: Router,
}

impl Pages {
    /// The routes.
    pub fn router(mut self) -> Router {
        let calls = std::mem::take(&mut self.calls);
        Router::new()
            .route("/livez", get(|| async { "alive\n" }))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .route("/config", get(config))
            .with_state(Arc::new(self))
            .merge(calls)
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("status", &self.status).finish_non_exhaustive()
    }
}

async fn readyz(State(pages): State<Arc<Pages>>) -> Response {
    if pages.status.is_ready() {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response()
    }
}

async fn metrics(State(pages): State<Arc<Pages>>) -> Response {
    let mut page = String::new();
    match text::encode(&mut page, &pages.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], page).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn config(State(pages): State<Arc<Pages>>) -> Response {
    let page = format!("{:#}\n", (pages.config)());
    ([(header::CONTENT_TYPE, "application/json")], page).into_response()
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
