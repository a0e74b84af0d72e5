//! The header and its tag alone: what of a decision is SipHash.

#![allow(missing_docs)] // criterion_group! makes an undocumented function.

use benches::{NOW, PAYLOAD, alice, bob, ring, send};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use wire::siphash::SipKey;
use wire::{Form, Header, TransportAddress, seal, tag};

fn tags(c: &mut Criterion) {
    let key = SipKey::new(*b"benchmark secret");
    let (Some(a), Some(b)) = (TransportAddress::from_socket(alice()), TransportAddress::from_socket(bob()))
    else {
        return;
    };
    let mut group = c.benchmark_group("tag");
    group.bench_function("siphash of 18 bytes", |bench| {
        bench.iter(|| key.hash_tail::<2, 2>(black_box(&[1, 2]), black_box(3)));
    });
    group.bench_function("capability", |bench| {
        let capability = |id, now, a, b| tag::capability(&key, Form::Plain, id, now, a, b);
        bench.iter(|| capability(black_box(3), black_box(NOW), black_box(a), black_box(b)));
    });
    group.bench_function("mask", |bench| {
        bench.iter(|| seal::mask(&key, black_box(5), black_box(a), black_box(b)));
    });
    group.bench_function("ticket", |bench| {
        bench.iter(|| tag::ticket(&key, black_box(3), black_box(NOW), black_box(a)));
    });
    let datagram = send(&ring(), alice(), bob(), NOW + 250, PAYLOAD);
    if let Some(bytes) = datagram.first_chunk() {
        group.bench_function("header read", |bench| bench.iter(|| Header::read(black_box(bytes))));
    }
    group.finish();
}

criterion_group!(benches, tags);
criterion_main!(benches);
