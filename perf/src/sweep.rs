//! `sweep`: every cell of a matrix, searched and then loaded in rounds, on disk as soon as each run has ended.
//!
//! * First the capacity of each cell is searched; then all cells take turns, A B A B ..., at parts of their own
//!   capacity. Round 0 warms up. What disturbs the machine for longer than a turn disturbs all of them.
//! * What was done is never done again: what is next follows from the runs on disk alone, so an interrupted sweep goes
//!   on where it ended.
//! * A run that may not be believed is repeated after a calm moment; if it stays so, its round has no figure there.

pub mod args;
pub mod audit;
pub mod charts;
pub mod ledger;
pub mod page;
pub mod quick;
pub mod report;
pub mod tables;

use crate::figures::{count, float, floored, percent, time};
use crate::judge::finding::{ceiling, searched};
use crate::rig::attempt::MOST_LOSS;
use crate::rig::awake::Awake;
use crate::rig::cell::Cell;
use crate::rig::header::Header;
use crate::rig::pace::Pace;
use crate::rig::placement::Placement;
use crate::rig::run::{Purpose, Run};
use crate::rig::site::{Load, Site};
use crate::sweep::ledger::Ledger;
use anyhow::Context;
use lab::programs::interrupt::{Interrupt, Interrupted};
use search::{Search, Tried};
use std::time::{Duration, Instant};

/// A sweep under way.
pub struct Sweep<'a> {
    header: &'a Header,
    effort: Effort,
    sites: Vec<Site>,
    ledger: Ledger,
    pace: Pace,
    patience: Duration,
    interrupt: &'a Interrupt,
    progress: &'a mut dyn FnMut(&str),
    _awake: Awake,
}

/// How long and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Tries of a search.
    pub most_tries: usize,
    /// From one rate of a search to the next while climbing.
    pub factor: u64,
    /// Measured phase of a try.
    pub search: Duration,
    /// How often a run of a round is tried until it may be believed.
    pub most_tries_a_round: usize,
    /// Measured phase of a run in a round.
    pub round: Duration,
    /// Before each.
    pub warmup: Duration,
    /// How long all of it may wait for others to leave the processors alone.
    pub patience: Duration,
    /// The capacity that is assumed where none was found; without it such a cell is left out of the rounds.
    pub otherwise_per_s: Option<u64>,
}

impl Effort {
    /// Of a sweep: for figures, or only to see that everything works.
    pub fn of_sweep(is_short: bool) -> Self {
        let ms = Duration::from_millis;
        if is_short {
            return Self {
                most_tries: 2,
                factor: 4,
                search: ms(300),
                most_tries_a_round: 1,
                round: ms(300),
                warmup: ms(100),
                patience: Duration::ZERO,
                otherwise_per_s: Some(SHORT_PER_S),
            };
        }
        Self {
            most_tries: 12,
            factor: 2,
            search: ms(600),
            most_tries_a_round: 3,
            round: ms(800),
            warmup: ms(200),
            patience: Duration::from_secs(120),
            otherwise_per_s: None,
        }
    }

    /// Of a quick run: half a minute in all, or a few seconds.
    pub fn of_quick(is_short: bool) -> Self {
        if is_short {
            return Self::of_sweep(true);
        }
        let patience = Duration::from_secs(10);
        Self { most_tries: 9, most_tries_a_round: 2, patience, ..Self::of_sweep(false) }
    }
}

impl<'a> Sweep<'a> {
    /// Goes on with what the ledger holds.
    pub fn new(
        header: &'a Header,
        effort: Effort,
        sites: Vec<Site>,
        ledger: Ledger,
        interrupt: &'a Interrupt,
        progress: &'a mut dyn FnMut(&str),
    ) -> Self {
        let done = ledger.runs().len();
        let rounds = usize::try_from(header.rounds + 1).unwrap_or(usize::MAX);
        let loads: usize = header.cells.iter().map(|cell| loads(header, cell).len()).sum();
        // A search rarely takes all of its tries.
        let all = header.cells.len() * effort.most_tries + loads * rounds;
        let pace = Pace::new(all.saturating_sub(done), Instant::now());
        if done > 0 {
            progress(&format!("going on after {done} runs"));
        }
        let (patience, awake) = (effort.patience, Awake::ask());
        Sweep { header, effort, sites, ledger, pace, patience, interrupt, progress, _awake: awake }
    }

    /// Searches, then goes through all rounds.
    ///
    /// # Errors
    /// A program failed, the disk is full, or somebody asked to stop; what was done stays on disk.
    pub fn run(mut self) -> anyhow::Result<Vec<Run>> {
        let cells = self.header.cells.clone();
        for (number, cell) in cells.iter().enumerate() {
            self.search(*cell)?;
            let left: usize = cells.iter().skip(number + 1).map(|_| self.effort.most_tries - 2).sum();
            self.pace.set_left(left + self.runs_of_rounds());
        }
        self.pace.set_left(self.runs_of_rounds());
        for round in 0..=self.header.rounds {
            for cell in &cells {
                for purpose in loads(self.header, cell) {
                    self.turn(*cell, purpose, round)?;
                }
            }
        }
        Ok(self.ledger.runs().to_vec())
    }

    fn search(&mut self, cell: Cell) -> anyhow::Result<()> {
        let search = Search {
            first_per_s: self.first_per_s(cell),
            factor: self.effort.factor,
            most_tries: self.effort.most_tries,
            most_failures: 3,
            small_gap: 12,
        };
        loop {
            let runs: Vec<&Run> = self.ledger.runs().iter().collect();
            let tried: Vec<Tried> = searched(cell, &runs).map(|run| run.tried(MOST_LOSS)).collect();
            let Some(rate_per_s) = search.next(&tried) else { return Ok(()) };
            let round = u32::try_from(tried.len()).unwrap_or(u32::MAX);
            let (duration, warmup) = (self.effort.search, self.effort.warmup);
            self.run_load(&Load { cell, purpose: Purpose::Search, round, rate_per_s, duration, warmup })?;
        }
    }

    /// Where a search begins: at half of what the base of its engine relays; what costs far more fails there and is
    /// looked for below.
    fn first_per_s(&self, cell: Cell) -> u64 {
        let base = self.header.matrix.base(cell.engine).filter(|base| *base != cell);
        let known = base.and_then(|base| self.capacity_per_s(base));
        known.map_or(FIRST_PER_S, |known| floored(known / 2.0, 2).max(FIRST_PER_S / 4))
    }

    /// What a cell relays, as far as the search tells.
    fn capacity_per_s(&self, cell: Cell) -> Option<f64> {
        let runs: Vec<&Run> = self.ledger.runs().iter().collect();
        let ceiling = ceiling(cell, &runs);
        ceiling.capacity_per_s().map(|each| {
            let workers = if ceiling.is_generators { f64::from(cell.workers.max(1)) } else { 1.0 };
            // The estimate is one worker's; what was found is what all of them relayed.
            ceiling.pdr_per_s.map_or(each, |found| (each * workers).max(float(found)))
        })
    }

    /// The rate of a load; `None` where the generator does not come near it.
    fn rate_per_s(&self, cell: Cell, purpose: Purpose) -> Option<u64> {
        let part = purpose.part()?;
        let runs: Vec<&Run> = self.ledger.runs().iter().collect();
        let ceiling = ceiling(cell, &runs);
        match (self.capacity_per_s(cell), ceiling.pdr_per_s) {
            (Some(capacity), Some(passed)) => {
                let most = float(passed) * if ceiling.is_generators { 0.8 } else { 1.0 };
                let rate = (capacity * part).min(most);
                (purpose == Purpose::Half || rate > capacity * part * 0.9).then(|| floored(rate, 3))
            }
            _ => self.effort.otherwise_per_s.map(|capacity| floored(float(capacity) * part, 3)),
        }
    }

    /// One cell's turn at one load in one round, unless it was had.
    fn turn(&mut self, cell: Cell, purpose: Purpose, round: u32) -> anyhow::Result<()> {
        let Some(rate_per_s) = self.rate_per_s(cell, purpose) else { return Ok(()) };
        loop {
            let is_own = |run: &&Run| (run.cell, run.purpose, run.round) == (cell, purpose, round);
            let had: Vec<&Run> = self.ledger.runs().iter().filter(is_own).collect();
            let is_done = had.iter().any(|run| run.is_believed());
            // What warms up counts nowhere.
            let most = if round == 0 { 1 } else { self.effort.most_tries_a_round };
            if is_done || had.len() >= most {
                return Ok(());
            }
            let (duration, warmup) = (self.effort.round, self.effort.warmup);
            self.run_load(&Load { cell, purpose, round, rate_per_s, duration, warmup })?;
        }
    }

    fn run_load(&mut self, load: &Load) -> anyhow::Result<()> {
        self.interrupt.check()?;
        let site =
            self.sites.iter_mut().find(|site| site.serves(&load.cell)).context("no reflector for it")?;
        let (known, mut failures) = (site.commands().len(), 0);
        let run = loop {
            match site.run(load, self.interrupt) {
                Err(error) if !error.is::<Interrupted>() && failures < MOST_FAILURES => {
                    failures += 1;
                    (self.progress)(&format!("{}: {error:#}; once more", load.cell));
                }
                ended => break ended.with_context(|| load.cell.to_string())?,
            }
        };
        self.pace.done();
        let left = self.pace.left(Instant::now());
        (self.progress)(&format!("{}; {left}", told(&run)));
        let first = if self.ledger.runs().iter().any(|other| site.serves(&other.cell)) { known } else { 0 };
        let (_, commands) = site.commands().split_at(first);
        let (is_disturbed, cpus) = (run.is_disturbed(), all_cpus(site.placement()));
        self.ledger.add(run, commands)?;
        if is_disturbed { self.wait_for_calm(&cpus) } else { Ok(()) }
    }

    fn runs_of_rounds(&self) -> usize {
        let loads: usize = self.header.cells.iter().map(|cell| loads(self.header, cell).len()).sum();
        let all = loads * usize::try_from(self.header.rounds + 1).unwrap_or(usize::MAX);
        let had = self.ledger.runs().iter().filter(|run| run.purpose != Purpose::Search).count();
        all.saturating_sub(had)
    }

    /// Waits until hardly anything runs on the processors, as long as there is patience left.
    fn wait_for_calm(&mut self, cpus: &[usize]) -> anyhow::Result<()> {
        let began = Instant::now();
        while began.elapsed() < self.patience.min(LONGEST_WAIT) {
            let before = Placement::mean_time(cpus)?;
            self.interrupt.sleep(CALM);
            self.interrupt.check()?;
            let idle_ns = Placement::mean_time(cpus)?.since(&before).idle_ns;
            if float(idle_ns) > CALM_PART * CALM.as_secs_f64() * 1e9 {
                break;
            }
        }
        self.patience = self.patience.saturating_sub(began.elapsed());
        Ok(())
    }
}

/// The loads of a cell in a round: all of them on the base of its engine, half load on what differs from it in one way.
fn loads(header: &Header, cell: &Cell) -> Vec<Purpose> {
    let is_base = header.matrix.base(cell.engine).as_ref() == Some(cell);
    if is_base || header.matrix.is_crossed { Purpose::LOADS.to_vec() } else { vec![Purpose::Half] }
}

fn all_cpus(placement: &Placement) -> Vec<usize> {
    placement.reflector.iter().chain(&placement.generator).copied().collect()
}

/// A run in one line, for progress.
fn told(run: &Run) -> String {
    let cost = run.cost_ns().map_or_else(|| "–".to_owned(), time);
    let p99 = run.latency.map_or_else(|| "–".to_owned(), |latency| time(float(latency.p99_ns)));
    let what = match run.purpose {
        Purpose::Search => "search".to_owned(),
        purpose => format!("round {}, {}", run.round, purpose.words()),
    };
    let doubt = if run.is_believed() { String::new() } else { format!(" ({})", run.failed.join(", ")) };
    format!(
        "{}, {}, {what}: {}/s, {} lost, {cost} of a core each, p99 {p99}{doubt}",
        run.cell.engine.title(),
        run.cell.in_words(),
        count(run.offered_per_s),
        percent(run.loss()),
    )
}

/// The first rate of a search; any machine relays it.
const FIRST_PER_S: u64 = 20_000;
/// The capacity that short runs assume where none was found.
const SHORT_PER_S: u64 = 10_000;
/// How often a generator may fail before that is an error.
const MOST_FAILURES: u32 = 2;
/// How long the processors are looked at to call them calm.
const CALM: Duration = Duration::from_millis(500);
/// The part of that which they were idle.
const CALM_PART: f64 = 0.9;
/// How long one disturbance is waited out.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::cell::Axis;
    use crate::sample;

    #[test]
    fn the_base_gets_every_load_and_others_half() {
        let header = sample::header();
        let base = sample::cell();
        assert_eq!(loads(&header, &base), Purpose::LOADS);
        assert_eq!(loads(&header, &base.with(Axis::Payload, 1_200)), [Purpose::Half]);
        let mut crossed = header;
        crossed.matrix.is_crossed = true;
        assert_eq!(loads(&crossed, &base.with(Axis::Payload, 1_200)).len(), 3);
    }

    #[test]
    fn what_was_done_is_not_done_again() {
        let scratch = lab::programs::scratch::Scratch::new().unwrap();
        let header = sample::header();
        let mut ledger = Ledger::open(scratch.path(), &header).unwrap();
        sample::runs_of_all(&header).into_iter().for_each(|run| ledger.add(run, &[]).unwrap());
        let all = ledger.runs().to_vec();
        let (interrupt, mut said) = (Interrupt::never(), Vec::new());
        // Without a single site nothing can run, and nothing needs to.
        let mut progress = |line: &str| said.push(line.to_owned());
        let sweep =
            Sweep::new(&header, Effort::of_sweep(false), Vec::new(), ledger, &interrupt, &mut progress);
        assert_eq!(sweep.run().unwrap(), all);
        assert_eq!(said, [format!("going on after {} runs", all.len())]);
    }

    #[test]
    fn a_run_is_told_in_one_line() {
        let line = told(&sample::run(sample::cell(), Purpose::Half, 100_000, 0.0));
        assert!(
            line.starts_with("epoll, 168 B, 1,000 endpoints, round 1, 50 % load: 100,000/s, 0 % lost"),
            "{line}"
        );
        assert!(line.contains("5 µs of a core each"), "{line}");
    }
}
