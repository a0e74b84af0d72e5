//! What requests are judged by: rings, reflectors, policy, terms; read from files, replaced whole by a reload.
//!
//! * A request loads the rules once and is judged by them to its end.
//! * Service credentials are held as hashes and compared in constant time.

use crate::config::{Config, Terms};
use crate::fleet::Reflector;
use crate::hosts::AdminListener;
use crate::mint::master::Master;
use crate::revoke::receipt::ReceiptKeys;
use http::Tls;
use program::failure::Failure;
use program::settings::texts::read_text;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use subtle::ConstantTimeEq;
use wire::json::name::ReflectorName;
use wire::{KeyRing, Policy};

/// The rules in force.
#[derive(Debug)]
pub struct Rules {
    /// In order of preference.
    pub reflectors: Vec<Reflector>,
    /// Offered to nobody.
    pub drained: Vec<ReflectorName>,
    /// Admin listeners of their hosts.
    pub admins: Vec<AdminListener>,
    /// What is shown there to take rights back; without it none are.
    pub admin_token: Option<AdminToken>,
    /// Whom to trust there.
    pub admin_tls: Option<Tls>,
    /// What receipts are made with.
    pub receipts: ReceiptKeys,
    /// What tells the keys of the master apart.
    pub key_prints: Vec<u64>,
    /// Which addresses a contact may have.
    pub policy: Policy,
    /// Times and class.
    pub terms: Terms,
    /// Names that a login may be signed for; the first is the one that a refusal names.
    pub server_names: Vec<String>,
    rings: HashMap<ReflectorName, KeyRing>,
    services: Vec<[u8; 32]>,
}

impl Rules {
    /// Reads the files that the configuration names.
    ///
    /// # Errors
    /// A file that cannot be read or is malformed; the example master.
    pub fn read(config: &Config) -> Result<Self, Failure> {
        let master = read_master(&config.master)?;
        if master.is_example() {
            return Err(Failure::Config(format!(
                "{}: a secret is the documentation's example; `reflector-access keygen` prints a random one",
                config.master.display()
            )));
        }
        let services = match &config.service_credentials {
            Some(path) => parse_credentials(&read_text(path, "--service-credentials")?)
                .map_err(|reason| Failure::Config(format!("{}:{reason}", path.display())))?,
            None => Vec::new(),
        };
        let mut rules = Self::new(config, &master, services)?;
        if let Some(path) = &config.admin_token {
            let first = read_text(path, "--reflector-admin-token")?;
            let first = first.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
            let token = first
                .filter(|token| token.len() >= SHORTEST_TOKEN && token.bytes().all(|b| b.is_ascii_graphic()));
            let right = "expected a line of the reflectors' --admin-token file, 32 characters or more";
            let refuse = || Failure::Config(format!("--reflector-admin-token {}: {right}", path.display()));
            rules.admin_token = Some(AdminToken(String::from(token.ok_or_else(refuse)?)));
        }
        if config.admin_ca.is_some() || config.admins.iter().any(|it| it.url.starts_with("https:")) {
            let refuse = |error| Failure::Config(format!("--reflector-admin-ca: {error}"));
            rules.admin_tls = Some(Tls::new(config.admin_ca.as_deref()).map_err(refuse)?);
        }
        Ok(rules)
    }

    /// The rules of a configuration, a master and hashes of service credentials.
    ///
    /// # Errors
    /// A ring that cannot be derived.
    pub fn new(config: &Config, master: &Master, services: Vec<[u8; 32]>) -> Result<Self, Failure> {
        let ring = |reflector: &Reflector| {
            let ring = master.ring(&reflector.name).map_err(Failure::Config)?;
            Ok((reflector.name.clone(), ring))
        };
        Ok(Self {
            rings: config.reflectors.iter().map(ring).collect::<Result<_, Failure>>()?,
            reflectors: config.reflectors.clone(),
            drained: config.drained.clone(),
            admins: config.admins.clone(),
            admin_token: None,
            admin_tls: None,
            receipts: ReceiptKeys(master.receipt_keys()),
            key_prints: master.prints(),
            policy: config.policy.clone(),
            terms: config.terms,
            server_names: config.server_names.clone(),
            services,
        })
    }

    /// The ring of a reflector.
    pub fn ring(&self, reflector: &ReflectorName) -> Option<&KeyRing> {
        self.rings.get(reflector)
    }

    /// Whether any service credential is configured.
    pub fn serves_services(&self) -> bool {
        !self.services.is_empty()
    }

    /// The service whose bearer this is, as the credential's hash.
    pub fn service(&self, bearer: &str) -> Option<[u8; 32]> {
        let hash: [u8; 32] = Sha256::digest(bearer).into();
        self.services.iter().fold(false, |found, it| found | bool::from(it.ct_eq(&hash))).then_some(hash)
    }
}

/// What is shown at the admin listeners of reflectors.
pub struct AdminToken(String);

impl AdminToken {
    /// As it is shown.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminToken(..)")
    }
}

/// The master of a file.
///
/// # Errors
/// A file that cannot be read, or is no master; with its line.
pub fn read_master(path: &std::path::Path) -> Result<Master, Failure> {
    let text = read_text(path, "--master")?;
    Master::parse(&text).map_err(|reason| {
        let reason = reason.strip_prefix("line ").unwrap_or(&reason);
        Failure::Config(format!("{}:{reason}", path.display()))
    })
}

/// Hashes of the tokens in a file: one a line, `#` and empty lines aside; an error starts with its line's number.
fn parse_credentials(text: &str) -> Result<Vec<[u8; 32]>, String> {
    let lines = text.lines().zip(1..).map(|(line, number): (&str, u32)| (line.trim(), number));
    let tokens = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    let hash = |(token, number): (&str, u32)| {
        let good = token.len() >= SHORTEST_TOKEN && token.bytes().all(|b| b.is_ascii_graphic());
        let right =
            "a service credential is 32 characters or more, visible ASCII, e.g. of `openssl rand -hex 32`";
        if good { Ok(Sha256::digest(token).into()) } else { Err(format!("{number}: {right}")) }
    };
    tokens.map(hash).collect()
}

const SHORTEST_TOKEN: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_lines_of_some_length() {
        let token = "0123456789abcdef0123456789abcdef";
        let hashes = parse_credentials(&format!("# ours\n\n{token}\n  {token}x \n")).unwrap();
        assert_eq!(hashes.len(), 2);
        assert_eq!(hashes[0], <[u8; 32]>::from(Sha256::digest(token)));
        assert!(parse_credentials(&format!("#\n{}", &token[1..])).unwrap_err().starts_with("2: "));
        assert!(parse_credentials(&format!("{token} {token}")).is_err());
    }
}
