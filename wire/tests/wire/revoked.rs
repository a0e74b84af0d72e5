//! The table of what was taken back, against a set that cannot be wrong.

use crate::random::Random;
use crate::setup::address;
use std::collections::BTreeSet;
use wire::TransportAddress;
use wire::revoked::{Full, MOST_REVOKED, MOST_REVOKED_PAIRS, REVOKED_WORDS, RevokedTable, Subject};

#[test]
fn t33_it_holds_what_a_set_holds_through_insertions_and_removals() {
    let mut random = Random::new(110);
    let mut table = table(&mut random);
    let reader = table.reader();
    let parties: Vec<TransportAddress> = (0..40).map(|_| address(random.public())).collect();
    let mut held: BTreeSet<Subject> = BTreeSet::new();
    let (mut yes, mut no) = (0, 0);
    for step in 0..60_000 {
        let (a, b) = (parties[random.below(40)], parties[random.below(40)]);
        let subject = if random.u8() < 24 { Subject::Address(a) } else { Subject::pair(a, b) };
        if held.remove(&subject) {
            table.remove(&subject);
        } else if held.len() < 60 {
            held.insert(subject);
            table.insert(&subject).unwrap();
        }
        if step % 100 == 0 {
            table.renew_filter(held.iter());
        }
        assert_eq!(table.len(), held.len());
        let (c, d) = (parties[random.below(40)], parties[random.below(40)]);
        let subjects = [Subject::Address(c), Subject::Address(d), Subject::pair(c, d)];
        let expected = subjects.iter().any(|subject| held.contains(subject));
        assert_eq!(reader.holds_any(c, d), expected, "{c:?} {d:?}");
        *(if expected { &mut yes } else { &mut no }) += 1;
    }
    assert!(yes > 5_000 && no > 5_000, "{yes} held, {no} not");
}

#[test]
fn t33_a_full_table_refuses_keeps_what_it_has_and_takes_again_what_fits() {
    let mut random = Random::new(111);
    let mut table = table(&mut random);
    let reader = table.reader();
    let mut pair = || Subject::pair(address(random.public()), address(random.public()));
    let pairs: Vec<Subject> = (0..MOST_REVOKED_PAIRS).map(|_| pair()).collect();
    pairs.iter().for_each(|it| table.insert(it).unwrap());
    assert_eq!(table.insert(&pair()), Err(Full::Pairs));
    let single = |at: usize| {
        let port = 1024 + (at % 60_000) as u16;
        Subject::Address(TransportAddress { address: 0x2a07 << 112 | (at / 60_000) as u128, port })
    };
    let singles = MOST_REVOKED - MOST_REVOKED_PAIRS;
    (0..singles).for_each(|at| table.insert(&single(at)).unwrap());
    assert_eq!(table.len(), MOST_REVOKED);
    assert_eq!(table.insert(&single(singles)), Err(Full::Table));
    let holds = |subject: &Subject| match subject {
        Subject::Address(it) => reader.holds_any(*it, TransportAddress::default()),
        Subject::Pair(low, high) => reader.holds_any(*high, *low),
    };
    assert!(pairs.iter().all(holds) && (0..singles).all(|at| holds(&single(at))));
    assert!(!holds(&single(singles)) && !holds(&pair()));
    table.remove(&pairs[7]);
    assert!(!holds(&pairs[7]));
    assert_eq!(table.insert(&pair()), Ok(()));
    assert_eq!(table.insert(&single(singles)), Err(Full::Table));
}

#[test]
fn a_full_table_says_of_a_million_strangers_that_it_does_not_hold_them() {
    let mut random = Random::new(112);
    let mut table = table(&mut random);
    for _ in 0..MOST_REVOKED {
        table.insert(&Subject::Address(address(random.public()))).unwrap();
    }
    let reader = table.reader();
    for _ in 0..1_000_000 {
        let (a, b) = (address(random.public_v6()), address(random.public_v6()));
        assert!(!reader.holds_any(a, b));
    }
}

#[test]
fn an_empty_reader_has_no_table_and_two_readers_of_one_table_are_equal() {
    let mut random = Random::new(113);
    let (one, other) = (table(&mut random), table(&mut random));
    assert!(one.reader() == one.reader() && one.reader() != other.reader());
    let none = wire::Revoked::default();
    assert!(none.words().is_empty() && none == wire::Revoked::default() && none != one.reader());
    assert_eq!(one.reader().words().len(), REVOKED_WORDS);
    assert!(!none.holds_any(address(random.public()), address(random.public())));
}

fn table(random: &mut Random) -> RevokedTable {
    RevokedTable::new(std::array::from_fn(|_| random.u64()))
}
