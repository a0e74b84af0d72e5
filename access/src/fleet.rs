//! The reflectors: their names and addresses, what their PROBEs say of them, and which of them are offered.
//!
//! * Offered: every reflector, in the configured order, save those that are drained or have died.
//! * Died: it answered once, and then not for [`MISSES`] PROBEs in a row. One that never answered is said to be so,
//!   and is offered: perhaps it only refuses PROBEs from where this server stands.
//! * When all would be dead, it is this server's own network that is, and nothing is withheld.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::{PoisonError, RwLock};
use wire::json::login::{OfferedReflector, Stun};
use wire::json::name::ReflectorName;

/// A reflector as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reflector {
    /// Its name, from which its ring is derived.
    pub name: ReflectorName,
    /// At most one IPv4 and one IPv6 transport address.
    pub addresses: Vec<SocketAddr>,
}

impl FromStr for Reflector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let right = || String::from("expected NAME=ADDR:PORT or NAME=ADDR:PORT,[ADDR6]:PORT");
        let (name, addresses) = text.split_once('=').ok_or_else(right)?;
        let name = name.parse().map_err(|error: wire::json::name::NameError| error.to_string())?;
        let parse = |text: &str| text.parse::<SocketAddr>().ok().filter(|it| is_reachable(*it));
        let addresses: Option<Vec<SocketAddr>> = addresses.split(',').map(parse).collect();
        let addresses = addresses.ok_or_else(right)?;
        let v4 = addresses.iter().filter(|it| it.is_ipv4()).count();
        if v4 > 1 || addresses.len() - v4 > 1 {
            return Err(String::from("a reflector is one transport address per family"));
        }
        Ok(Self { name, addresses })
    }
}

/// What is known of a reflector from its answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Whether it ever answered.
    pub answered: bool,
    /// PROBEs in a row without an answer.
    pub missed: u32,
    /// What STUN it answered.
    pub stun: Stun,
    /// Whether it says that it drains.
    pub draining: bool,
}

impl Health {
    /// The word of metrics and logs.
    pub fn state(&self) -> State {
        match self {
            Self { draining: true, .. } => State::Draining,
            Self { answered: false, missed: 0, .. } => State::Unknown,
            Self { answered: false, .. } => State::Silent,
            Self { missed, .. } if *missed >= MISSES => State::Dead,
            _ => State::Alive,
        }
    }
}

/// How a reflector does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Not probed yet.
    #[default]
    Unknown,
    /// It never answered.
    Silent,
    /// It answers.
    Alive,
    /// It answered, and does so no more.
    Dead,
    /// The operator drains it, or it says so itself.
    Draining,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Unknown, Self::Silent, Self::Alive, Self::Dead, Self::Draining];

    /// The word of metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Silent => "silent",
            Self::Alive => "alive",
            Self::Dead => "dead",
            Self::Draining => "draining",
        }
    }
}

/// Health by reflector, written by the prober.
#[derive(Debug, Default)]
pub struct Fleet {
    health: RwLock<HashMap<ReflectorName, Health>>,
}

impl Fleet {
    /// Takes over what the prober found.
    pub fn set(&self, name: &ReflectorName, health: Health) {
        self.health.write().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), health);
    }

    /// Forgets reflectors that are configured no more.
    pub fn keep(&self, reflectors: &[Reflector]) {
        let mut health = self.health.write().unwrap_or_else(PoisonError::into_inner);
        health.retain(|name, _| reflectors.iter().any(|it| it.name == *name));
    }

    /// How each configured reflector does, in their order.
    pub fn states(&self, reflectors: &[Reflector], drained: &[ReflectorName]) -> Vec<(State, Stun)> {
        let health = self.health.read().unwrap_or_else(PoisonError::into_inner);
        let of = |reflector: &Reflector| {
            let health = health.get(&reflector.name).copied().unwrap_or_default();
            let state = if drained.contains(&reflector.name) { State::Draining } else { health.state() };
            (state, health.stun)
        };
        reflectors.iter().map(of).collect()
    }

    /// What endpoints are offered.
    pub fn offered(&self, reflectors: &[Reflector], drained: &[ReflectorName]) -> Vec<OfferedReflector> {
        let states = self.states(reflectors, drained);
        offered(reflectors, &states)
    }
}

fn offered(reflectors: &[Reflector], states: &[(State, Stun)]) -> Vec<OfferedReflector> {
    let lives = |state: State| !matches!(state, State::Dead | State::Draining);
    let some_live = states.iter().any(|(state, _)| lives(*state));
    let pairs = reflectors.iter().zip(states);
    let pairs = pairs.filter(|(_, (state, _))| lives(*state) || (!some_live && *state == State::Dead));
    let offer = |(reflector, (_, stun)): (&Reflector, &(State, Stun))| OfferedReflector {
        name: reflector.name.clone(),
        addresses: reflector.addresses.clone(),
        stun: *stun,
    };
    pairs.map(offer).collect()
}

fn is_reachable(address: SocketAddr) -> bool {
    let ip = address.ip();
    !(ip.is_unspecified() || ip.is_multicast() || address.port() == 0)
        && wire::TransportAddress::from_socket(address).is_some()
}

/// PROBEs in a row without an answer that make a reflector dead.
pub const MISSES: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn reflector(text: &str) -> Reflector {
        text.parse().unwrap()
    }

    #[test]
    fn a_reflector_is_a_name_and_one_address_per_family() {
        let both = reflector("fra1=203.0.113.7:3478,[2001:db8::7]:3478");
        assert_eq!((both.name.as_str(), both.addresses.len()), ("fra1", 2));
        for wrong in [
            "fra1",
            "fra1=",
            "FRA=1.2.3.4:5000",
            "a=1.2.3.4",
            "a=1.2.3.4:0",
            "a=0.0.0.0:5000",
            "a=1.2.3.4:5000,5.6.7.8:5000",
            "a=[::ffff:1.2.3.4]:5000",
            "a=host:5000",
        ] {
            assert!(wrong.parse::<Reflector>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_dead_and_the_drained_are_offered_to_nobody_and_the_silent_is() {
        let all: Vec<Reflector> =
            ["a=1.1.1.1:5000", "b=1.1.1.2:5000", "c=1.1.1.3:5000", "d=1.1.1.4:5000"].map(reflector).into();
        let fleet = Fleet::default();
        let name = |at: usize| &all[at].name;
        fleet.set(name(0), Health { answered: true, missed: MISSES, stun: Stun::Off, draining: false });
        fleet.set(name(1), Health { answered: false, missed: 99, stun: Stun::Off, draining: false });
        fleet.set(
            name(2),
            Health { answered: true, missed: MISSES - 1, stun: Stun::Behaviour, draining: false },
        );
        let names = |drained: &[ReflectorName]| -> Vec<String> {
            fleet.offered(&all, drained).iter().map(|it| it.name.to_string()).collect()
        };
        assert_eq!(names(&[]), ["b", "c", "d"]);
        assert_eq!(names(&[name(2).clone(), name(3).clone()]), ["b"]);
        assert_eq!(fleet.offered(&all, &[])[1].stun, Stun::Behaviour);
    }

    #[test]
    fn when_all_are_dead_it_is_this_network() {
        let all = [reflector("a=1.1.1.1:5000"), reflector("b=1.1.1.2:5000")];
        let fleet = Fleet::default();
        let dead = Health { answered: true, missed: MISSES, stun: Stun::Off, draining: false };
        all.iter().for_each(|it| fleet.set(&it.name, dead));
        assert_eq!(fleet.offered(&all, &[]).len(), 2);
        assert_eq!(fleet.offered(&all, &[all[0].name.clone()]).len(), 1);
        fleet.keep(&all[..1]);
        assert_eq!(fleet.states(&all, &[])[1].0, State::Unknown);
    }
}
