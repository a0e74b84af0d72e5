//! The metrics page: counters as they stand, and what is asked for only when somebody looks.
//!
//! * Labels are bounded: reflector names are those of the configuration; never an account, never an address.

use crate::app::App;
use crate::fleet::State;
use crate::presence::directory::Counts;
use program::admin::metrics::Page;
use program::admin::status::Status;
use program::log::Gate;
use program::process::Process;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;

/// Where the figures come from.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// The server's parts.
    pub app: Arc<App>,
    /// The daemon's state.
    pub status: Arc<Status>,
    /// Log lines swallowed.
    pub gate: Arc<Gate>,
}

impl Metrics {
    /// A page of everything.
    pub fn page(self) -> Registry {
        let mut registry = Registry::default();
        self.app.counters.register(&mut registry);
        registry.register_collector(Box::new(self));
        registry
    }

    fn known(&self, page: &mut Page<'_>) -> fmt::Result {
        let Counts { accounts, devices, online } = self.app.registry.directory().counts();
        let gauges = [
            ("reflector_access_accounts", "Accounts.", accounts),
            ("reflector_access_devices", "Devices.", devices),
            ("reflector_access_sessions", "Devices that are online.", online),
        ];
        gauges.into_iter().try_for_each(|(name, help, value)| page.gauge(name, help, &(value as u64)))
    }

    fn reflectors(&self, page: &mut Page<'_>) -> fmt::Result {
        let rules = self.app.rules.load();
        let states = self.app.fleet.states(&rules.reflectors, &rules.drained);
        let rows = rules.reflectors.iter().zip(&states).flat_map(|(reflector, (is, _))| {
            State::ALL.map(|state| {
                let labels = [("reflector", reflector.name.as_str()), ("state", state.as_str())];
                (labels, u64::from(state == *is))
            })
        });
        let help =
            "1 for the state that each reflector is in: silent never answered a PROBE, dead does so no more.";
        page.gauges("reflector_access_reflector_state", help, rows)?;
        page.gauge(
            "reflector_access_offered_reflectors",
            "Reflectors that endpoints are offered.",
            &(self.app.offered(&rules).len() as u64),
        )
    }

    fn revocations(&self, page: &mut Page<'_>) -> fmt::Result {
        let outbox = self.app.registry.outbox();
        let help = "What has been taken back in the last 12 minutes: addresses and pairs, by reflector.";
        page.gauge("reflector_access_revocations", help, &(outbox.len() as u64))?;
        let rows = outbox.rows();
        let rows = rows.iter().map(|row| {
            ([("reflector", row.reflector.as_str()), ("host", row.url.as_str())], row.waiting as u64)
        });
        let help = "Revocations that a host has not acknowledged; each is sent again until it has.";
        page.gauges("reflector_access_waiting_revocations", help, rows)
    }

    fn daemon(&self, page: &mut Page<'_>) -> fmt::Result {
        let swallowed = self.gate.swallowed();
        page.counter("reflector_access_swallowed_log_lines", "Log lines over the limit.", &swallowed)?;
        let help = "Writes of the audit log that failed; nothing is minted while they do.";
        page.counter("reflector_access_audit_failures", help, &self.app.audit.failures())?;
        page.gauge(
            "reflector_access_ready",
            "Whether requests are wanted here.",
            &u64::from(self.status.is_ready()),
        )?;
        let help = "How far this clock is from the system's; positive: the system's is behind.";
        page.gauge("reflector_access_clock_disagreement_seconds", help, &self.status.disagreement_s())?;
        page.info("reflector_access_build", "This build.", &[("version", env!("CARGO_PKG_VERSION"))])
    }
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut page = Page::new(encoder);
        self.known(&mut page)?;
        self.reflectors(&mut page)?;
        self.revocations(&mut page)?;
        self.daemon(&mut page)?;
        page.process(&Process::read())
    }
}
