//! The terminal behind the live view: another screen while the run lasts, and what drawing on it costs.
//!
//! * Drawn four times a second, on the thread that looks on; what the run measures does not wait for it.
//! * The terminal is given back also when the run fails.
//! * A terminal that cannot do this, or is too small, gets plain lines instead.

use crate::load::watch::state::State;
use crate::load::watch::view::{LEAST_HEIGHT, LEAST_WIDTH, View};
use crate::usage::CpuTime;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use std::io::{Stderr, stderr};
use std::time::{Duration, Instant};

/// A terminal that shows a view.
#[derive(Debug)]
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Stderr>>,
    view: View,
    cpu: CpuTime,
    /// CPU time of noting and drawing so far, ns.
    spent_ns: u64,
    drawn: Option<Instant>,
}

impl Screen {
    /// Takes the terminal on stderr; `None` where that is none for this.
    pub fn open(title: String) -> Option<Self> {
        if std::env::var_os("TERM").is_none_or(|name| name.is_empty() || name == "dumb") {
            return None;
        }
        let terminal = Terminal::new(CrosstermBackend::new(stderr())).ok()?;
        let size = terminal.size().ok()?;
        if size.width < LEAST_WIDTH || size.height < LEAST_HEIGHT {
            return None;
        }
        execute!(stderr(), EnterAlternateScreen, Hide).ok()?;
        let cpu = CpuTime::open();
        Some(Self { terminal, view: View::new(title), cpu, spent_ns: 0, drawn: None })
    }

    /// Shows a state, unless one was shown a moment ago.
    pub fn tell(&mut self, state: &State<'_>) {
        if self.drawn.is_some_and(|drawn| drawn.elapsed() < BETWEEN) {
            return;
        }
        let before_ns = self.cpu.read_ns();
        self.drawn = Some(Instant::now());
        self.view.note(state);
        let view = &self.view;
        // A terminal that has gone away is no reason to end a run.
        let _ = self.terminal.draw(|frame| view.draw(frame));
        self.spent_ns += self.cpu.read_ns().saturating_sub(before_ns);
    }

    /// Gives the terminal back; the CPU time that it took, ns.
    pub fn finish(self) -> u64 {
        self.spent_ns
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nothing is left to tell it to.
        let _ = execute!(stderr(), LeaveAlternateScreen, Show);
    }
}

/// Between two pictures.
const BETWEEN: Duration = Duration::from_millis(250);
