//! Where a device is: its session, its NAT, the contacts at which it is reached, and until when.
//!
//! * A lease runs on boot time, a contact until its ticket has ended and the grace after it.

use crate::now::Now;
use crate::presence::contact::Contact;
use nat::Behaviour;

/// Where a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Hash of its session's bearer.
    pub session: SessionHash,
    /// The number of the login that the session began with.
    pub incarnation: u64,
    /// How its NAT behaves.
    pub nat: Behaviour,
    /// Where it is reached.
    pub contacts: Vec<Contact>,
    /// When its lease ends, ms since boot.
    pub lease_end_ms: u64,
}

impl Presence {
    /// Whether its lease runs.
    pub fn runs(&self, now: Now) -> bool {
        now.boot_ms() < self.lease_end_ms
    }

    /// When its lease or the first of its contacts ends, ms since boot.
    pub(crate) fn ends_next_ms(&self, grace_s: u32, now: Now) -> u64 {
        let ends_ms = |contact: &Contact| {
            // The first whole second in which it holds no more.
            let left_s = u64::from(contact.ticket_expires) + u64::from(grace_s) + 1;
            now.boot_ms() + left_s.saturating_sub(u64::from(now.unix_s)) * 1_000
        };
        self.contacts.iter().map(ends_ms).fold(self.lease_end_ms, u64::min)
    }

    /// Whether others see the same.
    pub(crate) fn shows_as(&self, other: &Self) -> bool {
        let places = |it: &Self| -> Vec<_> {
            it.contacts.iter().map(|contact| (contact.reflector.clone(), contact.address)).collect()
        };
        self.nat == other.nat && places(self) == places(other)
    }
}

/// Leases as configured, seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leases {
    /// Of presence.
    pub lease_s: u32,
    /// Of a contact beyond its ticket.
    pub grace_s: u32,
}

/// SHA-256 of a session's bearer.
pub type SessionHash = [u8; 32];
