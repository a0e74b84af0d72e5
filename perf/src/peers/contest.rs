//! Subjects on their stages, taking turns.
//!
//! * First each subject's capacity is searched, then rounds at half of it, all subjects in turn; round 0 warms up.
//! * A run that may not be believed is repeated; if it stays so, its round has no figure of that subject.
//! * A generator that fails is tried again, since a busy machine starves it; failing again and again is an error.
//! * Dropped, it leaves nothing running.

use crate::figures::{count, float, floored, percent, time};
use crate::judge::ceiling;
use crate::judge::ceiling::Ceiling;
use crate::peers::comparison::{Counted, Peer};
use crate::peers::round::{Found, Lengths, Turn, turns};
use crate::rig::awake::Awake;
use crate::rig::cores::{CoreTime, Cores};
use crate::rig::coturn;
use crate::rig::environment::{Fact, fact, reflector_version};
use crate::rig::lacks;
use crate::rig::pace::Pace;
use crate::rig::run::{About, Costs, Purpose, Run};
use crate::rig::stage;
use crate::rig::stage::{Load, Stage};
use crate::rig::subject::{Entry, Subject, Traffic};
use anyhow::Context;
use lab::programs::found::Programs;
use lab::programs::interrupt::{Interrupt, Interrupted};
use lab::programs::relay::Counters;
use search::Search;
use std::time::{Duration, Instant};

/// How long and how often.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Tries of a search.
    pub most_tries: usize,
    /// Tries beyond these for the rate without any loss.
    pub more_for_ndr: usize,
    /// Measured phase of a try.
    pub search: Duration,
    /// Rounds that count.
    pub rounds: u32,
    /// How often a run of a round is tried until it may be believed.
    pub most_tries_a_round: u32,
    /// Measured phase and warm-up of a run in a round.
    pub round: Lengths,
    /// How long all of it may wait for others to leave the cores alone.
    pub patience: Duration,
    /// The rate of half load where none was found; without it such a subject is left out of the rounds.
    pub otherwise_per_s: Option<u64>,
}

/// A comparison under way.
pub struct Contest<'a> {
    effort: Effort,
    stages: Vec<(Subject, Stage)>,
    peers: Vec<Peer>,
    runs: Vec<Run<Entry>>,
    pace: Pace,
    settings: stage::Settings,
    cores: Cores,
    awake: Awake,
    interrupt: &'a Interrupt,
    progress: &'a mut dyn FnMut(&str),
}

impl<'a> Contest<'a> {
    /// Puts every subject on its stage; one that cannot be is left out, and says why.
    ///
    /// # Errors
    /// A subject that has to be there cannot be started, or somebody asked to stop.
    pub fn open(
        effort: Effort,
        settings: stage::Settings,
        cores: Cores,
        programs: &Programs,
        interrupt: &'a Interrupt,
        progress: &'a mut dyn FnMut(&str),
    ) -> anyhow::Result<Self> {
        let (mut stages, mut peers) = (Vec::new(), Vec::new());
        for subject in Subject::ALL {
            interrupt.check()?;
            let mut absent = lacks::absence(subject, programs);
            if absent.is_none() {
                progress(&format!("starting {subject} ..."));
                match Stage::open(subject, settings, cores, programs, interrupt) {
                    Ok(stage) => stages.push((subject, stage)),
                    Err(error) if error.is::<Interrupted>() => return Err(error),
                    // Which engines run here is for the reflector to say; everything else has to be there.
                    Err(error) if subject == Subject::Uring => absent = Some(format!("{error:#}")),
                    Err(error) => return Err(error).with_context(|| format!("cannot start {subject}")),
                }
            }
            if let Some(reason) = &absent {
                progress(&format!("{subject} is left out: {reason}"));
            }
            peers.push(Peer { subject, version: version(subject, programs), absent });
        }
        let rounds = usize::try_from(effort.rounds + 1).unwrap_or(usize::MAX);
        let runs = stages.len() * (2 * (effort.most_tries + 1) + 3 * rounds);
        let (pace, awake, runs) = (Pace::new(runs, Instant::now()), Awake::ask(), Vec::new());
        Ok(Contest { effort, stages, peers, runs, pace, settings, cores, awake, interrupt, progress })
    }

    /// Searches, then goes through all rounds; every run of it.
    ///
    /// # Errors
    /// A program failed, or somebody asked to stop.
    pub fn run(&mut self) -> anyhow::Result<Vec<Run<Entry>>> {
        let subjects: Vec<Subject> = self.subjects().collect();
        for subject in subjects {
            for traffic in Traffic::ALL {
                self.search(subject, traffic)?;
            }
        }
        self.rounds()?;
        Ok(std::mem::take(&mut self.runs))
    }

    /// Those that take turns.
    pub fn subjects(&self) -> impl Iterator<Item = Subject> {
        self.stages.iter().map(|(subject, _)| *subject)
    }

    /// Everyone, those that were left out included.
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// What the relays counted since their start, once nothing moves.
    ///
    /// # Errors
    /// One of them does not answer.
    pub fn counted(&self) -> anyhow::Result<Vec<Counted>> {
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
    ///
    /// # Errors
    /// What `ethtool` says.
    pub fn cable(&self) -> anyhow::Result<Vec<Fact>> {
        let Some((_, stage)) = self.stages.first() else { return Ok(Vec::new()) };
        let [generator, relay] = stage.features()?;
        Ok(vec![
            fact("Generator's end", generator.join(", ")),
            fact("Relay's end", relay.join(", ")),
            fact("Who serves an end", "a kernel thread (threaded NAPI) on its host's core, SCHED_FIFO 2"),
            fact("The relay", "SCHED_FIFO 1: behind its interface, before everything else"),
            fact("Moderation of the relay's end", format!("{} µs", self.settings.moderation_us)),
            fact("Idle processors", self.awake.in_words()),
        ])
    }

    /// The relays' command lines, and of each the generator's first.
    pub fn commands(&self) -> Vec<String> {
        self.stages.iter().flat_map(|(_, stage)| stage.commands().iter().take(2).cloned()).collect()
    }

    fn search(&mut self, subject: Subject, traffic: Traffic) -> anyhow::Result<()> {
        let warmup = self.effort.round.warmup;
        let load = |rate_per_s, duration| Load { traffic, rate_per_s, duration, warmup };
        let first = self.load(subject, Purpose::Search, 0, &load(FIRST_PER_S, self.effort.search))?;
        // What a datagram costs at a low rate is more than it costs at a high one: this is surely relayed.
        let core_ns = first.core_total_ns().unwrap_or(SLOW_NS);
        let search = Search {
            first_per_s: floored(1e9 / core_ns / 2.0, 2).max(FIRST_PER_S / 2),
            factor: 2,
            most_tries: self.effort.most_tries,
            most_failures: 3,
            small_gap: 16,
        };
        // A search of one try has it behind itself.
        let mut tries = if self.effort.most_tries == 1 { vec![first] } else { Vec::new() };
        while let Some(rate_per_s) = ceiling::next(search, &tries, self.effort.more_for_ndr) {
            let number = u32::try_from(tries.len()).unwrap_or(u32::MAX);
            let load = load(rate_per_s, self.effort.search);
            tries.push(self.load(subject, Purpose::Search, number, &load)?);
        }
        self.pace.skip(self.effort.most_tries.saturating_sub(tries.len()));
        self.runs.append(&mut tries);
        Ok(())
    }

    /// The rounds at half load, all subjects in turn; the first is thrown away.
    fn rounds(&mut self) -> anyhow::Result<()> {
        let found: Vec<Found> = self
            .subjects()
            .flat_map(|subject| Traffic::ALL.map(|traffic| (subject, traffic)))
            .map(|(subject, traffic)| Found { subject, traffic, ceiling: self.ceiling(subject, traffic) })
            .collect();
        let turns = turns(&found, self.effort.round, self.effort.otherwise_per_s);
        let rounds = usize::try_from(self.effort.rounds + 1).unwrap_or(usize::MAX);
        self.pace.set_left(turns.len().saturating_mul(rounds));
        for round in 0..=self.effort.rounds {
            for Turn { subject, purpose, load } in &turns {
                for _ in 0..self.effort.most_tries_a_round {
                    let run = self.load(*subject, *purpose, round, load)?;
                    let is_believed = run.is_believed();
                    self.runs.push(run);
                    if is_believed {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    fn ceiling(&self, subject: Subject, traffic: Traffic) -> Ceiling {
        let is_own = |run: &&Run<Entry>| {
            (run.cell.subject, run.cell.traffic, run.purpose) == (subject, traffic, Purpose::Search)
        };
        Ceiling::of(&self.runs.iter().filter(is_own).cloned().collect::<Vec<_>>())
    }

    fn load(
        &mut self,
        subject: Subject,
        purpose: Purpose,
        round: u32,
        load: &Load,
    ) -> anyhow::Result<Run<Entry>> {
        for (kept, stage) in &mut self.stages {
            stage.keep(self.interrupt).with_context(|| kept.to_string())?;
        }
        let own = |(other, _): &&mut (Subject, Stage)| *other == subject;
        let (_, stage) = self.stages.iter_mut().find(own).context("no such stage")?;
        let mut failures = 0;
        let (outcome, span) = loop {
            match stage.run(load, self.interrupt) {
                Err(error) if !error.is::<Interrupted>() && failures < MOST_FAILURES => {
                    failures += 1;
                    (self.progress)(&format!("{subject}, {}: {error:#}; once more", load.traffic));
                }
                ended => break ended.with_context(|| format!("{subject}, {}", load.traffic))?,
            }
        };
        let cell = Entry { subject, traffic: load.traffic };
        let (about, costs) = (About { cell, purpose, round }, span.as_ref().map(Costs::from));
        let run = Run::of(about, load.rate_per_s, &outcome, Counters::default(), &costs.unwrap_or_default());
        self.pace.done();
        let left = self.pace.left(Instant::now());
        (self.progress)(&format!("{}; {left}", told(&run)));
        if run.is_disturbed() {
            self.wait_for_calm()?;
        }
        Ok(run)
    }

    /// Waits until hardly anything runs on both cores, as long as there is patience left.
    fn wait_for_calm(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        while began.elapsed() < self.effort.patience.min(LONGEST_WAIT) {
            let before = self.idle()?;
            self.interrupt.sleep(CALM);
            self.interrupt.check()?;
            let idle = self.idle()?.into_iter().zip(before).map(|(now, before)| now.saturating_sub(before));
            if idle.min().is_some_and(|least_ns| float(least_ns) > CALM_PART * CALM.as_secs_f64() * 1e9) {
                break;
            }
        }
        self.effort.patience = self.effort.patience.saturating_sub(began.elapsed());
        Ok(())
    }

    /// Idle time of both cores, ns.
    fn idle(&self) -> anyhow::Result<[u64; 2]> {
        Ok([CoreTime::of(self.cores.generator)?.idle_ns, CoreTime::of(self.cores.reflector)?.idle_ns])
    }
}

/// A run in one line, for progress.
fn told(run: &Run<Entry>) -> String {
    let core = run.core_total_ns().map_or_else(|| "–".to_owned(), time);
    let p99 = run.latency.map_or_else(|| "–".to_owned(), |latency| time(float(latency.p99_ns)));
    let what = match run.purpose {
        Purpose::Search => "search".to_owned(),
        Purpose::HalfOfEpoll => format!("round {}, {}", run.round, run.purpose.words()),
        _ => format!("round {}", run.round),
    };
    let doubt = if run.is_believed() { String::new() } else { format!(" ({})", run.failed.join(", ")) };
    format!(
        "{}, {}, {what}: {}/s, {} lost, core {core}, p99 {p99}{doubt}",
        run.cell.subject,
        run.cell.traffic,
        count(run.offered_per_s),
        percent(run.loss()),
    )
}

/// The version of a subject as its figure names it.
fn version(subject: Subject, programs: &Programs) -> String {
    let unknown = || "unknown".to_owned();
    match subject {
        Subject::Coturn => coturn::version().unwrap_or_else(unknown),
        Subject::Epoll | Subject::Uring | Subject::Xdp => reflector_version(programs),
        Subject::Forwarder | Subject::Swap => env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// The first rate of a search; any subject relays it.
const FIRST_PER_S: u64 = 20_000;
/// Core-time of a datagram where it could not be measured, ns.
const SLOW_NS: f64 = 20_000.0;
/// How often a generator may fail before that is an error.
const MOST_FAILURES: u32 = 2;
/// How long both cores are looked at to call them calm.
const CALM: Duration = Duration::from_millis(500);
/// The part of that which both were idle.
const CALM_PART: f64 = 0.9;
/// How long one disturbance is waited out.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How long counters may move after a load has ended.
const SETTLE: Duration = Duration::from_secs(60);
