//! Fuzzes the decision: any datagram from any source, the tag repaired so that the code behind it is reached.
//!
//! ```text
//! input   switches | source address (16) | source port (2) | now (4) | datagram
//! ```
//!
//! * As many bytes come out as went in, and the payload is never touched.
//! * A dropped datagram is left as it came.
//! * Nothing goes where the policy forbids; what is emitted is never accepted; a receiver can answer.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::net::SocketAddr;
use std::sync::LazyLock;
use wire::mint::verify_ticket;
use wire::{
    Block, BlockSet, Form, HEADER_LEN, Header, KeyId, KeyRing, Policy, Reason, TransportAddress, Verdict, decide,
};

fuzz_target!(|input: &[u8]| {
    let Some((switches, rest)) = input.split_first() else { return };
    let Some((address, rest)) = rest.split_first_chunk::<16>() else { return };
    let Some((port, rest)) = rest.split_first_chunk::<2>() else { return };
    let Some((now, datagram)) = rest.split_first_chunk::<4>() else { return };
    let source = TransportAddress { address: u128::from_be_bytes(*address), port: u16::from_be_bytes(*port) };
    let now = u32::from_be_bytes(*now);
    let mut before = datagram.to_vec();
    if switches & REPAIR != 0 {
        repair(&mut before, source, now);
    }
    check(&before, source, now, &policy(*switches));
});

fn check(before: &[u8], source: TransportAddress, now: u32, policy: &Policy) {
    let from = source.to_socket();
    let mut after = before.to_vec();
    let verdict = decide(&mut after, from, now, &RING, policy);
    assert_eq!(after.len(), before.len());
    assert_eq!(after.get(HEADER_LEN..), before.get(HEADER_LEN..), "the payload changed");
    match verdict {
        Verdict::Drop(_) => assert_eq!(after, before, "dropped, yet changed"),
        Verdict::Observe => {
            let header = header_of(&after);
            assert!(policy.permits(source) && after.len() <= 64 && before[0] == 0x08);
            assert_eq!(verify_ticket(&RING, &header, now), Ok(source));
            never_accepted(&after, &[from], now, policy);
        }
        Verdict::Relay { to, .. } => {
            relayed(before, &after, source, to, now, policy);
            never_accepted(&after, &[from, to], now, policy);
        }
    }
}

fn relayed(before: &[u8], after: &[u8], source: TransportAddress, to: SocketAddr, now: u32, policy: &Policy) {
    let (sent, received) = (header_of(before), header_of(after));
    assert!([(0x0a, 0x0b), (0x0d, 0x0e)].contains(&(sent.kind, received.kind)));
    assert_eq!(received.class_key, sent.class_key);
    let destination = TransportAddress::from_socket(to).expect("what is relayed goes to an address");
    if sent.kind == 0x0a {
        assert_eq!((sent.peer, received.peer), (destination, source));
    } else {
        assert_eq!(sent.peer.is_ipv4(), destination.is_ipv4());
        assert_eq!(received.peer.is_ipv4(), source.is_ipv4());
    }
    assert!(policy.permits(destination) && policy.sends_to_family_of(destination));
    assert!(after.len() <= policy.longest_to(destination));
    assert!(received.expires >= sent.expires && u64::from(received.expires) <= u64::from(now) + 600);
    // Who received can answer, wherever the policy lets the answer go.
    let mut answer = after.to_vec();
    answer[0] = sent.kind;
    let verdict = decide(&mut answer, to, now, &RING, policy);
    let open = policy.permits(source) && policy.sends_to_family_of(source);
    if !open {
        assert_eq!(verdict, Verdict::Drop(Reason::Destination));
    } else if answer.len() > policy.longest_to(source) {
        assert_eq!(verdict, Verdict::Drop(Reason::Oversize));
    } else {
        assert_eq!(verdict, Verdict::Relay { to: source.to_socket(), class_key: sent.class_key });
        assert!(sent.tag != received.tag || header_of(&answer).peer == sent.peer);
    }
}

fn never_accepted(emitted: &[u8], sources: &[SocketAddr], now: u32, policy: &Policy) {
    for source in sources {
        let verdict = decide(&mut emitted.to_vec(), *source, now, &RING, policy);
        assert_eq!(verdict, Verdict::Drop(Reason::Kind));
    }
}

/// Brings the expiry near `now`, on either side of what is accepted, and makes the tag right.
fn repair(datagram: &mut [u8], source: TransportAddress, now: u32) {
    let Some(bytes) = datagram.first_chunk_mut::<HEADER_LEN>() else { return };
    let mut header = Header::read(bytes);
    header.expires = now.wrapping_add(header.expires % 640).wrapping_sub(20);
    if let Some(key) = RING.get(KeyId::of_header(header.class_key)) {
        let form = if header.kind == 0x0d { Form::Sealed } else { Form::Plain };
        header.tag = wire::tag::capability(key, form, header.class_key, header.expires, source, header.peer);
        if form == Form::Sealed {
            header.peer = wire::seal::mask(key, header.tag, source, header.peer);
        }
    }
    header.write(bytes);
}

fn policy(switches: u8) -> Policy {
    let on = |switch: u8| switches & switch != 0;
    Policy {
        own: Vec::from([TransportAddress { address: 0xffff_2d30_f908, port: 3478 }]),
        allow_destination: if on(OPEN) { ALL.clone() } else { BlockSet::default() },
        deny_destination: if on(DENY) { DENIED.clone() } else { BlockSet::default() },
        sends_ipv4: !on(NO_IPV4),
        sends_ipv6: !on(NO_IPV6),
        max_datagram: if on(SMALL) { 100 } else { 1472 },
        answer_lifetime_s: if on(LONG) { 540 } else { 300 },
        ticket_lifetime_s: if on(LONG) { 120 } else { 10 },
        ..Policy::default()
    }
}

fn header_of(datagram: &[u8]) -> Header {
    Header::read(datagram.first_chunk().expect("what was accepted has a header"))
}

fn blocks(texts: &[&str]) -> BlockSet {
    BlockSet::new(&texts.iter().map(|text| text.parse().expect("a block")).collect::<Vec<Block>>())
}

/// The ring of the published vectors, so that they are seeds.
static RING: LazyLock<KeyRing> = LazyLock::new(|| {
    let keys = [
        (4, 0x303e_61cd_c4bb_86c3_d1c4_2710_3c34_4c41_u128),
        (9, 0x89eb_2f1e_7bd5_d47e_446f_cec2_a3d8_1173),
        (13, 0x6110_e578_1bcc_cea6_9676_2e61_16c6_e9c9),
    ];
    KeyRing::new(&keys.map(|(id, secret)| (id, secret.to_be_bytes()))).expect("a ring")
});
static ALL: LazyLock<BlockSet> = LazyLock::new(|| blocks(&["0.0.0.0/0", "::/0"]));
static DENIED: LazyLock<BlockSet> = LazyLock::new(|| blocks(&["93.0.0.0/8", "2a00::/16"]));

const REPAIR: u8 = 1;
const OPEN: u8 = 2;
const DENY: u8 = 4;
const NO_IPV4: u8 = 8;
const NO_IPV6: u8 = 16;
const SMALL: u8 = 32;
const LONG: u8 = 64;
