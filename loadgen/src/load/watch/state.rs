//! Where a run is and what was seen of it so far, as everybody shows it who shows it.
//!
//! * Only reads the workers' relaxed cells, or two sums of the programs.
//! * What is shown is the last whole slice, a little late, so that datagrams under way do not look lost.

use crate::goal::Goal;
use crate::load::shape::phase::Phase;
use crate::load::shape::profile::Profile;
use crate::load::watch::events::Pulse;
use crate::load::watch::glances::Glances;
use crate::load::watch::slices;
use crate::load::watch::slices::Slices;
use crate::units::{show_count, show_fraction, show_ns};
use results::run::Event;
use search::Tried;
use std::sync::atomic::AtomicBool;

/// What a run does with the rest of the program: when to stop, and whom to tell how it goes.
pub struct Surroundings<'a> {
    /// Set by a signal: finish early, keep what there is.
    pub interrupted: &'a AtomicBool,
    /// Random bits of this very run, from the kernel: they keep other runs' datagrams apart.
    pub entropy: u64,
    /// Called a few times a second.
    pub watch: &'a mut dyn FnMut(&State<'_>),
}

/// Where a run is.
#[derive(Debug)]
pub enum State<'a> {
    /// A search begins its next try.
    Trying {
        /// What is looked for.
        goal: Goal,
        /// The rate, datagrams per second.
        rate_per_s: u64,
        /// Those tried before.
        tried: &'a [Tried],
    },
    /// Endpoints obtain contacts.
    Contacts {
        /// How many have one.
        obtained: u32,
        /// Of how many.
        endpoints: u32,
    },
    /// Warm-up, measured phase or drain.
    Load(Load<'a>),
}

/// How the load goes.
#[derive(Clone, Copy, Debug)]
pub struct Load<'a> {
    /// The times.
    pub phase: &'a Phase,
    /// What was seen so far.
    pub seen: Seen<'a>,
    /// The sums of this moment, and the moment.
    pub pulse: Pulse,
    /// The rate that is meant.
    pub profile: &'a Profile,
    /// What happened so far.
    pub events: &'a [Event],
}

/// What was seen of the load so far, as its engine tells it.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// Slices of each worker.
    Slices(&'a [Slices]),
    /// Sums of the last moments.
    Glances(&'a Glances),
}

impl State<'_> {
    /// The state in words.
    pub fn line(&self) -> String {
        match self {
            State::Trying { goal, rate_per_s, tried } => {
                let limit = search::bracket(tried);
                let shown = |rate: u64| format!("{}/s", show_count(rate));
                let held = limit.passed.map_or("nothing yet".to_owned(), shown);
                format!(
                    "{} search, try {}: {}, held so far: {held}",
                    goal.as_str().to_uppercase(),
                    tried.len() + 1,
                    shown(*rate_per_s)
                )
            }
            State::Contacts { obtained, endpoints } => {
                format!(
                    "contacts {} of {}",
                    show_count(u64::from(*obtained)),
                    show_count(u64::from(*endpoints))
                )
            }
            State::Load(load) => load.line(),
        }
    }
}

impl Load<'_> {
    /// `warm-up`, `measuring` or `draining`.
    pub fn name(&self) -> &'static str {
        let now_ns = self.pulse.at_ns;
        if now_ns < self.phase.measured_ns() {
            "warm-up"
        } else if now_ns < self.phase.end_ns() {
            "measuring"
        } else {
            "draining"
        }
    }

    #[allow(clippy::cast_precision_loss)] // Shown to a few digits.
    fn line(&self) -> String {
        let elapsed_ns = self.phase.elapsed_ns(self.pulse.at_ns);
        if self.pulse.at_ns < self.phase.measured_ns() {
            return self.name().to_owned();
        }
        format!("{} {} {}", self.name(), show_ns(elapsed_ns as f64), recent(self.seen, elapsed_ns))
    }
}

/// Rate, loss and, where known so soon, latency of about the last second.
fn recent(seen: Seen<'_>, elapsed_ns: u64) -> String {
    let slices = match seen {
        Seen::Slices(slices) => slices,
        Seen::Glances(glances) => {
            let recent = glances.recent();
            return recent.map(|recent| rate_and_loss(recent.sent_per_s, recent.loss)).unwrap_or_default();
        }
    };
    recent_slices(slices, elapsed_ns)
}

#[allow(clippy::cast_precision_loss)] // Shown to a few digits.
fn recent_slices(slices: &[Slices], elapsed_ns: u64) -> String {
    let interval_ns = slices.first().map_or(1, Slices::interval_ns).max(1);
    let whole = settled(interval_ns, elapsed_ns);
    let wanted = usize::try_from(SHOWN_NS.div_ceil(interval_ns)).unwrap_or(1).max(1);
    let from = whole.saturating_sub(wanted);
    if from == whole {
        return String::new();
    }
    let point = slices::sum(slices.iter(), from, whole);
    let seconds = (whole - from) as f64 * interval_ns as f64 / 1e9;
    let seen = point.delivered + point.refused_by_nat;
    let lost = point.sent.saturating_sub(seen) as f64 / point.sent.max(1) as f64;
    format!(
        "{}, p50 {}, p99 {}",
        rate_and_loss(point.sent as f64 / seconds, lost),
        show_ns(point.p50_ns as f64),
        show_ns(point.p99_ns as f64)
    )
}

/// Slices of which nothing is under way any more.
pub fn settled(interval_ns: u64, elapsed_ns: u64) -> usize {
    usize::try_from(elapsed_ns.saturating_sub(SETTLE_NS) / interval_ns.max(1)).unwrap_or(0)
}

fn rate_and_loss(sent_per_s: f64, loss: f64) -> String {
    format!("{:.1}k/s sent, loss {}", sent_per_s / 1e3, show_fraction(loss))
}

/// Datagrams younger than this may still be under way, ns.
const SETTLE_NS: u64 = 100_000_000;
/// How much is shown at a time, ns.
const SHOWN_NS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use search::Verdict;

    #[test]
    fn states_in_words() {
        assert_eq!(State::Contacts { obtained: 1_000, endpoints: 20_000 }.line(), "contacts 1,000 of 20,000");
        let tried = [Tried {
            rate_per_s: 10_000,
            achieved_per_s: 10_000,
            delivered_per_s: 10_000,
            verdict: Verdict::Passed,
        }];
        assert_eq!(
            State::Trying { goal: Goal::Ndr, rate_per_s: 20_000, tried: &tried }.line(),
            "NDR search, try 2: 20,000/s, held so far: 10,000/s"
        );
        let phase = Phase::new(0, 1_000_000_000, 10_000_000_000);
        let profile = Profile::constant(1_000, 10_000_000_000);
        let slices = [Slices::new(10_000_000_000)];
        for index in 0..1_000 {
            slices[0].note_sent(index * 1_000_000);
            if index % 10 != 0 {
                slices[0].note_delivered(index * 1_000_000, 50_000);
            }
        }
        let load = |seen, at_ns| {
            let pulse = Pulse { at_ns, ..Pulse::default() };
            State::Load(Load { phase: &phase, seen, pulse, profile: &profile, events: &[] }).line()
        };
        let line = |at_ns| load(Seen::Slices(&slices), at_ns);
        assert_eq!(line(500_000_000), "warm-up");
        assert_eq!(line(2_100_000_000), "measuring 1.100s 1.0k/s sent, loss 10.0%, p50 49.9us, p99 49.9us");
        assert!(line(12_000_000_000).starts_with("draining 10.000s"));
        assert_eq!(load(Seen::Glances(&Glances::default()), 5_500_000_000), "measuring 4.500s ");
    }
}
