//! How a run goes, told on stderr: a bar on a terminal, plain lines elsewhere.
//!
//! * Only reads the workers' relaxed cells, or two sums of the programs, a few times a second, on the main thread.
//! * What is shown is the last whole slice, a little late, so that datagrams under way do not look lost.

use crate::glances::Glances;
use crate::phase::Phase;
use crate::slices::{self, Slices};
use crate::units::{show_count, show_fraction, show_ns};
use indicatif::{ProgressBar, ProgressStyle};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

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
    /// Endpoints obtain contacts.
    Contacts {
        /// How many have one.
        obtained: u32,
        /// Of how many.
        endpoints: u32,
    },
    /// Warm-up, measured phase or drain.
    Load {
        /// The times.
        phase: &'a Phase,
        /// What was seen so far.
        seen: Seen<'a>,
        /// Boot time, ns.
        now_ns: u64,
    },
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
    /// The state in words, for a line or behind a bar.
    pub fn line(&self) -> String {
        match self {
            State::Contacts { obtained, endpoints } => {
                format!(
                    "contacts {} of {}",
                    show_count(u64::from(*obtained)),
                    show_count(u64::from(*endpoints))
                )
            }
            State::Load { phase, now_ns, .. } if *now_ns < phase.measured_ns() => "warm-up".to_owned(),
            State::Load { phase, seen, now_ns } => {
                let elapsed_ns = phase.elapsed_ns(*now_ns);
                let name = if *now_ns < phase.end_ns() { "measuring" } else { "draining" };
                let shown = recent(*seen, elapsed_ns);
                format!("{name} {} {shown}", show_ns(elapsed_ns as f64))
            }
        }
    }

    /// How far it is, 0 to 1,000.
    fn permille(&self) -> u64 {
        match self {
            State::Contacts { obtained, endpoints } => {
                u64::from(*obtained) * 1_000 / u64::from(*endpoints).max(1)
            }
            State::Load { phase, now_ns, .. } => {
                let whole = phase.end_ns().saturating_sub(phase.start_ns()).max(1);
                now_ns.saturating_sub(phase.start_ns()).saturating_mul(1_000) / whole
            }
        }
    }
}

/// Where states are told.
pub enum Progress {
    /// Nowhere.
    Silent,
    /// A bar that is drawn anew.
    Bar(ProgressBar),
    /// A line a second.
    Lines(Option<Instant>),
}

impl Progress {
    /// For this terminal or no terminal.
    pub fn new(quiet: bool, is_terminal: bool) -> Progress {
        if quiet {
            return Progress::Silent;
        }
        if !is_terminal {
            return Progress::Lines(None);
        }
        let bar = ProgressBar::new(1_000);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {msg}") {
            bar.set_style(style);
        }
        Progress::Bar(bar)
    }

    /// Tells a state, unless that was done a moment ago.
    pub fn tell(&mut self, state: &State<'_>) {
        match self {
            Progress::Silent => {}
            Progress::Bar(bar) => {
                bar.set_position(state.permille().min(1_000));
                bar.set_message(state.line());
            }
            Progress::Lines(last) => {
                if last.is_none_or(|last| last.elapsed() >= BETWEEN_LINES) {
                    *last = Some(Instant::now());
                    tracing::info!("{}", state.line());
                }
            }
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Progress::Bar(bar) = self {
            bar.finish_and_clear();
        }
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
    let whole = usize::try_from(elapsed_ns.saturating_sub(SETTLE_NS) / interval_ns).unwrap_or(0);
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

fn rate_and_loss(sent_per_s: f64, loss: f64) -> String {
    format!("{:.1}k/s sent, loss {}", sent_per_s / 1e3, show_fraction(loss))
}

const BETWEEN_LINES: Duration = Duration::from_secs(1);
/// Datagrams younger than this may still be under way, ns.
const SETTLE_NS: u64 = 100_000_000;
/// How much is shown at a time, ns.
const SHOWN_NS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_in_words() {
        assert_eq!(State::Contacts { obtained: 1_000, endpoints: 20_000 }.line(), "contacts 1,000 of 20,000");
        let phase = Phase::new(0, 1_000_000_000, 10_000_000_000);
        let slices = [Slices::new(10_000_000_000)];
        for index in 0..1_000 {
            slices[0].note_sent(index * 1_000_000);
            if index % 10 != 0 {
                slices[0].note_delivered(index * 1_000_000, 50_000);
            }
        }
        let line = |now_ns| State::Load { phase: &phase, seen: Seen::Slices(&slices), now_ns }.line();
        assert_eq!(line(500_000_000), "warm-up");
        assert_eq!(line(2_100_000_000), "measuring 1.100s 1.0k/s sent, loss 10.0%, p50 49.9us, p99 49.9us");
        assert!(line(12_000_000_000).starts_with("draining 10.000s"));
        let glances = Glances::default();
        let seen = Seen::Glances(&glances);
        let half = State::Load { phase: &phase, seen, now_ns: 5_500_000_000 };
        assert_eq!((half.permille(), half.line().as_str()), (500, "measuring 4.500s "));
    }
}
