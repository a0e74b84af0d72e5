//! Under which contact everybody is reached now: what a signalling service would tell.
//!
//! * 18 bytes an endpoint; readers take no lock. Its own worker alone changes an endpoint's port, and only the port: a
//!   simulated NAT keeps its address.
//! * An endpoint that left is still found where it was last: nobody has told its peers.

#![deny(clippy::disallowed_types)]

use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use wire::TransportAddress;

/// The contacts of all endpoints, by number in the plan.
#[derive(Debug, Default)]
pub struct Directory {
    addresses: Vec<u128>,
    /// 0: never had one.
    ports: Vec<AtomicU16>,
}

impl Directory {
    /// As the contacts phase found them.
    pub fn new(contacts: &[Option<TransportAddress>]) -> Self {
        let address = |contact: &Option<TransportAddress>| contact.map_or(0, |known| known.address);
        let port = |contact: &Option<TransportAddress>| AtomicU16::new(contact.map_or(0, |known| known.port));
        Self { addresses: contacts.iter().map(address).collect(), ports: contacts.iter().map(port).collect() }
    }

    /// The contact of an endpoint.
    #[inline]
    pub fn get(&self, number: u32) -> Option<TransportAddress> {
        let port = self.ports.get(number as usize)?.load(Relaxed);
        let address = *self.addresses.get(number as usize)?;
        (port != 0).then_some(TransportAddress { address, port })
    }

    /// Notes what an endpoint learned; whether it differs from what was known.
    #[inline]
    pub fn note(&self, number: u32, contact: TransportAddress) -> bool {
        let known = self.get(number);
        if known == Some(contact) {
            return false;
        }
        let port = self.ports.get(number as usize);
        if let Some(port) = port.filter(|_| known.is_some_and(|known| known.address == contact.address)) {
            port.store(contact.port, Relaxed);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_may_change_and_an_address_may_not() {
        let contact = |address, port| TransportAddress { address, port };
        let directory = Directory::new(&[Some(contact(7, 1)), None]);
        assert_eq!((directory.get(0), directory.get(1), directory.get(2)), (Some(contact(7, 1)), None, None));
        assert!(!directory.note(0, contact(7, 1)));
        assert!(directory.note(0, contact(7, 2)));
        assert_eq!(directory.get(0), Some(contact(7, 2)));
        assert!(directory.note(0, contact(8, 3)) && directory.note(1, contact(8, 3)));
        assert_eq!((directory.get(0), directory.get(1)), (Some(contact(7, 2)), None));
    }
}
