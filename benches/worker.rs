//! What a worker's core spends per datagram over loopback, by engine, against the bare forwarder, alternating in one run.
//!
//! * One thread relays, pinned to one core; this one sends and receives on another. 200-byte datagrams.
//! * The figure is the relay thread's time on its core, system calls included. On loopback the delivery of what it
//!   sends runs in that time too, the delivery of what it receives in the sender's: the same for both subjects.
//! * Refused and empty datagrams are answered with nothing; they are counted as received instead of coming back.
//! * SQPOLL is left out: it moves the work to a core of its own, and here that would be the sender's.
//! * A B A B: ratios are made within a round; the first round is thrown away.
//! * Not a NIC: good for ratios, not for planning.

use benches::{NOW, PAYLOAD, ring, send};
use engine::SocketId;
use engine::host::{affinity, clock};
use engine::socket::bare::Bare;
use engine::socket::epoll::Options;
use engine::socket::inbound::Inbound;
use engine::socket::kind::{Engine, Kind};
use engine::socket::outbound::{Datagram, Outbound};
use engine::socket::stop::Stopper;
use engine::socket::udp;
use engine::socket::udp::Socket;
use engine::socket::uring::Mode;
use engine::socket::uring::probe::probe;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use reflector::counters::{Cells, Event};
use reflector::rules::rates::Limits;
use reflector::rules::shared::{Rules, Shared};
use reflector::run::worker::Worker;
use std::error::Error;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use wire::siphash::SipKey;
use wire::{Block, BlockSet, Policy};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[allow(clippy::print_stdout)] // This is a program: its result is its output.
fn main() -> Result<()> {
    // As a test it shows that everything runs; as a benchmark it measures.
    let bench = std::env::args().any(|argument| argument == "--bench");
    let (rounds, datagrams) = if bench { (12, 400_000) } else { (2, 4_096) };
    let cpus = affinity::allowed()?;
    let relay_cpu = *cpus.first().ok_or("no cpu")?;
    affinity::pin(cpus.get(1..).filter(|rest| !rest.is_empty()).unwrap_or(&cpus))?;
    let mut load = Load::open()?;
    let subjects = subjects(relay_cpu)?;
    let mut cases = Vec::new();
    for kind in KINDS {
        for (name, relay) in &subjects {
            let traffic = match kind {
                "singles" if *name == BARE => load.plain(1),
                "trains of 16" if *name == BARE => load.plain(16),
                "singles" => load.sends(1),
                "trains of 16" => load.sends(16),
                _ if *name == BARE => continue,
                "refused" => Traffic { arena: vec![0xff; WINDOW * 200], train: 1, answered: false },
                _ => Traffic { arena: Vec::new(), train: 1, answered: false },
            };
            cases.push(Case { name, kind, relay, traffic, figures: Vec::new() });
        }
    }
    for round in 0..rounds {
        for case in &mut cases {
            let spent_ns = load.run(case, datagrams)?;
            if round > 0 {
                case.figures.push(spent_ns);
            }
        }
    }
    for case in &cases {
        let name = format!("{}, {}", case.name, case.kind);
        println!("{name:<28} {}", spread(&case.figures, "ns of core per datagram"));
    }
    for (a, b) in [("epoll", BARE), ("uring", BARE), ("uring", "epoll")] {
        for kind in KINDS {
            if let (Some(ours), Some(other)) = (figures(&cases, a, kind), figures(&cases, b, kind)) {
                let ratios: Vec<f64> = ours.iter().zip(other).map(|(a, b)| a / b).collect();
                println!("{:<28} {}", format!("{a} / {b}, {kind}"), spread(&ratios, ""));
            }
        }
    }
    drop(cases);
    subjects.into_iter().try_for_each(|(_, relay)| relay.stop())
}

/// The daemon's worker on every engine that may run here, and the bare forwarder.
#[allow(clippy::print_stderr)] // Talk of a program.
fn subjects(cpu: usize) -> Result<Vec<(&'static str, Relay)>> {
    let mut subjects =
        vec![("epoll", Relay::start(cpu, |socket, cells| run_worker(socket, cells, Kind::Epoll))?)];
    match probe(Mode::Best) {
        Ok(()) => {
            let uring: Run = |socket, cells| run_worker(socket, cells, Kind::Uring(Mode::Best));
            subjects.push(("uring", Relay::start(cpu, uring)?));
        }
        Err(refusal) => eprintln!("without uring: {refusal}"),
    }
    subjects.push((BARE, Relay::start(cpu, run_bare)?));
    Ok(subjects)
}

fn figures<'a>(cases: &'a [Case<'_>], name: &str, kind: &str) -> Option<&'a [f64]> {
    cases.iter().find(|case| case.name == name && case.kind == kind).map(|case| case.figures.as_slice())
}

/// One subject under one kind of traffic.
struct Case<'a> {
    name: &'static str,
    kind: &'static str,
    relay: &'a Relay,
    traffic: Traffic,
    figures: Vec<f64>,
}

/// Datagrams ready to send, in trains to one destination each.
struct Traffic {
    arena: Vec<u8>,
    train: usize,
    /// Whether each comes back to the sink.
    answered: bool,
}

/// The sender and the sink, on this thread.
struct Load {
    sender: [Socket; 1],
    sink: Socket,
    inbound: Inbound,
    singles: Outbound<()>,
    trains: Outbound<()>,
}

impl Load {
    fn open() -> Result<Self> {
        let sender = Socket::open(SocketAddr::from(([127, 0, 0, 1], 0)), &options())?;
        let sink = Socket::open(SocketAddr::from(([0, 0, 0, 0], 0)), &options())?;
        Ok(Self {
            sender: [sender],
            sink,
            inbound: Inbound::new(64, 65_536),
            singles: Outbound::new(WINDOW, false),
            trains: Outbound::new(WINDOW, true),
        })
    }

    /// SENDs under the benchmark's ring.
    fn sends(&self, train: usize) -> Traffic {
        let from = self.sender.first().map_or(benches::alice(), Socket::local);
        let expires = clock::unix_s(clock::realtime_ns(), 0).saturating_add(590);
        let datagrams =
            (0..WINDOW).map(|index| send(&ring(), from, self.destination(index / train), expires, PAYLOAD));
        Traffic { arena: datagrams.flatten().collect(), train, answered: true }
    }

    /// The same for the bare forwarder: the destination in the first six bytes.
    fn plain(&self, train: usize) -> Traffic {
        let datagram = |index: usize| {
            let mut bytes = send(&ring(), benches::alice(), benches::bob(), NOW, PAYLOAD);
            if let (SocketAddr::V4(to), Some(head)) =
                (self.destination(index / train), bytes.first_chunk_mut::<6>())
            {
                let [a, b, c, d] = to.ip().octets();
                let [p0, p1] = to.port().to_be_bytes();
                *head = [a, b, c, d, p0, p1];
            }
            bytes
        };
        Traffic { arena: (0..WINDOW).flat_map(datagram).collect(), train, answered: true }
    }

    /// A destination of the sink; all of 127/8 is local.
    fn destination(&self, index: usize) -> SocketAddr {
        let host = u32::try_from(index).unwrap_or_default();
        SocketAddr::from((Ipv4Addr::from_bits(0x7f01_0000 + host), self.sink.local().port()))
    }

    /// Sends through the relay until `datagrams` have come back; nanoseconds of its core for each.
    fn run(&mut self, case: &Case<'_>, datagrams: usize) -> Result<f64> {
        let before = case.relay.core_time_ns()?;
        let mut received = 0;
        while received < datagrams {
            let before = case.relay.received();
            self.send(case)?;
            received += match case.traffic.answered {
                true => self.collect(WINDOW)?,
                false => case.relay.await_received(before + WINDOW as u64)?,
            };
        }
        let spent = case.relay.core_time_ns()?.saturating_sub(before);
        Ok(spent as f64 / received as f64)
    }

    fn send(&mut self, case: &Case<'_>) -> Result<()> {
        let len = case.traffic.arena.len() / WINDOW;
        let outbound = if case.traffic.train > 1 { &mut self.trains } else { &mut self.singles };
        let mut failed = 0;
        for index in 0..WINDOW {
            let datagram = Datagram {
                offset: index * len,
                len,
                to: case.relay.address,
                from: None,
                socket: SocketId(0),
                label: (),
            };
            outbound.push(datagram);
            // A train leaves by itself; singles leave 64 to a call.
            let together = if case.traffic.train > 1 { case.traffic.train } else { 64 };
            if (index + 1) % together == 0 {
                outbound.flush(&case.traffic.arena, &self.sender, &mut |sent| {
                    failed += usize::from(sent.outcome.is_err());
                });
            }
        }
        if failed > 0 { Err(format!("{failed} sends failed").into()) } else { Ok(()) }
    }

    fn collect(&mut self, wanted: usize) -> Result<usize> {
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut received = 0;
        while received < wanted {
            let count = self.inbound.receive(&self.sink)?;
            received += (0..count)
                .filter_map(|index| self.inbound.message(index))
                .map(|message| message.datagrams().count())
                .sum::<usize>();
            if Instant::now() > deadline {
                return Err(format!("{received} of {wanted} datagrams came back within 5 s").into());
            }
        }
        Ok(received)
    }
}

/// A thread that relays.
struct Relay {
    address: SocketAddr,
    /// What a worker counts; the bare forwarder counts nothing.
    cells: Arc<Cells>,
    schedstat: PathBuf,
    stop: Stop,
    thread: JoinHandle<Result<()>>,
}

enum Stop {
    Worker(Stopper),
    Flag(Arc<AtomicBool>),
}

/// Made on the caller's thread, run on the relay's own.
type Body = Box<dyn FnOnce() -> Result<()> + Send>;
type Run = fn(Socket, Arc<Cells>) -> Result<(Stop, Body)>;

impl Relay {
    fn start(cpu: usize, run: Run) -> Result<Self> {
        let socket = Socket::open(SocketAddr::from(([127, 0, 0, 1], 0)), &options())?;
        let address = socket.local();
        let cells = Arc::new(Cells::new());
        let (stop, body) = run(socket, Arc::clone(&cells))?;
        let (tell, told) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            affinity::pin(&[cpu])?;
            tell.send(fs::read_link("/proc/thread-self")?)?;
            body()
        });
        let schedstat = PathBuf::from("/proc").join(told.recv()?).join("schedstat");
        Ok(Self { address, cells, schedstat, stop, thread })
    }

    fn core_time_ns(&self) -> Result<u64> {
        let text = fs::read_to_string(&self.schedstat)?;
        Ok(text.split_whitespace().next().ok_or("schedstat is empty")?.parse()?)
    }

    fn received(&self) -> u64 {
        self.cells.read().datagrams(Event::Received)
    }

    /// Waits for the last of a window; how many that were.
    fn await_received(&self, number: u64) -> Result<usize> {
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.received() < number {
            if Instant::now() > deadline {
                return Err(
                    format!("{} of {number} datagrams were received within 5 s", self.received()).into()
                );
            }
        }
        Ok(WINDOW)
    }

    fn stop(self) -> Result<()> {
        match self.stop {
            Stop::Worker(stopper) => stopper.stop()?,
            Stop::Flag(flag) => flag.store(true, Ordering::Relaxed),
        }
        self.thread.join().map_err(|_| "a relay thread panicked")?
    }
}

fn run_worker(socket: Socket, cells: Arc<Cells>, kind: Kind) -> Result<(Stop, Body)> {
    let allowed: Block = "127.0.0.0/8".parse()?;
    let policy = Policy { allow_destination: BlockSet::new(&[allowed]), ..Policy::default() };
    let rules = Rules { ring: ring(), policy, limits: Limits::new(4_000) };
    let shared = Arc::new(Shared::new(rules, clock::Clock::start().offset_ns()));
    let mut worker = Worker::new(shared, cells, SipKey::new(*b"hash key of test"));
    let options = Options { slots: 64, slot_len: 65_536, gso: true };
    let (engine, stopper) = Engine::open(kind, vec![socket], options)?;
    let body = move || engine.run(&mut worker).map(drop).map_err(Into::into);
    Ok((Stop::Worker(stopper), Box::new(body)))
}

fn run_bare(socket: Socket, _: Arc<Cells>) -> Result<(Stop, Body)> {
    let flag = Arc::new(AtomicBool::new(false));
    let stop = Stop::Flag(Arc::clone(&flag));
    let body = move || {
        let mut poll = Poll::new()?;
        poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), Token(0), Interest::READABLE)?;
        let mut events = Events::with_capacity(4);
        let mut bare = Bare::new(64, 65_536);
        while !flag.load(Ordering::Relaxed) {
            poll.poll(&mut events, Some(Duration::from_millis(100)))?;
            while bare.forward(&socket)? > 0 {}
        }
        Ok(())
    };
    Ok((stop, Box::new(body)))
}

fn options() -> udp::Options {
    udp::Options {
        reuse_port: false,
        packet_info: false,
        gro: true,
        receive_buffer: 4 << 20,
        send_buffer: 4 << 20,
    }
}

/// Median and range.
fn spread(figures: &[f64], unit: &str) -> String {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
    let last = sorted.len().saturating_sub(1);
    format!(
        "{:>9.3}  ({:.3} to {:.3}, {} rounds) {unit}",
        at(sorted.len() / 2),
        at(0),
        at(last),
        sorted.len()
    )
}

const KINDS: [&str; 4] = ["singles", "trains of 16", "refused", "empty"];
const BARE: &str = "bare";
/// Datagrams under way at once; few enough for the default receive buffer of a 200-byte datagram.
const WINDOW: usize = 192;
