//! How a NAT is set up, checked once and shared by all NATs that are set up alike.
//!
//! * Every [`Rules`] can be held to: what contradicts itself is refused before a NAT exists.
//! * Mapping and filtering become two depths of comparing remotes; the deeper one is how exactly a NAT remembers them.

use crate::behaviour::{Behaviour, Filtering};
use crate::error::Error;
use crate::pinhole::Depth;
use crate::port::{PortChoice, PortPool};

/// Everything that can be chosen about a NAT; start from [`Settings::of`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Mapping and filtering, or open: then nothing below matters.
    pub behaviour: Behaviour,
    /// The external ports that mappings take.
    pub ports: PortPool,
    /// In which order they are tried.
    pub port_choice: PortChoice,
    /// Try the inside host's own port first, if the pool holds it (RFC 4787 section 4.2.1).
    pub preserve_port: bool,
    /// Let several inside hosts share an external port while they talk to different remotes, as Linux masquerade does
    /// and RFC 4787 REQ-3 forbids. Needs ADF or APDF: the remote tells the inside hosts apart. Makes EIM and ADM a best
    /// effort: towards a remote that another inside host occupies on that port, a mapping gets a second port.
    pub overload_ports: bool,
    /// Turn back datagrams to the own external address (RFC 4787 REQ-9).
    pub hairpinning: bool,
    /// Let admitted inbound datagrams refresh, as outbound ones always do (RFC 4787 REQ-6).
    pub refresh_inbound: bool,
    /// A mapping dies when unused for so long (RFC 4787 REQ-5: at least 120,000 for a real one).
    pub mapping_timeout_ms: u64,
    /// Its filter forgets a remote when unused for so long; at most the mapping's time-out.
    pub filter_timeout_ms: u64,
    /// Most pinholes kept: one for each mapping and each remote its filter remembers. Calls take time in proportion.
    pub pinhole_limit: usize,
}

impl Settings {
    /// A plain NAT of this behaviour: ports 1024-65535 in sequence, not preserved nor overloaded, no hairpinning,
    /// refreshed from inside only, time-outs of 120 s, at most 64 pinholes.
    #[must_use]
    pub fn of(behaviour: Behaviour) -> Self {
        Self {
            behaviour,
            ports: PortPool::default(),
            port_choice: PortChoice::Sequential,
            preserve_port: false,
            overload_ports: false,
            hairpinning: false,
            refresh_inbound: false,
            mapping_timeout_ms: 120_000,
            filter_timeout_ms: 120_000,
            pinhole_limit: 64,
        }
    }
}

/// Settings that were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    settings: Settings,
    depths: Option<Depths>,
}

impl Rules {
    /// Checks settings; [`Error::Overloading`], [`Error::Timeouts`] or [`Error::PinholeLimit`] if they cannot hold.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let (filter_ms, mapping_ms) = (settings.filter_timeout_ms, settings.mapping_timeout_ms);
        if filter_ms == 0 || filter_ms > mapping_ms {
            return Err(Error::Timeouts { filter_ms, mapping_ms });
        }
        if settings.pinhole_limit == 0 {
            return Err(Error::PinholeLimit);
        }
        let depths = match settings.behaviour {
            Behaviour::Open => None,
            Behaviour::Nat { filtering: Filtering::Eif, .. } if settings.overload_ports => {
                return Err(Error::Overloading { behaviour: settings.behaviour });
            }
            Behaviour::Nat { mapping, filtering } => Some(Depths {
                mapping: Depth::of_mapping(mapping),
                filtering: Depth::of_filtering(filtering),
            }),
        };
        Ok(Self { settings, depths })
    }

    /// What was checked.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// `None` for an open host.
    pub(crate) fn depths(&self) -> Option<Depths> {
        self.depths
    }

    pub(crate) fn mapping_lives(&self, idle_ms: u64) -> bool {
        idle_ms < self.settings.mapping_timeout_ms
    }

    pub(crate) fn filter_lives(&self, idle_ms: u64) -> bool {
        idle_ms < self.settings.filter_timeout_ms
    }
}

/// How much of a remote counts for the mapping and for the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Depths {
    pub(crate) mapping: Depth,
    pub(crate) filtering: Depth,
}

impl Depths {
    /// How much of a remote has to be remembered.
    pub(crate) fn kept(self) -> Depth {
        self.mapping.max(self.filtering)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_settings_of_every_behaviour_hold() {
        for behaviour in Behaviour::ALL {
            let rules = Rules::new(Settings::of(behaviour)).unwrap();
            assert_eq!(rules.depths().is_none(), behaviour == Behaviour::Open);
            assert_eq!(rules.settings().mapping_timeout_ms, 120_000);
        }
    }

    #[test]
    fn contradictions_are_refused_with_a_reason() {
        for behaviour in Behaviour::ALL {
            let overloaded = Rules::new(Settings { overload_ports: true, ..Settings::of(behaviour) });
            let refused = behaviour.admits_strangers() && behaviour != Behaviour::Open;
            assert_eq!(overloaded.is_err(), refused, "{behaviour}");
        }
        let plain = || Settings::of(Behaviour::Open);
        let timeouts = |mapping_timeout_ms, filter_timeout_ms| {
            Rules::new(Settings { mapping_timeout_ms, filter_timeout_ms, ..plain() })
        };
        assert_eq!(timeouts(5, 6), Err(Error::Timeouts { filter_ms: 6, mapping_ms: 5 }));
        assert_eq!(timeouts(0, 0), Err(Error::Timeouts { filter_ms: 0, mapping_ms: 0 }));
        assert!(timeouts(6, 6).is_ok());
        assert_eq!(Rules::new(Settings { pinhole_limit: 0, ..plain() }), Err(Error::PinholeLimit));
    }
}
