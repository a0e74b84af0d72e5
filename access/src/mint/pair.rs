//! What is minted between two contacts: pure, and the only place in this crate where a capability is made.
//!
//! * Both contacts are at one reflector and both still hold; else nothing is minted.
//! * expires = min(now, end of each ticket) + lifetime, the lifetime being at most 540 s.

use crate::presence::contact::Contact;
use wire::header::Header;
use wire::mint::send_header;
use wire::{Form, KeyRing};

/// What both sides of a pair have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair<'a> {
    /// Who asks, and will send.
    pub mine: &'a Contact,
    /// Who is to be reached.
    pub theirs: &'a Contact,
}

impl Pair<'_> {
    /// The SEND or SEALED_SEND header from one to the other, in rate class 0..=15.
    ///
    /// `None`: the contacts are at two reflectors, one of them holds no more, both have one address, or the class is
    /// above 15.
    pub fn header(
        &self,
        ring: &KeyRing,
        form: Form,
        class: u8,
        lifetime_s: u32,
        grace_s: u32,
        now_s: u32,
    ) -> Option<Header> {
        let Pair { mine, theirs } = self;
        let meet = mine.reflector == theirs.reflector && mine.address != theirs.address;
        let hold = mine.holds(now_s, grace_s) && theirs.holds(now_s, grace_s);
        if !(meet && hold) {
            return None;
        }
        let expires = self.expires(lifetime_s, now_s);
        send_header(ring, form, class, expires, mine.address, theirs.address)
    }

    /// When what is minted now for this pair ends, unix seconds.
    pub fn expires(&self, lifetime_s: u32, now_s: u32) -> u32 {
        let soonest = now_s.min(self.mine.ticket_expires).min(self.theirs.ticket_expires);
        soonest.saturating_add(lifetime_s.min(MAX_LIFETIME_S))
    }

    /// Round trips of both to their reflector, µs: what the better of two reflectors has less of.
    pub fn rtt_us(&self) -> u64 {
        u64::from(self.mine.rtt_us) + u64::from(self.theirs.rtt_us)
    }
}

/// The longest lifetime of a capability, s: a clock may be 60 s off before a reflector refuses what is minted (600 s).
pub const MAX_LIFETIME_S: u32 = 540;

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(reflector: &str, address: &str, ticket_expires: u32) -> Contact {
        let address = wire::TransportAddress::from_socket(address.parse().unwrap()).unwrap();
        Contact {
            reflector: reflector.parse().unwrap(),
            address,
            ticket_expires,
            rtt_us: 1,
            noted_until_s: 0,
        }
    }

    fn minted(mine: &Contact, theirs: &Contact, now_s: u32) -> Option<u32> {
        let ring = KeyRing::new(&[(1, [1; 16])]).unwrap();
        let header = Pair { mine, theirs }.header(&ring, Form::Plain, 0, 300, 60, now_s)?;
        assert_eq!(header.peer, theirs.address);
        Some(header.expires)
    }

    #[test]
    fn what_is_minted_ends_with_the_sooner_ticket() {
        let (a, b) = (contact("r", "9.9.9.1:2000", 1_000), contact("r", "9.9.9.2:2000", 1_050));
        assert_eq!(minted(&a, &b, 900), Some(1_200));
        assert_eq!(minted(&a, &b, 1_000), Some(1_300));
        assert_eq!(minted(&b, &a, 1_060), Some(1_300), "in the grace, from the ticket's end");
        assert_eq!(minted(&a, &b, 1_061), None);
    }

    #[test]
    fn nothing_is_minted_across_reflectors_or_to_oneself() {
        let (a, b) = (contact("r", "9.9.9.1:2000", 1_000), contact("s", "9.9.9.2:2000", 1_000));
        assert_eq!(minted(&a, &b, 900), None);
        assert_eq!(minted(&a, &a, 900), None);
    }

    #[test]
    fn no_lifetime_is_longer_than_540_s() {
        let (a, b) = (contact("r", "9.9.9.1:2000", 5_000), contact("r", "9.9.9.2:2000", 5_000));
        assert_eq!(Pair { mine: &a, theirs: &b }.expires(u32::MAX, 1_000), 1_540);
    }
}
