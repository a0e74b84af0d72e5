//! A client that knows nothing but the document: every byte that a reflector answers is as it says.

use crate::rig::daemon::Reflector;
use crate::rig::protocol::{
    DATA, Key, OBSERVED, SEALED_DATA, SEALED_SEND, SEND, expires, now_s, peer, probe,
};
use crate::rig::traffic::{Endpoint, settled};
use engine::socket::kind::Kind;

pub(crate) fn an_independent_client_probes_mints_relays_and_answers(kind: Kind) {
    let reflector = Reflector::start_on(kind, &[]);
    let key = reflector.key;
    let (alice, bob) = (Endpoint::new("127.0.0.1:0", &reflector), Endpoint::new("127.0.0.2:0", &reflector));

    // Every byte of a PROBE's header but the first is ignored; the payload comes back.
    let mut asked = probe(b"who am I?");
    asked[1..32].fill(0xee);
    for (endpoint, asked) in [(&alice, probe(b"who am I?")), (&bob, asked)] {
        let before = now_s();
        endpoint.send(&asked);
        let answer = endpoint.receive();
        let until = expires(&answer);
        assert_eq!((answer.len(), answer[0], answer[1]), (asked.len(), OBSERVED, key.id));
        assert_eq!(peer(&answer), endpoint.address);
        assert!((before + 119..=now_s() + 121).contains(&until), "a ticket lives 120 s");
        assert_eq!(answer[24..32], key.ticket(until, endpoint.address));
        assert_eq!(answer[32..], *b"who am I?");
    }

    // 250 s are more than half of the answer lifetime, so the header is swapped and nothing else.
    let until = now_s() + 250;
    let sent = [&key.send_header(3, until, alice.address, bob.address)[..], b"hello"].concat();
    alice.send(&sent);
    let data = bob.receive();
    assert_eq!((data.len(), data[0], data[1]), (sent.len(), DATA, 0x30 | key.id));
    assert_eq!((peer(&data), expires(&data)), (alice.address, until));
    assert_eq!(data[24..], sent[24..]);

    // Who receives can answer: byte 0 from DATA to SEND, and the rest as it came.
    let mut answer = data.clone();
    answer[0] = SEND;
    answer.truncate(32);
    answer.extend(b"hello yourself");
    bob.send(&answer);
    let back = alice.receive();
    assert_eq!((back[0], peer(&back), &back[24..]), (DATA, bob.address, &answer[24..]));

    // 100 s are less than half: the right to answer starts anew, under the same class and key.
    let before = now_s();
    alice.send(&key.send_header(3, before + 100, alice.address, bob.address));
    let renewed = bob.receive();
    let until = expires(&renewed);
    assert!((before + 299..=now_s() + 301).contains(&until), "an answer lives 300 s");
    assert_eq!(renewed[1], 0x30 | key.id);
    assert_eq!(renewed[24..32], key.capability(SEND, 0x30 | key.id, until, alice.address, bob.address));
}

pub(crate) fn an_independent_client_talks_both_ways_sealed(kind: Kind) {
    let reflector = Reflector::start_on(kind, &["--listen", "[::1]:0"]);
    let key = reflector.key;
    let ends = [["127.0.0.1:0", "127.0.0.2:0"], ["[::1]:0", "[::1]:0"], ["127.0.0.1:0", "[::1]:0"]];
    for [alice, bob] in ends.map(|ends| ends.map(|end| Endpoint::new(end, &reflector))) {
        let until = now_s() + 250;
        let header = key.sealed_header(3, until, alice.address, bob.address);
        alice.send(&[&header[..], b"hello"].concat());
        let data = bob.receive();
        assert_eq!((data[0], data[1], expires(&data)), (SEALED_DATA, 0x30 | key.id, until));
        assert_eq!(data[24..], [&header[24..], b"hello"].concat());
        let tag = data[24..32].try_into().unwrap();
        assert_eq!(field(&data), key.sealed(tag, bob.address, alice.address), "masked for its receiver");
        assert_ne!(field(&data), field(&header));

        // Who receives can answer: byte 0 from SEALED_DATA to SEALED_SEND, and the rest as it came.
        bob.send(&[&[SEALED_SEND][..], &data[1..32], b"hello yourself"].concat());
        let back = alice.receive();
        assert_eq!(
            back,
            [&[SEALED_DATA][..], &header[1..], b"hello yourself"].concat(),
            "two swaps are none"
        );

        // Less than half of the life is left: a new tag, so new masks.
        let before = now_s();
        alice.send(&key.sealed_header(3, before + 100, alice.address, bob.address));
        let renewed = bob.receive();
        let until = expires(&renewed);
        assert!((before + 299..=now_s() + 301).contains(&until), "an answer lives 300 s");
        let tag = key.capability(SEALED_SEND, 0x30 | key.id, until, alice.address, bob.address);
        assert_eq!(renewed[24..32], tag);
        assert_eq!(field(&renewed), key.sealed(tag, bob.address, alice.address));
        assert_ne!(field(&renewed), field(&data));

        // A plain header with the tag of a sealed one, and the reverse, and a sealed one from somewhere else.
        let plain = key.send_header(3, until, alice.address, bob.address);
        let sealed = key.sealed_header(3, until, alice.address, bob.address);
        alice.send(&[&plain[..24], &sealed[24..]].concat());
        alice.send(&[&sealed[..24], &plain[24..]].concat());
        bob.send(&sealed);
        [&alice, &bob].into_iter().for_each(Endpoint::fence);
        [&alice, &bob].into_iter().for_each(Endpoint::assert_silence);
    }
}

/// Address and port of a header, as they stand there.
fn field(datagram: &[u8]) -> ([u8; 16], [u8; 2]) {
    (datagram[8..24].try_into().unwrap(), datagram[2..4].try_into().unwrap())
}

pub(crate) fn what_proves_nothing_is_answered_with_nothing(kind: Kind) {
    let reflector = Reflector::start_on(kind, &[]);
    let key = reflector.key;
    let (alice, bob) = (Endpoint::new("127.0.0.1:0", &reflector), Endpoint::new("127.0.0.2:0", &reflector));
    let stranger = Endpoint::new("127.0.0.3:0", &reflector);
    let good = key.send(alice.address, bob.address, b"x");

    stranger.send(&good); // A stolen header from another source.
    stranger.fence();
    alice.send(&Key::new(7, 8).send(alice.address, bob.address, b"x")); // Another ring's secret under the same id.
    for byte in [1, 2, 3, 4, 7, 8, 23, 24, 31] {
        let mut flipped = good.clone();
        flipped[byte] ^= 1;
        alice.send(&flipped);
    }
    for kind in (0..=255).filter(|kind| ![0x08, 0x0a, 0x0d].contains(kind)) {
        let mut other = good.clone();
        other[0] = kind;
        alice.send(&other);
    }
    alice.fence();
    [&alice, &bob, &stranger].into_iter().for_each(Endpoint::assert_silence);
    let page = settled(&reflector, &[&alice, &bob, &stranger]);
    assert_eq!((page.relayed(), page.dropped("kind")), (0, 253));
    assert_eq!(page.received(), 2 + 2 + 9 + 253);
}
