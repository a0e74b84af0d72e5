//! What the fast path counted, core by core.
//!
//! * received == relayed + observed + dropped + passed, datagrams and bytes, on every core.
//! * Counted is plain UDP to the listening address; other frames go up without being looked at further.

#![allow(unsafe_code)]

/// Datagrams, and the bytes of their UDP payload.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub datagrams: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The counters of one core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// What arrived for the reflector.
    pub received: Count,
    /// SENDs that left as DATA.
    pub relayed: Count,
    /// PROBEs that were answered.
    pub observed: Count,
    /// What was left to the sockets.
    pub passed: Count,
    /// What was dropped, by reason, in the order of the decision's checks.
    pub dropped: [Count; REASONS],
    /// Relayed datagrams by key id.
    pub keys: [u64; 16],
}

impl Counts {
    /// All outcomes together; equal to `received`.
    pub fn outcomes(&self) -> Count {
        let outcomes = [self.relayed, self.observed, self.passed];
        outcomes.iter().chain(&self.dropped).fold(Count::default(), |sum, it| Count {
            datagrams: sum.datagrams + it.datagrams,
            bytes: sum.bytes + it.bytes,
        })
    }
}

/// `struct counters` of `bpf/layout.bpf.h`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Raw {
    received: Count,
    outcomes: [Count; 16],
    keys: [u64; 16],
}

// SAFETY: words of 64 bits only, so there is no padding.
unsafe impl aya::Pod for Raw {}

impl From<&Raw> for Counts {
    fn from(raw: &Raw) -> Self {
        let [relayed, observed, passed, dropped @ ..] = raw.outcomes;
        Self { received: raw.received, relayed, observed, passed, dropped, keys: raw.keys }
    }
}

/// Reasons for which a datagram is dropped.
pub const REASONS: usize = 13;
