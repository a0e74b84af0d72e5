//! `ring` and `mint`: what a master says of one reflector, without a server.
//!
//! * Whoever runs them has the master, and with it every right; so `mint` takes plain addresses as well as tickets.
//! * stdout is data: a ring file, or one JSON object.

use crate::config;
use crate::mint::pair::MAX_LIFETIME_S;
use crate::now::Now;
use crate::rules::read_master;
use program::failure::Failure;
use program::settings::layers::Layers;
use std::io::Write;
use wire::json::capabilities::CapabilitiesAnswer;
use wire::json::header::HeaderJson;
use wire::json::name::ReflectorName;
use wire::mint::{send_header, verify_ticket};
use wire::{Form, TransportAddress};

/// What to mint.
#[derive(Clone, Debug)]
pub struct Question {
    /// Where the settings are read from.
    pub layers: Layers,
    /// The reflector where both meet.
    pub reflector: ReflectorName,
    /// Two addresses or tickets, as typed.
    pub sides: [String; 2],
    /// Rate class, 0..=15.
    pub class: u8,
    /// Whether neither side is to learn the other's address.
    pub form: Form,
}

/// Prints the ring file of a reflector.
///
/// # Errors
/// No master, or nobody who reads.
pub fn ring(layers: &Layers, reflector: &ReflectorName, out: &mut dyn Write) -> Result<(), Failure> {
    let master = read_master(&config::master(&layers.read()?)?)?;
    if master.is_example() {
        // A person who tries the documentation's vector sees it; a daemon refuses to run on it.
        writeln!(
            std::io::stderr(),
            "reflector-access: this master is the documentation's example; everybody knows it"
        )?;
    }
    out.write_all(master.ring_file(reflector).as_bytes())?;
    Ok(())
}

/// Prints the two SEND headers, in the order of the sides.
///
/// # Errors
/// A side that is neither address nor ticket, or that no reflector would send to; a name that is not configured.
pub fn mint(question: &Question, now: Now, out: &mut dyn Write) -> Result<(), Failure> {
    let texts = question.layers.read()?;
    let reflectors = config::reflectors(&texts)?;
    let name = &question.reflector;
    if !reflectors.is_empty() && !reflectors.iter().any(|it| it.name == *name) {
        return Err(Failure::Usage(format!("{name} is no --reflector that is configured; check the name")));
    }
    let ring = read_master(&config::master(&texts)?)?.ring(name).map_err(Failure::Config)?;
    let policy = config::policy(&texts, &reflectors)?;
    let side = |text: &String| -> Result<(TransportAddress, u32), Failure> {
        let refuse = |right: &str| Failure::Usage(format!("{text}: {right}"));
        let (address, until) = match (text.parse::<std::net::SocketAddr>(), text.parse::<HeaderJson>()) {
            (Ok(socket), _) => {
                let right = "IPv4 is written as IPv4";
                (TransportAddress::from_socket(socket).ok_or_else(|| refuse(right))?, u32::MAX)
            }
            (_, Ok(ticket)) => {
                let header = ticket.header();
                let address = verify_ticket(&ring, &header, now.unix_s);
                (address.map_err(|error| refuse(&error.to_string()))?, header.expires)
            }
            _ => return Err(refuse("expected ADDR:PORT, or a ticket as 43 characters of base64url")),
        };
        let right = "no reflector sends there; --allow-destination opens a lab's block, ports start at 1024";
        policy.permits(address).then_some((address, until)).ok_or_else(|| refuse(right))
    };
    let [a, b] = &question.sides;
    let ((a, a_until), (b, b_until)) = (side(a)?, side(b)?);
    if a == b {
        return Err(Failure::Usage(String::from("both sides are one address; name two")));
    }
    let lifetime_s = config::lifetime_s(&texts)?.min(MAX_LIFETIME_S);
    let expires = now.unix_s.min(a_until).min(b_until).saturating_add(lifetime_s);
    let header = |from, to| {
        let header = send_header(&ring, question.form, question.class, expires, from, to);
        header.map(HeaderJson::from).ok_or_else(|| Failure::Usage(String::from("--class: expected 0 to 15")))
    };
    let answer = CapabilitiesAnswer { headers: [header(a, b)?, header(b, a)?], expires, receipt: None };
    let text = serde_json::to_string(&answer).map_err(|error| Failure::Runtime(error.to_string()))?;
    writeln!(out, "{text}")?;
    Ok(())
}
