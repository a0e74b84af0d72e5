//! The flows of a run by XDP: who sends to whom, and the bytes before the payload.
//!
//! * A flow is a number; its place is what the stamp calls the slot. Nothing is kept of it but three numbers.
//! * Heads between endpoints are capabilities and are minted again and again; ready ones stay as they are.
//! * Every flow goes to a receiver whose NAT holds a mapping towards the relay: it made it when it asked for its contact.

use crate::load::shape::fault::{Ends, Fault, FaultMix};
use crate::load::shape::pairing;
use crate::load::shape::pairing::Pair;
use crate::load::shape::plan::Plan;
use crate::load::xdp::ready::ReadyFlow;
use crate::random::Random;
use engine::load::{Faults, Flow, Sample};
use nat::Behaviour;
use std::net::SocketAddr;
use wire::{Form, HEADER_LEN, KeyRing, TransportAddress, mint};

/// All flows of a run.
#[derive(Debug)]
pub enum Flows<'a> {
    /// Between endpoints, through a reflector.
    Minted(Minted<'a>),
    /// Of another relay, as they were read.
    Ready(&'a [ReadyFlow]),
}

impl Flows<'_> {
    /// How many there are.
    pub fn count(&self) -> usize {
        match self {
            Flows::Minted(minted) => minted.pairs.len(),
            Flows::Ready(flows) => flows.len(),
        }
    }

    /// Bytes of every head.
    pub fn head_len(&self) -> usize {
        match self {
            Flows::Minted(_) => HEADER_LEN,
            Flows::Ready(flows) => flows.first().map_or(0, |flow| flow.head.len()),
        }
    }

    /// Whether heads expire.
    pub fn expire(&self) -> bool {
        matches!(self, Flows::Minted(_))
    }

    /// The flow at a place.
    pub fn get(&self, place: usize) -> Option<Flow> {
        match self {
            Flows::Minted(minted) => minted.get(place),
            Flows::Ready(flows) => {
                let ReadyFlow { from, to, via, .. } = *flows.get(place)?;
                let cell = crate::load::watch::tally::cell(Behaviour::Open, Behaviour::Open);
                Some(Flow { from, to, via, contact: from, cell })
            }
        }
    }

    /// Its head, proving something until `expires` (unix seconds) if it proves anything.
    pub fn with_head<T>(&self, place: usize, expires: u32, then: impl FnOnce(&[u8]) -> T) -> Option<T> {
        match self {
            Flows::Minted(minted) => minted.head(place, expires).map(|head| then(&head)),
            Flows::Ready(flows) => flows.get(place).map(|flow| then(&flow.head)),
        }
    }
}

/// Flows between endpoints.
#[derive(Debug)]
pub struct Minted<'a> {
    ring: &'a KeyRing,
    relay: SocketAddr,
    pairs: Vec<Pair>,
    /// By number in the plan, like the next.
    contacts: &'a [Option<TransportAddress>],
    externals: &'a [Option<SocketAddr>],
}

impl<'a> Minted<'a> {
    /// The first `flows` of the plan's pairs of which both have a contact.
    pub fn new(
        ring: &'a KeyRing,
        relay: SocketAddr,
        plan: &Plan,
        contacts: &'a [Option<TransportAddress>],
        externals: &'a [Option<SocketAddr>],
        flows: u64,
    ) -> Self {
        let most = usize::try_from(flows).unwrap_or(usize::MAX);
        let pairs: Vec<Pair> = pairing::reachable(plan, contacts).take(most).collect();
        Minted { ring, relay, pairs, contacts, externals }
    }

    /// Samples of each fault: of flows drawn at random, `payload` bytes behind the header of a valid one.
    pub fn faults(&self, mix: &FaultMix, payload: usize, now_s: u32, seed: u64) -> Vec<Faults> {
        let mut random = Random::new(seed, PURPOSE_SAMPLES);
        let flows = u32::try_from(self.pairs.len()).unwrap_or(u32::MAX);
        let mut samples_of = |fault: Fault| {
            let drawn = (0..SAMPLES).filter_map(|_| {
                let place = random.below(flows);
                let (from, to) = self.ends(place as usize)?;
                // Another second each, so that it is not always the same bit of the tag.
                let ends = Ends { from, to, relay: TransportAddress::from_socket(self.relay)? };
                let header = fault.header(self.ring, now_s.wrapping_add(random.below(BITS)), &ends)?;
                Some(Sample {
                    flow: place,
                    head: header.to_bytes().to_vec(),
                    len: fault.len(HEADER_LEN + payload),
                })
            });
            drawn.collect()
        };
        mix.shares().map(|(fault, share)| Faults { share, samples: samples_of(fault) }).collect()
    }

    fn get(&self, place: usize) -> Option<Flow> {
        let Pair { from, to, cell } = *self.pairs.get(place)?;
        let external = |endpoint: u32| self.externals.get(endpoint as usize).copied().flatten();
        let (contact, _) = self.ends(place)?;
        let contact = contact.to_socket();
        Some(Flow { from: external(from)?, to: external(to)?, via: self.relay, contact, cell })
    }

    fn head(&self, place: usize, expires: u32) -> Option<[u8; HEADER_LEN]> {
        let (from, to) = self.ends(place)?;
        mint::send_header(self.ring, Form::Plain, 0, expires, from, to).map(|header| header.to_bytes())
    }

    /// The contacts of sender and receiver.
    fn ends(&self, place: usize) -> Option<(TransportAddress, TransportAddress)> {
        let Pair { from, to, .. } = *self.pairs.get(place)?;
        let contact = |endpoint: u32| self.contacts.get(endpoint as usize).copied().flatten();
        Some((contact(from)?, contact(to)?))
    }
}

/// Samples of each fault.
const SAMPLES: usize = 64;
/// Bits of a tag.
const BITS: u32 = 64;
const PURPOSE_SAMPLES: u64 = 0x300_0000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::shape::plan::Pattern;
    use nat::Mix;
    use wire::{Block, BlockSet, Header, Policy, Reason, Verdict, decide};

    const NOW: u32 = 1_700_000_000;

    fn addresses(last: u8) -> (Option<TransportAddress>, Option<SocketAddr>) {
        let external = SocketAddr::from(([127, 64, 0, last], 40_000));
        let contact = SocketAddr::from(([127, 65, 0, last], 50_000));
        (TransportAddress::from_socket(contact), Some(external))
    }

    /// Runs with the flows of a ring of endpoints, the third of which has no contact.
    fn with_flows(work: impl FnOnce(&Minted<'_>, &KeyRing)) {
        let plan = Plan::new(6, &"symmetric=100%".parse::<Mix>().unwrap(), Pattern::Ring, 1);
        let ring = KeyRing::new(&[(5, *b"a test's secret!")]).unwrap();
        let (mut contacts, externals): (Vec<_>, Vec<_>) = (1..=6).map(addresses).unzip();
        contacts[2] = None;
        let relay = "127.0.0.1:3478".parse().unwrap();
        work(&Minted::new(&ring, relay, &plan, &contacts, &externals, u64::MAX), &ring);
    }

    fn policy() -> Policy {
        let loopback: Block = "127.0.0.0/8".parse().unwrap();
        Policy { allow_destination: BlockSet::new(&[loopback]), ..Policy::default() }
    }

    #[test]
    fn flows_are_the_pairs_that_can_talk_between_their_external_addresses() {
        with_flows(|minted, _| {
            // 0 to 1, 3 to 4, 4 to 5, 5 to 0.
            assert_eq!(minted.pairs.len(), 4);
            let flow = minted.get(1).unwrap();
            assert_eq!(
                (flow.from.to_string().as_str(), flow.to.to_string().as_str()),
                ("127.64.0.4:40000", "127.64.0.5:40000")
            );
            assert_eq!(
                (flow.via.to_string().as_str(), flow.contact.to_string().as_str()),
                ("127.0.0.1:3478", "127.65.0.4:50000")
            );
            assert!(minted.get(4).is_none() && minted.head(4, NOW).is_none());
        });
    }

    #[test]
    fn a_reflector_relays_every_head_to_the_receivers_contact() {
        with_flows(|minted, ring| {
            for place in 0..4 {
                let mut datagram = minted.head(place, NOW + 300).unwrap();
                let (from, to) = minted.ends(place).unwrap();
                let verdict = decide(&mut datagram, from.to_socket(), NOW, ring, &policy());
                let class_key = Header::read(&datagram).class_key;
                assert_eq!(verdict, Verdict::Relay { to: to.to_socket(), class_key });
                assert_eq!(Header::read(&datagram).peer, from);
            }
        });
    }

    #[test]
    fn samples_stay_as_wrong_as_they_are_meant() {
        with_flows(|minted, ring| {
            let mix: FaultMix = "tag=10%,lifetime=5%,expired=1%,short=1%,destination=2%".parse().unwrap();
            let faults = minted.faults(&mix, 100, NOW, 3);
            let reasons =
                [Reason::Tag, Reason::Lifetime, Reason::Expired, Reason::Short, Reason::Destination];
            let found: Vec<f64> = faults.iter().map(|faults| faults.share).collect();
            assert_eq!(found, mix.shares().map(|(_, share)| share).collect::<Vec<f64>>());
            for (faults, reason) in faults.iter().zip(reasons) {
                assert_eq!(faults.samples.len(), SAMPLES);
                for Sample { flow, head, len } in &faults.samples {
                    let (from, _) = minted.ends(*flow as usize).unwrap();
                    for later_s in [0, 330] {
                        let mut datagram = head.clone();
                        datagram.resize(*len, 0);
                        let verdict = decide(&mut datagram, from.to_socket(), NOW + later_s, ring, &policy());
                        assert_eq!(verdict, Verdict::Drop(reason));
                    }
                }
            }
            assert_eq!(faults[3].samples[0].len, HEADER_LEN - 1);
        });
    }
}
