//! The operator's door of an access server: the Unix socket at which accounts are added and made buddies.
//!
//! * One JSON object a line each way, as `reflector-access account import` and `buddy add` send them.
//! * A signal ends the waiting for an answer at once.
//! * Everybody has one password of this run, with a hash that costs nothing to check: what is measured is presence, not
//!   argon2.

use crate::error::Error;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use wire::json::name::AccountName;

/// A connection to the socket.
#[derive(Debug)]
pub struct Operator<'a> {
    stream: BufReader<UnixStream>,
    interrupted: &'a AtomicBool,
}

/// What is asked.
#[derive(Serialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
enum Operation<'a> {
    AddAccounts { accounts: Vec<(&'a AccountName, &'a str)> },
    AddBuddy { account: &'a AccountName, buddy: &'a AccountName },
    HideAddress { account: &'a AccountName, hide_address: bool },
}

/// What is answered.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    Done,
    /// And what was taken back, which is nothing from accounts that nobody has used.
    TakenBack(IgnoredAny),
    Refused(String),
}

impl<'a> Operator<'a> {
    /// Opens the door.
    ///
    /// # Errors
    /// Nobody listens there, or not for us.
    pub fn open(control: &Path, interrupted: &'a AtomicBool) -> Result<Self, Error> {
        let refused = |error: io::Error| {
            Error::Configuration(format!(
                "--control {}: {error}; name the running access server's --control (STORE.sock by default), as the \
                 store's owner",
                control.display()
            ))
        };
        let stream = UnixStream::connect(control).map_err(refused)?;
        stream.set_read_timeout(Some(GLANCE)).map_err(refused)?;
        stream.set_write_timeout(Some(GLANCE)).map_err(refused)?;
        Ok(Operator { stream: BufReader::new(stream), interrupted })
    }

    /// Adds accounts, a thousand at once.
    ///
    /// # Errors
    /// The server refuses, or goes away.
    pub fn add_accounts(&mut self, names: &[AccountName], hash: &str) -> Result<(), Error> {
        names.chunks(PIECE).try_for_each(|piece| {
            self.ask(&Operation::AddAccounts { accounts: piece.iter().map(|name| (name, hash)).collect() })
        })
    }

    /// Makes two accounts buddies.
    ///
    /// # Errors
    /// The server refuses, or goes away.
    pub fn add_buddy(&mut self, account: &AccountName, buddy: &AccountName) -> Result<(), Error> {
        self.ask(&Operation::AddBuddy { account, buddy })
    }

    /// Hides the address of an account.
    ///
    /// # Errors
    /// The server refuses, or goes away.
    pub fn hide(&mut self, account: &AccountName) -> Result<(), Error> {
        self.ask(&Operation::HideAddress { account, hide_address: true })
    }

    fn ask(&mut self, operation: &Operation<'_>) -> Result<(), Error> {
        let gone = |error: &dyn std::fmt::Display| {
            Error::Runtime(format!("the access server does not answer at its control socket: {error}"))
        };
        let mut text = serde_json::to_vec(operation).map_err(|error| gone(&error))?;
        text.push(b'\n');
        let mut line = Vec::new();
        match self.exchange(&text, &mut line) {
            Err(_) if self.interrupted.load(Relaxed) => return Err(Error::Interrupted),
            outcome => outcome.map_err(|error| gone(&error))?,
        }
        match serde_json::from_slice(&line).map_err(|error| gone(&error))? {
            Outcome::Done | Outcome::TakenBack(_) => Ok(()),
            Outcome::Refused(reason) => Err(Error::Runtime(format!("the access server refuses: {reason}"))),
        }
    }

    /// Sends a line and receives one.
    fn exchange(&mut self, mut text: &[u8], line: &mut Vec<u8>) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !text.is_empty() {
            let written = self.persist(deadline, |stream| stream.get_mut().write(text))?;
            (_, text) = text.split_at(written);
        }
        // What was read before a glance keeps its place in the line.
        self.persist(deadline, |stream| stream.read_until(b'\n', line)).map(drop)
    }

    /// Tries again after each glance, until the deadline or a signal.
    fn persist(
        &mut self,
        deadline: Instant,
        mut work: impl FnMut(&mut BufReader<UnixStream>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            match work(&mut self.stream) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if self.interrupted.load(Relaxed) || Instant::now() >= deadline {
                        return Err(ErrorKind::TimedOut.into());
                    }
                }
                outcome => return outcome,
            }
        }
    }
}

/// The hash of a password as a PHC string, at the least cost that there is.
///
/// # Errors
/// None in practice: parameters and salt are constants of the right form.
pub fn cheap_hash(password: &str, salt: [u8; 16]) -> Result<String, Error> {
    let failed =
        |error: &dyn std::fmt::Display| Error::Runtime(format!("the password was not hashed: {error}"));
    let params = Params::new(Params::MIN_M_COST, 1, 1, None).map_err(|error| failed(&error))?;
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = hasher.hash_password_with_salt(password.as_bytes(), &salt).map_err(|error| failed(&error))?;
    Ok(hash.to_string())
}

/// Accounts added at once.
const PIECE: usize = 1_000;
/// How long the server may take for one request.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a wait looks for a signal.
const GLANCE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn operations_have_the_form_that_the_server_reads() {
        let (a, b): (AccountName, AccountName) = ("a".parse().unwrap(), "b".parse().unwrap());
        let text = |operation: &Operation<'_>| serde_json::to_string(operation).unwrap();
        let add = Operation::AddAccounts { accounts: vec![(&a, "x")] };
        assert_eq!(text(&add), r#"{"do":"add-accounts","accounts":[["a","x"]]}"#);
        let join = Operation::AddBuddy { account: &a, buddy: &b };
        assert_eq!(text(&join), r#"{"do":"add-buddy","account":"a","buddy":"b"}"#);
        let hide = Operation::HideAddress { account: &a, hide_address: true };
        assert_eq!(text(&hide), r#"{"do":"hide-address","account":"a","hide_address":true}"#);
        assert!(matches!(serde_json::from_str(r#""done""#).unwrap(), Outcome::Done));
        let taken = serde_json::from_str(r#"{"taken-back":{"progress":{},"is_served":true}}"#).unwrap();
        assert!(matches!(taken, Outcome::TakenBack(_)));
        let refused = serde_json::from_str(r#"{"refused":"no"}"#).unwrap();
        assert!(matches!(refused, Outcome::Refused(reason) if reason == "no"));
        assert!(cheap_hash("secret", [7; 16]).unwrap().starts_with("$argon2id$v=19$m=8,t=1,p=1$"));
        let error = Operator::open(Path::new("/nowhere/store.sock"), &AtomicBool::new(false)).unwrap_err();
        assert_eq!(error.exit_code(), 78);
    }
    #[test]
    fn a_signal_ends_the_waiting_for_a_server_that_is_silent() {
        let path = std::env::temp_dir().join(format!("operator-{}.sock", std::process::id()));
        let server = UnixListener::bind(&path).unwrap();
        let interrupted = AtomicBool::new(false);
        let mut operator = Operator::open(&path, &interrupted).unwrap();
        std::fs::remove_file(&path).unwrap();
        let name: AccountName = "a".parse().unwrap();
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| operator.add_buddy(&name, &name));
            let (mut silent, mut line) = (BufReader::new(server.accept().unwrap().0), String::new());
            silent.read_line(&mut line).unwrap();
            assert!(line.contains("add-buddy"));
            interrupted.store(true, Relaxed);
            assert_eq!(asked.join().unwrap(), Err(Error::Interrupted));
        });
    }
}
