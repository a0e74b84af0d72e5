//! Whether somebody asked to stop (SIGINT, SIGTERM).
//!
//! * Asked for, never forced: who waits checks, and programs that were started are ended on the way out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// A flag that a signal raises.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    asked: Arc<AtomicBool>,
}

impl Interrupt {
    /// A flag that no signal raises, for tests and for programs that leave signals alone.
    pub fn never() -> Self {
        Self::default()
    }

    /// A flag that SIGINT and SIGTERM raise from now on.
    ///
    /// # Errors
    /// The handlers cannot be installed.
    pub fn on_signals() -> anyhow::Result<Self> {
        let interrupt = Self::default();
        let raised = interrupt.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (mut int, mut term) = {
            use tokio::signal::unix::{SignalKind, signal};
            let _context = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! { _ = int.recv() => (), _ = term.recv() => () }
            });
            raised.ask();
        })?;
        Ok(interrupt)
    }

    /// Asks to stop, as a signal would.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// Whether to stop.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// # Errors
    /// [`Interrupted`] once somebody asked to stop.
    pub fn check(&self) -> Result<(), Interrupted> {
        if self.is_asked() { Err(Interrupted) } else { Ok(()) }
    }

    /// Sleeps so long, or until somebody asks to stop.
    pub fn sleep(&self, span: Duration) {
        let mut left = span;
        while !left.is_zero() && !self.is_asked() {
            let piece = left.min(SLICE);
            thread::sleep(piece);
            left = left.saturating_sub(piece);
        }
    }
}

/// Somebody asked to stop; exit code 130.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// A stop is noticed within this time.
const SLICE: Duration = Duration::from_millis(50);
