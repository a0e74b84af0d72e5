//! The host's network as the kernel tells it: links, neighbours, routes and rules, all of one moment.
//!
//! * A copy; it is asked for again when the kernel says that something changed.

use engine::host::netlink::Netlink;
use engine::host::netlink::rows::{Link, Neighbour, Route, Rule};
use engine::host::routes::Ways;
use std::io;

/// What the kernel's tables said.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Network interfaces.
    pub links: Vec<Link>,
    neighbours: Vec<Neighbour>,
    routes: Vec<Route>,
    rules: Vec<Rule>,
}

impl Host {
    /// The tables of this moment.
    ///
    /// # Errors
    /// What netlink(7) says.
    pub fn read() -> io::Result<Self> {
        let mut netlink = Netlink::open()?;
        Ok(Self {
            links: netlink.links()?,
            neighbours: netlink.neighbours()?,
            routes: netlink.routes()?,
            rules: netlink.rules()?,
        })
    }

    /// The link of this name.
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The ways from a link to its neighbours.
    pub fn ways(&self, link: &Link) -> Ways {
        Ways::new(link.index, &self.routes, &self.neighbours, &self.rules)
    }

    /// The names of all links, for a message.
    pub fn names(&self) -> String {
        self.links.iter().map(|link| link.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}
