//! Load from below the sockets: a program that sends what is due, and one that counts what comes back.
//!
//! ```text
//!   flows, heads --> transmit (BPF_PROG_TEST_RUN, live frames, paced inside) --XDP_TX--> interface
//!   Counts <-------- receive  (native, on the same interface) <------------------------- interface
//! ```
//!
//! * One call of the kernel lasts the whole run of a worker; nothing here is called per datagram.
//! * What is none of the run's own datagrams passes up to the stack: address resolution, answers, everything else.
//! * Latencies and lags are counted in the very buckets that an HdrHistogram of the same range has.
//! * Memory is taken when it is opened: 160 bytes a flow, 140 KiB a worker, and for each processor 220 KiB and 8 KiB a slice.

pub(crate) mod counts;
pub(crate) mod layout;
pub(crate) mod memory;
pub(crate) mod pace;
pub(crate) mod plan;
pub(crate) mod transmit;

use self::counts::{Counted, RECEIVED_WORDS, SLICE_WORDS};
use self::layout::{
    CONTROL_END, CONTROL_FIXED, CONTROL_GENERATION, CONTROL_WORDS, Layout, MAX_CPUS, RECEIVER_WORDS,
    SAMPLE_WORDS, SENDER_HEADS, SENDER_WORDS, head_words,
};
use self::memory::Memory;
use self::pace::{SENDS, TURNS, WORKER_WORDS, worker_words};
use self::transmit::{Shared, Station};
use crate::exact;
use crate::host::clock;
use crate::host::nic;
use crate::xdp::error::XdpError;
use crate::xdp::link::{Link, Place};
use crate::xdp::run;
use crate::xdp::{self, Mode, Run};
use aya::{Ebpf, EbpfLoader};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Relaxed, SeqCst},
    fence,
};
use std::thread;
use std::time::{Duration, Instant};

pub use self::counts::{Counts, Slice};
pub use self::plan::{
    Arriving, CELLS, Faults, Flow, MAX_FLOWS, MAX_HEAD_LEN, MAX_SLICES, Pace, Plan, Sample, Times,
};
pub use self::transmit::Transmitter;

/// Both programs, loaded for an interface.
pub struct Load {
    place: Place,
    link: Option<Link>,
    programs: Ebpf,
    layout: Layout,
    plan: Plan,
    senders: Memory,
    receivers: Memory,
    samples: Memory,
    shared: Arc<Shared>,
    /// What the interface had dropped before.
    dropped_before: u64,
}

impl Load {
    /// Loads both programs for an interface of the calling thread's network namespace, and takes all memory.
    ///
    /// # Errors
    /// No such interface, no permission, a plan that does not fit, a kernel that refuses the programs.
    pub fn open(interface: &str, plan: &Plan) -> Result<Self, XdpError> {
        let place = Place::find(interface)?;
        let layout = Layout::new(plan, place.mac, place.mtu)?;
        let cpus = aya::util::online_cpus();
        let cpus = cpus.map_err(|(_, error)| XdpError::kernel("count the processors", error))?;
        let cpus = cpus.last().and_then(|last| usize::try_from(*last).ok()).map_or(1, |last| last + 1);
        let samples = plan.faults.iter().map(|faults| faults.samples.len()).sum::<usize>();
        let flows = exact::index(layout.flows);
        let slices = cpus.min(MAX_CPUS) * layout.slices;
        let array = |name, entries, words| Array { name, entries, words };
        let arrays = [
            array("controls", 1, CONTROL_WORDS),
            array("workers", plan.workers.len(), WORKER_WORDS),
            array("senders", flows, SENDER_WORDS),
            array("receivers", flows, RECEIVER_WORDS),
            array("samples", samples, SAMPLE_WORDS),
            array("receipts", cpus.min(MAX_CPUS), RECEIVED_WORDS),
            array("slices", slices, SLICE_WORDS),
            array("filler", 1, FILLER_WORDS),
        ];
        let mut programs = load(&layout.plan_words(), &arrays)?;
        let mut maps = arrays.iter().map(|array| map(&mut programs, array));
        let mut next = || maps.next().unwrap_or(Err(LACKING));
        let (controls, workers) = (next()?, next()?);
        let (senders, receivers, samples) = (next()?, next()?, next()?);
        let (receipts, slices, filler) = (next()?, next()?, next()?);
        controls.set(0, CONTROL_END, &[plan.times.end_ns]);
        filler.set(0, 0, &[0xa5a5_a5a5_a5a5_a5a5; FILLER_WORDS]);
        for (worker, pace) in plan.workers.iter().enumerate() {
            workers.set(worker, 0, &worker_words(pace, &plan.times)?);
        }
        let (slice_count, faults) = (layout.slices, plan.faults.len());
        let counted = Counted { workers, receipts, slices, slice_count, faults };
        let running = plan.workers.iter().map(|_| AtomicBool::new(false)).collect();
        let shared = Arc::new(Shared { controls, counted, running });
        let dropped_before = nic::redirect_drops(interface);
        let plan = plan.clone();
        let link = None;
        Ok(Self { place, link, programs, layout, plan, senders, receivers, samples, shared, dropped_before })
    }

    /// Attaches the receiving program; it goes when this value goes.
    ///
    /// # Errors
    /// A driver without native XDP, another program that is attached already.
    pub fn attach(&mut self) -> Result<(), XdpError> {
        let program = xdp::program(&self.programs, RECEIVE)?.fd().map_err(xdp::refused)?;
        self.link = Some(Link::attach(program.as_fd(), &self.place, Mode::Native, None)?);
        Ok(())
    }

    /// Writes a flow; before the run only.
    ///
    /// # Errors
    /// No such flow, addresses of another family than the relay's, or another IP address to come from than the relay's.
    pub fn set_flow(&mut self, index: u32, flow: &Flow) -> Result<(), XdpError> {
        let place = self.place_of(index)?;
        let (sender, receiver) = self.layout.flow_words(flow)?;
        self.senders.set(place, 0, &sender);
        self.receivers.set(place, 0, &receiver);
        Ok(())
    }

    /// Writes the head of a flow into the table that is not in force.
    ///
    /// # Errors
    /// No such flow, or a head of another length than the plan's.
    pub fn set_head(&mut self, index: u32, head: &[u8]) -> Result<(), XdpError> {
        let place = self.place_of(index)?;
        if head.len() != self.layout.head_len {
            return Err(XdpError::Value("the heads of flows are as long as the plan says"));
        }
        let words = head_words(head);
        let other = if self.generation() == 0 { words.len() } else { 0 };
        self.senders.set(place, SENDER_HEADS + other, &words);
        Ok(())
    }

    /// Puts the heads that were written since the last time in force, all of them with the next datagram.
    ///
    /// Returns when no worker is still at a datagram with a head of before, so that those can be written.
    pub fn adopt_heads(&mut self) {
        let turns = || (0..self.plan.workers.len()).map(|it| self.shared.counted.workers.get(it, TURNS));
        self.shared.controls.set(0, CONTROL_GENERATION, &[1 - self.generation()]);
        // No turn may be counted before a worker on another processor can see which heads are in force.
        fence(SeqCst);
        let before: Vec<u64> = turns().collect();
        let started = Instant::now();
        let at_it = |shared: &Shared| {
            let mut workers = shared.running.iter().zip(turns().zip(&before));
            workers.any(|(running, (now, before))| {
                running.load(Acquire) && now.wrapping_sub(*before) < TURNS_UNTIL_SEEN
            })
        };
        while at_it(&self.shared) && started.elapsed() < LONGEST_TURN {
            thread::sleep(Duration::from_micros(50));
        }
    }

    /// The sender of one worker, to be run on a thread of its own.
    ///
    /// # Errors
    /// No such worker, or no memory.
    pub fn transmitter(&self, worker: usize) -> Result<Transmitter, XdpError> {
        if worker >= self.plan.workers.len() {
            return Err(XdpError::Value("the plan has no such worker"));
        }
        self.write_samples();
        let program = xdp::program(&self.programs, TRANSMIT)?.fd().map_err(xdp::refused)?;
        let program = program.as_fd().try_clone_to_owned();
        Ok(Transmitter {
            program: program.map_err(|error| XdpError::kernel("share the program", error))?,
            shared: Arc::clone(&self.shared),
            worker,
            interface: self.place.index,
            template: self.layout.template(),
        })
    }

    /// Moves the end of the run to an earlier time, but, while the clock runs, to none that has begun: a datagram behind
    /// the end is not counted when it arrives, and by the clock of now it may have left already.
    ///
    /// Returns the end in force. If that has passed when this returns, the caller was held up meanwhile, and some of what
    /// was sent in that time counts as lost.
    pub fn cut(&self, end_ns: u64) -> u64 {
        let Some(end) = self.shared.controls.value(0).get(CONTROL_END) else { return end_ns };
        let now_ns = clock::since_boot_ns();
        let runs = self.shared.controls.get(0, CONTROL_FIXED) == 0;
        let end_ns = if runs { end_ns.max(now_ns + CUT_AHEAD_NS) } else { end_ns };
        end.fetch_min(end_ns, Relaxed).min(end_ns)
    }

    /// Sent and arrived so far, cheaply: for progress.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn glance(&self) -> Result<(u64, u64), XdpError> {
        Ok(self.shared.counted.glance())
    }

    /// Everything counted so far.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn counts(&self) -> Result<Counts, XdpError> {
        let dropped = nic::redirect_drops(&self.place.name);
        Ok(self.shared.counted.read(dropped.saturating_sub(self.dropped_before)))
    }

    /// Stops the programs' clock at a boot time, for tests, ns; 0 lets it run.
    pub fn fix_time(&self, boot_ns: u64) {
        self.shared.controls.set(0, CONTROL_FIXED, &[boot_ns]);
    }

    /// One turn of a worker's program on a frame that leads nowhere, by a new reading of the clock; for tests.
    ///
    /// # Errors
    /// No such worker, the kernel's refusal.
    pub fn run_transmit(&self, worker: usize) -> Result<Run, XdpError> {
        self.write_samples();
        let _station = Station::take(&self.shared, worker)?;
        self.shared.counted.workers.set(worker, SENDS, &[u64::from(u32::MAX)]);
        run::run(xdp::program(&self.programs, TRANSMIT)?, &self.layout.template(), 1)
    }

    /// The receiving program on a frame that no wire brought, for tests.
    ///
    /// # Errors
    /// A frame that is too short or too long, the kernel's refusal.
    pub fn run_receive(&self, frame: &[u8], repeat: u32) -> Result<Run, XdpError> {
        run::run(xdp::program(&self.programs, RECEIVE)?, frame, repeat)
    }

    fn generation(&self) -> u64 {
        self.shared.controls.get(0, CONTROL_GENERATION)
    }

    fn place_of(&self, index: u32) -> Result<usize, XdpError> {
        let place = usize::try_from(index).ok().filter(|_| index < self.layout.flows);
        place.ok_or(XdpError::Value("the plan has no such flow"))
    }

    /// Completes the samples of faults, which need the addresses of their flows.
    fn write_samples(&self) {
        let samples = self.plan.faults.iter().flat_map(|faults| &faults.samples);
        for (place, Sample { flow, head, len }) in samples.enumerate() {
            let index = exact::index(*flow);
            let word = |place| self.senders.get(index, place);
            let sender = [word(0), word(1), word(2), word(3)];
            self.samples.set(place, 0, &self.layout.sample_words(sender, *flow, head, *len));
        }
    }
}

impl std::fmt::Debug for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Load").field("place", &self.place).field("link", &self.link).finish_non_exhaustive()
    }
}

/// An array of the object, of the size that a plan needs.
struct Array {
    name: &'static str,
    entries: usize,
    /// Words of 8 bytes in each entry.
    words: usize,
}

/// Loads both programs, made for a plan, with arrays of these sizes.
fn load(plan: &[u64], arrays: &[Array]) -> Result<Ebpf, XdpError> {
    let mut loader = EbpfLoader::new();
    loader.override_global("plan", plan, true);
    for Array { name, entries, .. } in arrays {
        let entries = u32::try_from(*entries).map_err(|_| LACKING)?;
        loader.map_max_entries(name, entries.max(1));
    }
    let mut programs = loader.load(OBJECT).map_err(xdp::not_loaded)?;
    for name in [TRANSMIT, RECEIVE] {
        xdp::program_mut(&mut programs, name)?.load().map_err(xdp::refused)?;
    }
    Ok(programs)
}

/// The memory of an array, which must be as large as this process believes.
fn map(programs: &mut Ebpf, array: &Array) -> Result<Memory, XdpError> {
    let map = xdp::take(programs, array.name)?;
    let info = map.info().map_err(xdp::not_mapped)?;
    if usize::try_from(info.value_size()).ok() != Some(array.words * size_of::<u64>()) {
        return Err(LACKING);
    }
    Memory::map(map.fd().as_fd(), array.entries.max(1), array.words)
}

/// The programs as compiled: see `bpf/build`.
const OBJECT: &[u8] = aya::include_bytes_aligned!("../bpf/generator.bpf.o");
const TRANSMIT: &str = "transmit";
const RECEIVE: &str = "receive";
const LACKING: XdpError =
    XdpError::Value("the object lacks a map, or one is of another size; rebuild it: engine/bpf/build");
const FILLER_WORDS: usize = 512;
/// How far ahead of the clock a run may be cut at the least: many times what it takes to read it and say so.
const CUT_AHEAD_NS: u64 = 5_000_000;
/// The turn that was under way may use the heads of before, and so may the next one, because a processor may read ahead of
/// what it writes; when one more has begun, both are over.
const TURNS_UNTIL_SEEN: u64 = 3;
/// A turn of a program takes microseconds, unless the machine is held up; this only ends a hang.
const LONGEST_TURN: Duration = Duration::from_secs(60);
