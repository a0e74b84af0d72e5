//! The destination policy of the C program over IPv4, against wire::Policy.
//!
//! * A test-only program includes the very header of the fast path; each run judges 64 addresses.
//! * Every /6 block in which a block of the policy begins or ends is walked whole. With the variable EVERY_ADDRESS set, as
//!   in CI, so are the others: all 2^32 addresses.
//! * Every verdict of the program is looked at. On pages where no block of the table below begins or ends, all 64 must
//!   be one verdict, for whose first address the policy is asked; elsewhere, and in the long run, for every one.
//! * That the policy itself equals an independent table over all 2^32 is held in `wire`.

use crate::kernel::{config, ethernet, processors};
use crate::setup::Setup;
use engine::xdp::{Answer, Xdp};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use wire::{Block, Policy, TransportAddress};

/// Walks under the default policy, and with blocks opened and denied.
pub(crate) fn run() -> Result<(), String> {
    let mut default = Setup::of_vectors(vec![(3, [9; 16])], 1_800_000_000, Vec::new());
    default.local = vec![IpAddr::from([5, 9, 8, 7]), IpAddr::from([45, 32, 1, 9])];
    default.prefixes = vec!["45.33.7.0/24".parse().unwrap()];
    let every = std::env::var_os("EVERY_ADDRESS").is_some();
    let permitted = walk(&default, every)?;
    if every && permitted != DEFAULT_PERMITTED {
        return Err(format!("by default {permitted} addresses are permitted; right is {DEFAULT_PERMITTED}"));
    }
    let blocks = |texts: &[&str]| -> Vec<Block> { texts.iter().map(|text| text.parse().unwrap()).collect() };
    let mut other = default;
    other.listen_v4 = Some(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT));
    other.local = vec![IpAddr::from([45, 32, 1, 9]), IpAddr::from([10, 0, 0, 1])];
    other.broadcasts = vec![Ipv4Addr::new(45, 32, 1, 255), Ipv4Addr::new(10, 255, 255, 255)];
    other.allow_destination = blocks(OPENED);
    other.deny_destination = blocks(DENIED);
    walk(&other, every).map(drop)
}

/// A model with one block more must be noticed.
pub(crate) fn control() -> Result<(), String> {
    let setup = Setup::of_vectors(vec![(3, [9; 16])], 1_800_000_000, Vec::new());
    let mut program = Walk::load(&setup)?;
    let denied = vec!["45.32.1.9/32".parse().unwrap()];
    let other = Setup { deny_destination: denied, ..setup.clone() };
    let first = u32::from_be_bytes([45, 32, 1, 9]) / STRETCH * STRETCH;
    let same = Expected::new(&setup).compare(first, &program.verdicts(first)?);
    let different = Expected::new(&other).compare(first, &program.verdicts(first)?);
    match (same, different) {
        (Ok(_), Err(_)) => Ok(()),
        (Err(finding), _) => Err(finding),
        (Ok(_), Ok(_)) => Err("a denied address that the program does not know went unnoticed".to_owned()),
    }
}

/// Compares all addresses, or those of the stretches in which some block begins or ends, on all processors; how many of
/// them are permitted.
fn walk(setup: &Setup, all: bool) -> Result<u64, String> {
    let (next, permitted) = (AtomicU64::new(0), AtomicU64::new(0));
    let cpus = processors()?;
    let serve = |cpu: usize| -> Result<(), String> {
        engine::host::affinity::pin(&[cpu]).map_err(|error| error.to_string())?;
        let (mut program, expected) = (Walk::load(setup)?, Expected::new(setup));
        loop {
            let stretch = next.fetch_add(u64::from(STRETCH), Relaxed);
            let Ok(start) = u32::try_from(stretch) else { return Ok(()) };
            if !all && !expected.has_edge(start) {
                continue;
            }
            let verdicts = program.verdicts(start)?;
            permitted.fetch_add(expected.compare(start, &verdicts)?, Relaxed);
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = cpus.iter().map(|cpu| scope.spawn(|| serve(*cpu))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("a thread compares"))
    })?;
    Ok(permitted.into_inner())
}

/// The test-only program under one configuration.
struct Walk(Xdp);

impl Walk {
    fn load(setup: &Setup) -> Result<Self, String> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../engine/bpf/policy_walk.bpf.o");
        let object = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
        let interface = ethernet().ok_or("this host has no Ethernet interface")?;
        let loaded = Xdp::load_object(&interface, &config(setup), &object, "walk_policy");
        loaded.map(Walk).map_err(|error| error.to_string())
    }

    /// The verdicts of `STRETCH` addresses in a row, a bit each, the lowest first.
    fn verdicts(&mut self, first: u32) -> Result<Vec<u64>, String> {
        let mut state = vec![0; 16 + 8 * WORDS];
        state[..4].copy_from_slice(&first.to_ne_bytes());
        state[4..8].copy_from_slice(&u32::from(PORT.to_be()).to_ne_bytes());
        self.0.write_map("walks", &state).map_err(|error| error.to_string())?;
        let run = self.0.run(&[0; 64], WORDS as u32).map_err(|error| error.to_string())?;
        self.0.read_map("walks", &mut state).map_err(|error| error.to_string())?;
        let words: Vec<u64> = state.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word)).collect();
        match (run.answer, words.split_at(2)) {
            (Answer::Drop, ([_, runs], verdicts)) if *runs == WORDS as u64 => Ok(verdicts.to_vec()),
            (answer, (head, _)) => Err(format!("the walk answered {answer:?}; its state begins {head:x?}")),
        }
    }
}

/// What the policy says, and where its verdict may change.
struct Expected {
    policy: Policy,
    /// The first addresses inside and beyond each block; ascending.
    edges: Vec<u64>,
    /// Pages, by their first address, within which some block begins or ends; ascending.
    mixed: Vec<u32>,
    every: bool,
}

impl Expected {
    fn new(setup: &Setup) -> Self {
        let mut edges: Vec<u64> = Vec::new();
        let fixed = TABLE.iter().map(|text| text.parse().unwrap());
        let hosts = setup.broadcasts.iter().map(|ip| Block::new((*ip).into(), 32).unwrap());
        let own = setup.own().into_iter().filter(SocketAddr::is_ipv4);
        let own = own.map(|own| Block::new(own.ip(), 32).unwrap()).chain(setup.host());
        let listed = setup.allow_destination.iter().chain(&setup.deny_destination).copied();
        for block in fixed.chain(hosts).chain(own).chain(listed) {
            if let (IpAddr::V4(first), IpAddr::V4(last)) = (block.first(), block.last()) {
                edges.extend([u64::from(first.to_bits()), u64::from(last.to_bits()) + 1]);
            }
        }
        edges.sort_unstable();
        edges.dedup();
        let inside = edges.iter().filter(|edge| *edge % u64::from(PAGE) != 0);
        let mut mixed: Vec<u32> = inside.map(|edge| *edge as u32 / PAGE * PAGE).collect();
        mixed.dedup();
        Self { policy: setup.policy(), edges, mixed, every: std::env::var_os("CONFORMANCE_CASES").is_some() }
    }

    /// Whether a block begins or ends within this stretch, at its start or right after it.
    fn has_edge(&self, start: u32) -> bool {
        let (first, last) = (u64::from(start), u64::from(start) + u64::from(STRETCH));
        let next = self.edges.partition_point(|edge| *edge < first);
        self.edges.get(next).is_some_and(|edge| *edge <= last)
    }

    /// How many of these addresses are permitted, if the program says the same as the policy.
    fn compare(&self, first: u32, verdicts: &[u64]) -> Result<u64, String> {
        for (word, place) in verdicts.iter().zip(0..) {
            let start = first + 64 * place;
            let every = self.every || self.mixed.binary_search(&(start / PAGE * PAGE)).is_ok();
            let expected = if every {
                (0..64).fold(0, |bits, bit| bits | u64::from(self.permits(start + bit)) << bit)
            } else {
                u64::from(self.permits(start)) * u64::MAX
            };
            if *word != expected {
                let address = start + (*word ^ expected).trailing_zeros();
                let (ip, right) = (Ipv4Addr::from_bits(address), self.permits(address));
                let got = *word >> (address % 64) & 1 == 1;
                return Err(format!("{ip}: the policy permits it: {right}; the program permits it: {got}"));
            }
        }
        Ok(verdicts.iter().map(|word| u64::from(word.count_ones())).sum())
    }

    fn permits(&self, address: u32) -> bool {
        self.policy.permits(TransportAddress { address: 0xffff << 32 | u128::from(address), port: PORT })
    }
}

/// Blocks at whose ends the default policy changes.
const TABLE: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "169.254.169.254/32",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255/32",
];
const OPENED: &[&str] = &[
    "10.1.0.0/16",
    "127.0.0.0/8",
    "192.168.7.0/24",
    "169.254.0.0/16",
    "240.0.0.0/5",
    "192.0.2.33/32",
    "0.0.0.0/9",
    "198.18.0.0/15",
];
const DENIED: &[&str] = &[
    "45.0.0.0/9",
    "8.8.8.8/32",
    "10.1.2.0/24",
    "198.51.0.0/16",
    "127.3.0.0/17",
    "1.2.3.4/31",
    "128.0.0.0/2",
];
/// All addresses less those of the special blocks, multicast and 168.63.129.16, and less the host's own.
const DEFAULT_PERMITTED: u64 = 3_702_258_431 - 2 - 256;
const PORT: u16 = 3478;
/// Words of verdicts that the program's map holds.
const WORDS: usize = 1 << 20;
/// Addresses that one call judges.
const STRETCH: u32 = 64 * WORDS as u32;
const PAGE: u32 = 8192;
