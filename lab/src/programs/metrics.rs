//! A scrape of a metrics endpoint: the Prometheus text format, as far as counters and gauges need it.
//!
//! * A line that is not understood is an error, not a zero: a metric that is missing must not look like one that is 0.
//! * Asked by HTTP/1.0, so that the answer ends with the connection and never comes in chunks.

use anyhow::{Context, bail};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
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
    pub fn scrape(admin: SocketAddr) -> anyhow::Result<Metrics> {
        let body =
            get(admin, "/metrics").with_context(|| format!("no metrics from http://{admin}/metrics"))?;
        Metrics::parse(&body)
    }

    /// Reads the text format.
    ///
    /// # Errors
    /// A line that is neither a comment nor a sample.
    pub fn parse(text: &str) -> anyhow::Result<Metrics> {
        let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let samples = lines.map(|line| sample(line).with_context(|| format!("not a metric: {line:?}")));
        Ok(Metrics { samples: samples.collect::<anyhow::Result<_>>()? })
    }

    /// The samples of a metric.
    pub fn of(&self, name: &str) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |sample| sample.name == name)
    }

    /// The sum over all samples of a metric whose labels include these.
    ///
    /// # Errors
    /// There is no such sample.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> anyhow::Result<f64> {
        let has = |sample: &Sample, (key, value): &(&str, &str)| {
            sample.labels.iter().any(|(k, v)| k == key && v == value)
        };
        let mut found =
            self.of(name).filter(|sample| labels.iter().all(|label| has(sample, label))).peekable();
        if found.peek().is_none() {
            bail!("no metric {name} with labels {labels:?}");
        }
        Ok(found.map(|sample| sample.value).sum())
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

/// The body of an answer.
fn get(server: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {server}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.take(MOST_BYTES).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer is not HTTP")?;
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        bail!("the answer is {status:?}");
    }
    Ok(body.to_owned())
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
const PATIENCE: Duration = Duration::from_secs(30);
/// More than these bytes no scrape has.
const MOST_BYTES: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

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
        let error = format!("{:#}", Metrics::scrape(address).unwrap_err());
        assert!(error.contains("503"), "{error}");
        assert!(Metrics::scrape(address).is_err());
        thread.join().unwrap();
    }
}
