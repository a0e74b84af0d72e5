//! What is stored and what is known, changed together: first the store, then the directory.
//!
//! * A change that returned is on the disk and in memory; one that failed is in neither.
//! * Changes come one after the other; look-ups wait for none of them, only for the moment in which memory changes.
//! * What a change takes back is in the outbox with it, and the change says under which numbers. Places are noted under the
//!   same lock, so no address is noted while it is taken back.
//! * Everything here blocks: a server calls it on threads that may wait.

use crate::accounts::password;
use crate::now::Now;
use crate::presence::directory::{Device, Directory};
use crate::revoke::outbox::{Outbox, Revocation};
use crate::revoke::place::Place;
use crate::store::{AccountRecord, Change, DeviceRecord, Loaded, Store, StoreError};
use program::random;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use wire::json::base64url::Bytes;
use wire::json::device::DeviceRequest;
use wire::json::name::{AccountName, DeviceId, ReflectorName};
use wire::json::profile::BuddyState;
use wire::json::revocations::SubjectJson;
use wire::revoked::Subject;

/// Store and directory.
#[derive(Debug)]
pub struct Registry {
    store: Store,
    directory: RwLock<Directory>,
    outbox: Outbox,
    writing: Mutex<()>,
}

impl Registry {
    /// What the store holds.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn load(store: Store, now: Now) -> Result<Self, StoreError> {
        let mut directory = Directory::new(now.unix_ms);
        let Loaded { accounts, devices, asks, revoked } = store.load()?;
        for (name, enabled, hide_address) in &accounts {
            directory.put_account(name, *enabled);
            directory.hide_account(name, *hide_address);
        }
        for (id, record) in devices {
            let device =
                device_of(record).ok_or_else(|| StoreError::Failed(format!("device {id} has no key")))?;
            directory.put_device(id, device);
        }
        asks.iter().for_each(|(from, to)| directory.ask(from, to));
        let outbox = Outbox::new(revoked);
        Ok(Self { store, directory: RwLock::new(directory), outbox, writing: Mutex::new(()) })
    }

    /// What has been taken back.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// What is known.
    pub fn directory(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known, to change presence in it.
    pub fn presence(&self) -> RwLockWriteGuard<'_, Directory> {
        self.directory.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a password is that of an enabled account; takes as long for any other.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn verify(&self, account: &AccountName, password: &str) -> Result<bool, Refusal> {
        let record = self.store.account(account)?;
        let right = password::verify(password, record.as_ref().map(|it| it.hash.as_str()));
        Ok(right && record.is_some_and(|it| it.enabled))
    }

    /// Adds a device to an account whose password was right.
    ///
    /// # Errors
    /// A key that proves nothing, too many devices, the store.
    pub fn enrol(&self, request: &DeviceRequest) -> Result<DeviceId, Refusal> {
        let _writing = self.write();
        let (known, number, hide_address) = {
            let directory = self.directory();
            let known = directory.device_by_key(&request.account, &request.sign_key);
            let hides = known.and_then(|id| directory.device(&id)).is_some_and(|it| it.hide_address);
            (known, directory.account(&request.account).map_or(0, |it| it.devices.len()), hides)
        };
        let record = DeviceRecord {
            account: request.account.clone(),
            name: request.name.clone(),
            sign_key: request.sign_key,
            noise_key: request.noise_key,
            hide_address,
        };
        let device = device_of(record.clone()).ok_or(Refusal::Key)?;
        let id = match known {
            Some(id) => id,
            None if number >= MAX_DEVICES => return Err(Refusal::Devices),
            None => DeviceId(Bytes(random::bytes().map_err(|error| Refusal::Store(error.to_string()))?)),
        };
        self.store.put_device(&id, &record)?;
        self.presence().put_device(id, device);
        Ok(id)
    }

    /// Adds accounts, all or none, with the hashes of their passwords.
    ///
    /// # Errors
    /// One of them exists, the store.
    pub fn add_accounts(&self, accounts: &[(AccountName, String)]) -> Result<(), Refusal> {
        let _writing = self.write();
        let mut names = BTreeSet::new();
        for (name, _) in accounts {
            if self.directory().account(name).is_some() || !names.insert(name) {
                return Err(Refusal::Exists(name.clone()));
            }
        }
        let record = |hash: &String| AccountRecord { hash: hash.clone(), enabled: true, hide_address: false };
        let records: Vec<_> = accounts.iter().map(|(name, hash)| (name.clone(), record(hash))).collect();
        self.store.put_accounts(&records)?;
        let mut directory = self.presence();
        accounts.iter().for_each(|(name, _)| directory.put_account(name, true));
        Ok(())
    }

    /// Lets an account in or keeps it out; keeping it out ends its sessions and takes its addresses back.
    ///
    /// # Errors
    /// No such account, the store.
    pub fn set_enabled(&self, name: &AccountName, enabled: bool, now: Now) -> Result<Range<u64>, Refusal> {
        let _writing = self.write();
        let record = self.store.account(name)?.ok_or_else(|| Refusal::Unknown(name.clone()))?;
        let accounts = &[(name.clone(), AccountRecord { enabled, ..record })];
        let devices = if enabled { Vec::new() } else { self.devices_of(name) };
        let entries = self.addresses_of(&devices, now)?;
        let change = Change { accounts, placeless: &devices, ..Change::default() };
        let numbers = self.change(change, entries)?;
        self.presence().put_account(name, enabled);
        Ok(numbers)
    }

    /// Says whether the devices of an account hide their addresses; of those that begin to, the known ones are taken back.
    ///
    /// # Errors
    /// No such account, the store.
    pub fn hide_account(
        &self,
        name: &AccountName,
        hide_address: bool,
        now: Now,
    ) -> Result<Range<u64>, Refusal> {
        let _writing = self.write();
        let record = self.store.account(name)?.ok_or_else(|| Refusal::Unknown(name.clone()))?;
        let begins = hide_address && !record.hide_address;
        let accounts = &[(name.clone(), AccountRecord { hide_address, ..record })];
        let devices = if begins { self.devices_of(name) } else { Vec::new() };
        let entries = self.addresses_of(&devices, now)?;
        let numbers = self.change(Change { accounts, placeless: &devices, ..Change::default() }, entries)?;
        self.presence().hide_account(name, hide_address);
        Ok(numbers)
    }

    /// The same of one device; nothing for one that is not there.
    ///
    /// # Errors
    /// The store.
    pub fn hide_device(&self, id: &DeviceId, hide_address: bool, now: Now) -> Result<Range<u64>, Refusal> {
        let _writing = self.write();
        let Some(record) = self.store.device(id)? else { return Ok(0..0) };
        let begins = hide_address && !record.hide_address;
        let devices = &[(*id, DeviceRecord { hide_address, ..record })];
        let placeless = if begins { std::slice::from_ref(id) } else { &[] };
        let entries = self.addresses_of(placeless, now)?;
        let numbers = self.change(Change { devices, placeless, ..Change::default() }, entries)?;
        self.presence().hide_device(id, hide_address);
        Ok(numbers)
    }

    /// Takes back the right to talk between two addresses.
    ///
    /// # Errors
    /// The store.
    pub fn revoke(&self, mut entries: Vec<Revocation>) -> Result<Range<u64>, Refusal> {
        let _writing = self.write();
        entries.dedup();
        self.change(Change::default(), entries)
    }

    /// Notes where devices are, before anything is minted for them there.
    ///
    /// # Errors
    /// The store.
    pub fn note_places(&self, places: &[Place], now: Now) -> Result<(), Refusal> {
        let _writing = self.write();
        let revoked = |dropped: Vec<Place>| {
            let mut entries = addresses(&dropped, now);
            self.outbox.number(&mut entries);
            entries
        };
        let entries = self.store.put_places(places, revoked)?;
        if !entries.is_empty() {
            self.outbox.put(entries);
        }
        Ok(())
    }

    /// Forgets what matters no more: places where only keys that are gone minted, and what reflectors have dropped by now.
    ///
    /// # Errors
    /// The store.
    pub fn forget(&self, keys: &[u64], now: Now) -> Result<(), Refusal> {
        let _writing = self.write();
        let over = self.outbox.drop_old(now.unix_s);
        if !over.is_empty() {
            self.store.forget_revoked(&over)?;
        }
        Ok(self.store.forget_places(keys, KEY_GRACE_S, now.unix_s)?)
    }

    /// Sets the hash of an account's password; devices and sessions stay.
    ///
    /// # Errors
    /// No such account, the store.
    pub fn set_password(&self, name: &AccountName, hash: String) -> Result<(), Refusal> {
        let _writing = self.write();
        let record = self.store.account(name)?.ok_or_else(|| Refusal::Unknown(name.clone()))?;
        Ok(self.store.put_accounts(&[(name.clone(), AccountRecord { hash, ..record })])?)
    }

    /// Asks an account to be a buddy, or agrees; the other need not exist.
    ///
    /// # Errors
    /// The asker itself or an asker that does not exist, too many buddies, the store.
    pub fn ask(&self, from: &AccountName, to: &AccountName) -> Result<(), Refusal> {
        let _writing = self.write();
        if from == to {
            return Err(Refusal::Oneself);
        }
        {
            let directory = self.directory();
            let account = directory.account(from).ok_or_else(|| Refusal::Unknown(from.clone()))?;
            if account.asked.contains(to) {
                return Ok(());
            }
            if account.asked.len() >= MAX_BUDDIES {
                return Err(Refusal::Buddies);
            }
        }
        self.store.put_asks(&[(from.clone(), to.clone())])?;
        self.presence().ask(from, to);
        Ok(())
    }

    /// Makes two accounts buddies, as if each had asked the other.
    ///
    /// # Errors
    /// As for [`Registry::ask`]; also when the second does not exist.
    pub fn befriend(&self, a: &AccountName, b: &AccountName) -> Result<(), Refusal> {
        if self.directory().account(b).is_none() {
            return Err(Refusal::Unknown(b.clone()));
        }
        self.ask(a, b)?;
        self.ask(b, a)
    }

    /// Ends a friendship or a request, and takes back what the two were given. It is no error if there was none.
    ///
    /// # Errors
    /// The store.
    pub fn unask(&self, a: &AccountName, b: &AccountName, now: Now) -> Result<Range<u64>, Refusal> {
        let _writing = self.write();
        let state = self.directory().state(a, b);
        let Some(state) = state else { return Ok(0..0) };
        let entries = if state == BuddyState::Agreed { self.pairs_of(a, b, now)? } else { Vec::new() };
        let numbers = self.change(Change { strangers: Some((a, b)), ..Change::default() }, entries)?;
        self.presence().unask(a, b);
        Ok(numbers)
    }

    /// Every account, by name.
    pub fn accounts(&self) -> Vec<AccountRow> {
        let directory = self.directory();
        let online = |id: &&DeviceId| directory.device(id).is_some_and(|it| it.presence.is_some());
        let row = |(name, account): (&AccountName, &crate::presence::directory::Account)| {
            let devices = &account.devices;
            let online = devices.iter().filter(online).count();
            AccountRow {
                account: name.clone(),
                enabled: account.enabled,
                hide_address: account.hide_address,
                devices: devices.len(),
                online,
            }
        };
        directory.accounts().into_iter().map(row).collect()
    }

    /// With whom an account has something, and how far it got.
    ///
    /// # Errors
    /// No such account.
    pub fn buddies(&self, name: &AccountName) -> Result<Vec<(AccountName, BuddyState)>, Refusal> {
        let directory = self.directory();
        directory.account(name).ok_or_else(|| Refusal::Unknown(name.clone()))?;
        let row = |other: AccountName| directory.state(name, &other).map(|state| (other, state));
        Ok(directory.acquaintances(name).into_iter().filter_map(row).collect())
    }

    /// Stores a change together with what it takes back, and queues that in the outbox. The caller holds the write lock.
    fn change(&self, change: Change<'_>, mut entries: Vec<Revocation>) -> Result<Range<u64>, Refusal> {
        self.outbox.number(&mut entries);
        self.store.change(&Change { revoked: &entries, ..change })?;
        Ok(if entries.is_empty() { 0..0 } else { self.outbox.put(entries) })
    }

    fn devices_of(&self, name: &AccountName) -> Vec<DeviceId> {
        self.directory().account(name).map(|it| it.devices.clone()).unwrap_or_default()
    }

    fn places_of(&self, devices: &[DeviceId]) -> Result<Vec<Place>, Refusal> {
        let mut places = Vec::new();
        for device in devices {
            places.extend(self.store.places(*device)?);
        }
        Ok(places)
    }

    fn addresses_of(&self, devices: &[DeviceId], now: Now) -> Result<Vec<Revocation>, Refusal> {
        Ok(addresses(&self.places_of(devices)?, now))
    }

    /// Every pair that two accounts can have been. When these are too many for the reflectors' tables, because one side was
    /// at very many addresses, it is that side's addresses that are taken back.
    fn pairs_of(&self, a: &AccountName, b: &AccountName, now: Now) -> Result<Vec<Revocation>, Refusal> {
        let (a, b) = (self.places_of(&self.devices_of(a))?, self.places_of(&self.devices_of(b))?);
        let pairs: usize = a.iter().map(|a| b.iter().filter(|b| b.reflector == a.reflector).count()).sum();
        if pairs > MAX_PAIRS {
            return Ok(addresses(if a.len() > b.len() { &a } else { &b }, now));
        }
        let mut subjects = BTreeSet::new();
        for a in &a {
            let there = b.iter().filter(|b| b.reflector == a.reflector && b.address != a.address);
            subjects.extend(there.map(|b| (a.reflector.clone(), Subject::pair(a.address, b.address))));
        }
        Ok(entries(subjects, now))
    }

    fn write(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An account as an operator lists it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
pub struct AccountRow {
    /// Its name.
    pub account: AccountName,
    /// Whether it may log in.
    pub enabled: bool,
    /// Whether its devices hide their addresses.
    #[serde(default)]
    pub hide_address: bool,
    /// How many devices it has.
    pub devices: usize,
    /// How many of them are online.
    pub online: usize,
}

/// Why nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such account.
    #[error("there is no account {0}; `account list` shows all")]
    Unknown(AccountName),
    /// There is one already.
    #[error("there is an account {0} already; `account password` sets its password")]
    Exists(AccountName),
    /// The sign key is no point of the curve, or one that anybody can sign for.
    #[error("sign_key is no Ed25519 public key; make a fresh pair")]
    Key,
    /// The account has its fill of devices.
    #[error("the account has {MAX_DEVICES} devices; enrol an old one again with its own key")]
    Devices,
    /// The account has asked its fill.
    #[error("the account has asked {MAX_BUDDIES} others; end with one of them first")]
    Buddies,
    /// Nobody is a buddy of oneself.
    #[error("an account cannot be its own buddy; name another")]
    Oneself,
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(String),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

fn addresses(places: &[Place], now: Now) -> Vec<Revocation> {
    let subject = |place: &Place| (place.reflector.clone(), Subject::Address(place.address));
    entries(places.iter().map(subject).collect(), now)
}

fn entries(subjects: BTreeSet<(ReflectorName, Subject)>, now: Now) -> Vec<Revocation> {
    let entry = |(reflector, subject)| Revocation {
        number: 0,
        reflector,
        subject: SubjectJson(subject),
        at_s: now.unix_s,
    };
    subjects.into_iter().map(entry).collect()
}

fn device_of(record: DeviceRecord) -> Option<Device> {
    let device = Device::new(record.account, record.name, record.sign_key, record.noise_key)?;
    Some(Device { hide_address: record.hide_address, ..device })
}

/// Devices of an account at most.
pub const MAX_DEVICES: usize = 16;
/// Pairs that the end of a friendship takes back at most.
const MAX_PAIRS: usize = 1_024;
/// How long a key that has left the master may still be in force at a reflector, s.
const KEY_GRACE_S: u32 = 86_400;
/// Others that an account may ask at most.
pub const MAX_BUDDIES: usize = 512;
