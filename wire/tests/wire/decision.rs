//! The decision against the oracle, for datagrams that reach every row of the table.
//!
//! * Verdict, reason and every byte are compared; a dropped datagram must be as it came.
//! * A test that compares counts what it saw: a reason that never came up fails it.

use crate::oracle::{Expected, capability, masked, tag, written};
use crate::random::cases_quickly;
use crate::setup::{PARTIES, SETUPS, Setup};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use std::cell::RefCell;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use wire::{Reason, Verdict, decide};

#[test]
fn t4_verdict_reason_and_bytes_equal_the_oracles() {
    let seen = RefCell::new(Vec::new());
    run(500_000, &sketch(), |sketch| {
        let setup = &SETUPS[sketch.setup];
        let datagram = sketch.datagram();
        let name = compare(setup, &datagram, sketch.source, sketch.now)?;
        seen.borrow_mut().push(name);
        Ok(())
    });
    let seen = seen.into_inner();
    let decided = [
        "short",
        "oversize",
        "kind",
        "source",
        "key",
        "expired",
        "lifetime",
        "destination",
        "tag",
        "revoked",
    ];
    let accepted = ["observe", "relay", "relay renewed", "sealed", "sealed renewed"];
    for name in decided.into_iter().chain(accepted) {
        let count = seen.iter().filter(|it| **it == name).count();
        assert!(count > 1_000, "`{name}` came up {count} times");
    }
}

#[test]
fn t5_what_is_emitted_is_never_accepted() {
    let emitted = RefCell::new(0u32);
    let anybody = (sketch(), address(), any::<u32>());
    run(200_000, &anybody, |(sketch, other, later)| {
        let setup = &SETUPS[sketch.setup];
        let mut datagram = sketch.datagram();
        let to = match decide(&mut datagram, sketch.source, sketch.now, &setup.ring, &setup.policy) {
            Verdict::Drop(_) => return Ok(()),
            Verdict::Observe => sketch.source,
            Verdict::Relay { to, .. } => to,
        };
        *emitted.borrow_mut() += 1;
        for reflector in SETUPS.iter() {
            for source in [sketch.source, to, other] {
                for now in [sketch.now, later] {
                    let mut again = datagram.clone();
                    let verdict = decide(&mut again, source, now, &reflector.ring, &reflector.policy);
                    let dropped = matches!(verdict, Verdict::Drop(Reason::Kind | Reason::Oversize));
                    prop_assert!(dropped, "{verdict:?}");
                    prop_assert_eq!(&again, &datagram);
                }
            }
        }
        Ok(())
    });
    let emitted = emitted.into_inner();
    assert!(emitted > 25_000, "{emitted} were emitted");
}

#[test]
fn t5_nested_frames_are_taken_once_and_never_unwrapped() {
    let relayed = RefCell::new(0u32);
    run(20_000, &(vec(sketch(), 1..8), any::<u32>()), |(sketches, later)| {
        // The innermost frame first; every further one is a header in front of all before it.
        let mut frame = Vec::new();
        for sketch in &sketches {
            let mut outer = sketch.with_length(Length::Exact(32)).datagram();
            outer.extend_from_slice(&frame);
            frame = outer;
        }
        let (source, now) = (sketches[sketches.len() - 1].source, sketches[sketches.len() - 1].now);
        for first in SETUPS.iter() {
            let mut datagram = frame.clone();
            let verdict = decide(&mut datagram, source, now, &first.ring, &first.policy);
            prop_assert_eq!(&datagram[32..], &frame[32..]);
            if !matches!(verdict, Verdict::Drop(_)) {
                *relayed.borrow_mut() += 1;
                for next in SETUPS.iter() {
                    let verdict = decide(&mut datagram.clone(), source, later, &next.ring, &next.policy);
                    prop_assert!(matches!(verdict, Verdict::Drop(Reason::Kind | Reason::Oversize)));
                }
            }
        }
        Ok(())
    });
    let relayed = relayed.into_inner();
    assert!(relayed > 5_000, "{relayed} outer frames were taken");
}

#[test]
fn t15_every_length_of_every_kind_equals_the_oracle() {
    let longest_udp_payload = 65_507;
    let setup = &SETUPS[0];
    let (source, to) = ("45.48.249.8:59568".parse().unwrap(), "93.1.228.69:4000".parse().unwrap());
    let sketch = Sketch {
        setup: 0,
        kind: 0x0a,
        source,
        destination: to,
        now: 1_800_000_000,
        left: 200,
        class_key: KeyPlan::OfRing(1),
        tag: TagPlan::Right,
        length: Length::Exact(longest_udp_payload),
        fill: 0x5a,
    };
    let mut accepted = Vec::new();
    for kind in [0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x00] {
        let datagram = Sketch { kind, ..sketch }.datagram();
        let lengths = (0..=longest_udp_payload).filter(|length| {
            let name = compare(setup, &datagram[..*length], source, sketch.now).unwrap();
            ["relay", "sealed", "observe"].contains(&name)
        });
        accepted.extend(lengths.map(|length| (kind, length)));
    }
    let probes = (32..=64).map(|length| (0x08, length));
    let sends = [0x0a, 0x0d].into_iter().flat_map(|kind| (32..=1472).map(move |length| (kind, length)));
    assert_eq!(accepted, probes.chain(sends).collect::<Vec<_>>());
}

/// Decides on both sides, compares everything, and names what became of the datagram.
fn compare(
    setup: &Setup,
    before: &[u8],
    source: SocketAddr,
    now: u32,
) -> Result<&'static str, TestCaseError> {
    let expected = setup.oracle.decide(before, source, u64::from(now));
    let mut after = before.to_vec();
    let verdict = decide(&mut after, source, now, &setup.ring, &setup.policy);
    prop_assert_eq!(after.len(), before.len());
    let (verdict, name) = match verdict {
        Verdict::Drop(reason) => {
            prop_assert!(after == before, "dropped as {}, yet changed", reason);
            (Expected::Drop(reason.as_str()), reason.as_str())
        }
        Verdict::Observe => (Expected::Observe(after), "observe"),
        Verdict::Relay { to, .. } => {
            let renewed = after[4..8] != before[4..8] || after[24..32] != before[24..32];
            let name = match (after[0], renewed) {
                (0x0b, false) => "relay",
                (0x0b, true) => "relay renewed",
                (0x0e, false) => "sealed",
                (0x0e, true) => "sealed renewed",
                (kind, _) => panic!("relayed as {kind:#04x}"),
            };
            (Expected::Relay(to, after), name)
        }
    };
    prop_assert_eq!(verdict, expected);
    Ok(name)
}

fn run<S: Strategy>(cases: u32, strategy: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    if let Err(error) = TestRunner::new(cases_quickly(cases)).run(strategy, test) {
        panic!("{error}");
    }
}

/// A datagram as a plan, so that it shrinks to the field that matters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sketch {
    setup: usize,
    kind: u8,
    source: SocketAddr,
    destination: SocketAddr,
    now: u32,
    left: i64,
    class_key: KeyPlan,
    tag: TagPlan,
    length: Length,
    fill: u8,
}

#[derive(Clone, Copy, Debug)]
enum KeyPlan {
    /// A key of the ring, any class.
    OfRing(u8),
    Any(u8),
}

#[derive(Clone, Copy, Debug)]
enum TagPlan {
    Right,
    Flipped(u8),
    Ticket,
    /// That of a sealed capability in a plain header, or the reverse.
    OtherForm,
    Zero,
}

#[derive(Clone, Copy, Debug)]
enum Length {
    Exact(usize),
    /// The setup's maximum less this, plus 2.
    NearMaximum(usize),
}

impl Sketch {
    fn with_length(self, length: Length) -> Self {
        Self { length, ..self }
    }

    fn datagram(&self) -> Vec<u8> {
        let setup = &SETUPS[self.setup];
        let keys = &setup.oracle.keys;
        let class_key = match self.class_key {
            KeyPlan::OfRing(byte) => byte & 0xf0 | keys[usize::from(byte & 0x0f) % keys.len()].0,
            KeyPlan::Any(byte) => byte,
        };
        let secret =
            keys.iter().find(|(id, _)| *id == class_key & 0x0f).map_or([7; 16], |(_, secret)| *secret);
        let expires = u64::from(self.now).saturating_add_signed(self.left).min(u64::from(u32::MAX));
        let (from, to) = (written(self.source), written(self.destination));
        let purpose = if self.kind == 0x0d { 0x0d } else { 0x0a };
        let right = capability(&secret, purpose, class_key, expires, &from, &to);
        let tag = match self.tag {
            TagPlan::Right => right,
            TagPlan::Flipped(bit) => (u64::from_le_bytes(right) ^ 1 << (bit & 63)).to_le_bytes(),
            TagPlan::Ticket => tag(&secret, 0x09, class_key, expires, &from, None),
            TagPlan::OtherForm => capability(&secret, purpose ^ 0x07, class_key, expires, &from, &to),
            TagPlan::Zero => [0; 8],
        };
        let to = if purpose == 0x0d { masked(&secret, &tag, &from, &to) } else { to };
        let length = match self.length {
            Length::Exact(length) => length,
            Length::NearMaximum(less) => setup.oracle.max_datagram + 2 - less,
        };
        let mut bytes = vec![self.fill; length.max(32)];
        bytes[0] = self.kind;
        bytes[1] = class_key;
        bytes[2..4].copy_from_slice(&to.1);
        bytes[4..8].copy_from_slice(&(expires as u32).to_be_bytes());
        bytes[8..24].copy_from_slice(&to.0);
        bytes[24..32].copy_from_slice(&tag);
        bytes.truncate(length);
        bytes
    }
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let kind = prop_oneof![10 => Just(0x0a), 10 => Just(0x0d), 4 => Just(0x08), 1 => any::<u8>()];
    let now = prop_oneof![
        6 => Just(1_800_000_000),
        1 => any::<u32>(),
        1 => 0..700u32,
        1 => u32::MAX - 700..=u32::MAX,
    ];
    let left = prop_oneof![
        6 => 0..=600i64,
        1 => -3..=3i64,
        2 => 597..=603i64,
        2 => select(vec![4i64, 5, 6, 149, 150, 151, 269, 270, 271]),
        1 => -5_000_000_000..=5_000_000_000i64,
    ];
    let class_key =
        prop_oneof![9 => any::<u8>().prop_map(KeyPlan::OfRing), 1 => any::<u8>().prop_map(KeyPlan::Any)];
    let tag = prop_oneof![
        12 => Just(TagPlan::Right),
        2 => any::<u8>().prop_map(TagPlan::Flipped),
        1 => Just(TagPlan::Ticket),
        1 => Just(TagPlan::OtherForm),
        1 => Just(TagPlan::Zero),
    ];
    let length = prop_oneof![
        1 => (0..32usize).prop_map(Length::Exact),
        4 => (32..=66usize).prop_map(Length::Exact),
        3 => (66..540usize).prop_map(Length::Exact),
        3 => (0..=26usize).prop_map(Length::NearMaximum),
    ];
    ((0..SETUPS.len(), kind, address(), address(), now), (left, class_key, tag, length, any::<u8>()))
        .prop_map(|((setup, kind, source, destination, now), (left, class_key, tag, length, fill))| Sketch {
            setup,
            kind,
            source,
            destination,
            now,
            left,
            class_key,
            tag,
            length,
            fill,
        })
}

fn address() -> impl Strategy<Value = SocketAddr> {
    let port = prop_oneof![10 => 1024..=u16::MAX, 1 => any::<u16>(), 1 => select(PORTS)];
    let public = prop_oneof![
        any::<[u8; 3]>().prop_map(|[b, c, d]| Ipv4Addr::new(45, b, c, d).into()),
        (0x1000..0x2000u128, any::<u64>())
            .prop_map(|(high, low)| Ipv6Addr::from_bits(0x2a << 120 | high << 96 | u128::from(low)).into()),
    ];
    let ip = prop_oneof![
        10 => public,
        2 => any::<u32>().prop_map(|bits| Ipv4Addr::from_bits(bits).into()),
        2 => any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(bits).into()),
        3 => select(HOSTS).prop_map(|text| text.parse().unwrap()),
    ];
    let anywhere = (ip, port).prop_map(|(ip, port)| SocketAddr::new(ip, port));
    prop_oneof![5 => anywhere, 1 => select(&PARTIES[..]).prop_map(|text| text.parse().unwrap())]
}

const PORTS: &[u16] = &[0, 53, 1023, 1024, 1900, 3478, 3702, 4000, 5353, 5683, 11210, 11211, 11212, 65_535];

const HOSTS: &[&str] = &[
    "0.0.0.0",
    "10.7.3.4",
    "10.255.255.255",
    "45.32.1.9",
    "93.184.216.255",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.255",
    "168.63.129.16",
    "169.254.169.254",
    "192.0.2.200",
    "203.0.113.255",
    "224.0.0.251",
    "255.255.255.255",
    "::",
    "::1",
    "::2",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:45.1.2.3",
    "::ffff:0:45.1.2.3",
    "64:ff9b::7f00:1",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::1",
    "2001::1",
    "2001:db8::1",
    "2001:db8:8000::1",
    "2a00::9",
    "2a00:1:2:3:0:5efe:7f00:1",
    "2a01:1:2:3:200:5efe:7f00:1",
    "3fff::1",
    "fd00:ec2::254",
    "fd00::1",
    "fe80::1",
    "ff02::1",
];
