//! A metrics page, read back.

use std::collections::BTreeMap;

/// Samples by name and labels.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

impl Page {
    pub(crate) fn new(text: &str) -> Self {
        assert!(text.ends_with("# EOF\n"), "the page is not whole");
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(sample).collect();
        Self { samples }
    }

    /// The sum of the samples of this name that have these labels; there must be one.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let has = |found: &BTreeMap<String, String>| {
            labels.iter().all(|(key, value)| found.get(*key).is_some_and(|it| it == value))
        };
        let mut values = self.samples.iter().filter(|(it, found, _)| it == name && has(found)).peekable();
        assert!(values.peek().is_some(), "no sample {name} {labels:?}");
        let sum: f64 = values.map(|(.., value)| value).sum();
        sum.to_string().parse().unwrap()
    }

    /// The labels of a name's samples.
    pub(crate) fn labels(&self, name: &str) -> Vec<&BTreeMap<String, String>> {
        self.samples.iter().filter(|(it, ..)| it == name).map(|(_, labels, _)| labels).collect()
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

fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let (left, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = left.split_once('{').unwrap_or((left, "}"));
    let labels = labels.strip_suffix('}').unwrap();
    let pairs = labels.split(',').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap();
        (key.to_owned(), value.trim_matches('"').to_owned())
    });
    (name.to_owned(), pairs.collect(), value.parse().unwrap())
}
