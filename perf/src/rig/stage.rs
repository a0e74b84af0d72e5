//! A subject on its stage: two hosts on one cable, the relay on one core, the generator on the other.
//!
//! ```text
//!   core 0: generator, NAPI ── eth0 ════ eth0 ── NAPI, relay: core 1
//!           46.0.0.0/16, 45.1.7.1        45.1.7.2
//! ```
//!
//! * Every subject has a stage of its own, and all stages stand during the whole run: a relay that is not loaded costs
//!   nothing, and none is started in the middle of measuring.
//! * Each end of the cable is served by a kernel thread on its host's core, before any process there, as soft interrupts
//!   of a network interface are. Frames leave the generator's end singly; the relay's end joins trains (GRO) for sockets.
//! * What a core did is sampled from outside, a few times a second.

use crate::rig::allocation::Allocations;
use crate::rig::cores::{CoreTime, Cores};
use crate::rig::coturn::Coturn;
use crate::rig::flow;
use crate::rig::flow::{BLOCK, Flow};
use crate::rig::span::{Sample, Span};
use crate::rig::subject::{Subject, Traffic};
use anyhow::{Context, bail};
use http::Metrics;
use lab::programs::found::Programs;
use lab::programs::generator::Generator;
use lab::programs::interrupt::Interrupt;
use lab::programs::precedence::run_first;
use lab::programs::process_time::process_ns;
use lab::programs::program::{Program, Start, ending};
use lab::programs::relay::Counters;
use lab::{End, Napi, Pair};
use results::outcome::Outcome;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A subject, ready.
#[derive(Debug)]
pub struct Stage {
    subject: Subject,
    settings: Settings,
    cores: Cores,
    hosts: Pair,
    relay: Program,
    listen: SocketAddr,
    napi: [Napi; 2],
    allocations: Option<Allocations>,
    loadgen: PathBuf,
    commands: Vec<String>,
}

/// What is the same for every subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Endpoints, each of which sends to the next one.
    pub endpoints: u32,
    /// Bytes behind the head.
    pub payload_bytes: u32,
    /// While frames come, the relay's interface is polled so much later than the last time, us; 0: each frame that finds
    /// the interface's thread asleep wakes it.
    pub moderation_us: u32,
}

/// What one run is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// How datagrams follow each other.
    pub traffic: Traffic,
    /// Datagrams per second.
    pub rate_per_s: u64,
    /// Measured phase.
    pub duration: Duration,
    /// Before it.
    pub warmup: Duration,
}

impl Stage {
    /// Builds the hosts and starts the relay.
    ///
    /// # Errors
    /// What the lab says, or the relay's last words.
    pub fn open(
        subject: Subject,
        settings: Settings,
        cores: Cores,
        programs: &Programs,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Self> {
        let hosts = Pair::new("generator", "relay")?;
        hosts.first.own(BLOCK)?;
        let napi = serve(&hosts, cores, settings.moderation_us)?;
        hosts.second.meet_router()?;
        let listen = SocketAddr::new(hosts.second.ipv4().into(), PORT);
        let start = Starting { subject, hosts: &hosts, listen, cores, programs };
        let (relay, shown) = start.relay()?;
        run_first(relay.id(), if subject.is_reflector() { WORKERS } else { "" })?;
        let mut stage = Self {
            subject,
            settings,
            cores,
            relay,
            listen,
            napi,
            allocations: None,
            loadgen: programs.loadgen.clone(),
            commands: vec![shown],
            hosts,
        };
        stage.prepare_flows(interrupt)?;
        Ok(stage)
    }

    /// The command lines so far: the relay's, and the generator's.
    pub fn commands(&self) -> &[String] {
        &self.commands
    }

    /// The features of both ends of the cable, as ethtool names them: the generator's and the relay's.
    ///
    /// # Errors
    /// What `ethtool` says.
    pub fn features(&self) -> anyhow::Result<[Vec<String>; 2]> {
        let of = |host: &lab::Host| host.link().near.features(&FEATURES);
        Ok([of(&self.hosts.first)?, of(&self.hosts.second)?])
    }

    /// What a reflector has counted, and what its fast path passed to its sockets; `None` for other subjects.
    ///
    /// # Errors
    /// It does not answer.
    pub fn counters(&self) -> anyhow::Result<Option<(Counters, u64)>> {
        if !self.subject.is_reflector() {
            return Ok(None);
        }
        let metrics = self.hosts.second.enter(|| Metrics::scrape(([127, 0, 0, 1], ADMIN_PORT).into()))??;
        let passed = metrics.sum("reflector_passed_datagrams_total", &[])?;
        Ok(Some((Counters::of(&metrics)?, crate::figures::rounded(passed))))
    }

    /// Refreshes what would run out while others have their turn; takes no time where nothing is due.
    ///
    /// # Errors
    /// The relay refuses, or does not answer in time.
    pub fn keep(&mut self, interrupt: &Interrupt) -> anyhow::Result<()> {
        self.allocations.as_mut().map_or(Ok(()), |kept| kept.keep(&self.hosts.first, interrupt))
    }

    /// Runs one load.
    ///
    /// # Errors
    /// The relay or the generator failed, or the run was interrupted.
    pub fn run(&mut self, load: &Load, interrupt: &Interrupt) -> anyhow::Result<(Outcome, Option<Span>)> {
        let folder = self.hosts.first.namespace().folder()?;
        let mut start = self.generator(load, &folder)?;
        start.on(&[self.cores.generator]);
        let json = folder.join(RESULT);
        let mut generator = self.hosts.first.enter(|| Generator::launch(&start, json))??;
        self.commands.push(generator.command().to_owned());
        let (began, mut samples) = (Instant::now(), Vec::new());
        let outcome = loop {
            samples.extend(self.sample(began, &mut generator)?);
            let next = Instant::now() + EVERY;
            let mut ended = None;
            while ended.is_none() && Instant::now() < next {
                interrupt.check()?;
                self.ensure_alive()?;
                ended = generator.poll()?;
                interrupt.sleep(POLL);
            }
            if let Some(outcome) = ended {
                break outcome;
            }
        };
        Ok((outcome, Span::under_load(&samples)))
    }

    /// # Errors
    /// The relay has ended; with how, and its last lines.
    fn ensure_alive(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.relay.ended()? {
            bail!("{} ended ({}){}", self.subject, ending(status), self.relay.last_words());
        }
        Ok(())
    }

    fn sample(&mut self, began: Instant, generator: &mut Generator) -> anyhow::Result<Option<Sample>> {
        let asked = Instant::now();
        let text = self.hosts.first.enter(|| fs::read_to_string("/proc/thread-self/net/dev"))??;
        let own = |program: u32, napi: &Napi| {
            let ids = napi.ids().iter().copied().chain([program]);
            ids.filter_map(process_ns).sum()
        };
        let [of_generator, of_relay] = &self.napi;
        let sample = Sample {
            at: began.elapsed(),
            frames: received(&text, INTERFACE).context("the kernel does not count frames of this cable")?,
            relay: CoreTime::of(self.cores.reflector)?,
            generator: CoreTime::of(self.cores.generator)?,
            relay_own_ns: own(self.relay.id(), of_relay),
            generator_own_ns: own(generator.program().id(), of_generator),
        };
        Ok((asked.elapsed() < LATE).then_some(sample))
    }

    /// Makes the flows of a subject that is no reflector, and its file.
    fn prepare_flows(&mut self, interrupt: &Interrupt) -> anyhow::Result<()> {
        let endpoints = flow::endpoints(self.settings.endpoints);
        let flows: Vec<Flow> = match self.subject {
            Subject::Coturn => {
                let host = &self.hosts.first;
                let mut allocations =
                    Allocations::open(host, self.listen, CREDENTIAL, &endpoints, interrupt)?;
                let flows = allocations.flows(self.settings.payload_bytes)?;
                self.allocations = Some(allocations);
                flows
            }
            Subject::Forwarder => flow::through_forwarder(&endpoints, self.listen),
            Subject::Swap => flow::returned(&endpoints, self.listen),
            Subject::Epoll | Subject::Uring | Subject::Xdp => return Ok(()),
        };
        let path = self.hosts.first.namespace().folder()?.join(FLOWS);
        fs::write(&path, flow::file_text(&flows)).with_context(|| format!("cannot write {}", path.display()))
    }

    /// The generator's command line for a load.
    fn generator(&self, load: &Load, folder: &std::path::Path) -> anyhow::Result<Start> {
        let mut start = Start::new(&self.loadgen);
        start.arg("run").option("--xdp", INTERFACE).option("--reflector", self.listen);
        let ms = |span: Duration| format!("{}ms", span.as_millis());
        start.option("--rate", load.rate_per_s).option("--payload", self.settings.payload_bytes);
        start.option("--arrivals", load.traffic.arrivals());
        start.option("--duration", ms(load.duration)).option("--warmup", ms(load.warmup));
        start.option("--workers", 1).option("--json", folder.join(RESULT).display()).arg("--quiet");
        if self.subject.is_reflector() {
            let nat = nat::Mix::only(nat::Behaviour::Open);
            let keys = self.hosts.second.namespace().folder()?.join(KEYS);
            start.option("--keys", keys.display()).option("--endpoints", self.settings.endpoints);
            start.option("--nat", nat).option("--pairs", "ring").option("--external", BLOCK);
            start.option("--keepalive", 0);
        } else {
            let arriving = if self.subject == Subject::Coturn { "bare" } else { "untouched" };
            start.option("--flows", folder.join(FLOWS).display()).option("--arriving", arriving);
        }
        Ok(start)
    }
}

/// What a relay is started with.
struct Starting<'a> {
    subject: Subject,
    hosts: &'a Pair,
    listen: SocketAddr,
    cores: Cores,
    programs: &'a Programs,
}

impl Starting<'_> {
    /// Starts the relay and waits until it is ready; with its command line.
    fn relay(&self) -> anyhow::Result<(Program, String)> {
        match self.subject {
            Subject::Coturn => {
                let ends = [[0, 0], [255, 255]].map(|[c, d]| IpAddr::from([46, 0, c, d]));
                let coturn = Coturn {
                    listen: self.listen,
                    peers: (ends[0], ends[1]),
                    user: CREDENTIAL.0.to_owned(),
                    password: CREDENTIAL.1.to_owned(),
                };
                coturn.start(&self.hosts.second, &[self.cores.reflector])
            }
            Subject::Epoll => self.reflector(&["--engine", "epoll"]),
            Subject::Uring => self.reflector(&["--engine", "uring"]),
            Subject::Xdp => {
                self.reflector(&["--engine", "epoll", "--xdp", INTERFACE, "--xdp-mode", "native"])
            }
            Subject::Forwarder => self.limit("bare-forwarder", &self.listen),
            Subject::Swap => self.limit("bare-swap", &INTERFACE),
        }
    }

    fn reflector(&self, flags: &[&str]) -> anyhow::Result<(Program, String)> {
        let keys = self.hosts.second.namespace().folder()?.join(KEYS);
        lab::programs::scratch::fresh_ring(&keys)?;
        let mut start = Start::new(&self.programs.reflector);
        start.arg("run").option("--listen", self.listen).option("--keys", keys.display());
        start.option("--admin", format!("127.0.0.1:{ADMIN_PORT}")).option("--workers", 1);
        start.option("--log-format", "json").option("--probe-budget", PROBE_BUDGET);
        flags.iter().for_each(|flag| {
            start.arg(flag);
        });
        let ready = |line: &str| lab::programs::reflector::ready(line).map(drop);
        self.launch(start, ready)
    }

    fn limit(&self, command: &str, argument: &dyn std::fmt::Display) -> anyhow::Result<(Program, String)> {
        let own = std::env::current_exe().context("cannot find this program")?;
        let mut start = Start::new(&own);
        start.arg(command).arg(argument);
        self.launch(start, |line| (line == READY).then_some(()))
    }

    fn launch(
        &self,
        mut start: Start,
        ready: impl Fn(&str) -> Option<()>,
    ) -> anyhow::Result<(Program, String)> {
        start.on(&[self.cores.reflector]);
        let mut program = self.hosts.second.enter(|| Program::start(&start))??;
        program.wait_for(PATIENCE, ready)?;
        Ok((program, start.shown()))
    }
}

/// Gives each end of the cable a kernel thread on its host's core, which runs before processes there. The generator's end
/// is polled while frames come, so that no relay pays for interrupting the generator; the relay's if it is to be moderated.
pub(crate) fn serve(hosts: &Pair, cores: Cores, moderation_us: u32) -> anyhow::Result<[Napi; 2]> {
    let [generator, relay] = [&hosts.first, &hosts.second].map(|host| &host.link().near);
    let serve = |end: &End, cpu: usize| -> anyhow::Result<Napi> {
        // A veth end has a NAPI only with an XDP program or GRO.
        end.switch(&[("gro", true)])?;
        let napi = end.pin_napi(cpu)?;
        napi.run_first()?;
        Ok(napi)
    };
    let served = [serve(generator, cores.generator)?, serve(relay, cores.reflector)?];
    generator.poll_every(POLL_NS)?;
    if moderation_us > 0 {
        relay.poll_every(moderation_us.saturating_mul(1_000))?;
    }
    Ok(served)
}

/// Frames that an interface has received, as /proc/net/dev has it.
fn received(text: &str, interface: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix(interface)?.strip_prefix(':'))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// What a limit says when it runs.
pub const READY: &str = "ready";
/// The interface of both hosts.
pub(crate) const INTERFACE: &str = "eth0";
/// The port of every relay.
const PORT: u16 = 4_000;
/// How the names of a reflector's threads begin that relay.
pub(crate) const WORKERS: &str = "worker-";
/// Every namespace has a loopback of its own.
const ADMIN_PORT: u16 = 9_464;
/// One generator asks for all endpoints, and they share a few blocks.
pub(crate) const PROBE_BUDGET: u32 = 1_000_000;
/// The TURN server is reached from its own cable alone.
const CREDENTIAL: (&str, &str) = ("peer", "of-this-run-alone");
const KEYS: &str = "ring.toml";
const FLOWS: &str = "flows";
const RESULT: &str = "run.json";
/// What decides how frames cross the cable.
const FEATURES: [&str; 6] = [
    "tx-checksumming",
    "generic-segmentation-offload",
    "tx-udp-segmentation",
    "generic-receive-offload",
    "rx-udp-gro-forwarding",
    "tcp-segmentation-offload",
];
/// The generator's end is polled so much later than the last time: at 3 million frames a second a third of the veth's 256
/// places.
const POLL_NS: u32 = 30_000;
/// How long a start may take. Far beyond what a busy machine needs: it only ends a hang.
const PATIENCE: Duration = Duration::from_secs(120);
/// Figures read so far apart belong to no one moment, as when this program waits for its turn on a processor.
pub(crate) const LATE: Duration = Duration::from_millis(20);
/// Between two samples.
const EVERY: Duration = Duration::from_millis(100);
/// How often the end of a run is looked for.
const POLL: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_of_the_right_interface() {
        let text =
            "Inter-|   Receive\n face |bytes packets errs\n    lo: 1 2 3\n  eth0: 700 42 0 0 0 0 0 0 5 6\n";
        assert_eq!(received(text, "eth0"), Some(42));
        assert_eq!(received(text, "eth"), None);
        assert_eq!(received("eth0:17 18 0", "eth0"), Some(18));
    }
}
