//! The admin listeners of the reflectors: where they are, and whether they report that they are draining.
//!
//! * Only a clear 503 from `/readyz` counts; a listener that is away, slow or odd says nothing.

use http::{Call, Client, Limits, Tls, Url};
use std::net::IpAddr;
use std::time::Duration;
use wire::json::name::ReflectorName;

/// The admin listener of one host of a reflector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminListener {
    /// The reflector that this host belongs to.
    pub reflector: ReflectorName,
    /// Where, as the configuration has it.
    pub url: String,
    parsed: Url,
}

impl AdminListener {
    /// A listener at `http://ADDR:PORT`, `https://NAME:PORT`, or `ADDR:PORT` for the former.
    ///
    /// # Errors
    /// The text is neither; the message shows what would be right.
    pub fn new(reflector: ReflectorName, text: &str) -> Result<Self, String> {
        let url = if text.contains("://") { String::from(text) } else { format!("http://{text}") };
        let parsed = Url::parse(&url).filter(|parsed| parsed.path() == "/" && parsed.port() != 0);
        let parsed = parsed.ok_or(
            "expected NAME=URL such as fra1=http://10.0.0.7:9464 or fra1=https://fra1.example.org:9464",
        )?;
        Ok(Self { reflector, url, parsed })
    }

    /// Whether a token may be shown there: over TLS, or within a private network.
    pub fn is_private(&self) -> bool {
        let within = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        };
        self.parsed.is_https() || self.parsed.host().parse().is_ok_and(within)
    }

    /// A client of it.
    pub fn client(&self, tls: Option<&Tls>, patience: Duration) -> Client {
        let limits = Limits { patience, most_bytes: MOST_BYTES };
        match tls.filter(|_| self.parsed.is_https()) {
            Some(tls) => Client::secure(&self.parsed, limits, tls.clone()),
            None => Client::plain(&self.parsed, limits),
        }
    }

    /// Asks once whether it drains, for at most this long.
    pub async fn is_draining(&self, tls: Option<&Tls>, patience: Duration) -> bool {
        self.client(tls, patience).call(Call::get("/readyz")).await.is_ok_and(|answer| answer.status == 503)
    }
}

/// Answers are short; more than these bytes none has.
const MOST_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_shown_over_tls_or_within_a_private_network_only() {
        let of = |text: &str| AdminListener::new("fra1".parse().unwrap(), text).map(|it| it.is_private());
        for text in
            ["127.0.0.1:9464", "http://10.1.2.3:1", "http://[fd00::1]:9464", "https://a.example.org:9464"]
        {
            assert_eq!(of(text), Ok(true), "{text}");
        }
        for text in ["198.51.100.7:9464", "http://a.example.org:9464", "http://[2001:db8::1]:9464"] {
            assert_eq!(of(text), Ok(false), "{text}");
        }
        for text in ["", "127.0.0.1:0", "http://127.0.0.1:9464/metrics", "ftp://a:1", "fe80::1"] {
            assert!(of(text).is_err(), "{text}");
        }
    }
}
