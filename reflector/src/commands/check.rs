//! `check`: what would run, and what is missing for more speed or safety.
//!
//! * Opens one socket on loopback to see what the kernel grants; nothing of a running reflector is touched.
//! * Ends with 78 where `run` would refuse to start, else with 0, whatever there is to mend.

use crate::config::{Config, MAX_WORKERS};
use crate::fast_path::findings::XdpFacts;
use crate::finding::Finding;
use crate::rules::shared::read_ring;
use crate::run::daemon::{SLOTS, mode, socket_options};
use crate::run::findings;
use crate::run::findings::Facts;
use crate::settings::SETTINGS;
use engine::host::addresses::Addresses;
use engine::host::affinity;
use engine::socket::udp::Socket;
use program::failure::Failure;
use program::settings::layers::Layers;
use program::settings::written::Line;
use std::fmt::Write as _;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use wire::{KeyId, KeyRing};

/// Prints what would run and what could be better.
///
/// # Errors
/// Everything that `run` would refuse, as far as it shows without opening the addresses.
pub fn run(layers: &Layers, out: &mut dyn Write) -> Result<(), Failure> {
    let config = Config::read(layers)?;
    let ring = read_ring(&config)?;
    let facts = facts(&config)?;
    for listen in &config.listen {
        local("listen", *listen, &facts.host)?;
    }
    for alternate in &config.stun.alternates {
        local("stun-alternate", *alternate, &facts.host)?;
    }
    let mut findings = findings::list(&config, &facts);
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    findings.extend(SETTINGS.unknown_variables(names).into_iter().map(|name| Finding {
        text: format!("the variable {name} is no setting and has no effect"),
        mend: String::from("`reflector run --help` lists the variables"),
    }));
    out.write_all(report(&config, &ring, &facts, &findings).as_bytes())?;
    Ok(())
}

fn facts(config: &Config) -> Result<Facts, Failure> {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let socket = Socket::open(loopback, &socket_options(loopback, config.receive_buffer))
        .map_err(|error| Failure::Runtime(error.to_string()))?;
    let cpus = affinity::allowed()?.len();
    let workers = config.workers.unwrap_or(cpus).clamp(1, MAX_WORKERS);
    let sockets = config.listen.len() + config.stun.further_addresses(&config.listen).len();
    Ok(Facts {
        choice: config.engine.choose(workers, sockets, SLOTS)?,
        granted: socket.granted(),
        cpus,
        workers,
        ring_mode: mode(&config.keys),
        host: Addresses::read()?,
        xdp: XdpFacts::read(&config.fast_path, cpus)?,
    })
}

/// Refuses an address that no interface has, unless the kernel delivers it here as part of a prefix.
fn local(key: &str, listen: SocketAddr, host: &Addresses) -> Result<(), Failure> {
    let ip = listen.ip();
    if ip.is_unspecified() || host.delivers(ip) {
        return Ok(());
    }
    let addresses: Vec<String> = host.interfaces.iter().map(|it| it.address.to_string()).collect();
    let addresses = addresses.join(", ");
    Err(Failure::Config(format!(
        "--{key} {listen}: no interface has that address; this host has {addresses}"
    )))
}

fn report(config: &Config, ring: &KeyRing, facts: &Facts, findings: &[Finding]) -> String {
    let mut text = format!("reflector {} would run:\n", env!("CARGO_PKG_VERSION"));
    // Writing to a String cannot fail, so the results of `write!` say nothing here.
    for Line { key, text: value, origin } in config.written.lines() {
        let _ = writeln!(text, "  {key:<18} {:<28} {origin}", value.escape_debug().to_string());
    }
    let ids: Vec<String> = ring.ids().map(|id: KeyId| id.get().to_string()).collect();
    let (minting, fingerprint) = (ring.minting().get(), ring.fingerprint());
    let _ = writeln!(text, "ring {fingerprint:016x}: keys {}, of which {minting} mints", ids.join(", "));
    let granted = facts.granted;
    let _ = writeln!(
        text,
        "{} workers on {} CPUs, engine {} ({}), {} bytes of receive buffer a socket, GRO {}, GSO {}",
        facts.workers,
        facts.cpus,
        facts.choice.kind.as_str(),
        facts.choice.reason(config.engine),
        granted.receive_buffer,
        on_off(granted.gro),
        on_off(granted.gso)
    );
    for interface in &facts.xdp.interfaces {
        let _ = writeln!(text, "{}", interface.summary(config.fast_path.mode));
    }
    if findings.is_empty() {
        text.push_str("nothing to mend\n");
    }
    for finding in findings {
        let _ = writeln!(text, "to mend: {}\n      by: {}", finding.text, finding.mend);
    }
    text
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}
