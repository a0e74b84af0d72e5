//! The gate before password checks: a few at once, a short queue, and nothing beyond.
//!
//! * A check takes a core and 19 MiB for tens of milliseconds; as many run as half of the CPUs, so that logins go on.

use tokio::sync::{Semaphore, SemaphorePermit};

/// Permits to check a password.
#[derive(Debug)]
pub struct PasswordGate {
    running: Semaphore,
    /// Running and waiting together.
    places: Semaphore,
}

/// The right to check one password.
#[derive(Debug)]
pub struct Turn<'a> {
    _running: SemaphorePermit<'a>,
    _place: SemaphorePermit<'a>,
}

impl PasswordGate {
    /// A gate for this many CPUs.
    pub fn new(cpus: usize) -> Self {
        let at_once = (cpus / 2).max(1);
        Self { running: Semaphore::new(at_once), places: Semaphore::new(at_once * (1 + QUEUE)) }
    }

    /// Waits for a turn; `None` when the queue is full.
    pub async fn turn(&self) -> Option<Turn<'_>> {
        let place = self.places.try_acquire().ok()?;
        let running = self.running.acquire().await.ok()?;
        Some(Turn { _running: running, _place: place })
    }
}

/// Who may wait for each that runs: about two seconds' worth.
const QUEUE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_few_run_some_wait_and_the_rest_is_sent_away() {
        let gate = PasswordGate::new(2);
        let first = gate.turn().await.unwrap();
        let mut waiting: Vec<_> = (0..QUEUE).map(|_| Box::pin(gate.turn())).collect();
        for turn in &mut waiting {
            let poll =
                std::future::poll_fn(|context| std::task::Poll::Ready(turn.as_mut().poll(context))).await;
            assert!(poll.is_pending());
        }
        assert!(gate.turn().await.is_none());
        drop(first);
        assert!(waiting.remove(0).await.is_some());
    }
}
