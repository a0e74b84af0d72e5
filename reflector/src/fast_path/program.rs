//! The XDP program of one interface.
//!
//! * Configured before it is attached: the first frame it sees is judged by rules, routes and time that hold.
//! * What it counts is read from the kernel's memory when somebody asks, and once more before it is taken off.

use crate::counters::Event;
use crate::fast_path::config;
use crate::fast_path::config::Basis;
use crate::fast_path::figures::Figures;
use crate::fast_path::findings::mounted_type;
use crate::fast_path::host::Host;
use crate::fast_path::settings::{FastPathSettings, NextHop};
use engine::host::netlink::Netlink;
use engine::host::netlink::rows::Link;
use engine::host::nic;
use engine::host::nic::Nic;
use engine::host::routes::{MOST_ROUTES, Ways};
use engine::xdp::{Config, Xdp, XdpError};
use program::failure::Failure;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use wire::{Reason, Revoked};

/// A program on its interface.
#[derive(Debug)]
pub struct Program {
    interface: String,
    ways: Ways,
    xdp: Xdp,
    config: Config,
    /// What was in force before, until a reload is through.
    replaced: Option<Config>,
    errors_before: (u64, u64),
}

impl Program {
    /// Takes over the program that is pinned for this interface, or loads and attaches one.
    ///
    /// # Errors
    /// An interface that is not there or not fit, rules or routes that do not fit, what the kernel refuses.
    pub fn open(
        interface: &str,
        wanted: &FastPathSettings,
        host: &Host,
        basis: &Basis<'_>,
        hash_key: [u8; 16],
        offset_ns: i64,
    ) -> Result<Self, Failure> {
        let link = host.link(interface).ok_or_else(|| {
            Failure::Config(format!("--xdp {interface}: no such interface; this host has {}", host.names()))
        })?;
        let nic = Nic::read(interface)?;
        if let Some(pin) = &wanted.pin {
            make_folder(pin)?;
        }
        let ways = ways_of(host, link, wanted.next_hop);
        few_enough(interface, &ways)?;
        let config = basis.config(&ways, hash_key);
        let mut xdp = Xdp::load(interface, &config).map_err(|error| refused(interface, &error))?;
        let told = xdp.set_neighbours(&ways.neighbours).and_then(|()| xdp.tick(offset_ns));
        let told = told.and_then(|()| give_revoked(&mut xdp, basis.around.revoked));
        let attached = told.and_then(|()| xdp.attach(wanted.mode, wanted.pin.as_deref()));
        attached.map_err(|error| refused(interface, &error))?;
        tracing::info!(
            interface,
            mode = wanted.mode.as_str(),
            driver = nic.driver.as_deref().unwrap_or("unknown"),
            pin = wanted.pin.as_deref().map(|pin| pin.display().to_string()).unwrap_or_default(),
            adopted = link.xdp_program.is_some(),
            routes = ways.routes.len(),
            neighbours = ways.neighbours.len(),
            "xdp attached"
        );
        say_ways(interface, &ways);
        let errors_before = (link.send_errors, nic::transmit_drops(interface));
        Ok(Self { interface: interface.to_owned(), ways, xdp, config, replaced: None, errors_before })
    }

    /// The interface.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// Gives it the time, unix less boot time in ns, and a sign of life.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn tick(&mut self, offset_ns: i64) -> Result<(), Failure> {
        self.xdp.tick(offset_ns).map_err(|error| refused(&self.interface, &error))
    }

    /// Gives it the table of what was taken back.
    ///
    /// # Errors
    /// A table of another size than the program's.
    pub fn set_revoked(&mut self, revoked: &Revoked) -> Result<(), Failure> {
        give_revoked(&mut self.xdp, revoked).map_err(|error| refused(&self.interface, &error))
    }

    /// Brings it to the routes, neighbours and addresses that the host has now.
    ///
    /// # Errors
    /// An interface that is gone or has no program any more, what the kernel refuses.
    pub fn follow(&mut self, host: &Host, basis: &Basis<'_>) -> Result<(), Failure> {
        let gone = |what: &str| Failure::Runtime(format!("--xdp {}: {what}", self.interface));
        let link = host.link(&self.interface).ok_or_else(|| gone("the interface is gone"))?;
        if link.xdp_program.is_none() {
            return Err(gone("somebody took the program off"));
        }
        let mut ways = ways_of(host, link, basis.config.fast_path.next_hop);
        let too_many = few_enough(&self.interface, &ways).err();
        if too_many.is_some() {
            ways.routes.clear();
        }
        if ways.neighbours != self.ways.neighbours {
            let told = self.xdp.set_neighbours(&ways.neighbours);
            told.map_err(|error| refused(&self.interface, &error))?;
        }
        let before = std::mem::replace(&mut self.ways, ways);
        self.put(basis)?;
        self.commit();
        if let Some(failure) = too_many.filter(|_| !before.routes.is_empty()) {
            tracing::warn!(reason = %failure, "everything passes to the sockets");
        }
        if self.ways.routes != before.routes || self.ways.unresolved != before.unresolved {
            say_ways(&self.interface, &self.ways);
        }
        Ok(())
    }

    /// Puts these rules in force, if they differ; until [`Program::commit`] they can be taken back.
    ///
    /// # Errors
    /// More of something than the program holds.
    pub fn put(&mut self, basis: &Basis<'_>) -> Result<(), Failure> {
        let config = basis.config(&self.ways, self.config.hash_key);
        if config::same(&config, &self.config) {
            return Ok(());
        }
        self.xdp.configure(&config).map_err(|error| refused(&self.interface, &error))?;
        self.replaced = Some(std::mem::replace(&mut self.config, config));
        Ok(())
    }

    /// The rules put last stay.
    pub fn commit(&mut self) {
        self.replaced = None;
    }

    /// The rules before those put last are in force again.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn restore(&mut self) -> Result<(), Failure> {
        let Some(config) = self.replaced.take() else { return Ok(()) };
        self.xdp.configure(&config).map_err(|error| refused(&self.interface, &error))?;
        self.config = config;
        Ok(())
    }

    /// What it counted, and what its interface and driver lost since it is there.
    pub fn figures(&self) -> Figures {
        let links = Netlink::open().and_then(|mut netlink| netlink.links()).unwrap_or_default();
        let link = links.iter().find(|link| link.name == self.interface);
        let (interface_before, driver_before) = self.errors_before;
        Figures {
            interface_errors: link.map_or(0, |link| link.send_errors.saturating_sub(interface_before)),
            driver_errors: nic::transmit_drops(&self.interface).saturating_sub(driver_before),
            interfaces: 1,
            ..counted(&self.xdp)
        }
    }

    /// Takes it off the interface and removes what is pinned; says what it counted.
    pub fn detach(self) -> Figures {
        let figures = Figures { interfaces: 0, ..self.figures() };
        match self.xdp.detach() {
            Ok(()) => tracing::info!(interface = self.interface, "xdp detached"),
            Err(error) => tracing::warn!(interface = self.interface, %error, "xdp may still be attached"),
        }
        figures
    }
}

fn give_revoked(xdp: &mut Xdp, revoked: &Revoked) -> Result<(), XdpError> {
    match revoked.words() {
        // Nobody may revoke here.
        [] => Ok(()),
        words => xdp.set_revoked(words),
    }
}

/// The counts of a program, as sockets have them.
fn counted(xdp: &Xdp) -> Figures {
    let mut figures = Figures::default();
    // What cannot be read is not counted; the scrape goes on.
    for cpu in xdp.counters().unwrap_or_default() {
        let counts = &mut figures.counts;
        counts.count(Event::Received, cpu.received.datagrams, cpu.received.bytes);
        counts.count(Event::Relayed, cpu.relayed.datagrams, cpu.relayed.bytes);
        counts.count(Event::Observed, cpu.observed.datagrams, cpu.observed.bytes);
        for (reason, count) in Reason::ALL.into_iter().zip(&cpu.dropped) {
            counts.count(Event::Dropped(reason), count.datagrams, count.bytes);
        }
        for (id, datagrams) in (0..).zip(&cpu.keys) {
            counts.count_keys(id, *datagrams);
        }
        figures.passed_datagrams += cpu.passed.datagrams;
        figures.passed_bytes += cpu.passed.bytes;
    }
    figures
}

/// The ways of a link, with as many neighbours as the program holds; the others are reached through the sockets.
fn ways_of(host: &Host, link: &Link, next_hop: NextHop) -> Ways {
    if next_hop == NextHop::Fib {
        return Ways::of_kernel();
    }
    let mut ways = host.ways(link);
    ways.neighbours.truncate(MOST_NEIGHBOURS);
    ways
}

/// Makes the folder of pins, if it lies in a BPF file system.
fn make_folder(pin: &Path) -> Result<(), Failure> {
    let refuse = |why: &str| Failure::Config(format!("--xdp-pin {}: {why}", pin.display()));
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    if mounted_type(&mounts, pin).as_deref() != Some("bpf") {
        return Err(refuse(
            "not in a BPF file system; `mount -t bpf bpf /sys/fs/bpf`, and a folder below it",
        ));
    }
    let made = DirBuilder::new().recursive(true).mode(0o700).create(pin);
    made.map_err(|error| refuse(&error.to_string()))
}

fn few_enough(interface: &str, ways: &Ways) -> Result<(), Failure> {
    let number = ways.routes.len();
    if number > MOST_ROUTES {
        let text = format!(
            "--xdp {interface}: {number} routes, of which the program holds {MOST_ROUTES}; see `ip route`"
        );
        return Err(Failure::Config(text));
    }
    Ok(())
}

fn refused(interface: &str, error: &XdpError) -> Failure {
    Failure::Config(format!("--xdp {interface}: {error}"))
}

/// Says which routes pass for want of something.
fn say_ways(interface: &str, ways: &Ways) {
    if ways.extra_rules > 0 {
        tracing::warn!(
            interface,
            rules = ways.extra_rules,
            "routing rules beside the standard ones: everything passes"
        );
    }
    if !ways.unresolved.is_empty() {
        let gateways: Vec<String> = ways.unresolved.iter().map(ToString::to_string).collect();
        tracing::info!(
            interface,
            gateways = gateways.join(","),
            "waiting for the kernel to resolve gateways"
        );
    }
}

/// Neighbours that the program holds.
const MOST_NEIGHBOURS: usize = 4_096;
