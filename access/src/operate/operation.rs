//! What an operator may do to accounts and buddies, as one JSON object a line, and what comes back.
//!
//! * The same operation runs in the command line's own process, when no server has the store, and in the server.
//! * Passwords never cross: the command line hashes them.

use crate::accounts::password;
use crate::accounts::registry::AccountRow;
use crate::accounts::registry::{Refusal, Registry};
use crate::now::Now;
use crate::revoke::outbox::{HostRow, Progress};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use wire::json::name::AccountName;
use wire::json::profile::BuddyState;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Operation {
    /// Add accounts, all or none: name and PHC string.
    AddAccounts {
        /// Name and PHC string of each.
        accounts: Vec<(AccountName, String)>,
    },
    /// Name every account.
    ListAccounts,
    /// Let an account in, or keep it out.
    SetEnabled {
        /// The account that is changed.
        account: AccountName,
        /// Whether it may log in.
        enabled: bool,
    },
    /// Say whether an account's devices hide their addresses.
    HideAddress {
        /// The account that is changed.
        account: AccountName,
        /// Whether they do.
        hide_address: bool,
    },
    /// Set a password.
    SetPassword {
        /// The account that it is about.
        account: AccountName,
        /// Its PHC string.
        hash: String,
    },
    /// Make two accounts buddies.
    AddBuddy {
        /// One.
        account: AccountName,
        /// The other.
        buddy: AccountName,
    },
    /// End what is between two accounts.
    RemoveBuddy {
        /// One.
        account: AccountName,
        /// The other.
        buddy: AccountName,
    },
    /// Say how far every host is with what has been taken back.
    ListRevocations,
    /// Name an account's buddies.
    ListBuddies {
        /// The account that it is about.
        account: AccountName,
    },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is done, and stored.
    Done,
    /// Every account.
    Accounts(Vec<AccountRow>),
    /// Name, and how far it got.
    Buddies(Vec<(AccountName, BuddyState)>),
    /// It is done and stored, and has come this far with the reflectors.
    TakenBack(Taken),
    /// One row for each host.
    Revocations(Vec<HostRow>),
    /// It was not done, and why.
    Refused(String),
}

/// What was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The numbers of its entries.
    #[serde(skip, default = "nothing")]
    pub numbers: Range<u64>,
    /// How far it has come.
    pub progress: Progress,
    /// Whether a server runs that delivers it.
    pub is_served: bool,
}

impl Operation {
    /// Does it.
    pub fn apply(self, registry: &Registry, now: Now) -> Outcome {
        let done = |outcome: Result<(), Refusal>| match outcome {
            Ok(()) => Outcome::Done,
            Err(refusal) => Outcome::Refused(refusal.to_string()),
        };
        let taken = |outcome: Result<Range<u64>, Refusal>| match outcome {
            Ok(numbers) => {
                let progress = registry.outbox().progress(&numbers);
                Outcome::TakenBack(Taken { numbers, progress, is_served: false })
            }
            Err(refusal) => Outcome::Refused(refusal.to_string()),
        };
        match self {
            Self::AddAccounts { accounts } => {
                let wrong =
                    accounts.iter().find_map(|(name, hash)| Some((name, password::check_hash(hash).err()?)));
                match wrong {
                    Some((name, reason)) => Outcome::Refused(format!("{name}: {reason}")),
                    None => done(registry.add_accounts(&accounts)),
                }
            }
            Self::ListAccounts => Outcome::Accounts(registry.accounts()),
            Self::SetEnabled { account, enabled } => taken(registry.set_enabled(&account, enabled, now)),
            Self::HideAddress { account, hide_address } => {
                taken(registry.hide_account(&account, hide_address, now))
            }
            Self::SetPassword { account, hash } => match password::check_hash(&hash) {
                Ok(()) => done(registry.set_password(&account, hash)),
                Err(reason) => Outcome::Refused(reason),
            },
            Self::AddBuddy { account, buddy } => done(registry.befriend(&account, &buddy)),
            Self::RemoveBuddy { account, buddy } => taken(registry.unask(&account, &buddy, now)),
            Self::ListRevocations => Outcome::Revocations(registry.outbox().rows()),
            Self::ListBuddies { account } => match registry.buddies(&account) {
                Ok(buddies) => Outcome::Buddies(buddies),
                Err(refusal) => Outcome::Refused(refusal.to_string()),
            },
        }
    }
}

fn nothing() -> Range<u64> {
    0..0
}
