//! One link, neighbour, route or rule as the kernel writes it.
//!
//! * Read from the body of a netlink message; a body that is too short is no row.
//! * Nothing is judged here: what a row means for a datagram is for `routes` to say.
//!
//! Source: linux/if_link.h, linux/neighbour.h, linux/rtnetlink.h, linux/fib_rules.h.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Bytes of the longest packet.
    pub mtu: u32,
    /// Its address, if it is an Ethernet one.
    pub mac: Option<[u8; 6]>,
    /// The interface at its other end or below it, if that is in the same namespace.
    pub peer: Option<u32>,
    /// The XDP program on it.
    pub xdp_program: Option<u32>,
    /// Whether it sits in the driver.
    pub xdp_native: bool,
    /// Frames that it failed to send, and frames to send that it dropped.
    pub send_errors: u64,
}

impl Link {
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let (head, rest) = body.split_first_chunk::<16>()?;
        let attributes = Attributes(rest);
        let name = attributes.find(IFLA_IFNAME)?;
        let name = name.strip_suffix(&[0]).unwrap_or(name);
        let elsewhere = attributes.find(IFLA_LINK_NETNSID).is_some();
        let counts = attributes.find(IFLA_STATS64).unwrap_or_default();
        // rx and tx packets, rx and tx bytes, rx and tx errors, rx and tx dropped.
        let count = |place: usize| counts.get(8 * place..).and_then(u64_of).unwrap_or_default();
        let xdp = attributes.find(IFLA_XDP).map(Attributes);
        let program = xdp.and_then(|xdp| u32_of(xdp.find(IFLA_XDP_PROG_ID)?));
        let attached = xdp.and_then(|xdp| xdp.find(IFLA_XDP_ATTACHED)?.first().copied());
        Some(Self {
            index: u32_of(head.get(4..)?)?,
            name: String::from_utf8_lossy(name).into_owned(),
            mtu: attributes.find(IFLA_MTU).and_then(u32_of)?,
            mac: attributes.find(IFLA_ADDRESS).and_then(|bytes| bytes.try_into().ok()),
            peer: attributes.find(IFLA_LINK).and_then(u32_of).filter(|_| !elsewhere),
            xdp_program: program.filter(|id| *id != 0),
            xdp_native: attached == Some(XDP_ATTACHED_DRV),
            send_errors: count(5).saturating_add(count(7)),
        })
    }
}

/// An entry of the neighbour table (ARP, RFC 4861).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The interface.
    pub link: u32,
    /// The neighbour's address.
    pub address: IpAddr,
    /// Its Ethernet address, if known.
    pub mac: Option<[u8; 6]>,
    /// Whether the kernel would send to that Ethernet address now.
    pub usable: bool,
}

impl Neighbour {
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let (head, rest) = body.split_first_chunk::<12>()?;
        let [family, _, _, _, i0, i1, i2, i3, s0, s1, flags, _] = *head;
        let attributes = Attributes(rest);
        let state = u16::from_ne_bytes([s0, s1]);
        Some(Self {
            link: u32::from_ne_bytes([i0, i1, i2, i3]),
            address: address(family, attributes.find(NDA_DST)?)?,
            mac: attributes.find(NDA_LLADDR).and_then(|bytes| bytes.try_into().ok()),
            usable: state & NUD_VALID != 0 && flags & NTF_PROXY == 0,
        })
    }
}

/// A route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Network.
    pub network: IpAddr,
    /// Bits of it that count.
    pub prefix: u8,
    /// The table.
    pub table: u32,
    /// The lower, the better.
    pub metric: u32,
    /// The interface that it leaves by.
    pub link: Option<u32>,
    /// The router, unless the network is on the link; possibly of the other family (RFC 5549).
    pub gateway: Option<IpAddr>,
    /// Whether the above is all there is to it: one next hop, unicast, no encapsulation, no condition.
    pub plain: bool,
    /// Whether what is sent there is delivered to this very host.
    pub delivered: bool,
    /// Whether the kernel passes over it now, or made it from another one.
    pub void: bool,
}

impl Route {
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let (head, rest) = body.split_first_chunk::<12>()?;
        let [family, prefix, source_prefix, tos, table, _, _, kind, f0, f1, f2, f3] = *head;
        let flags = u32::from_ne_bytes([f0, f1, f2, f3]);
        let attributes = Attributes(rest);
        let unspecified = match i32::from(family) {
            libc::AF_INET => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            libc::AF_INET6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            _ => return None,
        };
        let complicated = [RTA_MULTIPATH, RTA_ENCAP, RTA_IIF, RTA_SRC];
        let complicated = complicated.iter().any(|kind| attributes.find(*kind).is_some());
        let network = match attributes.find(RTA_DST) {
            Some(bytes) => address(family, bytes)?,
            None => unspecified,
        };
        Some(Self {
            network,
            prefix,
            table: attributes.find(RTA_TABLE).and_then(u32_of).unwrap_or(u32::from(table)),
            metric: attributes.find(RTA_PRIORITY).and_then(u32_of).unwrap_or_default(),
            link: attributes.find(RTA_OIF).and_then(u32_of),
            gateway: gateway(family, &attributes),
            plain: kind == RTN_UNICAST && source_prefix == 0 && tos == 0 && !complicated,
            delivered: matches!(kind, RTN_LOCAL | RTN_ANYCAST),
            void: flags & (RTNH_F_DEAD | RTM_F_CLONED) != 0,
        })
    }
}

/// A rule that chooses the table of routes for a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    table: u32,
    conditional: bool,
}

impl Rule {
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let (head, rest) = body.split_first_chunk::<12>()?;
        let [_, destination, source, tos, table, _, _, action, f0, f1, f2, f3] = *head;
        let inverted = u32::from_ne_bytes([f0, f1, f2, f3]) & FIB_RULE_INVERT != 0;
        let attributes = Attributes(rest);
        let conditions = [FRA_IIFNAME, FRA_FWMARK, FRA_OIFNAME, FRA_L3MDEV, FRA_UID_RANGE]
            .into_iter()
            .chain(FRA_IP_PROTO..=FRA_DPORT_RANGE)
            .any(|kind| attributes.find(kind).is_some());
        // The kernel writes this one also when it is off, as all ones.
        let suppressing =
            attributes.find(FRA_SUPPRESS_PREFIXLEN).and_then(u32_of).is_some_and(|it| it != u32::MAX);
        let selective = destination != 0 || source != 0 || tos != 0 || action != FR_ACT_TO_TBL;
        Some(Self {
            table: attributes.find(FRA_TABLE).and_then(u32_of).unwrap_or(u32::from(table)),
            conditional: conditions || suppressing || selective || inverted,
        })
    }

    /// Whether this is one of the rules that every host has: the local table, then main, then default.
    pub fn is_standard(&self) -> bool {
        !self.conditional && matches!(self.table, LOCAL_TABLE | MAIN_TABLE | DEFAULT_TABLE)
    }
}

/// The attributes behind a body's head.
#[derive(Clone, Copy, Debug)]
struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// The data of the first attribute of this type.
    fn find(&self, wanted: u16) -> Option<&'a [u8]> {
        let mut rest = self.0;
        loop {
            let [l0, l1, k0, k1] = *rest.first_chunk::<4>()?;
            let len = usize::from(u16::from_ne_bytes([l0, l1]));
            let data = rest.get(4..len)?;
            // The two highest bits say how the data is written, not what it is.
            if u16::from_ne_bytes([k0, k1]) & 0x3fff == wanted {
                return Some(data);
            }
            rest = rest.get(len.next_multiple_of(4)..)?;
        }
    }
}

fn gateway(family: u8, attributes: &Attributes<'_>) -> Option<IpAddr> {
    if let Some(bytes) = attributes.find(RTA_GATEWAY) {
        return address(family, bytes);
    }
    let (family, bytes) = attributes.find(RTA_VIA)?.split_first_chunk::<2>()?;
    address(u8::try_from(u16::from_ne_bytes(*family)).ok()?, bytes)
}

fn address(family: u8, bytes: &[u8]) -> Option<IpAddr> {
    match i32::from(family) {
        libc::AF_INET => bytes.first_chunk::<4>().map(|octets| IpAddr::from(*octets)),
        libc::AF_INET6 => bytes.first_chunk::<16>().map(|octets| IpAddr::from(*octets)),
        _ => None,
    }
}

fn u32_of(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

fn u64_of(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))
}

/// The table that holds a host's own addresses.
pub const LOCAL_TABLE: u32 = 255;
/// The table that routes go to when nothing else is said.
pub const MAIN_TABLE: u32 = 254;
const DEFAULT_TABLE: u32 = 253;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_STATS64: u16 = 23;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_XDP: u16 = 43;
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_PROG_ID: u16 = 4;
const XDP_ATTACHED_DRV: u8 = 1;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
/// PERMANENT, NOARP, REACHABLE, PROBE, STALE, DELAY.
const NUD_VALID: u16 = 0x80 | 0x40 | 0x02 | 0x10 | 0x04 | 0x08;
const NTF_PROXY: u8 = 0x08;
const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_IIF: u16 = 3;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RTA_VIA: u16 = 18;
const RTA_ENCAP: u16 = 22;
const RTN_UNICAST: u8 = 1;
const RTN_LOCAL: u8 = 2;
const RTN_ANYCAST: u8 = 4;
const RTNH_F_DEAD: u32 = 1;
const RTM_F_CLONED: u32 = 0x200;
const FR_ACT_TO_TBL: u8 = 1;
const FIB_RULE_INVERT: u32 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_FWMARK: u16 = 10;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_OIFNAME: u16 = 17;
const FRA_L3MDEV: u16 = 19;
const FRA_UID_RANGE: u16 = 20;
const FRA_IP_PROTO: u16 = 22;
const FRA_DPORT_RANGE: u16 = 24;

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, data: &[u8]) -> Vec<u8> {
        let len = u16::try_from(4 + data.len()).unwrap();
        let mut bytes = [len.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn a_neighbour_is_usable_in_the_states_in_which_the_kernel_sends() {
        let row = |state: u16, flags: u8| {
            let mut body = vec![2, 0, 0, 0, 9, 0, 0, 0];
            body.extend(state.to_ne_bytes());
            body.extend([flags, 0]);
            body.extend(attribute(NDA_DST, &[192, 0, 2, 1]));
            body.extend(attribute(NDA_LLADDR, &[2, 0, 0, 0, 0, 7]));
            Neighbour::read(&body).unwrap()
        };
        let stale = row(0x04, 0);
        assert_eq!(
            (stale.link, stale.address, stale.mac),
            (9, [192, 0, 2, 1].into(), Some([2, 0, 0, 0, 0, 7]))
        );
        assert!(stale.usable && row(0x02, 0).usable && row(0x80, 0).usable);
        assert!(!row(0x01, 0).usable, "incomplete");
        assert!(!row(0x20, 0).usable, "failed");
        assert!(!row(0x02, NTF_PROXY).usable, "answered for by this host");
    }

    #[test]
    fn a_route_with_several_hops_or_conditions_is_not_plain() {
        let route = |tos: u8, kind: u8, more: &[u8]| {
            let mut body = vec![2, 24, 0, tos, 254, 0, 0, kind, 0, 0, 0, 0];
            body.extend(attribute(RTA_DST, &[198, 51, 100, 0]));
            body.extend(attribute(RTA_OIF, &3_u32.to_ne_bytes()));
            body.extend(more);
            Route::read(&body).unwrap()
        };
        let gateway = attribute(RTA_GATEWAY, &[192, 0, 2, 1]);
        let plain = route(0, RTN_UNICAST, &gateway);
        assert!(plain.plain && !plain.void && plain.table == MAIN_TABLE && plain.metric == 0);
        assert_eq!((plain.prefix, plain.link, plain.gateway), (24, Some(3), Some([192, 0, 2, 1].into())));
        assert!(!route(0x10, RTN_UNICAST, &gateway).plain);
        assert!(!route(0, 6, &[]).plain, "blackhole");
        let delivered: Vec<u8> = (0..16).filter(|kind| route(0, *kind, &[]).delivered).collect();
        assert_eq!(delivered, [RTN_LOCAL, RTN_ANYCAST], "neither broadcast nor multicast");
        assert!(!route(0, RTN_UNICAST, &attribute(RTA_MULTIPATH, &[0; 8])).plain);
        let via =
            [&10_u16.to_ne_bytes()[..], &[0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]].concat();
        let foreign = route(0, RTN_UNICAST, &attribute(RTA_VIA, &via));
        assert_eq!(foreign.gateway, Some("fe80::1".parse().unwrap()));
    }

    #[test]
    fn only_the_rules_that_every_host_has_are_standard() {
        let rule = |table: u8, source: u8, more: &[u8]| {
            let mut body = vec![2, 0, source, 0, table, 0, 0, FR_ACT_TO_TBL, 0, 0, 0, 0];
            body.extend(attribute(FRA_SUPPRESS_PREFIXLEN, &[0xff; 4]));
            body.extend(more);
            Rule::read(&body).unwrap().is_standard()
        };
        assert!(rule(254, 0, &[]) && rule(255, 0, &[]) && rule(253, 0, &[]));
        assert!(!rule(100, 0, &[]), "another table");
        assert!(!rule(254, 24, &[]), "by source");
        assert!(!rule(254, 0, &attribute(FRA_FWMARK, &[1, 0, 0, 0])), "by mark");
    }

    #[test]
    fn attributes_that_claim_more_than_is_there_end_the_reading() {
        assert_eq!(Attributes(&[9, 0, 1, 0, 5]).find(1), None);
        assert_eq!(Attributes(&[0, 0, 1, 0]).find(1), None);
        assert_eq!(Attributes(&[5, 0, 1, 0, 7]).find(1), Some(&[7][..]));
    }
}
