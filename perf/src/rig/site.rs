//! A reflector that a sweep loads, wherever it is: on loopback, behind a cable of its own, or on another host.
//!
//! ```text
//!   loopback    generator ── 127.0.0.1 ── reflector              nobody's privilege, no network interface
//!   cable       generator, XDP ── eth0 ════ eth0 ── reflector    two namespaces on one veth, as root
//!   elsewhere   generator ── network ── reflector                its counters come from its admin port
//! ```
//!
//! * A reflector runs through all of a sweep; what a load changed is the difference of its counters before and after.
//! * Counters are read when nothing moves any more, so that every datagram of a load is in them.
//! * Dropped, it leaves nothing running that it has started.

use crate::figures::rounded;
use crate::rig::cell::{Cell, Engine};
use crate::rig::cores::{Cores, Sharing};
use crate::rig::flow::BLOCK;
use crate::rig::placement::Placement;
use crate::rig::run::{About, Costs, Purpose, Run};
use crate::rig::span::{Sample, Span};
use crate::rig::stage::{INTERFACE, LATE, PROBE_BUDGET, WORKERS, serve};
use anyhow::{Context, bail};
use http::Metrics;
use lab::programs::found::Programs;
use lab::programs::generator::Generator;
use lab::programs::interrupt::Interrupt;
use lab::programs::precedence::run_first;
use lab::programs::process_time::process_ns;
use lab::programs::program::{Program, Start, ending};
use lab::programs::reflector::Ready;
use lab::programs::relay::Counters;
use lab::programs::scratch::Scratch;
use lab::{Napi, Pair};
use results::outcome::Outcome;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A reflector, ready.
#[derive(Debug)]
pub struct Site {
    engine: Engine,
    workers: u32,
    placement: Placement,
    ground: Ground,
    program: Option<Program>,
    reflector: Reached,
    nat: nat::Mix,
    loadgen: PathBuf,
    scratch: Scratch,
    commands: Vec<String>,
}

/// Where a reflector is and how it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Its transport address.
    pub listen: SocketAddr,
    /// Its admin server.
    pub admin: SocketAddr,
    /// Its ring file.
    pub keys: PathBuf,
    /// What the generator needs beyond these to reach it.
    pub flags: Vec<String>,
}

/// What lies between the generator and the reflector.
#[derive(Debug)]
enum Ground {
    Loopback,
    Cable(Box<Pair>, [Napi; 2]),
    Elsewhere,
}

/// One load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// What is varied.
    pub cell: Cell,
    /// What for.
    pub purpose: Purpose,
    /// In which round.
    pub round: u32,
    /// Datagrams per second, wrong ones included.
    pub rate_per_s: u64,
    /// Measured phase.
    pub duration: Duration,
    /// Before it.
    pub warmup: Duration,
}

impl Site {
    /// Starts a reflector on loopback.
    ///
    /// # Errors
    /// It does not start; with its last words.
    pub fn loopback(
        (engine, workers): (Engine, u32),
        placement: Placement,
        nat: nat::Mix,
        programs: &Programs,
    ) -> anyhow::Result<Self> {
        let scratch = Scratch::new()?;
        let keys = scratch.fresh_ring("ring.toml")?;
        let mut start = Start::new(&programs.reflector);
        start.arg("run").option("--listen", "127.0.0.1:0").option("--admin", "127.0.0.1:0");
        start.option("--allow-destination", "127.0.0.0/8");
        common(&mut start, &keys, engine, workers, &placement);
        let mut program = Program::start(&start)?;
        let Ready { listen, admin, .. } = ready(&mut program)?;
        let reflector = Reached { listen, admin, keys, flags: Vec::new() };
        let (program, ground, commands) = (Some(program), Ground::Loopback, vec![start.shown()]);
        let loadgen = programs.loadgen.clone();
        Ok(Self { engine, workers, placement, ground, program, reflector, nat, loadgen, scratch, commands })
    }

    /// Lays a cable between two namespaces and starts a reflector behind it.
    ///
    /// # Errors
    /// What the lab says, or the reflector's last words.
    pub fn cable(
        (engine, workers): (Engine, u32),
        placement: Placement,
        nat: nat::Mix,
        programs: &Programs,
    ) -> anyhow::Result<Self> {
        let scratch = Scratch::new()?;
        let keys = scratch.fresh_ring("ring.toml")?;
        let hosts = Pair::new("generator", "reflector")?;
        hosts.first.own(BLOCK)?;
        let last = |cpus: &[usize]| cpus.last().copied().context("a cable needs two processors");
        let (reflector, generator) = (last(&placement.reflector)?, last(&placement.generator)?);
        let cores = Cores { reflector, generator, sharing: Sharing::Apart };
        let napi = serve(&hosts, cores, 0)?;
        hosts.second.meet_router()?;
        let listen = SocketAddr::new(hosts.second.ipv4().into(), PORT);
        let mut start = Start::new(&programs.reflector);
        start.arg("run").option("--listen", listen).option("--admin", "127.0.0.1:0");
        if engine == Engine::Xdp {
            start.option("--xdp", INTERFACE).option("--xdp-mode", "native");
        }
        common(&mut start, &keys, engine, workers, &placement);
        let mut program = hosts.second.enter(|| Program::start(&start))??;
        let admin = ready(&mut program)?.admin;
        run_first(program.id(), WORKERS)?;
        let flags = ["--xdp", INTERFACE, "--external", BLOCK, "--pairs", "ring", "--keepalive", "0"];
        let reflector = Reached { listen, admin, keys, flags: flags.map(str::to_owned).to_vec() };
        let ground = Ground::Cable(Box::new(hosts), napi);
        let (program, commands, loadgen) = (Some(program), vec![start.shown()], programs.loadgen.clone());
        Ok(Self { engine, workers, placement, ground, program, reflector, nat, loadgen, scratch, commands })
    }

    /// A reflector that runs elsewhere; which engine and how many workers, it says itself.
    ///
    /// # Errors
    /// Its admin server does not answer, or not as a reflector's.
    pub fn elsewhere(
        reflector: Reached,
        placement: Placement,
        nat: nat::Mix,
        programs: &Programs,
    ) -> anyhow::Result<Self> {
        let metrics = Metrics::scrape(reflector.admin)
            .with_context(|| format!("--admin {}: no reflector's metrics there", reflector.admin))?;
        let has_xdp = metrics.sum("reflector_xdp_interfaces", &[]).is_ok_and(|count| count > 0.0);
        let is_uring = metrics.values("reflector_build_info", "engine").contains(&"uring");
        let engine = match (has_xdp, is_uring) {
            (true, _) => Engine::Xdp,
            (false, true) => Engine::Uring,
            (false, false) => Engine::Epoll,
        };
        let workers = metrics.values("reflector_worker_busy_seconds_total", "worker").len();
        let workers = u32::try_from(workers).ok().filter(|count| *count > 0).context("it has no workers")?;
        let (ground, program, commands) = (Ground::Elsewhere, None, Vec::new());
        let (scratch, loadgen) = (Scratch::new()?, programs.loadgen.clone());
        Ok(Self { engine, workers, placement, ground, program, reflector, nat, loadgen, scratch, commands })
    }

    /// Whether a cell is measured here.
    pub fn serves(&self, cell: &Cell) -> bool {
        (self.engine, self.workers) == (cell.engine, cell.workers)
    }

    /// The engine and the workers.
    pub fn kind(&self) -> (Engine, u32) {
        (self.engine, self.workers)
    }

    /// Who runs where.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// The reflector's command line, and the generator's for each load so far.
    pub fn commands(&self) -> &[String] {
        &self.commands
    }

    /// Runs one load.
    ///
    /// # Errors
    /// One of the programs failed, or the run was interrupted.
    pub fn run(&mut self, load: &Load, interrupt: &Interrupt) -> anyhow::Result<Run> {
        let before = self.settled(interrupt)?;
        let json = self.scratch.path().join("run.json");
        let start = self.generator(load, &json);
        let mut generator = match &self.ground {
            Ground::Cable(hosts, _) => hosts.first.enter(|| Generator::launch(&start, json))??,
            Ground::Loopback | Ground::Elsewhere => Generator::launch(&start, json)?,
        };
        self.commands.push(generator.command().to_owned());
        let (outcome, samples) = self.watch(&mut generator, interrupt)?;
        drop(generator);
        let relay = self.settled(interrupt)?.since(&before);
        let mut costs = self.costs(&samples);
        costs.reflector_bytes = rounded(self.metrics()?.sum("process_resident_memory_bytes", &[])?);
        let about = About { cell: load.cell, purpose: load.purpose, round: load.round };
        Ok(Run::of(about, load.rate_per_s, &outcome, relay, &costs))
    }

    /// Looks on until the generator has ended.
    fn watch(
        &mut self,
        generator: &mut Generator,
        interrupt: &Interrupt,
    ) -> anyhow::Result<(Outcome, Vec<Sample>)> {
        let (began, mut samples) = (Instant::now(), Vec::new());
        loop {
            samples.extend(self.sample(began, generator.program().id())?);
            let next = Instant::now() + EVERY;
            while Instant::now() < next {
                interrupt.check()?;
                self.ensure_alive()?;
                if let Some(outcome) = generator.poll()? {
                    return Ok((outcome, samples));
                }
                interrupt.sleep(POLL);
            }
        }
    }

    fn sample(&mut self, began: Instant, generator_id: u32) -> anyhow::Result<Option<Sample>> {
        let asked = Instant::now();
        let own = |program: u32, napi: Option<&Napi>| -> u64 {
            let ids = napi.into_iter().flat_map(|napi| napi.ids().iter().copied()).chain([program]);
            ids.filter_map(process_ns).sum()
        };
        let [of_generator, of_reflector] = match &self.ground {
            Ground::Cable(_, napi) => napi.each_ref().map(Some),
            Ground::Loopback | Ground::Elsewhere => [None, None],
        };
        let each = |cpus: &[usize]| u64::try_from(cpus.len()).unwrap_or(1).max(1);
        let mut sample = Sample {
            generator: Placement::mean_time(&self.placement.generator)?,
            generator_own_ns: own(generator_id, of_generator) / each(&self.placement.generator),
            ..Sample::default()
        };
        if let Some(program) = &self.program {
            sample.relay = Placement::mean_time(&self.placement.reflector)?;
            sample.relay_own_ns = own(program.id(), of_reflector) / each(&self.placement.reflector);
        }
        sample.frames = counted(&self.metrics()?)?.received;
        sample.at = began.elapsed();
        Ok((asked.elapsed() < LATE).then_some(sample))
    }

    /// What the load cost, from the part of the run in which it stood.
    fn costs(&self, samples: &[Sample]) -> Costs {
        // Samples hold the mean of the processors; a datagram costs what all of them spent.
        let count = self.placement.reflector.iter().map(|_| 1.0).sum::<f64>();
        let is_told = self.program.is_some() && !self.placement.is_shared();
        match (Span::under_load(samples), is_told) {
            // What its workers cost, a reflector counts itself.
            (Some(span), true) => {
                Costs { core_ns: Some(span.core_ns.map(|ns| ns * count)), own_ns: None, ..Costs::from(&span) }
            }
            _ => Costs::default(),
        }
    }

    /// The generator's command line for a load.
    fn generator(&self, load: &Load, json: &Path) -> Start {
        let (cell, ms) = (&load.cell, |span: Duration| format!("{}ms", span.as_millis()));
        let mut start = Start::new(&self.loadgen);
        start.arg("run").option("--reflector", self.reflector.listen);
        start.option("--keys", self.reflector.keys.display());
        start.option("--endpoints", cell.endpoints).option("--nat", self.nat);
        start.option("--rate", load.rate_per_s).option("--payload", cell.payload_bytes);
        start.option("--arrivals", cell.arrivals());
        if cell.hostile_percent > 0 {
            start.option("--invalid", format!("tag={}%", cell.hostile_percent));
        }
        start.option("--duration", ms(load.duration)).option("--warmup", ms(load.warmup));
        self.reflector.flags.iter().for_each(|flag| {
            start.arg(flag);
        });
        start.option("--workers", self.placement.generator.len());
        start.option("--json", json.display()).arg("--quiet").on(&self.placement.generator);
        start
    }

    /// Its counters once nothing moves any more.
    ///
    /// A PROBE goes first, because the kernel tells of datagrams that it dropped only with the next one that it
    /// delivers; it is counted like any other.
    fn settled(&mut self, interrupt: &Interrupt) -> anyhow::Result<Counters> {
        let before = counted(&self.metrics()?)?;
        self.probe()?;
        let (until, received_before, mut last) = (Instant::now() + SETTLE, before.received, before);
        loop {
            interrupt.check()?;
            interrupt.sleep(STILL);
            let now = counted(&self.metrics()?)?;
            if now.is_still(&last) && now.received > received_before {
                return Ok(now);
            }
            if Instant::now() > until {
                bail!("the reflector's counters still move {} s after the load has ended", SETTLE.as_secs());
            }
            last = now;
        }
    }

    fn probe(&self) -> anyhow::Result<()> {
        let mut probe = [0; wire::HEADER_LEN];
        if let Some(kind) = probe.first_mut() {
            *kind = wire::Kind::Probe as u8;
        }
        let to = self.reflector.listen;
        let send = || {
            let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            UdpSocket::bind(any).and_then(|socket| socket.send_to(&probe, to))
        };
        let sent = match &self.ground {
            Ground::Cable(hosts, _) => hosts.first.enter(send)?,
            Ground::Loopback | Ground::Elsewhere => send(),
        };
        sent.map(drop).context("cannot send a PROBE")
    }

    fn metrics(&mut self) -> anyhow::Result<Metrics> {
        let scraped = match &self.ground {
            Ground::Cable(hosts, _) => hosts.second.enter(|| Metrics::scrape(self.reflector.admin))?,
            Ground::Loopback | Ground::Elsewhere => Metrics::scrape(self.reflector.admin),
        };
        scraped.or_else(|error| {
            self.ensure_alive()?;
            Err(error.into())
        })
    }

    /// # Errors
    /// The reflector has ended; with how, and its last lines.
    fn ensure_alive(&mut self) -> anyhow::Result<()> {
        let Some(program) = &mut self.program else { return Ok(()) };
        if let Some(status) = program.ended()? {
            bail!("the reflector ended during the run ({}){}", ending(status), program.last_words());
        }
        Ok(())
    }
}

/// What a reflector counted; what its fast path passed to its sockets is received there again, and counts once.
fn counted(metrics: &Metrics) -> anyhow::Result<Counters> {
    let mut counters = Counters::of(metrics)?;
    let passed = rounded(metrics.sum("reflector_passed_datagrams_total", &[])?);
    counters.received = counters.received.saturating_sub(passed);
    Ok(counters)
}

/// The flags of every reflector that is started here.
fn common(start: &mut Start, keys: &Path, engine: Engine, workers: u32, placement: &Placement) {
    let sockets = if engine == Engine::Uring { "uring" } else { "epoll" };
    start.option("--keys", keys.display()).option("--engine", sockets).option("--workers", workers);
    start.option("--probe-budget", PROBE_BUDGET).option("--log-format", "json").on(&placement.reflector);
}

fn ready(program: &mut Program) -> anyhow::Result<Ready> {
    let said = program.wait_for(PATIENCE, lab::programs::reflector::ready)?;
    said.context("the reflector says that it is ready in a form unknown to this program")
}

/// The port of a reflector behind a cable.
const PORT: u16 = 4_000;
/// How long a start may take. Far beyond what a busy machine needs: it only ends a hang.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long counters may move after a load has ended.
const SETTLE: Duration = Duration::from_secs(60);
/// Counters that do not change for so long stand still.
const STILL: Duration = Duration::from_millis(30);
/// Between two samples; each costs the reflector's processor a scrape.
const EVERY: Duration = Duration::from_millis(100);
/// How often the end of a run is looked for.
const POLL: Duration = Duration::from_millis(10);
