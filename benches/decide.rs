//! What one decision costs, for every way that it can end.
//!
//! * Each decision takes the next of 64 buffers, as a worker does: one that was just written would stall the loads.
//! * "harness alone" is the same loop without the decision: what to take off every other figure.
//! * What a decision changes is put back by setting byte 0: a DATA so becomes its own answer, relayed the other way.

#![allow(missing_docs)] // criterion_group! makes an undocumented function.

use benches::{NOW, PAYLOAD, SEED, alice, bob, full_table, ring, sealed, send};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::net::SocketAddr;
use wire::revoked::RevokedTable;
use wire::{HEADER_LEN, Kind, Policy, Verdict, decide};

fn decisions(c: &mut Criterion) {
    let ring = ring();
    let good = send(&ring, alice(), bob(), NOW + 250, PAYLOAD);
    let six = SocketAddr::from(([0x2a00, 0, 0xcda0, 0xfca3, 1, 2, 3, 4], 7_000));
    let private = SocketAddr::from(([10, 0, 0, 1], 6_000));
    let changed = |place: usize, flip: u8| {
        let mut datagram = good.clone();
        datagram.get_mut(place).into_iter().for_each(|byte| *byte ^= flip);
        datagram
    };
    let to = |to: SocketAddr, expires: u32| send(&ring, alice(), to, expires, PAYLOAD);
    let probe = vec![Kind::Probe as u8; 40];
    let short = good.iter().take(HEADER_LEN - 1).copied().collect();
    for (name, datagram, source) in [
        (HARNESS, good.clone(), alice()),
        ("drop short", short, alice()),
        ("drop oversize", send(&ring, alice(), bob(), NOW + 250, 1_500), alice()),
        ("drop kind", changed(0, 0x5f), alice()),
        ("drop source", probe.clone(), private),
        ("drop key", changed(1, 0x08), alice()),
        ("drop expired", to(bob(), NOW - 1), alice()),
        ("drop lifetime", to(bob(), NOW + 601), alice()),
        ("drop destination", to(private, NOW + 250), alice()),
        ("drop tag", changed(31, 1), alice()),
    ] {
        measure(c, name, &datagram, |datagram, _| (source, datagram));
    }
    measure(c, "observe", &probe, |datagram, _| (alice(), set_kind(datagram, Kind::Probe)));
    for (name, peer) in [("relay", bob()), ("relay to IPv6 and back", six)] {
        measure(c, name, &to(peer, NOW + 250), |datagram, pass| {
            (if pass % 2 == 0 { alice() } else { peer }, set_kind(datagram, Kind::Send))
        });
        measure(
            c,
            &format!("{name}, sealed"),
            &sealed(&ring, alice(), peer, NOW + 250, PAYLOAD),
            |datagram, pass| {
                (if pass % 2 == 0 { alice() } else { peer }, set_kind(datagram, Kind::SealedSend))
            },
        );
    }
    let tables = [("no entry", RevokedTable::new(SEED)), ("a full table", full_table())];
    for (name, table) in &tables {
        let policy = Policy { revoked: table.reader(), ..Policy::default() };
        measure_under(c, &policy, &format!("relay, {name} of revocations"), &good, |datagram, pass| {
            (if pass % 2 == 0 { alice() } else { bob() }, set_kind(datagram, Kind::Send))
        });
    }
    let renewed = to(bob(), NOW + 100);
    measure(c, "relay, renewed", &renewed, |datagram, _| {
        if let (Some(now), Some(before)) = (datagram.first_chunk_mut::<HEADER_LEN>(), renewed.first_chunk()) {
            *now = *before;
        }
        (alice(), datagram)
    });
}

/// Measures decisions on copies of `datagram`, each made ready by `prepare`, which also says its source.
fn measure(
    c: &mut Criterion,
    name: &str,
    datagram: &[u8],
    prepare: impl for<'a> FnMut(&'a mut [u8], usize) -> (SocketAddr, &'a mut [u8]),
) {
    measure_under(c, &Policy::default(), name, datagram, prepare);
}

fn measure_under(
    c: &mut Criterion,
    policy: &Policy,
    name: &str,
    datagram: &[u8],
    mut prepare: impl for<'a> FnMut(&'a mut [u8], usize) -> (SocketAddr, &'a mut [u8]),
) {
    let ring = ring();
    let mut buffers = vec![datagram.to_vec(); BUFFERS];
    let (mut next, mut pass) = (0, 0);
    c.benchmark_group("decide").bench_function(name, |b| {
        b.iter(|| {
            if next == BUFFERS {
                (next, pass) = (0, pass + 1);
            }
            let Some(buffer) = buffers.get_mut(next) else { return Verdict::Observe };
            next += 1;
            let (source, datagram) = prepare(buffer, pass);
            let (datagram, source, now) = (black_box(datagram), black_box(source), black_box(NOW));
            if name == HARNESS { Verdict::Observe } else { decide(datagram, source, now, &ring, policy) }
        });
    });
}

fn set_kind(datagram: &mut [u8], kind: Kind) -> &mut [u8] {
    datagram.first_mut().into_iter().for_each(|byte| *byte = kind as u8);
    datagram
}

const BUFFERS: usize = 64;
const HARNESS: &str = "harness alone";

criterion_group!(benches, decisions);
criterion_main!(benches);
