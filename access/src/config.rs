//! What was typed becomes what is meant, once, with every check.
//!
//! * Whoever holds a [`Config`] holds values that are right, as far as they can be judged without the kernel.
//! * A refusal names the flag, variable, or file and line, and says what would be right.

use crate::fleet::Reflector;
use crate::hosts::AdminListener;
use crate::settings::SETTINGS;
use program::failure::Failure;
use program::log::Format;
use program::settings::layers::Layers;
use program::settings::texts::Texts;
use program::settings::written::Written;
use program::units;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;
use wire::json::name::ReflectorName;
use wire::{Block, BlockSet, Policy};

/// Everything that `run` needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to serve.
    pub listen: Vec<SocketAddr>,
    /// Names that a login may be signed for.
    pub server_names: Vec<String>,
    /// The master file.
    pub master: PathBuf,
    /// Where accounts are stored, and by which socket the running server is reached.
    pub store: StorePaths,
    /// Reflectors, in order of preference.
    pub reflectors: Vec<Reflector>,
    /// Those offered to nobody.
    pub drained: Vec<ReflectorName>,
    /// Admin listeners of their hosts.
    pub admins: Vec<AdminListener>,
    /// The file with the token that is shown there.
    pub admin_token: Option<PathBuf>,
    /// Authorities that vouch for their certificates.
    pub admin_ca: Option<PathBuf>,
    /// Certificate chain and private key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Bearer tokens for capabilities.
    pub service_credentials: Option<PathBuf>,
    /// Which addresses a contact may have.
    pub policy: Policy,
    /// Times and the class of what is minted.
    pub terms: Terms,
    /// How often reflectors are probed.
    pub probe_interval: Duration,
    /// Where what was minted is written.
    pub audit: Option<AuditConfig>,
    /// Threads that serve; `None`: one per CPU.
    pub threads: Option<usize>,
    /// Connections held at once.
    pub max_connections: usize,
    /// How long any step of a connection may take.
    pub request_timeout: Duration,
    /// Transport address of the admin server.
    pub admin: SocketAddr,
    /// The longest drain.
    pub drain_timeout: Duration,
    /// The form of log lines.
    pub log_format: Format,
    /// Every setting as it was written.
    pub written: Written,
}

impl Config {
    /// Reads the layers and checks everything.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn read(layers: &Layers) -> Result<Self, Failure> {
        let texts = &layers.read()?;
        let listen = texts.all("listen", address)?;
        let reflectors = reflectors(texts)?;
        let store = StorePaths::check(texts)?;
        let config = Self {
            server_names: server_names(texts, &listen)?,
            listen,
            master: master(texts)?,
            audit: AuditConfig::check(texts, &store)?,
            store,
            drained: texts.all("drain", |text| known(text, &reflectors))?,
            admins: admins(texts, &reflectors)?,
            admin_token: texts.perhaps("reflector-admin-token", units::path)?,
            admin_ca: texts.perhaps("reflector-admin-ca", units::path)?,
            policy: policy(texts, &reflectors)?,
            reflectors,
            tls: tls(texts)?,
            service_credentials: texts.perhaps("service-credentials", units::path)?,
            terms: Terms::check(texts)?,
            probe_interval: texts
                .one("probe-interval", "1s", |text| time(text, 100..=60_000, "100ms to 60s"))?,
            threads: texts.one("threads", "auto", threads)?,
            max_connections: texts.one("max-connections", "10k", |text| {
                size(units::count(text), 1..=1_000_000).ok_or_else(|| String::from("expected 1 to 1M"))
            })?,
            request_timeout: texts
                .one("request-timeout", "30s", |text| time(text, 100..=600_000, "100ms to 10m"))?,
            admin: texts.one("admin", "127.0.0.1:9465", address)?,
            drain_timeout: texts.one("drain-timeout", "30s", |text| time(text, 0..=3_600_000, "0s to 1h"))?,
            log_format: texts.one("log-format", "text", Format::parse)?,
            written: Written::new(&SETTINGS, texts),
        };
        config.check_plaintext(texts)?;
        config.check_admins(texts)?;
        Ok(config)
    }

    fn check_admins(&self, texts: &Texts) -> Result<(), Failure> {
        let open = self.admins.iter().find(|it| self.admin_token.is_some() && !it.is_private());
        let Some(AdminListener { url, .. }) = open else { return Ok(()) };
        Err(texts.refuse(
            "reflector-admin",
            &format!("{url}: the token would cross a public network unencrypted; use https (--admin-tls-cert there), or a \
                      private address"),
        ))
    }

    fn check_plaintext(&self, texts: &Texts) -> Result<(), Failure> {
        let anywhere = texts.one("plaintext", "loopback", |text| match text {
            "loopback" => Ok(false),
            "any" => Ok(true),
            _ => Err(String::from("expected loopback or any")),
        })?;
        if self.tls.is_some() || anywhere || self.listen.iter().all(|it| it.ip().is_loopback()) {
            return Ok(());
        }
        Err(texts.refuse(
            "listen",
            "sessions would cross a network unencrypted; give --tls-cert and --tls-key, or --plaintext any behind a \
             proxy that ends TLS",
        ))
    }
}

/// Where accounts are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorePaths {
    /// The store's file.
    pub store: PathBuf,
    /// The running server's socket.
    pub control: PathBuf,
}

impl StorePaths {
    /// Checks both paths.
    ///
    /// # Errors
    /// No store, or an empty path.
    pub fn check(texts: &Texts) -> Result<Self, Failure> {
        let store = texts.one("store", "access.redb", units::path)?;
        let control = texts.perhaps("control", units::path)?.unwrap_or_else(|| beside(&store, ".sock"));
        Ok(Self { store, control })
    }
}

/// Times and the class of what is minted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Rate class, 0..=15.
    pub class: u8,
    /// Seconds that a capability lives beyond the sooner of now and its tickets' ends.
    pub lifetime_s: u32,
    /// Seconds without refresh until a device is offline.
    pub lease_s: u32,
    /// Seconds between PROBEs of an endpoint.
    pub keepalive_s: u32,
}

impl Terms {
    /// Checks times and class.
    ///
    /// # Errors
    /// A time that is not whole seconds in its range, a class above 15.
    pub fn check(texts: &Texts) -> Result<Self, Failure> {
        Ok(Self {
            class: texts.one("class", "0", |text| {
                let class = units::count(text).and_then(|it| u8::try_from(it).ok()).filter(|it| *it < 16);
                class.ok_or_else(|| String::from("expected a rate class from 0 to 15"))
            })?,
            lifetime_s: lifetime_s(texts)?,
            lease_s: texts.one("lease", "120s", |text| units::seconds(text, 2..=3_600))?,
            keepalive_s: texts.one("keepalive", "15s", |text| units::seconds(text, 1..=60))?,
        })
    }

    /// Seconds that a contact is still handed out after its ticket has ended: one refresh interval.
    pub fn grace_s(&self) -> u32 {
        self.lease_s / 2
    }
}

/// Where what was minted is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditConfig {
    /// The current file; older ones have `.1`, `.2`, ... behind it.
    pub path: PathBuf,
    /// Length at which it is rotated, bytes.
    pub max_len: u64,
    /// Older files kept.
    pub kept: usize,
}

impl AuditConfig {
    fn check(texts: &Texts, store: &StorePaths) -> Result<Option<Self>, Failure> {
        let path =
            texts.perhaps("audit", units::path)?.unwrap_or_else(|| beside(&store.store, ".audit.jsonl"));
        let max_len = texts.one("audit-size", "64MiB", |text| {
            let bytes = units::bytes(text).filter(|bytes| (64 << 10..=1 << 30).contains(bytes));
            bytes.ok_or_else(|| String::from("expected bytes from 64KiB to 1GiB such as 64MiB"))
        })?;
        let kept = texts.one("audit-files", "8", |text| {
            size(units::count(text), 1..=1_000)
                .ok_or_else(|| String::from("expected a number from 1 to 1000"))
        })?;
        Ok((path.as_os_str() != "none").then_some(Self { path, max_len, kept }))
    }
}

/// The master file's path.
///
/// # Errors
/// Not set.
pub fn master(texts: &Texts) -> Result<PathBuf, Failure> {
    texts.one("master", "master.toml (`reflector-access keygen > master.toml` makes one)", units::path)
}

/// The lifetime of capabilities, seconds.
///
/// # Errors
/// Not whole seconds from 10 to 540.
pub fn lifetime_s(texts: &Texts) -> Result<u32, Failure> {
    texts.one("capability-lifetime", "300s", |text| units::seconds(text, 10..=540))
}

/// The reflectors, each once; a text may hold several, and the addresses of each are parted by commas.
///
/// # Errors
/// A malformed text, a name twice, an address twice.
pub fn reflectors(texts: &Texts) -> Result<Vec<Reflector>, Failure> {
    let pieces = texts.all("reflector", |text| Ok(String::from(text)))?;
    let pieces = pieces.iter().flat_map(|text| text.split(','));
    let mut joined: Vec<String> = Vec::new();
    for piece in pieces {
        match joined.last_mut() {
            Some(last) if !piece.contains('=') => last.extend([",", piece]),
            _ => joined.push(String::from(piece)),
        }
    }
    let mut reflectors: Vec<Reflector> = Vec::new();
    for text in joined {
        let fresh: Reflector =
            text.parse().map_err(|right: String| texts.refuse("reflector", &format!("{text}: {right}")))?;
        let known = |other: &Reflector| {
            other.name == fresh.name || other.addresses.iter().any(|it| fresh.addresses.contains(it))
        };
        if reflectors.iter().any(known) {
            let right = format!("{text}: one name is one reflector, and one address belongs to one name");
            return Err(texts.refuse("reflector", &right));
        }
        reflectors.push(fresh);
    }
    Ok(reflectors)
}

/// Which addresses a contact may have: what the reflectors would send to, by default.
///
/// # Errors
/// A text that is no CIDR block.
pub fn policy(texts: &Texts, reflectors: &[Reflector]) -> Result<Policy, Failure> {
    let block = |text: &str| text.parse::<Block>().map_err(|error| error.to_string());
    let own = reflectors.iter().flat_map(|it| &it.addresses);
    Ok(Policy {
        own: own.filter_map(|it| wire::TransportAddress::from_socket(*it)).collect(),
        allow_destination: BlockSet::new(&texts.all("allow-destination", block)?),
        deny_destination: BlockSet::new(&texts.all("deny-destination", block)?),
        ..Policy::default()
    })
}

fn known(text: &str, reflectors: &[Reflector]) -> Result<ReflectorName, String> {
    let known = reflectors.iter().find(|it| it.name.as_str() == text);
    known.map(|it| it.name.clone()).ok_or_else(|| String::from("expected the NAME of a --reflector"))
}

fn admins(texts: &Texts, reflectors: &[Reflector]) -> Result<Vec<AdminListener>, Failure> {
    let mut admins = texts.all("reflector-admin", |text| {
        let (name, url) =
            text.split_once('=').ok_or("expected NAME=URL such as fra1=http://10.0.0.7:9464")?;
        AdminListener::new(known(name, reflectors)?, url)
    })?;
    admins.dedup();
    Ok(admins)
}

fn server_names(texts: &Texts, listen: &[SocketAddr]) -> Result<Vec<String>, Failure> {
    let given = texts.all("server-name", |text| {
        let plain = !text.is_empty() && !text.contains(['/', '[', ']', '@']) && text.is_ascii();
        let plain = plain.then(|| text.to_ascii_lowercase());
        plain.ok_or_else(|| String::from("expected the host of the URL such as access.example.org"))
    })?;
    if !given.is_empty() {
        return Ok(given);
    }
    if listen.iter().any(|it| it.ip().is_unspecified()) {
        let right = "a wildcard says no name; give --server-name, the host of the URL that endpoints use";
        return Err(texts.refuse("listen", right));
    }
    let mut names: Vec<String> = listen.iter().map(|it| it.ip().to_string()).collect();
    if listen.iter().any(|it| it.ip().is_loopback()) {
        names.push(String::from("localhost"));
    }
    Ok(names)
}

fn tls(texts: &Texts) -> Result<Option<(PathBuf, PathBuf)>, Failure> {
    match (texts.perhaps("tls-cert", units::path)?, texts.perhaps("tls-key", units::path)?) {
        (Some(cert), Some(key)) => Ok(Some((cert, key))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(texts.refuse("tls-cert", "expected --tls-key beside it")),
        (None, Some(_)) => Err(texts.refuse("tls-key", "expected --tls-cert beside it")),
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        String::from("expected ADDR:PORT such as 127.0.0.1:8480 or [::1]:8480 (an address, not a name)")
    })
}

fn beside(path: &std::path::Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn threads(text: &str) -> Result<Option<usize>, String> {
    if text == "auto" {
        return Ok(None);
    }
    let number = size(units::count(text), 1..=256);
    number.map(Some).ok_or_else(|| String::from("expected auto or a number of threads from 1 to 256"))
}

fn time(text: &str, range_ms: RangeInclusive<u64>, range: &str) -> Result<Duration, String> {
    let time = units::time(text);
    let time = time.filter(|it| u64::try_from(it.as_millis()).is_ok_and(|ms| range_ms.contains(&ms)));
    time.ok_or_else(|| format!("expected a time from {range} such as 30s"))
}

fn size(number: Option<u64>, range: RangeInclusive<usize>) -> Option<usize> {
    number.and_then(|number| usize::try_from(number).ok()).filter(|number| range.contains(number))
}
