//! What is stored and what is known, changed together: first the store, then the directory.
//!
//! * A change that returned is on the disk and in memory; one that failed is in neither.
//! * Changes come one after the other; look-ups wait for none of them, only for the moment in which memory changes.
//! * Everything here blocks: a server calls it on threads that may wait.

use crate::accounts::password;
use crate::now::Now;
use crate::presence::directory::{Device, Directory};
use crate::store::{AccountRecord, DeviceRecord, Loaded, Store, StoreError};
use program::random;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use wire::json::base64url::Bytes;
use wire::json::device::DeviceRequest;
use wire::json::name::{AccountName, DeviceId};
use wire::json::profile::BuddyState;

/// Store and directory.
#[derive(Debug)]
pub struct Registry {
    store: Store,
    directory: RwLock<Directory>,
    writing: Mutex<()>,
}

impl Registry {
    /// What the store holds.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn load(store: Store, now: Now) -> Result<Self, StoreError> {
        let mut directory = Directory::new(now.unix_ms);
        let Loaded { accounts, devices, asks } = store.load()?;
        for (name, enabled) in &accounts {
            directory.put_account(name, *enabled);
        }
        for (id, record) in devices {
            let device =
                device_of(record).ok_or_else(|| StoreError::Failed(format!("device {id} has no key")))?;
            directory.put_device(id, device);
        }
        asks.iter().for_each(|(from, to)| directory.ask(from, to));
        Ok(Self { store, directory: RwLock::new(directory), writing: Mutex::new(()) })
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
        let record = DeviceRecord {
            account: request.account.clone(),
            name: request.name.clone(),
            sign_key: request.sign_key,
            noise_key: request.noise_key,
        };
        let device = device_of(record.clone()).ok_or(Refusal::Key)?;
        let (known, number) = {
            let directory = self.directory();
            let known = directory.device_by_key(&request.account, &request.sign_key);
            (known, directory.account(&request.account).map_or(0, |it| it.devices.len()))
        };
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
        let mut names = std::collections::BTreeSet::new();
        for (name, _) in accounts {
            if self.directory().account(name).is_some() || !names.insert(name) {
                return Err(Refusal::Exists(name.clone()));
            }
        }
        let record = |hash: &String| AccountRecord { hash: hash.clone(), enabled: true };
        let records: Vec<_> = accounts.iter().map(|(name, hash)| (name.clone(), record(hash))).collect();
        self.store.put_accounts(&records)?;
        let mut directory = self.presence();
        accounts.iter().for_each(|(name, _)| directory.put_account(name, true));
        Ok(())
    }

    /// Lets an account in or keeps it out; keeping it out ends its sessions at once.
    ///
    /// # Errors
    /// No such account, the store.
    pub fn set_enabled(&self, name: &AccountName, enabled: bool) -> Result<(), Refusal> {
        let _writing = self.write();
        let record = self.store.account(name)?.ok_or_else(|| Refusal::Unknown(name.clone()))?;
        self.store.put_accounts(&[(name.clone(), AccountRecord { enabled, ..record })])?;
        self.presence().put_account(name, enabled);
        Ok(())
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

    /// Ends what is between two accounts; nothing there is no error.
    ///
    /// # Errors
    /// The store.
    pub fn unask(&self, a: &AccountName, b: &AccountName) -> Result<(), Refusal> {
        let _writing = self.write();
        if self.directory().state(a, b).is_some() {
            self.store.remove_asks(a, b)?;
            self.presence().unask(a, b);
        }
        Ok(())
    }

    /// Every account, by name.
    pub fn accounts(&self) -> Vec<AccountRow> {
        let directory = self.directory();
        let online = |id: &&DeviceId| directory.device(id).is_some_and(|it| it.presence.is_some());
        let row = |(name, account): (&AccountName, &crate::presence::directory::Account)| {
            let devices = &account.devices;
            let online = devices.iter().filter(online).count();
            AccountRow { account: name.clone(), enabled: account.enabled, devices: devices.len(), online }
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

fn device_of(record: DeviceRecord) -> Option<Device> {
    Device::new(record.account, record.name, record.sign_key, record.noise_key)
}

/// Devices of an account at most.
pub const MAX_DEVICES: usize = 16;
/// Others that an account may ask at most.
pub const MAX_BUDDIES: usize = 512;
