//! The ring as a value.

use crate::random::Random;
use wire::ring::RingError;
use wire::{KeyId, KeyRing};

#[test]
fn every_ring_that_is_none_says_why() {
    let error = |keys: &[(u8, [u8; 16])]| KeyRing::new(keys).unwrap_err();
    let example = 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff_u128.to_be_bytes();
    assert_eq!(error(&[]), RingError::Empty);
    assert_eq!(error(&[(16, [1; 16])]), RingError::Id(16));
    assert_eq!(error(&[(0, [1; 16]), (255, [2; 16])]), RingError::Id(255));
    assert_eq!(error(&[(3, [1; 16]), (4, [2; 16]), (3, [3; 16])]), RingError::Twice(3));
    assert_eq!(error(&[(3, [0; 16])]), RingError::Zeros);
    assert_eq!(error(&[(3, [1; 16]), (4, example)]), RingError::Example);
    let all =
        [RingError::Empty, RingError::Id(16), RingError::Twice(3), RingError::Zeros, RingError::Example];
    let texts: Vec<String> = all.iter().map(ToString::to_string).collect();
    assert!(texts.iter().enumerate().all(|(at, text)| !texts[..at].contains(text)), "{texts:?}");
}

#[test]
fn a_ring_of_any_ids_holds_exactly_these_and_mints_with_the_first() {
    let mut random = Random::new(40);
    for _ in 0..5_000 {
        let mut ids: Vec<u8> = (0..16).collect();
        for at in (1..16).rev() {
            ids.swap(at, random.below(at + 1));
        }
        ids.truncate(1 + random.below(16));
        let keys: Vec<(u8, [u8; 16])> = ids.iter().map(|id| (*id, random.secret())).collect();
        let ring = KeyRing::new(&keys).unwrap();
        assert_eq!(ring.minting().get(), ids[0]);
        ids.sort_unstable();
        assert_eq!(ring.ids().map(KeyId::get).collect::<Vec<_>>(), ids);
        for id in 0..16 {
            assert_eq!(ring.get(KeyId::new(id).unwrap()).is_some(), ids.contains(&id));
        }
    }
}

#[test]
fn a_key_id_is_a_nibble() {
    for byte in 0..=u8::MAX {
        assert_eq!(KeyId::new(byte).map(KeyId::get), (byte < 16).then_some(byte));
        assert_eq!(KeyId::of_header(byte).get(), byte % 16);
    }
}

#[test]
fn the_fingerprint_tells_rings_apart_and_is_the_same_for_the_same_ring() {
    let (a, b) = ((3, [0xa1; 16]), (4, [0xb2; 16]));
    let fingerprint = |keys: &[(u8, [u8; 16])]| KeyRing::new(keys).unwrap().fingerprint();
    let rings: [&[(u8, [u8; 16])]; 6] =
        [&[a], &[b], &[a, b], &[b, a], &[(4, a.1)], &[(3, [0xa1 ^ 0x80; 16])]];
    for (at, ring) in rings.iter().enumerate() {
        assert_eq!(fingerprint(ring), fingerprint(ring));
        assert!(rings[..at].iter().all(|other| fingerprint(other) != fingerprint(ring)), "ring {at}");
    }
}

#[test]
fn the_debug_form_shows_no_secret() {
    let mut random = Random::new(41);
    for _ in 0..1_000 {
        let secret = random.secret();
        let shown = format!("{:?}", KeyRing::new(&[(7, secret)]).unwrap());
        let digits = hex::encode(secret);
        assert!((0..=24).all(|at| !shown.contains(&digits[at..at + 8])), "{shown}");
        assert!(shown.ends_with("minting key 7)"), "{shown}");
    }
}
