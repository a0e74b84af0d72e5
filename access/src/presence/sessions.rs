//! Sessions: a device is there from its login until its logout, or until its lease ends without a refresh.
//!
//! * One session a device: a login ends the one before.
//! * A nonce is good once: a login whose nonce is not newer than the device's last is refused.
//! * The end of a lease shows at once in what is looked up; [`Directory::sweep`] tells versions and frees memory.

use crate::now::Now;
use crate::presence::contact::Contact;
use crate::presence::directory::Directory;
use crate::presence::lease::{Leases, Presence, SessionHash};
use nat::Behaviour;
use std::cmp::Reverse;
use wire::json::name::{AccountName, DeviceId};

/// Why a device is not let in, though what it showed is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotIn {
    /// There is no such device, or its account is disabled.
    Unknown,
    /// The nonce was used, or an earlier one than that of the last login.
    Used,
}

/// What a device shows at its login, once that is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Hash of the bearer that the session will have.
    pub session: SessionHash,
    /// How its NAT behaves.
    pub nat: Behaviour,
    /// Where it is reached.
    pub contacts: Vec<Contact>,
}

/// A session that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewed {
    /// Whose session it is.
    pub device: DeviceId,
    /// The number of the login that it began with.
    pub incarnation: u64,
}

impl Directory {
    /// Lets a device in; the nonce's time is used up. Returns the number of this login, which no other login of the device
    /// ever has.
    ///
    /// # Errors
    /// No such device, a disabled account, a nonce that is not newer than the last.
    pub fn login(
        &mut self,
        id: DeviceId,
        nonce: u64,
        shown: Shown,
        leases: Leases,
        now: Now,
    ) -> Result<u64, NotIn> {
        let device = self.devices.get_mut(&id).ok_or(NotIn::Unknown)?;
        let account = device.account.clone();
        if !self.accounts.get(&account).is_some_and(|it| it.enabled) {
            return Err(NotIn::Unknown);
        }
        if nonce <= device.last_nonce {
            return Err(NotIn::Used);
        }
        device.last_nonce = nonce;
        let incarnation = device.incarnation.map_or(0, |last| last + 1).max(now.unix_ms);
        device.incarnation = Some(incarnation);
        if let Some(old) = device.presence.take() {
            self.sessions.remove(&old.session);
        }
        let Shown { session, nat, contacts } = shown;
        self.sessions.insert(session, id);
        let presence = Presence { session, incarnation, nat, contacts, lease_end_ms: 0 };
        self.put_presence(id, presence, leases, now);
        self.touch(&account);
        self.touch_buddies(&account);
        Ok(incarnation)
    }

    /// Renews a lease with what the device shows now; `None` for a session that has ended.
    pub fn refresh(
        &mut self,
        session: &SessionHash,
        nat: Option<Behaviour>,
        contacts: Vec<Contact>,
        leases: Leases,
        now: Now,
    ) -> Option<Renewed> {
        let id = self.session(session, now)?;
        let device = self.devices.get_mut(&id)?;
        let (account, old) = (device.account.clone(), device.presence.take()?);
        let (incarnation, nat) = (old.incarnation, nat.unwrap_or(old.nat));
        let fresh = Presence { session: *session, incarnation, nat, contacts, lease_end_ms: 0 };
        let same = fresh.shows_as(&old);
        self.put_presence(id, fresh, leases, now);
        if !same {
            self.touch(&account);
            self.touch_buddies(&account);
        }
        Some(Renewed { device: id, incarnation })
    }

    /// The device of a session whose lease runs.
    pub fn session(&self, session: &SessionHash, now: Now) -> Option<DeviceId> {
        let id = self.sessions.get(session)?;
        let presence = self.devices.get(id)?.presence.as_ref()?;
        presence.runs(now).then_some(*id)
    }

    /// Ends a session; whether there was one.
    pub fn logout(&mut self, session: &SessionHash, now: Now) -> bool {
        let found = self.session(session, now);
        found.inspect(|id| self.end_session(id)).is_some()
    }

    /// Ends what has run out; returns how many leases that were.
    pub fn sweep(&mut self, now: Now, grace_s: u32) -> usize {
        let mut ended = 0;
        while let Some(Reverse((at_ms, id))) = self.due.peek().copied() {
            if at_ms > now.boot_ms() {
                break;
            }
            self.due.pop();
            let Some(device) = self.devices.get_mut(&id).filter(|it| it.due_ms == Some(at_ms)) else {
                continue;
            };
            device.due_ms = None;
            let Some(presence) = &mut device.presence else { continue };
            let account = device.account.clone();
            if !presence.runs(now) {
                self.end_session(&id);
                ended += 1;
                continue;
            }
            let before = presence.contacts.len();
            presence.contacts.retain(|contact| contact.holds(now.unix_s, grace_s));
            let fewer = presence.contacts.len() < before;
            self.arm(id, grace_s, now);
            if fewer {
                self.touch(&account);
                self.touch_buddies(&account);
            }
        }
        ended
    }

    /// The account of a device.
    pub fn account_of(&self, id: &DeviceId) -> Option<AccountName> {
        self.devices.get(id).map(|device| device.account.clone())
    }

    pub(crate) fn end_session(&mut self, id: &DeviceId) {
        let Some(device) = self.devices.get_mut(id) else { return };
        let Some(presence) = device.presence.take() else { return };
        let account = device.account.clone();
        self.sessions.remove(&presence.session);
        self.touch(&account);
        self.touch_buddies(&account);
    }

    fn put_presence(&mut self, id: DeviceId, mut presence: Presence, leases: Leases, now: Now) {
        presence.lease_end_ms = now.boot_ms() + u64::from(leases.lease_s) * 1_000;
        if let Some(device) = self.devices.get_mut(&id) {
            device.presence = Some(presence);
        }
        self.arm(id, leases.grace_s, now);
    }

    /// Sees to it that the device is swept when something of it ends next.
    fn arm(&mut self, id: DeviceId, grace_s: u32, now: Now) {
        let Some(device) = self.devices.get_mut(&id) else { return };
        let Some(presence) = &device.presence else { return };
        let next_ms = presence.ends_next_ms(grace_s, now);
        if device.due_ms.is_none_or(|due_ms| next_ms < due_ms) {
            device.due_ms = Some(next_ms);
            self.due.push(Reverse((next_ms, id)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presence::directory::Device;
    use wire::json::base64url::Bytes;
    use wire::json::keys::{NoiseKey, SignKey};

    const LEASES: Leases = Leases { lease_s: 100, grace_s: 50 };

    fn at(seconds: u64) -> Now {
        let unix_s = 1_000_000 + u32::try_from(seconds).unwrap();
        Now { unix_s, unix_ms: u64::from(unix_s) * 1_000, boot_ns: seconds * 1_000_000_000 }
    }

    fn with_devices(names: &[&str]) -> Directory {
        let mut directory = Directory::new(1);
        let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key();
        for (number, name) in (0..).zip(names) {
            let account: AccountName = name.parse().unwrap();
            directory.put_account(&account, true);
            let (sign, noise) = (SignKey(Bytes(key.to_bytes())), NoiseKey(Bytes([1; 32])));
            let device = Device::new(account, None, sign, noise).unwrap();
            directory.put_device(id(number), device);
        }
        directory
    }

    fn id(number: u8) -> DeviceId {
        DeviceId(Bytes([number; 16]))
    }

    fn shown(number: u8) -> Shown {
        Shown { session: [number; 32], nat: Behaviour::Open, contacts: Vec::new() }
    }

    #[test]
    fn a_lease_ends_at_its_second_and_a_refresh_renews_it() {
        let mut directory = with_devices(&["a"]);
        let incarnation = directory.login(id(0), 1, shown(1), LEASES, at(10)).unwrap();
        let renewed = Some(Renewed { device: id(0), incarnation });
        assert_eq!(directory.session(&[1; 32], at(109)), Some(id(0)));
        assert_eq!(directory.session(&[1; 32], at(110)), None, "before any sweep");
        assert_eq!(directory.refresh(&[1; 32], None, Vec::new(), LEASES, at(60)), renewed);
        assert_eq!(directory.sweep(at(110), 50), 0);
        assert_eq!((directory.counts().online, directory.due.len()), (1, 1), "one row a device");
        assert_eq!(directory.sweep(at(160), 50), 1);
        assert_eq!((directory.counts().online, directory.due.len()), (0, 0));
        assert_eq!(directory.refresh(&[1; 32], None, Vec::new(), LEASES, at(161)), None);
    }

    #[test]
    fn a_replayed_login_gains_nothing_and_a_new_one_ends_the_old() {
        let mut directory = with_devices(&["a"]);
        let first = directory.login(id(0), 5, shown(1), LEASES, at(10)).unwrap();
        assert_eq!(directory.login(id(0), 5, shown(2), LEASES, at(11)), Err(NotIn::Used));
        assert_eq!(directory.login(id(0), 4, shown(2), LEASES, at(11)), Err(NotIn::Used));
        assert_eq!(directory.session(&[1; 32], at(11)), Some(id(0)), "the session that is there goes on");
        let second = directory.login(id(0), 6, shown(2), LEASES, at(10)).unwrap();
        assert!(second > first);
        assert_eq!(directory.session(&[1; 32], at(11)), None);
        assert_eq!(directory.session(&[2; 32], at(11)), Some(id(0)));
        assert!(directory.logout(&[2; 32], at(11)) && !directory.logout(&[2; 32], at(11)));
        assert_eq!(
            directory.login(id(0), 6, shown(3), LEASES, at(12)),
            Err(NotIn::Used),
            "also after logout"
        );
        assert_eq!(directory.login(id(9), 6, shown(3), LEASES, at(12)), Err(NotIn::Unknown));
    }

    #[test]
    fn disabling_ends_sessions_at_once() {
        let mut directory = with_devices(&["a", "b"]);
        let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
        directory.ask(&a, &b);
        directory.ask(&b, &a);
        directory.login(id(0), 1, shown(1), LEASES, at(10)).unwrap();
        let before = directory.version(&b);
        directory.put_account(&a, false);
        assert!(directory.version(&b) > before);
        assert_eq!(directory.session(&[1; 32], at(10)), None);
        assert_eq!(directory.login(id(0), 2, shown(2), LEASES, at(10)), Err(NotIn::Unknown));
    }

    #[test]
    fn buddies_hear_of_changes_and_of_nothing_else() {
        let mut directory = with_devices(&["a", "b", "c"]);
        let [a, b, c] = ["a", "b", "c"].map(|name| name.parse::<AccountName>().unwrap());
        for (from, to) in [(&a, &b), (&b, &a), (&a, &c)] {
            directory.ask(from, to);
        }
        let contact = |address: &str, ticket_expires: u32| Contact {
            noted_until_s: 0,
            reflector: "r".parse().unwrap(),
            address: wire::TransportAddress::from_socket(address.parse().unwrap()).unwrap(),
            ticket_expires,
            rtt_us: 1,
        };
        directory.login(id(0), 1, shown(1), LEASES, at(10)).unwrap();
        let mut last = (directory.version(&b), directory.version(&c));
        let mut changed = |directory: &Directory| {
            let now = (directory.version(&b), directory.version(&c));
            assert_eq!(now.1, last.1, "c never agreed");
            std::mem::replace(&mut last, now).0 != now.0
        };
        let show = |directory: &mut Directory, contact: Contact, now: Now| {
            directory.refresh(&[1; 32], None, vec![contact], LEASES, now).unwrap();
        };
        show(&mut directory, contact("9.9.9.1:2000", at(20).unix_s), at(11));
        assert!(changed(&directory), "a contact came");
        show(&mut directory, contact("9.9.9.1:2000", at(21).unix_s), at(12));
        assert!(!changed(&directory), "only its ticket is another");
        show(&mut directory, contact("9.9.9.1:3000", at(22).unix_s), at(13));
        assert!(changed(&directory), "its address is another");
        directory.sweep(at(72), 50);
        assert!(!changed(&directory), "in the grace");
        directory.sweep(at(73), 50);
        assert!(changed(&directory), "the contact ended before the lease");
        assert_eq!(directory.sweep(at(113), 50), 1);
        assert!(changed(&directory), "the lease ended");
    }
}
