//! The daemon's worker, called directly: every source address can be had, and no kernel is involved.
//!
//! * What the worker would send is taken as sent, so its counters close as they do in service.
//! * The worker reads its own clock; a setup's moment is held by moving the offset and looking at the clock again.

use crate::outcome::Outcome;
use crate::setup::Setup;
use engine::host::clock;
use engine::{Action, Arrival, Batch, Condition, Handler, SCRATCH_LEN, Sent, SocketId};
use reflector::counters::{Cells, Counts, Event, Label};
use reflector::rules::shared::Shared;
use reflector::run::worker::Worker;
use std::net::SocketAddr;
use std::sync::Arc;
use wire::Reason;
use wire::siphash::SipKey;

/// A worker with full buckets.
#[derive(Debug)]
pub(crate) struct Direct {
    shared: Arc<Shared>,
    cells: Arc<Cells>,
    worker: Worker,
    now_s: u32,
}

impl Direct {
    pub(crate) fn new(setup: &Setup) -> Self {
        let shared = Arc::new(Shared::new(setup.rules(), 0));
        let cells = Arc::new(Cells::new());
        let worker = Worker::new(Arc::clone(&shared), Arc::clone(&cells), SipKey::new(setup.hash_key));
        Self { shared, cells, worker, now_s: setup.now_s }
    }

    /// Decides the datagrams in one batch, at the moment of the setup.
    pub(crate) fn handle(&mut self, datagrams: &[(SocketAddr, Vec<u8>)]) -> Vec<Outcome> {
        while !self.begin() {}
        let outcomes = datagrams.iter().map(|(source, bytes)| self.one(*source, bytes)).collect();
        self.worker.end_batch(Batch { datagrams: datagrams.len() as u32, overflows: 0 });
        outcomes
    }

    /// What has been counted since the beginning.
    pub(crate) fn counts(&self) -> Counts {
        self.cells.read()
    }

    /// Begins a batch; whether the worker certainly read the setup's moment.
    fn begin(&mut self) -> bool {
        let offset_ns = offset_ns(self.now_s, clock::boot_ns());
        self.shared.set_offset_ns(offset_ns);
        self.worker.begin_batch();
        clock::unix_s(offset_ns, clock::boot_ns()) == self.now_s
    }

    fn one(&mut self, source: SocketAddr, bytes: &[u8]) -> Outcome {
        let before = self.dropped();
        let mut datagram = bytes.to_vec();
        let mut scratch = [0; SCRATCH_LEN];
        let action = self.worker.handle(Arrival {
            datagram: &mut datagram,
            scratch: &mut scratch,
            source,
            local: None,
            socket: SocketId(0),
            condition: Condition::Whole,
        });
        match action {
            Action::Drop => {
                let after = self.dropped();
                let grown = |place: &usize| after[*place] != before[*place];
                let place = (0..Reason::ALL.len()).find(grown).expect("a drop is counted for its reason");
                Outcome::Dropped(Reason::ALL[place])
            }
            Action::InPlace { to, label } => {
                let sent = Sent { label, datagrams: 1, bytes: datagram.len() as u64, outcome: Ok(()) };
                if self.sent(sent) { Outcome::Relayed(to, datagram) } else { Outcome::Observed(datagram) }
            }
            Action::Scratch { .. } => panic!("STUN is off, so nothing is answered from the scratch"),
        }
    }

    /// Reports a send; whether the worker counted it as relayed.
    fn sent(&mut self, sent: Sent<Label>) -> bool {
        let before = self.published().datagrams(Event::Relayed);
        self.worker.sent(sent);
        self.published().datagrams(Event::Relayed) > before
    }

    fn dropped(&mut self) -> [u64; Reason::ALL.len()] {
        let counts = self.published();
        Reason::ALL.map(|reason| counts.datagrams(Event::Dropped(reason)))
    }

    fn published(&mut self) -> Counts {
        self.worker.end_batch(Batch { datagrams: 0, overflows: 0 });
        self.cells.read()
    }
}

/// received == relayed + observed + drops by reason + send errors, in datagrams and in bytes.
pub(crate) fn assert_conserved(counts: &Counts, received: u64) {
    let events = [Event::Relayed, Event::Observed];
    let accepted: u64 = events.iter().map(|event| counts.datagrams(*event)).sum();
    assert_eq!(counts.datagrams(Event::Received), received, "every datagram is received once");
    assert_eq!(
        received,
        accepted + counts.dropped() + counts.unsent(),
        "every datagram is counted once more"
    );
    let dropped: u64 = Reason::ALL.iter().map(|reason| counts.bytes(Event::Dropped(*reason))).sum();
    let accepted: u64 = events.iter().map(|event| counts.bytes(*event)).sum();
    assert_eq!(counts.bytes(Event::Received), accepted + dropped, "every byte is counted once more");
}

/// The offset with which a boot time reads as the beginning of this second.
pub(crate) fn offset_ns(now_s: u32, boot_ns: i64) -> i64 {
    i64::from(now_s) * 1_000_000_000 - boot_ns
}
