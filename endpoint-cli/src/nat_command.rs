//! `nat`: what NAT this host is behind, in RFC 4787's words, and what that means.
//!
//! * RFC 5780 where a server offers it; else the mapping alone, from the OBSERVED of two reflectors.
//! * What was not found out is said to be a guess.

use crate::args::Nat;
use crate::failure::Failure;
use endpoint::{Device, Findings, compare, discover, discover_at};
use nat::{Behaviour, Filtering, Mapping};
use std::io::Write;
use std::path::Path;
use wire::json::login::{OfferedReflector, Stun};

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
