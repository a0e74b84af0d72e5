//! Which neighbour a datagram to an address goes to, by the kernel's own tables, for one interface.
//!
//! * Pure: rows of netlink come in, a short table comes out, the longest prefix first.
//! * Whatever is not certain is [`Hop::Pass`]: the kernel is asked by sending through a socket.
//! * No entry says what its surrounding entry says already; what matches none passes.

use crate::host::netlink::rows::{MAIN_TABLE, Neighbour, Route as Row, Rule};
use std::cmp::Reverse;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is known of the way from one interface to its neighbours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// The routes, the longest prefix first.
    pub routes: Vec<Route>,
    /// The neighbours on the link, by address.
    pub neighbours: Vec<(IpAddr, [u8; 6])>,
    /// Gateways that no neighbour entry names yet; their routes pass until one does.
    pub unresolved: Vec<IpAddr>,
    /// Rules beside those that every host has; while there are any, every route passes.
    pub extra_rules: usize,
}

impl Ways {
    /// The ways from interface number `link`.
    pub fn new(link: u32, rows: &[Row], neighbours: &[Neighbour], rules: &[Rule]) -> Self {
        let neighbours = usable(link, neighbours);
        let extra_rules = rules.iter().filter(|rule| !rule.is_standard()).count();
        if extra_rules > 0 {
            return Self { neighbours, extra_rules, ..Self::default() };
        }
        let mut ways = Self { neighbours, ..Self::default() };
        let mut routes: Vec<Route> = Vec::new();
        for row in best(rows) {
            let hop = ways.hop(link, &row);
            routes.push(Route { network: row.network, prefix: row.prefix, hop });
        }
        ways.unresolved.sort_unstable();
        ways.unresolved.dedup();
        ways.routes = shortened(routes);
        ways
    }

    /// The kernel is asked for each datagram; nothing is known here.
    pub fn of_kernel() -> Self {
        let everywhere = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        let routes = everywhere.map(|network| Route { network, prefix: 0, hop: Hop::Kernel }).to_vec();
        Self { routes, ..Self::default() }
    }

    fn hop(&mut self, link: u32, row: &Row) -> Hop {
        if !row.plain || row.link != Some(link) {
            return Hop::Pass;
        }
        let Some(gateway) = row.gateway else { return Hop::OnLink };
        match self.neighbours.iter().find(|(address, _)| *address == gateway) {
            Some((_, mac)) => Hop::Gateway(*mac),
            None => {
                self.unresolved.push(gateway);
                Hop::Pass
            }
        }
    }
}

/// A network and the way to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Network.
    pub network: IpAddr,
    /// Bits of it that count.
    pub prefix: u8,
    /// The way.
    pub hop: Hop,
}

impl Route {
    fn covers(&self, other: &Self) -> bool {
        self.prefix < other.prefix
            && self.network.is_ipv4() == other.network.is_ipv4()
            && leading(self.network, self.prefix) == leading(other.network, self.prefix)
    }
}

/// The next hop of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// The neighbour with this Ethernet address.
    Gateway([u8; 6]),
    /// Each address is a neighbour of its own.
    OnLink,
    /// As the kernel's own tables say for each datagram (bpf_fib_lookup), if it leaves by the same interface.
    Kernel,
    /// Not for this program to say.
    Pass,
}

/// Neighbours that frames may be sent to, in the order of their addresses.
fn usable(link: u32, rows: &[Neighbour]) -> Vec<(IpAddr, [u8; 6])> {
    let rows = rows.iter().filter(|row| row.link == link && row.usable && is_unicast(row.address));
    let mut neighbours: Vec<_> = rows.filter_map(|row| Some((row.address, row.mac?))).collect();
    neighbours.retain(|(_, mac)| is_station(*mac));
    neighbours.sort_unstable();
    neighbours.dedup_by_key(|(address, _)| *address);
    neighbours
}

/// For each network of the main table, the route with the lowest metric; two that share it make it uncertain.
fn best(rows: &[Row]) -> Vec<Row> {
    let mut rows: Vec<Row> =
        rows.iter().filter(|row| row.table == MAIN_TABLE && !row.void).copied().collect();
    rows.retain(|row| is_unicast(row.network) || row.prefix == 0);
    rows.sort_by_key(|row| (row.network, row.prefix, row.metric));
    let mut best: Vec<Row> = Vec::new();
    for row in rows {
        match best.last_mut() {
            Some(last) if (last.network, last.prefix) == (row.network, row.prefix) => {
                let same_way = (last.link, last.gateway) == (row.link, row.gateway);
                last.plain &= last.metric != row.metric || same_way && row.plain;
            }
            _ => best.push(row),
        }
    }
    best
}

/// The same table without entries that say what the one around them says.
fn shortened(mut routes: Vec<Route>) -> Vec<Route> {
    routes.sort_by_key(|route| route.prefix);
    let mut kept: Vec<Route> = Vec::new();
    for route in routes {
        let around = kept.iter().filter(|it| it.covers(&route)).max_by_key(|it| it.prefix);
        if around.map_or(Hop::Pass, |around| around.hop) != route.hop {
            kept.push(route);
        }
    }
    kept.sort_by_key(|route| (Reverse(route.prefix), route.network));
    kept
}

fn leading(address: IpAddr, bits: u8) -> u128 {
    let (value, width) = match address {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()), 32_u32),
        IpAddr::V6(ip) => (ip.to_bits(), 128),
    };
    value.checked_shr(width.saturating_sub(u32::from(bits))).unwrap_or_default()
}

fn is_unicast(address: IpAddr) -> bool {
    let broadcast = address == IpAddr::V4(Ipv4Addr::BROADCAST);
    let unspecified =
        address == IpAddr::V4(Ipv4Addr::UNSPECIFIED) || address == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    !address.is_multicast() && !broadcast && !unspecified
}

/// Whether an Ethernet address is one station's: neither zero nor a group's.
fn is_station(mac: [u8; 6]) -> bool {
    let [first, ..] = mac;
    mac != [0; 6] && first & 1 == 0
}

/// Routes that the program holds.
pub const MOST_ROUTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: u32 = 3;
    const ROUTER: [u8; 6] = [2, 0, 0, 0, 0, 1];

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn row(network: &str, prefix: u8, link: u32, gateway: Option<&str>) -> Row {
        Row {
            network: ip(network),
            prefix,
            table: MAIN_TABLE,
            metric: 0,
            link: Some(link),
            gateway: gateway.map(ip),
            plain: true,
            delivered: false,
            void: false,
        }
    }

    fn neighbour(address: &str, mac: [u8; 6]) -> Neighbour {
        Neighbour { link: LINK, address: ip(address), mac: Some(mac), usable: true }
    }

    fn hops(rows: &[Row], neighbours: &[Neighbour]) -> Vec<(String, Hop)> {
        let ways = Ways::new(LINK, rows, neighbours, &[]);
        ways.routes.iter().map(|route| (format!("{}/{}", route.network, route.prefix), route.hop)).collect()
    }

    #[test]
    fn a_gateway_whose_address_is_known_is_the_hop() {
        let rows = [row("0.0.0.0", 0, LINK, Some("192.0.2.1")), row("192.0.2.0", 24, LINK, None)];
        let known = hops(&rows, &[neighbour("192.0.2.1", ROUTER)]);
        let on_link = (String::from("192.0.2.0/24"), Hop::OnLink);
        assert_eq!(known, [on_link.clone(), (String::from("0.0.0.0/0"), Hop::Gateway(ROUTER))]);
        let waiting = Ways::new(LINK, &rows, &[], &[]);
        assert_eq!(waiting.unresolved, [ip("192.0.2.1")]);
        assert_eq!(hops(&rows, &[]), [on_link], "an unresolved default passes, as no entry does");
    }

    #[test]
    fn both_families_have_routes_of_their_own() {
        let rows = [row("::", 0, LINK, Some("fe80::1")), row("0.0.0.0", 0, LINK, Some("fe80::1"))];
        let gateway = Hop::Gateway(ROUTER);
        let found = hops(&rows, &[neighbour("fe80::1", ROUTER)]);
        assert_eq!(found, [(String::from("0.0.0.0/0"), gateway), (String::from("::/0"), gateway)]);
    }

    #[test]
    fn what_leaves_elsewhere_or_is_uncertain_passes_inside_of_what_does_not() {
        let default = row("0.0.0.0", 0, LINK, Some("192.0.2.1"));
        let several = Row { plain: false, ..row("203.0.113.0", 24, LINK, None) };
        let rows =
            [default, row("198.51.100.0", 24, 9, None), several, row("10.0.0.0", 8, LINK, Some("192.0.2.9"))];
        let found = hops(&rows, &[neighbour("192.0.2.1", ROUTER)]);
        let passes = |network: &str| (String::from(network), Hop::Pass);
        let default = (String::from("0.0.0.0/0"), Hop::Gateway(ROUTER));
        assert_eq!(
            found,
            [passes("198.51.100.0/24"), passes("203.0.113.0/24"), passes("10.0.0.0/8"), default]
        );
    }

    #[test]
    fn an_entry_that_says_what_surrounds_it_is_left_out() {
        let default = row("0.0.0.0", 0, LINK, Some("192.0.2.1"));
        let mut rows = vec![default, row("10.0.0.0", 8, 9, None)];
        for third in 0..40 {
            rows.push(row(&format!("172.20.{third}.0"), 24, LINK, Some("192.0.2.1")));
            rows.push(row(&format!("10.20.{third}.0"), 24, 9, None));
        }
        assert_eq!(hops(&rows, &[neighbour("192.0.2.1", ROUTER)]).len(), 2);
        // The nearest surrounding entry counts, not the widest.
        rows.push(row("10.20.7.128", 25, LINK, Some("192.0.2.1")));
        assert_eq!(hops(&rows, &[neighbour("192.0.2.1", ROUTER)]).len(), 3);
    }

    #[test]
    fn the_lowest_metric_wins_and_two_that_share_it_pass() {
        let default = |gateway: &str, metric: u32| Row { metric, ..row("0.0.0.0", 0, LINK, Some(gateway)) };
        let other = [2, 0, 0, 0, 0, 9];
        let known = [neighbour("192.0.2.1", ROUTER), neighbour("192.0.2.9", other)];
        let of = |rows: &[Row]| hops(rows, &known).pop().map(|(_, hop)| hop);
        assert_eq!(of(&[default("192.0.2.9", 200), default("192.0.2.1", 100)]), Some(Hop::Gateway(ROUTER)));
        assert_eq!(of(&[default("192.0.2.1", 100), default("192.0.2.9", 100)]), None);
        let dead = Row { void: true, ..default("192.0.2.1", 1) };
        assert_eq!(of(&[dead, default("192.0.2.9", 200)]), Some(Hop::Gateway(other)));
        let elsewhere = Row { table: 100, ..default("192.0.2.1", 1) };
        assert_eq!(of(&[elsewhere]), None);
    }

    #[test]
    fn rules_of_the_operators_own_make_everything_pass() {
        let rows = [row("0.0.0.0", 0, LINK, Some("192.0.2.1"))];
        // Table 100 for whatever comes.
        let rule = Rule::read(&[2, 0, 0, 0, 100, 0, 0, 1, 0, 0, 0, 0]).unwrap();
        let ways = Ways::new(LINK, &rows, &[neighbour("192.0.2.1", ROUTER)], &[rule]);
        assert_eq!((ways.extra_rules, ways.routes.len()), (1, 0));
    }

    #[test]
    fn only_usable_stations_of_this_link_are_neighbours() {
        let good = neighbour("192.0.2.1", ROUTER);
        let rows = [
            good,
            Neighbour { usable: false, ..neighbour("192.0.2.2", ROUTER) },
            Neighbour { link: 9, ..neighbour("192.0.2.3", ROUTER) },
            Neighbour { mac: None, ..neighbour("192.0.2.4", ROUTER) },
            neighbour("ff02::1", [0x33, 0x33, 0, 0, 0, 1]),
            neighbour("192.0.2.5", [0; 6]),
        ];
        assert_eq!(Ways::new(LINK, &[], &rows, &[]).neighbours, [(ip("192.0.2.1"), ROUTER)]);
    }
}
