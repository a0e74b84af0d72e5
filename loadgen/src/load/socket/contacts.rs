//! The first phase: every endpoint asks the reflector for its contact, paced and repeated.
//!
//! * A contact counts only with a ticket that the ring verifies, received through the endpoint's own NAT.
//! * PROBEs are paced far below what a reflector budgets for each /24; what is lost is asked again, for as long as that
//!   brings something.

use crate::error::Error;
use crate::load::shape::endpoint::Endpoint;
use crate::load::shape::stamp::{PROBE_STAMP_LEN, ProbeStamp, RunId};
use crate::load::socket::station::{Arrival, Station, now_ns};
use crate::random::finalise;
use engine::host::clock;
use engine::host::clock::Clock;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;
use wire::mint::{self, TicketError};
use wire::{HEADER_LEN, Header, KeyRing, Kind, TransportAddress};

/// What asking needs to know.
#[derive(Clone, Debug)]
pub struct Asking<'a> {
    /// The reflector.
    pub reflector: SocketAddr,
    /// Its ring, which verifies tickets.
    pub ring: &'a KeyRing,
    /// The run.
    pub run: RunId,
    /// What nonces are made from.
    pub nonces: Nonces,
    /// Time between two PROBEs, ns.
    pub gap_ns: u64,
    /// Set when the run is to end.
    pub interrupted: &'a AtomicBool,
    /// Where the number of contacts is told.
    pub obtained: &'a AtomicU32,
}

/// What asking brought.
#[derive(Clone, Debug, Default)]
pub struct Obtained {
    /// The contact of each endpoint of the worker; `None` for one that got no answer.
    pub contacts: Vec<Option<TransportAddress>>,
    /// PROBEs sent.
    pub probes: u64,
    /// Answers whose ticket proved nothing, with the last reason.
    pub refused: Option<TicketError>,
}

impl Obtained {
    /// How many endpoints have a contact.
    pub fn count(&self) -> usize {
        self.contacts.iter().flatten().count()
    }
}

/// The nonces of a worker's PROBEs: nobody else can answer for an endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Nonces {
    key: u64,
}

impl Nonces {
    /// From a random key.
    pub const fn new(key: u64) -> Self {
        Self { key }
    }

    /// The nonce of an endpoint, by its number at the worker.
    #[inline]
    pub fn of(self, endpoint: u32) -> u64 {
        finalise(self.key ^ finalise(u64::from(endpoint) + 1))
    }
}

/// Obtains contacts for all endpoints, or as many as answer.
///
/// # Errors
/// What the kernel says about the sockets.
pub fn obtain(
    station: &mut Station<()>,
    endpoints: &mut [Endpoint],
    asking: &Asking<'_>,
) -> Result<Obtained, Error> {
    let clock = Clock::start();
    let start_ns = now_ns();
    let mut obtained = Obtained { contacts: vec![None; endpoints.len()], ..Obtained::default() };
    let (mut missing, mut next_ns) = (endpoints.len(), start_ns);
    let mut fruitless = 0;
    while fruitless < PASSES && missing > 0 && !asking.interrupted.load(Relaxed) {
        let missing_before = missing;
        let mut cursor = 0;
        let mut quiet_since_ns = next_ns;
        while missing > 0 && !asking.interrupted.load(Relaxed) {
            let now = now_ns();
            // Until somebody answers, a few ask for all: nothing is flooded at an address where nobody is.
            let asked =
                if missing == endpoints.len() { endpoints.len().min(SCOUTS) } else { endpoints.len() };
            while cursor < asked && next_ns <= now && !station.is_full() {
                if ask(station, endpoints, &obtained, asking, cursor, now) {
                    obtained.probes += 1;
                    next_ns += asking.gap_ns;
                    quiet_since_ns = now;
                }
                cursor += 1;
            }
            station.flush(&mut |_| ());
            station.wait(pause(next_ns, cursor < asked)).map_err(failed)?;
            let before = missing;
            let handle = &mut |arrival: &Arrival<'_>| {
                missing -= usize::from(answer(endpoints, &mut obtained, asking, &clock, arrival));
            };
            station.receive(handle).map_err(failed)?;
            if missing < before {
                quiet_since_ns = now;
                asking.obtained.store(u32::try_from(endpoints.len() - missing).unwrap_or(0), Relaxed);
            }
            let waited_ns = now.saturating_sub(quiet_since_ns);
            let asked_all = cursor >= asked;
            // Where the first tickets prove nothing, the ring is another one and no further ticket will either.
            let patience_ns = if obtained.refused.is_some() { NOBODY_NS / 6 } else { NOBODY_NS };
            let in_vain = missing == endpoints.len() && now.saturating_sub(start_ns) > patience_ns;
            if (asked_all && waited_ns > QUIET_NS << fruitless) || in_vain {
                break;
            }
        }
        next_ns = now_ns();
        fruitless += u32::from((missing_before - missing) * FRUITFUL < missing_before);
    }
    Ok(obtained)
}

/// Writes the PROBE of an endpoint.
#[inline]
pub fn write_probe(bytes: &mut [u8], run: RunId, stamp: ProbeStamp) {
    if let Some((header, payload)) = bytes.split_first_chunk_mut::<HEADER_LEN>() {
        let nothing = TransportAddress::default();
        Header { kind: Kind::Probe as u8, class_key: 0, expires: 0, peer: nothing, tag: 0 }.write(header);
        payload.copy_from_slice(&stamp.to_bytes(run));
    }
}

/// Asks for the endpoint at `cursor`; `false` if it has its contact or cannot ask.
fn ask(
    station: &mut Station<()>,
    endpoints: &mut [Endpoint],
    obtained: &Obtained,
    asking: &Asking<'_>,
    cursor: usize,
    now_ns: u64,
) -> bool {
    let (Some(endpoint), Some(None)) = (endpoints.get_mut(cursor), obtained.contacts.get(cursor)) else {
        return false;
    };
    let Ok(from) = endpoint.outbound(asking.reflector, now_ns) else { return false };
    let number = u32::try_from(cursor).unwrap_or(u32::MAX);
    let stamp = ProbeStamp { nonce: asking.nonces.of(number), endpoint: number };
    station.queue((from, asking.reflector), (), PROBE_LEN, |bytes| write_probe(bytes, asking.run, stamp))
}

/// Takes an answer; `true` if an endpoint has its contact now and had none before.
fn answer(
    endpoints: &mut [Endpoint],
    obtained: &mut Obtained,
    asking: &Asking<'_>,
    clock: &Clock,
    arrival: &Arrival<'_>,
) -> bool {
    let Some((header, stamp)) = read_answer(arrival, asking.reflector, asking.run) else { return false };
    let place = stamp.endpoint as usize;
    let (Some(endpoint), Some(contact)) = (endpoints.get_mut(place), obtained.contacts.get_mut(place)) else {
        return false;
    };
    let entered = endpoint.inbound(arrival.source, arrival.local, arrival.now_ns).is_ok();
    if contact.is_some() || !entered || stamp.nonce != asking.nonces.of(stamp.endpoint) {
        return false;
    }
    let boot_ns = i64::try_from(arrival.now_ns).unwrap_or(i64::MAX);
    match mint::verify_ticket(asking.ring, &header, clock::unix_s(clock.offset_ns(), boot_ns)) {
        Ok(proven) => *contact = Some(proven),
        Err(error) => obtained.refused = Some(error),
    }
    contact.is_some()
}

/// The header and stamp of an OBSERVED from the reflector to a PROBE of this run.
#[inline]
pub fn read_answer(arrival: &Arrival<'_>, reflector: SocketAddr, run: RunId) -> Option<(Header, ProbeStamp)> {
    let (header, payload) = arrival.datagram.split_first_chunk::<HEADER_LEN>()?;
    let header = Header::read(header);
    let expected = arrival.whole && arrival.source == reflector && header.kind == Kind::Observed as u8;
    let stamp = ProbeStamp::read(payload, run).filter(|_| expected)?;
    Some((header, stamp))
}

fn pause(next_ns: u64, more: bool) -> Duration {
    let now = now_ns();
    if more && next_ns < now + 2_000_000 { Duration::ZERO } else { Duration::from_millis(1) }
}

#[allow(clippy::needless_pass_by_value)] // Called by map_err.
fn failed(error: std::io::Error) -> Error {
    Error::Runtime(format!("a socket of the generator failed: {error}"))
}

/// Bytes of a PROBE of the generator.
pub const PROBE_LEN: usize = HEADER_LEN + PROBE_STAMP_LEN;
/// Endpoints that ask before anybody was answered.
const SCOUTS: usize = 100;
/// How often everybody without an answer asks without getting one.
const PASSES: u32 = 5;
/// A pass that brings less than one in so many of the contacts that were missing is in vain.
const FRUITFUL: usize = 16;
/// How long nothing has to arrive before the next pass; doubled after each that was in vain, ns.
const QUIET_NS: u64 = 100_000_000;
/// Without a single answer for so long, nobody is there, ns.
const NOBODY_NS: u64 = 3_000_000_000;
