//! Random datagrams: good ones, good ones with one thing wrong, and noise.
//!
//! * Most are accepted, because only what comes far tests what lies deep.
//! * Times, lengths and ports are often at the very edge of what is accepted.

use crate::random::Random;
use crate::scene::{Scene, port, special};
use std::net::{IpAddr, SocketAddr};
use wire::siphash::SipKey;
use wire::{Form, Header, Kind, TransportAddress, seal, tag};

/// A datagram that `source` might send to the reflector of this scene.
pub(crate) fn draw(scene: &Scene, source: SocketAddr, random: &mut Random) -> Vec<u8> {
    let mut datagram = match random.below(16) {
        0..=8 => send(scene, source, random),
        9..=13 => probe(scene, source, random),
        14 if random.once_in(2) => stun(random),
        14 => other_kind(scene, source, random),
        _ => {
            let len = random.below(80);
            random.bytes(len)
        }
    };
    if random.once_in(12) {
        mutate(&mut datagram, random);
    }
    datagram
}

fn send(scene: &Scene, source: SocketAddr, random: &mut Random) -> Vec<u8> {
    let setup = &scene.setup;
    let (minting, _) = setup.keys[random.below(setup.keys.len())];
    let id = if random.once_in(30) { random.byte() & 15 } else { minting };
    let class = if random.once_in(3) { random.byte() & 15 } else { 2 };
    let class_key = class << 4 | id;
    let to = destination(scene, source, random);
    let expires = expiry(scene, random);
    let sender = if random.once_in(30) { to } else { canonical(source) };
    let ring = setup.ring();
    let key = wire::KeyId::new(id).and_then(|id| ring.get(id).copied());
    let form = if random.once_in(2) { Form::Plain } else { Form::Sealed };
    let mut tag =
        key.map_or(random.next(), |key| tag::capability(&key, form, class_key, expires, sender, to));
    if random.once_in(20) {
        tag ^= 1 << random.below(64);
    }
    let (kind, peer) = match (form, key) {
        (Form::Sealed, Some(key)) => (Kind::SealedSend, seal::mask(&key, tag, sender, to)),
        (Form::Sealed, None) => (Kind::SealedSend, to),
        (Form::Plain, _) => (Kind::Send, to),
    };
    let header = Header { kind: kind as u8, class_key, expires, peer, tag };
    let mut datagram = header.to_bytes().to_vec();
    let payload = payload_len(setup.max_datagram, random);
    datagram.extend_from_slice(&random.bytes(payload));
    datagram
}

fn probe(scene: &Scene, source: SocketAddr, random: &mut Random) -> Vec<u8> {
    let mut datagram = match random.below(4) {
        0 => [Kind::Probe as u8; 1].into_iter().chain([0; 31]).collect(),
        1 => random.bytes(32),
        2 => last_ticket(scene, source, random),
        _ => send(scene, source, random),
    };
    datagram[0] = Kind::Probe as u8;
    datagram.truncate(32);
    let payload = random.pick(&[0, 0, 0, 1, 8, 31, 32, 33, 40]);
    datagram.extend_from_slice(&random.bytes(payload));
    datagram
}

/// What an OBSERVED for this source starts with, mostly in time.
fn last_ticket(scene: &Scene, source: SocketAddr, random: &mut Random) -> Vec<u8> {
    let (id, secret) = scene.setup.keys[random.below(scene.setup.keys.len())];
    let left = random.pick(&[-1, 0, 1, 60, 119, 120, 121]);
    let expires = (i64::from(scene.setup.now_s) + left).clamp(0, i64::from(u32::MAX)) as u32;
    let tag = tag::ticket(&SipKey::new(secret), id, expires, canonical(source));
    let header = Header { kind: Kind::Probe as u8, class_key: id, expires, peer: canonical(source), tag };
    header.to_bytes().to_vec()
}

/// A good datagram of a kind that no reflector takes.
fn other_kind(scene: &Scene, source: SocketAddr, random: &mut Random) -> Vec<u8> {
    let mut datagram = send(scene, source, random);
    datagram[0] = random.pick(&[0, 1, 2, 3, 7, 9, 11, 12, 14, 15, 0x4a, 0x8a, 255]);
    datagram
}

/// What starts like STUN, of any length.
fn stun(random: &mut Random) -> Vec<u8> {
    let len = random.pick(&[8, 20, 20, 28, 31, 32, 33, 60, 1_480]);
    let mut datagram = random.bytes(len);
    datagram[0] = random.pick(&[0, 0, 0, 1, 2, 3, 4, 0x40]);
    datagram[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
    datagram
}

fn destination(scene: &Scene, source: SocketAddr, random: &mut Random) -> TransportAddress {
    let other_family_too = random.once_in(8);
    let own = || [scene.setup.own(), scene.doors.clone()].concat();
    let likely = if random.once_in(10) { own() } else { scene.peers.clone() };
    let fits = |it: &SocketAddr| other_family_too || it.is_ipv4() == source.is_ipv4();
    let likely: Vec<SocketAddr> = likely.into_iter().filter(fits).collect();
    let to = match random.below(12) {
        0 => SocketAddr::new(special(random), port(random)),
        1 if !scene.setup.broadcasts.is_empty() => {
            SocketAddr::new(scene.setup.broadcasts[0].into(), port(random))
        }
        2 if random.once_in(3) => SocketAddr::new(of_host(scene, random), port(random)),
        _ if likely.is_empty() => source,
        _ => likely[random.below(likely.len())],
    };
    canonical(to)
}

/// An address of the reflector's own host.
fn of_host(scene: &Scene, random: &mut Random) -> IpAddr {
    let host: Vec<wire::Block> = scene.setup.host().collect();
    if host.is_empty() {
        return special(random);
    }
    let block = host[random.below(host.len())];
    if random.once_in(2) { block.first() } else { block.last() }
}

/// The form that the header has, also for spellings that no socket has.
fn canonical(socket: SocketAddr) -> TransportAddress {
    TransportAddress::from_socket(socket).unwrap_or(TransportAddress { address: 0xffff << 32 | 1, port: 9 })
}

fn expiry(scene: &Scene, random: &mut Random) -> u32 {
    let half = i64::from(scene.setup.answer_lifetime_s) / 2;
    let left = match random.below(10) {
        0 => random.pick(&[-1, 0, 1, 599, 600, 601, -100, 100_000]),
        1 | 2 => random.pick(&[half - 1, half, half + 1]),
        _ => random.below(601) as i64,
    };
    (i64::from(scene.setup.now_s) + left).clamp(0, i64::from(u32::MAX)) as u32
}

fn payload_len(max_datagram: usize, random: &mut Random) -> usize {
    let to_the_limit = max_datagram.saturating_sub(32);
    match random.below(20) {
        0 => to_the_limit,
        1 => to_the_limit + 1,
        2 => to_the_limit.saturating_sub(20),
        3 => to_the_limit.saturating_sub(19),
        4 => random.below(to_the_limit + 8),
        _ => random.below(to_the_limit.min(48) + 1),
    }
}

fn mutate(datagram: &mut Vec<u8>, random: &mut Random) {
    match random.below(3) {
        0 => datagram.truncate(random.below(datagram.len() + 1)),
        1 if !datagram.is_empty() => {
            let at = random.below(datagram.len().min(32));
            datagram[at] ^= 1 << random.below(8);
        }
        _ => {
            let more = random.below(4);
            datagram.extend_from_slice(&random.bytes(more));
        }
    }
}
