//! What XDP programs counted, and what was lost behind them.
//!
//! * Figures of several programs are summed; a sum that would overflow stays at the most.

use crate::counters::Counts;

/// What the programs counted, all interfaces together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// The counts that sockets have, too.
    pub counts: Counts,
    /// Datagrams left to the sockets.
    pub passed_datagrams: u64,
    /// Their UDP payload.
    pub passed_bytes: u64,
    /// Frames that interfaces failed to send or dropped, whoever sent them.
    pub interface_errors: u64,
    /// Frames that drivers dropped behind the program.
    pub driver_errors: u64,
    /// Interfaces with the program in force.
    pub interfaces: u64,
}

impl Figures {
    /// Adds what another program counted.
    pub fn sum(&mut self, other: &Self) {
        self.counts.sum(&other.counts);
        self.passed_datagrams = self.passed_datagrams.saturating_add(other.passed_datagrams);
        self.passed_bytes = self.passed_bytes.saturating_add(other.passed_bytes);
        self.interface_errors = self.interface_errors.saturating_add(other.interface_errors);
        self.driver_errors = self.driver_errors.saturating_add(other.driver_errors);
        self.interfaces = self.interfaces.saturating_add(other.interfaces);
    }
}
