//! What a run has to be told about at once: nothing comes back, the reflector fell silent, the generator fell
//! behind, the clock jumped.
//!
//! * Pure: sums and times come in a few times a second, words come out, each once.
//! * A run of which no SEND ever came back is over: it measures a wrong ring or nobody.
//! * A run at whose end nothing came back any more has failed, whatever its figures are.

use crate::units::{show_count, show_ns};
use results::run::Event;

/// Who looks on.
#[derive(Debug)]
pub struct Watchman {
    measured_ns: u64,
    expected: Expected,
    events: Vec<Event>,
    first: Option<Pulse>,
    /// The last look at which something new had come back.
    heard: Option<Pulse>,
    /// The first look since then at which something was under way.
    waiting: Option<Pulse>,
    last: Option<Pulse>,
    most_jump_ns: u64,
    is_silent: bool,
    is_refused: bool,
    is_behind: bool,
}

/// What has to come back of what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Much of it, from the beginning.
    Answers,
    /// Nothing at first; but where something came back, more does.
    Perhaps,
    /// Hardly any: the most is wrong on purpose.
    Little,
}

/// What was seen of a whole run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// What happened.
    pub events: Vec<Event>,
    /// Whether no SEND ever came back, which ended it.
    pub is_refused: bool,
    /// Why it has failed, in words; empty: it has not.
    pub failed: String,
    /// The most that the system clock jumped at once, ns.
    pub most_jump_ns: u64,
}

/// The sums of a run at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    /// Boot time, ns.
    pub at_ns: u64,
    /// Datagrams that the kernel took, PROBEs apart.
    pub taken: u64,
    /// Those of them that came back.
    pub came: u64,
    /// Answers to PROBEs.
    pub answers: u64,
    /// The most that a datagram was late since the last look, ns.
    pub lag_ns: u64,
    /// Datagrams that own sockets dropped.
    pub overflows: u64,
    /// Unix time less boot time, ns.
    pub offset_ns: i64,
}

impl Watchman {
    /// Of a run whose measured phase begins at `measured_ns`.
    pub fn new(measured_ns: u64, expected: Expected) -> Self {
        Self {
            measured_ns,
            expected,
            events: Vec::new(),
            first: None,
            heard: None,
            waiting: None,
            last: None,
            most_jump_ns: 0,
            is_silent: false,
            is_refused: false,
            is_behind: false,
        }
    }

    /// Takes a look while datagrams are sent.
    pub fn look(&mut self, pulse: Pulse) {
        if let Some(last) = self.last.replace(pulse) {
            self.compare_clocks(last, pulse);
        }
        if pulse.lag_ns > MOST_BEHIND_NS && !self.is_behind {
            self.is_behind = true;
            let shown = shown(pulse.lag_ns);
            self.note(pulse.at_ns, format!("the generator is {shown} behind: is --rate out of reach?"));
        }
        if pulse.taken > 0 {
            self.listen(pulse);
        }
    }

    /// The last look, after everything that may still come back.
    pub fn end(self, pulse: Pulse) -> Watched {
        let is_away = self.is_silent && !self.is_refused && !self.has_come(pulse);
        let failed = match (is_away, self.last.zip(self.waiting)) {
            (true, Some((last, waiting))) => {
                self.silence(last.at_ns.saturating_sub(waiting.at_ns), pulse, "came back at the end")
            }
            _ => String::new(),
        };
        let Self { events, is_refused, most_jump_ns, .. } = self;
        Watched { events, is_refused, failed, most_jump_ns }
    }

    fn compare_clocks(&mut self, last: Pulse, pulse: Pulse) {
        let jump_ns = pulse.offset_ns.saturating_sub(last.offset_ns);
        if jump_ns.unsigned_abs() > MOST_JUMP_NS {
            let sign = if jump_ns < 0 { "back" } else { "forward" };
            let shown = shown(jump_ns.unsigned_abs());
            self.most_jump_ns = self.most_jump_ns.max(jump_ns.unsigned_abs());
            self.note(pulse.at_ns, format!("the system clock jumped {sign} by {shown}"));
        }
    }

    fn listen(&mut self, pulse: Pulse) {
        let first = *self.first.get_or_insert(pulse);
        if self.has_come(pulse) {
            if let Some(waiting) = self.waiting.take().filter(|_| self.is_silent) {
                let shown = shown(pulse.at_ns.saturating_sub(waiting.at_ns));
                self.note(pulse.at_ns, format!("datagrams come back again after {shown}"));
            }
            self.is_silent = false;
            self.heard = Some(pulse);
            return;
        }
        let unheard = pulse.taken.saturating_sub(self.heard.map_or(0, |heard| heard.taken));
        if unheard == 0 {
            return;
        }
        let silent_ns = pulse.at_ns.saturating_sub(self.waiting.get_or_insert(pulse).at_ns);
        let may_be_silent = match self.expected {
            Expected::Answers => false,
            Expected::Perhaps => self.heard.is_none(),
            Expected::Little => true,
        };
        if self.is_silent || may_be_silent || silent_ns < PATIENCE_NS || unheard < ENOUGH {
            return;
        }
        self.is_silent = true;
        let what = if self.heard.is_some() {
            self.silence(silent_ns, pulse, "has come back")
        } else {
            self.is_refused = true;
            refused(pulse.taken, pulse.answers > first.answers)
        };
        self.note(pulse.at_ns, what);
    }

    fn has_come(&self, pulse: Pulse) -> bool {
        pulse.came > self.heard.map_or(0, |heard| heard.came)
    }

    /// A silence in words.
    fn silence(&self, silent_ns: u64, pulse: Pulse, verb: &str) -> String {
        let is_answered = self.waiting.is_some_and(|waiting| pulse.answers > waiting.answers);
        let ask = if is_answered {
            ", but PROBEs are answered: was its ring changed?"
        } else {
            ": is the reflector away?"
        };
        format!("nothing {verb} for {}{ask}", shown(silent_ns))
    }

    /// What happened so far.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Whether nothing ever came back, so that going on makes no sense.
    pub fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// The most that the system clock jumped at once so far, ns.
    pub fn most_jump_ns(&self) -> u64 {
        self.most_jump_ns
    }

    /// Notes what somebody else saw.
    pub fn note(&mut self, at_ns: u64, what: String) {
        let at_ns = i64::try_from(i128::from(at_ns) - i128::from(self.measured_ns)).unwrap_or(i64::MAX);
        if self.events.len() < MOST_EVENTS {
            self.events.push(Event { at_ns, what });
        }
    }
}

/// A run of which nothing came back, in words.
fn refused(taken: u64, answered: bool) -> String {
    let taken = show_count(taken);
    if answered {
        return format!(
            "every SEND was refused by tag, it seems ({taken} sent, none came back, and PROBEs are answered): is this the reflector's ring?"
        );
    }
    format!(
        "every SEND was refused or lost ({taken} sent, none came back): is this the reflector's ring, and is it still running?"
    )
}

#[allow(clippy::cast_precision_loss)] // Shown to a few digits.
fn shown(ns: u64) -> String {
    show_ns(ns as f64)
}

/// A jump of the clock between two looks that no slewing explains, ns.
const MOST_JUMP_NS: u64 = 5_000_000;
/// A generator that is so late has fallen behind, ns.
const MOST_BEHIND_NS: u64 = 500_000_000;
/// Without anything coming back for so long, something is wrong, ns.
const PATIENCE_NS: u64 = 1_000_000_000;
/// Datagrams of which one would have come back.
const ENOUGH: u64 = 50;
/// A clock that jumps on and on is told of so often.
const MOST_EVENTS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    const TICK_NS: u64 = 50_000_000;

    /// Looks at a run in which datagrams come back during these ticks.
    fn run(ticks: u64, comes: impl Fn(u64) -> bool, answers: bool, is_hopeless: bool) -> Watchman {
        let expected = if is_hopeless { Expected::Little } else { Expected::Answers };
        let mut watchman = Watchman::new(10 * TICK_NS, expected);
        let (mut taken, mut came) = (0, 0);
        for tick in 0..ticks {
            taken += 100;
            came += if comes(tick) { 90 } else { 0 };
            let answers = if answers { tick } else { 0 };
            watchman.look(Pulse { at_ns: tick * TICK_NS, taken, came, answers, ..Pulse::default() });
        }
        watchman
    }

    fn told(watchman: &Watchman) -> Vec<&str> {
        watchman.events().iter().map(|event| event.what.as_str()).collect()
    }

    #[test]
    fn a_run_that_goes_well_is_nothing_to_tell() {
        assert!(told(&run(200, |tick| tick > 3, true, false)).is_empty());
    }

    #[test]
    fn a_wrong_ring_is_told_once_and_at_once() {
        let watchman = run(200, |_| false, true, false);
        assert!(watchman.is_refused());
        assert_eq!(watchman.events().len(), 1);
        assert_eq!(watchman.events()[0].at_ns, 500_000_000);
        assert!(told(&watchman)[0].contains("every SEND was refused by tag"), "{:?}", told(&watchman));
        assert!(told(&run(200, |_| false, false, false))[0].contains("still running?"));
        assert!(!run(200, |_| false, true, true).is_refused());
        assert!(!run(15, |_| false, true, false).is_refused());
    }

    #[test]
    fn a_reflector_that_goes_away_and_comes_back_is_told_twice() {
        let watchman = run(300, |tick| !(100..150).contains(&tick), false, false);
        assert!(!watchman.is_refused());
        assert_eq!(
            told(&watchman),
            [
                "nothing has come back for 1.000s: is the reflector away?",
                "datagrams come back again after 2.500s"
            ]
        );
    }

    #[test]
    fn a_generator_that_falls_behind_says_so_once() {
        let mut watchman = Watchman::new(0, Expected::Answers);
        for tick in 0..40_u64 {
            let (came, lag_ns) = (tick, tick * 50_000_000);
            watchman.look(Pulse { at_ns: tick * TICK_NS, taken: tick, came, lag_ns, ..Pulse::default() });
        }
        assert_eq!(told(&watchman), ["the generator is 550.00ms behind: is --rate out of reach?"]);
    }

    #[test]
    fn a_jump_of_the_clock_is_told_and_slewing_is_not() {
        let mut watchman = Watchman::new(0, Expected::Answers);
        for (tick, offset_ns) in (0_u64..).zip([0, 25_000, -3_600_000_000_000, -3_600_000_000_000]) {
            watchman.look(Pulse { at_ns: tick * TICK_NS, offset_ns, ..Pulse::default() });
        }
        assert_eq!(told(&watchman), ["the system clock jumped back by 3600.000s"]);
        assert_eq!(watchman.end(Pulse::default()).most_jump_ns, 3_600_000_025_000);
    }

    #[test]
    fn who_is_silent_at_the_end_has_failed_unless_it_comes_back() {
        let silent = || run(200, |tick| tick < 100, false, false);
        assert_eq!(
            silent().end(Pulse::default()).failed,
            "nothing came back at the end for 4.950s: is the reflector away?"
        );
        assert_eq!(silent().end(Pulse { came: 9_001, ..Pulse::default() }).failed, "");
        let answered = run(200, |tick| tick < 100, true, false);
        let end = answered.end(Pulse { answers: 199, ..Pulse::default() });
        assert_eq!(
            end.failed,
            "nothing came back at the end for 4.950s, but PROBEs are answered: was its ring changed?"
        );
        assert!(!end.is_refused && end.events[0].what.contains("was its ring changed?"));
        assert_eq!(
            run(300, |tick| !(100..150).contains(&tick), true, false).end(Pulse::default()).failed,
            ""
        );
        assert_eq!(run(200, |_| false, true, false).end(Pulse::default()).failed, "");
    }

    #[test]
    fn a_train_after_a_pause_is_no_silence() {
        let mut watchman = Watchman::new(0, Expected::Answers);
        // A train of 100 each two seconds, back at the next look.
        for tick in 0..400_u64 {
            let trains = tick / 40 + 1;
            let came = if tick % 40 == 0 { trains - 1 } else { trains } * 100;
            watchman.look(Pulse { at_ns: tick * TICK_NS, taken: trains * 100, came, ..Pulse::default() });
        }
        assert!(told(&watchman).is_empty(), "{:?}", told(&watchman));
    }

    #[test]
    fn who_may_not_answer_at_all_is_told_of_only_when_it_stops() {
        let look = |comes: fn(u64) -> u64| {
            let mut watchman = Watchman::new(0, Expected::Perhaps);
            for tick in 0..100_u64 {
                let came = comes(tick);
                watchman.look(Pulse { at_ns: tick * TICK_NS, taken: tick * 100, came, ..Pulse::default() });
            }
            watchman.end(Pulse::default())
        };
        assert_eq!(look(|_| 0), Watched::default());
        assert!(look(|tick| tick.min(50)).failed.contains("is the reflector away?"));
    }
}
