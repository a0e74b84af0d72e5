//! `peers`: what one core relays here, and what it relays with a TURN server, in one run on one machine.
//!
//! * All subjects stand on stages of their own and take turns: A B C A B C ...; what disturbs the machine for longer
//!   than a turn disturbs all of them.
//! * About ten minutes; `--short` is for checking that everything works, not for figures.
//! * A veth is no network interface: the result says so.

pub mod comparison;
pub mod contest;
pub mod goal;
pub mod page;
pub mod picture;
pub mod report;
pub mod round;
pub mod row;
pub mod table;

use crate::peers::comparison::{Comparison, Curve, SCHEMA, Settings};
use crate::peers::contest::{Contest, Effort};
use crate::peers::goal::Goal;
use crate::peers::round::Lengths;
use crate::peers::row::Row;
use crate::rig::cores::Cores;
use crate::rig::environment::Environment;
use crate::rig::lacks;
use crate::rig::stage;
use crate::rig::subject::Traffic;
use anyhow::bail;
use lab::programs::found::Programs;
use lab::programs::interrupt::Interrupt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Peers {
    /// Endpoints, each of which sends to the next one.
    pub endpoints: u32,
    /// Bytes behind the head.
    pub payload_bytes: u32,
    /// Rounds that count.
    pub rounds: u32,
    /// Between two polls of the relay's interface while frames come, us; 0: frames wake it.
    pub moderation_us: u32,
    /// Fewer and shorter runs.
    pub is_short: bool,
}

impl Peers {
    /// Compares, telling `progress` line by line what happens.
    ///
    /// # Errors
    /// Something is missing, a program failed, or the run was interrupted; nothing is left running.
    pub fn run(
        &self,
        programs: &Programs,
        interrupt: &Interrupt,
        progress: &mut dyn FnMut(&str),
    ) -> anyhow::Result<Comparison> {
        if let Some(lack) = lacks::generator(programs) {
            bail!("{lack}");
        }
        let began = Instant::now();
        let started_unix_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let cores = Cores::choose()?;
        let settings = stage::Settings {
            endpoints: self.endpoints,
            payload_bytes: self.payload_bytes,
            moderation_us: self.moderation_us,
        };
        let mut contest = Contest::open(self.effort(), settings, cores, programs, interrupt, progress)?;
        let mut runs = contest.run()?;
        let lines = contest.subjects().flat_map(|subject| Traffic::ALL.map(|traffic| (subject, traffic)));
        let rows: anyhow::Result<Vec<Row>> =
            lines.map(|(subject, traffic)| Row::of(subject, traffic, &runs)).collect();
        let (goals, curves) = (Goal::all(&runs), Curve::all(&runs)?);
        // Their sum is in rows and curves; of each run they would fill a megabyte.
        runs.iter_mut().for_each(|run| run.hdr_v2_base64.clear());
        Ok(Comparison {
            schema: SCHEMA,
            started_unix_s,
            elapsed_s: began.elapsed().as_secs(),
            settings: self.settings(),
            cores,
            peers: contest.peers().to_vec(),
            rows: rows?,
            goals,
            caveats: self.caveats(cores),
            environment: Environment::read(programs),
            cable: contest.cable()?,
            counted: contest.counted()?,
            commands: contest.commands(),
            curves,
            runs,
        })
    }

    fn settings(&self) -> Settings {
        let ns = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let Lengths { duration, warmup } = self.effort().round;
        Settings {
            endpoints: self.endpoints,
            payload_bytes: self.payload_bytes,
            moderation_us: self.moderation_us,
            rounds: self.rounds,
            duration_ns: ns(duration),
            warmup_ns: ns(warmup),
            is_short: self.is_short,
        }
    }

    fn effort(&self) -> Effort {
        let ms = Duration::from_millis;
        let lengths = |duration, warmup| Lengths { duration: ms(duration), warmup: ms(warmup) };
        let rounds = self.rounds;
        if self.is_short {
            return Effort {
                most_tries: 1,
                more_for_ndr: 0,
                search: ms(200),
                rounds,
                most_tries_a_round: 1,
                round: lengths(200, 50),
                patience: Duration::ZERO,
                otherwise_per_s: Some(SHORT_PER_S),
            };
        }
        Effort {
            most_tries: 9,
            more_for_ndr: 3,
            search: ms(700),
            rounds,
            most_tries_a_round: 3,
            round: lengths(1_200, 200),
            patience: Duration::from_secs(120),
            otherwise_per_s: None,
        }
    }

    fn caveats(&self, cores: Cores) -> Vec<String> {
        let short = self.is_short.then_some("runs too short for figures");
        let all = [Some("veth, not a NIC"), cores.caveat(), short];
        all.into_iter().flatten().map(str::to_owned).collect()
    }
}

/// The rate of a short round where no capacity was found: any machine relays it.
const SHORT_PER_S: u64 = 5_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::cores::Sharing;

    #[test]
    fn caveats_and_settings_travel_with_the_result() {
        let peers =
            Peers { endpoints: 1_000, payload_bytes: 168, rounds: 7, moderation_us: 0, is_short: true };
        let cores = Cores { reflector: 0, generator: 0, sharing: Sharing::Processor };
        assert_eq!(peers.caveats(cores).len(), 3);
        assert_eq!((peers.settings().rounds, peers.settings().duration_ns), (7, 200_000_000));
        let whole = Peers { is_short: false, ..peers };
        assert_eq!(whole.effort().otherwise_per_s, None);
    }
}
