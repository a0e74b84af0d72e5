//! What the generator writes into payloads to recognise its own datagrams.
//!
//! ```text
//! SEND, DATA        class (1) | run (7) | intended time, ns (8) | slot (4) | sequence (4) | filler
//! PROBE, OBSERVED   class (1) | run (7) | nonce (8)             | endpoint (4)
//! ```
//!
//! * Little-endian. The slot is the pair's place at the receiving worker, so that no map is searched.
//! * The run is random, so that datagrams of another run, or of nobody, are never counted.

/// The mark of one run, 56 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunId(u64);

impl RunId {
    /// The lower 56 bits of a random number.
    pub const fn new(random: u64) -> Self {
        Self(random & (u64::MAX >> 8))
    }

    /// Its 56 bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    #[inline]
    const fn word(self, class: Class) -> u64 {
        self.0 << 8 | class as u64
    }
}

/// What a datagram of the generator is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// A valid SEND.
    Valid = 1,
    /// A deliberately invalid one, which must arrive nowhere.
    Invalid = 2,
    /// A PROBE.
    Probe = 3,
}

/// The stamp of a SEND.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Valid or deliberately invalid.
    pub class: Class,
    /// When it was meant to leave, boot time in ns.
    pub intended_ns: u64,
    /// The pair's place at the receiving worker.
    pub slot: u32,
    /// Its number within the pair, from 0.
    pub sequence: u32,
}

impl Stamp {
    /// The bytes of this stamp in a run.
    #[inline]
    pub fn to_bytes(self, run: RunId) -> [u8; STAMP_LEN] {
        let word = u128::from(run.word(self.class)) | u128::from(self.intended_ns) << 64;
        let tail = u64::from(self.slot) | u64::from(self.sequence) << 32;
        join(word, tail)
    }

    /// Reads a stamp of this run; `None` for anything else.
    #[inline]
    pub fn read(payload: &[u8], run: RunId) -> Option<Self> {
        let (head, rest) = payload.split_first_chunk::<8>()?;
        let word = u64::from_le_bytes(*head);
        let class = match word {
            _ if word == run.word(Class::Valid) => Class::Valid,
            _ if word == run.word(Class::Invalid) => Class::Invalid,
            _ => return None,
        };
        let (intended, rest) = rest.split_first_chunk::<8>()?;
        let (slot, rest) = rest.split_first_chunk::<4>()?;
        let (sequence, _) = rest.split_first_chunk::<4>()?;
        Some(Self {
            class,
            intended_ns: u64::from_le_bytes(*intended),
            slot: u32::from_le_bytes(*slot),
            sequence: u32::from_le_bytes(*sequence),
        })
    }
}

/// What a PROBE carries and its answer echoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeStamp {
    /// What only this run could have written for this endpoint.
    pub nonce: u64,
    /// The endpoint's place at its worker.
    pub endpoint: u32,
}

impl ProbeStamp {
    /// The bytes of this stamp in a run.
    #[inline]
    pub fn to_bytes(self, run: RunId) -> [u8; PROBE_STAMP_LEN] {
        let bytes =
            join(u128::from(run.word(Class::Probe)) | u128::from(self.nonce) << 64, u64::from(self.endpoint));
        let mut short = [0; PROBE_STAMP_LEN];
        short.copy_from_slice(bytes.split_at(PROBE_STAMP_LEN).0);
        short
    }

    /// Reads the stamp of a PROBE of this run; `None` for anything else.
    #[inline]
    pub fn read(payload: &[u8], run: RunId) -> Option<Self> {
        let bytes: &[u8; PROBE_STAMP_LEN] = payload.try_into().ok()?;
        let (head, rest) = bytes.split_first_chunk::<8>()?;
        let (nonce, endpoint) = rest.split_first_chunk::<8>()?;
        let endpoint = endpoint.first_chunk::<4>()?;
        (u64::from_le_bytes(*head) == run.word(Class::Probe))
            .then_some(Self { nonce: u64::from_le_bytes(*nonce), endpoint: u32::from_le_bytes(*endpoint) })
    }
}

#[inline]
fn join(head: u128, tail: u64) -> [u8; STAMP_LEN] {
    let mut bytes = [0; STAMP_LEN];
    let (first, second) = bytes.split_at_mut(16);
    first.copy_from_slice(&head.to_le_bytes());
    second.copy_from_slice(&tail.to_le_bytes());
    bytes
}

/// Bytes of a [`Stamp`], and so of the shortest payload.
pub const STAMP_LEN: usize = 24;
/// Bytes of a [`ProbeStamp`]; a PROBE may carry 32.
pub const PROBE_STAMP_LEN: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_come_back_and_foreign_ones_do_not() {
        let (run, other) = (RunId::new(u64::MAX - 5), RunId::new(77));
        for class in [Class::Valid, Class::Invalid] {
            let stamp = Stamp { class, intended_ns: u64::MAX - 1, slot: 0x0102_0304, sequence: u32::MAX };
            let mut bytes = stamp.to_bytes(run).to_vec();
            bytes.extend([9; 40]);
            assert_eq!(Stamp::read(&bytes, run), Some(stamp));
            assert_eq!(Stamp::read(&bytes, other), None);
            assert_eq!(Stamp::read(&bytes[..STAMP_LEN - 1], run), None);
        }
        let probe = ProbeStamp { nonce: 0x1122_3344_5566_7788, endpoint: 3_000_000_000 };
        let bytes = probe.to_bytes(run);
        assert_eq!(ProbeStamp::read(&bytes, run), Some(probe));
        assert_eq!(ProbeStamp::read(&bytes, other), None);
        assert_eq!(ProbeStamp::read(&bytes[1..], run), None);
        assert_eq!(Stamp::read(&bytes, run), None);
    }
}
