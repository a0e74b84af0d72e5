//! What the admin server shows of the access server: its metrics, and the configuration in force.
//!
//! * Shows no secret: `/config` names files, not what is in them.

use crate::app::App;
use crate::config::Config;
use crate::operate::metrics::Metrics;
use arc_swap::ArcSwap;
use program::admin::pages::Pages;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;

/// The pages of these figures; `config` is what is in force, `listening` the real addresses.
pub fn pages(metrics: Metrics, config: Arc<ArcSwap<Config>>, listening: Vec<SocketAddr>) -> Pages {
    let (status, app) = (Arc::clone(&metrics.status), Arc::clone(&metrics.app));
    let config = Box::new(move || shown(&config.load(), &app, &listening));
    Pages { registry: metrics.page(), status, config, calls: axum::Router::new() }
}

fn shown(config: &Config, app: &App, listening: &[SocketAddr]) -> Value {
    let rules = app.rules.load();
    let states = app.fleet.states(&rules.reflectors, &rules.drained);
    let reflectors: Vec<Value> = rules
        .reflectors
        .iter()
        .zip(&states)
        .map(|(it, (state, stun))| {
            let ring = rules.ring(&it.name).map(|ring| format!("{:016x}", ring.fingerprint()));
            json!({"name": it.name, "addresses": it.addresses, "state": state.as_str(), "stun": stun, "ring": ring})
        })
        .collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "listening": listening.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "server_names": rules.server_names,
        "settings": config.written.shown(),
        "reflectors": reflectors,
        "secrets": "redacted",
    })
}
