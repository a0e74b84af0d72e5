//! The way to the relay: the interface that frames leave by, and the Ethernet address that they go to.
//!
//! * Pure but for [`resolve`]: rows of the kernel's tables come in, the next hop or what is wrong comes out.
//! * A next hop that the kernel does not know yet is asked for as any datagram would: by sending one.

use crate::error::Error;
use engine::host::interfaces;
use engine::host::netlink::Netlink;
use engine::host::netlink::rows::{Link, Neighbour, Route, Rule};
use engine::host::routes::{Hop, Ways};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// The kernel's tables at one moment.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    links: Vec<Link>,
    /// Names of interfaces that no frame leaves by.
    loopbacks: Vec<String>,
    neighbours: Vec<Neighbour>,
    routes: Vec<Route>,
    rules: Vec<Rule>,
}

impl Tables {
    /// The tables of this moment.
    ///
    /// # Errors
    /// What netlink(7) and getifaddrs(3) say.
    pub fn read() -> Result<Self, Error> {
        read().map_err(|error| Error::Runtime(format!("the kernel does not tell its routes: {error}")))
    }

    /// The Ethernet address of the next hop to `relay`; `None` if the kernel would have to ask for it first.
    ///
    /// # Errors
    /// [`Error::Configuration`]: no such interface, none that frames leave by, not the one that leads to the relay.
    pub fn next_hop(&self, interface: &str, relay: IpAddr) -> Result<Option<[u8; 6]>, Error> {
        let wrong = |text: String| Err(Error::Configuration(format!("--xdp {interface}: {text}")));
        let Some(link) = self.links.iter().find(|link| link.name == interface) else {
            return wrong(format!("no such interface; there are {}", self.names()));
        };
        if self.loopbacks.contains(&link.name) {
            return wrong(format!(
                "--xdp needs an interface that frames leave by; {interface} is none. Put the reflector on another host \
                 or in another network namespace, or run without --xdp"
            ));
        }
        let delivered = |route: &Route| route.delivered && covers(route.network, route.prefix, relay);
        if relay.is_loopback() || self.routes.iter().any(delivered) {
            return wrong(format!(
                "{relay} is this host itself, and frames to it leave by no interface; put it on another host or in \
                 another network namespace, or run without --xdp"
            ));
        }
        let ways = Ways::new(link.index, &self.routes, &self.neighbours, &self.rules);
        if ways.extra_rules > 0 {
            return wrong(format!(
                "{} routing rules of your own decide where {relay} is (`ip rule`), and --xdp follows the main table \
                 only; run it in a network namespace without them",
                ways.extra_rules
            ));
        }
        let route = ways.routes.iter().find(|route| covers(route.network, route.prefix, relay));
        let neighbour =
            |address| ways.neighbours.iter().find(|(known, _)| *known == address).map(|(_, mac)| *mac);
        match route.map(|route| route.hop) {
            Some(Hop::Gateway(mac)) => Ok(Some(mac)),
            Some(Hop::OnLink) => Ok(neighbour(relay)),
            // A gateway that has no neighbour entry yet looks like no way at all.
            _ if !ways.unresolved.is_empty() && self.leads(link.index, relay) => Ok(None),
            _ => wrong(format!(
                "{relay} is not reached through it; `ip route get {relay}` says by which interface it is"
            )),
        }
    }

    /// Whether the longest prefix around `address` leads by this link.
    fn leads(&self, link: u32, address: IpAddr) -> bool {
        let around = self.routes.iter().filter(|row| !row.void && covers(row.network, row.prefix, address));
        around.max_by_key(|row| row.prefix).is_some_and(|row| row.plain && row.link == Some(link))
    }

    fn names(&self) -> String {
        let names = self.links.iter().map(|link| link.name.as_str());
        names.filter(|name| !self.loopbacks.iter().any(|lo| lo == name)).collect::<Vec<_>>().join(", ")
    }
}

/// The Ethernet address of the next hop to `relay`, asking the network for it if the kernel does not know it.
///
/// # Errors
/// As [`Tables::next_hop`]; nobody there; a signal came first.
pub fn resolve(interface: &str, relay: SocketAddr, interrupted: &AtomicBool) -> Result<[u8; 6], Error> {
    for _ in 0..ATTEMPTS {
        if interrupted.load(Relaxed) {
            return Err(Error::Interrupted);
        }
        if let Some(mac) = Tables::read()?.next_hop(interface, relay.ip())? {
            return Ok(mac);
        }
        // Whether the question can be sent shows in its answer.
        let any: IpAddr =
            if relay.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let _ = UdpSocket::bind((any, 0)).and_then(|socket| socket.send_to(&[], relay));
        thread::sleep(BETWEEN);
    }
    Err(Error::Runtime(format!(
        "no neighbour on {interface} answers for {relay}: is its host, or the gateway to it, up? `ip neigh show dev \
         {interface}` shows who is"
    )))
}

fn read() -> std::io::Result<Tables> {
    let mut netlink = Netlink::open()?;
    let loopbacks = interfaces::list()?.into_iter().filter(|it| it.loopback).map(|it| it.name);
    Ok(Tables {
        links: netlink.links()?,
        // One without an address is not listed.
        loopbacks: loopbacks.chain([LOOPBACK.to_owned()]).collect(),
        neighbours: netlink.neighbours()?,
        routes: netlink.routes()?,
        rules: netlink.rules()?,
    })
}

fn covers(network: IpAddr, prefix: u8, address: IpAddr) -> bool {
    let leading = |bits: u128, width: u32| bits.checked_shr(width.saturating_sub(prefix.into())).unwrap_or(0);
    match (network, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => leading(a.to_bits().into(), 32) == leading(b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => leading(a.to_bits(), 128) == leading(b.to_bits(), 128),
        _ => false,
    }
}

const LOOPBACK: &str = "lo";
/// Three seconds of them: the kernel itself gives up then.
const ATTEMPTS: u32 = 30;
const BETWEEN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use engine::host::netlink::rows::{LOCAL_TABLE, MAIN_TABLE};

    const ROUTER: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const STATION: [u8; 6] = [2, 0, 0, 0, 0, 7];

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn link(index: u32, name: &str) -> Link {
        Link {
            index,
            name: name.to_owned(),
            mtu: 1_500,
            mac: Some([2, 0, 0, 0, 0, 0]),
            peer: None,
            xdp_program: None,
            xdp_native: false,
            send_errors: 0,
        }
    }

    fn route(network: &str, prefix: u8, link: u32, gateway: Option<&str>) -> Route {
        Route {
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
        Neighbour { link: 2, address: ip(address), mac: Some(mac), usable: true }
    }

    fn tables() -> Tables {
        Tables {
            links: vec![link(1, "lo"), link(2, "eth0"), link(3, "eth1")],
            loopbacks: vec!["lo".to_owned()],
            neighbours: vec![neighbour("192.0.2.1", ROUTER), neighbour("192.0.2.7", STATION)],
            routes: vec![
                route("0.0.0.0", 0, 2, Some("192.0.2.1")),
                route("192.0.2.0", 24, 2, None),
                route("198.51.100.0", 24, 3, None),
                Route { table: LOCAL_TABLE, delivered: true, ..route("192.0.2.9", 32, 2, None) },
            ],
            rules: Vec::new(),
        }
    }

    #[test]
    fn on_the_link_it_is_the_relay_and_beyond_it_the_gateway() {
        let hop = |address: &str| tables().next_hop("eth0", ip(address)).unwrap();
        assert_eq!(hop("192.0.2.7"), Some(STATION));
        assert_eq!(hop("203.0.113.5"), Some(ROUTER));
        assert_eq!(hop("192.0.2.8"), None);
        let mut unresolved = tables();
        unresolved.neighbours.clear();
        assert_eq!(unresolved.next_hop("eth0", ip("203.0.113.5")).unwrap(), None);
    }

    #[test]
    fn each_mistake_is_named() {
        let message = |tables: &Tables, interface: &str, address: &str| {
            let error = tables.next_hop(interface, ip(address)).unwrap_err();
            assert_eq!(error.exit_code(), 78);
            error.to_string()
        };
        let of = |interface: &str, address: &str| message(&tables(), interface, address);
        assert!(of("eth9", "192.0.2.7").contains("there are eth0, eth1"));
        assert!(of("lo", "127.0.0.1").contains("an interface that frames leave by; lo is none"));
        assert!(of("eth0", "127.0.0.1").contains("this host itself"));
        assert!(of("eth0", "192.0.2.9").contains("this host itself"));
        assert!(of("eth0", "198.51.100.4").contains("`ip route get 198.51.100.4`"));
        assert!(of("eth0", "2001:db8::1").contains("not reached"));
        let mut ruled = tables();
        ruled.neighbours.clear();
        assert!(message(&ruled, "eth1", "203.0.113.5").contains("not reached"));
    }

    #[test]
    fn prefixes_of_both_families() {
        assert!(
            covers(ip("192.0.2.0"), 24, ip("192.0.2.77")) && !covers(ip("192.0.2.0"), 24, ip("192.0.3.1"))
        );
        assert!(covers(ip("0.0.0.0"), 0, ip("192.0.3.1")) && covers(ip("::"), 0, ip("fd00::1")));
        assert!(covers(ip("fd00::"), 64, ip("fd00::1")) && !covers(ip("::"), 0, ip("192.0.2.1")));
    }
}
