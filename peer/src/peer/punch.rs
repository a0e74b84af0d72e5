//! The steps of seeking a direct path: both sides send to each other's contact, and tell each other where that is.
//!
//! * A few steps, each later than the one before; another search may not begin too soon after.

/// The search for a direct path to one peer.
#[derive(Debug, Default)]
pub(crate) struct Punch {
    step: Option<Step>,
    /// When a direct path was last sought.
    sought_us: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    number: u32,
    at_us: u64,
}

impl Punch {
    /// Begins a search, unless the last one was so recent that two peers would go on telling each other for ever.
    pub(crate) fn start(&mut self, now_us: u64) {
        if self.sought_us.is_none_or(|last_us| now_us >= last_us + AGAIN_US) {
            self.sought_us = Some(now_us);
            self.step = Some(Step { number: 0, at_us: now_us });
        }
    }

    /// Lets the next search begin at once.
    pub(crate) fn allow(&mut self) {
        self.sought_us = None;
    }

    /// When the next step is due.
    pub(crate) fn due_us(&self) -> Option<u64> {
        self.step.map(|step| step.at_us)
    }

    /// The number of the step that is due, from 0.
    pub(crate) fn due(&self, now_us: u64) -> Option<u32> {
        self.step.filter(|step| now_us >= step.at_us).map(|step| step.number)
    }

    /// Goes on to the step after `number`; false if that was the last, and the search is over.
    pub(crate) fn advance(&mut self, number: u32, now_us: u64) -> bool {
        let goes_on = number < STEPS;
        self.step = goes_on.then(|| Step { number: number + 1, at_us: now_us + (PAUSE_US << number) });
        goes_on
    }

    /// Ends the search.
    pub(crate) fn end(&mut self) {
        self.step = None;
    }
}

const STEPS: u32 = 5;
const AGAIN_US: u64 = 5_000_000;
const PAUSE_US: u64 = 200_000;
