//! Log lines on stderr: text, or one JSON object a line.
//!
//! * Once armed, at most 10 lines a second; what is swallowed is counted, and said by [`Gate::report`].
//! * Text from outside (network, files, flags) is escaped by the code that logs it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For programs: one flat object a line.
    Json,
}

impl Format {
    /// The form that `--log-format` names.
    ///
    /// # Errors
    /// Any other word, with those that are right.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(String::from("expected text or json")),
        }
    }
}

/// Sends what this process logs to stderr, through a gate.
pub fn start(format: Format) -> Arc<Gate> {
    let gate = Arc::new(Gate::new());
    let lines =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false).with_target(false);
    let lines = match format {
        Format::Text => lines.boxed(),
        Format::Json => {
            lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
        }
    };
    let doorman = Doorman { gate: Arc::clone(&gate), start: Instant::now() };
    // A process that embeds this one may have a subscriber already; then its lines are where it wants them.
    let _ = tracing_subscriber::registry().with(LevelFilter::INFO).with(doorman).with(lines).try_init();
    gate
}

/// Lets at most [`LINES_PER_S`] lines pass in any second of its clock.
#[derive(Debug, Default)]
pub struct Gate {
    armed: AtomicBool,
    /// The second in the upper 48 bits, the lines of it in the lower 16.
    window: AtomicU64,
    swallowed: AtomicU64,
}

impl Gate {
    /// Open until it is armed.
    pub fn new() -> Self {
        Self::default()
    }

    /// From here on lines are limited. What a start says is bounded by its configuration and passes whole.
    pub fn arm(&self) {
        self.armed.store(true, Relaxed);
    }

    /// Opens the gate: the last lines of a process always pass.
    pub fn disarm(&self) {
        self.armed.store(false, Relaxed);
    }

    /// Whether a line may pass in this second.
    pub fn admit(&self, second: u64) -> bool {
        if !self.armed.load(Relaxed) {
            return true;
        }
        let admitted = self.window.fetch_update(Relaxed, Relaxed, |window| {
            let lines = if window >> 16 == second { window & 0xffff } else { 0 };
            (lines < LINES_PER_S).then_some(second << 16 | (lines + 1))
        });
        if admitted.is_err() {
            self.swallowed.fetch_add(1, Relaxed);
        }
        admitted.is_ok()
    }

    /// Lines swallowed since the start.
    pub fn swallowed(&self) -> u64 {
        self.swallowed.load(Relaxed)
    }

    /// Logs how many lines were swallowed if they are more than `before`; returns how many were when it was said.
    pub fn report(&self, before: u64) -> u64 {
        let swallowed = self.swallowed();
        if swallowed == before {
            return before;
        }
        tracing::warn!(
            lines = swallowed - before,
            "log lines swallowed; at most {LINES_PER_S} are written a second"
        );
        // Had this very line been swallowed, the next report would repeat it.
        if self.swallowed() == swallowed { swallowed } else { before }
    }
}

/// The layer that asks the gate.
struct Doorman {
    gate: Arc<Gate>,
    start: Instant,
}

impl<S: Subscriber> Layer<S> for Doorman {
    fn event_enabled(&self, _event: &Event<'_>, _context: Context<'_, S>) -> bool {
        self.gate.admit(self.start.elapsed().as_secs())
    }
}

/// Lines a second.
pub const LINES_PER_S: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_lines_pass_in_a_second_and_the_rest_is_counted() {
        let gate = Gate::new();
        assert!((0..100).all(|_| gate.admit(7)), "a start may say what it has to");
        gate.arm();
        let passed = |second: u64| (0..25).filter(|_| gate.admit(second)).count();
        assert_eq!((passed(7), passed(8)), (10, 10));
        assert_eq!(gate.swallowed(), 30);
    }
}
