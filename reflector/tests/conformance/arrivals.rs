//! Random frames around random datagrams, in every shape that a network can produce and some that none should.
//!
//! * Two frames of three are plain, so that most datagrams are decided; the rest is unusual in one to three ways.

use crate::datagrams;
use crate::frame::{Checksum, Frame};
use crate::random::Random;
use crate::scene::{Scene, port, special};
use std::net::{IpAddr, SocketAddr};

/// The bytes of a frame that might arrive at the interface of this scene.
pub(crate) fn draw(scene: &Scene, random: &mut Random) -> Vec<u8> {
    let (source, door) = ends(scene, random);
    let mut payload = datagrams::draw(scene, source, random);
    payload.truncate(MAX_PAYLOAD);
    let mac = if random.once_in(12) {
        random.array()
    } else if random.once_in(5) == scene.mostly_on_link {
        scene.gateway
    } else {
        scene.neighbour
    };
    let mut frame = Frame::new(source, door, &payload).with_macs(scene.own_mac, mac);
    harmless(&mut frame, random);
    for _ in 0..random.below(9).saturating_sub(5) {
        unusual(&mut frame, random);
    }
    let mut bytes = frame.to_bytes();
    mangle(&mut bytes, random);
    bytes
}

/// Source and destination of one family: mostly a peer and a door, sometimes where nothing listens.
fn ends(scene: &Scene, random: &mut Random) -> (SocketAddr, SocketAddr) {
    let mut door = scene.doors[random.below(scene.doors.len())];
    if random.once_in(60) {
        let local = scene.setup.local[random.below(scene.setup.local.len())];
        let nowhere = [local, "0.0.0.0".parse().unwrap(), "::".parse().unwrap()][random.below(3)];
        door = SocketAddr::new(nowhere, random.pick(&[0, door.port()]));
    }
    let mut source = match random.below(24) {
        0 => SocketAddr::new(special(random), port(random)),
        1 => SocketAddr::new(scene.setup.local[random.below(scene.setup.local.len())], port(random)),
        2 if !scene.setup.broadcasts.is_empty() => {
            SocketAddr::new(scene.setup.broadcasts[0].into(), port(random))
        }
        3 => door,
        _ => scene.peers[random.below(scene.peers.len())],
    };
    if source.is_ipv4() != door.is_ipv4() {
        let same = scene.peers.iter().copied().find(|peer| peer.is_ipv4() == door.is_ipv4());
        source = same.unwrap_or(SocketAddr::new(another(door.ip()), port(random)));
    }
    let door = match random.below(40) {
        0 => SocketAddr::new(door.ip(), door.port() ^ 1),
        1 => SocketAddr::new(another(door.ip()), door.port()),
        2 => scene
            .setup
            .local
            .iter()
            .find(|it| it.is_ipv4() == door.is_ipv4())
            .map_or(door, |local| SocketAddr::new(*local, door.port())),
        _ => door,
    };
    (source, door)
}

fn another(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => IpAddr::V4((ip.to_bits() ^ 0x100).into()),
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() ^ 0x100).into()),
    }
}

/// What must make no difference to the verdict, but to the bytes that leave.
fn harmless(frame: &mut Frame, random: &mut Random) {
    if random.once_in(2) {
        frame.class = random.byte();
        frame.flow_label = random.next() as u32;
        frame.hops = random.byte();
        frame.id = random.half();
        frame.fragment = random.pick(&[0, 0x4000]);
    }
    frame.udp_checksum = match random.below(10) {
        0 => Checksum::Wrong(random.pick(&[1, 0x00ff, 0x0100, 0x7fff, 0xfffe])),
        1 => Checksum::Partial,
        2 if frame.source.is_ipv4() => Checksum::Absent,
        _ => Checksum::Right,
    };
    if random.once_in(6) {
        let len = 1 + random.below(24);
        frame.trailer = random.bytes(len);
    }
}

fn unusual(frame: &mut Frame, random: &mut Random) {
    match random.below(12) {
        0 => frame.destination_mac[random.below(6)] ^= 1 << random.below(8),
        1 => frame.destination_mac = [0xff; 6],
        2 => frame.tags = vec![[random.pick(&[0x81, 0x88]), random.pick(&[0x00, 0xa8]), 0, 5]],
        3 if frame.source.is_ipv4() => {
            frame.options = [1; 4].repeat(1 + random.below(10));
        }
        3 | 4 if !frame.source.is_ipv4() => {
            // Hop-by-hop, routing, fragment, no next header, destination options.
            frame.first_header = random.pick(&[0, 43, 44, 59, 60]);
            frame.options = vec![17, 0, 1, 4, 0, 0, 0, 0];
        }
        4 => frame.fragment = random.pick(&[0x2000, 0x6000, 1, 0x4001, 0x1fff, 0x8000, 0xc000]),
        5 => frame.header_checksum_error = random.pick(&[1, 0x100, 0xffff]),
        6 => frame.ip_length_error = random.pick(&[1, 0xffff, 8, 0xfff8, 0x8000, 0xffe0]),
        7 => frame.udp_length_error = random.pick(&[1, 0xffff, 8, 0xfff8, 0x8000, 0xfff0]),
        8 => frame.first_header = random.pick(&[1, 6, 50, 58, 136, 255]),
        9 => frame.udp_checksum = Checksum::Absent,
        10 if !frame.source.is_ipv4() => {
            let ip = SocketAddr::new("::ffff:8.8.8.8".parse().unwrap(), 4000);
            if random.once_in(2) { frame.source = ip } else { frame.destination = ip }
        }
        _ => {
            let nested = frame.to_bytes();
            let room = MAX_PAYLOAD.saturating_sub(frame.payload.len());
            frame.payload.extend_from_slice(&nested[..nested.len().min(room)]);
        }
    }
}

/// What happens to bytes on the way: cut anywhere, or a bit turned over.
fn mangle(bytes: &mut Vec<u8>, random: &mut Random) {
    match random.below(40) {
        0 | 1 => bytes.truncate(MIN_FRAME + random.below(bytes.len() - MIN_FRAME + 1)),
        2..=4 => {
            let at = random.below(bytes.len().min(110));
            bytes[at] ^= 1 << random.below(8);
        }
        _ => {}
    }
}

/// What BPF_PROG_TEST_RUN takes at least: an Ethernet header.
const MIN_FRAME: usize = 14;
/// Leaves room for all headers in the one page that BPF_PROG_TEST_RUN has.
const MAX_PAYLOAD: usize = 2100;
