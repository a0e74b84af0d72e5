//! Every case of the protocol's test vectors as a frame: same verdict, reason and bytes as the file says.

use crate::frame::{self, NEIGHBOUR};
use engine::xdp::{Answer, Config, Counts, Hop, Route, Xdp};
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use wire::revoked::{RevokedTable, Subject};
use wire::{Block, Reason, TransportAddress};

/// A case of the file.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) now: u32,
    pub(crate) source: SocketAddr,
    pub(crate) datagram: Vec<u8>,
    pub(crate) verdict: String,
    pub(crate) to: Option<SocketAddr>,
    pub(crate) emitted: Vec<u8>,
    allow: Vec<(IpAddr, u8)>,
    /// Addresses, and pairs of them, that were taken back.
    revoked: Vec<Vec<SocketAddr>>,
}

pub(crate) fn cases() -> (Config, Vec<Case>) {
    let file: Value = serde_json::from_str(include_str!("../../../docs/vectors/header.json")).unwrap();
    let mut config = served();
    for (place, key) in file["ring"].as_array().unwrap().iter().enumerate() {
        let id = key["id"].as_u64().unwrap() as usize;
        let secret = hex::decode(key["secret"].as_str().unwrap()).unwrap();
        config.keys[id] = Some(secret.try_into().unwrap());
        if place == 0 {
            config.minting = id as u8;
        }
    }
    let cases = file["cases"].as_array().unwrap().iter().map(case).collect();
    (config, cases)
}

fn case(value: &Value) -> Case {
    let text = |name: &str| value[name].as_str().unwrap_or_default();
    let socket = |name: &str| sockets(text(name)).first().copied();
    let allow = value["allow"].as_array().unwrap().iter().map(|it| {
        let block: Block = it.as_str().unwrap().parse().unwrap();
        (block.first(), block.prefix())
    });
    Case {
        name: text("name").to_owned(),
        now: value["now"].as_u64().unwrap() as u32,
        source: socket("source").unwrap(),
        datagram: hex::decode(text("datagram")).unwrap(),
        verdict: text("verdict").to_owned(),
        to: socket("to"),
        emitted: hex::decode(text("emitted")).unwrap(),
        allow: allow.collect(),
        revoked: value["revoked"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|it| sockets(it.as_str().unwrap()))
            .collect(),
    }
}

/// Each `address port` of a text.
fn sockets(text: &str) -> Vec<SocketAddr> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let socket = |both: &[&str]| SocketAddr::new(both[0].parse().unwrap(), both[1].parse().unwrap());
    words.chunks(2).map(socket).collect()
}

/// A table that holds what a case has revoked.
fn table(case: &Case) -> RevokedTable {
    let mut table = RevokedTable::new([3, 5, 9, 11]);
    let address = |socket: &SocketAddr| TransportAddress::from_socket(*socket).unwrap();
    for subject in &case.revoked {
        let ends: Vec<TransportAddress> = subject.iter().map(address).collect();
        let subject = match ends.as_slice() {
            [one] => Subject::Address(*one),
            [a, b] => Subject::pair(*a, *b),
            other => panic!("{other:?} is neither an address nor a pair"),
        };
        table.insert(&subject).unwrap();
    }
    table
}

/// Listeners of both families, and the neighbour as everybody's gateway.
pub(crate) fn served() -> Config {
    let mut config = Config::new();
    config.listen_v4 = Some("9.9.9.9:3478".parse().unwrap());
    config.listen_v6 = Some("[2620:fe::9]:3478".parse().unwrap());
    let hop = Hop::Gateway(NEIGHBOUR);
    config.routes =
        ["0.0.0.0", "::"].map(|network| Route { network: network.parse().unwrap(), prefix: 0, hop }).to_vec();
    config
}

pub(crate) fn local_of(config: &Config, source: SocketAddr) -> SocketAddr {
    if source.is_ipv4() { config.listen_v4.unwrap().into() } else { config.listen_v6.unwrap().into() }
}

pub(crate) fn total(xdp: &Xdp) -> Counts {
    xdp.counters().unwrap().into_iter().fold(Counts::default(), |mut sum, core| {
        assert_eq!(core.received, core.outcomes(), "conservation on each core");
        let add = |a: &mut engine::xdp::Count, b: engine::xdp::Count| {
            a.datagrams += b.datagrams;
            a.bytes += b.bytes;
        };
        add(&mut sum.received, core.received);
        add(&mut sum.relayed, core.relayed);
        add(&mut sum.observed, core.observed);
        add(&mut sum.passed, core.passed);
        sum.dropped.iter_mut().zip(core.dropped).for_each(|(a, b)| add(a, b));
        sum.keys.iter_mut().zip(core.keys).for_each(|(a, b)| *a += b);
        sum
    })
}

/// The reason by which the counters differ.
pub(crate) fn reason(before: &Counts, after: &Counts) -> Option<Reason> {
    let grown = before.dropped.iter().zip(after.dropped).position(|(a, b)| b.datagrams == a.datagrams + 1);
    grown.map(|place| Reason::ALL[place])
}

/// Sources that the stack refuses never reach the decision, so the program passes them up.
fn refused_by_the_stack(source: IpAddr) -> bool {
    match source {
        IpAddr::V4(ip) => {
            let first = ip.octets()[0];
            first == 0 || first == 127 || first >= 224 || ip.is_link_local()
        }
        IpAddr::V6(ip) => {
            ip.is_multicast()
                || ip.is_unspecified()
                || ip.is_loopback()
                || ip.is_unicast_link_local()
                || ip.to_ipv4_mapped().is_some()
        }
    }
}

fn crosses_families(case: &Case) -> bool {
    matches!(case.datagram.first(), Some(10 | 13))
        && case.datagram.len() >= 32
        && (case.datagram[8..20] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]) != case.source.is_ipv4()
}

pub(crate) fn all() {
    let (mut config, cases) = cases();
    let mut xdp = Xdp::load("lo", &config).unwrap();
    let (mut answered, mut dropped, mut passed) = (0, 0, 0);
    for case in &cases {
        if case.allow != config.allow_destination {
            config.allow_destination.clone_from(&case.allow);
            xdp.configure(&config).unwrap();
        }
        xdp.set_revoked(table(case).reader().words()).unwrap();
        xdp.fix_time(case.now, u64::from(answered) * 1_000_000_000);
        let local = local_of(&config, case.source);
        let frame = frame::build(xdp.mac(), case.source, local, &case.datagram);
        let before = total(&xdp);
        let run = xdp.run(&frame, 1).unwrap();
        let after = total(&xdp);
        let name = &case.name;
        match run.answer {
            Answer::Transmit => {
                let to = case.to.unwrap_or_else(|| panic!("{name}: {} was answered", case.verdict));
                let expected = frame::expected(xdp.mac(), local, to, &case.emitted);
                assert_eq!(hex::encode(&run.frame), hex::encode(expected), "{name}");
                let (was, is) = if case.verdict == "observe" {
                    (before.observed, after.observed)
                } else {
                    (before.relayed, after.relayed)
                };
                assert_eq!(is.datagrams, was.datagrams + 1, "{name}");
                answered += 1;
            }
            Answer::Drop => {
                let reason = reason(&before, &after).unwrap();
                assert_eq!(format!("drop {reason}"), case.verdict, "{name}");
                assert_eq!(run.frame, frame, "{name}: a dropped frame is left as it came");
                dropped += 1;
            }
            Answer::Pass => {
                assert!(
                    refused_by_the_stack(case.source.ip()) || crosses_families(case),
                    "{name} was passed"
                );
                assert_eq!(run.frame, frame, "{name}: a passed frame is left as it came");
                assert_eq!(after.passed.datagrams, before.passed.datagrams + 1, "{name}");
                passed += 1;
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    assert_eq!(answered + dropped + passed, u32::try_from(cases.len()).unwrap());
    assert!(answered > 200 && dropped > 500 && passed < 260, "{answered} {dropped} {passed}");
}

/// In a table that is half full an entry may stand in either of its two buckets; which one, the seed decides.
pub(crate) fn revoked_among_many() {
    let (mut xdp, config, cases) = answered_cases();
    let address = |socket: SocketAddr| TransportAddress::from_socket(socket).unwrap();
    let chosen = [(true, 0x0a), (false, 0x0a), (true, 0x0d), (false, 0x0d)].map(|(is_ipv4, kind)| {
        let fits = |it: &&Case| it.source.is_ipv4() == is_ipv4 && it.datagram.first() == Some(&kind);
        cases.iter().find(fits).unwrap()
    });
    for seed in 1..=6_u64 {
        let mut table = RevokedTable::new([0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9, seed, !seed]);
        let stranger = |host: u32| address(SocketAddr::from((Ipv4Addr::from(0x2d00_0000 + host), 4_000)));
        (0..30_000).for_each(|host| table.insert(&Subject::Address(stranger(host))).unwrap());
        for case in chosen {
            xdp.fix_time(case.now, seed << 32);
            let name = format!("{}, seed {seed}", case.name);
            let frame = frame::build(xdp.mac(), case.source, local_of(&config, case.source), &case.datagram);
            let (source, to) = (address(case.source), address(case.to.unwrap()));
            xdp.set_revoked(table.reader().words()).unwrap();
            assert_eq!(xdp.run(&frame, 1).unwrap().answer, Answer::Transmit, "{name}");
            for subject in [Subject::Address(source), Subject::Address(to), Subject::pair(source, to)] {
                table.insert(&subject).unwrap();
                xdp.set_revoked(table.reader().words()).unwrap();
                let before = total(&xdp);
                assert_eq!(xdp.run(&frame, 1).unwrap().answer, Answer::Drop, "{name}, {subject:?}");
                assert_eq!(reason(&before, &total(&xdp)), Some(Reason::Revoked), "{name}");
                table.remove(&subject);
            }
        }
    }
}

fn answered_cases() -> (Xdp, Config, Vec<Case>) {
    let (config, mut cases) = cases();
    cases.retain(|case| {
        case.to.is_some_and(|to| to.is_ipv4() == case.source.is_ipv4()) && case.allow.is_empty()
    });
    (Xdp::load("lo", &config).unwrap(), config, cases)
}

/// The checksum's error, whatever it was, is the same after as before.
pub(crate) fn wrong_checksums_stay_wrong() {
    let (mut xdp, config, cases) = answered_cases();
    for (case, error) in cases.iter().zip((1_u16..).map(|n| n.wrapping_mul(2557) | 1)) {
        xdp.fix_time(case.now, u64::from(error) << 32);
        let mut frame = frame::build(xdp.mac(), case.source, local_of(&config, case.source), &case.datagram);
        let at = frame::payload_at(&frame) - 2;
        let right = u16::from_be_bytes([frame[at], frame[at + 1]]);
        let wrong = if right.wrapping_add(error) == 0 { 1 } else { right.wrapping_add(error) };
        frame[at..at + 2].copy_from_slice(&wrong.to_be_bytes());
        let before = frame::udp_sum(&frame);
        let run = xdp.run(&frame, 1).unwrap();
        assert_eq!(run.answer, Answer::Transmit, "{}", case.name);
        assert_ne!(before, 0xffff);
        assert_eq!(frame::udp_sum(&run.frame), before, "{}", case.name);
    }
}

/// IPv4 alone may leave it out; IPv6 without one is for the stack to refuse.
pub(crate) fn absent_checksum_stays_absent() {
    let (mut xdp, config, cases) = answered_cases();
    for (case, n) in cases.iter().zip(1_u64..) {
        xdp.fix_time(case.now, n << 30);
        let mut frame = frame::build(xdp.mac(), case.source, local_of(&config, case.source), &case.datagram);
        let at = frame::payload_at(&frame) - 2;
        frame[at..at + 2].fill(0);
        let run = xdp.run(&frame, 1).unwrap();
        if case.source.is_ipv4() {
            assert_eq!(run.answer, Answer::Transmit, "{}", case.name);
            assert_eq!(run.frame[at..at + 2], [0, 0], "{}", case.name);
        } else {
            assert_eq!((run.answer, run.frame), (Answer::Pass, frame), "{}", case.name);
        }
    }
}
