//! The store: accounts, devices, questions, where devices were and what is taken back, in one redb file; the one module that a store on many hosts would replace.
//!
//! * Every write is one transaction, durable before it returns: whatever was acknowledged survives a kill or a power cut.
//! * One process holds the file; another is told so and reaches the holder through its socket (`operator`).
//! * Knows nothing of sessions and presence, which are not stored.

use crate::revoke::outbox::Revocation;
use crate::revoke::place::Place;
use crate::revoke::receipt::{ADDRESS_LEN, address_of, bytes_of};
use redb::backends::FileBackend;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::ops::RangeInclusive;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use wire::json::base64url::Bytes;
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
    /// Whether its devices hide their addresses.
    #[serde(default)]
    pub hide_address: bool,
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
    /// Whether it hides its address.
    #[serde(default)]
    pub hide_address: bool,
}

/// Everything stored that is held in memory as well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Accounts, whether they may log in, and whether they hide.
    pub accounts: Vec<(AccountName, bool, bool)>,
    /// Devices.
    pub devices: Vec<(DeviceId, DeviceRecord)>,
    /// Who asked whom.
    pub asks: Vec<(AccountName, AccountName)>,
    /// What is being taken back, in order.
    pub revoked: Vec<Revocation>,
}

/// A change of several tables, which are all changed or none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change<'a> {
    /// Accounts to replace.
    pub accounts: &'a [(AccountName, AccountRecord)],
    /// Devices to replace.
    pub devices: &'a [(DeviceId, DeviceRecord)],
    /// Accounts that are to be nothing to each other.
    pub strangers: Option<(&'a AccountName, &'a AccountName)>,
    /// Devices of which no place is to be kept.
    pub placeless: &'a [DeviceId],
    /// What is taken back.
    pub revoked: &'a [Revocation],
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
            transaction.open_table(PLACES).map_err(failed)?;
            transaction.open_table(KEYS).map_err(failed)?;
            transaction.open_table(REVOKED).map_err(failed)?;
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
            let name = name.value().parse().map_err(failed)?;
            loaded.accounts.push((name, record.enabled, record.hide_address));
        }
        for row in transaction.open_table(DEVICES).map_err(failed)?.iter().map_err(failed)? {
            let (id, record) = row.map_err(failed)?;
            loaded.devices.push((DeviceId(Bytes(id.value())), decode(record.value())?));
        }
        for row in transaction.open_table(ASKS).map_err(failed)?.iter().map_err(failed)? {
            let (pair, ()) = row.map(|(pair, unit)| (pair, unit.value())).map_err(failed)?;
            let (from, to) = pair.value();
            loaded.asks.push((from.parse().map_err(failed)?, to.parse().map_err(failed)?));
        }
        for row in transaction.open_table(REVOKED).map_err(failed)?.iter().map_err(failed)? {
            let (number, entry) = row.map_err(failed)?;
            let entry: Revocation = decode(entry.value())?;
            loaded.revoked.push(Revocation { number: number.value(), ..entry });
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

    /// A device.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn device(&self, id: &DeviceId) -> Result<Option<DeviceRecord>, StoreError> {
        let transaction = self.database.begin_read().map_err(failed)?;
        let table = transaction.open_table(DEVICES).map_err(failed)?;
        let found = table.get(id.0.0).map_err(failed)?;
        found.map(|record| decode(record.value())).transpose()
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

    /// Changes several tables, all or none.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn change(&self, change: &Change<'_>) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut accounts = transaction.open_table(ACCOUNTS).map_err(failed)?;
            for (name, record) in change.accounts {
                accounts.insert(name.as_str(), encode(record)?.as_slice()).map_err(failed)?;
            }
            let mut devices = transaction.open_table(DEVICES).map_err(failed)?;
            for (id, record) in change.devices {
                devices.insert(id.0.0, encode(record)?.as_slice()).map_err(failed)?;
            }
            let mut asks = transaction.open_table(ASKS).map_err(failed)?;
            if let Some((a, b)) = change.strangers {
                asks.remove((a.as_str(), b.as_str())).map_err(failed)?;
                asks.remove((b.as_str(), a.as_str())).map_err(failed)?;
            }
            let mut places = transaction.open_table(PLACES).map_err(failed)?;
            for device in change.placeless {
                places.retain_in(places_of(*device), |_, _| false).map_err(failed)?;
            }
            put_revoked(transaction, change.revoked)
        })
    }

    /// Notes where devices were. Of one that was at too many places the oldest are dropped, and taken back: `revoked` makes
    /// entries of them.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn put_places(
        &self,
        places: &[Place],
        revoked: impl FnOnce(Vec<Place>) -> Vec<Revocation>,
    ) -> Result<Vec<Revocation>, StoreError> {
        let mut entries = Vec::new();
        self.write(|transaction| {
            let mut table = transaction.open_table(PLACES).map_err(failed)?;
            for Place { device, reflector, address, until_s } in places {
                let key = (device.0.0, reflector.as_str(), bytes_of(*address));
                table.insert(key, until_s).map_err(failed)?;
            }
            let mut dropped = Vec::new();
            let mut devices: Vec<DeviceId> = places.iter().map(|place| place.device).collect();
            devices.sort_unstable();
            devices.dedup();
            for device in devices {
                let mut all = read_places(&table, device)?;
                all.sort_by_key(|place| place.until_s);
                let surplus = all.len().saturating_sub(MAX_PLACES);
                for place in all.into_iter().take(surplus) {
                    let key = (device.0.0, place.reflector.as_str(), bytes_of(place.address));
                    table.remove(key).map_err(failed)?;
                    dropped.push(place);
                }
            }
            entries = if dropped.is_empty() { Vec::new() } else { revoked(dropped) };
            put_revoked(transaction, &entries)
        })?;
        Ok(entries)
    }

    /// Where a device was.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn places(&self, device: DeviceId) -> Result<Vec<Place>, StoreError> {
        let transaction = self.database.begin_read().map_err(failed)?;
        read_places(&transaction.open_table(PLACES).map_err(failed)?, device)
    }

    /// Notes which keys of the master are in force, and forgets every place where nothing could be minted since the oldest
    /// of them existed. A key that has left the master counts for `grace_s` more, until every reflector has dropped it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn forget_places(&self, keys: &[u64], grace_s: u32, now_s: u32) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut table = transaction.open_table(KEYS).map_err(failed)?;
            for key in keys {
                let known = table.get(key).map_err(failed)?.map(|found| found.value().0);
                table.insert(key, (known.unwrap_or(now_s), now_s)).map_err(failed)?;
            }
            table.retain(|_, (_, seen_s)| seen_s.saturating_add(grace_s) >= now_s).map_err(failed)?;
            let mut oldest_s = now_s;
            for row in table.iter().map_err(failed)? {
                oldest_s = oldest_s.min(row.map_err(failed)?.1.value().0);
            }
            let mut places = transaction.open_table(PLACES).map_err(failed)?;
            places.retain(|_, until_s| until_s >= oldest_s).map_err(failed)
        })
    }

    /// Forgets what was taken back under these numbers.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn forget_revoked(&self, numbers: &[u64]) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut table = transaction.open_table(REVOKED).map_err(failed)?;
            numbers.iter().try_for_each(|number| table.remove(number).map(|_| ()).map_err(failed))
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

fn put_revoked(transaction: &WriteTransaction, entries: &[Revocation]) -> Result<(), StoreError> {
    let mut table = transaction.open_table(REVOKED).map_err(failed)?;
    for entry in entries {
        table.insert(entry.number, encode(entry)?.as_slice()).map_err(failed)?;
    }
    Ok(())
}

fn read_places(
    table: &impl ReadableTable<PlaceKey, u32>,
    device: DeviceId,
) -> Result<Vec<Place>, StoreError> {
    let mut places = Vec::new();
    for row in table.range(places_of(device)).map_err(failed)? {
        let (key, until_s) = row.map_err(failed)?;
        let (_, reflector, address) = key.value();
        places.push(Place {
            device,
            reflector: reflector.parse().map_err(failed)?,
            address: address_of(&address),
            until_s: until_s.value(),
        });
    }
    Ok(places)
}

/// From the first to the last place that a device can have.
fn places_of(device: DeviceId) -> RangeInclusive<([u8; 16], &'static str, [u8; ADDRESS_LEN])> {
    (device.0.0, "", [0; ADDRESS_LEN])..=(device.0.0, AFTER_EVERY_NAME, [0xff; ADDRESS_LEN])
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
/// Until when something may be minted for a device at an address.
const PLACES: TableDefinition<'_, PlaceKey, u32> = TableDefinition::new("places");
/// Since when a key of the master is known, and when it was last seen there.
const KEYS: TableDefinition<'_, u64, (u32, u32)> = TableDefinition::new("keys");
const REVOKED: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("revoked");
type PlaceKey = ([u8; 16], &'static str, [u8; ADDRESS_LEN]);
/// Names are made of letters, digits and `-`.
const AFTER_EVERY_NAME: &str = "~";
/// Places of a device at most.
const MAX_PLACES: usize = 1_024;
const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("about");
const LAYOUT_KEY: &str = "layout";
const LAYOUT: u64 = 1;
/// What redb may hold of the file in memory, bytes; what requests need often is in the directory.
const CACHE_LEN: usize = 16 << 20;
