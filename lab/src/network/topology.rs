//! A lab: a core router, and hosts, NAT boxes and inside hosts around it, each on a network of its own.
//!
//! * Network N is 45.N.7.0/24 and 2a00:0:N::/64, the core being 1 and the host 2 in it; behind NAT N inside host M is
//!   10.N.M.2.
//! * Neighbours share a network, from place 2 on; every other host has one to itself.
//! * Every public address reaches every other; inside addresses reach out through their NAT only.
//! * What is dropped first goes first; the order in which values are dropped does not matter.

use super::address::{HOST, NEAR, ROUTER, public_ipv4, public_ipv6};
use super::delay::Delay;
use super::host::Host;
use super::link::{End, Link, end};
use super::namespace::Namespace;
use super::nat_box::{NatBox, OUTER};
use crate::error::Error;
use nat::{Filtering, Mapping};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

/// A lab.
#[derive(Debug)]
pub struct Lab {
    core: Arc<Namespace>,
    networks: u8,
    delays: Vec<(Delay, [End; 2])>,
}

impl Lab {
    /// A core router and nothing around it.
    ///
    /// # Errors
    /// What the kernel or `ip` says; [`crate::missing`] tells beforehand.
    pub fn new() -> Result<Self, Error> {
        let core = Arc::new(Namespace::new("core")?);
        core.set("net/ipv4/ip_forward", 1)?;
        core.set("net/ipv6/conf/all/forwarding", 1)?;
        Ok(Self { core, networks: 0, delays: Vec::new() })
    }

    /// The router that everything public hangs on.
    pub fn core(&self) -> &Namespace {
        &self.core
    }

    /// A public host with an address of each family.
    ///
    /// # Errors
    /// What the kernel or the programs say, or too many networks.
    pub fn host(&mut self, name: &str) -> Result<Host, Error> {
        self.host_behind(name, None)
    }

    /// A public host whose frames take `delay` longer each way.
    ///
    /// # Errors
    /// As [`Lab::host`].
    pub fn far_host(&mut self, name: &str, delay: Duration) -> Result<Host, Error> {
        self.host_behind(name, Some(delay))
    }

    /// Public hosts on one network with the core, joined by a switch: each reaches the others without a router.
    ///
    /// # Errors
    /// As [`Lab::host`].
    pub fn neighbours<const N: usize>(&mut self, names: [&str; N]) -> Result<[Host; N], Error> {
        let network = self.next_network()?;
        let switch = format!("net{network}");
        self.core.ip(&format!("link add {switch} type bridge forward_delay 0 mcast_snooping 0"))?;
        self.address_core(&switch, network)?;
        let mut hosts = Vec::with_capacity(N);
        for (name, last) in names.into_iter().zip(HOST..) {
            let port = format!("{switch}p{last}");
            let namespace = Arc::new(Namespace::new(name)?);
            let link = Link::lay(end(&namespace, NEAR), end(&self.core, &port))?;
            self.core.ip(&format!("link set {port} master {switch} up"))?;
            hosts.push(public_host(namespace, link, network, last)?);
        }
        hosts.try_into().map_err(|_| Error::Full { most: u8::MAX - HOST })
    }

    /// A NAT box of this behaviour; what a call opens lives `lifetime_s` seconds without another one.
    ///
    /// # Errors
    /// As [`Lab::host`]; an address-dependent mapping (ADM) is not to be had from nftables.
    pub fn nat(
        &mut self,
        name: &str,
        mapping: Mapping,
        filtering: Filtering,
        lifetime_s: u32,
    ) -> Result<NatBox, Error> {
        self.nat_behind(name, None, |nat| nat.behave(mapping, filtering, lifetime_s))
    }

    /// The same, with frames on its outer cable taking `delay` longer each way.
    ///
    /// # Errors
    /// As [`Lab::nat`].
    pub fn far_nat(
        &mut self,
        name: &str,
        mapping: Mapping,
        filtering: Filtering,
        lifetime_s: u32,
        delay: Duration,
    ) -> Result<NatBox, Error> {
        self.nat_behind(name, Some(delay), |nat| nat.behave(mapping, filtering, lifetime_s))
    }

    fn nat_behind(
        &mut self,
        name: &str,
        delay: Option<Duration>,
        behave: impl FnOnce(&NatBox) -> Result<(), Error>,
    ) -> Result<NatBox, Error> {
        let network = self.next_network()?;
        let namespace = Arc::new(Namespace::new(name)?);
        let link = self.cable(&namespace, OUTER, network, delay)?;
        let external = public_ipv4(network, HOST);
        namespace.ip(&format!(
            "addr add {external}/24 dev {OUTER}
            link set {OUTER} up
            route add default via {}",
            public_ipv4(network, ROUTER)
        ))?;
        link.wait_until_up()?;
        self.wait_for_delay(delay)?;
        let nat = NatBox { namespace, external, network, inside_hosts: 0, link };
        behave(&nat)?;
        Ok(nat)
    }

    /// Drops from now on what two public addresses send to each other.
    ///
    /// # Errors
    /// What `nft` says.
    pub fn cut(&self, one: Ipv4Addr, other: Ipv4Addr) -> Result<(), Error> {
        let rules = format!(
            "table ip cuts {{
                chain forward {{
                    type filter hook forward priority filter;
                    ip saddr {one} ip daddr {other} drop
                    ip saddr {other} ip daddr {one} drop
                }}
            }}"
        );
        self.core.run("nft", &["-f", "-"], &rules).map(drop)
    }

    /// Lets everything through again.
    ///
    /// # Errors
    /// What `nft` says; nothing was cut.
    pub fn mend(&self) -> Result<(), Error> {
        self.core.run("nft", &["delete", "table", "ip", "cuts"], "").map(drop)
    }

    /// A host behind a NAT.
    ///
    /// # Errors
    /// As [`Lab::host`].
    pub fn inside(&self, nat: &mut NatBox, name: &str) -> Result<Host, Error> {
        nat.inside_hosts = nat.inside_hosts.checked_add(1).ok_or(Error::Full { most: u8::MAX })?;
        let address = |last| Ipv4Addr::new(10, nat.network, nat.inside_hosts, last);
        let (ipv4, router) = (address(HOST), address(ROUTER));
        let namespace = Arc::new(Namespace::new(name)?);
        let inner = format!("lan{}", nat.inside_hosts);
        let link = Link::lay(end(&namespace, NEAR), end(&nat.namespace, &inner))?;
        nat.namespace.ip(&format!("addr add {router}/24 dev {inner}\nlink set {inner} up"))?;
        namespace.ip(&format!(
            "addr add {ipv4}/24 dev {NEAR}
            link set {NEAR} up
            route add default via {router}"
        ))?;
        link.wait_until_up()?;
        Ok(Host { namespace, ipv4, ipv6: None, link })
    }

    fn host_behind(&mut self, name: &str, delay: Option<Duration>) -> Result<Host, Error> {
        let network = self.next_network()?;
        let namespace = Arc::new(Namespace::new(name)?);
        let link = self.cable(&namespace, NEAR, network, delay)?;
        let host = public_host(namespace, link, network, HOST)?;
        self.wait_for_delay(delay)?;
        Ok(host)
    }

    /// Waits until the box in the middle of the last cable carries frames, if there is one.
    fn wait_for_delay(&self, delay: Option<Duration>) -> Result<(), Error> {
        let last = self.delays.last().filter(|_| delay.is_some());
        last.map_or(Ok(()), |(_, ends)| ends.iter().try_for_each(End::wait_until_up))
    }

    /// A cable from the interface `near` of a namespace to the core, whose end there has its addresses and is up.
    fn cable(
        &mut self,
        namespace: &Arc<Namespace>,
        near: &str,
        network: u8,
        delay: Option<Duration>,
    ) -> Result<Link, Error> {
        let (near, far_name) = (end(namespace, near), format!("net{network}"));
        let far = end(&self.core, &far_name);
        let link = match delay {
            None => Link::lay(near, far)?,
            Some(delay) => {
                let middle = Arc::new(Namespace::new("delay")?);
                let (left, right) = (end(&middle, "left"), end(&middle, "right"));
                let (near, far) = (Link::lay(near, left)?, Link::lay(far, right)?);
                middle.ip("link set left up\nlink set right up")?;
                let [left, right] = [near.far, far.far];
                self.delays.push((Delay::start(&left, &right, delay)?, [left, right]));
                Link { near: near.near, far: far.near }
            }
        };
        self.address_core(&far_name, network)?;
        Ok(link)
    }

    /// Gives an interface of the core its addresses, and sets it up.
    fn address_core(&self, interface: &str, network: u8) -> Result<(), Error> {
        let set = self.core.ip(&format!(
            "addr add {}/24 broadcast + dev {interface}
            addr add {}/64 dev {interface} nodad
            link set {interface} up",
            public_ipv4(network, ROUTER),
            public_ipv6(network, ROUTER)
        ));
        set.map(drop)
    }

    fn next_network(&mut self) -> Result<u8, Error> {
        self.networks = self.networks.checked_add(1).ok_or(Error::Full { most: u8::MAX })?;
        Ok(self.networks)
    }
}

/// Gives the interface of a host its addresses and routes, and sets it up.
fn public_host(namespace: Arc<Namespace>, link: Link, network: u8, last: u8) -> Result<Host, Error> {
    let (ipv4, ipv6) = (public_ipv4(network, last), public_ipv6(network, last));
    namespace.ip(&format!(
        "addr add {ipv4}/24 broadcast + dev {NEAR}
        addr add {ipv6}/64 dev {NEAR} nodad
        link set {NEAR} up
        route add default via {}
        route add default via {}",
        public_ipv4(network, ROUTER),
        public_ipv6(network, ROUTER)
    ))?;
    link.wait_until_up()?;
    Ok(Host { namespace, ipv4, ipv6: Some(ipv6), link })
}
