//! Random setups: reflectors, the networks around them, and the endpoints that talk through them.
//!
//! * Addresses come from small pools, so that lists, routes, buckets and peers meet each other often.
//! * Every special-purpose block, every embedding of IPv4 in IPv6 and every refused port has its place in a pool.

use crate::random::Random;
use crate::setup::{Hop, Route, Setup};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use wire::Block;

/// A setup, and what surrounds it.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) setup: Setup,
    pub(crate) own_mac: [u8; 6],
    pub(crate) gateway: [u8; 6],
    pub(crate) neighbour: [u8; 6],
    /// Whether endpoints are neighbours rather than behind the gateway.
    pub(crate) mostly_on_link: bool,
    /// Endpoints; most datagrams go between two of them.
    pub(crate) peers: Vec<SocketAddr>,
    /// Where frames arrive: the listening addresses, a wildcard being every local address of its family.
    pub(crate) doors: Vec<SocketAddr>,
}

impl Scene {
    /// A scene on an interface with this MAC address.
    pub(crate) fn draw(random: &mut Random, own_mac: [u8; 6]) -> Self {
        let mut peers: Vec<SocketAddr> = (0..PEERS / 2).map(|_| peer(random)).collect();
        for place in 0..PEERS / 2 {
            peers.push(beside(peers[place], random));
        }
        let mut setup = base(random);
        listeners(&mut setup, random);
        blocks(&mut setup, &peers, random);
        revocations(&mut setup, &peers, random);
        budgets(&mut setup, random);
        let (gateway, neighbour) = (mac(random), mac(random));
        let mostly_on_link = random.once_in(4);
        let default = if mostly_on_link { Hop::OnLink } else { Hop::Gateway(gateway) };
        routes(&mut setup, &peers, [default, Hop::OnLink, Hop::Gateway(gateway), Hop::Pass], random);
        neighbours(&mut setup, &peers, neighbour, random);
        let doors = doors(&setup);
        Self { setup, own_mac, gateway, neighbour, mostly_on_link, peers, doors }
    }
}

/// Any address that means something, somewhere.
pub(crate) fn special(random: &mut Random) -> IpAddr {
    let texts = if random.once_in(2) { SPECIAL_V4 } else { SPECIAL_V6 };
    texts[random.below(texts.len())].parse().unwrap()
}

/// A port, often one at the edge of what is refused.
pub(crate) fn port(random: &mut Random) -> u16 {
    const EDGES: [u16; 14] =
        [0, 53, 1023, 1024, 1899, 1900, 1901, 3478, 3702, 5353, 5683, 11211, 11212, 65535];
    if random.once_in(10) { random.pick(&EDGES) } else { 1024 | random.half() }
}

fn peer(random: &mut Random) -> SocketAddr {
    let ip = match random.below(10) {
        0 => special(random),
        1..=5 => IpAddr::V4(random.v4()),
        _ => IpAddr::V6(random.v6()),
    };
    SocketAddr::new(ip, port(random))
}

/// The same endpoint, or one that differs in one bit of its address: often about where a budget's prefix ends.
fn beside(peer: SocketAddr, random: &mut Random) -> SocketAddr {
    let port = if random.once_in(2) { peer.port() } else { port(random) };
    let ip = match peer.ip() {
        IpAddr::V4(ip) => {
            let bit = random.pick(&[0, 7, 7, 8, 8, 9, 31]);
            IpAddr::V4((ip.to_bits() ^ 1 << bit).into())
        }
        IpAddr::V6(ip) => {
            let bit = random.pick(&[0, 63, 64, 79, 79, 80, 80, 81, 124]);
            IpAddr::V6((ip.to_bits() ^ 1 << bit).into())
        }
    };
    SocketAddr::new(ip, port)
}

fn base(random: &mut Random) -> Setup {
    let mut keys: Vec<(u8, [u8; 16])> = Vec::new();
    for _ in 0..1 + random.below(4) {
        let id = random.byte() & 15;
        if keys.iter().all(|(other, _)| *other != id) {
            keys.push((id, random.array()));
        }
    }
    let now_s = match random.below(12) {
        0 => u32::MAX - random.below(700) as u32,
        1 => random.below(700) as u32,
        _ => 1_700_000_000 + random.below(200_000_000) as u32,
    };
    let mut setup = Setup::of_vectors(keys, now_s, Vec::new());
    setup.max_datagram = random.pick(&[1472, 1472, 1472, 1200, 576, 64, 52, 32, 1500, 2000]);
    setup.answer_lifetime_s = random.pick(&[300, 300, 10, 11, 540, 301]);
    setup.ticket_lifetime_s = random.pick(&[120, 120, 10, 77]);
    setup.hash_key = random.array();
    setup
}

fn listeners(setup: &mut Setup, random: &mut Random) {
    let (v4, v6) = (host(random), random.v6());
    setup.local = vec![v4.into(), v6.into(), host(random).into(), random.v6().into()];
    if random.once_in(3) {
        setup.prefixes = prefixes(random);
    }
    (setup.listen_v4, setup.listen_v6) = (None, None);
    let families = random.below(8);
    let wildcard = random.once_in(4);
    let port = 1024 | random.half();
    if families != 0 {
        let ip = if wildcard { "0.0.0.0".parse().unwrap() } else { v4 };
        setup.listen_v4 = Some(SocketAddrV4::new(ip, port));
    }
    if families != 1 {
        let port = if random.once_in(4) { 1024 | random.half() } else { port };
        let ip = if wildcard { "::".parse().unwrap() } else { v6 };
        setup.listen_v6 = Some(SocketAddrV6::new(ip, port, 0, 0));
    }
    if random.once_in(4) {
        setup.advertise.push(SocketAddr::new(host(random).into(), port));
    }
    setup.broadcasts = (0..random.below(3)).map(|_| random.v4()).collect();
}

/// Prefixes that are the host's as a whole.
fn prefixes(random: &mut Random) -> Vec<Block> {
    let (bits_v4, bits_v6) = (random.pick(&[20_u8, 24, 31]), random.pick(&[33_u8, 48, 64, 127]));
    let v4 = Block::around(host(random).into(), bits_v4);
    let v6 = Block::around(random.v6().into(), bits_v6);
    v4.into_iter().chain(v6).collect()
}

/// An address that a host can have on a wire; loopback and link-local ones are not for the program to serve.
fn host(random: &mut Random) -> Ipv4Addr {
    let [first, rest @ ..] = random.v4().octets();
    let first = if matches!(first, 0 | 127 | 169 | 224..) { 10 } else { first };
    Ipv4Addr::new(first, rest[0], rest[1], rest[2])
}

/// Blocks around peers and special addresses, so that they hold some of what will be asked; at times as many as the
/// program has room for.
fn blocks(setup: &mut Setup, peers: &[SocketAddr], random: &mut Random) {
    let mut draw = |most: usize| -> Vec<Block> {
        let number = if random.once_in(16) { most } else { random.below(4) };
        (0..number).map(|_| block(peers, random)).collect()
    };
    setup.allow_destination = draw(32);
    setup.deny_destination = draw(64);
    setup.deny_source = draw(64);
    if random.once_in(3) {
        setup.allow_destination.extend(["0.0.0.0/0", "::/0"].map(|all| all.parse::<Block>().unwrap()));
        setup.allow_destination.truncate(32);
    }
}

fn block(peers: &[SocketAddr], random: &mut Random) -> Block {
    let ip = match random.below(3) {
        0 => peers[random.below(peers.len())].ip(),
        _ => special(random),
    };
    let network = |prefix: u8| match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            Block::new(IpAddr::V4((ip.to_bits() & mask).into()), prefix)
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            Block::new(IpAddr::V6((ip.to_bits() & mask).into()), prefix)
        }
    };
    let longest: u8 = if ip.is_ipv4() { 32 } else { 128 };
    let prefix = random.pick(&[longest, longest - 1, longest / 4 * 3, longest / 2, longest / 4 + 3]);
    // A block that spells IPv4 is refused by the command line, so there is none to be tested.
    network(prefix).unwrap_or_else(|_| "198.18.0.0/15".parse().unwrap())
}

/// Some of the endpoints, and some pairs of them.
fn revocations(setup: &mut Setup, peers: &[SocketAddr], random: &mut Random) {
    let known = |it: &&SocketAddr| wire::TransportAddress::from_socket(**it).is_some();
    let peers: Vec<SocketAddr> = peers.iter().filter(known).copied().collect();
    if peers.is_empty() || !random.once_in(3) {
        return;
    }
    for _ in 0..1 + random.below(4) {
        let (a, b) = (peers[random.below(peers.len())], peers[random.below(peers.len())]);
        let subject = if random.once_in(3) { vec![a] } else { vec![a, b] };
        let again = [a, b].into_iter().rev().collect();
        if !setup.revoked.contains(&subject) && !setup.revoked.contains(&again) {
            setup.revoked.push(subject);
        }
    }
}

fn budgets(setup: &mut Setup, random: &mut Random) {
    if random.once_in(4) {
        setup.probe_budget_s = random.pick(&[1, 2, 10, 4000]);
    }
    for class in 0..16 {
        if random.once_in(5) {
            setup.class_rates_bytes_s[class] = Some(random.pick(&[1, 50, 64, 1000, 100_000, 10_000_000]));
        }
    }
}

/// Some routes of any kind, and mostly a default route: the first of `hops`.
fn routes(setup: &mut Setup, peers: &[SocketAddr], hops: [Hop; 4], random: &mut Random) {
    let number = if random.once_in(16) { MAX_ROUTES - 2 } else { random.below(5) };
    let mut routes: Vec<Route> =
        (0..number).map(|_| Route { network: block(peers, random), hop: random.pick(&hops) }).collect();
    if !random.once_in(12) {
        let all = ["0.0.0.0/0", "::/0"].map(|all| all.parse().unwrap());
        routes.extend(all.map(|network| Route { network, hop: hops[0] }));
    }
    routes.sort_by_key(|route| std::cmp::Reverse(route.network.prefix()));
    setup.routes = routes;
}

fn neighbours(setup: &mut Setup, peers: &[SocketAddr], neighbour: [u8; 6], random: &mut Random) {
    for peer in peers {
        let mac = if random.once_in(8) { mac(random) } else { neighbour };
        if !random.once_in(8) && setup.neighbours.iter().all(|(ip, _)| *ip != peer.ip()) {
            setup.neighbours.push((peer.ip(), mac));
        }
    }
}

fn doors(setup: &Setup) -> Vec<SocketAddr> {
    let listening = [setup.listen_v4.map(SocketAddr::V4), setup.listen_v6.map(SocketAddr::V6)];
    let open = |listen: SocketAddr| -> Vec<SocketAddr> {
        let local = setup.local.iter().filter(|local| local.is_ipv4() == listen.is_ipv4());
        let expanded = local.map(|local| SocketAddr::new(*local, listen.port())).collect();
        if listen.ip().is_unspecified() { expanded } else { vec![listen] }
    };
    listening.into_iter().flatten().flat_map(open).collect()
}

fn mac(random: &mut Random) -> [u8; 6] {
    let mut mac: [u8; 6] = random.array();
    mac[0] = mac[0] & 0xfc | 2;
    mac
}

const PEERS: usize = 12;
/// As many as the program holds.
const MAX_ROUTES: usize = 16;

/// One address of each block that some registry or document sets apart, and their edges.
const SPECIAL_V4: &[&str] = &[
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "9.255.255.255",
    "11.0.0.0",
    "100.64.0.1",
    "100.63.255.255",
    "100.128.0.0",
    "127.0.0.1",
    "126.255.255.255",
    "128.0.0.0",
    "169.254.169.254",
    "169.254.1.1",
    "168.63.129.16",
    "172.16.0.1",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.0.8",
    "192.0.1.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.20.0.0",
    "198.51.100.1",
    "203.0.113.1",
    "223.255.255.255",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.254",
    "255.255.255.255",
];
const SPECIAL_V6: &[&str] = &[
    "::",
    "::1",
    "::2",
    "::7f00:1",
    "::ffff:0:7f00:1",
    "64:ff9b::7f00:1",
    "64:ff9b:0:0:1::1",
    "64:ff9b:1::1",
    "64:ff9b:2::1",
    "100::1",
    "1fff:ffff::1",
    "2000::1",
    "2001::1",
    "2001:0:1::5",
    "2001:1::1",
    "2001:1ff::1",
    "2001:200::1",
    "2001:db8::1",
    "2001:db9::1",
    "2002:7f00:1::1",
    "2a00::5efe:7f00:1",
    "2a00::200:5efe:7f00:1",
    "2a00::1:5efe:7f00:1",
    "3fff::1",
    "3fff:fff::1",
    "3fff:1000::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd00:ec2::255",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "ffff::1",
];
