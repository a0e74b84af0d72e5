//! The sending half of a worker: what is due leaves, stamped with its intended time.
//!
//! * Open loop: nothing that happens on the network moves an intended time; lateness is counted, never caught up beyond
//!   what is due.
//! * A capability is minted when a pair first sends, and anew once half of its time is over: no pause for re-minting.
//! * No allocation, no lock, no map.

#![deny(clippy::disallowed_types)]

use crate::config::Config;
use crate::endpoint::Endpoint;
use crate::fault::Fault;
use crate::pairing::Outgoing;
use crate::phase::Phase;
use crate::random::Random;
use crate::schedule::{Arrivals, Schedule, Share};
use crate::slices::Slices;
use crate::stamp::{Class, RunId, STAMP_LEN, Stamp};
use crate::station::Station;
use crate::tally::Tally;
use engine::{SendError, Sent};
use wire::{HEADER_LEN, Header, Kind, TransportAddress, mint};

/// The pairs that a worker sends, and when.
#[derive(Debug)]
pub struct Sender<'a> {
    config: &'a Config,
    /// By number in the plan.
    contacts: &'a [Option<TransportAddress>],
    outgoing: Vec<Outgoing>,
    schedule: Schedule,
    /// Datagrams still to send at the present intended time.
    left: u32,
    cursor: usize,
    random: Random,
    run: RunId,
    worker: u32,
}

impl<'a> Sender<'a> {
    /// The sender of one worker; its schedule begins at `start_ns`.
    pub fn new(
        config: &'a Config,
        contacts: &'a [Option<TransportAddress>],
        outgoing: Vec<Outgoing>,
        (share, run): (Share, RunId),
        start_ns: u64,
    ) -> Sender<'a> {
        let random = |purpose| Random::new(config.traffic.seed, purpose + u64::from(share.worker));
        let schedule = Schedule::new(
            config.traffic.arrivals,
            config.traffic.rate_per_s,
            share,
            start_ns,
            random(PURPOSE_ARRIVALS),
        );
        let left = schedule.burst();
        Sender {
            config,
            contacts,
            outgoing,
            schedule,
            left,
            cursor: 0,
            random: random(PURPOSE_FAULTS),
            run,
            worker: share.worker,
        }
    }

    /// The next intended time, ns; never for a worker without pairs.
    #[inline]
    pub fn next_ns(&self) -> u64 {
        self.schedule.next_ns()
    }

    /// Sends what is due, at most one batch; the number of datagrams. `now` is boot time in ns and unix time in s.
    #[inline]
    pub fn send_due(
        &mut self,
        (now_ns, now_s): (u64, u32),
        phase: &Phase,
        station: &mut Station,
        endpoints: &mut [Endpoint],
        (tally, slices): (&mut Tally, &Slices),
    ) -> u32 {
        let mut count = 0;
        let end_ns = phase.end_ns();
        while !station.is_full() {
            let intended_ns = self.next_ns();
            if intended_ns > now_ns || intended_ns >= end_ns {
                break;
            }
            let measured_at = phase.measured_at(intended_ns);
            if let Some(at_ns) = measured_at {
                tally.due += 1;
                note_lag(tally, now_ns - intended_ns, phase.quarter(at_ns));
            }
            self.send(intended_ns, (now_ns, now_s), measured_at, station, endpoints, (tally, slices));
            self.step();
            count += 1;
        }
        count
    }

    /// Counts what was due before the end and is not sent any more.
    pub fn give_up(&mut self, phase: &Phase, tally: &mut Tally) {
        let end_ns = phase.end_ns();
        while self.next_ns() < end_ns {
            tally.due += u64::from(phase.measured_at(self.schedule.next_ns()).is_some());
            self.step();
        }
    }

    /// Goes on to the next datagram: of the burst, or of the next intended time and pair.
    #[inline]
    fn step(&mut self) {
        self.left = self.left.saturating_sub(1);
        if self.left > 0 {
            return;
        }
        self.left = self.schedule.burst();
        self.schedule.advance();
        let pairs = self.outgoing.len();
        self.cursor = if self.config.traffic.arrivals == Arrivals::Poisson {
            self.random.below(u32::try_from(pairs).unwrap_or(u32::MAX)) as usize
        } else if self.cursor + 1 < pairs {
            self.cursor + 1
        } else {
            0
        };
    }

    #[inline]
    fn send(
        &mut self,
        intended_ns: u64,
        (now_ns, now_s): (u64, u32),
        measured_at: Option<u64>,
        station: &mut Station,
        endpoints: &mut [Endpoint],
        (tally, slices): (&mut Tally, &Slices),
    ) {
        let Some(pair) = self.outgoing.get_mut(self.cursor) else { return };
        let Some(endpoint) = endpoints.get_mut(pair.from as usize) else { return };
        let contact_of = |number: u32| self.contacts.get(number as usize).copied().flatten();
        let own = pair.from * self.config.workers() + self.worker;
        let (Some(own), Some(to)) = (contact_of(own), contact_of(pair.to)) else { return };
        let Ok(from) = endpoint.outbound(self.config.traffic.relay, now_ns) else {
            tally.nat_outbound_refused += 1;
            return;
        };
        let fault =
            if self.config.faults.is_empty() { None } else { self.config.faults.draw(&mut self.random) };
        let header = match fault {
            Some(fault) => fault.header(&self.config.ring, now_s, own, to),
            None => valid_header(pair, self.config, now_s, own, to),
        };
        let Some(header) = header else { return };
        let class = if fault.is_some() { Class::Invalid } else { Class::Valid };
        let stamp = Stamp { class, intended_ns, slot: pair.slot, sequence: pair.sequence }.to_bytes(self.run);
        let valid_len = HEADER_LEN + self.config.traffic.payload;
        let len = fault.map_or(valid_len, |fault| fault.len(valid_len));
        let label = Label::of(fault, measured_at.is_some()) as u8;
        let queued = station
            .queue((from, self.config.traffic.relay), label, len, |bytes| write(bytes, &header, &stamp));
        match (queued, fault, measured_at) {
            (false, ..) => tally.nat_outbound_refused += 1,
            (true, Some(fault), Some(_)) => note_fault(tally, fault),
            (true, None, Some(at_ns)) => {
                pair.sequence = pair.sequence.wrapping_add(1);
                slices.note_sent(at_ns);
                if let Some(cell) = tally.cells.get_mut(usize::from(pair.cell)) {
                    cell.sent += 1;
                }
            }
            _ => {}
        }
    }
}

/// What was sent, for when the kernel answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Label {
    /// Valid, in the measured phase.
    Measured = 0,
    /// Invalid on purpose, in the measured phase.
    Invalid = 1,
    /// Anything of the warm-up.
    WarmUp = 2,
    /// A keepalive.
    Keepalive = 3,
}

impl Label {
    fn of(fault: Option<Fault>, measured: bool) -> Label {
        match (fault, measured) {
            (_, false) => Label::WarmUp,
            (Some(_), true) => Label::Invalid,
            (None, true) => Label::Measured,
        }
    }
}

/// Counts what the kernel answered.
#[inline]
pub fn note_sent(tally: &mut Tally, sent: Sent) {
    let count = u64::from(sent.datagrams);
    if let Err(error) = sent.outcome {
        let place = SendError::ALL.iter().position(|each| *each == error);
        if let Some(errors) = place.and_then(|place| tally.send_errors.get_mut(place)) {
            *errors += count;
        }
        return;
    }
    match sent.label {
        label if label == Label::Measured as u8 => tally.sent += count,
        label if label == Label::Invalid as u8 => tally.invalid_taken += count,
        label if label == Label::Keepalive as u8 => tally.probes += count,
        _ => {}
    }
}

#[inline]
fn valid_header(
    pair: &mut Outgoing,
    config: &Config,
    now_s: u32,
    own: TransportAddress,
    to: TransportAddress,
) -> Option<Header> {
    let class_key = config.ring.minting().get();
    if pair.expires.saturating_sub(now_s) <= LIFETIME_S / 2 {
        let header = mint::send_header(&config.ring, 0, now_s.saturating_add(LIFETIME_S), own, to)?;
        (pair.tag, pair.expires) = (header.tag, header.expires);
        return Some(header);
    }
    Some(Header { kind: Kind::Send as u8, class_key, expires: pair.expires, peer: to, tag: pair.tag })
}

/// As much of header and stamp as the datagram has room for.
#[inline]
fn write(bytes: &mut [u8], header: &Header, stamp: &[u8; STAMP_LEN]) {
    if let Some((head, payload)) = bytes.split_first_chunk_mut::<HEADER_LEN>() {
        header.write(head);
        if let Some(place) = payload.first_chunk_mut::<STAMP_LEN>() {
            *place = *stamp;
        }
        return;
    }
    for (byte, value) in bytes.iter_mut().zip(header.to_bytes()) {
        *byte = value;
    }
}

#[inline]
fn note_lag(tally: &mut Tally, lag_ns: u64, quarter: usize) {
    if let Some(lag) = tally.lag.get_mut(quarter) {
        lag.saturating_record(lag_ns.max(1));
    }
}

fn note_fault(tally: &mut Tally, fault: Fault) {
    let place = Fault::ALL.iter().position(|each| *each == fault);
    if let Some(count) = place.and_then(|place| tally.invalid_sent.get_mut(place)) {
        *count += 1;
    }
}

/// Seconds that a capability is minted for; a reflector renews what has less than half of 300 s left, so that it never
/// has to.
const LIFETIME_S: u32 = 300;
const PURPOSE_ARRIVALS: u64 = 0x100_0000;
const PURPOSE_FAULTS: u64 = 0x200_0000;
