//! Lifetimes: their edges, renewal, and the end of 32-bit time.

use crate::setup::address;
use std::net::SocketAddr;
use wire::mint::send_header;
use wire::{Form, HEADER_LEN, Header, KeyRing, Kind, Policy, Reason, Verdict, decide, tag};

#[test]
fn every_second_left_has_its_outcome_for_every_answer_lifetime() {
    for answer_lifetime_s in [10, 11, 12, 13, 120, 299, 300, 301, 539, 540] {
        for left_s in -700..=1_300i64 {
            let (verdict, before, after) = sent(NOW, i64::from(NOW) + left_s, answer_lifetime_s);
            let expires = i64::from(after.expires) - i64::from(NOW);
            match left_s {
                ..0 => assert_eq!(verdict, Verdict::Drop(Reason::Expired)),
                601.. => assert_eq!(verdict, Verdict::Drop(Reason::Lifetime)),
                _ => assert_eq!(verdict, relayed(5, to())),
            }
            let renewed = (0..=600).contains(&left_s) && 2 * left_s < i64::from(answer_lifetime_s);
            assert_eq!(expires, if renewed { i64::from(answer_lifetime_s) } else { left_s });
            assert_eq!(after.tag != before.tag, renewed, "{left_s} s left of {answer_lifetime_s}");
        }
    }
}

#[test]
fn exactly_half_is_not_renewed_and_a_second_less_is() {
    for (answer_lifetime_s, left_s, renewed) in [
        (10, 5, false),
        (10, 4, true),
        (300, 150, false),
        (300, 149, true),
        (540, 270, false),
        (540, 269, true),
        (11, 6, false),
        (11, 5, true),
    ] {
        let (_, before, after) = sent(NOW, i64::from(NOW) + left_s, answer_lifetime_s);
        assert_eq!(before.expires != after.expires, renewed, "{left_s} s left of {answer_lifetime_s}");
    }
}

#[test]
fn renewal_keeps_class_and_key_and_makes_the_tag_of_the_document() {
    let keys: Vec<(u8, [u8; 16])> = (0..16).map(|id| (id, [0xa0 | id; 16])).collect();
    let ring = KeyRing::new(&keys).unwrap();
    for class_key in 0..=u8::MAX {
        let minting: Vec<(u8, [u8; 16])> = vec![keys[usize::from(class_key & 15)]];
        let minting = KeyRing::new(&minting).unwrap();
        let header =
            send_header(&minting, Form::Plain, class_key >> 4, NOW + 1, address(from()), address(to()))
                .unwrap();
        assert_eq!(header.class_key, class_key);
        let mut datagram = header.to_bytes();
        let verdict = decide(&mut datagram, from(), NOW, &ring, &Policy::default());
        assert_eq!(verdict, Verdict::Relay { to: to(), class_key });
        let after = Header::read(&datagram);
        let key = ring.get(wire::KeyId::of_header(class_key)).unwrap();
        let expected = Header {
            kind: Kind::Data as u8,
            class_key,
            expires: NOW + 300,
            peer: address(from()),
            tag: tag::capability(key, Form::Plain, class_key, NOW + 300, address(from()), address(to())),
        };
        assert_eq!(after, expected);
    }
}

#[test]
fn times_saturate_at_the_end_of_32_bits() {
    let last = u32::MAX;
    for before_end_s in 0..=700 {
        let now = last - before_end_s;
        let (verdict, _, after) = sent(now, i64::from(now), 300);
        assert_eq!(verdict, relayed(5, to()));
        assert_eq!(after.expires, now.saturating_add(300));
        let (verdict, _, after) = sent(now, i64::from(last), 540);
        if before_end_s > 600 {
            assert_eq!(verdict, Verdict::Drop(Reason::Lifetime));
        } else {
            assert_eq!(verdict, relayed(5, to()));
            assert_eq!(after.expires, if 2 * before_end_s < 540 { now.saturating_add(540) } else { last });
        }
        let mut probe = [0; HEADER_LEN];
        probe[0] = Kind::Probe as u8;
        let verdict = decide(&mut probe, from(), now, &ring(), &Policy::default());
        assert_eq!((verdict, Header::read(&probe).expires), (Verdict::Observe, now.saturating_add(120)));
    }
    // What was renewed in the last second is still good in it.
    let (_, _, after) = sent(last, i64::from(last), 300);
    let mut answer = Header { kind: Kind::Send as u8, ..after }.to_bytes();
    assert_eq!(decide(&mut answer, to(), last, &ring(), &Policy::default()), relayed(5, from()));
}

#[test]
fn times_are_compared_in_64_bits() {
    let last = i64::from(u32::MAX);
    let verdict = |now: i64, expires: i64| sent(u32::try_from(now).unwrap(), expires, 300).0;
    // A time that wrapped is long past, and now + 600 never wraps.
    assert_eq!(verdict(last, 0), Verdict::Drop(Reason::Expired));
    assert_eq!(verdict(last - 10, 89), Verdict::Drop(Reason::Expired));
    assert_eq!(verdict(last - 599, last), relayed(5, to()));
    assert_eq!(verdict(last - 601, last), Verdict::Drop(Reason::Lifetime));
    assert_eq!(verdict(0, last), Verdict::Drop(Reason::Lifetime));
    assert_eq!(verdict(0, 600), relayed(5, to()));
    assert_eq!(verdict(0, 601), Verdict::Drop(Reason::Lifetime));
    assert_eq!(verdict(0, 0), relayed(5, to()));
    assert_eq!(verdict(5, 0x8000_0000), Verdict::Drop(Reason::Lifetime));
    assert_eq!(verdict(0x8000_0000, 5), Verdict::Drop(Reason::Expired));
    assert_eq!(verdict(0x7fff_ffff, 0x8000_0000), relayed(5, to()));
}

#[test]
fn a_conversation_lives_while_both_speak_and_ends_an_answer_lifetime_after_one_falls_silent() {
    let policy = Policy::default();
    let header = send_header(&ring(), Form::Plain, 2, NOW + 30, address(from()), address(to())).unwrap();
    let (mut datagram, mut sides, mut now) = (header.to_bytes(), (from(), to()), NOW);
    for _ in 0..2_000 {
        let verdict = decide(&mut datagram, sides.0, now, &ring(), &policy);
        assert_eq!(verdict, Verdict::Relay { to: sides.1, class_key: header.class_key });
        datagram[0] = Kind::Send as u8;
        sides = (sides.1, sides.0);
        now += 150;
    }
    // One side sends on with the last header that it received; nothing comes back that would renew it.
    let silent_since = now;
    let expires = Header::read(&datagram).expires;
    while now <= expires {
        let verdict = decide(&mut datagram.clone(), sides.0, now, &ring(), &policy);
        assert_eq!(verdict, Verdict::Relay { to: sides.1, class_key: header.class_key });
        now += 1;
    }
    assert!(now - silent_since <= policy.answer_lifetime_s + 1);
    let verdict = decide(&mut datagram, sides.0, now, &ring(), &policy);
    assert_eq!(verdict, Verdict::Drop(Reason::Expired));
}

#[test]
fn a_short_capability_lasts_that_short_until_the_first_answer() {
    let policy = Policy::default();
    let header = send_header(&ring(), Form::Plain, 0, NOW + 20, address(from()), address(to())).unwrap();
    let mut first = header.to_bytes();
    assert_eq!(decide(&mut first, from(), NOW, &ring(), &policy), relayed(0, to()));
    // The sender's own header is not prolonged by its sending.
    let verdict = |now| decide(&mut header.to_bytes(), from(), now, &ring(), &policy);
    assert_eq!(verdict(NOW + 20), relayed(0, to()));
    assert_eq!(verdict(NOW + 21), Verdict::Drop(Reason::Expired));
    // The receiver's is, and its answer carries the longer time back.
    first[0] = Kind::Send as u8;
    assert_eq!(decide(&mut first, to(), NOW + 100, &ring(), &policy), relayed(0, from()));
    first[0] = Kind::Send as u8;
    assert_eq!(decide(&mut first, from(), NOW + 300, &ring(), &policy), relayed(0, to()));
}

#[test]
fn a_ticket_lives_as_long_as_the_policy_says() {
    for ticket_lifetime_s in [10, 119, 120] {
        let policy = Policy { ticket_lifetime_s, ..Policy::default() };
        let mut probe = [0; HEADER_LEN];
        probe[0] = Kind::Probe as u8;
        assert_eq!(decide(&mut probe, from(), NOW, &ring(), &policy), Verdict::Observe);
        assert_eq!(Header::read(&probe).expires, NOW + ticket_lifetime_s);
    }
}

/// Sends with a capability that is right until `expires`; the header before and after.
fn sent(now: u32, expires: i64, answer_lifetime_s: u32) -> (Verdict, Header, Header) {
    let policy = Policy { answer_lifetime_s, ..Policy::default() };
    let expires = u32::try_from(expires).unwrap();
    let before = send_header(&ring(), Form::Plain, 5, expires, address(from()), address(to())).unwrap();
    let mut datagram = before.to_bytes();
    let verdict = decide(&mut datagram, from(), now, &ring(), &policy);
    (verdict, before, Header::read(&datagram))
}

/// The verdict on a SEND of this class under [`ring`].
fn relayed(class: u8, to: SocketAddr) -> Verdict {
    Verdict::Relay { to, class_key: class << 4 | KEY_ID }
}

fn ring() -> KeyRing {
    KeyRing::new(&[(KEY_ID, [0x42; 16])]).unwrap()
}

fn from() -> SocketAddr {
    SocketAddr::from(([45, 48, 249, 8], 59_568))
}

fn to() -> SocketAddr {
    SocketAddr::from(([0x2a00, 1, 2, 3, 4, 5, 6, 7], 4_000))
}

const NOW: u32 = 1_800_000_000;
const KEY_ID: u8 = 9;
