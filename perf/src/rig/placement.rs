//! Which processors a reflector with several workers gets, and which the generator.
//!
//! * The reflector takes the last ones, since interrupts prefer the first; the generator as many others, at least one.
//! * Nobody shares a processor: a worker count without room for the generator is not measured, and says why.

use crate::rig::cores::{CoreTime, Cores};
use anyhow::Context;
use serde::{Deserialize, Serialize};

/// Who runs where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The reflector's processors; none: it is on another host.
    pub reflector: Vec<usize>,
    /// The generator's processors.
    pub generator: Vec<usize>,
}

impl Placement {
    /// Among the processors that may be used; `None` if there are too few.
    pub fn of(allowed: &[usize], workers: u32) -> Option<Self> {
        let workers = usize::try_from(workers).ok()?;
        let first = allowed.len().checked_sub(workers).filter(|left| *left > 0 && workers > 0)?;
        let (others, reflector) = allowed.split_at_checked(first)?;
        // As many as the reflector has, the last ones: the very first is where everything else likes to run.
        let generator = others.get(others.len().saturating_sub(workers)..)?;
        Some(Self { reflector: reflector.to_vec(), generator: generator.to_vec() })
    }

    /// One worker and one generator, each on the processor that was chosen for it, which may be the same.
    pub fn on(cores: Cores) -> Self {
        Self { reflector: vec![cores.reflector], generator: vec![cores.generator] }
    }

    /// Whether both programs run on one processor, so that nothing tells their times apart.
    pub fn is_shared(&self) -> bool {
        self.reflector.iter().any(|cpu| self.generator.contains(cpu))
    }

    /// For a reflector on another host: half of the processors for the generator, at least one.
    pub fn elsewhere(allowed: &[usize]) -> Self {
        let half = (allowed.len() / 2).max(1);
        let generator = allowed.get(allowed.len().saturating_sub(half)..).unwrap_or(allowed);
        Self { reflector: Vec::new(), generator: generator.to_vec() }
    }

    /// The mean of what some processors did since the machine's start.
    ///
    /// # Errors
    /// The kernel does not list one of them.
    pub fn mean_time(cpus: &[usize]) -> anyhow::Result<CoreTime> {
        let count = u64::try_from(cpus.len()).ok().filter(|count| *count > 0).context("no processors")?;
        let mut sum = CoreTime::default();
        for cpu in cpus {
            let time = CoreTime::of(*cpu)?;
            sum.user_ns += time.user_ns;
            sum.system_ns += time.system_ns;
            sum.softirq_ns += time.softirq_ns;
            sum.steal_ns += time.steal_ns;
            sum.idle_ns += time.idle_ns;
        }
        Ok(CoreTime {
            user_ns: sum.user_ns / count,
            system_ns: sum.system_ns / count,
            softirq_ns: sum.softirq_ns / count,
            steal_ns: sum.steal_ns / count,
            idle_ns: sum.idle_ns / count,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::cores::Sharing;

    #[test]
    fn everyone_gets_processors_of_his_own() {
        let placed =
            |workers| Placement::of(&[0, 1, 2, 3], workers).map(|each| (each.reflector, each.generator));
        assert_eq!(placed(1), Some((vec![3], vec![2])));
        assert_eq!(placed(2), Some((vec![2, 3], vec![0, 1])));
        assert_eq!(placed(3), Some((vec![1, 2, 3], vec![0])));
        assert_eq!([placed(4), placed(0), placed(9)], [None, None, None]);
        assert_eq!(Placement::of(&[5], 1), None);
        let on =
            |reflector, generator| Placement::on(Cores { reflector, generator, sharing: Sharing::Apart });
        assert!(on(5, 5).is_shared() && !on(5, 4).is_shared());
        assert_eq!(Placement::elsewhere(&[0, 1, 2, 3]).generator, [2, 3]);
        assert_eq!(Placement::elsewhere(&[7]).generator, [7]);
    }

    #[test]
    fn time_is_the_mean_of_the_processors() {
        let cpus = engine::host::affinity::allowed().unwrap();
        let mean = Placement::mean_time(&cpus).unwrap();
        assert!(mean.idle_ns + mean.user_ns + mean.system_ns > 0);
        assert!(Placement::mean_time(&[]).is_err() && Placement::mean_time(&[99_999]).is_err());
    }
}
