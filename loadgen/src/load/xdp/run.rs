//! The load phase by XDP: one long call of the kernel a worker, and this thread that looks on.
//!
//! ```text
//!   worker k      pin -> Transmitter::run .......................................... returns at the end
//!   this thread   flows, heads -> look: cut? heads due? -> look ... -> drain -> Counts -> Measured
//! ```
//!
//! * Nothing here is done per datagram; this thread keeps off the workers' CPUs where it can.
//! * Receivers need no socket: the receiving program takes what is the run's, the kernel's stack the rest.

use crate::error::Error;
use crate::load::shape::fault::FaultMix;
use crate::load::shape::phase::{DRAIN_NS, LEAST_DRAIN_NS, Phase};
use crate::load::shape::renewal::{Batch, Renewal, expiry};
use crate::load::shape::stamp::RunId;
use crate::load::shape::traffic::Traffic;
use crate::load::socket::station::now_ns;
use crate::load::socket::threads::{GLANCE, beside, join, pin};
use crate::load::watch::events::{Expected, Pulse, Watched, Watchman};
use crate::load::watch::glances::{Glance, Glances};
use crate::load::watch::measured::Measured;
use crate::load::watch::state;
use crate::load::watch::state::{Seen, State, Surroundings};
use crate::load::watch::tally::Tally;
use crate::load::xdp::flows::Flows;
use crate::load::xdp::refusal::told;
use crate::load::xdp::{plan, tally, way};
use crate::usage::CpuTime;
use engine::host::affinity;
use engine::host::clock;
use engine::host::clock::Clock;
use engine::load::{Arriving, Faults, Load, Plan, Transmitter};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

/// What is to be sent, and how.
#[derive(Debug)]
pub struct Course<'a> {
    /// The load.
    pub traffic: &'a Traffic,
    /// The interface that frames leave by and come back by.
    pub interface: &'a str,
    /// The run.
    pub run: RunId,
    /// Between whom.
    pub flows: &'a Flows<'a>,
    /// What stands before the payload of what arrives.
    pub arriving: Arriving,
    /// What is wrong on purpose.
    pub mix: &'a FaultMix,
    /// Samples of it, in the same order.
    pub faults: Vec<Faults>,
}

/// Sends and receives by XDP; `before` is what [`rehearse`] gave.
///
/// # Errors
/// The relay is not reached, the kernel refuses the programs, a worker cannot stay on its CPU.
pub fn load(
    course: &Course<'_>,
    before: Rehearsal,
    surroundings: &mut Surroundings<'_>,
) -> Result<Measured, Error> {
    let Course { traffic, flows, mix, .. } = course;
    let count = u32::try_from(flows.count()).unwrap_or(u32::MAX);
    let clock = Clock::start();
    let armed = match count {
        // An interrupt came before anybody had a contact.
        0 => Err(Error::Interrupted),
        _ => stand_aside(traffic).and_then(|()| arm(course, before, &clock, surroundings.interrupted)),
    };
    let Armed { load, phase, expires_s, slice_ns } = match armed {
        Err(Error::Interrupted) => return nothing(traffic),
        armed => armed?,
    };
    let renewal = flows.expire().then(|| Renewal::new(count, expires_s));
    let glances = Glances::default();
    let refused: f64 = mix.shares().map(|(_, share)| share).sum();
    let expected = match flows.expire() {
        _ if refused > 0.9 => Expected::Little,
        true => Expected::Answers,
        // Another relay may be one that was not told of its flows, which is a result.
        false => Expected::Perhaps,
    };
    let watchman = Watchman::new(phase.measured_ns(), expected);
    let mut watcher = Watcher { load, flows, phase: &phase, clock, renewal, glances, watchman };
    let cpu_ns = run_workers(&mut watcher, traffic, surroundings)?;
    let counts = watcher.load.counts().map_err(told)?;
    let tally = tally::tally(&counts, mix, cpu_ns)?;
    let series = tally::series(&counts.slices, slice_ns, phase.elapsed_ns(u64::MAX));
    let (taken, came) = watcher.load.glance().map_err(told)?;
    let watched = watcher.watchman.end(Pulse { taken, came, ..Pulse::default() });
    Ok(Measured { tally, series, phase, watched })
}

/// Programs that hold every flow, and the run that they wait for.
struct Armed {
    load: Load,
    phase: Phase,
    /// When the heads expire, unix time in s.
    expires_s: u32,
    /// Length of the slices that they count in, ns.
    slice_ns: u64,
}

/// Attaches programs and writes every flow before the first intended time.
///
/// Programs hold their times from the start, so a machine that was too slow gets another start, with twice the time.
fn arm(
    course: &Course<'_>,
    before: Rehearsal,
    clock: &Clock,
    interrupted: &AtomicBool,
) -> Result<Armed, Error> {
    let Course { traffic, flows, .. } = course;
    let count = u32::try_from(flows.count()).unwrap_or(u32::MAX);
    let next_hop = way::resolve(course.interface, traffic.relay, interrupted)?;
    let mut setup_ns = before.setup_ns() + SETUP_NS_PER_FLOW * u64::from(count);
    let mut before = Some(before);
    loop {
        let phase = Phase::new(now_ns() + setup_ns, traffic.warmup_ns, traffic.duration_ns);
        let plan = plan(course, next_hop, count, &phase);
        let mut load = Load::open(course.interface, &plan).map_err(told)?;
        // One program at a time.
        drop(before.take());
        load.attach().map_err(told)?;
        let expires_s = expiry(unix_s(clock, now_ns()));
        write(&mut load, flows, (count, expires_s), interrupted)?;
        if now_ns() <= phase.start_ns() {
            return Ok(Armed { load, phase, expires_s, slice_ns: plan.times.slice_ns });
        }
        if setup_ns > MOST_SETUP_NS {
            let shown = setup_ns / 1_000_000_000;
            return Err(Error::Runtime(format!(
                "{count} flows were not written within {shown} s: the machine is too busy for this run"
            )));
        }
        setup_ns *= 2;
    }
}

/// What a run measures that a signal ended before its start.
fn nothing(traffic: &Traffic) -> Result<Measured, Error> {
    let phase = Phase::new(now_ns(), traffic.warmup_ns, traffic.duration_ns);
    phase.cut(phase.start_ns());
    let (tally, series) = (Tally::new()?, tally::series(&[], 1, 0));
    Ok(Measured { tally, series, phase, watched: Watched::default() })
}

/// Programs that are attached and have nothing to do.
///
/// They show that all this can be had here before anything takes time, and let the cable carry what a relay answers by
/// XDP: a veth takes it only while a program is attached.
#[derive(Debug)]
pub struct Rehearsal {
    _attached: Load,
    took_ns: u64,
}

impl Rehearsal {
    /// Time in which the same can be done once more unless the machine is busier by then, ns.
    fn setup_ns(&self) -> u64 {
        (4 * self.took_ns).clamp(LEAST_SETUP_NS, SETUP_NS)
    }
}

/// Attaches programs for a run of which nothing is known yet but the load and the length of heads.
///
/// # Errors
/// No way to the relay by this interface, no permission, a kernel or an interface that will not do.
pub fn rehearse(interface: &str, traffic: &Traffic, head_len: usize) -> Result<Rehearsal, Error> {
    let known = way::Tables::read()?.next_hop(interface, traffic.relay.ip())?;
    let began_ns = now_ns();
    let phase = Phase::new(began_ns + SETUP_NS, traffic.warmup_ns, traffic.duration_ns);
    let plan = Plan {
        relay: traffic.relay,
        next_hop: known.unwrap_or(ANY_STATION),
        run: 0,
        flows: traffic.workers(),
        head_len,
        payload_len: traffic.payload.longest(),
        arriving: Arriving::Bare,
        times: plan::times(&phase, traffic),
        workers: plan::paces(traffic, traffic.workers()),
        faults: Vec::new(),
    };
    let mut load = Load::open(interface, &plan).map_err(told)?;
    load.attach().map_err(told)?;
    Ok(Rehearsal { _attached: load, took_ns: now_ns() - began_ns })
}

fn plan(course: &Course<'_>, next_hop: [u8; 6], flows: u32, phase: &Phase) -> Plan {
    let traffic = course.traffic;
    Plan {
        relay: traffic.relay,
        next_hop,
        run: course.run.bits(),
        flows,
        head_len: course.flows.head_len(),
        payload_len: traffic.payload.longest(),
        arriving: course.arriving,
        times: plan::times(phase, traffic),
        workers: plan::paces(traffic, flows),
        faults: course.faults.clone(),
    }
}

/// Tells the programs every flow and its first head.
fn write(
    load: &mut Load,
    flows: &Flows<'_>,
    (count, expires_s): (u32, u32),
    interrupted: &AtomicBool,
) -> Result<(), Error> {
    for place in 0..count {
        if interrupted.load(Relaxed) {
            return Err(Error::Interrupted);
        }
        if let Some(flow) = flows.get(place as usize) {
            load.set_flow(place, &flow).map_err(told)?;
        }
    }
    let heads = Batch { heads: 0..count, expires_s, last: true };
    write_heads(load, flows, &heads)
}

fn write_heads(load: &mut Load, flows: &Flows<'_>, batch: &Batch) -> Result<(), Error> {
    for place in batch.heads.clone() {
        let written =
            flows.with_head(place as usize, batch.expires_s, |head| load.set_head(place, head).map_err(told));
        written.transpose()?;
    }
    if batch.last {
        load.adopt_heads();
    }
    Ok(())
}

/// Workers send, this thread looks on; the CPU time of all workers in the measured phase, ns.
fn run_workers(
    watcher: &mut Watcher<'_>,
    traffic: &Traffic,
    surroundings: &mut Surroundings<'_>,
) -> Result<u64, Error> {
    let mut transmitters = Vec::new();
    for worker in 0..traffic.cpus.len() {
        transmitters.push(watcher.load.transmitter(worker).map_err(told)?);
    }
    let clocks: Vec<OnceLock<CpuTime>> = traffic.cpus.iter().map(|_| OnceLock::new()).collect();
    let (starts, ends) = thread::scope(|scope| {
        let threads: Vec<ScopedJoinHandle<'_, Result<u64, Error>>> = transmitters
            .into_iter()
            .zip(&traffic.cpus)
            .zip(&clocks)
            .map(|((transmitter, cpu), clock)| scope.spawn(move || transmit(transmitter, *cpu, clock)))
            .collect();
        let starts = watcher.look_on(&threads, &clocks, (traffic, surroundings));
        if starts.is_err() {
            watcher.load.cut(now_ns());
        }
        let ends: Result<Vec<u64>, Error> = threads.into_iter().map(join).collect();
        (starts, ends)
    });
    let (starts, ends) = (starts?, ends?);
    // Nothing was measured if the end came before the measured phase.
    Ok(ends.iter().zip(&starts).map(|(end, start)| end.saturating_sub(*start)).sum())
}

/// Sends the flows of one worker; the CPU time of its thread, ns.
fn transmit(transmitter: Transmitter, cpu: usize, clock: &OnceLock<CpuTime>) -> Result<u64, Error> {
    pin(&[cpu])?;
    let clock = clock.get_or_init(CpuTime::open);
    transmitter.run().map_err(told)?;
    Ok(clock.read_ns())
}

/// What the supervising thread holds while the workers send.
struct Watcher<'a> {
    load: Load,
    flows: &'a Flows<'a>,
    phase: &'a Phase,
    clock: Clock,
    renewal: Option<Renewal>,
    glances: Glances,
    watchman: Watchman,
}

impl Watcher<'_> {
    /// Looks on until all is sent and nothing more is expected; the CPU time of each worker before the measured phase.
    fn look_on(
        &mut self,
        threads: &[ScopedJoinHandle<'_, Result<u64, Error>>],
        clocks: &[OnceLock<CpuTime>],
        (traffic, surroundings): (&Traffic, &mut Surroundings<'_>),
    ) -> Result<Vec<u64>, Error> {
        let (mut starts, mut done_ns) = (Vec::new(), None);
        loop {
            let now = now_ns();
            if starts.is_empty() && now >= self.phase.measured_ns() {
                starts = clocks.iter().map(|clock| clock.get().map_or(0, CpuTime::read_ns)).collect();
            }
            // A worker that is done before the end has failed, and its error ends the run.
            let failed = threads.iter().any(ScopedJoinHandle::is_finished) && now < self.phase.end_ns();
            if failed || self.watchman.is_refused() || surroundings.interrupted.load(Relaxed) {
                self.phase.cut(now);
                self.load.cut(self.phase.end_ns());
            }
            self.renew(now)?;
            let (sent, arrived) = self.load.glance().map_err(told)?;
            let offset_ns = clock::realtime_ns().saturating_sub(clock::boot_ns());
            let pulse = Pulse { at_ns: now, taken: sent, came: arrived, offset_ns, ..Pulse::default() };
            if (self.phase.measured_ns()..self.phase.end_ns()).contains(&now) {
                self.glances.note(Glance { at_ns: now, sent, arrived });
                self.watchman.look(pulse);
            }
            let (seen, events) = (Seen::Glances(&self.glances), self.watchman.events());
            let state = state::Load { phase: self.phase, seen, pulse, profile: &traffic.profile, events };
            (surroundings.watch)(&State::Load(state));
            if threads.iter().all(ScopedJoinHandle::is_finished) {
                let done_ns = *done_ns.get_or_insert(now.max(self.phase.end_ns()));
                let waited_ns = now.saturating_sub(done_ns);
                if failed || waited_ns >= DRAIN_NS || (waited_ns >= LEAST_DRAIN_NS && arrived >= sent) {
                    return Ok(starts);
                }
            }
            thread::sleep(pause(now, self.phase.measured_ns()));
        }
    }

    /// Writes heads that are due.
    fn renew(&mut self, now_ns: u64) -> Result<(), Error> {
        let now_s = unix_s(&self.clock, now_ns);
        let due = self.renewal.as_mut().filter(|_| now_ns < self.phase.end_ns());
        match due.and_then(|renewal| renewal.due(now_s)) {
            Some(batch) => write_heads(&mut self.load, self.flows, &batch),
            None => Ok(()),
        }
    }
}

/// Until the next look, which is on time when the measured phase begins.
fn pause(now_ns: u64, measured_ns: u64) -> Duration {
    match measured_ns.checked_sub(now_ns) {
        Some(left_ns) if left_ns > 0 => GLANCE.min(Duration::from_nanos(left_ns)),
        _ => GLANCE,
    }
}

/// Keeps the calling thread off the workers' CPUs.
fn stand_aside(traffic: &Traffic) -> Result<(), Error> {
    let allowed = affinity::allowed()
        .map_err(|error| Error::Runtime(format!("cannot ask which CPUs may be used: {error}")))?;
    pin(&beside(&allowed, &traffic.cpus))
}

fn unix_s(clock: &Clock, now_ns: u64) -> u32 {
    clock::unix_s(clock.offset_ns(), i64::try_from(now_ns).unwrap_or(i64::MAX))
}

/// Where nobody is asked yet.
const ANY_STATION: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Time to load the programs and take their memory before the first intended send, at first at most, ns.
const SETUP_NS: u64 = 1_000_000_000;
/// And at least.
const LEAST_SETUP_NS: u64 = 250_000_000;
/// A machine that is too slow for this is not given more time, ns.
const MOST_SETUP_NS: u64 = 30_000_000_000;
/// Time to write one flow and its head, ns.
const SETUP_NS_PER_FLOW: u64 = 4_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_comes_on_time_when_measuring_begins() {
        assert_eq!(pause(0, 1_000_000_000), GLANCE);
        assert_eq!(pause(999_000_000, 1_000_000_000), Duration::from_millis(1));
        assert_eq!(pause(1_000_000_000, 1_000_000_000), GLANCE);
        assert_eq!(pause(2_000_000_000, 1_000_000_000), GLANCE);
    }
}
