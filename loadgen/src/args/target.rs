//! The server that a URL on the command line names.

use crate::error::Error;
use http::Url;
use std::net::{SocketAddr, ToSocketAddrs};
use wire::json::login::server_name;

/// Whom to call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    address: SocketAddr,
    url: Url,
    /// The name that logins are signed for.
    name: String,
}

impl Target {
    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL that it was found by.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The name that logins are signed for.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes a URL apart and finds its host.
    ///
    /// # Errors
    /// Not `http://HOST[:PORT][/PATH]`, or a host without an address.
    pub fn find(url: &str) -> Result<Self, Error> {
        let shown = crate::units::quote(url);
        let wrong = || Error::Usage(format!("{shown} is not http://HOST:PORT; TLS is not spoken here"));
        let name = server_name(url).filter(|_| url.starts_with("http://")).ok_or_else(wrong)?;
        let url = Url::parse(url).ok_or_else(wrong)?;
        let found = (url.host(), url.port()).to_socket_addrs().map_err(|error| {
            Error::Configuration(format!("{shown}: {error}; name a host that has an address"))
        })?;
        let address = found.into_iter().next().ok_or_else(wrong)?;
        Ok(Self { address, url, name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart_and_wrong_ones_refused() {
        let target = Target::find("http://127.0.0.1:8480/metrics").unwrap();
        assert_eq!((target.url.authority(), target.url.path()), ("127.0.0.1:8480", "/metrics"));
        assert_eq!((target.address, target.name.as_str()), (([127, 0, 0, 1], 8480).into(), "127.0.0.1"));
        assert_eq!(Target::find("http://[::1]").unwrap().address, "[::1]:80".parse().unwrap());
        for wrong in ["", "127.0.0.1:8480", "https://127.0.0.1", "http://", "http://127.0.0.1:x"] {
            let error = Target::find(wrong).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains("http://HOST:PORT"), "{wrong}");
        }
    }
}
