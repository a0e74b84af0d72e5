//! The part of a run in which the load stood: what a core did in it, over the frames that came back in it.
//!
//! * Samples are taken from outside while a run goes on; start, warm-up and end of the run are found by the frames.
//! * Counted are frames that came back, on the cable: the same measure for every relay, whatever it counts itself.

use crate::figures::float;
use crate::rig::cores::CoreTime;
use std::time::Duration;

/// Both cores and the cable at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Since the start of the run.
    pub at: Duration,
    /// Frames that came back so far.
    pub frames: u64,
    /// The relay's core.
    pub relay: CoreTime,
    /// The generator's core.
    pub generator: CoreTime,
    /// CPU time of the relay's process and of the kernel thread that serves its interface, ns.
    pub relay_own_ns: u64,
    /// CPU time of the generator and of the kernel thread that serves its interface, ns.
    pub generator_own_ns: u64,
}

/// What happened between two samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// How long it was.
    pub length: Duration,
    /// Frames that came back.
    pub frames: u64,
    /// Busy time of the relay's core over these frames, split into user, system and soft interrupt, ns.
    pub core_ns: [f64; 3],
    /// CPU time of the relay's process and of its interface's kernel thread over these frames, ns: what others do on
    /// the core is not in it, nor what interrupts do.
    pub own_ns: f64,
    /// The part of the relay's core that others took.
    pub relay_taken: f64,
    /// The part of the generator's core that others took.
    pub generator_taken: f64,
}

impl Span {
    /// The longest part of a run in which frames came back nearly as fast as they ever did; `None` if there is none
    /// of 150 ms.
    pub fn under_load(samples: &[Sample]) -> Option<Self> {
        let steps = || samples.windows(2).filter_map(|pair| Some((*pair.first()?, *pair.last()?)));
        let fastest = steps().map(|(from, to)| rate(&from, &to)).fold(0.0, f64::max);
        let mut best: Option<(Sample, Sample)> = None;
        let mut open: Option<Sample> = None;
        for (from, to) in steps() {
            if rate(&from, &to) < fastest * STEADY || fastest == 0.0 {
                open = None;
                continue;
            }
            let start = *open.get_or_insert(from);
            if best.is_none_or(|(from, until)| to.at - start.at > until.at - from.at) {
                best = Some((start, to));
            }
        }
        best.and_then(|(from, to)| Self::between(&from, &to))
    }

    fn between(from: &Sample, to: &Sample) -> Option<Self> {
        let length = to.at.saturating_sub(from.at);
        let frames = to.frames.saturating_sub(from.frames);
        let relay = to.relay.since(&from.relay);
        let busy = relay.busy(length)?;
        if length < LEAST || frames == 0 {
            return None;
        }
        let own = |to: u64, from: u64| to.saturating_sub(from);
        let relay_own_ns = own(to.relay_own_ns, from.relay_own_ns);
        Some(Self {
            length,
            frames,
            core_ns: busy.map(|ns| ns / float(frames)),
            own_ns: float(relay_own_ns) / float(frames),
            relay_taken: relay.taken_by_others(relay_own_ns, length),
            generator_taken: to
                .generator
                .since(&from.generator)
                .taken_by_others(own(to.generator_own_ns, from.generator_own_ns), length),
        })
    }

    /// All of the core-time per frame, ns.
    pub fn core_total_ns(&self) -> f64 {
        self.core_ns.iter().sum()
    }
}

fn rate(from: &Sample, to: &Sample) -> f64 {
    let length = to.at.saturating_sub(from.at).as_secs_f64();
    float(to.frames.saturating_sub(from.frames)) / length.max(f64::MIN_POSITIVE)
}

/// A step belongs to the load while this part of the fastest step's rate comes back.
const STEADY: f64 = 0.8;
/// The kernel books idle time in hundredths of a second; a shorter span would be guessing.
const LEAST: Duration = Duration::from_millis(150);

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// A run of 50 frames per ms between two moments; the core is half busy then, and idle otherwise.
    fn samples(from_ms: u64, to_ms: u64, step_ms: u64) -> Vec<Sample> {
        let sample = |at_ms: u64| {
            let loaded_ms = at_ms.clamp(from_ms, to_ms) - from_ms;
            let busy_ns = loaded_ms * MS / 2;
            let core = CoreTime { system_ns: busy_ns, idle_ns: at_ms * MS - busy_ns, ..CoreTime::default() };
            Sample {
                at: Duration::from_millis(at_ms),
                frames: loaded_ms * 50,
                relay: core,
                generator: core,
                relay_own_ns: busy_ns,
                generator_own_ns: busy_ns / 5,
            }
        };
        (0..=to_ms + 500).step_by(usize::try_from(step_ms).unwrap()).map(sample).collect()
    }

    #[test]
    fn start_and_end_of_a_run_do_not_count() {
        let span = Span::under_load(&samples(730, 2_210, 100)).unwrap();
        assert_eq!(span.length, Duration::from_millis(1_400));
        assert_eq!(span.frames, 70_000);
        assert!((span.core_total_ns() - 10_000.0).abs() < 1.0, "{span:?}");
        assert!(span.relay_taken < 1e-9 && (span.generator_taken - 0.4).abs() < 1e-9, "{span:?}");
    }

    #[test]
    fn without_load_there_is_no_span() {
        assert_eq!(Span::under_load(&samples(100, 150, 50)), None);
        assert_eq!(Span::under_load(&[Sample::default(); 9]), None);
        assert_eq!(Span::under_load(&[]), None);
    }
}
