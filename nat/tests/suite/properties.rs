//! Random traffic against a slow NAT that keeps a log and looks everything up in it, and random mixes.
//!
//! * The log knows only what was sent, when, and which external port was seen; from that RFC 4787 tells what may
//!   happen next.
//! * It shares no code with the machine: remotes are compared as texts of the behaviours say.

use nat::{Behaviour, InboundRefusal, Mix, Nat, OutboundRefusal, PortChoice, PortPool, Rules, Settings};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

/// One thing that happens to a NAT.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// An inside host sends to a remote.
    Send {
        inside: usize,
        remote: usize,
    },
    /// A remote sends to the external port at this place of the pool.
    Receive {
        remote: usize,
        place: u16,
    },
    Wait {
        by_ms: u64,
    },
}

/// A line of the log: this pinhole was used.
#[derive(Clone, Copy, Debug)]
struct Use {
    at_ms: u64,
    inside: SocketAddr,
    remote: SocketAddr,
    port: u16,
}

/// The slow NAT.
struct Log {
    uses: Vec<Use>,
    settings: Settings,
    mapping: &'static str,
    filtering: &'static str,
    now_ms: u64,
}

impl Log {
    fn new(settings: Settings) -> Self {
        let text = settings.behaviour.to_string();
        let one_of =
            |names: [&'static str; 3], part: &str| names.into_iter().find(|name| *name == part).unwrap();
        let (mapping, filtering) = text.split_once('/').unwrap();
        Self {
            mapping: one_of(["eim", "adm", "apdm"], mapping),
            filtering: one_of(["eif", "adf", "apdf"], filtering),
            uses: Vec::new(),
            settings,
            now_ms: 0,
        }
    }

    fn living(&self) -> impl Iterator<Item = Use> {
        self.uses.iter().copied().filter(|each| self.now_ms - each.at_ms < self.settings.mapping_timeout_ms)
    }

    fn is_same(rule: &str, one: SocketAddr, other: SocketAddr) -> bool {
        match rule {
            "eim" | "eif" => true,
            "adm" | "adf" => one.ip() == other.ip(),
            _ => one == other,
        }
    }

    /// Whether both rules see no difference, so that one pinhole serves both remotes.
    fn is_one_pinhole(&self, one: SocketAddr, other: SocketAddr) -> bool {
        Self::is_same(self.mapping, one, other) && Self::is_same(self.filtering, one, other)
    }

    /// Whether another inside host would get what the remote sends to this port.
    fn is_others(&self, port: u16, inside: SocketAddr, remote: SocketAddr) -> bool {
        self.living().any(|each| {
            each.port == port && each.inside != inside && Self::is_same(self.filtering, each.remote, remote)
        })
    }

    fn is_free(&self, port: u16, inside: SocketAddr, remote: SocketAddr) -> bool {
        let mut there = self.living().filter(|each| each.port == port);
        if self.settings.overload_ports {
            there.all(|each| each.inside != inside) && !self.is_others(port, inside, remote)
        } else {
            there.next().is_none()
        }
    }

    /// Ports that the inside host's mapping towards the remote has now and may keep.
    fn own_ports(&self, inside: SocketAddr, remote: SocketAddr) -> BTreeSet<u16> {
        let own = self.living().filter(|each| each.inside == inside);
        let own = own.filter(|each| Self::is_same(self.mapping, each.remote, remote)).map(|each| each.port);
        own.filter(|port| !self.is_others(*port, inside, remote)).collect()
    }

    /// How many pinholes live, and whether this one is among them.
    fn pinholes(&self, inside: SocketAddr, remote: SocketAddr) -> (usize, bool) {
        let mut distinct: Vec<Use> = Vec::new();
        for each in self.living() {
            let known =
                |other: &Use| other.inside == each.inside && self.is_one_pinhole(other.remote, each.remote);
            if !distinct.iter().any(known) {
                distinct.push(each);
            }
        }
        let this = |each: &Use| each.inside == inside && self.is_one_pinhole(each.remote, remote);
        (distinct.len(), distinct.iter().any(this))
    }

    /// Judges what the machine made of a datagram that leaves, and notes it.
    fn sent(&mut self, inside: SocketAddr, remote: SocketAddr, found: Result<SocketAddr, OutboundRefusal>) {
        let own = self.own_ports(inside, remote);
        let (count, exists) = self.pinholes(inside, remote);
        let full = !exists && count >= self.settings.pinhole_limit;
        match found {
            Ok(source) => {
                assert!(!full, "more pinholes than allowed");
                assert!(self.settings.ports.contains(source.port()));
                if own.is_empty() {
                    assert!(self.is_free(source.port(), inside, remote), "{source} is taken");
                } else {
                    assert!(own.contains(&source.port()), "{source} is not the mapping's: {own:?}");
                }
                assert!(self.settings.overload_ports || own.len() <= 1);
                self.uses.push(Use { at_ms: self.now_ms, inside, remote, port: source.port() });
            }
            Err(OutboundRefusal::TableFull) => assert!(full, "{count} pinholes are not the limit"),
            Err(OutboundRefusal::NoPort) => {
                assert!(!full && own.is_empty());
                assert!(POOL.into_iter().all(|port| !self.is_free(port, inside, remote)), "a port was free");
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    /// Judges what the machine made of a datagram that arrives, and notes it where it refreshes.
    fn received(&mut self, remote: SocketAddr, port: u16, found: Result<SocketAddr, InboundRefusal>) {
        let there: Vec<Use> = self.living().filter(|each| each.port == port).collect();
        let admitting: Vec<Use> = there
            .iter()
            .copied()
            .filter(|each| {
                let fresh = self.now_ms - each.at_ms < self.settings.filter_timeout_ms;
                self.filtering == "eif" || (fresh && Self::is_same(self.filtering, each.remote, remote))
            })
            .collect();
        let receivers: BTreeSet<_> = admitting.iter().map(|each| each.inside).collect();
        assert!(receivers.len() <= 1, "{port} leads to {receivers:?}");
        match (receivers.first(), there.is_empty()) {
            (Some(inside), _) => assert_eq!(found, Ok(*inside)),
            (None, false) => assert_eq!(found, Err(InboundRefusal::Filtered)),
            (None, true) => {
                assert!(matches!(found, Err(InboundRefusal::NoMapping | InboundRefusal::Expired)));
            }
        }
        if let Some(last) = admitting.last().filter(|_| self.settings.refresh_inbound) {
            self.uses.push(Use { at_ms: self.now_ms, ..*last });
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..INSIDE.len(), 0..REMOTES.len()).prop_map(|(inside, remote)| Event::Send { inside, remote }),
        6 => (0..REMOTES.len(), 0..POOL_PORTS).prop_map(|(remote, place)| Event::Receive { remote, place }),
        1 => (0..70_u64).prop_map(|by_ms| Event::Wait { by_ms }),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    let behaviour = prop::sample::select(&Behaviour::ALL[1..]);
    let choice =
        prop_oneof![Just(PortChoice::Sequential), any::<u64>().prop_map(|seed| PortChoice::Random { seed })];
    (behaviour, choice, any::<[bool; 3]>(), 1..=100_u64, 1..16_usize).prop_map(
        |(
            behaviour,
            port_choice,
            [preserve_port, overload, refresh_inbound],
            filter_timeout_ms,
            pinhole_limit,
        )| {
            Settings {
                ports: PortPool::new(&[POOL]).unwrap(),
                port_choice,
                preserve_port,
                overload_ports: overload && !behaviour.admits_strangers(),
                refresh_inbound,
                mapping_timeout_ms: 100,
                filter_timeout_ms,
                pinhole_limit,
                ..Settings::of(behaviour)
            }
        },
    )
}

/// Ten shares that sum to 100 %: the gaps between sorted cuts.
fn shares() -> impl Strategy<Value = Vec<u32>> {
    let cut = prop_oneof![0..=10_000_u32, (0..=100_u32).prop_map(|percent| percent * 100)];
    prop::collection::vec(cut, 9).prop_map(|mut cuts| {
        cuts.extend([0, 10_000]);
        cuts.sort_unstable();
        cuts.windows(2).map(|pair| pair[1] - pair[0]).collect()
    })
}

fn mix_of(shares: &[u32]) -> Mix {
    let part =
        |(behaviour, share): (Behaviour, &u32)| format!("{behaviour}={}.{:02}%", share / 100, share % 100);
    let parts: Vec<String> = Behaviour::ALL.into_iter().zip(shares).map(part).collect();
    parts.join(",").parse().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_traffic_is_treated_as_the_log_demands(
        settings in settings(),
        events in prop::collection::vec(event(), 1..200),
    ) {
        let external = "203.0.113.1".parse().unwrap();
        let mut nat = Nat::new(Arc::new(Rules::new(settings.clone()).unwrap()), external);
        let mut log = Log::new(settings);
        for event in events {
            match event {
                Event::Send { inside, remote } => {
                    let (inside, remote) = (SocketAddr::from(INSIDE[inside]), SocketAddr::from(REMOTES[remote]));
                    let found = nat.outbound(inside, remote, log.now_ms);
                    log.sent(inside, remote, found);
                }
                Event::Receive { remote, place } => {
                    let (remote, port) = (SocketAddr::from(REMOTES[remote]), POOL.start() + place);
                    let found = nat.inbound(remote, SocketAddr::new(external, port), log.now_ms);
                    log.received(remote, port, found);
                }
                Event::Wait { by_ms } => log.now_ms += by_ms,
            }
            prop_assert!(nat.pinholes(log.now_ms).count() <= log.settings.pinhole_limit);
        }
    }

    #[test]
    fn whom_nobody_called_enters_only_where_eif_or_open_lets_him(
        behaviour in prop::sample::select(&Behaviour::ALL[..]),
        sent_to in prop::collection::vec(0..REMOTES.len(), 1..4),
        from in any::<([u8; 4], u16)>(),
        to_port in any::<u16>(),
    ) {
        let external = "203.0.113.1".parse().unwrap();
        let mut nat = Nat::new(Arc::new(Rules::new(Settings::of(behaviour)).unwrap()), external);
        let open = behaviour == Behaviour::Open;
        let inside = if open { SocketAddr::new(external, 4000) } else { SocketAddr::from(INSIDE[0]) };
        let contacts: BTreeSet<_> =
            sent_to.iter().map(|remote| nat.outbound(inside, REMOTES[*remote].into(), 0).unwrap()).collect();
        let stranger = SocketAddr::from(from);
        prop_assume!(REMOTES.iter().all(|remote| SocketAddr::from(*remote).ip() != stranger.ip()));
        for contact in &contacts {
            let admitted = nat.inbound(stranger, *contact, 0).is_ok();
            prop_assert_eq!(admitted, behaviour.admits_strangers());
        }
        let elsewhere = SocketAddr::new(external, to_port);
        prop_assume!(!contacts.contains(&elsewhere));
        for remote in REMOTES {
            let entered = nat.inbound(remote.into(), elsewhere, 0);
            prop_assert_eq!(entered, if open { Ok(elsewhere) } else { Err(InboundRefusal::NoMapping) });
        }
    }

    #[test]
    fn any_text_is_a_value_or_an_error_of_one_short_line(text in any::<String>()) {
        let errors = [text.parse::<Behaviour>().err(), text.parse::<Mix>().err()];
        for error in errors.into_iter().flatten() {
            let message = error.to_string();
            prop_assert!(message.chars().all(|letter| !letter.is_control()));
            // Each of 40 quoted characters may be escaped in ten.
            prop_assert!(message.chars().count() < 600);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_prefix_of_an_assignment_has_its_exact_shares(shares in shares()) {
        let mix = mix_of(&shares);
        // Tijdeman's bound for m parts: off by at most 1 - 1 / (2m - 2); with one part, by nothing.
        let parts = u64::try_from(mix.shares().count()).unwrap();
        let (most, of) = if parts == 1 { (0, 1) } else { (2 * parts - 3, 2 * parts - 2) };
        prop_assert_eq!(mix.to_string().parse(), Ok(mix));
        let assignment = mix.assignment();
        let mut counts = [0_u32; Behaviour::ALL.len()];
        for hosts in 1..=10_000_u32 {
            let behaviour = assignment.behaviour_of(hosts as usize - 1);
            counts[Behaviour::ALL.into_iter().position(|each| each == behaviour).unwrap()] += 1;
            for (count, share) in counts.iter().zip(&shares) {
                let off = u64::from((count * 10_000).abs_diff(share * hosts));
                prop_assert!(off * of <= most * 10_000, "{count} of {hosts} at {share}");
            }
        }
        prop_assert_eq!(counts.as_slice(), shares.as_slice());
    }
}

const INSIDE: [([u8; 4], u16); 4] =
    [([10, 0, 0, 1], 5001), ([10, 0, 0, 1], 5002), ([10, 0, 0, 2], 5001), ([10, 0, 0, 3], 9)];
const REMOTES: [([u8; 4], u16); 5] =
    [([192, 0, 2, 1], 1), ([192, 0, 2, 1], 2), ([192, 0, 2, 2], 1), ([192, 0, 2, 2], 2), ([192, 0, 2, 3], 1)];
const POOL_PORTS: u16 = 6;
const POOL: std::ops::RangeInclusive<u16> = 5000..=5000 + POOL_PORTS - 1;
