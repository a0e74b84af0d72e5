//! The reference: the pure decision and the budgets around it, which every other subject is held to.
//!
//! * Order of `docs/wire.md`: denied source, decision, budget; only what the decision accepts spends.

use crate::budget::Budgets;
use crate::outcome::Outcome;
use crate::setup::Setup;
use std::net::SocketAddr;
use wire::siphash::SipKey;
use wire::{KeyRing, Policy, Reason, TransportAddress, Verdict, decide, tag};

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
    pub(crate) fn spend(
        &self,
        outcome: Outcome,
        source: SocketAddr,
        datagram: &[u8],
        budgets: &mut Budgets,
    ) -> Outcome {
        let within = match &outcome {
            Outcome::Dropped(_) => true,
            Outcome::Observed(_) => {
                budgets.spend_probe(self.setup, source.ip())
                    || (self.shows_ticket(source, datagram) && budgets.spend_source(self.setup, source))
            }
            Outcome::Relayed(_, bytes) => budgets.spend_class(self.setup, bytes[1], source.ip(), bytes.len()),
        };
        if within { outcome } else { Outcome::Dropped(Reason::Rate) }
    }

    /// Whether a PROBE has, in bytes 1, 4 to 8 and 24 to 32, what an OBSERVED for this very source has there.
    fn shows_ticket(&self, source: SocketAddr, probe: &[u8]) -> bool {
        let expires = u32::from_be_bytes(probe[4..8].try_into().unwrap());
        let in_time = (0..=120).contains(&(i64::from(expires) - i64::from(self.setup.now_s)));
        let key = self.setup.keys.iter().find(|(id, _)| *id == probe[1]);
        let (Some((id, secret)), Some(address)) = (key, TransportAddress::from_socket(source)) else {
            return false;
        };
        let right = tag::ticket(&SipKey::new(*secret), *id, expires, address);
        in_time && right.to_le_bytes() == probe[24..32]
    }
}
