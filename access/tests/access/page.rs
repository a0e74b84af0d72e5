//! A metrics page, read back.

use http::Metrics;

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
}
