//! `account` and `buddy`: what an operator does to accounts, whether or not the server runs.
//!
//! * Passwords come from stdin, one line, or are made here; they are hashed here and never leave the process.
//! * stdout is data: tables, and passwords that were made.

use crate::accounts::password;
use crate::accounts::registry::AccountRow;
use crate::config::StorePaths;
use crate::operate::operation::{Operation, Outcome, Taken};
use crate::operate::operator::Operator;
use crate::revoke::outbox::{HostRow, Progress};
use program::failure::Failure;
use program::random;
use program::settings::layers::Layers;
use serde::Deserialize;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use wire::json::name::AccountName;
use wire::json::profile::BuddyState;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Add an account; make a password, or read it from stdin.
    Add(AccountName, bool),
    /// Set a password; make one, or read it from stdin.
    Password(AccountName, bool),
    /// List accounts.
    List,
    /// Let an account in, or keep it out.
    Enable(AccountName, bool),
    /// Hide the addresses of an account's devices from its buddies, or show them.
    Hide(AccountName, bool),
    /// Say how far the reflectors are with what has been taken back.
    Revocations,
    /// Add many.
    Import(PathBuf),
    /// Make two accounts buddies.
    AddBuddy(AccountName, AccountName),
    /// End that.
    RemoveBuddy(AccountName, AccountName),
    /// List an account's buddies.
    ListBuddies(AccountName),
}

/// Does it.
///
/// # Errors
/// It was refused, or the accounts cannot be reached.
pub fn run(layers: &Layers, task: Task, input: &mut dyn BufRead, out: &mut dyn Write) -> Result<(), Failure> {
    let paths = StorePaths::check(&layers.read()?)?;
    let mut operator = Operator::open(&paths)?;
    match task {
        Task::Add(account, generate) => {
            let hash = password_hash(generate, input, out)?;
            operator.apply(Operation::AddAccounts { accounts: vec![(account, hash)] })?;
        }
        Task::Password(account, generate) => {
            let hash = password_hash(generate, input, out)?;
            operator.apply(Operation::SetPassword { account, hash })?;
        }
        Task::List => list(operator.apply(Operation::ListAccounts)?, out)?,
        Task::Enable(account, enabled) => {
            let outcome = operator.apply(Operation::SetEnabled { account, enabled })?;
            if !enabled {
                writeln!(std::io::stderr(), "its sessions have ended and nothing is minted for it")?;
                taken_back(outcome)?;
            }
        }
        Task::Hide(account, hide_address) => {
            let outcome = operator.apply(Operation::HideAddress { account, hide_address })?;
            if hide_address {
                taken_back(outcome)?;
            }
        }
        Task::Revocations => list(operator.apply(Operation::ListRevocations)?, out)?,
        Task::Import(path) => import(&mut operator, &path, out)?,
        Task::AddBuddy(account, buddy) => {
            operator.apply(Operation::AddBuddy { account, buddy })?;
        }
        Task::RemoveBuddy(account, buddy) => {
            taken_back(operator.apply(Operation::RemoveBuddy { account, buddy })?)?;
        }
        Task::ListBuddies(account) => list(operator.apply(Operation::ListBuddies { account })?, out)?,
    }
    Ok(())
}

/// Says what has become of what was taken back.
fn taken_back(outcome: Outcome) -> Result<(), Failure> {
    let Outcome::TakenBack(Taken { progress, is_served, .. }) = outcome else { return Ok(()) };
    let Progress { entries, done, lacking, untold } = &progress;
    let mut err = std::io::stderr();
    if *entries == 0 {
        writeln!(
            err,
            "nothing was minted for it while a key in force existed, so there is nothing to take back"
        )?;
        return Ok(());
    }
    let rights = if *entries == 1 { String::from("1 right") } else { format!("{entries} rights") };
    if !is_served {
        writeln!(err, "{rights} will be taken back at the reflectors when the server runs")?;
        return Ok(());
    }
    for name in untold {
        writeln!(
            err,
            "{name}: it has no --reflector-admin, or there is no --reflector-admin-token; conversations there go on until \
             their key is retired or the reflector gets --deny-source"
        )?;
    }
    if lacking.is_empty() {
        if *done > 0 {
            writeln!(err, "{rights} taken back at {done} hosts")?;
        }
        return Ok(());
    }
    let why = |row: &HostRow| {
        format!("{} at {}: {}", row.reflector, row.url, row.error.as_deref().unwrap_or("no answer yet"))
    };
    let hosts: Vec<String> = lacking.iter().map(why).collect();
    Err(Failure::Runtime(format!(
        "it is stored, but not in force at {}; each is asked again until it acknowledges (`reflector-access revocations`)",
        hosts.join("; ")
    )))
}

/// One line of an import: a password, or its hash as a PHC string.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    account: AccountName,
    password: Option<String>,
    hash: Option<String>,
}

impl Row {
    fn read(text: &str) -> Result<(AccountName, String), String> {
        const RIGHT: &str =
            r#"expected {"account": NAME, "password": TEXT} or {"account": NAME, "hash": "$argon2id$..."}"#;
        // What serde says could quote a password.
        let row: Self = serde_json::from_str(text).map_err(|_| String::from(RIGHT))?;
        let hash = match (row.password, row.hash) {
            (Some(text), None) => {
                password::check(&text)?;
                password::hash(&text).map_err(|failure| failure.to_string())?
            }
            (None, Some(hash)) => {
                password::check_hash(&hash)?;
                hash
            }
            _ => return Err(String::from(RIGHT)),
        };
        Ok((row.account, hash))
    }
}

/// Adds accounts in pieces, each all or none; says how far it got when one is refused.
fn import(operator: &mut Operator, path: &std::path::Path, out: &mut dyn Write) -> Result<(), Failure> {
    let shown = path.display();
    let file = std::fs::File::open(path).map_err(|error| Failure::Usage(format!("{shown}: {error}")))?;
    let (mut accounts, mut done) = (Vec::new(), 0_usize);
    let mut lines = std::io::BufReader::new(file).lines().zip(1_u64..).peekable();
    while let Some((line, number)) = lines.next() {
        let line = line?;
        if !line.trim().is_empty() {
            let row = Row::read(&line).map_err(|right| {
                Failure::Usage(format!("{shown}:{number}: {right}; {done} accounts were added before it"))
            })?;
            accounts.push(row);
        }
        if accounts.len() == PIECE || lines.peek().is_none() {
            let piece = std::mem::take(&mut accounts);
            let len = piece.len();
            operator.apply(Operation::AddAccounts { accounts: piece }).map_err(|failure| {
                Failure::Runtime(format!(
                    "{shown}: up to line {number}: {failure}; {done} accounts were added before"
                ))
            })?;
            done += len;
        }
    }
    writeln!(out, "{done} accounts added")?;
    Ok(())
}

fn list(outcome: Outcome, out: &mut dyn Write) -> Result<(), Failure> {
    match outcome {
        Outcome::Accounts(rows) => {
            writeln!(out, "{:<32} {:<8} {:>7} {:>6}", "ACCOUNT", "STATE", "DEVICES", "ONLINE")?;
            for AccountRow { account, enabled, hide_address, devices, online } in rows {
                let state = match (enabled, hide_address) {
                    (false, _) => "disabled",
                    (true, true) => "hidden",
                    (true, false) => "enabled",
                };
                writeln!(out, "{account:<32} {state:<8} {devices:>7} {online:>6}")?;
            }
        }
        Outcome::Buddies(rows) => {
            writeln!(out, "{:<32} STATE", "ACCOUNT")?;
            for (account, state) in rows {
                let state = match state {
                    BuddyState::Asked => "asked",
                    BuddyState::AskedBy => "asked by",
                    BuddyState::Agreed => "agreed",
                };
                writeln!(out, "{account:<32} {state}")?;
            }
        }
        Outcome::Revocations(rows) => {
            writeln!(out, "{:<32} {:<40} {:>7} {:>7}  LAST TRY", "REFLECTOR", "HOST", "ENTRIES", "WAITING")?;
            for HostRow { reflector, url, entries, waiting, error } in rows {
                let last =
                    error.as_deref().unwrap_or(if waiting == 0 { "acknowledged" } else { "under way" });
                writeln!(out, "{reflector:<32} {url:<40} {entries:>7} {waiting:>7}  {last}")?;
            }
        }
        Outcome::Done | Outcome::TakenBack(_) | Outcome::Refused(_) => {}
    }
    Ok(())
}

fn password_hash(generate: bool, input: &mut dyn BufRead, out: &mut dyn Write) -> Result<String, Failure> {
    if generate {
        let made = wire::json::base64url::Bytes(random::bytes::<18>()?).to_string();
        let hash = password::hash(&made)?;
        writeln!(out, "{made}")?;
        return Ok(hash);
    }
    let mut line = String::new();
    input.read_line(&mut line)?;
    let typed = line.trim_end_matches(['\n', '\r']);
    password::check(typed).map_err(|right| {
        Failure::Usage(format!("{right}; it is read from stdin, one line, or made with --generate"))
    })?;
    password::hash(typed)
}

/// Accounts added at once.
const PIECE: usize = 1_000;
