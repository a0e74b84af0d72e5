//! Datagrams that are wrong on purpose: which fault, how often, and the bytes.
//!
//! * Each has exactly one fault and is otherwise what a valid sender sends; a reflector drops it for that reason.
//! * A fault that this ring or payload cannot show is refused before the run.

use crate::error::Error;
use crate::random::Random;
use crate::units;
use std::fmt;
use std::str::FromStr;
use wire::{Form, HEADER_LEN, Header, KeyId, KeyRing, Kind, Reason, TransportAddress, mint};

/// One way to be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// One bit of the tag flipped.
    Tag,
    /// A kind that no reflector takes.
    Kind,
    /// A key id that is not in the ring.
    Key,
    /// A well-made capability whose time is over.
    Expired,
    /// A well-made capability that claims to live longer than any may.
    Lifetime,
    /// A well-made capability for a port that is never served.
    Destination,
    /// Cut within the header.
    Short,
    /// Longer than any datagram may be.
    Oversize,
    /// A capability that was made for somebody else, sent on by who it was not made for.
    Stolen,
    /// Addressed to the reflector itself, so that it would talk to itself.
    Loop,
    /// What a reflector emits, sent back to it.
    Data,
    /// Nothing but noise.
    Garbage,
    /// A question longer than any may be, for who wants long answers.
    Probe,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 13] = [
        Self::Tag,
        Self::Kind,
        Self::Key,
        Self::Expired,
        Self::Lifetime,
        Self::Destination,
        Self::Short,
        Self::Oversize,
        Self::Stolen,
        Self::Loop,
        Self::Data,
        Self::Garbage,
        Self::Probe,
    ];

    /// The word that flags, metrics and reports use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tag => "tag",
            Self::Kind => "kind",
            Self::Key => "key",
            Self::Expired => "expired",
            Self::Lifetime => "lifetime",
            Self::Destination => "destination",
            Self::Short => "short",
            Self::Oversize => "oversize",
            Self::Stolen => "stolen",
            Self::Loop => "loop",
            Self::Data => "data",
            Self::Garbage => "garbage",
            Self::Probe => "probe",
        }
    }

    /// Why a reflector drops it.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Tag | Self::Stolen => Reason::Tag,
            Self::Kind | Self::Data | Self::Garbage => Reason::Kind,
            Self::Key => Reason::Key,
            Self::Expired => Reason::Expired,
            Self::Lifetime => Reason::Lifetime,
            Self::Destination | Self::Loop => Reason::Destination,
            Self::Short => Reason::Short,
            Self::Oversize | Self::Probe => Reason::Oversize,
        }
    }

    /// The header with this fault, `now` in unix seconds; `None` if the ring cannot show it.
    pub fn header(self, ring: &KeyRing, now: u32, ends: &Ends) -> Option<Header> {
        let Ends { from, to, relay } = *ends;
        let good = now.saturating_add(GOOD_S);
        let mint = |expires, from, to| mint::send_header(ring, Form::Plain, 0, expires, from, to);
        let valid = mint(good, from, to)?;
        Some(match self {
            Self::Tag => Header { tag: valid.tag ^ 1 << (now % 64), ..valid },
            Self::Kind => Header { kind: Kind::Peer as u8, ..valid },
            Self::Key => Header { class_key: foreign_key(ring)?.get(), ..valid },
            Self::Expired => mint(now.saturating_sub(GOOD_S), from, to)?,
            Self::Lifetime => mint(now.saturating_add(TOO_LONG_S), from, to)?,
            Self::Destination => mint(good, from, TransportAddress { port: DNS_PORT, ..to })?,
            Self::Short | Self::Oversize => valid,
            // A neighbour's: one bit of the port away from whoever sends it.
            Self::Stolen => mint(good, TransportAddress { port: from.port ^ 1, ..from }, to)?,
            Self::Loop => mint(good, from, relay)?,
            Self::Data => Header { kind: Kind::Data as u8, ..valid },
            Self::Garbage => Header {
                kind: NOISE,
                class_key: valid.class_key ^ 0x5a,
                expires: !valid.expires,
                peer: TransportAddress { address: !to.address, port: !to.port },
                tag: !valid.tag,
            },
            Self::Probe => Header { kind: Kind::Probe as u8, ..valid },
        })
    }

    /// Bytes of the datagram, for a valid one of `len` bytes.
    pub const fn len(self, len: usize) -> usize {
        match self {
            Self::Short => HEADER_LEN - 1,
            Self::Oversize => OVERSIZE,
            Self::Probe if len <= MAX_PROBE => MAX_PROBE + 1,
            _ => len,
        }
    }
}

/// Between whom a faulty datagram would go.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// Who sends it.
    pub from: TransportAddress,
    /// Who it would be for.
    pub to: TransportAddress,
    /// The reflector.
    pub relay: TransportAddress,
}

/// What part of the datagrams has which fault.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FaultMix {
    parts: Vec<Part>,
}

/// One fault of a mix.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Part {
    fault: Fault,
    /// Its fraction, 0 to 1.
    share: f64,
    /// The sum of fractions up to and including it, in parts of 2^32.
    limit: u64,
}

impl FaultMix {
    /// Whether every datagram is valid.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Draws: a fault, or a valid datagram.
    #[inline]
    pub fn draw(&self, random: &mut Random) -> Option<Fault> {
        let drawn = random.next_u64() >> 32;
        self.parts.iter().find(|part| drawn < part.limit).map(|part| part.fault)
    }

    /// Each fault with its fraction.
    pub fn shares(&self) -> impl Iterator<Item = (Fault, f64)> + '_ {
        self.parts.iter().map(|part| (part.fault, part.share))
    }

    /// Whether the ring can show every fault asked for.
    ///
    /// # Errors
    /// The `key` fault with a ring that holds all 16 ids.
    pub fn check(&self, ring: &KeyRing) -> Result<(), Error> {
        let wants_key = self.parts.iter().any(|part| part.fault == Fault::Key);
        if wants_key && foreign_key(ring).is_none() {
            let text = "the ring holds all 16 key ids, so none is foreign: leave `key` out of --invalid";
            return Err(Error::Configuration(text.to_owned()));
        }
        Ok(())
    }
}

impl FromStr for FaultMix {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut mix = Self::default();
        let mut sum = 0.0;
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let (name, share) = part.split_once('=').ok_or_else(|| wrong_part(part))?;
            let fault = Fault::ALL.into_iter().find(|fault| fault.as_str() == name.trim());
            let fault = fault.ok_or_else(|| wrong_part(part))?;
            if mix.parts.iter().any(|part| part.fault == fault) {
                return Err(Error::Usage(format!("{} has two shares: write one, their sum", fault.as_str())));
            }
            let share = units::percentage(share.trim())?;
            sum += share;
            if sum > 1.0 + 1e-9 {
                return Err(Error::Usage("the shares of invalid datagrams sum to more than 100%".to_owned()));
            }
            mix.parts.push(Part { fault, share, limit: limit(sum) });
        }
        mix.parts.retain(|part| part.share > 0.0);
        Ok(mix)
    }
}

impl fmt::Display for FaultMix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Part { fault, share, .. }) in self.parts.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            // Nine digits are more than anybody types and fewer than a float's noise.
            let percent = (share * 100.0 * 1e9).round() / 1e9;
            write!(f, "{comma}{}={percent}%", fault.as_str())?;
        }
        Ok(())
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 2^32.
fn limit(fraction: f64) -> u64 {
    (fraction * 4_294_967_296.0).round() as u64
}

fn wrong_part(part: &str) -> Error {
    let names = Fault::ALL.map(Fault::as_str).join(", ");
    Error::Usage(format!("{} is not FAULT=PERCENT% with one of {names}, such as tag=10%", units::quote(part)))
}

fn foreign_key(ring: &KeyRing) -> Option<KeyId> {
    (0..16).filter_map(KeyId::new).find(|id| ring.get(*id).is_none())
}

/// Seconds by which a capability is well within its time, or well past it.
const GOOD_S: u32 = 400;
/// Seconds that no capability may have left (at most 600), not even when [`STEADY_NS`] have gone by.
const TOO_LONG_S: u32 = 1_200;
/// A port to which no reflector sends.
const DNS_PORT: u16 = 53;
/// A first byte of no kind, which no other protocol of the port has either.
const NOISE: u8 = 0xff;
/// The longest PROBE that a reflector answers, bytes.
const MAX_PROBE: usize = 64;
/// So long a header made once keeps its one fault and gets no other, ns.
pub const STEADY_NS: u64 = 300_000_000_000;
/// One byte more than a reflector takes.
pub const OVERSIZE: usize = wire::policy::MAX_DATAGRAM + 1;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use wire::{Block, BlockSet, Policy, Verdict, decide};

    fn address(text: &str) -> TransportAddress {
        TransportAddress::from_socket(text.parse().unwrap()).unwrap()
    }

    #[test]
    fn every_fault_is_refused_for_its_own_reason() {
        let ring = KeyRing::new(&[(3, [7; 16])]).unwrap();
        let loopback: Block = "127.0.0.0/8".parse().unwrap();
        let relay = address("127.0.0.1:3478");
        let allow_destination = BlockSet::new(&[loopback]);
        let policy = Policy { own: vec![relay], allow_destination, ..Policy::default() };
        let (source, now) = ("127.64.0.1:40000".parse::<SocketAddr>().unwrap(), 1_700_000_000);
        let (from, to) = (address("127.64.0.1:40000"), address("127.64.0.2:40001"));
        for fault in Fault::ALL {
            for now in now..now + 64 {
                let header = fault.header(&ring, now, &Ends { from, to, relay }).unwrap();
                let mut datagram = header.to_bytes().to_vec();
                datagram.resize(fault.len([60, 200][now as usize % 2]), 0);
                let Verdict::Drop(reason) = decide(&mut datagram, source, now, &ring, &policy) else {
                    panic!("{fault:?} was accepted")
                };
                assert_eq!(reason, fault.reason(), "{fault:?}");
            }
        }
    }

    #[test]
    fn the_key_fault_needs_a_free_id() {
        let keys: Vec<(u8, [u8; 16])> = (0..16).map(|id| (id, [id + 1; 16])).collect();
        let full = KeyRing::new(&keys).unwrap();
        assert!("key=1%".parse::<FaultMix>().unwrap().check(&full).is_err());
        assert!("tag=1%".parse::<FaultMix>().unwrap().check(&full).is_ok());
        assert!("key=1%".parse::<FaultMix>().unwrap().check(&KeyRing::new(&keys[..15]).unwrap()).is_ok());
    }

    #[test]
    fn drawn_as_often_as_asked_for() {
        let mix: FaultMix = "tag=10%,short=5%".parse().unwrap();
        let mut random = Random::new(5, 0);
        let drawn: Vec<Option<Fault>> = (0..100_000).map(|_| mix.draw(&mut random)).collect();
        let count = |fault| drawn.iter().filter(|each| **each == fault).count();
        // Five standard deviations of the binomials.
        assert!(count(Some(Fault::Tag)).abs_diff(10_000) < 475, "{}", count(Some(Fault::Tag)));
        assert!(count(Some(Fault::Short)).abs_diff(5_000) < 345, "{}", count(Some(Fault::Short)));
        assert_eq!(count(None) + count(Some(Fault::Tag)) + count(Some(Fault::Short)), 100_000);
        let all: FaultMix = "tag=100%".parse().unwrap();
        assert!((0..1000).all(|_| all.draw(&mut random) == Some(Fault::Tag)));
        assert_eq!(FaultMix::default().draw(&mut random), None);
    }

    #[test]
    fn forms() {
        assert_eq!("tag=10%,kind=0.5%".parse::<FaultMix>().unwrap().to_string(), "tag=10%,kind=0.5%");
        assert!("".parse::<FaultMix>().unwrap().is_empty());
        assert!("tag=0%".parse::<FaultMix>().unwrap().is_empty());
        for text in
            ["tag", "tag=10", "tags=1%", "tag=1%,tag=1%", "tag=60%,kind=41%", "tag=1%,", ",", "tag=-1%"]
        {
            assert!(text.parse::<FaultMix>().is_err(), "{text}");
        }
    }
}
