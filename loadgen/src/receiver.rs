//! The receiving half of a worker: whose datagram it is, whether its NAT lets it in, how long it took.
//!
//! * A datagram is new or seen before whatever the NAT says; only then the NAT decides, and only what enters has a
//!   latency.
//! * What is not exactly as a reflector sends it (source, kind, receiver, sender named) is foreign and proves nothing.
//! * No allocation, no lock, no map.

#![deny(clippy::disallowed_types)]

use crate::contacts::{Nonces, read_answer};
use crate::endpoint::Endpoint;
use crate::pairing::Incoming;
use crate::phase::Phase;
use crate::slices::Slices;
use crate::stamp::{Class, RunId, Stamp};
use crate::station::Arrival;
use crate::tally::Tally;
use crate::tracker::Sighting;
use std::net::SocketAddr;
use wire::{HEADER_LEN, Header, Kind, TransportAddress};

/// The pairs that a worker receives.
#[derive(Debug)]
pub struct Receiver<'a> {
    reflector: SocketAddr,
    run: RunId,
    nonces: Nonces,
    /// By number in the plan.
    contacts: &'a [Option<TransportAddress>],
    incoming: Vec<Incoming>,
    /// This worker and how many there are.
    share: (u32, u32),
    /// First sightings of measured datagrams so far, delivered or refused.
    arrived: u64,
}

impl<'a> Receiver<'a> {
    /// The receiver of worker `share.0` of `share.1`.
    pub fn new(
        reflector: SocketAddr,
        (run, nonces): (RunId, Nonces),
        contacts: &'a [Option<TransportAddress>],
        incoming: Vec<Incoming>,
        share: (u32, u32),
    ) -> Receiver<'a> {
        Receiver { reflector, run, nonces, contacts, incoming, share, arrived: 0 }
    }

    /// First sightings of measured datagrams so far, delivered or refused by the NAT.
    pub fn arrived(&self) -> u64 {
        self.arrived
    }

    /// Counts one arrival.
    #[inline]
    pub fn handle(
        &mut self,
        arrival: &Arrival<'_>,
        phase: &Phase,
        endpoints: &mut [Endpoint],
        (tally, slices): (&mut Tally, &Slices),
    ) {
        let Some((header, payload)) = arrival.datagram.split_first_chunk::<HEADER_LEN>() else {
            tally.foreign += 1;
            return;
        };
        let header = Header::read(header);
        if header.kind == Kind::Observed as u8 {
            self.answer(arrival, endpoints, tally);
            return;
        }
        let expected = arrival.whole && arrival.source == self.reflector && header.kind == Kind::Data as u8;
        match Stamp::read(payload, self.run).filter(|_| expected) {
            Some(stamp) if stamp.class == Class::Invalid => tally.invalid_delivered += 1,
            Some(stamp) => self.data(&header, stamp, arrival, phase, endpoints, (tally, slices)),
            None => tally.foreign += 1,
        }
    }

    #[inline]
    fn data(
        &mut self,
        header: &Header,
        stamp: Stamp,
        arrival: &Arrival<'_>,
        phase: &Phase,
        endpoints: &mut [Endpoint],
        (tally, slices): (&mut Tally, &Slices),
    ) {
        let pair = self.incoming.get_mut(stamp.slot as usize);
        let named =
            |pair: &Incoming| self.contacts.get(pair.from as usize).copied().flatten() == Some(header.peer);
        let Some(pair) = pair.filter(|pair| named(pair)) else {
            tally.foreign += 1;
            return;
        };
        let endpoint = endpoints.get_mut(pair.to as usize);
        let Some(endpoint) = endpoint.filter(|endpoint| endpoint.external() == arrival.local.ip()) else {
            tally.foreign += 1;
            return;
        };
        let Some(at_ns) = phase.measured_at(stamp.intended_ns) else { return };
        match pair.tracker.note(stamp.sequence) {
            Sighting::New => {}
            Sighting::Reordered => tally.reordered += 1,
            Sighting::Duplicate => {
                tally.duplicates += 1;
                return;
            }
            Sighting::Stale => {
                tally.stale += 1;
                return;
            }
        }
        self.arrived += 1;
        let mut other = Default::default();
        let cell = tally.cells.get_mut(usize::from(pair.cell)).unwrap_or(&mut other);
        match endpoint.inbound(arrival.source, arrival.local, arrival.now_ns) {
            Ok(()) => {
                let latency_ns = arrival.now_ns.saturating_sub(stamp.intended_ns).max(1);
                cell.delivered += 1;
                tally.delivered += 1;
                tally.late += u64::from(arrival.now_ns >= phase.end_ns());
                tally.latency.saturating_record(latency_ns);
                slices.note_delivered(at_ns, latency_ns);
            }
            Err(refusal) => {
                cell.refused += 1;
                slices.note_refused(at_ns);
                tally.note_refusal(refusal);
            }
        }
    }

    /// Counts the answer to a keepalive.
    fn answer(&self, arrival: &Arrival<'_>, endpoints: &mut [Endpoint], tally: &mut Tally) {
        let answer = read_answer(arrival, self.reflector, self.run);
        let Some((header, stamp)) = answer.filter(|(_, stamp)| stamp.nonce == self.nonces.of(stamp.endpoint))
        else {
            tally.foreign += 1;
            return;
        };
        let Some(endpoint) = endpoints.get_mut(stamp.endpoint as usize) else { return };
        if endpoint.inbound(arrival.source, arrival.local, arrival.now_ns).is_ok() {
            let (worker, workers) = self.share;
            let number = u64::from(stamp.endpoint) * u64::from(workers) + u64::from(worker);
            let known =
                usize::try_from(number).ok().and_then(|number| self.contacts.get(number)).copied().flatten();
            tally.answers += 1;
            tally.contacts_changed += u64::from(known != Some(header.peer));
        }
    }
}
