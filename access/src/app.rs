//! What every request works with.
//!
//! * Made once at start; a reload swaps the rules, and nothing else.

use crate::accounts::budget::{Budgets, Changes};
use crate::accounts::challenge::Challenges;
use crate::accounts::gate::PasswordGate;
use crate::accounts::places::Places;
use crate::accounts::registry::Registry;
use crate::counters::Counters;
use crate::fleet::Fleet;
use crate::mint::audit::Audit;
use crate::now::SharedClock;
use crate::presence::lease::Leases;
use crate::rules::Rules;
use arc_swap::ArcSwap;
use std::sync::{Arc, Mutex};
use wire::json::login::OfferedReflector;

/// The server's parts.
#[derive(Debug)]
pub struct App {
    /// Accounts, devices, who is there.
    pub registry: Arc<Registry>,
    /// What requests are judged by.
    pub rules: ArcSwap<Rules>,
    /// How reflectors do.
    pub fleet: Fleet,
    /// The time.
    pub clock: Arc<SharedClock>,
    /// The key of nonces.
    pub challenges: Challenges,
    /// Password tries.
    pub budgets: Mutex<Budgets>,
    /// How often accounts may do what is taken back or written down.
    pub changes: Mutex<Changes>,
    /// Where devices were.
    pub places: Places,
    /// Password checks at once.
    pub passwords: PasswordGate,
    /// What was minted.
    pub audit: Audit,
    /// What was done.
    pub counters: Counters,
}

impl App {
    /// Reflectors offered now.
    pub fn offered(&self, rules: &Rules) -> Vec<OfferedReflector> {
        self.fleet.offered(&rules.reflectors, &rules.drained)
    }
}

/// The leases of these rules.
pub fn leases(rules: &Rules) -> Leases {
    Leases { lease_s: rules.terms.lease_s, grace_s: rules.terms.grace_s() }
}
