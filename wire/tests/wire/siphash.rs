//! The inlined SipHash against `siphasher` and against the vectors of its authors.

use crate::random::{Random, cases_quickly};
use proptest::prelude::*;
use siphasher::sip::SipHasher24;
use std::hash::Hasher;
use wire::siphash::SipKey;

#[test]
fn the_authors_vectors_of_whole_words_hold() {
    let key = SipKey::new(std::array::from_fn(|at| at as u8));
    let tags = [
        key.hash(&counting::<0>()),
        key.hash(&counting::<1>()),
        key.hash(&counting::<2>()),
        key.hash(&counting::<3>()),
        key.hash(&counting::<4>()),
        key.hash(&counting::<5>()),
        key.hash(&counting::<6>()),
        key.hash(&counting::<7>()),
    ];
    assert_eq!(tags.map(u64::swap_bytes), AUTHORS);
}

#[test]
fn it_equals_siphasher_for_one_to_eight_words() {
    let mut random = Random::new(1);
    for _ in 0..20_000 {
        let secret = random.u128().to_be_bytes();
        let words: [u64; 8] = std::array::from_fn(|_| random.u64());
        compare::<1>(secret, &words);
        compare::<2>(secret, &words);
        compare::<3>(secret, &words);
        compare::<4>(secret, &words);
        compare::<5>(secret, &words);
        compare::<6>(secret, &words);
        compare::<7>(secret, &words);
        compare::<8>(secret, &words);
    }
}

#[test]
fn it_equals_siphasher_with_every_tail_behind_the_words() {
    let mut random = Random::new(5);
    for _ in 0..20_000 {
        let secret = random.u128().to_be_bytes();
        let (words, tail) = (std::array::from_fn(|_| random.u64()), random.u64());
        compare_tail::<1, 1>(secret, &words, tail);
        compare_tail::<5, 2>(secret, &words, tail);
        compare_tail::<3, 3>(secret, &words, tail);
        compare_tail::<1, 4>(secret, &words, tail);
        compare_tail::<2, 5>(secret, &words, tail);
        compare_tail::<0, 6>(secret, &words, tail);
        compare_tail::<1, 7>(secret, &words, tail);
    }
}

proptest! {
    #![proptest_config(cases_quickly(4_096))]

    #[test]
    fn it_equals_siphasher_for_a_tag(secret: [u8; 16], words: [u64; 8]) {
        compare::<6>(secret, &words);
    }
}

#[test]
fn neither_a_key_nor_what_holds_one_shows_its_secret() {
    let shown = format!("{:?}", SipKey::new([0xab; 16]));
    assert_eq!(shown, "SipKey(secret)");
}

fn compare<const N: usize>(secret: [u8; 16], words: &[u64; 8]) {
    let words: &[u64; N] = words.first_chunk().unwrap();
    let mut theirs = SipHasher24::new_with_key(&secret);
    for word in words {
        theirs.write(&word.to_le_bytes());
    }
    assert_eq!(SipKey::new(secret).hash(words), theirs.finish(), "{N} words: {words:x?}");
}

fn compare_tail<const N: usize, const TAIL: usize>(secret: [u8; 16], words: &[u64; 8], tail: u64) {
    let words: &[u64; N] = words.first_chunk().unwrap();
    let tail = tail & ((1 << (8 * TAIL)) - 1);
    let mut theirs = SipHasher24::new_with_key(&secret);
    words.iter().for_each(|word| theirs.write(&word.to_le_bytes()));
    theirs.write(&tail.to_le_bytes()[..TAIL]);
    let ours = SipKey::new(secret).hash_tail::<N, TAIL>(words, tail);
    assert_eq!(ours, theirs.finish(), "{N} words and {TAIL} bytes: {words:x?} {tail:x}");
}

/// The bytes 00 01 02 .. as words.
fn counting<const N: usize>() -> [u64; N] {
    std::array::from_fn(|word| u64::from_le_bytes(std::array::from_fn(|byte| (8 * word + byte) as u8)))
}

/// Rows 0, 8, .. 56 of the authors' table for SipHash-2-4 with 64 bits, each row's bytes as they print them:
/// key 00 .. 0f, input 00 01 02 .. of that many bytes.
const AUTHORS: [u64; 8] = [
    0x310e_0edd_47db_6f72,
    0x6224_939a_79f5_f593,
    0xdb9b_c257_7fcc_2a3f,
    0x94af_49f6_c650_adb8,
    0xce7c_f272_2f51_2771,
    0xd0a7_0453_6ba9_3e0e,
    0x51a9_cb9e_cba3_12e6,
    0xbd83_8d3a_afbf_8db7,
];
