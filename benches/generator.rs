//! What the load generator below the sockets costs and how well it keeps time: over a veth, to a sink and back from a swap.
//!
//! * Core-time per datagram sent, for as many as one core sends: to a sink, and the whole chain with the bare swap, whose
//!   soft interrupts run on the same core. A thousand flows in turn, and a million in random order.
//! * Pacing at 100,000 datagrams a second: lag behind the intended time, and latency through the swap.
//! * The first round is thrown away. Needs root; without it one line says so.

use engine::host::affinity;
use engine::host::clock;
use engine::load::{Arriving, Counts, Flow, Load, MAX_FLOWS, Pace, Plan, Times};
use engine::xdp::{Config, Mode, Xdp, XdpError};
use std::error::Error;
use std::fs;
use std::net::SocketAddr;
use std::process::{self, Command};
use std::thread;
use std::time::Duration;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[allow(clippy::print_stdout)] // This is a program: its result is its output.
fn main() -> Result<()> {
    // As a test it shows that everything runs; as a benchmark it measures.
    let bench = std::env::args().any(|argument| argument == "--bench");
    let (rounds, duration_ms, most_flows) = if bench { (8, 400, MAX_FLOWS) } else { (2, 40, 5_000) };
    let cpus = affinity::allowed()?;
    affinity::pin(cpus.get(..1).ok_or("no cpu")?)?;
    let way = match Way::new("sink") {
        Err(error) if matches!(error.downcast_ref(), Some(XdpError::NotPermitted(_))) => {
            println!("skipped: {error}");
            return Ok(());
        }
        way => way?,
    };
    let swap = Way::new("bare_swap")?;
    println!("{:<44} core-time of a datagram, ns", "");
    for (name, way, flows, poisson) in [
        ("to a sink, 1,000 flows in turn", &way, 1_000, false),
        ("to a sink, a million flows at random", &way, most_flows, true),
        ("through the swap and back, 1,000 flows", &swap, 1_000, false),
        ("through the swap and back, a million", &swap, most_flows, true),
    ] {
        let pace = Pace { poisson, gap_ns: 40.0, ..PACE };
        let mut figures = Vec::new();
        for round in 0..rounds {
            let (counts, spent_ns) = way.run(flows, pace, duration_ms)?;
            if round > 0 {
                figures.push(spent_ns.saturating_sub(counts.spin_ns) as f64 / counts.sent.max(1) as f64);
            }
        }
        println!("{name:<44} {}", spread(&figures));
    }
    println!("\n{:<44} at 100,000 a second, ns", "");
    let mut figures: [Vec<f64>; 4] = Default::default();
    for round in 0..rounds {
        let (counts, _) = swap.run(1_000, Pace { gap_ns: 10_000.0, ..PACE }, duration_ms)?;
        let lag: Vec<(u64, u64)> = counts.lag.iter().flatten().copied().collect();
        let found = [(&lag, 50), (&lag, 99), (&counts.latency, 50), (&counts.latency, 99)];
        for ((pairs, percent), figures) in found.into_iter().zip(&mut figures) {
            if round > 0 {
                figures.push(quantile(pairs, percent) as f64);
            }
        }
    }
    let names = ["lag p50", "lag p99", "latency through the swap p50", "latency through the swap p99"];
    for (name, figures) in names.iter().zip(&figures) {
        println!("{name:<44} {}", spread(figures));
    }
    Ok(())
}

/// A veth pair: the generator at one end, a program at the other.
struct Way {
    pair: Pair,
    far: Xdp,
}

impl Way {
    fn new(program: &str) -> Result<Self> {
        let letter = program.chars().next().unwrap_or_default();
        let (near, far) = (format!("gn{letter}{}", process::id()), format!("gf{letter}{}", process::id()));
        let pair = Pair::new(&near, &far)?;
        for end in [&near, &far] {
            // No address is made on it, so that nobody else speaks there.
            ip(&["link", "set", end, "addrgenmode", "none", "up"])?;
        }
        let mut far = Xdp::load_object(&far, &Config::new(), OBJECT, program)?;
        far.attach(Mode::Native, None)?;
        Ok(Self { pair, far })
    }

    /// One run, and the core-time of its thread.
    fn run(&self, flows: u32, pace: Pace, duration_ms: u64) -> Result<(Counts, u64)> {
        let relay = SocketAddr::from(([192, 0, 2, 9], 3478));
        let mut plan = Plan {
            relay,
            next_hop: self.far.mac(),
            run: 0x5eed,
            flows,
            head_len: 32,
            payload_len: 168,
            arriving: Arriving::Untouched,
            times: Times { start_ns: 0, measured_ns: 0, end_ns: 0, slice_ns: duration_ms * NS_PER_MS },
            workers: vec![Pace { flows, ..pace }],
            faults: Vec::new(),
        };
        // Memory takes its time, and so does a call of the kernel; what is due meanwhile is what this measures.
        let start_ns = u64::try_from(clock::boot_ns())? + if flows > 10_000 { 600 } else { 100 } * NS_PER_MS;
        plan.times.start_ns = start_ns;
        plan.times.measured_ns = start_ns;
        plan.times.end_ns = start_ns + duration_ms * NS_PER_MS;
        let mut load = Load::open(&self.pair.0, &plan)?;
        load.attach()?;
        for number in 0..flows {
            let [_, b, c, d] = number.to_be_bytes();
            let from = SocketAddr::from(([10, b, c, d], 40_000));
            load.set_flow(number, &Flow { from, to: from, via: relay, contact: from, cell: 0 })?;
            load.set_head(number, &[7; 32])?;
        }
        load.adopt_heads();
        let transmitter = load.transmitter(0)?;
        let now_ns = u64::try_from(clock::boot_ns())?;
        thread::sleep(Duration::from_nanos(start_ns.saturating_sub(now_ns + 30 * NS_PER_MS)));
        let before_ns = core_time_ns()?;
        transmitter.run()?;
        let spent_ns = core_time_ns()? - before_ns;
        thread::sleep(Duration::from_millis(20));
        Ok((load.counts()?, spent_ns))
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

fn ip(arguments: &[&str]) -> Result<()> {
    let done = Command::new("ip").args(arguments).status()?.success();
    if done { Ok(()) } else { Err(format!("ip {} failed", arguments.join(" ")).into()) }
}

/// What this thread has had of its core; soft interrupts that run within it count.
fn core_time_ns() -> Result<u64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split_whitespace().next().ok_or("schedstat is empty")?.parse()?)
}

/// The value that so many percent do not exceed, of pairs of a value and its count; 0 without any.
fn quantile(pairs: &[(u64, u64)], percent: u64) -> u64 {
    let mut sorted = pairs.to_vec();
    sorted.sort_unstable();
    let total: u64 = sorted.iter().map(|(_, count)| count).sum();
    let mut seen = 0;
    let reached = sorted.iter().find(|(_, count)| {
        seen += count;
        seen * 100 >= total * percent
    });
    reached.map_or(0, |(value, _)| *value)
}

/// Median and range.
fn spread(figures: &[f64]) -> String {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
    format!("{:>8.1} ({:.1} to {:.1})", at(sorted.len() / 2), at(0), at(sorted.len().saturating_sub(1)))
}

const PACE: Pace =
    Pace { first_flow: 0, flows: 0, phase_ns: 0, gap_ns: 0.0, poisson: false, burst: 1, seed: 1 };
const NS_PER_MS: u64 = 1_000_000;
const OBJECT: &[u8] = include_bytes!("../engine/bpf/bench.bpf.o");
