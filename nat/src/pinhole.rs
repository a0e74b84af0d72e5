//! What a NAT remembers: one record for each inside host, external port and remote that it has to tell apart.
//!
//! * One record serves mapping and filter: a mapping is all records of one inside host and external port, its filter
//!   the remotes in them.
//! * A remote is kept only as deeply as mapping or filtering compare it; the rest is zero, so equality needs no mask.
//! * A record is 48 bytes without heap; the first lies inside the table, so that a NAT of one mapping has no heap.
//!
//! ```text
//!   inside address, port (18) | remote address, port (18) | external port (2) | - (2) | refreshed (8)
//!   EIM/EIF keeps no remote; with ADM or ADF its address; with APDM or APDF its port too
//! ```

use crate::behaviour::{Filtering, Mapping};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// One inside host, one external transport address, and the remote it is open towards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pinhole {
    /// The inside host.
    pub inside: SocketAddr,
    /// What it is seen as from outside.
    pub external: SocketAddr,
    /// What is remembered of the remote.
    pub towards: Towards,
    /// When it is gone, if unused until then.
    pub expires_ms: u64,
}

/// How much of a remote a NAT remembers: as much as mapping or filtering depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Towards {
    /// Nothing: EIM with EIF.
    Everyone,
    /// Its address: ADM or ADF.
    Address(IpAddr),
    /// Its transport address: APDM or APDF.
    TransportAddress(SocketAddr),
}

/// How much of a remote is compared, the deeper the later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Depth {
    Nothing,
    Address,
    TransportAddress,
}

impl Depth {
    pub(crate) fn of_mapping(mapping: Mapping) -> Self {
        match mapping {
            Mapping::Eim => Self::Nothing,
            Mapping::Adm => Self::Address,
            Mapping::Apdm => Self::TransportAddress,
        }
    }

    pub(crate) fn of_filtering(filtering: Filtering) -> Self {
        match filtering {
            Filtering::Eif => Self::Nothing,
            Filtering::Adf => Self::Address,
            Filtering::Apdf => Self::TransportAddress,
        }
    }
}

/// A transport address of the family its NAT has: 18 bytes where `SocketAddr` takes 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PackedAddr {
    /// IPv4 in the first four bytes, zeros behind.
    address: [u8; 16],
    port: u16,
}

impl PackedAddr {
    /// Flow label and scope of an IPv6 address are left out.
    pub(crate) fn of(from: SocketAddr) -> Self {
        let address = match from.ip() {
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
            }
            IpAddr::V6(v6) => v6.octets(),
        };
        Self { address, port: from.port() }
    }

    /// The same transport address, given the family of the NAT's external address.
    pub(crate) fn unpack(self, family: IpAddr) -> SocketAddr {
        let [a, b, c, d, ..] = self.address;
        let ip = match family {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(self.address)),
        };
        SocketAddr::new(ip, self.port)
    }

    pub(crate) fn port(self) -> u16 {
        self.port
    }

    /// Zeros below this depth.
    pub(crate) fn cut(self, depth: Depth) -> Self {
        match depth {
            Depth::Nothing => Self { address: [0; 16], port: 0 },
            Depth::Address => Self { port: 0, ..self },
            Depth::TransportAddress => self,
        }
    }

    /// Whether two transport addresses are equal as far as this depth compares.
    pub(crate) fn equals(self, other: Self, depth: Depth) -> bool {
        depth == Depth::Nothing
            || (self.address == other.address && (depth == Depth::Address || self.port == other.port))
    }
}

/// One pinhole as it is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) inside: PackedAddr,
    pub(crate) remote: PackedAddr,
    pub(crate) external_port: u16,
    pub(crate) refreshed_ms: u64,
}

impl Record {
    /// A clock that went back makes nothing older.
    pub(crate) fn idle_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.refreshed_ms)
    }

    pub(crate) fn refresh(&mut self, now_ms: u64) {
        self.refreshed_ms = self.refreshed_ms.max(now_ms);
    }

    /// The record as others may see it.
    pub(crate) fn pinhole(&self, external: IpAddr, kept: Depth, mapping_timeout_ms: u64) -> Pinhole {
        let remote = self.remote.unpack(external);
        Pinhole {
            inside: self.inside.unpack(external),
            external: SocketAddr::new(external, self.external_port),
            towards: match kept {
                Depth::Nothing => Towards::Everyone,
                Depth::Address => Towards::Address(remote.ip()),
                Depth::TransportAddress => Towards::TransportAddress(remote),
            },
            expires_ms: self.refreshed_ms.saturating_add(mapping_timeout_ms),
        }
    }
}

/// All records of one NAT in the order they were made; no heap until there are two at once.
#[derive(Clone, Debug)]
pub(crate) enum Table {
    Empty,
    One(Record),
    Many(Vec<Record>),
}

impl Table {
    pub(crate) fn records(&self) -> &[Record] {
        match self {
            Self::Empty => &[],
            Self::One(record) => std::slice::from_ref(record),
            Self::Many(records) => records,
        }
    }

    pub(crate) fn records_mut(&mut self) -> &mut [Record] {
        match self {
            Self::Empty => &mut [],
            Self::One(record) => std::slice::from_mut(record),
            Self::Many(records) => records,
        }
    }

    pub(crate) fn push(&mut self, record: Record) {
        match self {
            Self::Empty => *self = Self::One(record),
            Self::One(first) => *self = Self::Many(vec![*first, record]),
            Self::Many(records) => records.push(record),
        }
    }

    /// Keeps what `lives`, in order; memory that is held stays for the next records.
    pub(crate) fn retain(&mut self, lives: impl Fn(&Record) -> bool) {
        match self {
            Self::Empty => {}
            Self::One(record) => {
                if !lives(record) {
                    *self = Self::Empty;
                }
            }
            Self::Many(records) => records.retain(lives),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_addresses_come_back_in_their_family() {
        for text in
            ["192.0.2.1:0", "255.255.255.255:65535", "[2001:db8::1]:9", "[::ffff:192.0.2.1]:5", "[::]:1"]
        {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(PackedAddr::of(address).unpack(address.ip()), address);
        }
        assert_eq!(size_of::<Record>(), 48);
    }

    #[test]
    fn depths_compare_what_they_name() {
        let packed = |text: &str| PackedAddr::of(text.parse().unwrap());
        let (a1, a2, b1) = (packed("192.0.2.1:1"), packed("192.0.2.1:2"), packed("192.0.2.2:1"));
        let equal = |x: PackedAddr, y| {
            [Depth::Nothing, Depth::Address, Depth::TransportAddress].map(|depth| {
                assert_eq!(x.equals(y, depth), x.cut(depth) == y.cut(depth));
                x.equals(y, depth)
            })
        };
        assert_eq!(equal(a1, a1), [true, true, true]);
        assert_eq!(equal(a1, a2), [true, true, false]);
        assert_eq!(equal(a1, b1), [true, false, false]);
    }

    #[test]
    fn a_table_keeps_its_order_through_all_sizes() {
        let record = |port| Record {
            inside: PackedAddr::of(SocketAddr::from(([10, 0, 0, 1], port))),
            remote: PackedAddr::of(SocketAddr::from(([0, 0, 0, 0], 0))),
            external_port: port,
            refreshed_ms: 0,
        };
        let mut table = Table::Empty;
        for port in 1..=5 {
            table.push(record(port));
            let ports: Vec<u16> = table.records().iter().map(|each| each.external_port).collect();
            assert_eq!(ports, (1..=port).collect::<Vec<_>>());
        }
        table.retain(|each| each.external_port % 2 == 1);
        assert_eq!(table.records_mut().iter().map(|each| each.external_port).collect::<Vec<_>>(), [1, 3, 5]);
        let mut one = Table::Empty;
        one.push(record(1));
        one.retain(|_| true);
        assert_eq!(one.records().len(), 1);
        one.retain(|_| false);
        assert!(one.records().is_empty() && one.records_mut().is_empty());
    }
}
