//! Trains: what GRO brings in one piece is decided datagram by datagram, and leaves as trains again.

use crate::rig::{Running, client, receive};
use engine::Condition;
use engine::SocketId;
use engine::socket::inbound::{Inbound, Message};
use engine::socket::kind::Kind;
use engine::socket::outbound::{Datagram, Outbound};
use engine::socket::udp::{Options, Socket};
use harness::wait_until;
use std::net::SocketAddr;

/// A sender of trains: what it is given goes out in one GSO message per destination.
pub(crate) struct Trains {
    socket: [Socket; 1],
    outbound: Outbound<()>,
}

impl Trains {
    pub(crate) fn open() -> Self {
        let options = Options {
            reuse_port: false,
            packet_info: false,
            gro: true,
            receive_buffer: 4 << 20,
            send_buffer: 1 << 20,
        };
        let socket = Socket::open("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        assert!(socket.granted().gso && socket.granted().gro, "this kernel makes no trains");
        Self { socket: [socket], outbound: Outbound::new(1_024, true) }
    }

    /// Sends the segments as one train; how many sends it took.
    pub(crate) fn send(&mut self, to: SocketAddr, segments: &[Vec<u8>]) -> usize {
        let arena: Vec<u8> = segments.concat();
        let mut offset = 0;
        for segment in segments {
            let datagram =
                Datagram { offset, len: segment.len(), to, from: None, socket: SocketId(0), label: () };
            assert!(self.outbound.push(datagram));
            offset += segment.len();
        }
        let (mut sends, mut datagrams) = (0, 0);
        self.outbound.flush(&arena, &self.socket, &mut |sent| {
            assert_eq!(sent.outcome, Ok(()));
            sends += 1;
            datagrams += sent.datagrams as usize;
        });
        assert_eq!(datagrams, segments.len());
        sends
    }

    /// Takes what has come back, datagram by datagram.
    pub(crate) fn receive(&self, inbound: &mut Inbound, received: &mut Vec<Vec<u8>>) {
        let count = inbound.receive(&self.socket[0]).unwrap();
        for message in 0..count {
            let places = inbound.message(message).unwrap().datagrams();
            received.extend(places.map(|place| inbound.arena()[place].to_vec()));
        }
    }
}

pub(crate) fn t16_every_mask_of_a_train_is_decided_datagram_by_datagram(kind: Kind) {
    let worker = Running::start(kind, &["127.0.0.1:0"], true);
    let sink = client("127.0.0.1:0");
    let to = sink.local_addr().unwrap();
    let mut trains = Trains::open();
    let mut wanted = 0;
    for mask in 0..256u32 {
        let segment = |place: u32| {
            let kind = if mask >> place & 1 == 1 { 't' } else { 'd' };
            let mut bytes = format!("{kind}{to};{mask}/{place}").into_bytes();
            // The last segment of a train may be shorter than the others.
            bytes.resize(if place == 7 { 40 } else { 100 }, b'.');
            bytes
        };
        let segments: Vec<Vec<u8>> = (0..8).map(segment).collect();
        assert_eq!(trains.send(worker.addresses[0], &segments), 1);
        for segment in segments.iter().filter(|segment| segment[0] == b't') {
            assert_eq!(receive(&sink).0, *segment);
            wanted += 1;
        }
    }
    let (seen, _) = worker.finish();
    assert_eq!((seen.handled, seen.sent), (8 * 256, wanted));
    assert!(seen.batches < seen.handled, "no train arrived in one piece");
}

pub(crate) fn trains_of_mixed_destinations_are_sorted_out_in_order(kind: Kind) {
    let worker = Running::start(kind, &["127.0.0.1:0"], true);
    let sinks: Vec<_> = (0..3).map(|_| client("127.0.0.1:0")).collect();
    let mut trains = Trains::open();
    let segments: Vec<Vec<u8>> = (0..60)
        .map(|index: usize| {
            let to = sinks[index % 3].local_addr().unwrap();
            let mut bytes = format!("t{to};{index}").into_bytes();
            bytes.resize(300, b'.');
            bytes
        })
        .collect();
    trains.send(worker.addresses[0], &segments);
    for (index, segment) in segments.iter().enumerate() {
        assert_eq!(receive(&sinks[index % 3]).0, *segment);
    }
    let (seen, _) = worker.finish();
    assert_eq!(seen.sent, 60);
}

pub(crate) fn a_train_that_is_relayed_arrives_as_a_train(kind: Kind) {
    let worker = Running::start(kind, &["127.0.0.1:0"], true);
    let mut trains = Trains::open();
    let mut sink = Trains::open();
    let to = sink.socket[0].local();
    let segment = |index: usize| {
        let mut bytes = format!("t{to};{index}").into_bytes();
        bytes.resize(200, b'.');
        bytes
    };
    let segments: Vec<Vec<u8>> = (0..16).map(segment).collect();
    trains.send(worker.addresses[0], &segments);
    let mut inbound = Inbound::new(64, 65_536);
    let mut received = Vec::new();
    let mut messages = 0;
    wait_until("the train does not arrive", || {
        let count = inbound.receive(&sink.socket[0]).unwrap();
        messages += count;
        for index in 0..count {
            let message = inbound.message(index).unwrap();
            for place in message.datagrams() {
                received.push(inbound.arena()[place].to_vec());
            }
        }
        received.len() >= 16
    });
    assert_eq!(received, segments);
    assert_eq!(messages, 1, "sixteen datagrams came in {messages} pieces");
    assert_eq!(sink.send(worker.addresses[0], &[b"drop".to_vec()]), 1);
    worker.finish();
}

pub(crate) fn t16_any_split_of_a_million_equals_one_by_one() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |bound: usize| {
        // xorshift64: any spread of lengths will do, and the same one each time.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % bound
    };
    for _ in 0..1_000_000 {
        let (len, offset) = (below(65_508), below(1_000_000));
        let segment_len = len.div_ceil(1 + below(64)).max(1);
        let message = Message {
            offset,
            len,
            segment_len,
            source: SocketAddr::from(([1, 2, 3, 4], 5)),
            local: None,
            condition: Condition::Whole,
            overflows: None,
        };
        let (mut at, mut left, mut count) = (offset, len, 0);
        for place in message.datagrams() {
            assert_eq!((place.start, place.len()), (at, left.min(segment_len)), "{message:?}");
            at = place.end;
            left -= place.len();
            count += 1;
        }
        assert_eq!((left, count), (0, len.div_ceil(segment_len).max(1)), "{message:?}");
    }
}
