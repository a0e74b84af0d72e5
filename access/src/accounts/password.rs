//! Passwords: argon2id at OWASP's parameters, and the same work for an account that is not there.
//!
//! * A check takes 19 MiB and tens of milliseconds; whoever calls it sees to it that few run at once.
//! * An imported hash may have other parameters, within bounds, so that no import can take the machine later; checking
//!   it then takes its own time.
//!
//! Source: OWASP Password Storage Cheat Sheet (argon2id, m = 19456 KiB, t = 2, p = 1); RFC 9106.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use program::failure::Failure;
use program::random;

/// The hash of a password, as a PHC string.
///
/// # Errors
/// No randomness or memory.
pub fn hash(password: &str) -> Result<String, Failure> {
    let salt: [u8; 16] = random::bytes()?;
    let hash = ours().hash_password_with_salt(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string())
        .map_err(|error| Failure::Runtime(format!("the password was not hashed: {error}")))
}

/// Whether a password is that of a PHC string; without one the same work is done for nothing.
pub fn verify(password: &str, hash: Option<&str>) -> bool {
    let parsed = hash.and_then(|hash| PasswordHash::new(hash).ok());
    match parsed {
        Some(hash) => ours().verify_password(password.as_bytes(), &hash).is_ok(),
        None => {
            let mut out = [0; Params::DEFAULT_OUTPUT_LEN];
            // Nobody asks for the outcome; the time is all that this is for.
            let _ = ours().hash_password_into(password.as_bytes(), &[0; 16], &mut out);
            std::hint::black_box(out);
            false
        }
    }
}

/// Whether a password may be set.
///
/// # Errors
/// Too short or too long.
pub fn check(password: &str) -> Result<(), String> {
    match password.len() {
        SHORTEST..=LONGEST => Ok(()),
        _ => Err(format!("a password has {SHORTEST} to {LONGEST} bytes")),
    }
}

/// Whether a PHC string may be imported.
///
/// # Errors
/// Not argon2id, or parameters outside the bounds.
pub fn check_hash(hash: &str) -> Result<(), String> {
    let right = "expected a PHC string such as $argon2id$v=19$m=19456,t=2,p=1$SALT$HASH";
    let parsed = PasswordHash::new(hash).map_err(|_| String::from(right))?;
    let whole = parsed.salt.is_some() && parsed.hash.is_some();
    if parsed.algorithm.as_str() != "argon2id" || parsed.version != Some(19) || !whole {
        return Err(String::from(right));
    }
    let params = Params::try_from(&parsed).map_err(|_| String::from(right))?;
    let bounded =
        params.m_cost() <= MOST_MEMORY_KIB && params.t_cost() <= MOST_PASSES && params.p_cost() <= 4;
    bounded.then_some(()).ok_or_else(|| {
        format!("expected at most m={MOST_MEMORY_KIB},t={MOST_PASSES},p=4, so that a check cannot take the machine")
    })
}

fn ours() -> Argon2<'static> {
    // The crate's defaults are OWASP's; a test holds them to it.
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

/// Bytes of the shortest password (NIST SP 800-63B).
const SHORTEST: usize = 8;
/// Bytes of the longest password.
pub const LONGEST: usize = 256;
const MOST_MEMORY_KIB: u32 = 256 * 1024;
const MOST_PASSES: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_fits_its_hash_alone_and_the_parameters_are_owasps() {
        let stored = hash("correct horse").unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(verify("correct horse", Some(&stored)));
        assert!(!verify("correct horsf", Some(&stored)));
        assert!(!verify("correct horse", None) && !verify("", None));
        assert_ne!(stored, hash("correct horse").unwrap(), "the salt is another");
        assert!(check_hash(&stored).is_ok());
    }

    #[test]
    fn hashes_that_would_take_the_machine_are_not_imported() {
        let hash =
            |head: &str| format!("{head}$AAECAwQFBgcICQoLDA0ODw$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
        assert!(check_hash(&hash("$argon2id$v=19$m=65536,t=3,p=4")).is_ok());
        for wrong in [
            hash("$argon2id$v=19$m=4194304,t=2,p=1"),
            hash("$argon2id$v=19$m=19456,t=11,p=1"),
            hash("$argon2i$v=19$m=19456,t=2,p=1"),
            hash("$argon2id$v=16$m=19456,t=2,p=1"),
            String::from("$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw"),
            String::from("correct horse"),
        ] {
            assert!(check_hash(&wrong).is_err(), "{wrong}");
        }
        assert!(check("1234567").is_err() && check("12345678").is_ok() && check(&"x".repeat(257)).is_err());
    }
}
