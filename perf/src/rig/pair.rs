//! One reflector and one generator, each on its core, and what a run between them gives.
//!
//! * The reflector runs through all steps; what a step changed is the difference of its counters before and after.
//! * Counters are read when nothing moves any more, so that every datagram of a step is in them.
//! * What was checked beside the generator's own validity stands in the step, whether it holds or not.

use crate::figures::float;
use crate::judge::histogram::{curve, decode};
use crate::rig::attempt::{DISTURBANCES, MOST_TAKEN};
use crate::rig::cores::{CoreTime, Cores, Sharing};
use crate::sweep::quick_report::Step;
use lab::programs::found::Programs;
use lab::programs::generator::{Check, Finished, Generator, Load, Outcome};
use lab::programs::interrupt::Interrupt;
use lab::programs::process_time::process_ns;
use lab::programs::reflector::{Options, Ready, Reflector};
use lab::programs::relay::Counters;
use std::time::{Duration, Instant};

/// A reflector that runs, and where generators will.
#[derive(Debug)]
pub struct Rig {
    programs: Programs,
    cores: Cores,
    reflector: Reflector,
    commands: Vec<String>,
}

impl Rig {
    /// Starts the reflector on its core.
    ///
    /// # Errors
    /// See [`Reflector::start`].
    pub fn start(programs: &Programs, cores: Cores) -> anyhow::Result<Rig> {
        let options = Options { cpus: vec![cores.reflector], ..Options::default() };
        let reflector = Reflector::start(&programs.reflector, &options)?;
        let commands = vec![reflector.command().to_owned()];
        Ok(Rig { programs: programs.clone(), cores, reflector, commands })
    }

    /// The reflector.
    pub fn reflector(&mut self) -> &mut Reflector {
        &mut self.reflector
    }

    /// What the reflector said when it was ready.
    pub fn ready(&self) -> &Ready {
        self.reflector.ready()
    }

    /// The command lines so far.
    pub fn commands(&self) -> &[String] {
        &self.commands
    }

    /// Waits until hardly anything runs on both cores, or for 10 s.
    ///
    /// # Errors
    /// The kernel does not tell, or somebody asked to stop.
    pub fn wait_for_calm(&mut self, interrupt: &Interrupt) -> anyhow::Result<()> {
        for _ in 0..CALM_SLICES {
            let start = Snapshot::take(self.cores, self.reflector.program().id())?;
            interrupt.sleep(CALM_SLICE);
            interrupt.check()?;
            let end = Snapshot::take(self.cores, self.reflector.program().id())?;
            if end.taken_since(&start, 0).iter().all(|check| check.holds) {
                break;
            }
        }
        Ok(())
    }

    /// Runs one load, on the generator's core, and reads everything that is to be read.
    ///
    /// # Errors
    /// One of the programs failed, or the run was interrupted.
    pub fn measure(&mut self, load: &Load, interrupt: &Interrupt) -> anyhow::Result<Step> {
        let load = Load { cpus: vec![self.cores.generator], ..load.clone() };
        let before = self.reflector.settled(interrupt)?;
        let start = Snapshot::take(self.cores, self.reflector.program().id())?;
        let generator = Generator::start(&self.programs.loadgen, &self.reflector, &load)?;
        self.commands.push(generator.command().to_owned());
        let Finished { outcome, process_ns } = generator.finish(&mut self.reflector, interrupt)?;
        let end = Snapshot::take(self.cores, self.reflector.program().id())?;
        let relay = self.reflector.settled(interrupt)?.since(&before);
        let histogram = decode(&outcome.latency.hdr_v2_base64)?;
        let mut checks = counted(&outcome, &relay, histogram.len());
        checks.extend(end.taken_since(&start, process_ns));
        Ok(Step {
            offered_per_s: load.rate_per_s,
            outcome,
            relay,
            core: end.reflector_since(&start),
            core_elapsed_ns: u64::try_from(end.at.duration_since(start.at).as_nanos()).unwrap_or(u64::MAX),
            curve: curve(&histogram),
            checks,
        })
    }
}

/// Both cores and the reflector's share of its own, at one moment.
#[derive(Clone, Copy, Debug)]
struct Snapshot {
    at: Instant,
    is_shared: bool,
    reflector: CoreTime,
    generator: CoreTime,
    reflector_process_ns: u64,
}

impl Snapshot {
    fn take(cores: Cores, reflector_id: u32) -> anyhow::Result<Snapshot> {
        Ok(Snapshot {
            at: Instant::now(),
            is_shared: cores.sharing == Sharing::Processor,
            reflector: CoreTime::of(cores.reflector)?,
            generator: CoreTime::of(cores.generator)?,
            reflector_process_ns: process_ns(reflector_id).unwrap_or(0),
        })
    }

    /// The time of the reflector's core; none if it was the generator's as well, because nothing tells them apart.
    fn reflector_since(&self, start: &Snapshot) -> CoreTime {
        if self.is_shared { CoreTime::default() } else { self.reflector.since(&start.reflector) }
    }

    /// What others took of each core; nothing is known of a processor that both programs share.
    fn taken_since(&self, start: &Snapshot, generator_ns: u64) -> Vec<Check> {
        if self.is_shared {
            return Vec::new();
        }
        let elapsed = self.at.duration_since(start.at);
        let reflector_ns = self.reflector_process_ns.saturating_sub(start.reflector_process_ns);
        let reflector = self.reflector.since(&start.reflector).taken_by_others(reflector_ns, elapsed);
        let generator = self.generator.since(&start.generator).taken_by_others(generator_ns, elapsed);
        let [of_reflector, of_generator] = DISTURBANCES;
        vec![
            check(of_reflector, reflector, MOST_TAKEN, "fraction"),
            check(of_generator, generator, MOST_TAKEN, "fraction"),
        ]
    }
}

/// What must be so if both programs count well.
fn counted(outcome: &Outcome, relay: &Counters, histogram_count: u64) -> Vec<Check> {
    let arrived = outcome.data.delivered + outcome.data.refused() + outcome.data.duplicates;
    [
        ("conservation", relay.received.abs_diff(relay.accounted())),
        ("arrived-beyond-relayed", arrived.saturating_sub(relay.relayed)),
        ("histogram-beside-delivered", histogram_count.abs_diff(outcome.data.delivered)),
    ]
    .map(|(name, found)| check(name, float(found), 0.0, "count"))
    .to_vec()
}

fn check(name: &str, value: f64, bound: f64, unit: &str) -> Check {
    Check {
        name: name.to_owned(),
        value: Some(value),
        relation: "<=".to_owned(),
        bound,
        unit: unit.to_owned(),
        holds: value <= bound,
    }
}

/// How long a core is looked at to call it calm.
const CALM_SLICE: Duration = Duration::from_millis(500);
/// How often.
const CALM_SLICES: u8 = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn failed(checks: &[Check]) -> Vec<&str> {
        checks.iter().filter(|check| !check.holds).map(|check| check.name.as_str()).collect()
    }

    #[test]
    fn each_inconsistency_fails_its_own_check() {
        let Step { outcome, relay, .. } = sample::step(10_000, 0.1);
        let delivered = outcome.data.delivered;
        assert!(failed(&counted(&outcome, &relay, delivered)).is_empty());
        assert_eq!(failed(&counted(&outcome, &relay, delivered - 1)), ["histogram-beside-delivered"]);
        let lost_one = Counters { received: relay.received + 1, ..relay.clone() };
        assert_eq!(failed(&counted(&outcome, &lost_one, delivered)), ["conservation"]);
        let fewer = Counters { relayed: relay.relayed - 1, observed: relay.observed + 1, ..relay };
        assert_eq!(failed(&counted(&outcome, &fewer, delivered)), ["arrived-beyond-relayed"]);
    }

    #[test]
    fn who_takes_a_core_is_noticed_on_that_core() {
        let ms = 1_000_000;
        let start = Snapshot {
            at: Instant::now(),
            is_shared: false,
            reflector: CoreTime::default(),
            generator: CoreTime::default(),
            reflector_process_ns: 5 * ms,
        };
        let end = Snapshot {
            at: start.at + Duration::from_millis(1_000),
            reflector: CoreTime { user_ns: 600 * ms, idle_ns: 400 * ms, ..CoreTime::default() },
            generator: CoreTime { system_ns: 900 * ms, idle_ns: 100 * ms, ..CoreTime::default() },
            reflector_process_ns: 605 * ms,
            ..start
        };
        assert!(failed(&end.taken_since(&start, 900 * ms)).is_empty());
        assert_eq!(failed(&end.taken_since(&start, 700 * ms)), ["generator-core-taken"]);
        let disturbed = Snapshot { reflector_process_ns: 205 * ms, ..end };
        assert_eq!(failed(&disturbed.taken_since(&start, 900 * ms)), ["relay-core-taken"]);
        let shared = Snapshot { is_shared: true, ..disturbed };
        assert!(
            shared.taken_since(&start, 0).is_empty() && shared.reflector_since(&start) == CoreTime::default()
        );
        assert_eq!(end.reflector_since(&start).user_ns, 600 * ms);
    }
}
