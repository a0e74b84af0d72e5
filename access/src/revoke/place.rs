//! Where a device was: an address for which something may have been minted.

use wire::TransportAddress;
use wire::json::name::{DeviceId, ReflectorName};

/// A device at an address, as one reflector saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The device that was there.
    pub device: DeviceId,
    /// The reflector that observed it.
    pub reflector: ReflectorName,
    /// The transport address that was observed.
    pub address: TransportAddress,
    /// Until when something may be minted there, unix seconds.
    pub until_s: u32,
}
