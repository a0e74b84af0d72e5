//! Accounts, devices, who asked whom, and who is there: everything that a request looks up, in memory.
//!
//! * Pure: time is an argument; what must last was stored before it comes here (`registry`).
//! * Two accounts are buddies when each has asked the other; the other need not exist to be asked, so that asking
//!   tells nobody which accounts there are.
//! * An account's version grows whenever something that its profile shows has changed.
//! * A disabled account has no sessions, and its devices are offline to everybody.

use crate::presence::contact::Contact;
use crate::presence::lease::{Presence, SessionHash};
use ed25519_dalek::VerifyingKey;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use wire::json::keys::{NoiseKey, SignKey};
use wire::json::name::{AccountName, DeviceId};
use wire::json::profile::BuddyState;

/// Everything that is known.
#[derive(Debug, Default)]
pub struct Directory {
    pub(crate) accounts: HashMap<AccountName, Account>,
    pub(crate) devices: HashMap<DeviceId, Device>,
    /// Devices by the hash of their session's bearer.
    pub(crate) sessions: HashMap<SessionHash, DeviceId>,
    /// When devices are to be looked at, boot ms; a row that is not its device's `due_ms` means nothing.
    pub(crate) due: BinaryHeap<Reverse<(u64, DeviceId)>>,
    asked_by: HashMap<AccountName, BTreeSet<AccountName>>,
    /// Added to every account's version.
    base_version: u64,
}

/// How much of everything there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Accounts, enabled or not.
    pub accounts: usize,
    /// Devices of all accounts.
    pub devices: usize,
    /// Devices that are online.
    pub online: usize,
}

/// An account.
#[derive(Clone, Debug)]
pub struct Account {
    /// Whether it may log in.
    pub enabled: bool,
    /// Whether its devices hide their addresses.
    pub hide_address: bool,
    /// Its devices, in the order in which they came.
    pub devices: Vec<DeviceId>,
    /// Whom it asked.
    pub asked: BTreeSet<AccountName>,
    changes: u64,
}

/// A device.
#[derive(Clone, Debug)]
pub struct Device {
    /// Whose it is.
    pub account: AccountName,
    /// What its owner calls it.
    pub name: Option<String>,
    /// By which it logs in.
    pub sign_key: VerifyingKey,
    /// By which others write to it.
    pub noise_key: NoiseKey,
    /// Whether it hides its address, whatever its account does.
    pub hide_address: bool,
    /// The time in the nonce of its last login; older nonces are used up.
    pub last_nonce: u64,
    /// The number of its last login.
    pub incarnation: Option<u64>,
    /// Where it is, while its lease runs.
    pub presence: Option<Presence>,
    /// When it is looked at next, ms since boot.
    pub(crate) due_ms: Option<u64>,
}

impl Device {
    /// A device that is offline; `None` for a key that proves nothing.
    pub fn new(
        account: AccountName,
        name: Option<String>,
        sign_key: SignKey,
        noise_key: NoiseKey,
    ) -> Option<Self> {
        let sign_key = VerifyingKey::from_bytes(&sign_key.0.0).ok().filter(|key| !key.is_weak())?;
        Some(Self {
            account,
            name,
            sign_key,
            noise_key,
            hide_address: false,
            last_nonce: 0,
            incarnation: None,
            presence: None,
            due_ms: None,
        })
    }

    /// Its login key, as it is shown.
    pub fn shown_sign_key(&self) -> SignKey {
        SignKey(wire::json::base64url::Bytes(self.sign_key.to_bytes()))
    }
}

impl Directory {
    /// Nothing yet; versions start above those of every earlier start.
    pub fn new(unix_ms: u64) -> Self {
        Self { base_version: unix_ms.saturating_mul(VERSIONS_PER_MS), ..Self::default() }
    }

    /// An account.
    pub fn account(&self, name: &AccountName) -> Option<&Account> {
        self.accounts.get(name)
    }

    /// A device.
    pub fn device(&self, id: &DeviceId) -> Option<&Device> {
        self.devices.get(id)
    }

    /// Every account, by name.
    pub fn accounts(&self) -> Vec<(&AccountName, &Account)> {
        let mut all: Vec<_> = self.accounts.iter().collect();
        all.sort_by_key(|(name, _)| *name);
        all
    }

    /// How much of everything there is.
    pub fn counts(&self) -> Counts {
        Counts { accounts: self.accounts.len(), devices: self.devices.len(), online: self.sessions.len() }
    }

    /// The version of an account's profile.
    pub fn version(&self, name: &AccountName) -> u64 {
        self.base_version + self.accounts.get(name).map_or(0, |account| account.changes)
    }

    /// Adds an account, or changes whether it may log in.
    pub fn put_account(&mut self, name: &AccountName, enabled: bool) {
        let fresh = || Account {
            enabled,
            hide_address: false,
            devices: Vec::new(),
            asked: BTreeSet::new(),
            changes: 0,
        };
        self.accounts.entry(name.clone()).or_insert_with(fresh).enabled = enabled;
        if !enabled {
            let devices = self.accounts.get(name).map(|it| it.devices.clone()).unwrap_or_default();
            devices.iter().for_each(|device| self.end_session(device));
        }
        self.touch_buddies(name);
    }

    /// Says whether the devices of an account hide their addresses.
    pub fn hide_account(&mut self, name: &AccountName, hide_address: bool) {
        let Some(account) = self.accounts.get_mut(name) else { return };
        account.hide_address = hide_address;
        let devices = account.devices.clone();
        devices.iter().for_each(|device| self.withdraw(device));
        self.touch(name);
        self.touch_buddies(name);
    }

    /// Says whether a device hides its address.
    pub fn hide_device(&mut self, id: &DeviceId, hide_address: bool) {
        let Some(device) = self.devices.get_mut(id) else { return };
        device.hide_address = hide_address;
        let account = device.account.clone();
        self.withdraw(id);
        self.touch(&account);
        self.touch_buddies(&account);
    }

    /// Whether a device hides its address, by itself or with its account.
    pub fn hides(&self, device: &Device) -> bool {
        device.hide_address || self.accounts.get(&device.account).is_some_and(|it| it.hide_address)
    }

    /// Forgets where a device is that hides from now on: others may have seen it there. It comes with other ports.
    fn withdraw(&mut self, id: &DeviceId) {
        let hides = self.devices.get(id).is_some_and(|device| self.hides(device));
        if let Some(presence) = self.devices.get_mut(id).and_then(|it| it.presence.as_mut()).filter(|_| hides)
        {
            presence.contacts.clear();
        }
    }

    /// Adds a device, or changes the name and keys of one that is there.
    pub fn put_device(&mut self, id: DeviceId, device: Device) {
        let account = device.account.clone();
        match self.devices.get_mut(&id) {
            Some(known) => {
                known.name = device.name;
                known.noise_key = device.noise_key;
                known.hide_address = device.hide_address;
            }
            None => {
                if let Some(account) = self.accounts.get_mut(&account) {
                    account.devices.push(id);
                }
                self.devices.insert(id, device);
            }
        }
        self.touch_buddies(&account);
    }

    /// Until when the store has this contact of a device, if the device is there already.
    pub fn noted_until_s(&self, id: &DeviceId, contact: &Contact) -> u32 {
        let presence = self.devices.get(id).and_then(|device| device.presence.as_ref());
        let same = |it: &&Contact| it.reflector == contact.reflector && it.address == contact.address;
        presence.and_then(|it| it.contacts.iter().find(same)).map_or(0, |it| it.noted_until_s)
    }

    /// The device of an account that signs with this key.
    pub fn device_by_key(&self, account: &AccountName, key: &SignKey) -> Option<DeviceId> {
        let devices = &self.accounts.get(account)?.devices;
        devices
            .iter()
            .copied()
            .find(|id| self.devices.get(id).is_some_and(|it| *it.sign_key.as_bytes() == key.0.0))
    }

    /// Notes that one account asked another.
    pub fn ask(&mut self, from: &AccountName, to: &AccountName) {
        if let Some(account) = self.accounts.get_mut(from) {
            account.asked.insert(to.clone());
            self.asked_by.entry(to.clone()).or_default().insert(from.clone());
        }
        self.touch(from);
        self.touch(to);
    }

    /// Ends what is between two accounts, whoever asked.
    pub fn unask(&mut self, a: &AccountName, b: &AccountName) {
        for (from, to) in [(a, b), (b, a)] {
            if let Some(account) = self.accounts.get_mut(from) {
                account.asked.remove(to);
            }
            if let Some(askers) = self.asked_by.get_mut(to) {
                askers.remove(from);
                if askers.is_empty() {
                    self.asked_by.remove(to);
                }
            }
            self.touch(from);
        }
    }

    /// How far `reader` got with `other`, seen from `reader`.
    pub fn state(&self, reader: &AccountName, other: &AccountName) -> Option<BuddyState> {
        let asked = |from: &AccountName, to: &AccountName| {
            self.accounts.get(from).is_some_and(|account| account.asked.contains(to))
        };
        match (asked(reader, other), asked(other, reader)) {
            (true, true) => Some(BuddyState::Agreed),
            (true, false) => Some(BuddyState::Asked),
            (false, true) => Some(BuddyState::AskedBy),
            (false, false) => None,
        }
    }

    /// Whom a profile names, by name: all that were asked, and the first [`MAX_SHOWN_ASKERS`] others that asked.
    pub fn acquaintances(&self, reader: &AccountName) -> BTreeSet<AccountName> {
        let Some(account) = self.accounts.get(reader) else { return BTreeSet::new() };
        let askers = self.asked_by.get(reader).into_iter().flatten();
        let askers = askers.filter(|asker| !account.asked.contains(*asker)).take(MAX_SHOWN_ASKERS);
        account.asked.iter().chain(askers).cloned().collect()
    }

    /// Something that every profile shows has changed.
    pub fn touch_all(&mut self) {
        self.base_version += 1;
    }

    /// Something that this account's profile shows has changed.
    pub(crate) fn touch(&mut self, name: &AccountName) {
        if let Some(account) = self.accounts.get_mut(name) {
            account.changes += 1;
        }
    }

    /// Something of this account's that its buddies' profiles show has changed.
    pub(crate) fn touch_buddies(&mut self, name: &AccountName) {
        let Some(account) = self.accounts.get(name) else { return };
        let buddies: Vec<AccountName> = account.asked.iter().cloned().collect();
        for buddy in buddies {
            if let Some(other) = self.accounts.get_mut(&buddy)
                && other.asked.contains(name)
            {
                other.changes += 1;
            }
        }
    }
}

/// Askers that a profile shows at most: a stranger's flood of questions does not make it long.
pub const MAX_SHOWN_ASKERS: usize = 100;
/// Changes per ms of run time that keep versions growing across restarts; below 2^53 until the year 2255.
const VERSIONS_PER_MS: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> AccountName {
        text.parse().unwrap()
    }

    #[test]
    fn friendship_is_two_questions_and_one_end() {
        let mut directory = Directory::new(1);
        let (a, b) = (name("a"), name("b"));
        directory.put_account(&a, true);
        directory.ask(&a, &b);
        assert_eq!(directory.state(&a, &b), Some(BuddyState::Asked), "though there is no b yet");
        directory.put_account(&b, true);
        assert_eq!(directory.state(&b, &a), Some(BuddyState::AskedBy));
        let before = directory.version(&a);
        directory.ask(&b, &a);
        assert!(directory.version(&a) > before);
        assert_eq!(directory.state(&a, &b), Some(BuddyState::Agreed));
        directory.unask(&b, &a);
        assert_eq!((directory.state(&a, &b), directory.state(&b, &a)), (None, None));
        assert!(directory.asked_by.is_empty());
    }

    #[test]
    fn a_flood_of_questions_does_not_make_a_profile_long() {
        let mut directory = Directory::new(1);
        directory.put_account(&name("a"), true);
        for number in 0..500 {
            directory.put_account(&name(&format!("x{number}")), true);
            directory.ask(&name(&format!("x{number}")), &name("a"));
        }
        directory.ask(&name("a"), &name("zoe"));
        let shown = directory.acquaintances(&name("a"));
        assert_eq!(shown.len(), MAX_SHOWN_ASKERS + 1);
        assert!(shown.contains(&name("zoe")));
    }

    #[test]
    fn versions_grow_across_restarts_and_fit_json() {
        let (first, later) = (Directory::new(1_800_000_000_000), Directory::new(1_800_000_000_001));
        assert!(later.version(&name("a")) > first.version(&name("a")) + 999);
        assert!(later.version(&name("a")) < 1 << 53);
    }
}
