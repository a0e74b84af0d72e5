//! The policy against the table: all of IPv4, all ports, and every way to write IPv4 inside IPv6.
//!
//! * IPv4 is exhaustive: 2^32 addresses for each policy walked, on all cores.
//! * IPv6 is walked at every boundary and sampled within every block.

use crate::oracle::capability;
use crate::random::Random;
use crate::setup::{TABLES, address, blocks, policy_of};
use crate::table::{Cidr, NEVER_V4, NEVER_V6, SPECIAL_V4, SPECIAL_V6, Table};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use wire::{Block, BlockSet, Header, KeyRing, Kind, Policy, Reason, TransportAddress, Verdict, decide};

#[test]
fn t3_all_ipv4_addresses_equal_the_table_by_default() {
    // All that is globally reachable, less the 257 addresses of this host.
    assert_eq!(walk(&TABLES[0]), 3_702_258_431 - 257);
}

#[test]
fn t3_all_ipv4_addresses_equal_the_table_with_everything_opened() {
    // All but multicast, broadcast and the two metadata services; this host's addresses are opened as well.
    assert_eq!(walk(&TABLES[1]), (1 << 32) - (1 << 28) - 3);
}

#[test]
fn t3_boundaries_and_samples_equal_the_table_under_every_policy() {
    let mut random = Random::new(30);
    for table in TABLES.iter() {
        let policy = policy_of(table);
        for (first, last, permitted) in table.runs_v4() {
            for bits in [first, last, first + (last - first) / 2] {
                assert_eq!(policy.permits(at_v4(bits)), permitted, "{}", Ipv4Addr::from_bits(bits));
            }
        }
        for address in boundaries_v6(table) {
            for port in [1023, 1024, 3478, 4000, 5353, 65_535] {
                same(table, &policy, SocketAddrV6::new(address, port, 0, 0).into());
            }
        }
        for own in &table.own {
            let own: SocketAddr = own.parse().unwrap();
            for port in own.port() - 1..=own.port() + 1 {
                same(table, &policy, SocketAddr::new(own.ip(), port));
            }
            assert!(!policy.permits(address(own)));
        }
        for _ in 0..200_000 {
            let v4 = SocketAddrV4::new(random.u32().into(), random.u16());
            same(table, &policy, v4.into());
            let ip = Ipv6Addr::from_bits(random.u128());
            same(table, &policy, SocketAddrV6::new(ip, random.u16(), 0, 0).into());
        }
    }
}

#[test]
fn t3_all_65536_ports_equal_the_list() {
    for table in TABLES.iter() {
        let policy = policy_of(table);
        for ip in
            ["45.1.2.3", "45.32.1.9", "127.0.0.1", "10.1.2.3", "1.1.1.1", "::1", "2a00::9", "2001:db8::1"]
        {
            let ip: IpAddr = ip.parse().unwrap();
            for port in 0..=u16::MAX {
                same(table, &policy, SocketAddr::new(ip, port));
            }
        }
    }
    let open =
        |port: &u16| policy_of(&TABLES[0]).permits(TransportAddress { port: *port, ..at_v4(0x5d01_0203) });
    assert_eq!((0..=u16::MAX).filter(open).count(), 65_536 - 1_024 - 5);
}

#[test]
fn t3_no_embedding_of_ipv4_in_ipv6_is_ever_a_destination_or_a_probe_source() {
    let mut random = Random::new(31);
    let ring = KeyRing::new(&[(3, SECRET)]).unwrap();
    let policies: Vec<Policy> = TABLES.iter().map(policy_of).collect();
    for text in NEVER_V4.iter().chain(SPECIAL_V4).chain(&["45.0.0.0/8"]) {
        let block = Cidr::parse(text);
        for sample in 0..40 {
            let v4 = match sample {
                0 => block.first() as u32,
                1 => block.last() as u32,
                _ => (block.first() + random.u128() % (block.last() - block.first() + 1)) as u32,
            };
            for to in embeddings(v4, &mut random) {
                let to = SocketAddr::new(to.into(), 4000);
                for (policy, table) in policies.iter().zip(TABLES.iter()) {
                    assert!(!table.permits(to) && !policy.permits(address(to)), "{to}");
                    refused_everywhere(&ring, policy, to);
                }
            }
        }
    }
}

#[test]
fn t3_the_headers_own_form_is_ipv4_and_obeys_ipv4s_policy() {
    let ring = KeyRing::new(&[(3, SECRET)]).unwrap();
    let to: SocketAddr = "127.0.0.9:4000".parse().unwrap();
    let send = |allow: &[&str]| {
        let policy = Policy { allow_destination: blocks(allow), ..Policy::default() };
        decide(&mut send_to(address(to)), PUBLIC, NOW, &ring, &policy)
    };
    assert_eq!(send(&[]), Verdict::Drop(Reason::Destination));
    assert_eq!(send(&["::/0"]), Verdict::Drop(Reason::Destination));
    assert_eq!(send(&["127.0.0.0/8"]), Verdict::Relay { to, class_key: 3 });
}

#[test]
fn t3_a_probe_source_obeys_the_policy_of_destinations() {
    let mut random = Random::new(32);
    let ring = KeyRing::new(&[(3, SECRET)]).unwrap();
    let mut observed = 0;
    for table in TABLES.iter() {
        let policy = policy_of(table);
        let mut sources: Vec<SocketAddr> = table.own.iter().map(|own| own.parse().unwrap()).collect();
        for (first, last, _) in table.runs_v4() {
            let ends = [first, last].map(Ipv4Addr::from_bits);
            sources.extend(ends.map(|ip| SocketAddr::from((ip, 4000))));
        }
        sources.extend(boundaries_v6(table).map(|ip| SocketAddr::from(SocketAddrV6::new(ip, 4000, 0, 0))));
        sources.extend((0..=u16::MAX).map(|port| SocketAddr::new(random.public().ip(), port)));
        for source in sources {
            let mut probe = [0; 32];
            probe[0] = Kind::Probe as u8;
            let verdict = decide(&mut probe, source, NOW, &ring, &policy);
            if table.permits(source) {
                assert_eq!(verdict, Verdict::Observe, "{source}");
                observed += 1;
            } else {
                assert_eq!(verdict, Verdict::Drop(Reason::Source), "{source}");
            }
        }
    }
    assert!(observed > 100_000, "{observed} were observed");
}

#[test]
fn what_is_denied_wins_over_what_is_opened_and_each_family_has_its_own_blocks() {
    let policy = Policy {
        allow_destination: blocks(&["10.0.0.0/8", "fd00::/8"]),
        deny_destination: blocks(&["10.1.0.0/16", "::/0"]),
        deny_source: blocks(&["45.0.0.0/8", "2a00::/16"]),
        ..Policy::default()
    };
    let permits = |text: &str| policy.permits(address(text.parse().unwrap()));
    assert!(permits("10.0.0.1:4000") && permits("10.2.0.1:4000") && permits("93.1.2.3:4000"));
    assert!(!permits("10.1.0.1:4000") && !permits("[fd00::1]:4000") && !permits("[2a00::1]:4000"));
    let denies = |text: &str| policy.denies_source(text.parse().unwrap());
    assert!(
        denies("45.0.0.0") && denies("45.255.255.255") && denies("2a00:0:1::") && denies("::ffff:45.1.2.3")
    );
    assert!(!denies("44.255.255.255") && !denies("46.0.0.0") && !denies("2a01::"));
}

#[test]
fn a_block_that_would_hold_something_else_than_it_says_is_refused() {
    let why = |text: &str| text.parse::<Block>().map_err(|error| error.to_string()).unwrap_err();
    assert_eq!(why("10.0.0.1/8"), "address bits are set behind the prefix; the block is written 10.0.0.0/8");
    assert_eq!(why("10.0.0.0/33"), "a prefix of 33 bits is longer than the address, which has 32");
    assert_eq!(why("::/129"), "a prefix of 129 bits is longer than the address, which has 128");
    assert_eq!(why("::ffff:10.0.0.0/104"), "an IPv4 block is written as one: 10.0.0.0/8");
    for text in ["", "/", "10.0.0.0/", "10.0.0/8", "10.0.0.0/8/8", "host/8", "10.0.0.0/-1", "::/256", " ::/0"]
    {
        assert_eq!(why(text), "not a CIDR block such as 10.0.0.0/8 or 2001:db8::/32", "{text:?}");
    }
    for text in ["10.0.0.0/8", "0.0.0.0/0", "1.2.3.4/32", "::/0", "::fffe:0:0/95", "fd00:ec2::254/128"] {
        assert_eq!(text.parse::<Block>().unwrap().to_string(), text);
    }
    assert_eq!("1.2.3.4".parse::<Block>(), "1.2.3.4/32".parse());
    assert_eq!("2a00::1".parse::<Block>(), "2a00::1/128".parse());
}

/// Compares every IPv4 address, on all cores, and counts those permitted.
fn walk(table: &Table) -> u64 {
    let policy = policy_of(table);
    let runs = table.runs_v4();
    let quarters: Vec<(u32, u32)> = (0..4u32).map(|at| (at << 30, (at << 30) + 0x3fff_ffff)).collect();
    std::thread::scope(|scope| {
        let work = |(first, last): (u32, u32)| {
            let (policy, runs) = (&policy, &runs);
            move || walk_range(policy, runs, first, last)
        };
        let threads: Vec<_> = quarters.into_iter().map(|quarter| scope.spawn(work(quarter))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

fn walk_range(policy: &Policy, runs: &[(u32, u32, bool)], first: u32, last: u32) -> u64 {
    let (mut walked, mut permitted) = (0u64, 0u64);
    for (start, end, expected) in runs {
        for bits in (*start).max(first)..=(*end).min(last) {
            let permits = policy.permits(at_v4(bits));
            assert!(permits == *expected, "{}: {permits}", Ipv4Addr::from_bits(bits));
            walked += 1;
            permitted += u64::from(permits);
        }
    }
    assert_eq!(walked, u64::from(last - first) + 1, "the runs cover every address once");
    permitted
}

fn at_v4(bits: u32) -> TransportAddress {
    TransportAddress { address: 0xffff_0000_0000 | u128::from(bits), port: 4000 }
}

fn same(table: &Table, policy: &Policy, to: SocketAddr) {
    // What has no form in a header cannot be a destination.
    let permits = TransportAddress::from_socket(to).is_some_and(|to| policy.permits(to));
    assert_eq!(permits, table.permits(to), "{to} under {table:?}");
}

/// The ends of every IPv6 block of the table and of the registries, and their neighbours on both sides.
fn boundaries_v6(table: &Table) -> impl Iterator<Item = Ipv6Addr> {
    let texts = [NEVER_V6, SPECIAL_V6, &table.allow, &table.deny, &table.host].concat();
    let blocks = texts.into_iter().filter(|text| text.contains(':')).map(Cidr::parse);
    let hosts = ["::1", "2a00::5efe:0:0", "2a00::200:5efe:0:0"].map(|text| text.parse::<Ipv6Addr>().unwrap());
    let ends = blocks.flat_map(|block| [block.first(), block.last()]).chain(hosts.map(u128::from));
    let near = |end: u128| [end.wrapping_sub(1), end, end.wrapping_add(1)];
    ends.flat_map(near).map(Ipv6Addr::from_bits).collect::<Vec<_>>().into_iter()
}

/// One IPv4 address in every form that IPv6 has for it, free bits random; the header's own form is not among them.
fn embeddings(v4: u32, random: &mut Random) -> Vec<Ipv6Addr> {
    let v4 = u128::from(v4);
    let prefix = u128::from(random.u64() | 1 << 61) & !(0b11 << 62) << 64;
    let low = random.u128() >> 48;
    let mut forms = vec![
        0xffff << 32 << 16 | v4,                                       // ::ffff:0:a.b.c.d, SIIT
        0x64_ff9b << 96 | v4,                                          // 64:ff9b::/96, RFC 6052
        0x64_ff9b_0001 << 80 | v4, // 64:ff9b:1::/48, the IPv4 address last
        0x64_ff9b_0001 << 80 | (v4 >> 16) << 64 | (v4 & 0xffff) << 40, // the same with RFC 6052's gap
        0x2002 << 112 | v4 << 80 | low, // 2002::/16, 6to4
        0x2001_0000 << 96 | v4 << 64 | low >> 16, // 2001::/32, Teredo's server
        0x2001_0000 << 96 | low >> 48 << 32 | (v4 ^ 0xffff_ffff), // Teredo's client, inverted
        prefix | 0x0000_5efe << 32 | v4, // ISATAP
        prefix | 0x0200_5efe << 32 | v4, // ISATAP, universal
        0xfe80 << 112 | 0x0000_5efe << 32 | v4, // ISATAP, link-local
    ];
    if v4 != 1 {
        forms.push(v4); // ::a.b.c.d, IPv4-compatible; ::0.0.0.1 is loopback.
    }
    forms.into_iter().map(Ipv6Addr::from_bits).collect()
}

fn refused_everywhere(ring: &KeyRing, policy: &Policy, to: SocketAddr) {
    let mut send = send_to(address(to));
    assert_eq!(decide(&mut send, PUBLIC, NOW, ring, policy), Verdict::Drop(Reason::Destination), "{to}");
    let mut probe = [0; 32];
    probe[0] = Kind::Probe as u8;
    assert_eq!(decide(&mut probe, to, NOW, ring, policy), Verdict::Drop(Reason::Source), "{to}");
}

/// A SEND whose capability is right, so that nothing but the policy can refuse it.
fn send_to(to: TransportAddress) -> [u8; 32] {
    let expires = NOW + 300;
    let (from, there) = (crate::oracle::written(PUBLIC), (to.address.to_be_bytes(), to.port.to_be_bytes()));
    let tag = u64::from_le_bytes(capability(&SECRET, 0x0a, 3, u64::from(expires), &from, &there));
    Header { kind: Kind::Send as u8, class_key: 3, expires, peer: to, tag }.to_bytes()
}

const NOW: u32 = 1_800_000_000;
const SECRET: [u8; 16] = [0x3c; 16];
const PUBLIC: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(45, 48, 249, 8), 59_568));

#[test]
fn t5_a_wildcard_listener_has_its_port_on_all_of_127_8() {
    let opened: Vec<Block> = ["127.0.0.0/8", "::1/128"].iter().map(|it| it.parse().unwrap()).collect();
    let allow_destination = BlockSet::new(&opened);
    let own = vec![address("0.0.0.0:4000".parse().unwrap())];
    let policy = Policy { own, allow_destination, ..Policy::default() };
    for (text, permitted) in [
        ("127.0.0.1:4000", false),
        ("127.200.3.4:4000", false),
        ("127.200.3.4:4001", true),
        ("[::1]:4000", true),
        ("130.96.36.205:4000", true),
    ] {
        assert_eq!(policy.permits(address(text.parse().unwrap())), permitted, "{text}");
    }
}
