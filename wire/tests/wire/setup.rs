//! Reflectors to test with: each as the crate's values and as the oracle's, from one description.
//!
//! * Both sides are made from the same texts and share nothing after that.

use crate::oracle::Oracle;
use crate::table::Table;
use std::net::SocketAddr;
use std::sync::LazyLock;
use wire::revoked::{RevokedTable, Subject};
use wire::{Block, BlockSet, KeyRing, Policy, Revoked, TransportAddress};

/// One reflector, twice.
pub(crate) struct Setup {
    pub(crate) oracle: Oracle,
    pub(crate) ring: KeyRing,
    pub(crate) policy: Policy,
}

impl Setup {
    fn new(oracle: Oracle) -> Self {
        let ring = KeyRing::new(&oracle.keys).unwrap();
        let policy = Policy {
            sends_ipv4: oracle.sends_ipv4,
            sends_ipv6: oracle.sends_ipv6,
            max_datagram: oracle.max_datagram,
            answer_lifetime_s: u32::try_from(oracle.answer_lifetime_s).unwrap(),
            ticket_lifetime_s: u32::try_from(oracle.ticket_lifetime_s).unwrap(),
            revoked: revoked(&oracle.revoked),
            ..policy_of(&oracle.table)
        };
        Self { oracle, ring, policy }
    }
}

/// The crate's policy of a table, sizes and lifetimes by default.
pub(crate) fn policy_of(table: &Table) -> Policy {
    Policy {
        own: table.own.iter().map(|it| address(it.parse().unwrap())).collect(),
        broadcasts: table.broadcasts.iter().map(|it| it.parse().unwrap()).collect(),
        allow_destination: blocks(&table.allow),
        deny_destination: blocks(&table.deny),
        host: blocks(&table.host),
        ..Policy::default()
    }
}

/// A table that holds these addresses, and these pairs of them.
pub(crate) fn revoked(subjects: &[Vec<SocketAddr>]) -> Revoked {
    let mut table = RevokedTable::new([0x9e37_79b9_7f4a_7c15, 3, 7, 11]);
    for subject in subjects {
        let subject = match subject.as_slice() {
            [one] => Subject::Address(address(*one)),
            [a, b] => Subject::pair(address(*a), address(*b)),
            other => panic!("{other:?} is neither an address nor a pair"),
        };
        table.insert(&subject).unwrap();
    }
    table.reader()
}

/// A set of blocks from their texts.
pub(crate) fn blocks(texts: &[&str]) -> BlockSet {
    let blocks: Vec<Block> = texts.iter().map(|it| it.parse().unwrap()).collect();
    BlockSet::new(&blocks)
}

/// The header's form of an address that has one.
pub(crate) fn address(socket: SocketAddr) -> TransportAddress {
    TransportAddress::from_socket(socket).unwrap()
}

/// Policies that between them use every clause, alone and together.
pub(crate) static TABLES: LazyLock<Vec<Table>> = LazyLock::new(|| {
    vec![
        Table::new(&[], &[], &[], &[], &["45.32.1.9/32", "45.33.7.0/24", "2a00:7::/64"]),
        Table::new(&["0.0.0.0/0", "::/0"], &[], &["45.32.1.9:3478"], &[], &["45.32.1.9/32", "127.0.0.0/8"]),
        Table::new(
            &["127.0.0.0/8", "::1/128"],
            &[],
            &["127.0.0.1:3478", "[::1]:3478"],
            &["127.255.255.255"],
            &["127.0.0.0/8", "::1/128", "45.7.0.1/32", "2a00:7::1/128"],
        ),
        Table::new(
            &["10.0.0.0/8", "172.16.0.0/12", "fd00::/8", "240.0.0.0/4", "169.254.0.0/16"],
            &["10.7.0.0/16", "45.0.0.0/8", "2a00:1::/32", "0.0.0.0/32", "223.255.255.255/32"],
            &["45.32.1.9:3478", "[2a00::9]:3478"],
            &["10.255.255.255", "93.184.216.255"],
            &["10.0.0.3/32", "45.32.1.9/32", "93.184.216.3/32", "2a00::9/128", "2a00:5::/48"],
        ),
        Table::new(&["2001:db8::/33", "192.0.2.128/25", "fe80::/10"], &["::/0"], &[], &[], &["93.0.0.0/16"]),
        Table::new(
            &["0.0.0.0/0"],
            &["0.0.0.0/1"],
            &["0.0.0.0:4010", "[::]:3478"],
            &["203.0.113.255", "198.51.100.127"],
            &["198.51.100.7/32", "203.0.113.0/28", "2a00:3::/64"],
        ),
        Table::new(
            &["::/1", "::/2", "8000::/1"],
            &["2a00::/12", "93.0.0.0/9"],
            &["1.1.1.1:4000", "[::]:4000"],
            &[],
            &["1.1.1.1/32", "2b00::7/128"],
        ),
    ]
});

/// A reflector for every table, with rings, sizes, lifetimes and families that differ.
pub(crate) static SETUPS: LazyLock<Vec<Setup>> = LazyLock::new(|| {
    let secret = |byte: u8| [byte; 16];
    let rings = [
        vec![(4, secret(0x30)), (9, secret(0x89)), (13, secret(0x61))],
        vec![(0, secret(0xaa))],
        (0..16).rev().map(|id| (id, secret(0xf0 | id))).collect(),
        vec![(15, secret(1)), (0, secret(2))],
    ];
    let shapes = [
        (true, true, 1472, 300, 120),
        (true, false, 1472, 540, 10),
        (false, true, 1200, 10, 60),
        (true, true, 548, 11, 120),
    ];
    let mut setups = Vec::new();
    for (at, table) in TABLES.iter().enumerate() {
        for offset in 0..2 {
            let (sends_ipv4, sends_ipv6, max_datagram, answer_lifetime_s, ticket_lifetime_s) =
                shapes[(at + 3 * offset) % shapes.len()];
            setups.push(Setup::new(Oracle {
                keys: rings[(at + offset) % rings.len()].clone(),
                table: table.clone(),
                sends_ipv4,
                sends_ipv6,
                max_datagram,
                answer_lifetime_s,
                ticket_lifetime_s,
                revoked: revocations(),
            }));
        }
    }
    setups
});

/// Half of what [`PARTIES`] can be and say to each other is taken back.
fn revocations() -> Vec<Vec<SocketAddr>> {
    let party = |at: usize| PARTIES[at].parse().unwrap();
    vec![vec![party(0)], vec![party(1), party(2)], vec![party(3)], vec![party(4), party(1)]]
}

/// Transport addresses that every setup's sketches use often.
pub(crate) const PARTIES: [&str; 6] =
    ["45.1.1.1:4001", "45.1.1.2:4002", "[2a01::3]:4003", "[2a01::4]:4004", "45.1.1.5:4005", "[2a01::6]:4006"];
