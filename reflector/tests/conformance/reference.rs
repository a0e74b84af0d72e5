//! The reference: the pure decision and the budgets around it, which every other subject is held to.
//!
//! * Order of `docs/wire.md`: denied source, decision, budget; only what the decision accepts spends.

use crate::budget::Budgets;
use crate::outcome::Outcome;
use crate::setup::Setup;
use std::net::SocketAddr;
use wire::{KeyRing, Policy, Reason, Verdict, decide};

/// One setup, with its ring and policy made once.
#[derive(Debug)]
pub(crate) struct Reference<'a> {
    pub(crate) setup: &'a Setup,
    ring: KeyRing,
    pub(crate) policy: Policy,
}

impl<'a> Reference<'a> {
    pub(crate) fn new(setup: &'a Setup) -> Self {
        Reference { setup, ring: setup.ring(), policy: setup.policy() }
    }

    /// The outcome without budgets.
    pub(crate) fn judge(&self, source: SocketAddr, datagram: &[u8]) -> Outcome {
        if self.policy.denies_source(source.ip()) {
            return Outcome::Dropped(Reason::Denied);
        }
        let mut bytes = datagram.to_vec();
        match decide(&mut bytes, source, self.setup.now_s, &self.ring, &self.policy) {
            Verdict::Drop(reason) => {
                assert_eq!(bytes, datagram, "a refused datagram was changed");
                Outcome::Dropped(reason)
            }
            Verdict::Observe => Outcome::Observed(bytes),
            Verdict::Relay { to, .. } => Outcome::Relayed(to, bytes),
        }
    }

    /// Spends the budget of what [`Reference::judge`] accepted.
    pub(crate) fn spend(&self, outcome: Outcome, source: SocketAddr, budgets: &mut Budgets) -> Outcome {
        let within = match &outcome {
            Outcome::Dropped(_) => true,
            Outcome::Observed(_) => budgets.spend_probe(self.setup, source.ip()),
            Outcome::Relayed(_, bytes) => budgets.spend_class(self.setup, bytes[1], source.ip(), bytes.len()),
        };
        if within { outcome } else { Outcome::Dropped(Reason::Rate) }
    }
}
