//! What this host answers to: the addresses of its interfaces, and everything that its kernel delivers to itself.
//!
//! * The kernel's local table is what counts. It has every address, and prefixes that are local as a whole, as anycast
//!   and transparent proxies use them.
//! * A copy of the moment of asking; addresses come and go.

use crate::host::interfaces::{self, Interface};
use crate::host::netlink::Netlink;
use std::io;
use std::net::IpAddr;

/// The addresses of this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Those of its interfaces.
    pub interfaces: Vec<Interface>,
    /// All that is delivered to it, as prefixes; loopback is among them.
    pub delivered: Vec<(IpAddr, u8)>,
}

impl Addresses {
    /// The addresses of this moment.
    ///
    /// # Errors
    /// What getifaddrs(3) and netlink(7) say.
    pub fn read() -> io::Result<Self> {
        let interfaces = interfaces::list()?;
        let routes = Netlink::open()?.local_routes()?;
        let routes = routes.iter().filter(|route| route.delivered && !route.void);
        Ok(Self::new(interfaces, routes.map(|route| (route.network, route.prefix)).collect()))
    }

    /// These interfaces, and what is delivered besides; an interface's own address always is.
    pub fn new(interfaces: Vec<Interface>, mut delivered: Vec<(IpAddr, u8)>) -> Self {
        let whole = |ip: IpAddr| (ip, if ip.is_ipv4() { 32 } else { 128 });
        delivered.extend(interfaces.iter().map(|interface| whole(interface.address)));
        delivered.sort_unstable();
        delivered.dedup();
        Self { interfaces, delivered }
    }

    /// Whether what is sent to this address is delivered here.
    pub fn delivers(&self, address: IpAddr) -> bool {
        self.delivered.iter().any(|(network, prefix)| is_within(address, *network, *prefix))
    }
}

fn is_within(address: IpAddr, network: IpAddr, prefix: u8) -> bool {
    let differing = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => u128::from(a.to_bits() ^ b.to_bits()) << 96,
        (IpAddr::V6(a), IpAddr::V6(b)) => a.to_bits() ^ b.to_bits(),
        _ => return false,
    };
    differing.leading_zeros() >= u32::from(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_delivers_what_lies_in_it_and_nothing_of_the_other_family() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let host =
            Addresses::new(Vec::new(), vec![(ip("10.1.0.0"), 16), (ip("2001:db8::"), 33), (ip("::1"), 128)]);
        let delivered = ["10.1.255.255", "10.1.0.0", "2001:db8:7fff::", "::1"];
        let not = ["10.2.0.0", "10.0.255.255", "2001:db8:8000::", "::2", "a01::", "0.0.0.1"];
        assert!(delivered.iter().all(|text| host.delivers(ip(text))));
        assert!(!not.iter().any(|text| host.delivers(ip(text))));
    }

    #[test]
    fn loopback_is_delivered_as_a_whole_and_every_interface_address_with_it() {
        let host = Addresses::read().unwrap();
        assert!(host.delivered.contains(&([127, 0, 0, 0].into(), 8)), "{:?}", host.delivered);
        for interface in &host.interfaces {
            let bits = if interface.address.is_ipv4() { 32 } else { 128 };
            assert!(host.delivered.contains(&(interface.address, bits)), "{interface:?}");
            assert!(host.delivers(interface.address));
        }
    }
}
