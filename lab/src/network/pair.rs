//! Two public hosts on one cable, without a router between them: what one core relays is measured here.
//!
//! * Each is the other's router, so whatever address one of them answers for, the other reaches.
//! * The network is 45.1.7.0/24 and 2a00:0:1::/64; the first host is 1 in it, the second 2.

use super::address::{HOST, NEAR, ROUTER, public_ipv4, public_ipv6};
use super::host::Host;
use super::link::{Link, end};
use super::namespace::Namespace;
use crate::error::Error;
use std::sync::Arc;

/// Two hosts.
#[derive(Debug)]
pub struct Pair {
    /// The host with address 1.
    pub first: Host,
    /// The host with address 2.
    pub second: Host,
}

impl Pair {
    /// Makes both, under names for people who look at them with `ip netns`.
    ///
    /// # Errors
    /// What the kernel or `ip` says; [`crate::missing`] tells beforehand.
    pub fn new(first: &str, second: &str) -> Result<Self, Error> {
        let [first, second] = [Arc::new(Namespace::new(first)?), Arc::new(Namespace::new(second)?)];
        let link = Link::lay(end(&first, NEAR), end(&second, NEAR))?;
        for (namespace, own, other) in [(&first, ROUTER, HOST), (&second, HOST, ROUTER)] {
            namespace.ip(&format!(
                "addr add {}/24 broadcast + dev {NEAR}
                addr add {}/64 dev {NEAR} nodad
                link set {NEAR} up",
                public_ipv4(NETWORK, own),
                public_ipv6(NETWORK, own)
            ))?;
            namespace.ip(&format!(
                "route add default via {}
                route add default via {}",
                public_ipv4(NETWORK, other),
                public_ipv6(NETWORK, other)
            ))?;
        }
        link.wait_until_up()?;
        let turned = Link { near: link.far.clone(), far: link.near.clone() };
        let host = |namespace, link, place| Host {
            namespace,
            ipv4: public_ipv4(NETWORK, place),
            ipv6: Some(public_ipv6(NETWORK, place)),
            link,
        };
        Ok(Self { first: host(first, link, ROUTER), second: host(second, turned, HOST) })
    }
}

/// The only network here.
const NETWORK: u8 = 1;
