//! The flags that take the load below the sockets, and what they exclude.
//!
//! * Ready flows come whole: what makes flows of endpoints is refused beside them.
//! * With XDP the mappings of the contacts phase last: what would let them expire, or keep them alive, is refused.

use crate::error::{Error, refuse};
use crate::load::shape::config::{Engine, NEVER_NS};
use crate::load::xdp::ready;
use crate::load::xdp::ready::ReadyFlow;
use clap::{Args, ValueEnum};
use engine::load;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The flags.
#[derive(Clone, Debug, Args)]
pub struct XdpArgs {
    /// Sends and receives below the sockets, by XDP programs on this interface, which leads to the reflector and back;
    /// as root. NAT mappings are made while contacts are obtained and last: no --keepalive, no --mapping-timeout.
    #[arg(long, value_name = "IFACE", env = "REFLECTOR_LOADGEN_XDP")]
    pub xdp: Option<String>,
    /// Ready flows of another relay instead of endpoints: a line FROM TO VIA HEAD each, the head in hexadecimal or -.
    #[arg(long, value_name = "FILE", env = "REFLECTOR_LOADGEN_FLOWS", requires = "xdp",
          conflicts_with_all = ["keys", "endpoints", "nat", "invalid", "pairs", "external", "keepalive", "mapping_timeout"])]
    pub flows: Option<PathBuf>,
    /// What stands before the payload of what the relay of --flows sends on: a DATA header, nothing, or the head as it
    /// was sent [default: bare].
    #[arg(long, value_name = "FORM", env = "REFLECTOR_LOADGEN_ARRIVING", requires = "flows")]
    pub arriving: Option<Arriving>,
}

/// What stands before the payload of what arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Arriving {
    /// A DATA header.
    Data,
    /// Nothing.
    Bare,
    /// The head as it was sent.
    Untouched,
}

impl XdpArgs {
    /// What sends and receives.
    pub fn engine(&self) -> Engine {
        self.xdp.clone().map_or(Engine::Epoll, Engine::Xdp)
    }

    /// What stands before the payload of what arrives from the relay of ready flows.
    pub fn arriving(&self) -> load::Arriving {
        match self.arriving.unwrap_or(Arriving::Bare) {
            Arriving::Data => load::Arriving::Data,
            Arriving::Bare => load::Arriving::Bare,
            Arriving::Untouched => load::Arriving::Untouched,
        }
    }

    /// Time between keepalives and mapping time-out, ns, from what was typed.
    ///
    /// # Errors
    /// Either, where mappings last.
    pub fn mappings(
        &self,
        keepalive_ns: Option<u64>,
        mapping_timeout_ns: Option<u64>,
    ) -> Result<(u64, u64), Error> {
        if self.xdp.is_none() {
            return Ok((
                keepalive_ns.unwrap_or(KEEPALIVE_NS),
                mapping_timeout_ns.unwrap_or(MAPPING_TIMEOUT_NS),
            ));
        }
        refuse(keepalive_ns.is_some_and(|keepalive_ns| keepalive_ns > 0), || {
            "--keepalive with --xdp: mappings last for the whole run, so nothing keeps them alive; leave it out, say 0, \
             or run without --xdp"
                .to_owned()
        })?;
        refuse(mapping_timeout_ns.is_some(), || {
            "--mapping-timeout with --xdp: mappings last for the whole run; leave it out, or run without --xdp"
                .to_owned()
        })?;
        Ok((0, NEVER_NS))
    }
}

/// Reads ready flows to `relay`.
///
/// # Errors
/// [`Error::Configuration`]: no such file, or the first line that is no flow.
pub fn read_flows(path: &Path, relay: SocketAddr) -> Result<Vec<ReadyFlow>, Error> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| {
        Error::Configuration(format!("--flows {shown}: {error}; name a file of lines FROM TO VIA HEAD"))
    })?;
    ready::parse(&text, relay).map_err(|error| Error::Configuration(format!("--flows {shown}: {error}")))
}

const KEEPALIVE_NS: u64 = 15_000_000_000;
const MAPPING_TIMEOUT_NS: u64 = 120_000_000_000;
