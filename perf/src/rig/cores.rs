//! Which processors a run uses, and how busy they were.
//!
//! * Reflector and generator get a core each; never two threads of one core if there is another choice.
//! * Busy time is what the kernel books on a processor in /proc/stat, whoever caused it.

use crate::figures::float;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::fs;
use std::time::Duration;

/// Who runs where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cores {
    /// The reflector's processor.
    pub reflector: usize,
    /// The generator's processor.
    pub generator: usize,
    /// What they share.
    pub sharing: Sharing,
}

/// What two processors share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sharing {
    /// Nothing that is known: they are two cores.
    Apart,
    /// They are threads of one core.
    Core,
    /// They are the same one.
    Processor,
}

impl Cores {
    /// Chooses among the processors that this process may use.
    ///
    /// # Errors
    /// The kernel does not tell which.
    pub fn choose() -> anyhow::Result<Self> {
        let allowed =
            engine::host::affinity::allowed().context("cannot read the processors that may be used")?;
        among(&allowed, siblings).context("there is no processor that may be used")
    }

    /// Why the reflector's figures are not its own, if they are not.
    pub fn caveat(&self) -> Option<&'static str> {
        match self.sharing {
            Sharing::Apart => None,
            Sharing::Core => Some("reflector and generator ran on two threads of one core"),
            Sharing::Processor => Some("reflector and generator shared the only processor"),
        }
    }
}

/// Time of one processor, ns.
///
/// How long it was not idle the kernel knows exactly; whose time that was it samples with its tick, which misses much of
/// what is busy only for moments. So busy time is what is not idle, and the samples only split it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoreTime {
    /// In programs.
    pub user_ns: u64,
    /// In the kernel for programs.
    pub system_ns: u64,
    /// In interrupts and soft interrupts: the network stack delivering.
    pub softirq_ns: u64,
    /// Taken by the hypervisor.
    pub steal_ns: u64,
    /// Not busy.
    pub idle_ns: u64,
}

impl CoreTime {
    /// Since the machine's start.
    ///
    /// # Errors
    /// The kernel does not list this processor.
    pub fn of(cpu: usize) -> anyhow::Result<Self> {
        let text = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
        parse(&text, cpu).with_context(|| format!("/proc/stat does not list processor {cpu}"))
    }

    /// Since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            user_ns: self.user_ns.saturating_sub(before.user_ns),
            system_ns: self.system_ns.saturating_sub(before.system_ns),
            softirq_ns: self.softirq_ns.saturating_sub(before.softirq_ns),
            steal_ns: self.steal_ns.saturating_sub(before.steal_ns),
            idle_ns: self.idle_ns.saturating_sub(before.idle_ns),
        }
    }

    /// Busy time in a span that lasted so long, split into user, system and soft interrupt, ns; `None` if no tick
    /// found it busy.
    pub fn busy(&self, elapsed: Duration) -> Option<[f64; 3]> {
        let samples = [self.user_ns, self.system_ns, self.softirq_ns].map(float);
        let sampled: f64 = samples.iter().sum();
        let elapsed_ns = elapsed.as_secs_f64() * 1e9;
        let busy = (elapsed_ns - float(self.idle_ns) - float(self.steal_ns)).max(0.0);
        (sampled > 0.0).then(|| samples.map(|part| part / sampled * busy))
    }

    /// The part of this span that others than a process with so much CPU time took, the hypervisor included.
    ///
    /// Soft interrupts are nobody's: some kernels book them on the process that they interrupt, some do not.
    pub fn taken_by_others(&self, process_ns: u64, elapsed: Duration) -> f64 {
        let [user, system, _] = self.busy(elapsed).unwrap_or_default();
        let others_ns = (user + system - float(process_ns)).max(0.0) + float(self.steal_ns);
        others_ns / 1e9 / elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// The reflector takes the last processor, since interrupts prefer the first; the generator one of another core.
fn among(allowed: &[usize], siblings: impl Fn(usize) -> Vec<usize>) -> Option<Cores> {
    let reflector = *allowed.last()?;
    let same_core = siblings(reflector);
    let others = || allowed.iter().rev().copied().filter(|cpu| *cpu != reflector);
    let (generator, sharing) = match others().find(|cpu| !same_core.contains(cpu)) {
        Some(cpu) => (cpu, Sharing::Apart),
        None => others().next().map_or((reflector, Sharing::Processor), |cpu| (cpu, Sharing::Core)),
    };
    Some(Cores { reflector, generator, sharing })
}

/// The processors of one core, as sysfs lists them: `0,4` or `0-1`.
fn siblings(cpu: usize) -> Vec<usize> {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
    list(&fs::read_to_string(path).unwrap_or_default())
}

fn list(text: &str) -> Vec<usize> {
    let parts = text.trim().split(',').filter_map(|part| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        Some(from.parse().ok()?..=to.parse().ok()?)
    });
    parts.flatten().collect()
}

/// proc(5): user, nice, system, idle, iowait, irq, softirq, steal, in hundredths of a second.
fn parse(text: &str, cpu: usize) -> Option<CoreTime> {
    let name = format!("cpu{cpu}");
    let mut words = text
        .lines()
        .map(str::split_ascii_whitespace)
        .find_map(|mut line| (line.next()? == name).then_some(line))?;
    let mut ns = || words.next()?.parse::<u64>().ok()?.checked_mul(NS_PER_TICK);
    let (user, nice, system, idle, iowait) = (ns()?, ns()?, ns()?, ns()?, ns()?);
    let (irq, softirq, steal) = (ns()?, ns()?, ns()?);
    Some(CoreTime {
        user_ns: user + nice,
        system_ns: system,
        softirq_ns: irq + softirq,
        steal_ns: steal,
        idle_ns: idle + iowait,
    })
}

/// USER_HZ is 100 on every architecture that Linux has today (time(7)).
const NS_PER_TICK: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gets_a_core_of_its_own_if_there_is_one() {
        let pairs = |cpu: usize| vec![cpu % 2, cpu % 2 + 2];
        let chosen = |allowed: &[usize]| {
            let cores = among(allowed, pairs)?;
            Some((cores.reflector, cores.generator, cores.sharing))
        };
        assert_eq!(chosen(&[0, 1, 2, 3]), Some((3, 2, Sharing::Apart)));
        assert_eq!(chosen(&[1, 2, 3]), Some((3, 2, Sharing::Apart)));
        assert_eq!(chosen(&[1, 3]), Some((3, 1, Sharing::Core)));
        assert_eq!(chosen(&[7]), Some((7, 7, Sharing::Processor)));
        assert_eq!(chosen(&[]), None);
        assert_eq!(list("0,4-6\n"), [0, 4, 5, 6]);
        assert!(list("").is_empty());
    }

    #[test]
    fn what_others_took_is_told() {
        let core = CoreTime { user_ns: 30, system_ns: 70, softirq_ns: 100, steal_ns: 100, idle_ns: 100 };
        let elapsed = Duration::from_nanos(1_000);
        assert_eq!(core.busy(elapsed), Some([120.0, 280.0, 400.0]));
        let taken = |process_ns| core.taken_by_others(process_ns, elapsed);
        assert_eq!([taken(300), taken(400), taken(2_000)], [0.2, 0.1, 0.1]);
        assert_eq!(CoreTime::default().busy(elapsed), None);
    }

    #[test]
    fn the_kernels_ticks_are_read() {
        let text = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu1 5 1 2 7 7 1 3 4 0 0\nintr 1\n";
        let time = parse(text, 1).unwrap();
        let expected = [60, 20, 40, 40].map(|ms| ms * 1_000_000);
        assert_eq!([time.user_ns, time.system_ns, time.softirq_ns, time.steal_ns], expected);
        assert_eq!(time.idle_ns, 140_000_000);
        assert_eq!(parse(text, 0), None);
        let later = CoreTime { user_ns: time.user_ns + 500, ..time };
        assert_eq!(later.since(&time), CoreTime { user_ns: 500, ..CoreTime::default() });
        let cores = Cores::choose().unwrap();
        assert!(CoreTime::of(cores.reflector).is_ok());
    }
}
