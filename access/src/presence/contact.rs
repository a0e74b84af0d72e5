//! A contact: an address that a device proved to have, towards one reflector.
//!
//! * A ticket is judged by the ring of the reflector that the contact names, and must not have ended.
//! * Its address must be one that the reflectors would send to, whatever the ticket says.
//! * Once its ticket has ended, and the grace after it, a contact is handed to nobody.

use crate::rules::Rules;
use wire::TransportAddress;
use wire::json::login::{ContactProof, MAX_CONTACTS};
use wire::json::name::ReflectorName;
use wire::json::problem::{Problem, ProblemKind};
use wire::mint::verify_ticket;

/// A proven contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Who observed it.
    pub reflector: ReflectorName,
    /// What was observed.
    pub address: TransportAddress,
    /// When its ticket ends, unix seconds.
    pub ticket_expires: u32,
    /// Round trip of the device to that reflector, µs.
    pub rtt_us: u32,
    /// Until when the store has it as a place where something may be minted, unix seconds; 0 if it does not.
    pub noted_until_s: u32,
}

impl Contact {
    /// Whether it is still handed out.
    pub fn holds(&self, now_s: u32, grace_s: u32) -> bool {
        now_s <= self.ticket_expires.saturating_add(grace_s)
    }
}

/// Judges what a device shows: all of it is proven, or nothing is taken.
///
/// # Errors
/// More than three contacts, two at one reflector, an unknown reflector, a ticket that proves nothing, an address that
/// no reflector sends to.
pub fn prove_all(proofs: &[ContactProof], rules: &Rules, now_s: u32) -> Result<Vec<Contact>, Problem> {
    if proofs.len() > MAX_CONTACTS {
        let detail = format!("{} contacts; show at most {MAX_CONTACTS}", proofs.len());
        return Err(Problem::new(ProblemKind::Malformed, detail));
    }
    for (place, proof) in proofs.iter().enumerate() {
        if proofs.iter().take(place).any(|it| it.reflector == proof.reflector) {
            let detail = format!("two contacts at {}; show one for each reflector", proof.reflector);
            return Err(Problem::new(ProblemKind::Malformed, detail));
        }
    }
    proofs.iter().map(|proof| prove(proof, rules, now_s)).collect()
}

/// Judges one contact.
///
/// # Errors
/// An unknown reflector, a ticket that proves nothing, an address that no reflector sends to.
pub fn prove(proof: &ContactProof, rules: &Rules, now_s: u32) -> Result<Contact, Problem> {
    let name = &proof.reflector;
    let ring = rules.ring(name).ok_or_else(|| {
        let detail =
            format!("{name} is no reflector of this server; log in without contacts for the list of them");
        Problem::new(ProblemKind::Reflector, detail)
    })?;
    let header = proof.ticket.header();
    let address = verify_ticket(ring, &header, now_s)
        .map_err(|error| Problem::new(ProblemKind::Ticket, format!("the ticket of {name}: {error}")))?;
    if !rules.policy.permits(address) {
        let detail = format!(
            "{} at {name}; contacts are public addresses with ports from 1024, unless the operator allows their block",
            address.to_socket()
        );
        return Err(Problem::new(ProblemKind::Destination, detail));
    }
    Ok(Contact {
        reflector: name.clone(),
        address,
        ticket_expires: header.expires,
        rtt_us: proof.rtt_us,
        noted_until_s: 0,
    })
}
