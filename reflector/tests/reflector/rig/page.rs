//! A metrics page, read back.

use http::{Metrics, Sample};

/// All samples of one scrape.
#[derive(Clone, Debug)]
pub(crate) struct Page(Metrics);

impl Page {
    pub(crate) fn new(text: &str) -> Self {
        assert!(text.ends_with("# EOF\n"), "the page is not whole");
        Self(Metrics::parse(text).unwrap())
    }

    /// The sum of the samples of this name that have these labels; there must be one.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.0.count(name, labels).unwrap()
    }

    /// The samples of a name.
    pub(crate) fn samples(&self, name: &str) -> Vec<&Sample> {
        self.0.of(name).collect()
    }

    /// A label of the first sample of a name.
    pub(crate) fn label(&self, name: &str, key: &str) -> &str {
        label(self.samples(name)[0], key).unwrap()
    }

    pub(crate) fn received(&self) -> u64 {
        self.sum("reflector_received_datagrams_total", &[])
    }

    pub(crate) fn relayed(&self) -> u64 {
        self.sum("reflector_relayed_datagrams_total", &[])
    }

    pub(crate) fn observed(&self) -> u64 {
        self.sum("reflector_observed_datagrams_total", &[])
    }

    pub(crate) fn dropped(&self, reason: &str) -> u64 {
        self.sum("reflector_dropped_datagrams_total", &[("reason", reason)])
    }

    pub(crate) fn unsent(&self) -> u64 {
        self.sum("reflector_send_errors_total", &[])
    }

    /// Datagrams that STUN counted: `received`, `answered`, `dropped` or `unsent`.
    pub(crate) fn stun(&self, what: &str) -> u64 {
        self.sum(&format!("reflector_stun_{what}_datagrams_total"), &[])
    }

    /// Received datagrams that are in no other counter yet.
    pub(crate) fn missing(&self) -> u64 {
        let accounted = self.relayed() + self.observed() + self.unsent() + self.stun("received");
        let dropped = self.sum("reflector_dropped_datagrams_total", &[]);
        self.received().checked_sub(accounted + dropped).expect("more went out than came in")
    }
}

/// A label of a sample.
pub(crate) fn label<'a>(sample: &'a Sample, key: &str) -> Option<&'a str> {
    sample.labels.iter().find(|(it, _)| it == key).map(|(_, value)| value.as_str())
}
