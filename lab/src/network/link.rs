//! A cable: a veth pair between two namespaces.
//!
//! * Offloads are off at both ends: a frame on the cable is one datagram with its whole checksum, as on a real one.
//! * An end that faces an XDP program carries a program that passes everything: without it the kernel drops what the
//!   other end sends back by XDP_TX.

use super::capture::Capture;
use super::namespace::Namespace;
use super::napi::Napi;
use super::packet_socket::PacketSocket;
use crate::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{io, thread};

/// A cable and its two ends.
#[derive(Clone, Debug)]
pub struct Link {
    /// The end at the host that the cable was laid for.
    pub near: End,
    /// The end at its router.
    pub far: End,
}

impl Link {
    /// Lays a cable between two namespaces, ends named `near` and `far`; it is down.
    pub(crate) fn lay(near: End, far: End) -> Result<Self, Error> {
        let (here, there) = (&near.interface, &far.interface);
        let other = far.namespace.name();
        near.namespace.ip(&format!("link add {here} type veth peer name {there} netns {other}"))?;
        for end in [&near, &far] {
            end.offloads_off()?;
        }
        Ok(Self { near, far })
    }

    /// Waits until both ends carry frames: the kernel drops them silently for a moment after an interface is set up.
    pub(crate) fn wait_until_up(&self) -> Result<(), Error> {
        self.near.wait_until_up()?;
        self.far.wait_until_up()
    }

    /// Pulls the plug.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn down(&self) -> Result<(), Error> {
        self.far.namespace.ip(&format!("link set {} down", self.far.interface)).map(drop)
    }

    /// Puts the plug back in.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn up(&self) -> Result<(), Error> {
        self.far.namespace.ip(&format!("link set {} up", self.far.interface)).map(drop)
    }
}

/// One end of a cable: an interface in a namespace.
#[derive(Clone, Debug)]
pub struct End {
    pub(crate) namespace: Arc<Namespace>,
    pub(crate) interface: String,
}

impl End {
    /// The name of the interface.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// The namespace that the interface is in.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its hardware address.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn mac(&self) -> Result<[u8; 6], Error> {
        Ok(self.packet_socket()?.mac())
    }

    /// Keeps every datagram that passes here from now on, in both directions.
    ///
    /// # Errors
    /// The kernel gives no packet socket.
    pub fn capture(&self) -> Result<Capture, Error> {
        Ok(Capture::new(self.packet_socket()?))
    }

    /// Sends one frame out of here as it is, hardware addresses and checksums included.
    ///
    /// # Errors
    /// The interface is down, or the frame too long.
    pub fn inject(&self, frame: &[u8]) -> Result<(), Error> {
        self.inject_all(std::iter::once(frame))
    }

    /// Sends frames out of here, one after the other.
    ///
    /// # Errors
    /// As [`End::inject`].
    pub fn inject_all<'a>(&self, frames: impl IntoIterator<Item = &'a [u8]>) -> Result<(), Error> {
        let socket = self.packet_socket()?;
        frames.into_iter().try_for_each(|frame| {
            let what = || format!("cannot send a frame of {} bytes on {}", frame.len(), self.interface);
            socket.send(frame).map_err(Error::kernel(what()))
        })
    }

    /// Makes this end fit to face an XDP program on the other: attaches one that passes everything.
    ///
    /// # Errors
    /// What `ip` says; it must be built with libbpf.
    pub fn face_xdp(&self) -> Result<(), Error> {
        self.namespace
            .ip(&format!("link set dev {} xdpdrv obj {PASS_OBJECT} sec xdp", self.interface))
            .map(drop)
    }

    /// Switches features on or off, as `ethtool -K` names them.
    ///
    /// # Errors
    /// What `ethtool` says.
    pub fn switch(&self, features: &[(&str, bool)]) -> Result<(), Error> {
        let words = features.iter().flat_map(|(name, on)| [*name, if *on { "on" } else { "off" }]);
        let arguments: Vec<&str> = ["-K", &self.interface].into_iter().chain(words).collect();
        self.namespace.run("ethtool", &arguments, "").map(drop)
    }

    /// Whether the features named are on, as `ethtool -k` shows it: `name: on`, one a line.
    ///
    /// # Errors
    /// What `ethtool` says.
    pub fn features(&self, names: &[&str]) -> Result<Vec<String>, Error> {
        let shown = self.namespace.run("ethtool", &["-k", &self.interface], "")?;
        let is_named = |line: &&str| line.split(':').next().is_some_and(|name| names.contains(&name));
        Ok(shown.lines().map(str::trim).filter(is_named).map(str::to_owned).collect())
    }

    /// Gives the interface's NAPI threads of its own, on this processor only.
    ///
    /// # Errors
    /// The interface has no NAPI yet (a veth end has one once it is up and has an XDP program or GRO), or no such
    /// processor.
    pub fn pin_napi(&self, cpu: usize) -> Result<Napi, Error> {
        Napi::pin(&self.namespace, &self.interface, cpu)
    }

    /// Polls the interface every `period_ns` while frames come, and lets nobody announce them meanwhile: who sends to it
    /// need not wake the processor that serves it, as nobody need who writes to the ring of a network interface.
    ///
    /// # Errors
    /// The kernel has no such setting.
    pub fn poll_every(&self, period_ns: u32) -> Result<(), Error> {
        let folder = format!("/sys/class/net/{}", self.interface);
        let set = format!(
            "echo {period_ns} > {folder}/gro_flush_timeout; echo {EMPTY_POLLS} > {folder}/napi_defer_hard_irqs"
        );
        self.namespace.run("sh", &["-e", "-c", &set], "").map(drop)
    }

    pub(crate) fn packet_socket(&self) -> Result<PacketSocket, Error> {
        let opened = self.namespace.enter(|| PacketSocket::open(&self.interface))?;
        opened.map_err(Error::kernel(format!("cannot open a packet socket on {}", self.interface)))
    }

    /// The kernel's link watch gives an interface its queue some time after the carrier came.
    pub(crate) fn wait_until_up(&self) -> Result<(), Error> {
        let until = Instant::now() + PATIENCE;
        loop {
            let shown = self.namespace.ip(&format!("link show dev {}", self.interface))?;
            if shown.contains("state UP") && !shown.contains("qdisc noop ") {
                return Ok(());
            }
            if Instant::now() > until {
                let what = format!("{} of {} does not come up", self.interface, self.namespace.name());
                return Err(Error::kernel(what)(io::ErrorKind::TimedOut.into()));
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn offloads_off(&self) -> Result<(), Error> {
        self.switch(&[("tx", false), ("gso", false), ("gro", false)])
    }
}

/// The end at an interface of this name.
pub(crate) fn end(namespace: &Arc<Namespace>, interface: &str) -> End {
    End { namespace: Arc::clone(namespace), interface: interface.to_owned() }
}

/// So many polls in a row that find nothing end the polling.
const EMPTY_POLLS: u32 = 100;
/// Its source stands beside it.
const PASS_OBJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bpf/pass.bpf.o");
/// Longer than the kernel's link watch ever waits.
const PATIENCE: Duration = Duration::from_secs(60);
