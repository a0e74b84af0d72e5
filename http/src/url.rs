//! An HTTP URL taken apart, as far as a client of few servers needs it.

/// `http://HOST[:PORT][/PATH]`, or the same with `https`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    is_https: bool,
    authority: String,
    host: String,
    port: u16,
    path: String,
}

impl Url {
    /// Takes a URL apart; nothing if it has another form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let is_https = match scheme {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port_text) = match authority.strip_prefix('[') {
            Some(inside) => inside.split_once(']')?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port_text {
            "" if is_https => 443,
            "" => 80,
            text => text.strip_prefix(':')?.parse().ok()?,
        };
        let is_host = !host.is_empty() && !host.contains(['@', '?', '#']);
        is_host.then(|| Self {
            is_https,
            authority: authority.to_owned(),
            host: host.to_ascii_lowercase(),
            port,
            path: format!("/{path}"),
        })
    }

    /// Whether it asks for TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// Host and port as they are written, for the header `Host`.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The host in lower case, an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 80 or 443 where none is written.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path, with its first slash.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart_and_other_texts_refused() {
        let of = |text: &str| Url::parse(text).map(|url| (url.host, url.port, url.is_https, url.path));
        let is =
            |host: &str, port, is_https, path: &str| Some((host.to_owned(), port, is_https, path.to_owned()));
        assert_eq!(of("http://127.0.0.1:8080"), is("127.0.0.1", 8080, false, "/"));
        assert_eq!(of("http://[::1]:8080/metrics"), is("::1", 8080, false, "/metrics"));
        assert_eq!(of("http://[::1]"), is("::1", 80, false, "/"));
        assert_eq!(of("https://Access.example.org"), is("access.example.org", 443, true, "/"));
        assert_eq!(Url::parse("http://A.b:1/c").unwrap().authority(), "A.b:1");
        for wrong in [
            "",
            "a.org",
            "ftp://a",
            "http://a:x",
            "http://a:99999",
            "http://",
            "http://[::1",
            "http://[::1]x",
        ] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
