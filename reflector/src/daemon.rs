//! The daemon: opens everything, starts the workers, and hands over to the control loop.
//!
//! ```text
//! main thread: control, admin, signals          worker 0 (cpu 0)   worker 1 (cpu 1)  ...
//!        shared: rules and clock offset   ----->  reads             reads
//!        cells                            <-----  publishes         publishes
//! ```
//!
//! * Nothing is started before everything is open: a failure leaves nothing half running.
//! * Sockets bind in worker order and stay open until the process ends.

use crate::config::{Config, MAX_WORKERS, Steer};
use crate::control::{Control, failure_of};
use crate::failure::Failure;
use crate::fastpath::FastPath;
use crate::findings::{self, Facts};
use crate::kernel_config::Basis;
use crate::layers::Layers;
use crate::log::Gate;
use crate::process;
use crate::shared::{Rules, Shared, read_ring};
use crate::status::{Status, WorkerView};
use crate::stun::Stun;
use crate::stun_sockets::Sockets;
use crate::worker::Worker;
use crate::xdp_findings::XdpFacts;
use engine::clock::{self, Clock};
use engine::kind::{Engine, Kind};
use engine::mio;
use engine::socket::{self, Granted, Socket};
use engine::stop::Stopper;
use engine::{affinity, interfaces, steer};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use tokio::sync::mpsc::UnboundedSender;
use wire::siphash::SipKey;

/// Runs until a signal or a failure ends it.
///
/// # Errors
/// Whatever could not be opened, a worker that ended, SIGINT.
pub fn run(layers: Layers, config: Config, gate: Arc<Gate>) -> Result<(), Failure> {
    report_panics();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let open = Opened::open(&config)?;
    for finding in findings::list(&config, &open.facts) {
        tracing::warn!(mend = %finding.mend, "{}", finding.text);
    }
    let (ended, mut endings) = tokio::sync::mpsc::unbounded_channel();
    let crew = open.crew.start(&open.shared, &open.views, &ended)?;
    drop(ended);
    if crew.running < open.views.len() {
        crew.stop();
        let ended = endings.blocking_recv();
        return Err(
            ended.map_or_else(|| Failure::Runtime(String::from("a worker did not start")), failure_of)
        );
    }
    // Only now: what the program passes finds somebody to serve it.
    let rules = open.shared.rules().load_full();
    let (listening, interfaces) = (open.listening.as_slice(), open.facts.interfaces.as_slice());
    let basis = Basis { config: &config, rules: &rules, listening, interfaces };
    let opened = hash_key().and_then(|key| FastPath::open(&basis, key.secret(), open.clock.offset_ns()));
    drop(rules);
    let fastpath = match opened {
        Ok(fastpath) => fastpath,
        Err(failure) => {
            crew.stop();
            return Err(failure);
        }
    };
    let mut control = Control {
        fastpath: Arc::new(Mutex::new(fastpath)),
        layers,
        gate,
        status: Arc::new(Status::new(clock::unix_s(open.clock.offset_ns(), clock::boot_ns()))),
        shared: open.shared,
        views: open.views,
        listening: open.listening,
        interfaces: open.facts.interfaces,
        granted: open.facts.granted,
        engine: open.facts.choice.kind.as_str(),
        clock: open.clock,
        config,
    };
    let outcome = runtime.block_on(control.run(open.admin, endings));
    control.leave_fastpath(&outcome);
    crew.stop();
    control.farewell();
    outcome
}

/// Everything that a daemon holds before its threads start.
struct Opened {
    crew: Waiting,
    admin: TcpListener,
    shared: Arc<Shared>,
    views: Arc<[WorkerView]>,
    listening: Vec<SocketAddr>,
    clock: Clock,
    facts: Facts,
}

impl Opened {
    fn open(config: &Config) -> Result<Opened, Failure> {
        let ring = read_ring(config)?;
        let allowed = affinity::allowed()?;
        let workers = config.workers.unwrap_or(allowed.len()).clamp(1, MAX_WORKERS);
        let cpus: Vec<usize> = allowed.iter().copied().cycle().take(workers).collect();
        let groups = open_groups(config, workers, &cpus)?;
        let choice = config.engine.choose(workers, groups.len(), SLOTS)?;
        let admin = open_admin(config.admin)?;
        let facts = Facts {
            choice,
            granted: least_granted(&groups),
            cpus: allowed.len(),
            workers,
            ring_mode: mode(&config.keys),
            interfaces: interfaces::list()?,
            xdp: XdpFacts::read(&config.acceleration, allowed.len())?,
        };
        let listening: Vec<SocketAddr> =
            groups.iter().filter_map(|group| group.first().map(Socket::local)).collect();
        let clock = Clock::start();
        let rules = Rules::new(config, ring, &listening, &facts.interfaces);
        let shared = Arc::new(Shared::new(rules, clock.offset_ns()));
        let sockets = by_worker(groups, workers);
        let views = sockets.iter().map(|sockets| view(sockets, config.listen.len())).collect();
        let options = engine_options(config.bounds.max_datagram, facts.granted);
        let crew = Waiting::new(facts.choice.kind, options, sockets, cpus)?;
        let stun = Sockets::new(&listening, config.listen.len(), &config.advertise);
        let crew = Waiting { stun: Stun::new(config.stun.mode, stun), ..crew };
        Ok(Opened { crew, admin, shared, views, listening, clock, facts })
    }
}

/// Workers whose engines are open, not yet running.
struct Waiting {
    engines: Vec<(Engine, Stopper, usize)>,
    stun: Option<Stun>,
}

impl Waiting {
    fn new(
        kind: Kind,
        options: mio::Options,
        sockets: Vec<Vec<Socket>>,
        cpus: Vec<usize>,
    ) -> Result<Waiting, Failure> {
        let open = |(sockets, cpu)| {
            let (engine, stopper) = Engine::open(kind, sockets, options)?;
            Ok((engine, stopper, cpu))
        };
        let engines = sockets.into_iter().zip(cpus).map(open).collect::<std::io::Result<_>>()?;
        Ok(Waiting { engines, stun: None })
    }

    fn start(
        self,
        shared: &Arc<Shared>,
        views: &Arc<[WorkerView]>,
        ended: &UnboundedSender<Ended>,
    ) -> Result<Crew, Failure> {
        let mut crew = Crew { stoppers: Vec::new(), threads: Vec::new(), running: 0 };
        let (running, started) = std::sync::mpsc::channel();
        for (id, (engine, stopper, cpu)) in self.engines.into_iter().enumerate() {
            let Some(view) = views.get(id) else { continue };
            let worker = Worker::new(Arc::clone(shared), Arc::clone(&view.cells), hash_key()?);
            let worker = worker.with_stun(self.stun.clone());
            let (views, ended, running) = (Arc::clone(views), ended.clone(), running.clone());
            let thread = std::thread::Builder::new().name(format!("worker-{id}")).spawn(move || {
                let run = AssertUnwindSafe(|| {
                    settle(&views, id, cpu)?;
                    // Whoever counts the workers that run waits until every thread has sent this or ended.
                    let _ = running.send(());
                    drop(running);
                    serve(engine, worker)
                });
                let outcome = std::panic::catch_unwind(run);
                let outcome = outcome.unwrap_or_else(|_| Err(String::from("it panicked")));
                // Nobody listens any more when the process is about to end anyway.
                let _ = ended.send(Ended { worker: id, outcome });
            })?;
            crew.stoppers.push(stopper);
            crew.threads.push(thread);
        }
        drop(running);
        crew.running = started.iter().count();
        Ok(crew)
    }
}

/// A worker's thread has ended.
#[derive(Debug)]
pub struct Ended {
    /// Which.
    pub worker: usize,
    /// Why, unless it was stopped.
    pub outcome: Result<(), String>,
}

/// Running workers.
struct Crew {
    stoppers: Vec<Stopper>,
    threads: Vec<JoinHandle<()>>,
    /// How many of them came as far as serving.
    running: usize,
}

impl Crew {
    fn stop(self) {
        for stopper in &self.stoppers {
            if let Err(error) = stopper.stop() {
                tracing::warn!(%error, "a worker could not be woken to stop");
                return;
            }
        }
        for thread in self.threads {
            // Its outcome was sent as `Ended`; a panic was caught before.
            let _ = thread.join();
        }
    }
}

/// Puts the calling thread on its processor, and its id where others find it.
fn settle(views: &[WorkerView], id: usize, cpu: usize) -> Result<(), String> {
    affinity::pin(&[cpu]).map_err(|error| format!("it cannot run on CPU {cpu}: {error}"))?;
    if let (Some(view), Some(thread)) = (views.get(id), process::thread_id()) {
        // Set once: a worker has one thread.
        let _ = view.thread.set(thread);
    }
    Ok(())
}

fn serve(engine: Engine, mut worker: Worker) -> Result<(), String> {
    // The sockets come back open and live until the process ends: closing one would renumber its group.
    engine.run(&mut worker).map(std::mem::forget).map_err(|error| error.to_string())
}

/// What the engine is opened with.
pub fn engine_options(max_datagram: usize, granted: Granted) -> mio::Options {
    let slot_len = if granted.gro { TRAIN_LEN } else { (max_datagram + 1).next_multiple_of(SLOT_STEP) };
    mio::Options { slots: SLOTS, slot_len, gso: granted.gso }
}

/// What a socket at `address` is opened with.
pub fn socket_options(address: SocketAddr, buffer: usize) -> socket::Options {
    socket::Options {
        reuse_port: false,
        packet_info: address.ip().is_unspecified(),
        gro: true,
        receive_buffer: buffer,
        send_buffer: buffer,
    }
}

fn open_groups(config: &Config, workers: usize, cpus: &[usize]) -> Result<Vec<Vec<Socket>>, Failure> {
    let open = |address: &SocketAddr| open_group(config, *address, workers, cpus);
    let mut groups: Vec<Vec<Socket>> = config.listen.iter().map(open).collect::<Result<_, _>>()?;
    let listening: Vec<SocketAddr> =
        groups.iter().filter_map(|group| group.first().map(Socket::local)).collect();
    for address in config.stun.further_addresses(&listening) {
        groups.push(open(&address)?);
    }
    Ok(groups)
}

fn open_group(
    config: &Config,
    address: SocketAddr,
    workers: usize,
    cpus: &[usize],
) -> Result<Vec<Socket>, Failure> {
    let options = socket_options(address, config.receive_buffer);
    let group =
        socket::open_group(address, workers, &options).map_err(|error| Failure::Config(error.to_string()))?;
    if config.steer == Steer::Cpu && workers > 1 {
        steer::by_cpu(&group, cpus).map_err(|error| {
            Failure::Config(format!("--steer cpu cannot be had at {address}: {error}; --steer hash can"))
        })?;
    }
    Ok(group)
}

fn open_admin(address: SocketAddr) -> Result<TcpListener, Failure> {
    let refuse = |error: std::io::Error| {
        Failure::Config(format!(
            "--admin {address}: {error}; choose a free TCP port on an address of this host"
        ))
    };
    let listener = TcpListener::bind(address).map_err(refuse)?;
    listener.set_nonblocking(true).map_err(refuse)?;
    Ok(listener)
}

/// Each worker's sockets: the first of every group to the first worker, and so on.
fn by_worker(groups: Vec<Vec<Socket>>, workers: usize) -> Vec<Vec<Socket>> {
    let mut sockets: Vec<Vec<Socket>> = (0..workers).map(|_| Vec::new()).collect();
    for group in groups {
        sockets.iter_mut().zip(group).for_each(|(mine, socket)| mine.push(socket));
    }
    sockets
}

/// What is shown of a worker: of its sockets the first `listening`, since those for STUN alone would bear the same labels.
fn view(sockets: &[Socket], listening: usize) -> WorkerView {
    let family = |socket: &Socket| if socket.local().is_ipv4() { "ipv4" } else { "ipv6" };
    let receive_buffers = sockets
        .iter()
        .take(listening)
        .map(|socket| (family(socket), socket.granted().receive_buffer))
        .collect();
    WorkerView { receive_buffers, ..WorkerView::default() }
}

/// What every socket has: the smallest buffers, and features that all of them got.
fn least_granted(groups: &[Vec<Socket>]) -> Granted {
    let all = groups.iter().flatten().map(Socket::granted);
    let least = all.reduce(|a, b| Granted {
        receive_buffer: a.receive_buffer.min(b.receive_buffer),
        send_buffer: a.send_buffer.min(b.send_buffer),
        gro: a.gro && b.gro,
        gso: a.gso && b.gso,
        overflow_count: a.overflow_count && b.overflow_count,
    });
    let nothing =
        Granted { receive_buffer: 0, send_buffer: 0, gro: false, gso: false, overflow_count: false };
    least.unwrap_or(nothing)
}

/// Permission bits of a file; a file that is gone again has none.
pub fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode())
}

fn hash_key() -> Result<SipKey, Failure> {
    let mut secret = [0; 16];
    getrandom::fill(&mut secret)
        .map_err(|error| Failure::Runtime(format!("the kernel gave no randomness: {error}")))?;
    Ok(SipKey::new(secret))
}

/// A panic is one log line, like everything else.
fn report_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let payload = info.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or_default();
        tracing::error!(place, "panic: {}", text.escape_debug());
    }));
}

/// Messages in one receive.
pub const SLOTS: usize = 64;
/// Bytes of the longest train.
const TRAIN_LEN: usize = 65_536;
/// Without trains, a slot is a multiple of half a page.
const SLOT_STEP: usize = 2_048;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rates::Limits;
    use wire::{KeyRing, Policy};

    #[test]
    fn a_worker_that_cannot_run_is_a_failure_that_names_it() {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let socket = Socket::open(loopback, &socket_options(loopback, 0)).unwrap();
        let granted = socket.granted();
        let views: Arc<[WorkerView]> = Arc::new([view(std::slice::from_ref(&socket), 1)]);
        let (engine, stopper) =
            Engine::open(Kind::Mio, vec![socket], engine_options(1_472, granted)).unwrap();
        let ring = KeyRing::new(&[(1, [1; 16])]).unwrap();
        let rules = Rules { ring, policy: Policy::default(), limits: Limits::new(1) };
        let shared = Arc::new(Shared::new(rules, 0));
        let (ended, mut endings) = tokio::sync::mpsc::unbounded_channel();
        // No machine has a CPU of this number.
        let waiting = Waiting { engines: vec![(engine, stopper, usize::MAX)], stun: None };
        let crew = waiting.start(&shared, &views, &ended).unwrap();
        assert_eq!(crew.running, 0);
        let failure = failure_of(endings.blocking_recv().unwrap());
        assert_eq!(failure.code(), 1);
        assert!(failure.to_string().starts_with("worker 0 ended: it cannot run on CPU"), "{failure}");
        crew.stop();
    }
}
