//! coturn, as the TURN server that is compared with: its configuration and its process.
//!
//! * One listening address, UDP alone, one relay thread: what one core relays.
//! * No log, no command line interface, no database: nothing but relaying takes time.
//! * Lifetimes are coturn's own; whoever uses it refreshes (RFC 8656, sections 7 to 12).

use anyhow::Context;
use lab::Host;
use lab::programs::program::{Program, Start};
use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What coturn is started with.
#[derive(Clone, Debug)]
pub struct Coturn {
    /// Its address and port.
    pub listen: SocketAddr,
    /// The peers that it may reach: the first and the last address.
    pub peers: (IpAddr, IpAddr),
    /// The user of the long-term credential.
    pub user: String,
    /// The user's password.
    pub password: String,
}

impl Coturn {
    /// The configuration file; its own files lie in `folder`.
    pub fn configuration(&self, folder: &Path) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &dyn std::fmt::Display| {
            let _ = writeln!(text, "{name}={value}"); // Writing to a string cannot fail.
        };
        line("listening-ip", &self.listen.ip());
        line("listening-port", &self.listen.port());
        line("relay-ip", &self.listen.ip());
        line("min-port", &RELAY_PORTS.0);
        line("max-port", &RELAY_PORTS.1);
        line("relay-threads", &1);
        line("user", &format!("{}:{}", self.user, self.password));
        line("realm", &REALM);
        line("allowed-peer-ip", &format!("{}-{}", self.peers.0, self.peers.1));
        line("log-file", &"/dev/null");
        line("pidfile", &folder.join("coturn.pid").display());
        line("userdb", &folder.join("coturn.db").display());
        for switch in SWITCHES {
            let _ = writeln!(text, "{switch}");
        }
        text
    }

    /// Starts it on a host, on these processors, with its files in the host's own folder; whether it answers yet, the
    /// first allocation shows.
    ///
    /// # Errors
    /// It is not installed, or its configuration cannot be written.
    pub fn start(&self, host: &Host, cpus: &[usize]) -> anyhow::Result<(Program, String)> {
        let folder = host.namespace().folder()?;
        let path = folder.join("turnserver.conf");
        fs::write(&path, self.configuration(&folder))
            .with_context(|| format!("cannot write {}", path.display()))?;
        let binary = binary().context("coturn is not installed")?;
        let mut start = Start::new(&binary);
        start.option("-c", path.display()).on(cpus);
        let shown = start.shown();
        Ok((host.enter(|| Program::start(&start))??, shown))
    }
}

/// Where coturn is, if it is installed.
pub fn binary() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    places.into_iter().map(|place| place.join(NAME)).find(|path| path.is_file())
}

/// Its version, as it says itself.
pub fn version() -> Option<String> {
    let output = Command::new(binary()?).arg("--version").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let word = |line: &str| {
        let word = line.split_whitespace().last()?;
        word.starts_with(|c: char| c.is_ascii_digit()).then(|| word.to_owned())
    };
    text.lines().rev().find_map(word)
}

/// The program's name.
pub const NAME: &str = "turnserver";
/// The realm of the credential.
const REALM: &str = "lab";
/// Ports of relayed transport addresses, the first and the last: away from the listening port.
const RELAY_PORTS: (u16, u16) = (10_000, 60_000);
/// Nothing but UDP, and nothing beside relaying.
const SWITCHES: [&str; 12] = [
    "lt-cred-mech",
    "no-tcp",
    "no-tls",
    "no-dtls",
    "no-tcp-relay",
    "no-cli",
    "no-stun",
    "no-rfc5780",
    "no-multicast-peers",
    "no-stdout-log",
    "no-dynamic-ip-list",
    "no-dynamic-realms",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_says_what_is_meant_once() {
        let coturn = Coturn {
            listen: "45.1.7.2:3478".parse().unwrap(),
            peers: ("46.0.0.0".parse().unwrap(), "46.0.255.255".parse().unwrap()),
            user: "peer".to_owned(),
            password: "secret".to_owned(),
        };
        let text = coturn.configuration(Path::new("/private"));
        for line in [
            "listening-ip=45.1.7.2",
            "relay-threads=1",
            "user=peer:secret",
            "allowed-peer-ip=46.0.0.0-46.0.255.255",
            "no-tcp",
            "pidfile=/private/coturn.pid",
        ] {
            assert_eq!(text.lines().filter(|other| *other == line).count(), 1, "{line} in {text}");
        }
    }
}
