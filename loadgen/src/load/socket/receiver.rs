//! The receiving half of a worker: whose datagram it is, whether its NAT lets it in, how long it took.
//!
//! * Every datagram meets the NAT; it is new or seen before whatever the NAT says, and only what enters has a latency.
//! * Endpoints that adopt capabilities take each one that lives longer than their own.
//! * What is not exactly as a reflector sends it (source, kind, receiver, sender named) is foreign and proves nothing.
//! * No allocation, no lock, no map.

#![deny(clippy::disallowed_types)]

use crate::load::shape::config::{Capabilities, Config};
use crate::load::shape::directory::Directory;
use crate::load::shape::endpoint::Endpoint;
use crate::load::shape::pairing::{Incoming, Outgoing};
use crate::load::shape::phase::Phase;
use crate::load::shape::stamp::{Class, RunId, Stamp};
use crate::load::socket::contacts::{Nonces, read_answer};
use crate::load::socket::station::Arrival;
use crate::load::socket::tracker::Sighting;
use crate::load::watch::slices::Slices;
use crate::load::watch::tally::Tally;
use std::net::SocketAddr;
use wire::{HEADER_LEN, Header, KeyId, KeyRing, Kind, TransportAddress, seal};

/// The pairs that a worker receives.
#[derive(Debug)]
pub struct Receiver<'a> {
    reflector: SocketAddr,
    run: RunId,
    nonces: Nonces,
    directory: &'a Directory,
    ring: &'a KeyRing,
    /// Whether contacts change, so that what is under way may name an older port.
    is_moving: bool,
    /// Whether a header that lives longer is kept for the answer.
    is_adopting: bool,
    incoming: Vec<Incoming>,
    /// This worker and how many there are.
    share: (u32, u32),
    /// First sightings of measured datagrams so far, delivered or refused.
    arrived: u64,
    /// Everything that this run sent and that came back, warm-up included.
    came: u64,
}

impl<'a> Receiver<'a> {
    /// The receiver of worker `number`.
    pub fn new(
        config: &'a Config,
        (run, nonces): (RunId, Nonces),
        directory: &'a Directory,
        incoming: Vec<Incoming>,
        number: u32,
    ) -> Self {
        Receiver {
            reflector: config.traffic.relay,
            run,
            nonces,
            directory,
            ring: &config.ring,
            is_moving: config.churn.is_some(),
            is_adopting: config.capabilities == Capabilities::Adopt,
            incoming,
            share: (number, config.workers()),
            arrived: 0,
            came: 0,
        }
    }

    /// First sightings of measured datagrams so far, delivered or refused by the NAT.
    pub fn arrived(&self) -> u64 {
        self.arrived
    }

    /// Everything that this run sent and that came back, answers to PROBEs apart, warm-up included.
    pub fn came(&self) -> u64 {
        self.came
    }

    /// Counts one arrival; `outgoing` are the pairs that this worker sends.
    #[inline]
    pub fn handle(
        &mut self,
        arrival: &Arrival<'_>,
        phase: &Phase,
        (endpoints, outgoing): (&mut [Endpoint], &mut [Outgoing]),
        (tally, slices): (&mut Tally, &Slices),
    ) {
        let Some((header, payload)) = arrival.datagram.split_first_chunk::<HEADER_LEN>() else {
            tally.foreign += 1;
            return;
        };
        let header = Header::read(header);
        let expected = arrival.whole && arrival.source == self.reflector;
        let stamp = Stamp::read(payload, self.run).filter(|_| expected);
        // Also an answer to a PROBE that is none.
        if stamp.is_some_and(|stamp| stamp.class == Class::Invalid) {
            tally.invalid_delivered += 1;
            return;
        }
        if header.kind == Kind::Observed as u8 {
            self.answer(arrival, endpoints, tally);
            return;
        }
        match stamp.filter(|_| [Kind::Data as u8, Kind::SealedData as u8].contains(&header.kind)) {
            Some(stamp) => {
                self.came += 1;
                self.data(&header, stamp, arrival, phase, (endpoints, outgoing), (tally, slices));
            }
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
        (endpoints, outgoing): (&mut [Endpoint], &mut [Outgoing]),
        (tally, slices): (&mut Tally, &Slices),
    ) {
        let pair = self.incoming.get_mut(stamp.slot as usize);
        let (directory, is_moving) = (self.directory, self.is_moving);
        let is_sealed = header.kind == Kind::SealedData as u8;
        let peer = if is_sealed { unmasked(header, arrival.local, self.ring) } else { Some(header.peer) };
        let named = |pair: &Incoming, peer: &TransportAddress| {
            let contact = directory.get(pair.from).filter(|_| pair.sealed == is_sealed);
            contact.is_some_and(|it| it.address == peer.address && (is_moving || it.port == peer.port))
        };
        let Some((pair, peer)) = pair.zip(peer).filter(|(pair, peer)| named(pair, peer)) else {
            tally.foreign += 1;
            return;
        };
        let endpoint = endpoints.get_mut(pair.to as usize);
        let Some(endpoint) = endpoint.filter(|endpoint| endpoint.external() == arrival.local.ip()) else {
            tally.foreign += 1;
            return;
        };
        let admitted = match endpoint.inbound(arrival.source, arrival.local, arrival.now_ns) {
            _ if endpoint.is_away() => Err(None),
            outcome => outcome.map_err(Some),
        };
        if admitted.is_ok() && self.is_adopting {
            let ports = (arrival.local.port(), peer.port);
            tally.adopted += adopt(outgoing.get_mut(pair.back as usize), header, ports);
        }
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
        match admitted {
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
                tally.note_kept_out(refusal);
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
            let number = stamp.endpoint.saturating_mul(workers).saturating_add(worker);
            let changed = self.directory.note(number, header.peer);
            tally.answers += 1;
            if endpoint.is_away() {
                endpoint.come_back();
                tally.returned += 1;
            } else {
                tally.contacts_changed += u64::from(changed);
            }
        }
    }
}

/// The source of a SEALED_DATA that arrived at `holder`, which an owner of the ring can read.
#[inline]
fn unmasked(header: &Header, holder: SocketAddr, ring: &KeyRing) -> Option<TransportAddress> {
    let key = ring.get(KeyId::of_header(header.class_key))?;
    Some(seal::mask(key, header.tag, TransportAddress::from_socket(holder)?, header.peer))
}

/// Takes over a header that lives longer than what the pair has, made for these ports; how many were.
#[inline]
fn adopt(back: Option<&mut Outgoing>, header: &Header, ports: (u16, u16)) -> u64 {
    let Some(back) = back.filter(|back| header.expires > back.expires || back.ports != ports) else {
        return 0;
    };
    (back.tag, back.expires, back.ports) = (header.tag, header.expires, ports);
    1
}
