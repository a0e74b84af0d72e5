//! The published vectors, on every subject that can be put into their place.
//!
//! * Every case runs on the reference, on the worker and, as a plain frame, on the XDP program.
//! * Over sockets a case keeps its bytes, ring and moment but comes from loopback: its outcome there is the
//!   reference's, and the reference is held to the file.

use crate::budget::Budgets;
use crate::frame::Frame;
use crate::kernel::{self, Kernel};
use crate::model;
use crate::outcome::{FrameOutcome, Outcome};
use crate::reference::Reference;
use crate::setup::{Hop, Route, Setup};
use crate::worker::{Direct, assert_conserved};
use std::net::SocketAddr;
use wire::{Block, Reason};

/// One case of the file.
#[derive(Clone, Debug)]
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) setup: Setup,
    pub(crate) source: SocketAddr,
    pub(crate) datagram: Vec<u8>,
    pub(crate) outcome: Outcome,
}

/// Every case of the file.
pub(crate) fn read() -> Vec<Vector> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/vectors/header.json");
    let file: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let key = |key: &serde_json::Value| {
        (key["id"].as_u64().unwrap() as u8, bytes(&key["secret"]).try_into().unwrap())
    };
    let keys: Vec<(u8, [u8; 16])> = file["ring"].as_array().unwrap().iter().map(key).collect();
    let cases = file["cases"].as_array().unwrap();
    assert!(cases.len() >= 1032, "{} cases were read; the file holds 1032", cases.len());
    cases.iter().map(|case| vector(case, &keys)).collect()
}

fn vector(case: &serde_json::Value, keys: &[(u8, [u8; 16])]) -> Vector {
    let allow = case["allow"].as_array().unwrap().iter();
    let allow: Vec<Block> = allow.map(|block| block.as_str().unwrap().parse().unwrap()).collect();
    let verdict = case["verdict"].as_str().unwrap();
    let outcome = match verdict.strip_prefix("drop ") {
        Some(word) => {
            Outcome::Dropped(Reason::ALL.into_iter().find(|reason| reason.as_str() == word).unwrap())
        }
        None if verdict == "observe" => Outcome::Observed(bytes(&case["emitted"])),
        None => Outcome::Relayed(socket(&case["to"]), bytes(&case["emitted"])),
    };
    let mut setup = Setup::of_vectors(keys.to_vec(), case["now"].as_u64().unwrap() as u32, allow);
    setup.revoked = case["revoked"].as_array().into_iter().flatten().map(sockets).collect();
    Vector {
        name: case["name"].as_str().unwrap().to_owned(),
        setup,
        source: socket(&case["source"]),
        datagram: bytes(&case["datagram"]),
        outcome,
    }
}

fn bytes(value: &serde_json::Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn socket(value: &serde_json::Value) -> SocketAddr {
    sockets(value)[0]
}

/// One `address port`, or two of them.
fn sockets(value: &serde_json::Value) -> Vec<SocketAddr> {
    let words: Vec<&str> = value.as_str().unwrap().split(' ').collect();
    let socket = |both: &[&str]| SocketAddr::new(both[0].parse().unwrap(), both[1].parse().unwrap());
    words.chunks(2).map(socket).collect()
}

/// The reference gives what the file says.
pub(crate) fn on_the_reference() {
    for vector in read() {
        let outcome = Reference::new(&vector.setup).judge(vector.source, &vector.datagram);
        assert_eq!(outcome, vector.outcome, "{}", vector.name);
    }
}

/// The XDP program gives what the file says, except where it passes up: the other family, and sources that no frame may
/// have.
pub(crate) fn on_the_program() -> Result<(), String> {
    let cpus = kernel::processors()?;
    kernel::on_processor(cpus[0], each_on_the_program)
}

fn each_on_the_program(kernel: &mut Kernel) -> Result<(), String> {
    let (mut passed, vectors) = (0, read());
    for (number, mut vector) in (1..).zip(vectors.clone()) {
        // The moments of the file are no sequence; budgets live in one.
        vector.setup.now_ns = number * 1_000_000_000;
        let gateway = [2, 0, 0, 0, 0, 9];
        vector.setup.routes = ["0.0.0.0/0", "::/0"]
            .map(|all| Route { network: all.parse().unwrap(), hop: Hop::Gateway(gateway) })
            .to_vec();
        let door = match vector.source {
            SocketAddr::V4(_) => SocketAddr::from(vector.setup.listen_v4.unwrap()),
            SocketAddr::V6(_) => SocketAddr::from(vector.setup.listen_v6.unwrap()),
        };
        let frame = Frame::new(vector.source, door, &vector.datagram).with_macs(kernel.own_mac(), gateway);
        let (header, frame) = (frame.to_bytes().len() - vector.datagram.len(), frame.to_bytes());
        kernel.configure(&vector.setup)?;
        let got = kernel.run(&frame)?;
        let same = match (&got, &vector.outcome) {
            (FrameOutcome::Dropped(got), Outcome::Dropped(reason)) => got == reason,
            (FrameOutcome::Observed(left), Outcome::Observed(bytes)) => left[header..] == *bytes,
            (FrameOutcome::Relayed(left), Outcome::Relayed(to, bytes)) => {
                left[header..] == *bytes && destination(left) == *to
            }
            (FrameOutcome::Passed, _) => {
                passed += 1;
                let reference = Reference::new(&vector.setup);
                let expected = model::expect(&frame, kernel.own_mac(), &reference, &mut Budgets::default());
                expected == FrameOutcome::Passed
            }
            _ => false,
        };
        if !same {
            let (name, frame) = (&vector.name, hex::encode(frame));
            return Err(format!("{name}\nframe:    {frame}\nexpected: {}\ngot:      {got}", vector.outcome));
        }
    }
    assert!(passed < vectors.len() / 4, "{passed} of {} vectors were passed up", vectors.len());
    Ok(())
}

/// Where an IPv4 or IPv6 frame with UDP in it goes.
fn destination(frame: &[u8]) -> SocketAddr {
    let port = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    if frame[12] == 8 {
        let ip: [u8; 4] = frame[30..34].try_into().unwrap();
        SocketAddr::new(ip.into(), port(36))
    } else {
        let ip: [u8; 16] = frame[38..54].try_into().unwrap();
        SocketAddr::new(ip.into(), port(56))
    }
}

/// The worker gives what the file says, and its counters close.
pub(crate) fn on_the_worker() {
    for vector in read() {
        let mut worker = Direct::new(&vector.setup);
        let outcomes = worker.handle(&[(vector.source, vector.datagram)]);
        assert_eq!(outcomes, [vector.outcome], "{}", vector.name);
        assert_conserved(&worker.counts(), 1);
    }
}
