//! Every case of the published vectors, byte for byte.

use crate::setup::revoked;
use serde::Deserialize;
use std::net::SocketAddr;
use wire::{Block, BlockSet, KeyRing, Policy, Revoked, Verdict, decide};

#[derive(Deserialize)]
struct File {
    ring: Vec<Key>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Key {
    id: u8,
    secret: String,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    now: u32,
    allow: Vec<Text>,
    source: String,
    datagram: String,
    verdict: String,
    to: Option<String>,
    emitted: Option<String>,
    #[serde(default)]
    revoked: Vec<Text>,
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Text(String);

#[test]
fn every_case_has_its_verdict_and_its_bytes() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/vectors/header.json")).unwrap();
    let file: File = serde_json::from_str(&text).unwrap();
    let keys: Vec<(u8, [u8; 16])> =
        file.ring.iter().map(|key| (key.id, hex::decode(&key.secret).unwrap().try_into().unwrap())).collect();
    let ring = KeyRing::new(&keys).unwrap();
    for case in &file.cases {
        check(case, &ring);
    }
    assert!(file.cases.len() >= 1032, "{} cases were read; the file holds 1032", file.cases.len());
}

fn check(case: &Case, ring: &KeyRing) {
    let blocks: Vec<Block> = case.allow.iter().map(|block| block.0.parse().unwrap()).collect();
    let subjects: Vec<Vec<SocketAddr>> = case.revoked.iter().map(|text| sockets(&text.0)).collect();
    let revoked = if subjects.is_empty() { Revoked::default() } else { revoked(&subjects) };
    let policy = Policy { allow_destination: BlockSet::new(&blocks), revoked, ..Policy::default() };
    let before = hex::decode(&case.datagram).unwrap();
    let mut datagram = before.clone();
    let source = socket(&case.source);
    let verdict = decide(&mut datagram, source, case.now, ring, &policy);
    let (words, to) = match verdict {
        Verdict::Drop(reason) => (format!("drop {reason}"), None),
        Verdict::Observe => ("observe".to_owned(), Some(source)),
        Verdict::Relay { to, .. } => ("relay".to_owned(), Some(to)),
    };
    assert_eq!(words, case.verdict, "{}", case.name);
    assert_eq!(to, case.to.as_deref().map(socket), "{}", case.name);
    let expected = case.emitted.as_deref().map_or(before, |bytes| hex::decode(bytes).unwrap());
    assert_eq!(hex::encode(datagram), hex::encode(expected), "{}", case.name);
}

/// One address and port, or two.
fn sockets(text: &str) -> Vec<SocketAddr> {
    let words: Vec<&str> = text.split(' ').collect();
    words.chunks(2).map(|both| socket(&both.join(" "))).collect()
}

fn socket(text: &str) -> SocketAddr {
    let (address, port) = text.split_once(' ').unwrap();
    SocketAddr::new(address.parse().unwrap(), port.parse().unwrap())
}
