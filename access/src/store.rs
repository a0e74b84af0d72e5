//! The store: accounts, devices and questions in one redb file; the one module that a store on many hosts would replace.
//!
//! * Every write is one transaction, durable before it returns: whatever was acknowledged survives a kill or a power cut.
//! * One process holds the file; another is told so and reaches the holder through its socket (`operator`).
//! * Knows nothing of sessions and presence, which are not stored.

use redb::backends::FileBackend;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use wire::json::keys::{NoiseKey, SignKey};
use wire::json::name::{AccountName, DeviceId};

/// The open store.
#[derive(Debug)]
pub struct Store {
    database: Database,
}

/// An account as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRecord {
    /// The password's hash, as a PHC string.
    pub hash: String,
    /// Whether it may log in.
    pub enabled: bool,
}

/// A device as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRecord {
    /// Whose it is.
    pub account: AccountName,
    /// What its owner calls it.
    pub name: Option<String>,
    /// By which it logs in.
    pub sign_key: SignKey,
    /// By which others write to it.
    pub noise_key: NoiseKey,
}

/// Everything stored that is held in memory as well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Accounts, and whether they may log in.
    pub accounts: Vec<(AccountName, bool)>,
    /// Devices.
    pub devices: Vec<(DeviceId, DeviceRecord)>,
    /// Who asked whom.
    pub asks: Vec<(AccountName, AccountName)>,
}

impl Store {
    /// Opens the store at `path`, and makes it if it is not there; only its owner may read it.
    ///
    /// # Errors
    /// Held by another process, no permission, not a store, or a newer one.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let held_or_failed = |error| match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::Held,
            other => failed(other),
        };
        let backend = FileBackend::new(file).map_err(held_or_failed)?;
        let mut builder = redb::Builder::new();
        let database =
            builder.set_cache_size(CACHE_LEN).create_with_backend(backend).map_err(held_or_failed)?;
        let store = Self { database };
        store.write(|transaction| {
            let mut about = transaction.open_table(ABOUT).map_err(failed)?;
            let layout = about.get(LAYOUT_KEY).map_err(failed)?.map(|found| found.value());
            match layout {
                None => about.insert(LAYOUT_KEY, LAYOUT).map(|_| ()).map_err(failed)?,
                Some(LAYOUT) => {}
                Some(other) => return Err(StoreError::Layout(other)),
            }
            transaction.open_table(ACCOUNTS).map_err(failed)?;
            transaction.open_table(DEVICES).map_err(failed)?;
            transaction.open_table(ASKS).map(|_| ()).map_err(failed)
        })?;
        Ok(store)
    }

    /// Everything that is held in memory as well.
    ///
    /// # Errors
    /// The file cannot be read, or holds what is no record.
    pub fn load(&self) -> Result<Loaded, StoreError> {
        let transaction = self.database.begin_read().map_err(failed)?;
        let mut loaded = Loaded::default();
        for row in transaction.open_table(ACCOUNTS).map_err(failed)?.iter().map_err(failed)? {
            let (name, record) = row.map_err(failed)?;
            let record: AccountRecord = decode(record.value())?;
            loaded.accounts.push((name.value().parse().map_err(failed)?, record.enabled));
        }
        for row in transaction.open_table(DEVICES).map_err(failed)?.iter().map_err(failed)? {
            let (id, record) = row.map_err(failed)?;
            loaded
                .devices
                .push((DeviceId(wire::json::base64url::Bytes(id.value())), decode(record.value())?));
        }
        for row in transaction.open_table(ASKS).map_err(failed)?.iter().map_err(failed)? {
            let (pair, ()) = row.map(|(pair, unit)| (pair, unit.value())).map_err(failed)?;
            let (from, to) = pair.value();
            loaded.asks.push((from.parse().map_err(failed)?, to.parse().map_err(failed)?));
        }
        Ok(loaded)
    }

    /// An account.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn account(&self, name: &AccountName) -> Result<Option<AccountRecord>, StoreError> {
        let transaction = self.database.begin_read().map_err(failed)?;
        let table = transaction.open_table(ACCOUNTS).map_err(failed)?;
        let found = table.get(name.as_str()).map_err(failed)?;
        found.map(|record| decode(record.value())).transpose()
    }

    /// Adds or replaces accounts, all or none.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn put_accounts(&self, accounts: &[(AccountName, AccountRecord)]) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut table = transaction.open_table(ACCOUNTS).map_err(failed)?;
            for (name, record) in accounts {
                table.insert(name.as_str(), encode(record)?.as_slice()).map_err(failed)?;
            }
            Ok(())
        })
    }

    /// Adds or replaces a device.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn put_device(&self, id: &DeviceId, record: &DeviceRecord) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut table = transaction.open_table(DEVICES).map_err(failed)?;
            table.insert(id.0.0, encode(record)?.as_slice()).map(|_| ()).map_err(failed)
        })
    }

    /// Notes who asked whom, all or none.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn put_asks(&self, asks: &[(AccountName, AccountName)]) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut table = transaction.open_table(ASKS).map_err(failed)?;
            for (from, to) in asks {
                table.insert((from.as_str(), to.as_str()), ()).map_err(failed)?;
            }
            Ok(())
        })
    }

    /// Forgets what two accounts asked each other.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn remove_asks(&self, a: &AccountName, b: &AccountName) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut table = transaction.open_table(ASKS).map_err(failed)?;
            table.remove((a.as_str(), b.as_str())).map_err(failed)?;
            table.remove((b.as_str(), a.as_str())).map(|_| ()).map_err(failed)
        })
    }

    fn write(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let transaction = self.database.begin_write().map_err(failed)?;
        change(&transaction)?;
        // redb's default durability: on the disk before this returns.
        transaction.commit().map_err(failed)
    }
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The running server has it.
    #[error("another process holds it")]
    Held,
    /// A later version of this program wrote it.
    #[error("its layout is {0}; this program reads layout 1, a newer one may read both")]
    Layout(u64),
    /// The file cannot be opened.
    #[error(transparent)]
    File(#[from] std::io::Error),
    /// The file cannot be read or written, or is not what it should be.
    #[error("{0}")]
    Failed(String),
}

fn failed(error: impl std::fmt::Display) -> StoreError {
    StoreError::Failed(error.to_string())
}

fn encode(record: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(record).map_err(failed)
}

fn decode<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(failed)
}

const ACCOUNTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("accounts");
const DEVICES: TableDefinition<'_, [u8; 16], &[u8]> = TableDefinition::new("devices");
const ASKS: TableDefinition<'_, (&str, &str), ()> = TableDefinition::new("asks");
const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("about");
const LAYOUT_KEY: &str = "layout";
const LAYOUT: u64 = 1;
/// What redb may hold of the file in memory, bytes; what requests need often is in the directory.
const CACHE_LEN: usize = 16 << 20;
