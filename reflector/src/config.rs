//! What was typed becomes what is meant, once, with every check.
//!
//! * Whoever holds a [`Config`] holds values that are right, as far as they can be judged without the kernel.
//! * A refusal names the flag, variable, or file and line, and says what would be right.

use crate::choice::Wanted;
use crate::fast_path::settings::FastPathSettings;
use crate::rules::rates::Limits;
use crate::settings::SETTINGS;
use crate::stun::settings::StunSettings;
use program::failure::Failure;
use program::log::Format;
use program::settings::layers::Layers;
use program::settings::texts::Texts;
use program::settings::written::Written;
use program::units;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;
use wire::Block;

/// Everything that `run` needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Transport addresses to serve: one or two, of different families.
    pub listen: Vec<SocketAddr>,
    /// What the world sees instead.
    pub advertise: Vec<SocketAddr>,
    /// The ring file.
    pub keys: PathBuf,
    /// How datagrams are moved.
    pub engine: Wanted,
    /// Worker threads; `None`: one per CPU.
    pub workers: Option<usize>,
    /// Which worker gets a datagram.
    pub steer: Steer,
    /// The XDP fast path in front of the sockets.
    pub fast_path: FastPathSettings,
    /// Destinations and sources opened and closed.
    pub blocks: Blocks,
    /// Lifetimes and sizes.
    pub bounds: Bounds,
    /// PROBE budget and class rates.
    pub limits: Limits,
    /// STUN beside the reflector's own protocol.
    pub stun: StunSettings,
    /// Transport address of the admin server.
    pub admin: SocketAddr,
    /// Certificate chain and private key of the admin server.
    pub admin_tls: Option<(PathBuf, PathBuf)>,
    /// Who may revoke, and where it is kept.
    pub revoking: Option<Revoking>,
    /// The longest drain.
    pub drain_timeout: Duration,
    /// Datagrams per second below which a drain is over.
    pub drain_below: u64,
    /// Bytes wanted for each socket and direction.
    pub receive_buffer: usize,
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
        Self::check(&layers.read()?)
    }

    /// Checks the texts in force.
    ///
    /// # Errors
    /// The first text that is wrong.
    pub fn check(texts: &Texts) -> Result<Self, Failure> {
        let listen = listen(texts)?;
        let advertise = advertise(texts, &listen)?;
        let config = Self {
            stun: StunSettings::check(texts, &listen, &advertise)?,
            advertise,
            listen,
            keys: texts.one("keys", "ring.toml (`reflector keygen > ring.toml` makes one)", units::path)?,
            engine: engine(texts)?,
            workers: texts.one("workers", "auto", workers)?,
            steer: texts.one("steer", "cpu", steer)?,
            fast_path: FastPathSettings::check(texts)?,
            blocks: Blocks::check(texts)?,
            bounds: Bounds::check(texts)?,
            limits: limits(texts)?,
            admin: texts.one("admin", "127.0.0.1:9464", address)?,
            admin_tls: admin_tls(texts)?,
            revoking: Revoking::check(texts)?,
            drain_timeout: texts.one("drain-timeout", "30s", drain_timeout)?,
            drain_below: texts.one("drain-below", "100", |text| {
                units::count(text).ok_or_else(|| String::from("expected datagrams per second such as 100"))
            })?,
            receive_buffer: texts.one("receive-buffer", "4MiB", receive_buffer)?,
            log_format: texts.one("log-format", "text", Format::parse)?,
            written: Written::new(&SETTINGS, texts),
        };
        match config.listen.is_empty() {
            true => Err(texts.refuse("listen", "0.0.0.0:3478")),
            false => Ok(config),
        }
    }
}

/// How rights are taken back: whose tokens are accepted, and where entries are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoking {
    /// The file of bearer tokens.
    pub tokens: PathBuf,
    /// The file of revocations.
    pub file: PathBuf,
}

impl Revoking {
    /// Checks the two settings, and that no token has to travel in the clear where others listen.
    ///
    /// # Errors
    /// One without the other; an admin server that is neither private nor has a certificate.
    pub fn check(texts: &Texts) -> Result<Option<Self>, Failure> {
        let path = |key| texts.all(key, units::path).map(|paths| paths.into_iter().next_back());
        let revoking = match (path("admin-token")?, path("revocations")?) {
            (Some(tokens), Some(file)) => Self { tokens, file },
            (None, None) => return Ok(None),
            (Some(_), None) => {
                return Err(texts.refuse("admin-token", "it needs --revocations FILE beside it"));
            }
            (None, Some(_)) => {
                return Err(texts.refuse("revocations", "it needs --admin-token FILE beside it"));
            }
        };
        let admin: SocketAddr = texts.one("admin", "127.0.0.1:9464", address)?;
        if !is_private(admin.ip()) && admin_tls(texts)?.is_none() {
            let right = "with --admin-token it needs --admin-tls-cert, or an address of loopback or a private network";
            return Err(texts.refuse("admin", right));
        }
        Ok(Some(revoking))
    }
}

/// Whether only this host or its private network reaches this address.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

fn admin_tls(texts: &Texts) -> Result<Option<(PathBuf, PathBuf)>, Failure> {
    let path = |key| texts.all(key, units::path).map(|paths| paths.into_iter().next_back());
    match (path("admin-tls-cert")?, path("admin-tls-key")?) {
        (Some(cert), Some(key)) => Ok(Some((cert, key))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(texts.refuse("admin-tls-cert", "it needs --admin-tls-key FILE beside it")),
        (None, Some(_)) => Err(texts.refuse("admin-tls-key", "it needs --admin-tls-cert FILE beside it")),
    }
}

/// Which worker gets a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steer {
    /// That of the CPU on which it arrived.
    Cpu,
    /// Chosen by the kernel from the two transport addresses.
    Hash,
}

impl Steer {
    /// The word of flags and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Hash => "hash",
        }
    }
}

/// Destinations and sources that the operator opens and closes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blocks {
    /// Special-purpose blocks opened.
    pub allow_destination: Vec<Block>,
    /// Destinations closed.
    pub deny_destination: Vec<Block>,
    /// Sources closed.
    pub deny_source: Vec<Block>,
}

impl Blocks {
    /// Checks the three lists.
    ///
    /// # Errors
    /// A text that is no CIDR block.
    pub fn check(texts: &Texts) -> Result<Self, Failure> {
        let block = |text: &str| text.parse::<Block>().map_err(|error| error.to_string());
        Ok(Self {
            allow_destination: texts.all("allow-destination", block)?,
            deny_destination: texts.all("deny-destination", block)?,
            deny_source: texts.all("deny-source", block)?,
        })
    }
}

/// Lifetimes and sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Seconds that a renewed capability lives.
    pub answer_lifetime_s: u32,
    /// Seconds that a contact ticket lives.
    pub ticket_lifetime_s: u32,
    /// Bytes of the longest datagram.
    pub max_datagram: usize,
}

impl Bounds {
    /// Checks lifetimes and sizes.
    ///
    /// # Errors
    /// A text that is no whole number of seconds or bytes in the range that wire.md gives.
    pub fn check(texts: &Texts) -> Result<Self, Failure> {
        Ok(Self {
            answer_lifetime_s: texts.one("answer-lifetime", "300s", |text| units::seconds(text, 10..=540))?,
            ticket_lifetime_s: texts.one("ticket-lifetime", "120s", |text| units::seconds(text, 10..=120))?,
            max_datagram: texts.one("max-datagram", "1472", |text| {
                size(text, 64..=65_507).ok_or_else(|| String::from("expected bytes from 64 to 65507"))
            })?,
        })
    }
}

/// The addresses of `--listen`: none, or one or two of different families.
///
/// # Errors
/// A text that is no transport address, an address that no socket can serve, two of one family.
pub fn listen(texts: &Texts) -> Result<Vec<SocketAddr>, Failure> {
    let listen = texts.all("listen", |text| {
        let listen = address(text)?;
        let ip = listen.ip();
        let mapped = matches!(ip, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
        if ip.is_multicast() || mapped || ip == IpAddr::from([255; 4]) {
            return Err(String::from("expected a unicast or wildcard address, IPv4 written as IPv4"));
        }
        Ok(listen)
    })?;
    one_per_family(texts, "listen", &listen)?;
    Ok(listen)
}

/// The addresses of `--advertise`.
///
/// # Errors
/// As for [`listen`]; also a wildcard, port 0, or a family that is not listened on.
pub fn advertise(texts: &Texts, listen: &[SocketAddr]) -> Result<Vec<SocketAddr>, Failure> {
    let advertise = texts.all("advertise", |text| {
        let advertise = address(text)?;
        if advertise.ip().is_unspecified() || advertise.ip().is_multicast() || advertise.port() == 0 {
            return Err(String::from("expected the one address and port that the world sends to"));
        }
        if !listen.iter().any(|it| it.is_ipv4() == advertise.is_ipv4()) {
            return Err(String::from("expected a --listen of the same family beside it"));
        }
        Ok(advertise)
    })?;
    one_per_family(texts, "advertise", &advertise)?;
    Ok(advertise)
}

fn one_per_family(texts: &Texts, key: &str, addresses: &[SocketAddr]) -> Result<(), Failure> {
    let v4 = addresses.iter().filter(|it| it.is_ipv4()).count();
    if v4 > 1 || addresses.len() - v4 > 1 {
        let right = "at most one IPv4 and one IPv6 address; a reflector is one transport address per family";
        return Err(texts.refuse(key, right));
    }
    Ok(())
}

fn limits(texts: &Texts) -> Result<Limits, Failure> {
    let probe_budget = texts.one("probe-budget", "4000", |text| {
        let per_s = units::count(text).filter(|n| (1..=100_000_000).contains(n));
        per_s.ok_or_else(|| String::from("expected PROBEs per second, 1..=100M"))
    })?;
    let mut limits = Limits::new(probe_budget);
    for (class, raw) in texts.numbered() {
        let rate = units::rate_bytes_s(&raw.text)
            .filter(|rate| *rate <= MAX_RATE_BYTES_S)
            .ok_or_else(|| raw.refuse("rate", "expected a rate from 8bps to 1000Gbps such as 5Mbps"))?;
        limits.limit_class(*class, rate);
    }
    Ok(limits)
}

/// A transport address.
///
/// # Errors
/// Any other text, with what would be right.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        String::from(
            "expected ADDR:PORT such as 203.0.113.7:3478 or [2001:db8::7]:3478 (an address, not a name)",
        )
    })
}

fn engine(texts: &Texts) -> Result<Wanted, Failure> {
    let sqpoll = texts.one("uring-sqpoll", "off", |text| match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(String::from("expected on or off")),
    })?;
    let wanted = texts.one("engine", "auto", |text| match text {
        "auto" => Ok(Wanted::Auto),
        // "mio", the crate it is built on, was its name before.
        "epoll" | "mio" => Ok(Wanted::Epoll),
        "uring" => Ok(Wanted::Uring { sqpoll }),
        _ => Err(String::from("expected auto, epoll or uring")),
    })?;
    match wanted {
        Wanted::Auto | Wanted::Epoll if sqpoll => {
            Err(texts.refuse("uring-sqpoll", "expected --engine uring beside it"))
        }
        _ => Ok(wanted),
    }
}

fn workers(text: &str) -> Result<Option<usize>, String> {
    if text == "auto" {
        return Ok(None);
    }
    let number = units::count(text).and_then(|number| usize::try_from(number).ok());
    let number = number.filter(|number| (1..=MAX_WORKERS).contains(number));
    number.map(Some).ok_or_else(|| format!("expected auto or a number of threads from 1 to {MAX_WORKERS}"))
}

fn steer(text: &str) -> Result<Steer, String> {
    match text {
        "cpu" => Ok(Steer::Cpu),
        "hash" => Ok(Steer::Hash),
        _ => Err(String::from("expected cpu or hash")),
    }
}

fn drain_timeout(text: &str) -> Result<Duration, String> {
    let time = units::time(text).filter(|time| *time <= Duration::from_hours(1));
    time.ok_or_else(|| String::from("expected a time from 0s to 1h such as 30s"))
}

fn receive_buffer(text: &str) -> Result<usize, String> {
    size(text, 4 << 10..=1 << 30).ok_or_else(|| String::from("expected bytes from 4KiB to 1GiB such as 4MiB"))
}

fn size(text: &str, range: RangeInclusive<usize>) -> Option<usize> {
    let bytes = units::bytes(text).and_then(|bytes| usize::try_from(bytes).ok());
    bytes.filter(|bytes| range.contains(bytes))
}

/// Threads that a reuseport group and its steering program are made for at most.
pub const MAX_WORKERS: usize = 256;
const MAX_RATE_BYTES_S: u64 = 1_000_000_000_000 / 8;
