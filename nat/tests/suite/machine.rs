//! One NAT, case by case: mapping, filtering, time-outs, ports, overloading, hairpinning, sizes, allocations.
//!
//! * Addresses are documentation addresses; time begins at 0.

use nat::{
    Behaviour, Hairpin, HairpinRefusal, InboundRefusal, Nat, OutboundRefusal, Pinhole, PortChoice, PortPool,
    Rules, Settings, Towards,
};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn behaviour(text: &str) -> Behaviour {
    text.parse().unwrap()
}

fn nat(settings: Settings) -> Nat {
    Nat::new(Arc::new(Rules::new(settings).unwrap()), EXTERNAL.parse().unwrap())
}

fn plain(text: &str) -> Nat {
    nat(Settings::of(behaviour(text)))
}

fn pool(first: u16, last: u16) -> PortPool {
    PortPool::new(&[first..=last]).unwrap()
}

#[test]
fn mapping_depends_on_exactly_what_it_names() {
    let inside = at("10.0.0.1:4000");
    for text in Behaviour::ALL.iter().skip(1).map(ToString::to_string) {
        let mut nat = plain(&text);
        let mut source = |remote: &str| nat.outbound(inside, at(remote), 0).unwrap();
        let first = source("192.0.2.1:1000");
        let other_port = source("192.0.2.1:2000");
        let other_address = source("192.0.2.2:1000");
        assert_eq!(first, source("192.0.2.1:1000"), "{text}");
        assert_eq!(first == other_port, !text.starts_with("apdm"), "{text}");
        assert_eq!(first == other_address, text.starts_with("eim"), "{text}");
        assert_eq!(first.ip().to_string(), EXTERNAL);
        assert_ne!(nat.outbound(at("10.0.0.1:4001"), at("192.0.2.1:1000"), 0), Ok(first), "{text}");
        assert_ne!(nat.outbound(at("10.0.0.2:4000"), at("192.0.2.1:1000"), 0), Ok(first), "{text}");
    }
}

#[test]
fn filtering_admits_exactly_whom_it_names() {
    let inside = at("10.0.0.1:4000");
    for text in Behaviour::ALL.iter().skip(1).map(ToString::to_string) {
        let mut nat = plain(&text);
        assert_eq!(
            nat.inbound(at("192.0.2.1:1000"), at("203.0.113.1:1024"), 0),
            Err(InboundRefusal::NoMapping)
        );
        let contact = nat.outbound(inside, at("192.0.2.1:1000"), 0).unwrap();
        let mut enters = |remote: &str| match nat.inbound(at(remote), contact, 0) {
            Ok(receiver) => receiver == inside,
            Err(refusal) => {
                assert_eq!(refusal, InboundRefusal::Filtered, "{text}");
                false
            }
        };
        assert!(enters("192.0.2.1:1000"), "{text}");
        assert_eq!(enters("192.0.2.1:2000"), !text.ends_with("apdf"), "{text}");
        assert_eq!(enters("192.0.2.2:1000"), text.ends_with("eif"), "{text}");
    }
}

#[test]
fn a_filter_belongs_to_one_mapping() {
    let mut nat = plain("apdm/adf");
    let inside = at("10.0.0.1:4000");
    let to_reflector = nat.outbound(inside, at("198.51.100.7:3478"), 0).unwrap();
    let to_peer = nat.outbound(inside, at("192.0.2.1:1000"), 0).unwrap();
    assert_eq!(nat.inbound(at("192.0.2.1:9999"), to_peer, 0), Ok(inside));
    assert_eq!(nat.inbound(at("192.0.2.1:1000"), to_reflector, 0), Err(InboundRefusal::Filtered));
}

#[test]
fn a_mapping_lives_120_s_after_the_last_datagram_out() {
    let (inside, remote) = (at("10.0.0.1:4000"), at("192.0.2.1:1000"));
    let mut nat = plain("eim/apdf");
    let contact = nat.outbound(inside, remote, 1_000).unwrap();
    assert_eq!(nat.inbound(remote, contact, 120_999), Ok(inside));
    assert_eq!(nat.inbound(remote, contact, 121_000), Err(InboundRefusal::Expired));
    assert_eq!(nat.outbound(inside, remote, 120_999), Ok(contact));
    assert_eq!(
        nat.inbound(remote, contact, 240_998),
        Ok(inside),
        "inbound does not refresh unless it is set to"
    );
    assert_eq!(nat.inbound(remote, contact, 240_999), Err(InboundRefusal::Expired));
    let renewed = nat.outbound(inside, remote, 240_999).unwrap();
    assert_ne!(renewed, contact, "a sequential NAT goes on to the next port");
    assert_eq!(nat.inbound(remote, contact, 240_999), Err(InboundRefusal::NoMapping), "reclaimed");
    assert_eq!(nat.outbound(inside, remote, 0), Ok(renewed), "a clock that goes back makes nothing older");
    assert_eq!(nat.inbound(remote, renewed, 360_998), Ok(inside));
}

#[test]
fn inbound_refreshes_where_it_is_set_to_and_only_if_admitted() {
    let (inside, remote, stranger) = (at("10.0.0.1:4000"), at("192.0.2.1:1000"), at("192.0.2.2:1"));
    let mut nat = nat(Settings { refresh_inbound: true, ..Settings::of(behaviour("eim/apdf")) });
    let contact = nat.outbound(inside, remote, 0).unwrap();
    assert_eq!(nat.inbound(remote, contact, 100_000), Ok(inside));
    assert_eq!(nat.inbound(stranger, contact, 200_000), Err(InboundRefusal::Filtered));
    assert_eq!(nat.inbound(remote, contact, 219_999), Ok(inside));
    assert_eq!(nat.inbound(remote, contact, 339_999), Err(InboundRefusal::Expired));
}

#[test]
fn a_filter_forgets_each_remote_in_its_own_time() {
    let (inside, old, new) = (at("10.0.0.1:4000"), at("192.0.2.1:1000"), at("192.0.2.2:1000"));
    let settings = |text| Settings { filter_timeout_ms: 30_000, ..Settings::of(behaviour(text)) };
    let mut filtered = nat(settings("eim/adf"));
    let contact = filtered.outbound(inside, old, 0).unwrap();
    assert_eq!(filtered.outbound(inside, new, 20_000), Ok(contact));
    assert_eq!(filtered.inbound(old, contact, 29_999), Ok(inside));
    assert_eq!(filtered.inbound(old, contact, 30_000), Err(InboundRefusal::Filtered));
    assert_eq!(filtered.inbound(new, contact, 30_000), Ok(inside));
    assert_eq!(filtered.inbound(new, contact, 50_000), Err(InboundRefusal::Filtered));
    assert_eq!(filtered.outbound(inside, old, 139_999), Ok(contact), "the mapping outlives its filter");
    assert_eq!(filtered.inbound(old, contact, 139_999), Ok(inside));

    let mut unfiltered = nat(settings("eim/eif"));
    let contact = unfiltered.outbound(inside, old, 0).unwrap();
    assert_eq!(unfiltered.inbound(new, contact, 119_999), Ok(inside), "EIF has nothing to forget");
}

#[test]
fn ports_come_in_sequence_from_the_pool_or_as_the_inside_host_has_them() {
    let remote = at("192.0.2.1:1000");
    let ports = PortPool::new(&[5000..=5001, 6000..=6000]).unwrap();
    let settings = Settings { ports, ..Settings::of(behaviour("apdm/apdf")) };
    let mut sequential = nat(settings.clone());
    let drawn: Vec<_> =
        (1..=4).map(|port| sequential.outbound(SocketAddr::from(([10, 0, 0, 1], port)), remote, 0)).collect();
    let external = |port| Ok(SocketAddr::new(EXTERNAL.parse().unwrap(), port));
    assert_eq!(drawn, [external(5000), external(5001), external(6000), Err(OutboundRefusal::NoPort)]);
    assert_eq!(
        sequential.outbound(at("10.0.0.1:4"), remote, 120_000),
        external(5000),
        "expired ports come back"
    );

    let mut preserving = nat(Settings { preserve_port: true, ..settings });
    assert_eq!(preserving.outbound(at("10.0.0.1:6000"), remote, 0), external(6000));
    assert_eq!(preserving.outbound(at("10.0.0.2:6000"), remote, 0), external(5000), "taken");
    assert_eq!(preserving.outbound(at("10.0.0.1:7000"), remote, 0), external(5001), "not in the pool");
}

#[test]
fn random_ports_are_free_ports_of_the_pool_in_no_order() {
    let settings = Settings {
        port_choice: PortChoice::Random { seed: 1 },
        ports: pool(2000, 2049),
        ..Settings::of(behaviour("apdm/adf"))
    };
    let drawn = |mut nat: Nat| -> Vec<u16> {
        let remotes = (1..=50).map(|port| SocketAddr::from(([192, 0, 2, 1], port)));
        remotes.map(|remote| nat.outbound(at("10.0.0.1:4000"), remote, 0).unwrap().port()).collect()
    };
    let ports = drawn(nat(settings.clone()));
    assert_eq!(ports, drawn(nat(settings.clone())), "repeatable");
    assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 50);
    assert!(ports.iter().all(|port| (2000..=2049).contains(port)));
    assert!(!ports.is_sorted());
    let reseeded = Settings { port_choice: PortChoice::Random { seed: 2 }, ..settings };
    assert_ne!(ports, drawn(nat(reseeded)));
}

#[test]
fn pinholes_are_bounded_and_reclaimed() {
    let mut nat = nat(Settings { pinhole_limit: 2, ..Settings::of(behaviour("eim/apdf")) });
    let inside = at("10.0.0.1:4000");
    let contact = nat.outbound(inside, at("192.0.2.1:1"), 0).unwrap();
    assert_eq!(nat.outbound(inside, at("192.0.2.1:2"), 60_000), Ok(contact));
    assert_eq!(nat.outbound(inside, at("192.0.2.1:3"), 60_000), Err(OutboundRefusal::TableFull));
    assert_eq!(nat.outbound(inside, at("192.0.2.1:2"), 60_000), Ok(contact), "what exists goes on");
    assert_eq!(
        nat.outbound(inside, at("192.0.2.1:3"), 120_000),
        Ok(contact),
        "one has expired, the mapping has not"
    );
    let hole = |port, expires_ms| Pinhole {
        inside,
        external: contact,
        towards: Towards::TransportAddress(SocketAddr::from(([192, 0, 2, 1], port))),
        expires_ms,
    };
    assert_eq!(nat.pinholes(120_000).collect::<Vec<_>>(), [hole(2, 180_000), hole(3, 240_000)]);
    assert_eq!(nat.pinholes(180_000).collect::<Vec<_>>(), [hole(3, 240_000)]);
    assert_eq!(nat.pinholes(240_000).count(), 0);
}

#[test]
fn a_pinhole_remembers_as_much_of_the_remote_as_it_compares() {
    let remote = at("192.0.2.1:1000");
    for (text, towards) in [
        ("eim/eif", Towards::Everyone),
        ("eim/adf", Towards::Address(remote.ip())),
        ("adm/eif", Towards::Address(remote.ip())),
        ("adm/apdf", Towards::TransportAddress(remote)),
        ("apdm/eif", Towards::TransportAddress(remote)),
    ] {
        let mut nat = plain(text);
        nat.outbound(at("10.0.0.1:4000"), remote, 0).unwrap();
        assert_eq!(nat.pinholes(0).map(|pinhole| pinhole.towards).collect::<Vec<_>>(), [towards], "{text}");
    }
}

#[test]
fn overloading_shares_a_port_between_inside_hosts_towards_two_reflectors() {
    let mut nat =
        nat(Settings { overload_ports: true, preserve_port: true, ..Settings::of(behaviour("eim/apdf")) });
    let (one, two) = (at("10.0.0.1:4000"), at("10.0.0.2:4000"));
    let (first, second) = (at("198.51.100.7:3478"), at("198.51.100.8:3478"));
    let contact = nat.outbound(one, first, 0).unwrap();
    assert_eq!(contact, at("203.0.113.1:4000"));
    assert_eq!(nat.outbound(two, second, 0), Ok(contact), "the same contact for two hosts");
    assert_eq!(nat.inbound(first, contact, 0), Ok(one));
    assert_eq!(nat.inbound(second, contact, 0), Ok(two));
    assert_eq!(nat.inbound(at("192.0.2.1:1"), contact, 0), Err(InboundRefusal::Filtered));

    // EIM is a best effort now: this port is the other host's towards this reflector.
    let other = nat.outbound(two, first, 0).unwrap();
    assert_ne!(other, contact);
    assert_eq!(nat.inbound(first, other, 0), Ok(two));
    assert_eq!(nat.inbound(first, contact, 0), Ok(one));
    assert_eq!(nat.outbound(two, second, 0), Ok(contact), "what exists stays where it is");
}

#[test]
fn overloading_under_address_dependent_filtering_needs_another_address() {
    let mut nat =
        nat(Settings { overload_ports: true, ports: pool(5000, 5000), ..Settings::of(behaviour("adm/adf")) });
    let contact = nat.outbound(at("10.0.0.1:1"), at("192.0.2.1:1000"), 0).unwrap();
    assert_eq!(nat.outbound(at("10.0.0.2:1"), at("192.0.2.1:2000"), 0), Err(OutboundRefusal::NoPort));
    assert_eq!(nat.outbound(at("10.0.0.2:1"), at("192.0.2.2:1000"), 0), Ok(contact));
    assert_eq!(nat.outbound(at("10.0.0.2:1"), at("192.0.2.3:1000"), 0), Err(OutboundRefusal::NoPort), "ADM");
    assert_eq!(nat.inbound(at("192.0.2.1:7"), contact, 0), Ok(at("10.0.0.1:1")));
    assert_eq!(nat.inbound(at("192.0.2.2:7"), contact, 0), Ok(at("10.0.0.2:1")));
}

#[test]
fn hairpinning_shows_the_external_source_and_obeys_the_filter() {
    let (one, two) = (at("10.0.0.1:4000"), at("10.0.0.2:4000"));
    let remote = at("192.0.2.1:1000");
    for (text, before_answering) in [("eim/eif", true), ("eim/apdf", false)] {
        let mut nat = nat(Settings { hairpinning: true, ..Settings::of(behaviour(text)) });
        let contact_one = nat.outbound(one, remote, 0).unwrap();
        let contact_two = nat.outbound(two, remote, 0).unwrap();
        assert_eq!(nat.outbound(one, contact_two, 0), Err(OutboundRefusal::OwnAddress));
        assert_eq!(nat.hairpin(one, remote, 0), Err(HairpinRefusal::NotOwnAddress));
        assert_eq!(nat.hairpin(one, at("203.0.113.1:9"), 0), Err(InboundRefusal::NoMapping.into()));
        let enters = Ok(Hairpin { source: contact_one, receiver: two });
        let filtered = Err(InboundRefusal::Filtered.into());
        assert_eq!(
            nat.hairpin(one, contact_two, 0),
            if before_answering { enters } else { filtered },
            "{text}"
        );
        assert_eq!(
            nat.hairpin(two, contact_one, 0),
            Ok(Hairpin { source: contact_two, receiver: one }),
            "{text}"
        );
        assert_eq!(nat.hairpin(one, contact_two, 0), enters, "{text}");
    }
    let mut off = plain("eim/eif");
    let contact = off.outbound(one, remote, 0).unwrap();
    assert_eq!(off.hairpin(two, contact, 0), Err(HairpinRefusal::Off));
    assert_eq!(off.pinholes(0).count(), 1, "a refused hairpin leaves nothing behind");
}

#[test]
fn an_open_host_passes_both_ways_unchanged_at_its_own_address() {
    let mut open = nat(Settings { hairpinning: true, ..Settings::of(Behaviour::Open) });
    let (host, stranger) = (at("203.0.113.1:4000"), at("192.0.2.1:1000"));
    assert_eq!(open.inbound(stranger, host, 0), Ok(host));
    assert_eq!(open.outbound(host, stranger, 0), Ok(host));
    assert_eq!(open.outbound(host, host, 0), Ok(host));
    assert_eq!(open.outbound(at("10.0.0.1:4000"), stranger, 0), Err(OutboundRefusal::NotInside));
    assert_eq!(open.inbound(stranger, at("203.0.113.2:4000"), 0), Err(InboundRefusal::NotOurs));
    assert_eq!(open.hairpin(host, host, 0), Err(HairpinRefusal::Off));
    assert_eq!(open.pinholes(0).count(), 0);
}

#[test]
fn one_family_inside_and_outside() {
    let (inside, remote, inside6, remote6) =
        (at("10.0.0.1:1"), at("192.0.2.1:1"), at("[fd00::1]:1"), at("[2001:db8::1]:1"));
    for text in ["open", "eim/eif", "apdm/apdf"] {
        let mut nat = plain(text);
        assert_eq!(nat.outbound(inside6, remote, 0), Err(OutboundRefusal::Family), "{text}");
        assert_eq!(nat.outbound(inside, remote6, 0), Err(OutboundRefusal::Family), "{text}");
        assert_eq!(nat.inbound(remote6, at("203.0.113.1:1024"), 0), Err(InboundRefusal::Family), "{text}");
        assert_eq!(nat.inbound(remote, at("203.0.113.2:1024"), 0), Err(InboundRefusal::NotOurs), "{text}");
        assert_eq!(nat.pinholes(0).count(), 0, "{text}");
    }
    let rules = Arc::new(Rules::new(Settings::of(behaviour("apdm/apdf"))).unwrap());
    let mut nat = Nat::new(rules, "2001:db8:a::1".parse().unwrap());
    let contact = nat.outbound(inside6, remote6, 0).unwrap();
    assert_eq!(contact, at("[2001:db8:a::1]:1024"));
    assert_eq!(nat.inbound(remote6, contact, 0), Ok(inside6));
    assert_eq!(nat.outbound(inside, remote, 0), Err(OutboundRefusal::Family));
    assert_eq!(nat.external(), "2001:db8:a::1".parse::<IpAddr>().unwrap());
    assert_eq!(nat.rules().settings().behaviour, behaviour("apdm/apdf"));
}

#[test]
fn a_nat_of_one_mapping_is_88_bytes_in_all() {
    assert_eq!(size_of::<Nat>(), 88);
    let (inside, remote) = (at("10.0.0.1:4000"), at("192.0.2.1:1000"));
    for text in Behaviour::ALL.iter().skip(1).map(ToString::to_string) {
        let mut nat = plain(&text);
        let allocated = allocation_counter::measure(|| {
            // Opened, used both ways, expired, opened again: the table never leaves its inline form.
            for now_ms in [0, 1, 500_000, 500_001] {
                let contact = nat.outbound(inside, remote, now_ms).unwrap();
                assert_eq!(nat.inbound(remote, contact, now_ms), Ok(inside));
            }
        });
        assert_eq!(allocated.count_total, 0, "{text}");
    }
}

#[test]
fn a_full_nat_allocates_nothing_more() {
    let mut nat =
        nat(Settings { port_choice: PortChoice::Random { seed: 3 }, ..Settings::of(behaviour("apdm/apdf")) });
    let inside = at("10.0.0.1:4000");
    let remote = |port| SocketAddr::from(([192, 0, 2, 1], port));
    let mut round = |first: u16, now_ms| {
        for port in first..first + 64 {
            let contact = nat.outbound(inside, remote(port), now_ms).unwrap();
            assert_eq!(nat.inbound(remote(port), contact, now_ms), Ok(inside));
        }
    };
    let filling = allocation_counter::measure(|| round(1, 0));
    assert!(filling.count_total > 0, "the counter counts");
    let later = allocation_counter::measure(|| {
        round(1, 60_000);
        // All expired, all others: the memory is used again.
        round(1000, 500_000);
        round(2000, 1_000_000);
    });
    assert_eq!(later.count_total, 0);
}

const EXTERNAL: &str = "203.0.113.1";
