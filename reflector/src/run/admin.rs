//! What the admin server shows of the reflector: its metrics, and the configuration in force.
//!
//! * Shows no secret: `/config` names the ring file, key ids and the ring's fingerprint.

use crate::config::Config;
use crate::rules::shared::Shared;
use crate::run::metrics::Metrics;
use crate::run::revoke::Desk;
use arc_swap::ArcSwap;
use program::admin::pages::Pages;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;

/// The pages of these figures; `config` is what is in force, `listening` the real addresses.
pub fn pages(metrics: Metrics, config: Arc<ArcSwap<Config>>, listening: Vec<SocketAddr>) -> Pages {
    let (status, shared) = (Arc::clone(&metrics.status), Arc::clone(&metrics.shared));
    let desk = metrics.desk.clone();
    let calls = desk.as_ref().map(Desk::router).unwrap_or_default();
    let mut registry = Registry::default();
    registry.register_collector(Box::new(metrics));
    let config = Box::new(move || shown(&config.load(), &shared, &listening, desk.as_deref()));
    Pages { registry, status, config, calls }
}

fn shown(config: &Config, shared: &Shared, listening: &[SocketAddr], desk: Option<&Desk>) -> Value {
    let rules = shared.rules().load();
    let ids: Vec<u8> = rules.ring.ids().map(wire::KeyId::get).collect();
    let own: Vec<String> = rules.policy.own.iter().map(|it| it.to_socket().to_string()).collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "listening": listening.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "settings": config.written.shown(),
        "ring": {
            "fingerprint": format!("{:016x}", rules.ring.fingerprint()),
            "minting_key": rules.ring.minting().get(),
            "keys": ids,
            "secrets": "redacted",
        },
        "own_addresses": own,
        "revocations": desk.map(Desk::answer),
    })
}
