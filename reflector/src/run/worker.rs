//! A worker: what happens to each datagram, between the engine that receives it and the engine that sends it.
//!
//! ```text
//! truncated -> oversize (cut) -> denied -> (STUN?) -> wire::decide -> rate -> engine -> relayed | observed | send error
//! ```
//!
//! * Clock, rules and counters: once per batch. Per datagram: no lock, allocation, clock, log or map.
//! * Every datagram received is counted once more: relayed, observed, dropped for one reason, a send error, or handed to
//!   STUN.
//! * Only what the decision accepts spends a budget.

#![deny(clippy::disallowed_types)]

use crate::counters::{Cells, Counts, Event, Label};
use crate::rules::rates::Buckets;
use crate::rules::shared::{Rules, Shared};
use crate::stun::answer::Stun;
use arc_swap::{ArcSwap, Cache};
use engine::host::clock;
use engine::{Action, Arrival, Batch, Condition, Handler, Sent};
use std::sync::Arc;
use wire::siphash::SipKey;
use wire::{LastTicket, Reason, Verdict};

/// The handler of one engine.
#[derive(Debug)]
pub struct Worker {
    shared: Arc<Shared>,
    latest: Cache<Arc<ArcSwap<Rules>>, Arc<Rules>>,
    rules: Arc<Rules>,
    buckets: Buckets,
    counts: Counts,
    cells: Arc<Cells>,
    stun: Option<Stun>,
    boot_ns: u64,
    now_s: u32,
}

impl Worker {
    /// A worker that publishes its counts to `cells`, its buckets hashed under `hash_key`.
    pub fn new(shared: Arc<Shared>, cells: Arc<Cells>, hash_key: SipKey) -> Self {
        let mut latest = Cache::new(Arc::clone(shared.rules()));
        let rules = Arc::clone(latest.load());
        let (buckets, counts) = (Buckets::new(hash_key), Counts::new());
        Self { shared, latest, rules, buckets, counts, cells, stun: None, boot_ns: 0, now_s: 0 }
    }

    /// The same worker, which hands STUN to `stun`.
    #[must_use]
    pub fn with_stun(mut self, stun: Option<Stun>) -> Self {
        self.stun = stun;
        self
    }

    /// Takes the newest rules, and the boot time `boot_ns` as now.
    #[inline]
    fn begin(&mut self, boot_ns: i64) {
        let latest = self.latest.load();
        if !Arc::ptr_eq(latest, &self.rules) {
            self.rules = Arc::clone(latest);
        }
        debug_assert!(boot_ns >= 0, "nothing was before the boot");
        self.boot_ns = boot_ns.cast_unsigned();
        self.now_s = clock::unix_s(self.shared.offset_ns(), boot_ns);
    }

    /// What becomes of a datagram, whose header is rewritten if the answer is not a reason.
    #[inline]
    fn judge(&mut self, arrival: Arrival<'_>) -> Result<Action<Label>, Reason> {
        let Rules { ring, policy, limits } = &*self.rules;
        match arrival.condition {
            Condition::Whole => {}
            Condition::Cut => return Err(Reason::Oversize),
            Condition::ControlCut => return Err(Reason::Truncated),
        }
        let (source, datagram) = (arrival.source, arrival.datagram);
        if policy.denies_source(source.ip()) {
            return Err(Reason::Denied);
        }
        if let Some(stun) = self.stun.as_ref().filter(|stun| stun.takes(arrival.socket, datagram)) {
            let arrival = Arrival { datagram, ..arrival };
            let action = stun.serve(arrival, &self.rules, &mut self.buckets, self.boot_ns, &mut self.counts);
            return Ok(action);
        }
        // An answer is written over it.
        let ticket = LastTicket::of_probe(datagram);
        match wire::decide(datagram, source, self.now_s, ring, policy) {
            Verdict::Drop(reason) => Err(reason),
            Verdict::Observe => {
                let known = || ticket.is_some_and(|ticket| ticket.proves(source, self.now_s, ring));
                let within = self.buckets.spend_probe(limits, source.ip(), self.boot_ns)
                    || (known() && self.buckets.spend_source(source, self.boot_ns));
                within.then_some(Action::InPlace { to: source, label: Label::Observed }).ok_or(Reason::Rate)
            }
            Verdict::Relay { to, class_key } => {
                let class = class_key >> 4;
                if !self.buckets.spend_class(limits, class, source.ip(), datagram.len(), self.boot_ns) {
                    return Err(Reason::Rate);
                }
                self.counts.count_key(class_key);
                Ok(Action::InPlace { to, label: Label::Data })
            }
        }
    }
}

impl Handler for Worker {
    type Label = Label;

    #[inline]
    fn begin_batch(&mut self) {
        self.begin(clock::boot_ns());
    }

    #[inline]
    fn handle(&mut self, arrival: Arrival<'_>) -> Action<Label> {
        let bytes = arrival.datagram.len() as u64;
        self.counts.count(Event::Received, 1, bytes);
        self.judge(arrival).unwrap_or_else(|reason| {
            self.counts.count(Event::Dropped(reason), 1, bytes);
            Action::Drop
        })
    }

    #[inline]
    fn sent(&mut self, sent: Sent<Label>) {
        self.counts.count(sent.label.event(sent.outcome), u64::from(sent.datagrams), sent.bytes);
    }

    #[inline]
    fn end_batch(&mut self, batch: Batch) {
        // An engine that learns later what became of sends ends a batch of answers alone, which is none.
        if batch.datagrams > 0 {
            self.counts.count_batch(batch.datagrams, batch.overflows);
        }
        self.counts.publish(&self.cells);
    }
}
