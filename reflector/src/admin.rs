//! The admin server: `/livez`, `/readyz`, `/metrics`, `/config`, over HTTP on a TCP listener of its own.
//!
//! * Runs on the control thread; it reads and never changes anything.
//! * Shows no secret: `/config` names the ring file, key ids and the ring's fingerprint.

use crate::config::Config;
use crate::metrics::Metrics;
use crate::shared::Shared;
use crate::status::Status;
use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;

/// What the server shows.
#[derive(Debug)]
pub struct Admin {
    registry: Registry,
    status: Arc<Status>,
    shared: Arc<Shared>,
    config: Arc<ArcSwap<Config>>,
    listening: Vec<SocketAddr>,
}

impl Admin {
    /// A server of these figures; `config` is what is in force, `listening` the real addresses.
    pub fn new(metrics: Metrics, config: Arc<ArcSwap<Config>>, listening: Vec<SocketAddr>) -> Admin {
        let (status, shared) = (Arc::clone(&metrics.status), Arc::clone(&metrics.shared));
        let mut registry = Registry::default();
        registry.register_collector(Box::new(metrics));
        Admin { registry, status, shared, config, listening }
    }

    /// The routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/livez", get(|| async { "alive\n" }))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .route("/config", get(config))
            .with_state(Arc::new(self))
    }

    fn config(&self) -> Value {
        let rules = self.shared.rules().load();
        let config = self.config.load();
        let settings: Vec<Value> = config
            .written
            .iter()
            .map(|(key, value, origin)| json!({"key": key, "value": value, "from": origin}))
            .collect();
        let ids: Vec<u8> = rules.ring.ids().map(wire::KeyId::get).collect();
        let own: Vec<String> = rules.policy.own.iter().map(|it| it.to_socket().to_string()).collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "listening": self.listening.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "settings": settings,
            "ring": {
                "fingerprint": format!("{:016x}", rules.ring.fingerprint()),
                "minting_key": rules.ring.minting().get(),
                "keys": ids,
                "secrets": "redacted",
            },
            "own_addresses": own,
        })
    }
}

async fn readyz(State(admin): State<Arc<Admin>>) -> Response {
    if admin.status.is_ready() {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response()
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    let mut page = String::new();
    match text::encode(&mut page, &admin.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], page).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn config(State(admin): State<Arc<Admin>>) -> Response {
    let page = format!("{:#}\n", admin.config());
    ([(header::CONTENT_TYPE, "application/json")], page).into_response()
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
