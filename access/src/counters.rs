//! What the server counts while it serves.
//!
//! * Labels are bounded: call, class of status, kind of problem, outcome; never a name or an address.
//! * Every combination is there from the start, with zeros.

use crate::http::call::Call;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::time::Duration;
use wire::json::problem::ProblemKind;

/// The counters.
#[derive(Clone, Debug)]
pub struct Counters {
    requests: Family<RequestLabels, Counter>,
    seconds: Family<CallLabels, Histogram, fn() -> Histogram>,
    refused: Family<ProblemLabels, Counter>,
    passwords: Family<OutcomeLabels, Counter>,
    minted: Family<LayerLabels, Counter>,
    /// Connections accepted.
    pub connections: Counter,
    /// Connections open.
    pub open_connections: Gauge,
    /// TLS handshakes that failed.
    pub tls_failures: Counter,
    /// Leases that ended without a logout.
    pub leases_ended: Counter,
    reloads: Family<OutcomeLabels, Counter>,
    /// Revocations sent to hosts, by outcome.
    deliveries: Family<OutcomeLabels, Counter>,
}

/// How a password check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordCheck {
    /// It was right.
    Right,
    /// It was wrong, or there is no such account.
    Wrong,
    /// The budget was spent.
    Budget,
    /// Too many were waiting.
    Busy,
}

impl PasswordCheck {
    const ALL: [Self; 4] = [Self::Right, Self::Wrong, Self::Budget, Self::Busy];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "wrong",
            Self::Budget => "budget",
            Self::Busy => "busy",
        }
    }
}

/// For whom something was minted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Between buddies.
    Buddies,
    /// For a service with users of its own.
    Service,
}

impl Layer {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Buddies => "buddies",
            Self::Service => "service",
        }
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self::new()
    }
}

impl Counters {
    /// Zeros.
    pub fn new() -> Self {
        let counters = Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(histogram),
            refused: Family::default(),
            passwords: Family::default(),
            minted: Family::default(),
            connections: Counter::default(),
            open_connections: Gauge::default(),
            tls_failures: Counter::default(),
            leases_ended: Counter::default(),
            reloads: Family::default(),
            deliveries: Family::default(),
        };
        for call in Call::ALL {
            drop(counters.seconds.get_or_create(&CallLabels { call: call.as_str() }));
            for status in STATUSES {
                drop(counters.requests.get_or_create(&RequestLabels { call: call.as_str(), status }));
            }
        }
        for kind in ProblemKind::ALL {
            drop(counters.refused.get_or_create(&ProblemLabels { problem: kind.slug() }));
        }
        for outcome in PasswordCheck::ALL {
            drop(counters.passwords.get_or_create(&OutcomeLabels { outcome: outcome.as_str() }));
        }
        for layer in [Layer::Buddies, Layer::Service] {
            drop(counters.minted.get_or_create(&LayerLabels { layer: layer.as_str() }));
        }
        for outcome in RELOADS {
            drop(counters.reloads.get_or_create(&OutcomeLabels { outcome }));
            drop(counters.deliveries.get_or_create(&OutcomeLabels { outcome }));
        }
        counters
    }

    /// Puts them on a page.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "reflector_access_requests",
            "Requests answered, by call and status.",
            self.requests.clone(),
        );
        registry.register(
            "reflector_access_request_seconds",
            "From the head of a request to its answer.",
            self.seconds.clone(),
        );
        registry.register(
            "reflector_access_refused_requests",
            "Requests refused, by kind of problem.",
            self.refused.clone(),
        );
        registry.register(
            "reflector_access_password_checks",
            "Passwords shown, by outcome.",
            self.passwords.clone(),
        );
        registry.register(
            "reflector_access_minted_capabilities",
            "SEND headers handed out.",
            self.minted.clone(),
        );
        registry.register("reflector_access_connections", "Connections accepted.", self.connections.clone());
        registry.register(
            "reflector_access_open_connections",
            "Connections that are open.",
            self.open_connections.clone(),
        );
        registry.register(
            "reflector_access_tls_failures",
            "TLS handshakes that failed.",
            self.tls_failures.clone(),
        );
        registry.register(
            "reflector_access_ended_leases",
            "Leases that ended without a logout.",
            self.leases_ended.clone(),
        );
        registry.register("reflector_access_reloads", "Reloads, by outcome.", self.reloads.clone());
        registry.register(
            "reflector_access_revocation_deliveries",
            "Requests to hosts of reflectors that take rights back, by outcome.",
            self.deliveries.clone(),
        );
    }

    /// A request was answered.
    pub fn note_request(&self, call: Call, status: u16, took: Duration) {
        let call = call.as_str();
        let class = STATUSES.get(usize::from(status / 100).saturating_sub(2)).copied().unwrap_or("5xx");
        self.requests.get_or_create(&RequestLabels { call, status: class }).inc();
        self.seconds.get_or_create(&CallLabels { call }).observe(took.as_secs_f64());
    }

    /// A request was refused.
    pub fn note_refused(&self, kind: ProblemKind) {
        self.refused.get_or_create(&ProblemLabels { problem: kind.slug() }).inc();
    }

    /// A password was shown.
    pub fn note_password(&self, outcome: PasswordCheck) {
        self.passwords.get_or_create(&OutcomeLabels { outcome: outcome.as_str() }).inc();
    }

    /// Headers were handed out.
    pub fn note_minted(&self, layer: Layer, headers: usize) {
        self.minted.get_or_create(&LayerLabels { layer: layer.as_str() }).inc_by(headers as u64);
    }

    /// A host of a reflector acknowledged revocations, or did not.
    pub fn note_revocations(&self, success: bool) {
        let outcome = if success { "success" } else { "failure" };
        self.deliveries.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// A reload took effect, or failed.
    pub fn note_reload(&self, success: bool) {
        let outcome = if success { "success" } else { "failure" };
        self.reloads.get_or_create(&OutcomeLabels { outcome }).inc();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    call: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    call: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProblemLabels {
    problem: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LayerLabels {
    layer: &'static str,
}

fn histogram() -> Histogram {
    Histogram::new([
        0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0,
    ])
}

const STATUSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];
const RELOADS: [&str; 2] = ["success", "failure"];
