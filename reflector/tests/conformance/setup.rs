//! Everything that a verdict depends on besides the datagram, as plain values that every subject is set up from.
//!
//! * Time is part of it: one setup is one moment.
//! * Ring, policy and limits are made of the same values that the XDP program is given, so they cannot differ.

use reflector::rules::rates::Limits;
use reflector::rules::shared::Rules;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use wire::revoked::{RevokedTable, Subject};
use wire::{Block, BlockSet, KeyRing, Policy, TransportAddress};

/// One moment of one reflector.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// (id, secret) in minting order.
    pub(crate) keys: Vec<(u8, [u8; 16])>,
    pub(crate) listen_v4: Option<SocketAddrV4>,
    pub(crate) listen_v6: Option<SocketAddrV6>,
    /// Whether STUN is on.
    pub(crate) stun: bool,
    /// Addresses of this host.
    pub(crate) local: Vec<IpAddr>,
    /// Prefixes that are this host's as a whole.
    pub(crate) prefixes: Vec<Block>,
    pub(crate) advertise: Vec<SocketAddr>,
    pub(crate) broadcasts: Vec<Ipv4Addr>,
    pub(crate) allow_destination: Vec<Block>,
    pub(crate) deny_destination: Vec<Block>,
    pub(crate) deny_source: Vec<Block>,
    /// Addresses, and pairs of them, that were taken back.
    pub(crate) revoked: Vec<Vec<SocketAddr>>,
    pub(crate) max_datagram: usize,
    pub(crate) answer_lifetime_s: u32,
    pub(crate) ticket_lifetime_s: u32,
    pub(crate) probe_budget_s: u64,
    pub(crate) class_rates_bytes_s: [Option<u64>; 16],
    pub(crate) hash_key: [u8; 16],
    /// Longest prefix first.
    pub(crate) routes: Vec<Route>,
    pub(crate) neighbours: Vec<(IpAddr, [u8; 6])>,
    /// Unix time, s.
    pub(crate) now_s: u32,
    /// Time of the buckets, ns.
    pub(crate) now_ns: u64,
}

impl Setup {
    /// The setup of the published vectors: both families, nothing denied, no budget that could be spent; it listens
    /// where no vector points.
    pub(crate) fn of_vectors(keys: Vec<(u8, [u8; 16])>, now_s: u32, allow: Vec<Block>) -> Self {
        Self {
            keys,
            listen_v4: Some(SocketAddrV4::new(Ipv4Addr::new(5, 9, 8, 7), 3478)),
            listen_v6: Some(SocketAddrV6::new(Ipv6Addr::new(0x2a01, 0x4f8, 0, 0, 0, 0, 0, 7), 3478, 0, 0)),
            stun: false,
            local: Vec::new(),
            prefixes: Vec::new(),
            advertise: Vec::new(),
            broadcasts: Vec::new(),
            allow_destination: allow,
            deny_destination: Vec::new(),
            deny_source: Vec::new(),
            revoked: Vec::new(),
            max_datagram: 1472,
            answer_lifetime_s: 300,
            ticket_lifetime_s: 120,
            probe_budget_s: 1_000_000_000,
            class_rates_bytes_s: [None; 16],
            hash_key: [7; 16],
            routes: Vec::new(),
            neighbours: Vec::new(),
            now_s,
            now_ns: u64::from(now_s) * 1_000_000_000,
        }
    }

    pub(crate) fn rules(&self) -> Rules {
        Rules { ring: self.ring(), policy: self.policy(), limits: self.limits() }
    }

    pub(crate) fn ring(&self) -> KeyRing {
        KeyRing::new(&self.keys).unwrap()
    }

    pub(crate) fn policy(&self) -> Policy {
        Policy {
            own: self.own().into_iter().filter_map(TransportAddress::from_socket).collect(),
            host: BlockSet::new(&self.host().chain(self.advertised()).collect::<Vec<_>>()),
            broadcasts: self.broadcasts.clone(),
            allow_destination: BlockSet::new(&self.allow_destination),
            deny_destination: BlockSet::new(&self.deny_destination),
            deny_source: BlockSet::new(&self.deny_source),
            sends_ipv4: self.listen_v4.is_some(),
            sends_ipv6: self.listen_v6.is_some(),
            revoked: self.revoked_table().map(|table| table.reader()).unwrap_or_default(),
            max_datagram: self.max_datagram,
            answer_lifetime_s: self.answer_lifetime_s,
            ticket_lifetime_s: self.ticket_lifetime_s,
        }
    }

    /// What listens and is advertised; a wildcard stands for its port on every address of this host.
    pub(crate) fn own(&self) -> Vec<SocketAddr> {
        let listening = [self.listen_v4.map(SocketAddr::V4), self.listen_v6.map(SocketAddr::V6)];
        self.advertise.iter().copied().chain(listening.into_iter().flatten()).collect()
    }

    /// What is delivered to this host.
    pub(crate) fn host(&self) -> impl Iterator<Item = Block> + '_ {
        self.local.iter().map(|ip| whole(*ip)).chain(self.prefixes.iter().copied())
    }

    /// Whether this is an address of this host.
    pub(crate) fn is_local(&self, ip: IpAddr) -> bool {
        self.host().any(|block| block.contains(ip))
    }

    fn advertised(&self) -> impl Iterator<Item = Block> + '_ {
        self.advertise.iter().map(|it| whole(it.ip()))
    }

    /// The table of what was taken back, if there is anything.
    pub(crate) fn revoked_table(&self) -> Option<RevokedTable> {
        if self.revoked.is_empty() {
            return None;
        }
        let mut table = RevokedTable::new(std::array::from_fn(|at| 0x9e37_79b9_7f4a_7c15 + at as u64));
        let address = |socket: SocketAddr| TransportAddress::from_socket(socket).unwrap();
        for subject in &self.revoked {
            let subject = match subject.as_slice() {
                [one] => Subject::Address(address(*one)),
                [a, b] => Subject::pair(address(*a), address(*b)),
                other => panic!("{other:?} is neither an address nor a pair"),
            };
            table.insert(&subject).unwrap();
        }
        Some(table)
    }

    fn limits(&self) -> Limits {
        let mut limits = Limits::new(self.probe_budget_s);
        for (class, rate) in self.class_rates_bytes_s.iter().enumerate() {
            rate.iter().for_each(|rate| limits.limit_class(class as u8, *rate));
        }
        limits
    }
}

/// The block of one address.
pub(crate) fn whole(ip: IpAddr) -> Block {
    Block::new(ip, if ip.is_ipv4() { 32 } else { 128 }).unwrap()
}

/// Where frames to a network leave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    pub(crate) network: Block,
    pub(crate) hop: Hop,
}

/// The next hop of a route.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hop {
    /// The router with this MAC address.
    Gateway([u8; 6]),
    /// The destination itself, whose MAC address is among the neighbours.
    OnLink,
    /// Not for the program to know, e.g. another interface.
    Pass,
}
