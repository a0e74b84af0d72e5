//! The key ring of one reflector address: at most 16 keys, the first of which mints.
//!
//! * Every key listed verifies, and renews what it made; only the first mints tickets.
//! * A ring is a value: it is replaced whole, never changed.
//! * Neither `Debug` nor an error ever shows a secret.

use crate::siphash::SipKey;

/// The keys of one reflector, looked up by id without a branch on their number.
#[derive(Clone)]
pub struct KeyRing {
    keys: [Option<SipKey>; 16],
    minting: KeyId,
    fingerprint: u64,
}

impl KeyRing {
    /// A ring of `(id, secret)` in minting order.
    ///
    /// # Errors
    /// No key, an id outside 0..=15, an id twice, a secret of zeros, or the secret of the documentation's example.
    pub fn new(keys: &[(u8, [u8; 16])]) -> Result<Self, RingError> {
        let mut ring = Self { keys: [None; 16], minting: KeyId(0), fingerprint: 0 };
        let (first, _) = keys.first().ok_or(RingError::Empty)?;
        ring.minting = KeyId::new(*first).ok_or(RingError::Id(u64::from(*first)))?;
        for (id, secret) in keys {
            ring.insert(*id, *secret)?;
        }
        Ok(ring)
    }

    /// The key of this id, if the ring holds it.
    #[inline(always)]
    pub fn get(&self, id: KeyId) -> Option<&SipKey> {
        // An id is below 16 by construction, so this look-up has no other outcome than the slot's.
        self.keys.get(usize::from(id.0)).and_then(Option::as_ref)
    }

    /// The id of the key that mints.
    #[inline(always)]
    pub fn minting(&self) -> KeyId {
        self.minting
    }

    /// The ids in the ring, ascending.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> + '_ {
        (0..16).map(KeyId).filter(|id| self.get(*id).is_some())
    }

    /// A number that tells two rings apart and says nothing about their secrets.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    fn insert(&mut self, id: u8, secret: [u8; 16]) -> Result<(), RingError> {
        check_secret(&secret)?;
        let slot = self.keys.get_mut(usize::from(id)).ok_or(RingError::Id(u64::from(id)))?;
        let key = SipKey::new(secret);
        if slot.replace(key).is_some() {
            return Err(RingError::Twice(id));
        }
        // A purpose of its own: no tag on the wire is ever a fingerprint.
        self.fingerprint = key.hash(&[u64::from(PURPOSE_FINGERPRINT) | u64::from(id) << 8, self.fingerprint]);
        Ok(())
    }
}

impl core::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "KeyRing({:016x}, minting key {})", self.fingerprint, self.minting.0)
    }
}

/// A key id, 0..=15.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(u8);

impl KeyId {
    /// The id, unless it is above 15.
    pub const fn new(id: u8) -> Option<Self> {
        if id < 16 { Some(Self(id)) } else { None }
    }

    /// The key id in byte 1 of a header: its low nibble.
    #[inline(always)]
    pub const fn of_header(class_key: u8) -> Self {
        Self(class_key & 15)
    }

    /// The id as a number, 0..=15.
    #[inline(always)]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// What makes keys no ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingError {
    /// No key at all.
    Empty,
    /// An id outside 0..=15.
    Id(u64),
    /// The same id twice.
    Twice(u8),
    /// A secret of zeros only.
    Zeros,
    /// The secret that the documentation prints.
    Example,
}

impl core::fmt::Display for RingError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Empty => f.write_str("the ring holds no key; `reflector keygen` prints a fresh one"),
            Self::Id(id) => write!(f, "key id {id} is outside 0..=15"),
            Self::Twice(id) => write!(f, "key id {id} stands twice; every key needs an id of its own"),
            Self::Zeros => f.write_str("the secret is all zeros; `reflector keygen` prints a random one"),
            Self::Example => f.write_str(
                "the secret is the documentation's example; `reflector keygen` prints a random one",
            ),
        }
    }
}

impl core::error::Error for RingError {}

/// Refuses the secrets that everybody knows.
///
/// # Errors
/// All zeros, or the example of the documentation.
pub fn check_secret(secret: &[u8; 16]) -> Result<(), RingError> {
    if *secret == [0; 16] {
        return Err(RingError::Zeros);
    }
    if *secret == EXAMPLE_SECRET {
        return Err(RingError::Example);
    }
    Ok(())
}

const PURPOSE_FINGERPRINT: u8 = 0x46;

/// The secret printed in the documentation: refused, because everybody knows it.
const EXAMPLE_SECRET: [u8; 16] = 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff_u128.to_be_bytes();
