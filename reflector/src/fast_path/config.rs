//! The rules in force, as the XDP program of one interface takes them.
//!
//! * Pure: the same rules that workers read, and what the host is like, become one plain value.
//! * The program is told no more than the sockets know: both judge by the same keys, lists and lifetimes.

use crate::config::Config;
use crate::rules::shared::{Rules, Surroundings};
use engine::host::routes::Ways;
use engine::xdp;
use std::net::SocketAddr;
use wire::Block;

/// What a program's configuration is made from.
#[derive(Clone, Copy, Debug)]
pub struct Basis<'a> {
    /// The configuration in force.
    pub config: &'a Config,
    /// Its rules.
    pub rules: &'a Rules,
    /// What the rules depend on besides.
    pub around: Surroundings<'a>,
}

impl Basis<'_> {
    /// The configuration of a program whose interface has these ways, its buckets hashed under `hash_key`.
    pub fn config(&self, ways: &Ways, hash_key: [u8; 16]) -> xdp::Config {
        let Basis { config, rules, around } = self;
        let Surroundings { listening, host, .. } = around;
        let (ring, policy, limits) = (&rules.ring, &rules.policy, &rules.limits);
        let mut keys = [None; 16];
        for id in ring.ids() {
            if let Some(place) = keys.get_mut(usize::from(id.get())) {
                *place = ring.get(id).map(wire::siphash::SipKey::secret);
            }
        }
        let mut class_rates_bytes_s = [None; 16];
        for (class, place) in (0..).zip(&mut class_rates_bytes_s) {
            *place = limits.class_rate_bytes_s(class);
        }
        // The world knows this host by them, though its kernel does not.
        let advertised = config.advertise.iter().map(|it| SocketAddr::new(it.ip(), 0));
        xdp::Config {
            keys,
            minting: ring.minting().get(),
            listen_v4: listening
                .iter()
                .find_map(|it| if let SocketAddr::V4(v4) = it { Some(*v4) } else { None }),
            listen_v6: listening
                .iter()
                .find_map(|it| if let SocketAddr::V6(v6) = it { Some(*v6) } else { None }),
            stun: config.stun.is_on(),
            own: policy.own.iter().map(|it| it.to_socket()).chain(advertised).collect(),
            broadcasts: policy.broadcasts.clone(),
            host: host.delivered.clone(),
            allow_destination: blocks(&config.blocks.allow_destination),
            deny_destination: blocks(&config.blocks.deny_destination),
            deny_source: blocks(&config.blocks.deny_source),
            max_datagram: policy.max_datagram,
            answer_lifetime_s: policy.answer_lifetime_s,
            ticket_lifetime_s: policy.ticket_lifetime_s,
            probe_budget_s: limits.probe_budget_s(),
            class_rates_bytes_s,
            hash_key,
            routes: ways.routes.clone(),
        }
    }
}

/// Whether two configurations are the same to the program.
pub fn same(a: &xdp::Config, b: &xdp::Config) -> bool {
    let times =
        |it: &xdp::Config| (it.max_datagram, it.answer_lifetime_s, it.ticket_lifetime_s, it.probe_budget_s);
    let secrets = a.keys == b.keys && a.minting == b.minting && a.hash_key == b.hash_key;
    let addresses = a.listen_v4 == b.listen_v4
        && a.listen_v6 == b.listen_v6
        && a.own == b.own
        && a.broadcasts == b.broadcasts
        && a.host == b.host;
    let lists = a.allow_destination == b.allow_destination
        && a.deny_destination == b.deny_destination
        && a.deny_source == b.deny_source;
    let limits = times(a) == times(b) && a.class_rates_bytes_s == b.class_rates_bytes_s;
    secrets && addresses && lists && limits && a.routes == b.routes
}

fn blocks(blocks: &[Block]) -> Vec<(std::net::IpAddr, u8)> {
    blocks.iter().map(|block| (block.first(), block.prefix())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::SETTINGS;
    use engine::host::addresses::Addresses;
    use engine::host::interfaces::Interface;
    use program::settings::texts::{Origin, Raw, Texts};
    use wire::{KeyRing, Revoked};

    fn texts(pairs: &[(&'static str, &str)]) -> Texts {
        let mut texts = Texts::default();
        for (key, text) in pairs {
            texts.set(key, vec![Raw { text: String::from(*text), origin: Origin::Flag }]);
        }
        texts.or_defaults(&SETTINGS)
    }

    fn made(pairs: &[(&'static str, &str)], keys: &[(u8, [u8; 16])]) -> xdp::Config {
        let common = [("listen", "0.0.0.0:3478"), ("keys", "ring.toml")];
        let config = Config::check(&texts(&[&common, pairs].concat())).unwrap();
        let interface = Interface {
            name: String::from("r0"),
            address: "198.51.100.2".parse().unwrap(),
            prefix: 24,
            broadcast: Some([198, 51, 100, 255].into()),
            loopback: false,
        };
        let host = Addresses::new(vec![interface], vec![("203.0.113.128".parse().unwrap(), 25)]);
        let around = Surroundings { listening: &config.listen, host: &host, revoked: &Revoked::default() };
        let rules = Rules::new(&config, KeyRing::new(keys).unwrap(), &around);
        let basis = Basis { config: &config, rules: &rules, around };
        basis.config(&Ways::default(), [3; 16])
    }

    #[test]
    fn the_program_is_told_what_the_workers_know() {
        let flags =
            [("deny-source", "203.0.113.0/24"), ("allow-destination", "10.0.0.0/8"), ("probe-budget", "7")];
        let config = made(&flags, &[(9, [9; 16]), (2, [2; 16])]);
        assert_eq!((config.minting, config.keys[9], config.keys[2]), (9, Some([9; 16]), Some([2; 16])));
        assert_eq!(config.keys.iter().flatten().count(), 2);
        assert_eq!(config.listen_v4, Some("0.0.0.0:3478".parse().unwrap()));
        assert_eq!(config.listen_v6, None);
        assert_eq!(config.own, ["0.0.0.0:3478".parse::<SocketAddr>().unwrap()]);
        let host =
            [("198.51.100.2", 32), ("203.0.113.128", 25)].map(|(ip, bits)| (ip.parse().unwrap(), bits));
        assert_eq!(config.host, host);
        assert_eq!(config.broadcasts, [std::net::Ipv4Addr::new(198, 51, 100, 255)]);
        assert_eq!(config.deny_source, [("203.0.113.0".parse().unwrap(), 24)]);
        assert_eq!(config.allow_destination, [("10.0.0.0".parse().unwrap(), 8)]);
        assert_eq!((config.probe_budget_s, config.max_datagram, config.answer_lifetime_s), (7, 1_472, 300));
    }

    #[test]
    fn whatever_a_reload_may_change_makes_a_difference() {
        let keys = [(9, [9; 16])];
        let base = made(&[], &keys);
        assert!(same(&base, &made(&[], &keys)));
        let changes = [
            [("deny-source", "203.0.113.0/24")],
            [("deny-destination", "203.0.113.0/24")],
            [("allow-destination", "10.0.0.0/8")],
            [("probe-budget", "7")],
            [("answer-lifetime", "20s")],
            [("ticket-lifetime", "20s")],
        ];
        for change in changes {
            assert!(!same(&base, &made(&change, &keys)), "{change:?}");
        }
        assert!(!same(&base, &made(&[], &[(9, [8; 16])])), "another secret");
        assert!(!same(&base, &made(&[], &[(8, [9; 16])])), "another id");
    }
}
