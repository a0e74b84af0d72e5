//! Where a device was: an address for which something may have been minted.

use wire::TransportAddress;
use wire::json::name::{DeviceId, ReflectorName};

/// A device at an address, as one reflector saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which device.
    pub device: DeviceId,
    /// Which reflector.
    pub reflector: ReflectorName,
    /// Where.
    pub address: TransportAddress,
    /// Until when something may be minted there, unix seconds.
    pub until_s: u32,
}
