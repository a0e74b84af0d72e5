//! `nat`: what NAT this host is behind, in RFC 4787's words, and what that means.
//!
//! * RFC 5780 where a server offers it; else the mapping alone, from the OBSERVED of two reflectors.
//! * What was not found out is said to be a guess.

use crate::args::Nat;
use crate::behaviour::{discover, discover_at};
use crate::clock::Clock;
use crate::core::{Core, Settings};
use crate::device::{Device, random_secret};
use crate::discovery::Findings;
use crate::error::Error;
use crate::failure::Failure;
use crate::socket::{Buffers, Sockets};
use nat::{Behaviour, Filtering, Mapping};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use wire::login::{OfferedReflector, Stun};

/// Finds out and prints.
///
/// # Errors
/// Nobody is known who could be asked, or nobody answers.
pub async fn run(question: Nat, file: &Path, out: &mut impl Write) -> Result<(), Failure> {
    if let Some(server) = question.stun {
        let silent = || Failure::Runtime(format!("no STUN answer from {server}; is UDP blocked here?"));
        let findings = discover_at(server).await.filter(|it| it.mapped.is_some()).ok_or_else(silent)?;
        return print(findings, out);
    }
    let reflectors = reflectors(&question, file)?;
    if let Some(findings) = discover(&reflectors).await.filter(|it| it.whole) {
        return print(findings, out);
    }
    print(compare(reflectors).await?, out)
}

fn reflectors(question: &Nat, file: &Path) -> Result<Vec<OfferedReflector>, Failure> {
    if question.reflector.is_empty() {
        return Ok(Device::load(file)?.reflectors);
    }
    let named = question.reflector.iter().zip(1..).map(|(address, number)| {
        let name = format!("given-{number}").parse().map_err(|error| Failure::Usage(format!("{error}")))?;
        Ok(OfferedReflector { name, addresses: vec![*address], stun: Stun::Off })
    });
    named.collect()
}

/// PROBEs reflectors from one port, and compares what two of them saw.
async fn compare(reflectors: Vec<OfferedReflector>) -> Result<Findings, Failure> {
    let addresses: Vec<String> =
        reflectors.iter().flat_map(|it| &it.addresses).map(ToString::to_string).collect();
    if addresses.is_empty() {
        return Err(Error::NoReflector.into());
    }
    let (clock, sockets, mut buffers) = (Clock::start(), Sockets::open()?, Buffers::new());
    let settings = Settings {
        noise_secret: random_secret()?,
        seed: random_secret()?,
        reflectors,
        behaviour: None,
        hosts: sockets.hosts(),
        families: sockets.families(),
        has_account: false,
        incarnation: 0,
    };
    let mut core = Core::new(settings, clock.now_us());
    let end = tokio::time::Instant::now() + PATIENCE;
    while !has_enough(&core) {
        while let Some(transmit) = core.poll_transmit() {
            sockets.send(transmit.destination, &transmit.bytes);
        }
        let now_us = clock.now_us();
        let at_us = core.poll_timeout(now_us).unwrap_or(u64::MAX).min(now_us + STEP_US);
        tokio::select! {
            () = sockets.readable() => {
                sockets.receive(&mut buffers, |source, bytes| core.handle_datagram(source, bytes, clock.now_us()));
            }
            () = tokio::time::sleep_until(tokio::time::Instant::from_std(clock.instant(at_us))) => {
                core.handle_timeout(clock.now_us());
            }
            () = tokio::time::sleep_until(end) => break,
        }
    }
    let observed: Vec<SocketAddr> = core.contacts().iter().filter_map(|contact| contact.observed).collect();
    let Some(mapped) = observed.first().copied() else {
        return Err(Error::NoContact { addresses: addresses.join(", ") }.into());
    };
    let saw_mapping = observed.len() > 1 || sockets.hosts().contains(&mapped);
    Ok(Findings { behaviour: core.guess_behaviour(), mapped: Some(mapped), saw_mapping, whole: false })
}

/// Whether two reflectors have answered, or the only one. One that is slow is waited for: without it the mapping would be
/// a guess.
fn has_enough(core: &Core) -> bool {
    let contacts = core.contacts();
    let answered = contacts.iter().filter(|contact| contact.observed.is_some()).count();
    answered > 0 && answered >= contacts.len().min(2)
}

fn print(findings: Findings, out: &mut impl Write) -> Result<(), Failure> {
    let Findings { behaviour, mapped, saw_mapping, whole } = findings;
    match behaviour {
        Behaviour::Open => writeln!(out, "mapping    none: this host is not behind a NAT\nfiltering  none")?,
        Behaviour::Nat { mapping, filtering } => {
            let mapping_words = match mapping {
                Mapping::Eim => "endpoint-independent: one external port towards everybody",
                Mapping::Adm => "address-dependent: one external port for each address",
                Mapping::Apdm => "address and port-dependent: one external port for each address and port",
            };
            let filtering_words = match filtering {
                Filtering::Eif => "endpoint-independent: lets anyone in",
                Filtering::Adf => "address-dependent: lets in the addresses that were called",
                Filtering::Apdf => "address and port-dependent: lets in who was called",
            };
            let taken = |seen| if seen { "" } else { " (not found out: taken for what needs most help)" };
            writeln!(out, "mapping    {mapping}, {mapping_words}{}", taken(saw_mapping))?;
            writeln!(out, "filtering  {filtering}, {filtering_words}{}", taken(whole))?;
        }
    }
    if let Some(mapped) = mapped {
        writeln!(out, "address    {mapped}")?;
    }
    if let Some(name) = behaviour.classic_name().filter(|_| whole) {
        writeln!(out, "also known {name} (RFC 3489)")?;
    }
    Ok(())
}

/// How often to look whether enough have answered.
const STEP_US: u64 = 20_000;
const PATIENCE: Duration = Duration::from_secs(3);
