//! A NAT box: one external address, and private networks behind it.
//!
//! * IPv4 only: the NATs that this is about translate no IPv6.
//! * It answers nothing itself.

use super::address::{ROUTER, public_ipv4};
use super::link::Link;
use super::namespace::Namespace;
use super::rules::rules;
use crate::error::Error;
use nat::{Filtering, Mapping};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// A NAT.
#[derive(Debug)]
pub struct NatBox {
    pub(crate) namespace: Arc<Namespace>,
    pub(crate) external: Ipv4Addr,
    pub(crate) network: u8,
    pub(crate) inside_hosts: u8,
    pub(crate) link: Link,
}

impl NatBox {
    /// Its external address.
    pub fn external(&self) -> Ipv4Addr {
        self.external
    }

    /// The cable from its outer interface (near) to the core (far).
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Forgets every mapping, as a restart does, and sends UDP from this external port from now on: so a mapping changes
    /// though its inside host does nothing. For a box with EIM and one inside socket in use.
    ///
    /// # Errors
    /// What `nft` or `ip` says.
    pub fn remap(&self, port: u16) -> Result<(), Error> {
        let (external, router) = (self.external, public_ipv4(self.network, ROUTER));
        let rule = format!(
            "flush chain ip lab masquerade_out
            add rule ip lab masquerade_out oifname {OUTER} meta l4proto udp masquerade to :{port}
            add rule ip lab masquerade_out oifname {OUTER} masquerade
            flush map ip lab mapped
            flush set ip lab called"
        );
        self.namespace.run("nft", &["-f", "-"], &rule)?;
        // With its address go all masqueraded connections.
        self.namespace.ip(&format!(
            "addr del {external}/24 dev {OUTER}
            addr add {external}/24 dev {OUTER}
            route add default via {router}"
        ))?;
        Ok(())
    }

    /// Makes it behave so from the first datagram on.
    pub(crate) fn behave(
        &self,
        mapping: Mapping,
        filtering: Filtering,
        lifetime_s: u32,
    ) -> Result<(), Error> {
        let rules = rules(mapping, filtering, lifetime_s, OUTER)?;
        self.namespace.run("nft", &["-f", "-"], &rules)?;
        self.namespace.set("net/ipv4/ip_forward", 1)?;
        for setting in ["nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream"] {
            self.namespace.set(&format!("net/netfilter/{setting}"), lifetime_s)?;
        }
        Ok(())
    }
}

/// The name of the outer interface.
pub(crate) const OUTER: &str = "wan";
