//! The program's own policy code over IPv4 in bulk, against wire::Policy.
//!
//! * By default every address next to a border of any rule, and a stride through all the rest, under four policies.
//! * All 2^32 are walked by the conformance suite (reflector/tests/conformance).

use crate::vectors::served;
use engine::xdp::{Answer, Config, Xdp};
use std::net::{IpAddr, Ipv4Addr};
use wire::{Block, BlockSet, Policy, TransportAddress};

/// A policy in both forms.
struct Pair {
    config: Config,
    policy: Policy,
}

fn pair(allow: &[&str], deny: &[&str], own: &[&str], broadcasts: &[&str]) -> Pair {
    let blocks = |list: &[&str]| list.iter().map(|it| it.parse().unwrap()).collect::<Vec<Block>>();
    let plain = |list: &[Block]| list.iter().map(|it| (it.first(), it.prefix())).collect();
    let (allow, deny) = (blocks(allow), blocks(deny));
    let broadcasts: Vec<Ipv4Addr> = broadcasts.iter().map(|it| it.parse().unwrap()).collect();
    let mut config = served();
    config.allow_destination = plain(&allow);
    config.deny_destination = plain(&deny);
    config.own = own.iter().map(|it| it.parse().unwrap()).collect();
    config.broadcasts.clone_from(&broadcasts);
    let policy = Policy {
        own: config.own.iter().filter_map(|it| TransportAddress::from_socket(*it)).collect(),
        broadcasts,
        allow_destination: BlockSet::new(&allow),
        deny_destination: BlockSet::new(&deny),
        ..Policy::default()
    };
    Pair { config, policy }
}

fn pairs() -> Vec<Pair> {
    vec![
        pair(&[], &[], &["9.9.9.9:3478"], &[]),
        pair(&["0.0.0.0/0"], &[], &["0.0.0.0:4000", "9.9.9.9:4000"], &["10.1.255.255"]),
        pair(
            &["10.0.0.0/8", "127.0.0.0/8"],
            &["8.0.0.0/7", "10.2.3.0/24"],
            &["1.2.3.4:4000"],
            &["1.2.3.255"],
        ),
        pair(&["100.64.0.0/10", "240.0.0.0/4"], &["128.0.0.0/1", "1.1.1.1/32"], &["0.0.0.0:4001"], &[]),
    ]
}

/// Judges 64 * `words` addresses from `first` on, and compares each.
fn compare(xdp: &mut Xdp, policy: &Policy, first: u32, words: u32, port: u16) -> u64 {
    let mut value = vec![0; VALUE_LEN];
    value[..4].copy_from_slice(&first.to_ne_bytes());
    value[4..8].copy_from_slice(&u32::from(port.to_be()).to_ne_bytes());
    xdp.write_map("walks", &value).unwrap();
    assert_eq!(xdp.run(&[0; 64], words).unwrap().answer, Answer::Drop);
    xdp.read_map("walks", &mut value).unwrap();
    assert_eq!(value[8..16], u64::from(words).to_ne_bytes());
    let mut permitted = 0;
    for (word, bytes) in (0..words).zip(value[16..].chunks_exact(8)) {
        let bits = u64::from_ne_bytes(bytes.try_into().unwrap());
        for bit in 0..64 {
            let ip = Ipv4Addr::from_bits(first + word * 64 + bit);
            let expected = policy.permits(TransportAddress { address: ip.to_ipv6_mapped().to_bits(), port });
            assert_eq!(bits >> bit & 1 == 1, expected, "{ip}:{port}");
        }
        permitted += u64::from(bits.count_ones());
    }
    permitted
}

/// Blocks of 64 * `words` addresses, `blocks` of them evenly over all of IPv4.
fn walk(words: u32, blocks: u32) {
    for Pair { config, policy } in pairs() {
        let mut xdp = Xdp::load_object("lo", &config, OBJECT, "walk_policy").unwrap();
        let mut permitted = 0;
        for block in 0..blocks {
            let first = (u64::from(block) << 32) / u64::from(blocks);
            permitted += compare(&mut xdp, &policy, first as u32 & !63, words, 4_000);
        }
        assert!(permitted > 0);
        // The blocks in which the rules have their borders, wherever the stride went.
        let borders = [
            "0.0.0.0",
            "1.1.1.1",
            "1.2.3.255",
            "8.0.0.0",
            "9.9.9.9",
            "10.1.255.255",
            "10.2.3.0",
            "100.64.0.0",
            "127.0.0.0",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.0",
            "192.0.0.0",
            "192.88.99.0",
            "192.168.0.0",
            "198.18.0.0",
            "198.51.100.0",
            "203.0.113.0",
            "224.0.0.0",
            "240.0.0.0",
            "255.255.255.255",
        ];
        for border in borders {
            let address: Ipv4Addr = border.parse().unwrap();
            let block = address.to_bits() & !0xffff;
            for port in [4_000, 4_001] {
                compare(&mut xdp, &policy, block, 1 << 10, port);
            }
        }
    }
}

pub(crate) fn a_part_of_ipv4() {
    walk(1 << 13, 61);
}

/// The ports around each border and each refused one, at addresses that are looked at in full and at ones that are not.
pub(crate) fn refused_ports() {
    let Pair { config, policy } = pair(&[], &[], &["9.9.9.9:3478"], &[]);
    let mut xdp = Xdp::load_object("lo", &config, OBJECT, "walk_policy").unwrap();
    let mut value = vec![0; VALUE_LEN];
    for ip in ["9.9.9.9", "1.1.1.1"] {
        let ip: Ipv4Addr = ip.parse().unwrap();
        for port in (0..=u16::MAX).filter(|port| BORDERS.iter().any(|it| it.abs_diff(*port) < 2)) {
            value[..4].copy_from_slice(&ip.to_bits().to_ne_bytes());
            value[4..8].copy_from_slice(&u32::from(port.to_be()).to_ne_bytes());
            value[8..16].fill(0);
            xdp.write_map("walks", &value).unwrap();
            xdp.run(&[0; 64], 1).unwrap();
            let mut answer = vec![0; VALUE_LEN];
            xdp.read_map("walks", &mut answer).unwrap();
            let to = TransportAddress::from_socket((IpAddr::V4(ip), port).into()).unwrap();
            assert_eq!(answer[16] & 1 == 1, policy.permits(to), "{ip}:{port}");
        }
    }
}

const OBJECT: &[u8] = include_bytes!("../../bpf/policy_walk.bpf.o");
/// A header of 16 bytes, and 64 verdicts a word.
const VALUE_LEN: usize = 16 + (8 << 20);
/// Refused ports, the reflector's own, and the last of all.
const BORDERS: [u16; 12] = [1, 53, 443, 1023, 1900, 3478, 3702, 5353, 5683, 11211, 40_000, u16::MAX];
