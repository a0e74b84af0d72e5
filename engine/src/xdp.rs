//! The fast path: a program at the driver that answers what it can and passes up the rest.
//!
//! ```text
//!   Config --configure--> inner map --swapped whole--> program <--tick-- clock
//!   frames --------------------------------------------> | --counters--> Counts
//! ```
//!
//! * Loaded is not attached: a loaded program can be run on frames that no wire brought.
//! * A reload makes a new map and swaps it in whole; the program sees the old configuration or the new one.
//! * Ten minutes after the last `tick` the program passes everything up.
//! * Nothing here is called per datagram.

#![allow(unsafe_code)]

pub(crate) mod bpf_call;
pub(crate) mod coarse_clock;
pub mod config;
pub mod counts;
pub mod error;
pub mod link;
pub mod programs;
pub mod run;
mod shared_words;

use crate::exact;
use crate::host::clock;
use crate::xdp::coarse_clock::{Clock, Moment};
use crate::xdp::config::{Raw, v6};
use crate::xdp::link::{Link, Place};
use crate::xdp::shared_words::SharedWords;
use aya::maps::{Array, ArrayOfMaps, HashMap, Map, MapData, MapError, PerCpuArray};
use aya::programs::ProgramError;
use aya::{Ebpf, EbpfError, EbpfLoader};
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub use crate::host::routes::{Hop, Route};
pub use crate::xdp::config::{Config, MAX_ROUTES};
pub use crate::xdp::counts::{Count, Counts, REASONS};
pub use crate::xdp::error::XdpError;
pub use crate::xdp::link::{Mode, detach_pinned};
pub use crate::xdp::run::{Answer, Run};

/// A loaded program, its maps, and where it sits.
pub struct Xdp {
    place: Place,
    link: Option<Link>,
    programs: Ebpf,
    program: String,
    configs: ArrayOfMaps<MapData, Array<MapData, Raw>>,
    neighbours: HashMap<MapData, Address, u64>,
    counts: PerCpuArray<MapData, counts::Raw>,
    clock: Clock,
    revocations: SharedWords,
}

impl Xdp {
    /// Loads the program for an interface of the calling thread's network namespace, and configures it.
    ///
    /// # Errors
    /// No such interface, no permission, a kernel that refuses the program, or a configuration that does not fit.
    pub fn load(interface: &str, config: &Config) -> Result<Self, XdpError> {
        Self::load_object(interface, config, OBJECT, PROGRAM)
    }

    /// Loads another program that has the same maps, as tests and benchmarks do.
    ///
    /// # Errors
    /// As of [`Xdp::load`], and an object that lacks the program or a map.
    pub fn load_object(
        interface: &str,
        config: &Config,
        object: &[u8],
        program: &str,
    ) -> Result<Self, XdpError> {
        let place = Place::find(interface)?;
        let cores = aya::util::nr_cpus()
            .map_err(|(_, error)| XdpError::Kernel { what: "count the processors", error })?;
        let cores = u32::try_from(cores).unwrap_or(u32::MAX);
        let mut programs =
            EbpfLoader::new().map_max_entries("budgets", cores).load(object).map_err(not_loaded)?;
        for name in [program, READ_JIFFIES] {
            program_mut(&mut programs, name)?.load().map_err(refused)?;
        }
        let clock = Clock::map(take(&mut programs, "clocks")?.fd().as_fd())?;
        let revocations = take(&mut programs, "revocations")?;
        let revoked_len = revocations.info().map_err(not_mapped)?.value_size();
        let revocations = SharedWords::map(revocations.fd().as_fd(), revoked_len)?;
        let mut xdp = Self {
            place,
            link: None,
            configs: ArrayOfMaps::try_from(Map::ArrayOfMaps(take(&mut programs, "configs")?))
                .map_err(not_mapped)?,
            neighbours: HashMap::try_from(Map::HashMap(take(&mut programs, "neighbours")?))
                .map_err(not_mapped)?,
            counts: PerCpuArray::try_from(Map::PerCpuArray(take(&mut programs, "counts")?))
                .map_err(not_mapped)?,
            clock,
            revocations,
            programs,
            program: program.to_owned(),
        };
        xdp.configure(config)?;
        xdp.clock.start(xdp.moment()?, clock::Clock::start().offset_ns());
        Ok(xdp)
    }

    /// Attaches the program; with a folder of a BPF file system it stays there when this process ends.
    ///
    /// What is pinned there for this interface is replaced in place: every frame meets the old program or this one.
    ///
    /// # Errors
    /// One for each thing that may be missing, saying what would be right.
    pub fn attach(&mut self, mode: Mode, pin: Option<&Path>) -> Result<(), XdpError> {
        let program = self.program()?.fd().map_err(refused)?;
        self.link = Some(Link::attach(program.as_fd(), &self.place, mode, pin)?);
        Ok(())
    }

    /// Loads the program and puts it in the place of the one that is pinned; `None` if none is.
    ///
    /// # Errors
    /// As of [`Xdp::load`], and a pin that cannot be opened.
    pub fn adopt(interface: &str, mode: Mode, pin: &Path, config: &Config) -> Result<Option<Self>, XdpError> {
        let mut xdp = Self::load(interface, config)?;
        let program = xdp.program()?.fd().map_err(refused)?;
        xdp.link = Link::adopt(program.as_fd(), &xdp.place, mode, Some(pin))?;
        Ok(xdp.link.is_some().then_some(xdp))
    }

    /// Puts a configuration in force, whole; the interface's Ethernet address is read anew.
    ///
    /// # Errors
    /// What does not fit, with the count; the configuration before stays in force.
    pub fn configure(&mut self, config: &Config) -> Result<(), XdpError> {
        if let Ok(place) = Place::find(&self.place.name) {
            self.place.mac = place.mac;
        }
        let raw = Raw::new(config, self.place.mac)?;
        let len = exact::len_of::<Raw>();
        let inner = bpf_call::create_array(len, 1)
            .map_err(|error| XdpError::kernel("make a configuration", error))?;
        let inner = MapData::from_fd(inner).map_err(not_mapped)?;
        let mut inner: Array<MapData, Raw> = Array::try_from(Map::Array(inner)).map_err(not_mapped)?;
        inner.set(0, *raw, 0).map_err(not_mapped)?;
        self.configs.set(0, &inner, 0).map_err(not_mapped)
    }

    /// Replaces the neighbours on the link by these, at most 4096.
    ///
    /// # Errors
    /// More than fit, or the kernel's refusal.
    pub fn set_neighbours(&mut self, on_link: &[(IpAddr, [u8; 6])]) -> Result<(), XdpError> {
        if on_link.len() > MAX_NEIGHBOURS {
            return Err(XdpError::TooMany { what: "neighbours", given: on_link.len(), most: MAX_NEIGHBOURS });
        }
        let wanted: Vec<(Address, u64)> =
            on_link.iter().map(|(ip, mac)| (Address::of(*ip), config::mac_word(*mac))).collect();
        let known: Vec<Address> = self.neighbours.keys().collect::<Result<_, _>>().map_err(not_mapped)?;
        for address in known.iter().filter(|known| !wanted.iter().any(|(address, _)| address == *known)) {
            self.neighbours.remove(address).map_err(not_mapped)?;
        }
        for (address, mac) in wanted {
            self.neighbours.insert(address, mac, 0).map_err(not_mapped)?;
        }
        Ok(())
    }

    /// A sign of life, and the clock's offset: unix time less boot time, ns. Due each second.
    ///
    /// # Errors
    /// The kernel's refusal to say its jiffies.
    pub fn tick(&mut self, offset_ns: i64) -> Result<(), XdpError> {
        self.clock.tick(self.moment()?, offset_ns);
        Ok(())
    }

    /// Gives the program the table of revocations, whose first word says how many entries it holds.
    ///
    /// # Errors
    /// A table of another size than the program's.
    pub fn set_revoked(&mut self, table: &[AtomicU64]) -> Result<(), XdpError> {
        if table.len() != self.revocations.all().len() {
            return Err(XdpError::Value("the program's table of revocations has another size"));
        }
        self.revocations.copy(table);
        self.clock.set_revoked(table.first().map_or(0, |entries| entries.load(Relaxed)));
        Ok(())
    }

    /// The counters of each core.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn counters(&self) -> Result<Vec<Counts>, XdpError> {
        let cores = self.counts.get(&0, 0).map_err(not_mapped)?;
        Ok(cores.iter().map(Counts::from).collect())
    }

    /// Detaches the program and removes its pin.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn detach(self) -> Result<(), XdpError> {
        self.link.map_or(Ok(()), Link::detach)
    }

    /// Runs the program `repeat` times on a frame that no wire brought.
    ///
    /// # Errors
    /// A frame shorter than 14 bytes or longer than a page takes.
    pub fn run(&self, frame: &[u8], repeat: u32) -> Result<Run, XdpError> {
        run::run(self.program()?, frame, repeat)
    }

    /// Sends `repeat` copies of a frame through the program as if the interface had received them; what it transmits
    /// really leaves.
    ///
    /// # Errors
    /// A frame that is too short or too long, or a kernel older than 5.18.
    pub fn run_live(&self, frame: &[u8], repeat: u32) -> Result<(), XdpError> {
        run::run_live(self.program()?, frame, self.place.index, repeat)
    }

    /// Writes the one value of a map that [`Xdp::load_object`] brought.
    ///
    /// # Errors
    /// No such array, or a value of another length.
    pub fn write_map(&mut self, name: &str, value: &[u8]) -> Result<(), XdpError> {
        let map = self.other_map(name, value.len())?;
        bpf_call::write_array(map.fd().as_fd(), value).map_err(|error| XdpError::kernel("write a map", error))
    }

    /// Reads the one value of a map that [`Xdp::load_object`] brought.
    ///
    /// # Errors
    /// No such array, or a value of another length.
    pub fn read_map(&self, name: &str, value: &mut [u8]) -> Result<(), XdpError> {
        let map = self.other_map(name, value.len())?;
        bpf_call::read_array(map.fd().as_fd(), value).map_err(|error| XdpError::kernel("read a map", error))
    }

    /// Stops the clock, for tests: unix seconds, and the boot time by which budgets are spent, ns.
    pub fn fix_time(&mut self, unix_s: u32, boot_ns: u64) {
        self.clock.fix(unix_s, boot_ns);
    }

    /// Pretends that the last sign of life is so many seconds ago, for tests.
    ///
    /// # Errors
    /// The kernel's refusal to say its jiffies.
    pub fn age(&mut self, seconds: u64) -> Result<(), XdpError> {
        self.clock.age(self.moment()?, seconds);
        Ok(())
    }

    /// Nanoseconds since the last sign of life.
    ///
    /// # Errors
    /// The kernel's refusal to say its jiffies.
    pub fn silence_ns(&self) -> Result<u64, XdpError> {
        Ok(self.clock.silence_ns(self.moment()?))
    }

    /// The Ethernet address that frames must be sent to.
    pub fn mac(&self) -> [u8; 6] {
        self.place.mac
    }

    fn program(&self) -> Result<&aya::programs::Xdp, XdpError> {
        program(&self.programs, &self.program)
    }

    fn other_map(&self, name: &str, len: usize) -> Result<&MapData, XdpError> {
        let Some(Map::Array(map)) = self.programs.map(name) else {
            return Err(XdpError::Value("the object has no array of this name"));
        };
        let info = map.info().map_err(not_mapped)?;
        if usize::try_from(info.value_size()).is_ok_and(|size| size == len) && info.max_entries() == 1 {
            Ok(map)
        } else {
            Err(XdpError::Value("the map's value has another length"))
        }
    }

    fn moment(&self) -> Result<Moment, XdpError> {
        let run = run::run(program(&self.programs, READ_JIFFIES)?, &[0; 64], 1)?;
        let ([jiffies, boot_ns, ..], _) = run.frame.as_chunks::<8>() else {
            return Err(XdpError::Value("the program that reads the clock gave too few bytes"));
        };
        Ok(Moment { jiffies: u64::from_ne_bytes(*jiffies), boot_ns: u64::from_ne_bytes(*boot_ns) })
    }
}

impl std::fmt::Debug for Xdp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Xdp").field("place", &self.place).field("link", &self.link).finish_non_exhaustive()
    }
}

/// An address as the neighbour map and the header have it: IPv4 as `::ffff:a.b.c.d`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Address([u64; 2]);

// SAFETY: two words, no padding.
unsafe impl aya::Pod for Address {}

impl Address {
    fn of(ip: IpAddr) -> Self {
        Self(v6(match ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        }))
    }
}

pub(crate) fn take(programs: &mut Ebpf, name: &str) -> Result<MapData, XdpError> {
    let map = programs
        .take_map(name)
        .ok_or(XdpError::Value("the program lacks a map; rebuild it: engine/bpf/build"))?;
    match map {
        Map::Array(map) | Map::ArrayOfMaps(map) | Map::HashMap(map) | Map::PerCpuArray(map) => Ok(map),
        _ => Err(XdpError::Value("a map of the program is of another kind; rebuild it: engine/bpf/build")),
    }
}

pub(crate) fn program<'a>(programs: &'a Ebpf, name: &str) -> Result<&'a aya::programs::Xdp, XdpError> {
    let program = programs.program(name).ok_or(LACKING)?;
    program.try_into().map_err(|_| LACKING)
}

pub(crate) fn program_mut<'a>(
    programs: &'a mut Ebpf,
    name: &str,
) -> Result<&'a mut aya::programs::Xdp, XdpError> {
    let program = programs.program_mut(name).ok_or(LACKING)?;
    program.try_into().map_err(|_| LACKING)
}

pub(crate) fn not_loaded(error: EbpfError) -> XdpError {
    match error {
        EbpfError::MapError(error) => not_mapped(error),
        EbpfError::ProgramError(error) => refused(error),
        other => XdpError::Refused(other.to_string()),
    }
}

pub(crate) fn not_mapped(error: MapError) -> XdpError {
    let (what, error) = match error {
        MapError::CreateError { io_error, .. } => ("make the program's maps", io_error),
        MapError::SyscallError(error) => ("use the program's maps", error.io_error),
        MapError::IoError(error) => ("use the program's maps", error),
        other => ("use the program's maps", io::Error::other(other.to_string())),
    };
    XdpError::kernel(what, error)
}

pub(crate) fn refused(error: ProgramError) -> XdpError {
    match error {
        ProgramError::LoadError { io_error, .. } if io_error.raw_os_error() == Some(libc::EPERM) => {
            XdpError::NotPermitted("load the program")
        }
        ProgramError::LoadError { verifier_log, io_error } => {
            XdpError::Refused(format!("{io_error}\n{verifier_log}"))
        }
        ProgramError::SyscallError(error) => XdpError::kernel("load the program", error.io_error),
        ProgramError::MapError(error) => not_mapped(error),
        other => XdpError::Refused(other.to_string()),
    }
}

/// The program as compiled: see `bpf/build`.
const OBJECT: &[u8] = aya::include_bytes_aligned!("../bpf/reflector.bpf.o");
const PROGRAM: &str = "reflector";
const READ_JIFFIES: &str = "read_jiffies";
const LACKING: XdpError = XdpError::Value("the object lacks a program; rebuild it: engine/bpf/build");
const MAX_NEIGHBOURS: usize = 4096;
