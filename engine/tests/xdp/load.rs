//! The load generator's programs in the tests: plans, flows, stamps, and the two ends that they run between.

use crate::frame::NEIGHBOUR;
use crate::links::{ip, pair};
use engine::load::{Arriving, Counts, Flow, Load, Pace, Plan, Times};
use engine::xdp::{Config, Mode, Xdp};
use std::net::SocketAddr;

/// The mark of every run here.
pub(crate) const RUN: u64 = 0x00b2_c3d4_e5f6_0718;
/// When runs start that no clock runs in.
pub(crate) const START_NS: u64 = 5_000_000_000_000;
pub(crate) const S: u64 = 1_000_000_000;
pub(crate) const STAMP_LEN: usize = 24;

/// A plan of one worker that sends as fast as it is let, measured from the start, for a thousand seconds.
pub(crate) fn plan(relay: &str, flows: u32, head_len: usize, payload_len: usize) -> Plan {
    let times =
        Times { start_ns: START_NS, measured_ns: START_NS, end_ns: START_NS + 1_000 * S, slice_ns: 10 * S };
    let pace = Pace { first_flow: 0, flows, phase_ns: 0, gap_ns: 1_000.0, poisson: false, burst: 1, seed: 7 };
    Plan {
        relay: relay.parse().unwrap(),
        next_hop: NEIGHBOUR,
        run: RUN,
        flows,
        head_len,
        payload_len,
        arriving: Arriving::Untouched,
        times,
        workers: vec![pace],
        faults: Vec::new(),
    }
}

/// An address of each flow, of the relay's family; no two of the same.
pub(crate) fn address(plan: &Plan, number: u32) -> SocketAddr {
    let [_, b, c, d] = number.to_be_bytes();
    let port = 1_024 + (number % 60_000) as u16;
    if plan.relay.is_ipv4() {
        SocketAddr::from(([10, 64 | b, c, d], port))
    } else {
        SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0xfedc, u16::from(b), 0x1234, number as u16], port))
    }
}

/// A flow to the address of the next one, told by the relay's own address.
pub(crate) fn flow(plan: &Plan, number: u32) -> Flow {
    Flow {
        from: address(plan, number),
        to: address(plan, number + 1),
        via: plan.relay,
        contact: address(plan, number),
        cell: (number % 128) as u8,
    }
}

/// A head of this flow that differs from all others.
pub(crate) fn head(plan: &Plan, number: u32, generation: u8) -> Vec<u8> {
    (0..plan.head_len).map(|at| (number as u8).wrapping_mul(37) ^ (at as u8) ^ generation << 5).collect()
}

/// Both programs with all flows and heads written, those in force.
pub(crate) fn open(interface: &str, plan: &Plan) -> Load {
    let mut load = Load::open(interface, plan).unwrap();
    for number in 0..plan.flows {
        load.set_flow(number, &flow(plan, number)).unwrap();
        load.set_head(number, &head(plan, number, 0)).unwrap();
    }
    load.adopt_heads();
    load
}

/// A stamp, as loadgen/src/stamp.rs has it.
pub(crate) fn stamp(class: u8, run: u64, intended_ns: u64, slot: u32, sequence: u32) -> Vec<u8> {
    let mut stamp = vec![class];
    stamp.extend(&run.to_le_bytes()[..7]);
    stamp.extend(intended_ns.to_le_bytes());
    stamp.extend(slot.to_le_bytes());
    stamp.extend(sequence.to_le_bytes());
    stamp
}

/// Everything counted by row, so that a test may compare sums with parts.
pub(crate) fn checked(load: &Load) -> Counts {
    let counts = load.counts().unwrap();
    let sum = |pairs: &[(u64, u64)]| pairs.iter().map(|(_, count)| count).sum::<u64>();
    assert_eq!(counts.cells.iter().map(|cell| cell.0).sum::<u64>(), counts.sent);
    assert_eq!(counts.cells.iter().map(|cell| cell.1).sum::<u64>(), counts.arrived);
    assert_eq!(counts.slices.iter().map(|slice| slice.sent).sum::<u64>(), counts.sent);
    assert_eq!(counts.slices.iter().map(|slice| slice.arrived).sum::<u64>(), counts.arrived);
    assert_eq!(counts.slices.iter().map(|slice| sum(&slice.latency)).sum::<u64>(), counts.arrived);
    assert_eq!(sum(&counts.latency), counts.arrived);
    let left = counts.sent + counts.invalid_sent.iter().sum::<u64>();
    assert_eq!(counts.lag.iter().map(|lag| sum(lag)).sum::<u64>(), left);
    assert_eq!(load.glance().unwrap(), (counts.sent, counts.arrived));
    assert_eq!(counts.handled, left + counts.arrived + counts.duplicates + counts.stale);
    counts
}

/// Two ends of a veth: a generator's, and one whose program looks at every frame and sends it back.
pub(crate) struct Ends {
    pub(crate) near: String,
    pub(crate) far: String,
    pub(crate) witness: Xdp,
}

/// What the far end's program has seen.
#[derive(Debug)]
pub(crate) struct Witness {
    pub(crate) frames: u64,
    pub(crate) wrong_ip: u64,
    pub(crate) wrong_udp: u64,
    pub(crate) torn: u64,
    pub(crate) longest: u64,
}

impl Ends {
    /// Both ends in the namespace of the calling thread, with which they go.
    pub(crate) fn new() -> Self {
        let (near, far) = (String::from("near"), String::from("far"));
        pair(&near, &far);
        for end in [&near, &far] {
            // No address is made on it, so that nobody else speaks there.
            ip(&format!("link set {end} addrgenmode none mtu 1600 up"));
        }
        let mut witness = Xdp::load_object(&far, &Config::new(), WITNESS, "witness").unwrap();
        witness.attach(Mode::Native, None).unwrap();
        Self { near, far, witness }
    }

    pub(crate) fn seen(&self) -> Witness {
        let mut bytes = [0; 40];
        self.witness.read_map("witnesses", &mut bytes).unwrap();
        let word = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
        Witness { frames: word(0), wrong_ip: word(8), wrong_udp: word(16), torn: word(24), longest: word(32) }
    }
}

const WITNESS: &[u8] = include_bytes!("../../bpf/generator_witness.bpf.o");
