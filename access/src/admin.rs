//! The admin server: `/livez`, `/readyz`, `/metrics`, `/config`, over HTTP on a TCP listener of its own.
//!
//! * Runs on the control thread; it reads and never changes anything.
//! * Shows no secret: `/config` names files, not what is in them.

use crate::app::App;
use crate::config::Config;
use crate::metrics::Metrics;
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
    app: Arc<App>,
    config: Arc<ArcSwap<Config>>,
    listening: Vec<SocketAddr>,
}

impl Admin {
    /// A server of these figures; `config` is what is in force, `listening` the real addresses.
    pub fn new(metrics: Metrics, config: Arc<ArcSwap<Config>>, listening: Vec<SocketAddr>) -> Admin {
        let (status, app) = (Arc::clone(&metrics.status), Arc::clone(&metrics.app));
        Admin { registry: metrics.page(), status, app, config, listening }
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
        let (config, rules) = (self.config.load(), self.app.rules.load());
        let row = |(key, value, origin): &(String, String, String)| json!({"key": key, "value": value, "from": origin});
        let states = self.app.fleet.states(&rules.reflectors, &rules.drained);
        let reflector = |(it, (state, stun)): (
            &crate::fleet::Reflector,
            &(crate::fleet::State, wire::json::login::Stun),
        )| {
            let ring = rules.ring(&it.name).map(|ring| format!("{:016x}", ring.fingerprint()));
            json!({"name": it.name, "addresses": it.addresses, "state": state.as_str(), "stun": stun, "ring": ring})
        };
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "listening": self.listening.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "server_names": rules.server_names,
            "settings": config.written.iter().map(row).collect::<Vec<_>>(),
            "reflectors": rules.reflectors.iter().zip(&states).map(reflector).collect::<Vec<_>>(),
            "secrets": "redacted",
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
