//! How a run goes, told on stderr: a live view on a terminal, plain lines elsewhere.
//!
//! * Told a few times a second, on the main thread.
//! * What happened is told at once, whatever else is shown.

use crate::load::watch::screen::Screen;
use crate::load::watch::state::State;
use std::time::{Duration, Instant};

/// Where states are told.
pub enum Progress {
    /// Nowhere.
    Silent,
    /// A live view, redrawn a few times a second.
    Screen(Box<Screen>),
    /// A line a second.
    Lines(Lines),
}

/// What plain lines have told.
#[derive(Debug, Default)]
pub struct Lines {
    last: Option<Instant>,
    events: usize,
}

impl Progress {
    /// For this terminal or no terminal; `title` says what runs.
    pub fn new(quiet: bool, is_terminal: bool, title: String) -> Self {
        if quiet {
            return Self::Silent;
        }
        let screen = if is_terminal { Screen::open(title) } else { None };
        screen.map_or(Self::Lines(Lines::default()), |screen| Self::Screen(Box::new(screen)))
    }

    /// Tells a state, unless that was done a moment ago.
    pub fn tell(&mut self, state: &State<'_>) {
        match self {
            Self::Silent => {}
            Self::Screen(screen) => screen.tell(state),
            Self::Lines(lines) => lines.tell(state),
        }
    }

    /// Takes the view away; the CPU time that it took, ns.
    pub fn finish(self) -> u64 {
        match self {
            Self::Screen(screen) => screen.finish(),
            _ => 0,
        }
    }
}

impl Lines {
    fn tell(&mut self, state: &State<'_>) {
        match state {
            State::Trying { .. } => (self.last, self.events) = (None, 0),
            State::Contacts { .. } => {}
            State::Load(load) => {
                for event in load.events.iter().skip(self.events) {
                    tracing::warn!("{}", event.what);
                }
                self.events = load.events.len();
            }
        }
        if self.last.is_none_or(|last| last.elapsed() >= BETWEEN_LINES) {
            // The run of a search follows its title at once.
            self.last = if matches!(state, State::Trying { .. }) { None } else { Some(Instant::now()) };
            tracing::info!("{}", state.line());
        }
    }
}

const BETWEEN_LINES: Duration = Duration::from_secs(1);
