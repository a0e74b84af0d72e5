//! The sending half of a worker: what is due leaves, stamped with its intended time.
//!
//! * Open loop: nothing that happens on the network moves an intended time; lateness is counted, never caught up beyond
//!   what is due.
//! * A capability is minted when a pair first sends, anew once half of its time is over, and when either contact has
//!   changed; endpoints that adopt keep what their peers' datagrams bring, and mint only what has expired.
//! * No allocation, no lock, no map.

#![deny(clippy::disallowed_types)]

use crate::load::shape::config::{Capabilities, Config};
use crate::load::shape::directory::Directory;
use crate::load::shape::endpoint::Endpoint;
use crate::load::shape::fault::{Ends, Fault};
use crate::load::shape::pairing::{Outgoing, Pairs};
use crate::load::shape::phase::Phase;
use crate::load::shape::schedule::{Schedule, Share};
use crate::load::shape::stamp::{Class, RunId, STAMP_LEN, Stamp};
use crate::load::shape::stream::Stream;
use crate::load::shape::warp::Warp;
use crate::load::socket::station::Station;
use crate::load::watch::slices::Slices;
use crate::load::watch::tally::Tally;
use crate::random::Random;
use engine::{SendError, Sent};
use wire::{Form, HEADER_LEN, Header, Kind, TransportAddress, mint, seal};

/// The pairs that a worker sends, and when.
#[derive(Debug)]
pub struct Sender<'a> {
    config: &'a Config,
    directory: &'a Directory,
    relay: TransportAddress,
    outgoing: Vec<Outgoing>,
    /// One for each kind of flows.
    streams: Vec<Stream>,
    random: Random,
    run: RunId,
    worker: u32,
}

impl<'a> Sender<'a> {
    /// The sender of one worker, with the pairs of each kind that all workers have together; it begins at `start_ns`.
    pub fn new(
        config: &'a Config,
        directory: &'a Directory,
        pairs: Pairs,
        (worker, run): (u32, RunId),
        (start_ns, of_kind): (u64, &[u64]),
    ) -> Self {
        let traffic = &config.traffic;
        let warp = Warp::new(&traffic.profile, start_ns, traffic.warmup_ns);
        let (mut first, mut streams) = (0, Vec::with_capacity(pairs.of_kind.len()));
        let kinds = traffic.payload.kinds.iter().zip(traffic.paces());
        for (((kind, pace), count), whole) in kinds.zip(&pairs.of_kind).zip(of_kind) {
            let purpose = PURPOSE_ARRIVALS + (streams.len() as u64) * 0x1_0000 + u64::from(worker);
            let share = Share { worker, part: u64::from(*count), whole: *whole };
            let random = Random::new(traffic.seed, purpose);
            let schedule = Schedule::new(pace, share, start_ns, warp.clone(), random);
            streams.push(Stream::new(first..first + count, schedule, kind.sizes.clone()));
            first += count;
        }
        Sender {
            config,
            directory,
            relay: TransportAddress::from_socket(traffic.relay).unwrap_or_default(),
            outgoing: pairs.outgoing,
            streams,
            random: Random::new(traffic.seed, PURPOSE_FAULTS + u64::from(worker)),
            run,
            worker,
        }
    }

    /// The next intended time, ns; never for a worker without pairs.
    #[inline]
    pub fn next_ns(&self) -> u64 {
        self.streams.iter().map(Stream::next_ns).min().unwrap_or(u64::MAX)
    }

    /// The pairs, for what their peers' datagrams bring.
    #[inline]
    pub fn outgoing(&mut self) -> &mut [Outgoing] {
        &mut self.outgoing
    }

    /// Sends what is due, at most one batch; the number of datagrams. `now` is boot time in ns and unix time in s.
    #[inline]
    pub fn send_due(
        &mut self,
        (now_ns, now_s): (u64, u32),
        phase: &Phase,
        station: &mut Station<Label>,
        endpoints: &mut [Endpoint],
        (tally, slices): (&mut Tally, &Slices),
    ) -> u32 {
        let mut count = 0;
        let end_ns = phase.end_ns();
        while !station.is_full() {
            let Some((kind, intended_ns)) = self.soonest() else { break };
            if intended_ns > now_ns || intended_ns >= end_ns {
                break;
            }
            let measured_at = phase.measured_at(intended_ns);
            let pair = self.pair(kind, endpoints);
            match (pair, measured_at) {
                (None, _) => tally.idle += 1,
                (Some(_), Some(at_ns)) => {
                    tally.due += 1;
                    note_lag(tally, now_ns - intended_ns, phase.quarter(at_ns));
                }
                _ => {}
            }
            if let Some(place) = pair {
                let what = (place, self.size(kind));
                self.send(
                    what,
                    (intended_ns, measured_at),
                    (now_ns, now_s),
                    station,
                    endpoints,
                    (tally, slices),
                );
            }
            self.step(kind);
            count += 1;
        }
        count
    }

    /// Counts what was due before the end and is not sent any more.
    pub fn give_up(&mut self, phase: &Phase, tally: &mut Tally) {
        let Sender { streams, random, .. } = self;
        for stream in streams {
            tally.due += stream.give_up(phase.measured_ns(), phase.end_ns(), random);
        }
    }

    /// The kind of flows whose turn is next, and when.
    #[inline]
    fn soonest(&self) -> Option<(usize, u64)> {
        let times = self.streams.iter().map(Stream::next_ns).enumerate();
        times.min_by_key(|(_, next_ns)| *next_ns).filter(|(_, next_ns)| *next_ns != u64::MAX)
    }

    /// The next pair of a kind whose sender is there.
    #[inline]
    fn pair(&mut self, kind: usize, endpoints: &[Endpoint]) -> Option<usize> {
        let outgoing = &self.outgoing;
        let is_there = |place: usize| {
            let sender = outgoing.get(place).and_then(|pair| endpoints.get(pair.from as usize));
            sender.is_some_and(|endpoint| !endpoint.is_away())
        };
        self.streams.get_mut(kind)?.pair(is_there)
    }

    #[inline]
    fn size(&mut self, kind: usize) -> usize {
        let Sender { streams, random, .. } = self;
        streams.get(kind).map_or(0, |stream| stream.size(random))
    }

    #[inline]
    fn step(&mut self, kind: usize) {
        let Sender { streams, random, .. } = self;
        if let Some(stream) = streams.get_mut(kind) {
            stream.step(random);
        }
    }

    #[inline]
    fn send(
        &mut self,
        (place, size): (usize, usize),
        (intended_ns, measured_at): (u64, Option<u64>),
        (now_ns, now_s): (u64, u32),
        station: &mut Station<Label>,
        endpoints: &mut [Endpoint],
        (tally, slices): (&mut Tally, &Slices),
    ) {
        let relay = self.config.traffic.relay;
        let Some(pair) = self.outgoing.get_mut(place) else { return };
        let Some(endpoint) = endpoints.get_mut(pair.from as usize) else { return };
        let own = pair.from * self.config.workers() + self.worker;
        let (Some(own), Some(to)) = (self.directory.get(own), self.directory.get(pair.to)) else { return };
        let Ok(from) = endpoint.outbound(relay, now_ns) else {
            tally.nat_outbound_refused += 1;
            return;
        };
        let fault =
            if self.config.faults.is_empty() { None } else { self.config.faults.draw(&mut self.random) };
        let ends = Ends { from: own, to, relay: self.relay };
        let header = match fault {
            Some(fault) => fault.header(&self.config.ring, now_s, &ends),
            None => valid_header(pair, self.config, now_s, &ends, tally),
        };
        let Some(header) = header else { return };
        let class = if fault.is_some() { Class::Invalid } else { Class::Valid };
        let stamp = Stamp { class, intended_ns, slot: pair.slot, sequence: pair.sequence }.to_bytes(self.run);
        let valid_len = HEADER_LEN + size;
        let len = fault.map_or(valid_len, |fault| fault.len(valid_len));
        let label = Label::of(fault, measured_at.is_some());
        let queued = station.queue((from, relay), label, len, |bytes| write(bytes, &header, &stamp));
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Label {
    /// Valid, in the measured phase.
    #[default]
    Measured,
    /// Invalid on purpose, in the measured phase.
    Invalid,
    /// Anything of the warm-up.
    WarmUp,
    /// A keepalive.
    Keepalive,
}

impl Label {
    fn of(fault: Option<Fault>, measured: bool) -> Self {
        match (fault, measured) {
            (_, false) => Self::WarmUp,
            (Some(_), true) => Self::Invalid,
            (None, true) => Self::Measured,
        }
    }
}

/// Counts what the kernel answered.
#[inline]
pub fn note_sent(tally: &mut Tally, sent: Sent<Label>) {
    let count = u64::from(sent.datagrams);
    if let Err(error) = sent.outcome {
        let place = SendError::ALL.iter().position(|each| *each == error);
        if let Some(errors) = place.and_then(|place| tally.send_errors.get_mut(place)) {
            *errors += count;
        }
        return;
    }
    tally.taken += if sent.label == Label::Keepalive { 0 } else { count };
    match sent.label {
        Label::Measured => tally.sent += count,
        Label::Invalid => tally.invalid_taken += count,
        Label::Keepalive => tally.probes += count,
        Label::WarmUp => {}
    }
}

#[inline]
fn valid_header(
    pair: &mut Outgoing,
    config: &Config,
    now_s: u32,
    ends: &Ends,
    tally: &mut Tally,
) -> Option<Header> {
    let lifetime_s = config.capability_lifetime_s;
    let spare_s = match config.capabilities {
        Capabilities::Mint => lifetime_s / 2,
        // What a peer renews lasts; what nobody renewed expires, and then it is asked for anew.
        Capabilities::Adopt => 0,
    };
    let ports = (ends.from.port, ends.to.port);
    if pair.ports != ports || pair.expires <= now_s.saturating_add(spare_s) {
        let expires = now_s.saturating_add(lifetime_s);
        let form = if pair.sealed { Form::Sealed } else { Form::Plain };
        let header = mint::send_header(&config.ring, form, 0, expires, ends.from, ends.to)?;
        (pair.tag, pair.expires, pair.ports) = (header.tag, header.expires, ports);
        tally.minted += 1;
        return Some(header);
    }
    let minting = config.ring.minting();
    let (kind, peer) = if pair.sealed {
        (Kind::SealedSend, seal::mask(config.ring.get(minting)?, pair.tag, ends.from, ends.to))
    } else {
        (Kind::Send, ends.to)
    };
    let (class_key, expires, tag) = (minting.get(), pair.expires, pair.tag);
    Some(Header { kind: kind as u8, class_key, expires, peer, tag })
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

const PURPOSE_ARRIVALS: u64 = 0x100_0000;
const PURPOSE_FAULTS: u64 = 0x200_0000;
