//! What the fast path costs: run times of the program by BPF_PROG_TEST_RUN, against an empty one and the bare swap.
//!
//! * A B A B: every round measures every subject, ratios are made within a round, the first round is thrown away.
//! * What rewrites the frame is measured with the frame restored before each run, and the restoring taken off.
//! * The chain generator -> veth -> program -> veth -> sink, all on one core, with the bare swap and with the fast path;
//!   the generator's frames come from BPF_PROG_TEST_RUN in live mode, 200-byte datagrams.
//! * Needs root; without it one line says so. A veth is no NIC: good for ratios, not for planning.

use benches::{NOW, full_table};
use engine::host::affinity;
use engine::xdp::{Answer, Config, Hop, Mode, Route, Xdp, XdpError};
use std::error::Error;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::process::{self, Command};
use std::thread;
use std::time::Duration;
use wire::siphash::SipKey;
use wire::{Form, HEADER_LEN, Header, Kind, Reason, TransportAddress, seal, tag};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[allow(clippy::print_stdout)] // This is a program: its result is its output.
fn main() -> Result<()> {
    // As a test it shows that everything runs; as a benchmark it measures.
    let bench = std::env::args().any(|argument| argument == "--bench");
    let (rounds, repeat) = if bench { (12, 1_000_000) } else { (2, 1_000) };
    let mut subjects = match subjects() {
        Err(error) if matches!(error.downcast_ref(), Some(XdpError::NotPermitted(_))) => {
            println!("skipped: {error}");
            return Ok(());
        }
        subjects => subjects?,
    };
    for round in 0..rounds {
        for subject in &mut subjects {
            let spent_ns = subject.run(repeat)?;
            if round > 0 {
                subject.figures.push(spent_ns);
            }
        }
    }
    let figures = |name: &str| {
        let subject = subjects.iter().find(|subject| subject.name == name);
        subject.map(|subject| subject.figures.clone()).ok_or("no such subject")
    };
    let pairs = |a: &[f64], b: &[f64], of: fn(f64, f64) -> f64| -> Vec<f64> {
        a.iter().zip(b).map(|(a, b)| of(*a, *b)).collect()
    };
    let (empty, restored_v4, restored_v6) =
        (figures("empty")?, figures("restored")?, figures("restored, IPv6")?);
    // A rewritten frame's run less the restoring alone, which has an empty run's overhead in it too.
    let net = |subject: &Subject| -> Vec<f64> {
        let overhead = match subject.program {
            "again" if subject.v4 => &restored_v4,
            "again" => &restored_v6,
            _ => &empty,
        };
        pairs(&subject.figures, overhead, |a, b| a - b)
    };
    println!("{:<28} run time, and its excess over an empty program, ns", "");
    for subject in &subjects {
        println!("{:<28} {}   {}", subject.name, spread(&subject.figures), spread(&net(subject)));
    }
    let relay = subjects.iter().find(|subject| subject.name == "relay").ok_or("no relay")?;
    let whole = |subject: &Subject| pairs(&net(subject), &empty, |a, b| a + b);
    println!("\n{:<28} whole run, against relaying's", "");
    for subject in subjects.iter().filter(|it| it.program != "restored" && it.name != "relay") {
        println!("{:<28} {}", subject.name, spread(&pairs(&whole(subject), &whole(relay), |a, b| a / b)));
    }
    chains(rounds, if bench { 2_000_000 } else { 20_000 })
}

/// All chains in turn, and the rate of the fast path's against the bare swap's.
#[allow(clippy::print_stdout)]
fn chains(rounds: usize, datagrams: u32) -> Result<()> {
    let cpus = affinity::allowed()?;
    affinity::pin(cpus.get(..1).ok_or("no cpu")?)?;
    println!("\n{:<28} a datagram's time in the chain, ns", "");
    for (kind, generator, sink) in
        [("frames alone", "restored", "sink"), ("stamped and timed", "stamped", "sink_timed")]
    {
        let names = ["bare_swap", "reflector"];
        let [bare, ours] = names.map(|name| Chain::new(generator, name, sink));
        let chains = [bare?, ours?];
        let mut figures: [Vec<f64>; 2] = Default::default();
        for round in 0..rounds {
            for (chain, figures) in chains.iter().zip(&mut figures) {
                let spent_ns = chain.run(datagrams)?;
                if round > 0 {
                    figures.push(spent_ns);
                }
            }
        }
        for (name, figures) in names.iter().zip(&figures) {
            println!("{:<28} {}", format!("{kind}: {name}"), spread(figures));
        }
        let [bare, ours] = &figures;
        let rates: Vec<f64> = bare.iter().zip(ours).map(|(bare, ours)| bare / ours).collect();
        println!("{:<28} {}", format!("{kind}: rate, ours / bare"), spread(&rates));
    }
    Ok(())
}

/// A veth pair: generator and sink at one end, the program at the other.
struct Chain {
    pair: Pair,
    generator: Xdp,
    sink: Xdp,
    _program: Xdp,
    frame: Vec<u8>,
}

impl Chain {
    fn new(generator: &str, program: &str, sink: &str) -> Result<Self> {
        let letter = program.chars().next().unwrap_or_default();
        let (near, far) = (format!("bn{letter}{}", process::id()), format!("bf{letter}{}", process::id()));
        let pair = Pair::new(&near, &far)?;
        for end in [&near, &far] {
            // No address is made on it, so that nobody else speaks there.
            ip(&["link", "set", end, "addrgenmode", "none", "up"])?;
        }
        let sides = sides("8.8.4.4:40000", "9.9.9.9:3478", "1.1.1.1:50000");
        let mut frame = sides.frame(&sides.send(500));
        let load = |interface: &str, program| Xdp::load_object(interface, &config(), OBJECT, program);
        let (mut generator, mut sink, mut middle) =
            (load(&near, generator)?, load(&near, sink)?, load(&far, program)?);
        frame.splice(..6, middle.mac());
        let mut original = frame.clone();
        original.resize(128, 0);
        generator.write_map("originals", &original)?;
        middle.tick(i64::from(NOW) * 1_000_000_000 - engine::host::clock::boot_ns())?;
        sink.attach(Mode::Native, None)?;
        middle.attach(Mode::Native, None)?;
        let chain = Self { pair, generator, sink, _program: middle, frame };
        chain.run(64)?;
        Ok(chain)
    }

    /// Time on the core per datagram that came through.
    fn run(&self, datagrams: u32) -> Result<f64> {
        let arrived =
            || -> Result<u64> { Ok(self.sink.counters()?.iter().map(|core| core.received.datagrams).sum()) };
        let (before, start_ns) = (arrived()?, core_time_ns()?);
        self.generator.run_live(&self.frame, datagrams)?;
        let spent_ns = core_time_ns()? - start_ns;
        // What is under way takes less than this.
        thread::sleep(Duration::from_millis(20));
        let came = arrived()? - before;
        if came < u64::from(datagrams) * 99 / 100 {
            return Err(format!("{came} of {datagrams} datagrams came through {}", self.pair.0).into());
        }
        Ok(spent_ns as f64 / came as f64)
    }
}

/// Two interfaces that go when this goes.
struct Pair(String);

impl Pair {
    fn new(near: &str, far: &str) -> Result<Self> {
        ip(&["link", "add", near, "type", "veth", "peer", "name", far])?;
        Ok(Self(near.to_owned()))
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _gone = ip(&["link", "del", &self.0]);
    }
}

/// What this thread has had of its core; the whole chain runs in soft interrupts within it.
fn core_time_ns() -> Result<u64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split_whitespace().next().ok_or("schedstat is empty")?.parse()?)
}

fn ip(arguments: &[&str]) -> Result<()> {
    let done = Command::new("ip").args(arguments).status()?.success();
    if done { Ok(()) } else { Err(format!("ip {} failed", arguments.join(" ")).into()) }
}

/// A program and the frame that it is run on.
struct Subject {
    name: &'static str,
    program: &'static str,
    xdp: Xdp,
    frame: Vec<u8>,
    v4: bool,
    figures: Vec<f64>,
}

impl Subject {
    /// The same beside as many revocations as there can be, all of others.
    fn under_full_table(mut self) -> Result<Self> {
        self.xdp.set_revoked(full_table().reader().words())?;
        let answer = self.xdp.run(&self.frame, 2)?.answer;
        if answer == Answer::Transmit { Ok(self) } else { Err(format!("{}: {answer:?}", self.name).into()) }
    }

    /// The mean time of a run.
    fn run(&mut self, repeat: u32) -> Result<f64> {
        // By the kernel's own account, which leaves out what else the core did; in whole nanoseconds.
        Ok(self.xdp.run(&self.frame, repeat)?.duration.as_secs_f64() * 1e9)
    }
}

fn subjects() -> Result<Vec<Subject>> {
    let (v4, v6) = (
        sides("8.8.4.4:40000", "9.9.9.9:3478", "1.1.1.1:50000"),
        sides("[2a00:1450::1]:40000", "[2620:fe::9]:3478", "[2606:4700::2]:50000"),
    );
    let (good, probe) = (v4.send(500), [vec![Kind::Probe as u8], vec![0; 63]].concat());
    let with = |at: usize, value: u8| {
        let mut datagram = good.clone();
        datagram.splice(at..=at, [value]);
        v4.frame(&datagram)
    };
    let stranger = Sides { destination: "1.1.1.1:53".parse()?, ..v4 };
    let inside = Sides { destination: "10.1.1.1:5000".parse()?, ..v4 };
    let mut subjects = vec![
        subject("empty", "empty", v4.frame(&good), Answer::Transmit, None)?,
        subject("bare swap", "bare_swap", v4.frame(&good), Answer::Transmit, None)?,
        subject("restored", "restored", v4.frame(&good), Answer::Transmit, None)?,
        subject("restored, IPv6", "restored", v6.frame(&v6.send(500)), Answer::Transmit, None)?,
        subject("relay", "again", v4.frame(&good), Answer::Transmit, None)?,
        subject("relay, IPv6", "again", v6.frame(&v6.send(500)), Answer::Transmit, None)?,
        subject("sealed", "again", v4.frame(&v4.sealed(500)), Answer::Transmit, None)?,
        subject("sealed, IPv6", "again", v6.frame(&v6.sealed(500)), Answer::Transmit, None)?,
        subject("relay, 65,536 revoked", "again", v4.frame(&good), Answer::Transmit, None)?
            .under_full_table()?,
        subject("relay, IPv6, 65,536 revoked", "again", v6.frame(&v6.send(500)), Answer::Transmit, None)?
            .under_full_table()?,
        subject("renewed", "again", v4.frame(&v4.send(100)), Answer::Transmit, None)?,
        subject("observe", "again", v4.frame(&probe), Answer::Transmit, None)?,
        subject("observe, IPv6", "again", v6.frame(&probe), Answer::Transmit, None)?,
        subject(
            "another port: not counted",
            "reflector",
            Sides { local: "9.9.9.9:3479".parse()?, ..v4 }.frame(&good),
            Answer::Pass,
            None,
        )?,
        subject("cross-family: passed", "reflector", with(8, 0x20), Answer::Pass, None)?,
    ];
    let refusal = |name, frame, reason| subject(name, "reflector", frame, Answer::Drop, Some(reason));
    subjects.extend([
        refusal("short", v4.frame(good.get(..31).unwrap_or_default()), Reason::Short)?,
        refusal("oversize", v4.frame(&[good.clone(), vec![0; 1300]].concat()), Reason::Oversize)?,
        refusal("kind", with(0, 0x0b), Reason::Kind)?,
        refusal("source", inside.turned().frame(&probe), Reason::Source)?,
        refusal("key", with(1, 5), Reason::Key)?,
        refusal("expired", v4.frame(&v4.send(-1)), Reason::Expired)?,
        refusal("lifetime", v4.frame(&v4.send(900)), Reason::Lifetime)?,
        refusal("destination: port", stranger.frame(&stranger.send(500)), Reason::Destination)?,
        refusal("destination: address", inside.frame(&inside.send(500)), Reason::Destination)?,
        refusal("tag", with(24, good.get(24).map_or(0, |byte| byte ^ 1)), Reason::Tag)?,
    ]);
    Ok(subjects)
}

/// A subject that has been seen to do what it is to be measured doing.
fn subject(
    name: &'static str,
    program: &'static str,
    frame: Vec<u8>,
    answer: Answer,
    reason: Option<Reason>,
) -> Result<Subject> {
    let mut xdp = Xdp::load_object("lo", &config(), OBJECT, program)?;
    xdp.tick(i64::from(NOW) * 1_000_000_000 - engine::host::clock::boot_ns())?;
    let mut original = frame.clone();
    original.resize(128, 0);
    xdp.write_map("originals", &original)?;
    let seen = xdp.run(&frame, 2)?.answer;
    let dropped: u64 = match reason {
        None => 2,
        Some(reason) => xdp
            .counters()?
            .iter()
            .filter_map(|it| it.dropped.get(reason as usize))
            .map(|it| it.datagrams)
            .sum(),
    };
    if seen == answer && dropped == 2 {
        let v4 = frame.get(12) == Some(&8);
        Ok(Subject { name, program, xdp, frame, v4, figures: Vec::new() })
    } else {
        Err(format!("{name}: answered {seen:?} and counted {dropped} of 2, expected {answer:?}").into())
    }
}

/// Who sends through whom to whom.
#[derive(Clone, Copy)]
struct Sides {
    source: SocketAddr,
    local: SocketAddr,
    destination: SocketAddr,
}

impl Sides {
    /// A SEND of 200 bytes that lives so many seconds from now.
    fn send(&self, left_s: i64) -> Vec<u8> {
        self.of_form(Form::Plain, left_s)
    }

    /// The same as a SEALED_SEND.
    fn sealed(&self, left_s: i64) -> Vec<u8> {
        self.of_form(Form::Sealed, left_s)
    }

    fn of_form(&self, form: Form, left_s: i64) -> Vec<u8> {
        let expires = u32::try_from(i64::from(NOW) + left_s).unwrap_or_default();
        let address = |socket| TransportAddress::from_socket(socket).unwrap_or_default();
        let (from, to) = (address(self.source), address(self.destination));
        let key = SipKey::new(SECRET);
        let tag = tag::capability(&key, form, KEY, expires, from, to);
        let (kind, peer) = match form {
            Form::Plain => (Kind::Send, to),
            Form::Sealed => (Kind::SealedSend, seal::mask(&key, tag, from, to)),
        };
        let header = Header { kind: kind as u8, class_key: KEY, expires, peer, tag };
        let mut datagram = header.to_bytes().to_vec();
        datagram.resize(HEADER_LEN + 168, 0xa5);
        datagram
    }

    fn turned(self) -> Self {
        Self { source: self.destination, destination: self.source, ..self }
    }

    /// The Ethernet frame of a datagram, to the loopback interface's address, without a UDP checksum's being right.
    fn frame(&self, datagram: &[u8]) -> Vec<u8> {
        let udp_len = u16::try_from(8 + datagram.len()).unwrap_or_default();
        let mut frame = [[0; 6], NEIGHBOUR].concat();
        match (self.source.ip(), self.local.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let mut ip =
                    [&[0x45, 0][..], &(20 + udp_len).to_be_bytes(), &[0, 0, 0x40, 0, 64, 17, 0, 0]].concat();
                ip.extend([from.octets(), to.octets()].concat());
                let sum: u32 = ip
                    .chunks_exact(2)
                    .map(|it| it.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
                    .sum();
                let folded = (sum & 0xffff) + (sum >> 16);
                let check = !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or_default();
                ip.splice(10..12, check.to_be_bytes());
                frame.extend([8, 0]);
                frame.extend(ip);
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
                frame.extend(udp_len.to_be_bytes());
                frame.extend([17, 64]);
                frame.extend([from.octets(), to.octets()].concat());
            }
            _ => {}
        }
        frame.extend(self.source.port().to_be_bytes());
        frame.extend(self.local.port().to_be_bytes());
        frame.extend(udp_len.to_be_bytes());
        frame.extend([0x12, 0x34]);
        frame.extend(datagram);
        frame
    }
}

fn sides(source: &str, local: &str, destination: &str) -> Sides {
    let socket = |text: &str| text.parse().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
    Sides { source: socket(source), local: socket(local), destination: socket(destination) }
}

fn config() -> Config {
    let mut config = Config::new();
    if let Some(place) = config.keys.get_mut(usize::from(KEY)) {
        *place = Some(SECRET);
    }
    config.minting = KEY;
    config.listen_v4 = "9.9.9.9:3478".parse().ok();
    config.listen_v6 = "[2620:fe::9]:3478".parse().ok();
    config.probe_budget_s = 1 << 40;
    let everywhere: [IpAddr; 2] = [[0, 0, 0, 0].into(), [0; 16].into()];
    config.routes =
        everywhere.map(|network| Route { network, prefix: 0, hop: Hop::Gateway(NEIGHBOUR) }).to_vec();
    config
}

/// Median and range.
fn spread(figures: &[f64]) -> String {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
    format!("{:>8.2} ({:.2} to {:.2})", at(sorted.len() / 2), at(0), at(sorted.len().saturating_sub(1)))
}

const KEY: u8 = 3;
const SECRET: [u8; 16] = *b"a bench's secret";
const NEIGHBOUR: [u8; 6] = [2, 0, 0, 0, 0, 9];
const OBJECT: &[u8] = include_bytes!("../engine/bpf/bench.bpf.o");
