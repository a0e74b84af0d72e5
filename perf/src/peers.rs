//! `peers`: what one core relays here, and what it relays with a TURN server, in one run on one machine.
//!
//! * All subjects stand on stages of their own and take turns: A B C A B C ...; what disturbs the machine for longer
//!   than a turn disturbs all of them.
//! * First each subject's capacity is searched, then rounds at half of it; the first round is thrown away.
//! * A run that may not be believed is repeated; if it stays so, its round has no figure of that subject.

use crate::ceiling::{self, Ceiling};
use crate::comparison::{Comparison, Counted, Peer, SCHEMA, Settings};
use crate::cores::Cores;
use crate::coturn;
use crate::environment::{Environment, Fact, fact};
use crate::figures::{count, float, floored, percent, time};
use crate::goal::Goal;
use crate::lacks;
use crate::pace::Pace;
use crate::row::Row;
use crate::search::Search;
use crate::stage::{self, Load, Stage};
use crate::subject::{Subject, Traffic};
use crate::trial::{Purpose, Trial};
use anyhow::{Context, bail};
use lab::interrupt::Interrupt;
use lab::programs::Programs;
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
        let mut run = Run::open(self, cores, programs, interrupt, progress)?;
        run.search_all()?;
        run.rounds()?;
        let trials = std::mem::take(&mut run.trials);
        let mut rows = Vec::new();
        for (subject, _) in &run.stages {
            for traffic in Traffic::ALL {
                rows.push(Row::of(*subject, traffic, &trials)?);
            }
        }
        Ok(Comparison {
            schema: SCHEMA,
            started_unix_s,
            elapsed_s: began.elapsed().as_secs(),
            settings: self.settings(),
            cores,
            goals: Goal::all(&trials),
            caveats: self.caveats(cores),
            environment: Environment::read(programs),
            cable: run.cable()?,
            counted: run.counted()?,
            commands: run.commands(),
            peers: run.peers,
            rows,
            trials,
        })
    }

    fn settings(&self) -> Settings {
        let ns = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let effort = self.effort();
        Settings {
            endpoints: self.endpoints,
            payload_bytes: self.payload_bytes,
            rounds: self.rounds,
            duration_ns: ns(effort.round),
            warmup_ns: ns(effort.warmup),
            is_short: self.is_short,
        }
    }

    fn effort(&self) -> Effort {
        let ms = Duration::from_millis;
        if self.is_short {
            Effort { most_tries: 2, more_for_ndr: 0, search: ms(300), round: ms(300), warmup: ms(100) }
        } else {
            Effort { most_tries: 9, more_for_ndr: 3, search: ms(700), round: ms(1_200), warmup: ms(200) }
        }
    }

    fn caveats(&self, cores: Cores) -> Vec<String> {
        let short = self.is_short.then_some("runs too short for figures");
        let all = [Some("veth, not a NIC: good for ratios, not for planning"), cores.caveat(), short];
        all.into_iter().flatten().map(str::to_owned).collect()
    }
}

/// How long and how often.
#[derive(Clone, Copy, Debug)]
struct Effort {
    most_tries: usize,
    more_for_ndr: usize,
    search: Duration,
    round: Duration,
    warmup: Duration,
}

/// A comparison under way.
struct Run<'a> {
    effort: Effort,
    rounds: u32,
    first_per_s: u64,
    stages: Vec<(Subject, Stage)>,
    peers: Vec<Peer>,
    trials: Vec<Trial>,
    pace: Pace,
    interrupt: &'a Interrupt,
    progress: &'a mut dyn FnMut(&str),
}

impl<'a> Run<'a> {
    /// Puts every subject on its stage; one that cannot be is left out, and says why.
    fn open(
        peers: &Peers,
        cores: Cores,
        programs: &Programs,
        interrupt: &'a Interrupt,
        progress: &'a mut dyn FnMut(&str),
    ) -> anyhow::Result<Run<'a>> {
        let settings = stage::Settings { endpoints: peers.endpoints, payload_bytes: peers.payload_bytes };
        let (mut stages, mut compared) = (Vec::new(), Vec::new());
        for subject in Subject::ALL {
            interrupt.check()?;
            let mut absent = lacks::absence(subject, programs);
            if let Ok(only) = std::env::var("PEERS_ONLY") {
                if !only.contains(&format!("{subject:?}")) {
                    absent = Some("PEERS_ONLY".to_owned());
                }
            }
            if absent.is_none() {
                progress(&format!("starting {subject} ..."));
                match Stage::open(subject, settings, cores, programs, interrupt) {
                    Ok(stage) => stages.push((subject, stage)),
                    // Which engines run here is for the reflector to say; everything else has to be there.
                    Err(error) if subject == Subject::Uring => absent = Some(format!("{error:#}")),
                    Err(error) => return Err(error).with_context(|| format!("cannot start {subject}")),
                }
            }
            if let Some(reason) = &absent {
                progress(&format!("{subject} is left out: {reason}"));
            }
            compared.push(Peer { subject, version: version(subject, programs), absent });
        }
        let effort = peers.effort();
        let runs = stages.len() * (2 * effort.most_tries + 3 * (peers.rounds as usize + 1));
        Ok(Run {
            effort,
            rounds: peers.rounds,
            first_per_s: FIRST_PER_S,
            stages,
            peers: compared,
            trials: Vec::new(),
            pace: Pace::new(runs, Instant::now()),
            interrupt,
            progress,
        })
    }

    /// Every subject's capacity under both kinds of traffic.
    fn search_all(&mut self) -> anyhow::Result<()> {
        for place in 0..self.stages.len() {
            for traffic in Traffic::ALL {
                self.search(place, traffic)?;
            }
        }
        Ok(())
    }

    fn search(&mut self, place: usize, traffic: Traffic) -> anyhow::Result<()> {
        let mut tries: Vec<Trial> = Vec::new();
        let first = self.first_try(place, traffic)?;
        let search =
            Search { first_per_s: first, factor: 2, most_tries: self.effort.most_tries, small_gap: 16 };
        while let Some(rate_per_s) = ceiling::next(search, &tries, self.effort.more_for_ndr) {
            let load = Load { traffic, rate_per_s, duration: self.effort.search, warmup: self.effort.warmup };
            let round = u32::try_from(tries.len()).unwrap_or(u32::MAX);
            let trial = self.trial(place, Purpose::Search, round, &load)?;
            tries.push(trial);
        }
        self.pace.skip(self.effort.most_tries.saturating_sub(tries.len()));
        self.trials.append(&mut tries);
        Ok(())
    }

    /// A rate that the subject surely relays, from what a datagram costs it at a low one.
    fn first_try(&mut self, place: usize, traffic: Traffic) -> anyhow::Result<u64> {
        let load = Load {
            traffic,
            rate_per_s: self.first_per_s,
            duration: self.effort.search,
            warmup: self.effort.warmup,
        };
        let trial = self.trial(place, Purpose::Search, 0, &load)?;
        let core_ns = trial.core_total_ns().unwrap_or(SLOW_NS);
        Ok(floored(1e9 / core_ns / 2.0, 2).max(self.first_per_s / 2))
    }

    /// The rounds at half load, all subjects in turn; the first is thrown away.
    fn rounds(&mut self) -> anyhow::Result<()> {
        let plan = self.plan();
        self.pace.set_left(plan.len() * (self.rounds as usize + 1));
        for round in 0..=self.rounds {
            for (place, purpose, load) in &plan {
                for _ in 0..MOST_TRIES_A_ROUND {
                    let trial = self.trial(*place, *purpose, round, load)?;
                    let is_believed = trial.is_believed();
                    self.trials.push(trial);
                    if is_believed {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// One round: whom to load with what.
    fn plan(&self) -> Vec<(usize, Purpose, Load)> {
        let mut plan = Vec::new();
        for traffic in Traffic::ALL {
            let ceilings: Vec<Ceiling> =
                self.stages.iter().map(|(subject, _)| self.ceiling(*subject, traffic)).collect();
            let places = || self.stages.iter().map(|(subject, _)| *subject).zip(&ceilings).enumerate();
            let load = |rate_per_s| Load {
                traffic,
                rate_per_s,
                duration: self.effort.round,
                warmup: self.effort.warmup,
            };
            plan.extend(
                places()
                    .filter_map(|(place, (_, own))| Some((place, Purpose::Half, load(own.half_per_s()?)))),
            );
            let of_mio = places().find(|(_, (subject, _))| *subject == Subject::Mio);
            let Some(of_mio) = of_mio.and_then(|(_, (_, own))| own.half_per_s()) else { continue };
            let can = |own: &Ceiling| {
                own.capacity_per_s().is_some_and(|capacity| capacity * MOST_OF_CAPACITY > float(of_mio))
            };
            plan.extend(
                places()
                    .filter(|(_, (subject, own))| *subject != Subject::Mio && can(own))
                    .map(|(place, _)| (place, Purpose::HalfOfMio, load(of_mio))),
            );
        }
        plan
    }

    fn ceiling(&self, subject: Subject, traffic: Traffic) -> Ceiling {
        let is_own = |trial: &&Trial| {
            (trial.subject, trial.traffic, trial.purpose) == (subject, traffic, Purpose::Search)
        };
        Ceiling::of(&self.trials.iter().filter(is_own).cloned().collect::<Vec<_>>())
    }

    fn trial(&mut self, place: usize, purpose: Purpose, round: u32, load: &Load) -> anyhow::Result<Trial> {
        let (subject, stage) = self.stages.get_mut(place).context("no such stage")?;
        let subject = *subject;
        let (outcome, span) = stage.run(load, self.interrupt)?;
        let about = (subject, load.traffic, purpose, round);
        let trial = Trial::of(about, load.rate_per_s, &outcome, span.as_ref());
        self.pace.done();
        let left = self.pace.left(Instant::now());
        (self.progress)(&format!("{}; {left}", told(&trial)));
        Ok(trial)
    }

    /// What the relays counted since their start, once nothing moves.
    fn counted(&self) -> anyhow::Result<Vec<Counted>> {
        let mut counted = Vec::new();
        for (subject, stage) in &self.stages {
            let until = Instant::now() + SETTLE;
            while let Some((counters, passed)) = stage.counters()? {
                let found = Counted { subject: *subject, counters, passed };
                if found.is_conserved() || Instant::now() > until {
                    counted.push(found);
                    break;
                }
                self.interrupt.sleep(Duration::from_millis(50));
            }
        }
        Ok(counted)
    }

    /// What is done at both ends of a cable; all cables are alike.
    fn cable(&self) -> anyhow::Result<Vec<Fact>> {
        let Some((_, stage)) = self.stages.first() else { return Ok(Vec::new()) };
        let [generator, relay] = stage.features()?;
        let shown = |features: Vec<String>| features.join(", ");
        Ok(vec![
            fact("Generator's end", shown(generator)),
            fact("Relay's end", shown(relay)),
            fact("Who serves an end", stage::SERVED_BY),
        ])
    }

    /// The relays' command lines, and of each the generator's first.
    fn commands(&self) -> Vec<String> {
        self.stages.iter().flat_map(|(_, stage)| stage.commands().iter().take(2).cloned()).collect()
    }
}

/// A run in one line, for progress.
fn told(trial: &Trial) -> String {
    let core = trial.core_total_ns().map_or_else(|| "–".to_owned(), time)
        + &trial.own_ns.map_or_else(String::new, |own| format!(" (own {})", time(own)));
    let p99 = trial.latency_ns.map_or_else(|| "–".to_owned(), |[_, p99, _]| time(float(p99)));
    let what = match trial.purpose {
        Purpose::Search => "search".to_owned(),
        Purpose::Half => format!("round {}", trial.round),
        Purpose::HalfOfMio => format!("round {}, at half of mio's", trial.round),
    };
    let doubt = if trial.is_believed() { String::new() } else { format!(" ({})", trial.failed.join(", ")) };
    format!(
        "{}, {}, {what}: {}/s, {} lost, core {core}, p99 {p99}{doubt}",
        trial.subject,
        trial.traffic,
        count(trial.offered_per_s),
        percent(trial.loss()),
    )
}

/// The version of a subject as its figure names it.
fn version(subject: Subject, programs: &Programs) -> String {
    let unknown = || "unknown".to_owned();
    match subject {
        Subject::Coturn => coturn::version().unwrap_or_else(unknown),
        Subject::Mio | Subject::Uring | Subject::Xdp => crate::environment::reflector_version(programs),
        Subject::Forwarder | Subject::Swap => env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// The first rate of a search; any subject relays it.
const FIRST_PER_S: u64 = 20_000;
/// Core-time of a datagram where it could not be measured, ns.
const SLOW_NS: f64 = 20_000.0;
/// How often a run is tried in one round.
const MOST_TRIES_A_ROUND: u32 = 3;
/// A subject can stand a rate up to this part of its capacity.
const MOST_OF_CAPACITY: f64 = 0.9;
/// How long counters may move after a load has ended.
const SETTLE: Duration = Duration::from_secs(5);
