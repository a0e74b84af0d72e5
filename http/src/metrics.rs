//! A scrape of a metrics endpoint: the Prometheus text format, as far as counters and gauges need it.
//!
//! * A line that is not understood is an error, not a zero: a metric that is missing must not look like one that is 0.
//! * [`Metrics::scrape`] waits on the calling thread, and so asks in the network of that thread.

use crate::client::{Answer, Call, Client, Limits, wait};
use crate::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

/// One scrape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    samples: Vec<Sample>,
}

/// One line of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Name, suffix included.
    pub name: String,
    /// Labels in their order.
    pub labels: Vec<(String, String)>,
    /// Value.
    pub value: f64,
}

impl Metrics {
    /// Asks `http://admin/metrics`.
    ///
    /// # Errors
    /// No answer within 30 s, a status other than 200, or text that is not understood.
    pub fn scrape(admin: SocketAddr) -> Result<Self, Error> {
        let client = Client::at(admin, Limits { patience: PATIENCE, most_bytes: MOST_BYTES });
        let read =
            wait(async move { client.call(Call::get("/metrics")).await }).and_then(|it| Self::read(&it));
        read.map_err(|reason| Error::NoMetrics { admin, reason: Box::new(reason) })
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// A status other than 200, or text that is not understood.
    pub fn read(answer: &Answer) -> Result<Self, Error> {
        if answer.status != 200 {
            return Err(Error::Status(answer.status));
        }
        Self::parse(&String::from_utf8_lossy(&answer.body))
    }

    /// Reads the text format.
    ///
    /// # Errors
    /// A line that is neither a comment nor a sample.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let samples =
            lines.map(|line| sample(line).ok_or_else(|| Error::NotAMetric { line: line.to_owned() }));
        Ok(Self { samples: samples.collect::<Result<_, _>>()? })
    }

    /// The samples of a metric.
    pub fn of(&self, name: &str) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |sample| sample.name == name)
    }

    /// The sum over all samples of a metric whose labels include these.
    ///
    /// # Errors
    /// There is no such sample.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Result<f64, Error> {
        let has = |sample: &Sample, (key, value): &(&str, &str)| {
            sample.labels.iter().any(|(k, v)| k == key && v == value)
        };
        let mut found =
            self.of(name).filter(|sample| labels.iter().all(|label| has(sample, label))).peekable();
        if found.peek().is_none() {
            return Err(Error::NoSample { name: name.to_owned(), labels: format!("{labels:?}") });
        }
        Ok(found.map(|sample| sample.value).sum())
    }

    /// Like [`Metrics::sum`], for counters: the sum as a whole number.
    ///
    /// # Errors
    /// There is no such sample, or the sum is no whole number from 0 to 2^53.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // A whole number up to 2^53.
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> Result<u64, Error> {
        let sum = self.sum(name, labels)?;
        let count = (sum.fract() == 0.0 && (0.0..=EXACT).contains(&sum)).then_some(sum as u64);
        count.ok_or_else(|| Error::NotACount { name: name.to_owned(), sum })
    }

    /// The values of one label of a metric, each once, in their order.
    pub fn values<'a>(&'a self, name: &'a str, label: &'a str) -> Vec<&'a str> {
        let mut values = Vec::new();
        let labels = self.of(name).flat_map(|sample| &sample.labels);
        for (_, value) in labels.filter(|(key, _)| key == label) {
            if !values.contains(&value.as_str()) {
                values.push(value.as_str());
            }
        }
        values
    }
}

/// `name{key="value",...} number`, with an optional timestamp behind, which is passed over.
fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (Vec::new(), rest),
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    (!name.is_empty()).then(|| Sample { name: name.to_owned(), labels, value })
}

/// The labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (key, inside) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut chars = inside.char_indices();
        rest = loop {
            match chars.next()? {
                (at, '"') => break inside.get(at + 1..)?,
                (_, '\\') => value.push(match chars.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, other) => value.push(other),
            }
        };
        labels.push((key.to_owned(), value));
    }
}

/// A server that takes longer is not there; one on a busy machine may have to wait for a processor.
/// Up to here every whole number is an f64: 2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;
const PATIENCE: Duration = Duration::from_secs(30);
/// More than these bytes no scrape has.
const MOST_BYTES: usize = 16 << 20;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    const TEXT: &str = r#"# HELP x_total Things.
# TYPE x_total counter
x_total{path="socket",worker="0"} 5
x_total{path="socket",worker="1"} 7 1700000000
x_total{path="a \"b\" \\ c,}",worker="0"} 1e3
y 0.25
z{} NaN
# EOF
"#;

    #[test]
    fn the_text_format_is_read() {
        let metrics = Metrics::parse(TEXT).unwrap();
        assert_eq!(metrics.sum("x_total", &[("path", "socket")]).unwrap(), 12.0);
        assert_eq!(metrics.sum("x_total", &[]).unwrap(), 1_012.0);
        assert_eq!(metrics.sum("y", &[]).unwrap(), 0.25);
        assert_eq!(metrics.values("x_total", "path"), ["socket", "a \"b\" \\ c,}"]);
        assert!(metrics.sum("z", &[]).unwrap().is_nan());
        assert_eq!(metrics.count("x_total", &[("worker", "0")]).unwrap(), 1_005);
        for no_count in ["y", "z", "absent"] {
            assert!(metrics.count(no_count, &[]).is_err(), "{no_count}");
        }
    }

    #[test]
    fn nothing_missing_passes_for_zero() {
        let metrics = Metrics::parse(TEXT).unwrap();
        assert!(metrics.sum("x", &[]).is_err());
        assert!(metrics.sum("x_total", &[("path", "xdp")]).is_err());
        assert!(
            ["x{a=\"b\" 1", "x", "x five", "{a=\"b\"} 1"].iter().all(|line| Metrics::parse(line).is_err())
        );
    }

    #[test]
    fn an_answer_other_than_200_is_an_error() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let answers = ["HTTP/1.1 200 OK\r\nx: y\r\n\r\ny 3\n", "HTTP/1.1 503 Busy\r\n\r\ny 3\n", "nonsense"];
        let thread = std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = server.accept().unwrap();
                // To its end: what is unread when the connection closes becomes a reset.
                let (mut request, mut piece) = (Vec::new(), [0; 512]);
                while !request.ends_with(b"\r\n\r\n") {
                    let length = stream.read(&mut piece).unwrap();
                    assert!(length > 0, "the request ended early");
                    request.extend_from_slice(&piece[..length]);
                }
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        assert_eq!(Metrics::scrape(address).unwrap().sum("y", &[]).unwrap(), 3.0);
        let error = Metrics::scrape(address).unwrap_err().to_string();
        assert!(error.contains("503"), "{error}");
        assert!(Metrics::scrape(address).is_err());
        thread.join().unwrap();
    }
}
