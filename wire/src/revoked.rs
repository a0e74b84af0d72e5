//! What has been taken back: transport addresses, and pairs of them, from, to and within which nothing is relayed.
//!
//! ```text
//! words   0        1..3         3..5         5..8   32 Ki words   128 Ki words
//!         entries  multipliers  SipHash key  0      filter        slots: 16 Ki buckets of 8
//! ```
//!
//! * One table of fixed size for all workers; the fast path has a copy of the same words.
//! * A look-up loads one word while nothing is revoked. Otherwise it tests the filter for both addresses, two bits in one
//!   word for each, and only what hits is hashed and looked up in full: beside a full table 1 datagram in 90.
//! * A pair marks its lower address in the filter, not both and nothing of its own: that is one test less for everybody.
//! * A slot holds a hash under a key drawn at start: a false hit has a chance of 2^-48, and nobody can aim at one.
//! * One thread changes the table. A change is one word at a time, and readers take no lock.

use crate::address::TransportAddress;
use crate::siphash::SipKey;
use crate::tag::{v4_word, v6_words};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a revocation names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// Nothing from or to this transport address.
    Address(TransportAddress),
    /// Nothing between these two, the lower one first.
    Pair(TransportAddress, TransportAddress),
}

impl Subject {
    /// The pair of `a` and `b`, in whichever order they are given.
    pub fn pair(a: TransportAddress, b: TransportAddress) -> Self {
        if a <= b { Self::Pair(a, b) } else { Self::Pair(b, a) }
    }

    /// Whether this is a pair.
    pub const fn is_pair(&self) -> bool {
        matches!(self, Self::Pair(..))
    }
}

/// A reader of the table; the default one has no table and holds nothing.
#[derive(Clone, Default)]
pub struct Revoked(Option<Arc<[AtomicU64]>>);

impl Revoked {
    /// Whether one of two transport addresses is revoked, or the pair of both.
    #[inline(always)]
    pub fn holds_any(&self, a: TransportAddress, b: TransportAddress) -> bool {
        match self.0.as_deref() {
            Some(words) if read(words, ENTRIES) != 0 => {
                (may_hold(words, a) || may_hold(words, b)) && any_of(words, a, b)
            }
            _ => false,
        }
    }

    /// The words of the table, for the copy that the fast path has; none of a reader without a table.
    pub fn words(&self) -> &[AtomicU64] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl PartialEq for Revoked {
    /// Whether both read one table.
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self.words(), other.words())
    }
}

impl Eq for Revoked {}

impl core::fmt::Debug for Revoked {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Revoked({} entries)", self.words().first().map_or(0, |word| word.load(Relaxed)))
    }
}

/// The one writer of a table.
#[derive(Debug)]
pub struct RevokedTable {
    reader: Revoked,
    pairs: usize,
}

impl RevokedTable {
    /// An empty table, hashed under 32 random bytes.
    pub fn new(seed: [u64; 4]) -> Self {
        let words: Arc<[AtomicU64]> = (0..REVOKED_WORDS).map(|_| AtomicU64::new(0)).collect();
        let [m0, m1, k0, k1] = seed;
        // Odd multipliers lose nothing.
        let head = [m0 | 1, m1 | 1, k0, k1];
        head.into_iter().zip(MULTIPLIERS..).for_each(|(word, at)| write(&words, at, word));
        Self { reader: Revoked(Some(words)), pairs: 0 }
    }

    /// A reader of this table.
    pub fn reader(&self) -> Revoked {
        self.reader.clone()
    }

    /// How many subjects are revoked.
    pub fn len(&self) -> usize {
        usize::try_from(read(self.reader.words(), ENTRIES)).unwrap_or(usize::MAX)
    }

    /// How many of them are pairs.
    pub const fn pairs(&self) -> usize {
        self.pairs
    }

    /// Whether nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a subject that the table does not hold.
    ///
    /// # Errors
    /// The table is full, or it is a pair and pairs have their half.
    pub fn insert(&mut self, subject: &Subject) -> Result<(), Full> {
        if subject.is_pair() && self.pairs >= MOST_REVOKED_PAIRS {
            return Err(Full::Pairs);
        }
        if self.len() >= MOST_REVOKED {
            return Err(Full::Table);
        }
        let words = self.reader.words();
        let mark = fingerprint(words, subject);
        let free = |at: &usize| read(words, *at) == 0;
        // Of two buckets the emptier one: with half of all slots free no bucket overflows (4 in a million full tables).
        let fewest = buckets(mark).into_iter().max_by_key(|bucket| slots(*bucket).filter(free).count());
        let slot = fewest.and_then(|bucket| slots(bucket).find(free)).ok_or(Full::Table)?;
        write(words, slot, mark);
        set_filter(words, subject);
        write(words, ENTRIES, read(words, ENTRIES) + 1);
        self.pairs += usize::from(subject.is_pair());
        Ok(())
    }

    /// Takes out a subject that the table holds.
    ///
    /// Its bits stay in the filter until [`RevokedTable::renew_filter`], which costs time and is never wrong.
    pub fn remove(&mut self, subject: &Subject) {
        let words = self.reader.words();
        let mark = fingerprint(words, subject);
        if let Some(slot) = buckets(mark).into_iter().flat_map(slots).find(|at| read(words, *at) == mark) {
            write(words, slot, 0);
            write(words, ENTRIES, read(words, ENTRIES).saturating_sub(1));
            self.pairs -= usize::from(subject.is_pair());
        }
    }

    /// Rebuilds the filter from everything that the table holds.
    pub fn renew_filter<'a>(&mut self, held: impl Iterator<Item = &'a Subject>) {
        let words = self.reader.words();
        let mut fresh = alloc::vec![0_u64; FILTER_WORDS];
        for (at, bits) in held.map(|subject| mark_of(words, subject)) {
            if let Some(word) = fresh.get_mut(at) {
                *word |= bits;
            }
        }
        fresh.into_iter().zip(FILTER..).for_each(|(word, at)| write(words, at, word));
    }
}

/// Why a table takes no further subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// It holds as many as fit.
    Table,
    /// It holds as many pairs as fit.
    Pairs,
}

impl core::fmt::Display for Full {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Table => {
                write!(f, "the table is full with {MOST_REVOKED} entries, each of which ends within 720 s")
            }
            Self::Pairs => {
                write!(f, "the table holds {MOST_REVOKED_PAIRS} pairs, which is all that it takes")
            }
        }
    }
}

impl core::error::Error for Full {}

/// The full look-up, kept out of line so that the decision stays short for everybody else.
#[cold]
fn any_of(words: &[AtomicU64], a: TransportAddress, b: TransportAddress) -> bool {
    [Subject::Address(a), Subject::Address(b), Subject::pair(a, b)].iter().any(|subject| {
        let mark = fingerprint(words, subject);
        buckets(mark).into_iter().flat_map(slots).any(|at| read(words, at) == mark)
    })
}

/// Whether the filter knows this address.
#[inline(always)]
fn may_hold(words: &[AtomicU64], address: TransportAddress) -> bool {
    let (at, bits) = marked(words, address);
    read(words, FILTER + at) & bits == bits
}

fn set_filter(words: &[AtomicU64], subject: &Subject) {
    let (at, bits) = mark_of(words, subject);
    write(words, FILTER + at, read(words, FILTER + at) | bits);
}

/// The word of the filter and the bits in it by which a subject is found.
fn mark_of(words: &[AtomicU64], subject: &Subject) -> (usize, u64) {
    match subject {
        Subject::Address(address) | Subject::Pair(address, _) => marked(words, *address),
    }
}

/// A word of the filter and two bits in it, from the top bits of a product with a random number.
///
/// A sender that chooses its address can hit these bits at will, which costs a full look-up for each of its datagrams.
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // 15 bits are left.
fn marked(words: &[AtomicU64], address: TransportAddress) -> (usize, u64) {
    let product = spread(words, address);
    let bit = |from: u32| 1 << (product >> from & 63);
    ((product >> (64 - FILTER_BITS)) as usize, bit(64 - FILTER_BITS - 6) | bit(64 - FILTER_BITS - 12))
}

#[inline(always)]
fn spread(words: &[AtomicU64], address: TransportAddress) -> u64 {
    let port = u64::from(address.port.swap_bytes());
    let first = read(words, MULTIPLIERS);
    if address.is_ipv4() {
        (u64::from(v4_word(address)) | port << 32).wrapping_mul(first)
    } else {
        let [a0, a1] = v6_words(address);
        (a0 ^ port).wrapping_mul(first).wrapping_add(a1.wrapping_mul(read(words, MULTIPLIERS + 1)))
    }
}

/// What stands in a subject's slot; never 0, which is a free one.
fn fingerprint(words: &[AtomicU64], subject: &Subject) -> u64 {
    let [k0, k1] = [0, 1].map(|at| read(words, SECRET + at));
    let key = SipKey::new((u128::from(k1) << 64 | u128::from(k0)).to_le_bytes());
    let port = |address: &TransportAddress| u64::from(address.port.swap_bytes());
    let mark = match subject {
        Subject::Address(address) => {
            let [a0, a1] = v6_words(*address);
            key.hash_tail::<2, 2>(&[a0, a1], port(address))
        }
        Subject::Pair(low, high) => {
            let ([l0, l1], [h0, h1]) = (v6_words(*low), v6_words(*high));
            key.hash_tail::<4, 4>(&[l0, l1, h0, h1], port(low) | port(high) << 16)
        }
    };
    mark.max(1)
}

#[allow(clippy::cast_possible_truncation)] // 14 bits are left.
fn buckets(mark: u64) -> [usize; 2] {
    [mark, mark >> 32].map(|bits| bits as usize & (BUCKETS - 1))
}

fn slots(bucket: usize) -> core::ops::Range<usize> {
    let first = SLOTS + BUCKET_SLOTS * bucket;
    first..first + BUCKET_SLOTS
}

#[inline(always)]
fn read(words: &[AtomicU64], at: usize) -> u64 {
    words.get(at).map_or(0, |word| word.load(Relaxed))
}

fn write(words: &[AtomicU64], at: usize, value: u64) {
    if let Some(word) = words.get(at) {
        word.store(value, Relaxed);
    }
}

/// Subjects that a table holds.
pub const MOST_REVOKED: usize = 65_536;
/// Pairs among them.
pub const MOST_REVOKED_PAIRS: usize = MOST_REVOKED / 2;
/// Words of a table.
pub const REVOKED_WORDS: usize = SLOTS + BUCKETS * BUCKET_SLOTS;

const ENTRIES: usize = 0;
const MULTIPLIERS: usize = 1;
const SECRET: usize = 3;
const FILTER: usize = 8;
/// Bits of a product that choose a word of the filter.
const FILTER_BITS: u32 = 15;
const FILTER_WORDS: usize = 1 << FILTER_BITS;
const SLOTS: usize = FILTER + FILTER_WORDS;
const BUCKETS: usize = 1 << 14;
const BUCKET_SLOTS: usize = 8;
