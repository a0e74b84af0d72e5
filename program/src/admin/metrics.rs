//! Writes figures in the format of OpenMetrics, from a collector that reads them at scrape.
//!
//! * A family is named once; its samples follow.

use crate::process::Process;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use std::fmt;

/// The page being written.
#[derive(Debug)]
pub struct Page<'a>(DescriptorEncoder<'a>);

impl<'a> Page<'a> {
    /// A page that continues what `encoder` has written.
    pub fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Page(encoder)
    }

    /// A family of counters, as labels and values.
    ///
    /// # Errors
    /// The page cannot grow.
    pub fn counters<L: EncodeLabelSet, V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in rows {
            encoder.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&value, None)?;
        }
        Ok(())
    }

    /// A counter without labels.
    ///
    /// # Errors
    /// The page cannot grow.
    pub fn counter(&mut self, name: &str, help: &str, value: &impl EncodeCounterValue) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        encoder.encode_counter::<NoLabelSet, _, f64>(value, None)
    }

    /// A family of gauges, as labels and values.
    ///
    /// # Errors
    /// The page cannot grow.
    pub fn gauges<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        rows.into_iter().try_for_each(|(labels, value)| encoder.encode_family(&labels)?.encode_gauge(&value))
    }

    /// A gauge without labels.
    ///
    /// # Errors
    /// The page cannot grow.
    pub fn gauge(&mut self, name: &str, help: &str, value: &impl EncodeGaugeValue) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(value)
    }

    /// A family of histograms, as labels and what was counted.
    ///
    /// # Errors
    /// The page cannot grow.
    pub fn histograms<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (L, Histogram)>,
    ) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, Histogram { sum, buckets }) in rows {
            let count = buckets.iter().map(|(_, count)| count).sum();
            encoder.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }

    /// A family whose labels are what it has to say.
    ///
    /// # Errors
    /// The page cannot grow.
    pub fn info(&mut self, name: &str, help: &str, labels: &impl EncodeLabelSet) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Info)?.encode_info(labels)
    }

    /// The `process_*` families.
    ///
    /// # Errors
    /// The page cannot grow.
    pub fn process(&mut self, process: &Process) -> fmt::Result {
        self.counter("process_cpu_seconds", "User and system time.", &process.cpu_s)?;
        self.gauge("process_start_time_seconds", "Unix time of the start.", &process.start_time_s)?;
        let gauges = [
            ("process_resident_memory_bytes", "Resident memory.", process.resident_bytes),
            ("process_virtual_memory_bytes", "Mapped memory.", process.virtual_bytes),
            ("process_threads", "Threads.", process.threads),
            ("process_open_fds", "Open descriptors.", process.open_fds),
            ("process_max_fds", "Descriptors that may be open.", process.max_fds),
        ];
        gauges.into_iter().try_for_each(|(name, help, value)| self.gauge(name, help, &value))
    }
}

/// What a histogram holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// The sum of all values.
    pub sum: f64,
    /// For each bucket its upper bound and how many values fell into it.
    pub buckets: Vec<(f64, u64)>,
}
