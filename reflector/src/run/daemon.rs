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
use crate::fast_path::config::Basis;
use crate::fast_path::findings::XdpFacts;
use crate::fast_path::programs::FastPath;
use crate::rules::shared::{Rules, Shared, Surroundings, read_ring};
use crate::run::control::Control;
use crate::run::crew::{Ended, Waiting};
use crate::run::findings;
use crate::run::findings::Facts;
use crate::run::revoke::Desk;
use crate::run::status::{Reloads, WorkerView};
use crate::stun::answer::Stun;
use crate::stun::sockets::Sockets;
use engine::host::addresses::Addresses;
use engine::host::affinity;
use engine::host::clock;
use engine::host::clock::Clock;
use engine::socket::epoll;
use engine::socket::steer;
use engine::socket::udp;
use engine::socket::udp::{Granted, OpenError, Socket};
use program::admin::server;
use program::admin::status::Status;
use program::failure::Failure;
use program::log::Gate;
use program::random;
use program::settings::layers::Layers;
use program::tls;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_rustls::rustls::ServerConfig;

/// Runs until a signal or a failure ends it.
///
/// # Errors
/// Whatever could not be opened, a worker that ended, SIGINT.
pub fn run(layers: Layers, config: Config, gate: Arc<Gate>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let open = Opened::open(&config)?;
    for finding in findings::list(&config, &open.facts) {
        tracing::warn!(mend = %finding.mend, "{}", finding.text);
    }
    let (ended, mut endings) = tokio::sync::mpsc::unbounded_channel();
    let crew = open.crew.start(&open.shared, &open.views, &ended)?;
    drop(ended);
    if crew.running() < open.views.len() {
        crew.stop();
        let ended = endings.blocking_recv();
        return Err(
            ended.map_or_else(|| Failure::Runtime(String::from("a worker did not start")), Ended::failure)
        );
    }
    // Only now: what the program passes finds somebody to serve it.
    let rules = open.shared.rules().load_full();
    let revoked = open.desk.as_deref().map(Desk::reader).unwrap_or_default();
    let around = Surroundings { listening: &open.listening, host: &open.facts.host, revoked: &revoked };
    let basis = Basis { config: &config, rules: &rules, around };
    let opened = random::bytes().and_then(|key| FastPath::open(&basis, key, open.clock.offset_ns()));
    drop(rules);
    let fast_path = match opened {
        Ok(fast_path) => fast_path,
        Err(failure) => {
            crew.stop();
            return Err(failure);
        }
    };
    let fast_path = Arc::new(Mutex::new(fast_path));
    if let Some(desk) = &open.desk {
        desk.attend(Arc::clone(&open.shared), Arc::clone(&fast_path));
    }
    let mut control = Control {
        fast_path,
        certificate: open.certificate,
        desk: open.desk,
        layers,
        gate,
        status: Arc::new(Status::default()),
        reloads: Arc::new(Reloads::new(clock::unix_s(open.clock.offset_ns(), clock::boot_ns()))),
        shared: open.shared,
        views: open.views,
        listening: open.listening,
        host: open.facts.host,
        revoked,
        granted: open.facts.granted,
        engine: open.facts.choice.kind.as_str(),
        clock: open.clock,
        config,
    };
    let outcome = runtime.block_on(control.run(open.admin, endings));
    control.leave_fast_path(&outcome);
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
    desk: Option<Arc<Desk>>,
    certificate: Option<Arc<ServerConfig>>,
    facts: Facts,
}

impl Opened {
    fn open(config: &Config) -> Result<Self, Failure> {
        let ring = read_ring(config)?;
        let allowed = affinity::allowed()?;
        let workers = config.workers.unwrap_or(allowed.len()).clamp(1, MAX_WORKERS);
        let cpus: Vec<usize> = allowed.iter().copied().cycle().take(workers).collect();
        let groups = open_groups(config, workers, &cpus)?;
        let choice = config.engine.choose(workers, groups.len(), SLOTS)?;
        let files = config.admin_tls.as_ref();
        let read = |(cert, key): &(PathBuf, PathBuf)| {
            tls::read(("--admin-tls-cert", cert), ("--admin-tls-key", key))
        };
        let certificate = files.map(read).transpose()?;
        let admin = server::bind("admin", config.admin)?;
        let facts = Facts {
            choice,
            granted: least_granted(&groups),
            cpus: allowed.len(),
            workers,
            ring_mode: mode(&config.keys),
            host: Addresses::read()?,
            xdp: XdpFacts::read(&config.fast_path, allowed.len())?,
        };
        let listening: Vec<SocketAddr> =
            groups.iter().filter_map(|group| group.first().map(Socket::local)).collect();
        let clock = Clock::start();
        let desk = config.revoking.as_ref().map(|it| Desk::open(it, clock.offset_ns())).transpose()?;
        let desk = desk.map(Arc::new);
        let revoked = desk.as_deref().map(Desk::reader).unwrap_or_default();
        let around = Surroundings { listening: &listening, host: &facts.host, revoked: &revoked };
        let rules = Rules::new(config, ring, &around);
        let shared = Arc::new(Shared::new(rules, clock.offset_ns()));
        let sockets = by_worker(groups, workers);
        let views = sockets.iter().map(|sockets| view(sockets, config.listen.len())).collect();
        let options = engine_options(config.bounds.max_datagram, facts.granted);
        let stun = Sockets::new(&listening, config.listen.len(), &config.advertise);
        let stun = Stun::new(config.stun.mode, stun);
        let crew = Waiting::new(facts.choice.kind, options, sockets, cpus, stun)?;
        Ok(Self { crew, admin, shared, views, listening, clock, desk, certificate, facts })
    }
}

/// What the engine is opened with.
pub fn engine_options(max_datagram: usize, granted: Granted) -> epoll::Options {
    let slot_len = if granted.gro { TRAIN_LEN } else { (max_datagram + 1).next_multiple_of(SLOT_STEP) };
    epoll::Options { slots: SLOTS, slot_len, gso: granted.gso }
}

/// What a socket at `address` is opened with.
pub fn socket_options(address: SocketAddr, buffer: usize) -> udp::Options {
    udp::Options {
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
    let group = once_free(|| udp::open_group(address, workers, &options));
    let group = group.map_err(|error| Failure::Config(error.to_string()))?;
    if config.steer == Steer::Cpu && workers > 1 {
        steer::by_cpu(&group, cpus).map_err(|error| {
            Failure::Config(format!("--steer cpu cannot be had at {address}: {error}; --steer hash can"))
        })?;
    }
    Ok(group)
}

/// Tries again for a while if the port is in use. Those of a reflector that was killed are until the kernel has taken its
/// rings down, and a restart that gave up at once would be taken for a mistake in the configuration.
fn once_free<T>(mut open: impl FnMut() -> Result<T, OpenError>) -> Result<T, OpenError> {
    for _ in 1..TRIES {
        match open() {
            Err(error) if error.kind() == ErrorKind::AddrInUse => std::thread::sleep(BETWEEN_TRIES),
            outcome => return outcome,
        }
    }
    open()
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

/// Messages in one receive.
pub const SLOTS: usize = 64;
/// Bytes of the longest train.
const TRAIN_LEN: usize = 65_536;
/// Without trains, a slot is a multiple of half a page.
const SLOT_STEP: usize = 2_048;
/// A port that is in use is waited for so long.
const TRIES: u32 = 40;
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_still_in_use_is_waited_for() {
        // None that the kernel hands out to other tests when it is free for a moment.
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let address = SocketAddr::from(([127, 94, high, low], 20_000));
        let options = socket_options(address, 0);
        let mut holder = Some(Socket::open(address, &options).unwrap());
        let mut tries = 0;
        let group = once_free(|| {
            tries += 1;
            holder.take_if(|_| tries == 3);
            udp::open_group(address, 1, &options)
        });
        assert_eq!((group.unwrap().len(), tries), (1, 3));
        let refused = once_free(|| Socket::open("192.0.2.77:4000".parse().unwrap(), &options));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::AddrNotAvailable);
    }
}
