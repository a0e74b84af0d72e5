//! A reload: files are read again, and what may change without a restart takes effect as a whole or not at all.
//!
//! * Follows: ring, destinations and sources opened and closed, lifetimes, budgets and rates.
//! * Stays until a restart: addresses, threads, sizes, log form. What differs there is named, not ignored in silence.

use crate::config::{Bounds, Config};
use crate::rules::shared::{Rules, Surroundings, read_ring};
use crate::settings::SETTINGS;
use program::failure::Failure;
use program::settings::layers::Layers;

/// What a reload brings.
#[derive(Debug)]
pub struct Reload {
    /// The configuration in force from now on.
    pub config: Config,
    /// Its rules.
    pub rules: Rules,
    /// Settings that were changed and wait for a restart.
    pub waiting: Vec<&'static str>,
}

impl Reload {
    /// Reads everything again and checks it; `running` stays in force if that fails.
    ///
    /// # Errors
    /// The first thing that is wrong, with its file and line.
    pub fn read(layers: &Layers, running: &Config, around: &Surroundings<'_>) -> Result<Self, Failure> {
        let fresh = Config::read(layers)?;
        let waiting = running.written.fixed_differences(&fresh.written, &SETTINGS);
        let config = merged(running, fresh);
        let rules = Rules::new(&config, read_ring(&config)?, around);
        Ok(Self { config, rules, waiting })
    }
}

/// The running configuration with everything taken from `fresh` that may change.
fn merged(running: &Config, fresh: Config) -> Config {
    Config {
        keys: fresh.keys,
        blocks: fresh.blocks,
        bounds: Bounds { max_datagram: running.bounds.max_datagram, ..fresh.bounds },
        limits: fresh.limits,
        written: running.written.merged(fresh.written, &SETTINGS),
        ..running.clone()
    }
}
