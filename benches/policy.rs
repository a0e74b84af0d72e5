//! What the policy costs, empty and with as many blocks as an operator may have.

#![allow(missing_docs)] // criterion_group! makes an undocumented function.

use benches::bob;
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use wire::{Block, BlockSet, Policy, TransportAddress};

fn policies(c: &mut Criterion) {
    let many = |count: u32| {
        let network = |index: u32| Ipv4Addr::from_bits(0x2000_0000 + index * 512).into();
        let blocks: Vec<Block> = (0..count).filter_map(|index| Block::new(network(index), 24).ok()).collect();
        Policy { deny_destination: BlockSet::new(&blocks), ..Policy::default() }
    };
    let six = SocketAddr::from(([0x2a00, 0, 0xcda0, 0xfca3, 1, 2, 3, 4], 7_000));
    let private = SocketAddr::from(([10, 0, 0, 1], 6_000));
    let mut group = c.benchmark_group("policy");
    for (policy_name, policy) in [("default", Policy::default()), ("10,000 denied", many(10_000))] {
        for (name, to) in [("IPv4", bob()), ("IPv6", six), ("private", private)] {
            let Some(to) = TransportAddress::from_socket(to) else { continue };
            group.bench_function(format!("{policy_name}, {name}"), |b| {
                b.iter(|| policy.permits(black_box(to)));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, policies);
criterion_main!(benches);
