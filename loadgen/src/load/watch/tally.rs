//! What one worker counted; plain numbers, added up when the workers are done.
//!
//! * Fixed memory: arrays and histograms of fixed range, all taken at the start.
//! * Counts of the measured phase only, unless a field says otherwise.

#![deny(clippy::disallowed_types)]

use crate::error::Error;
use crate::load::shape::fault::Fault;
use engine::SendError;
use hdrhistogram::Histogram;
use nat::{Behaviour, InboundRefusal};
use results::run::Refused;

/// The counts and distributions of one worker, or of several together.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Datagrams whose intended time lay in the measured phase.
    pub due: u64,
    /// Valid ones that the kernel took.
    pub sent: u64,
    /// Deliberately invalid ones that were sent, by fault in the order of [`Fault::ALL`].
    pub invalid_sent: [u64; Fault::ALL.len()],
    /// Of them, those that the kernel took.
    pub invalid_taken: u64,
    /// Deliberately invalid ones that arrived anywhere, at any time.
    pub invalid_delivered: u64,
    /// Everything that the kernel took, PROBEs apart, warm-up included.
    pub taken: u64,
    /// Valid ones that entered at the receiver's NAT.
    pub delivered: u64,
    /// Valid ones that the receiver's NAT refused.
    pub refused: Refused,
    /// Seen again.
    pub duplicates: u64,
    /// Seen after a later one of the same pair.
    pub reordered: u64,
    /// Too far behind to tell.
    pub stale: u64,
    /// Delivered after the end of the measured phase.
    pub late: u64,
    /// PROBEs sent to keep pinholes alive, warm-up included.
    pub probes: u64,
    /// Their answers that entered.
    pub answers: u64,
    /// Answers that named another contact than the endpoint's.
    pub contacts_changed: u64,
    /// Capabilities made for a pair: at first, when half of its time was over, or when a contact had changed.
    pub minted: u64,
    /// Capabilities taken over from what a peer sent.
    pub adopted: u64,
    /// Endpoints that left, warm-up included.
    pub left: u64,
    /// Those that came back, with a contact.
    pub returned: u64,
    /// Times at which nobody was there who could send.
    pub idle: u64,
    /// Datagrams that are none of this run's, or not as a reflector sends them.
    pub foreign: u64,
    /// Sends refused by the kernel, by error in the order of [`SendError::ALL`].
    pub send_errors: [u64; SendError::ALL.len()],
    /// Frames that the interface's own queue had no room for.
    pub transmit_errors: u64,
    /// Datagrams that a simulated NAT did not let out.
    pub nat_outbound_refused: u64,
    /// Datagrams lost to full queues of own sockets, warm-up included.
    pub overflows: u64,
    /// Delivery by behaviours of sender and receiver; see [`cell`].
    pub cells: [Cell; CELLS],
    /// Latency of delivered ones from their intended time, ns.
    pub latency: Histogram<u64>,
    /// Pacing lag in the four quarters of the measured phase, ns.
    pub lag: [Histogram<u64>; QUARTERS],
    /// CPU time in the measured phase, ns; 0 where the kernel does not tell.
    pub cpu_ns: u64,
    /// Time spent in turns of the loop that found nothing to do, ns.
    pub spin_ns: u64,
    /// Everything sent and received in the measured phase, for the cost of one.
    pub handled: u64,
}

impl Tally {
    /// Takes all memory.
    ///
    /// # Errors
    /// None in practice: the ranges are constants.
    pub fn new() -> Result<Self, Error> {
        let histogram = |digits| {
            let created = Histogram::new_with_bounds(1, LONGEST_NS, digits);
            created.map_err(|error| Error::Runtime(format!("no histogram of this range: {error}")))
        };
        let lag = histogram(LAG_DIGITS)?;
        Ok(Self {
            due: 0,
            sent: 0,
            invalid_sent: [0; Fault::ALL.len()],
            invalid_taken: 0,
            invalid_delivered: 0,
            taken: 0,
            delivered: 0,
            refused: Refused::default(),
            duplicates: 0,
            reordered: 0,
            stale: 0,
            late: 0,
            probes: 0,
            answers: 0,
            contacts_changed: 0,
            minted: 0,
            adopted: 0,
            left: 0,
            returned: 0,
            idle: 0,
            foreign: 0,
            send_errors: [0; SendError::ALL.len()],
            transmit_errors: 0,
            nat_outbound_refused: 0,
            overflows: 0,
            cells: [Cell::default(); CELLS],
            latency: histogram(LATENCY_DIGITS)?,
            lag: [lag.clone(), lag.clone(), lag.clone(), lag],
            cpu_ns: 0,
            spin_ns: 0,
            handled: 0,
        })
    }

    /// Adds another worker's.
    ///
    /// # Errors
    /// None in practice: all histograms have one range.
    pub fn add(&mut self, other: &Self) -> Result<(), Error> {
        let pairs = [
            (&mut self.due, other.due),
            (&mut self.sent, other.sent),
            (&mut self.invalid_taken, other.invalid_taken),
            (&mut self.invalid_delivered, other.invalid_delivered),
            (&mut self.taken, other.taken),
            (&mut self.delivered, other.delivered),
            (&mut self.refused.no_mapping, other.refused.no_mapping),
            (&mut self.refused.expired, other.refused.expired),
            (&mut self.refused.filtered, other.refused.filtered),
            (&mut self.refused.other, other.refused.other),
            (&mut self.duplicates, other.duplicates),
            (&mut self.reordered, other.reordered),
            (&mut self.stale, other.stale),
            (&mut self.late, other.late),
            (&mut self.probes, other.probes),
            (&mut self.answers, other.answers),
            (&mut self.contacts_changed, other.contacts_changed),
            (&mut self.minted, other.minted),
            (&mut self.adopted, other.adopted),
            (&mut self.left, other.left),
            (&mut self.returned, other.returned),
            (&mut self.idle, other.idle),
            (&mut self.refused.away, other.refused.away),
            (&mut self.foreign, other.foreign),
            (&mut self.transmit_errors, other.transmit_errors),
            (&mut self.nat_outbound_refused, other.nat_outbound_refused),
            (&mut self.overflows, other.overflows),
            (&mut self.cpu_ns, other.cpu_ns),
            (&mut self.spin_ns, other.spin_ns),
            (&mut self.handled, other.handled),
        ];
        for (sum, value) in pairs {
            *sum += value;
        }
        add_all(&mut self.invalid_sent, &other.invalid_sent);
        add_all(&mut self.send_errors, &other.send_errors);
        for (sum, value) in self.cells.iter_mut().zip(&other.cells) {
            sum.sent += value.sent;
            sum.delivered += value.delivered;
            sum.refused += value.refused;
        }
        let histograms = self.lag.iter_mut().zip(&other.lag).chain([(&mut self.latency, &other.latency)]);
        for (sum, value) in histograms {
            sum.add(value).map_err(|error| Error::Runtime(format!("histograms do not add: {error}")))?;
        }
        Ok(())
    }

    /// Counts a datagram that its receiver did not get: its NAT refused it, or, without a refusal, it was away.
    pub fn note_kept_out(&mut self, refusal: Option<InboundRefusal>) {
        match refusal {
            Some(refusal) => self.note_refusal(refusal),
            None => self.refused.away += 1,
        }
    }

    /// Counts a datagram that the receiver's NAT refused.
    pub fn note_refusal(&mut self, refusal: InboundRefusal) {
        let count = match refusal {
            InboundRefusal::NoMapping => &mut self.refused.no_mapping,
            InboundRefusal::Expired => &mut self.refused.expired,
            InboundRefusal::Filtered => &mut self.refused.filtered,
            InboundRefusal::NotOurs | InboundRefusal::Family => &mut self.refused.other,
        };
        *count += 1;
    }
}

/// What went from one behaviour to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Sent.
    pub sent: u64,
    /// Delivered.
    pub delivered: u64,
    /// Refused by the receiver's NAT.
    pub refused: u64,
}

/// The place of a pair of behaviours in [`Tally::cells`].
pub fn cell(from: Behaviour, to: Behaviour) -> u8 {
    let place = |wanted| Behaviour::ALL.iter().position(|behaviour| *behaviour == wanted).unwrap_or(0);
    u8::try_from(place(from) * Behaviour::ALL.len() + place(to)).unwrap_or(0)
}

/// The behaviours of sender and receiver for each place in [`Tally::cells`], in order.
pub fn cell_names() -> impl Iterator<Item = (Behaviour, Behaviour)> {
    Behaviour::ALL.into_iter().flat_map(|from| Behaviour::ALL.into_iter().map(move |to| (from, to)))
}

fn add_all(sums: &mut [u64], values: &[u64]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}

/// Longest latency that is told apart, ns.
pub const LONGEST_NS: u64 = 60_000_000_000;
/// Significant digits of the latency histogram.
const LATENCY_DIGITS: u8 = 3;
const LAG_DIGITS: u8 = 2;
const QUARTERS: usize = 4;
/// Rows of [`Tally::cells`].
pub const CELLS: usize = Behaviour::ALL.len() * Behaviour::ALL.len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_and_names_agree() {
        for (index, (from, to)) in cell_names().enumerate() {
            assert_eq!(usize::from(cell(from, to)), index);
        }
        assert_eq!(cell_names().count(), CELLS);
    }

    #[test]
    fn tallies_add_up() {
        let mut one = Tally::new().unwrap();
        one.sent = 3;
        one.note_refusal(InboundRefusal::Expired);
        one.note_refusal(InboundRefusal::NotOurs);
        one.cells[7].delivered = 2;
        one.invalid_sent[1] = 4;
        one.latency.record(1_000).unwrap();
        one.lag[3].record(50).unwrap();
        let mut sum = one.clone();
        sum.add(&one).unwrap();
        assert_eq!((sum.sent, sum.refused.expired, sum.refused.other, sum.refused.total()), (6, 2, 2, 4));
        assert_eq!((sum.cells[7].delivered, sum.invalid_sent[1]), (4, 8));
        assert_eq!((sum.latency.len(), sum.lag[3].len(), sum.lag[0].len()), (2, 2, 0));
    }
}
