//! Where room runs out, where a worker is stopped in the midst, where its handler fails.

use crate::rig::{Running, client, own_address, receive};
use crate::trains::Trains;
use engine::socket::epoll::Options;
use engine::socket::inbound::Inbound;
use engine::socket::kind::{Engine, Kind};
use engine::socket::udp;
use engine::socket::udp::Socket;
use engine::{Action, Arrival, Batch, Handler, Sent};
use harness::{wait_until, wait_until_or};
use std::net::{SocketAddr, UdpSocket};

/// One message at a time: buffers, sends under way and queues all run out within a train.
pub(crate) fn a_worker_with_room_for_one_message_serves_all(kind: Kind) {
    let worker = Running::with_slots(kind, &["127.0.0.1:0"], 1);
    let sinks: Vec<UdpSocket> = (0..20).map(|_| client("127.0.0.1:0")).collect();
    let mut trains = Trains::open();
    let segments: Vec<Vec<u8>> = (0..60)
        .map(|index: usize| {
            let to = sinks[index % sinks.len()].local_addr().unwrap();
            let mut bytes = format!("t{to};{index}").into_bytes();
            bytes.resize(300, b'.');
            bytes
        })
        .collect();
    for _ in 0..20 {
        (0..5).for_each(|_| assert_eq!(trains.send(worker.addresses[0], &segments), 1));
        for _ in 0..5 {
            for (index, segment) in segments.iter().enumerate() {
                assert_eq!(receive(&sinks[index % sinks.len()]).0, *segment);
            }
        }
    }
    let (seen, _) = worker.finish();
    assert_eq!((seen.handled, seen.sent, seen.failed.len()), (6_000, 6_000, 0));
}

/// More answers in one batch than an engine has scratches for.
pub(crate) fn every_longer_answer_of_a_train_leaves(kind: Kind) {
    let worker = Running::start(kind, &["127.0.0.1:0"], true);
    let mut asker = Trains::open();
    let mut answers = Inbound::new(64, 65_536);
    for round in 0..20_u8 {
        let segments: Vec<Vec<u8>> = (0..64).map(|index| vec![b's', round ^ index]).collect();
        (0..3).for_each(|_| assert_eq!(asker.send(worker.addresses[0], &segments), 1));
        let mut received = Vec::new();
        wait_until("answers are missing", || {
            asker.receive(&mut answers, &mut received);
            received.len() >= 3 * 64
        });
        let expected: Vec<Vec<u8>> = (0..64).map(|index| vec![round ^ index; 100]).collect();
        assert_eq!(received, [&expected[..], &expected, &expected].concat());
    }
    let (seen, _) = worker.finish();
    assert_eq!((seen.handled, seen.sent), (20 * 192, 20 * 192));
}

/// What was received before a stop is answered; what was not is in the sockets that come back.
pub(crate) fn a_stop_loses_nothing(kind: Kind) {
    const SENT: usize = 150;
    for round in 0..40 {
        let worker = Running::start(kind, &["127.0.0.1:0"], round % 2 == 0);
        let (client, to) = (client("127.0.0.1:0"), worker.addresses[0]);
        let sender = client.try_clone().unwrap();
        let sending = std::thread::spawn(move || {
            for index in 0..SENT {
                sender.send_to(format!("b{index}").as_bytes(), to).unwrap();
            }
        });
        (0..round).for_each(|_| drop(receive(&client)));
        let (seen, sockets) = worker.finish();
        sending.join().unwrap();
        let mut left = 0;
        let mut inbound = Inbound::new(1, 65_536);
        let handled = seen.handled as usize;
        let take = || {
            while inbound.receive(&sockets[0]).unwrap() > 0 {
                left += inbound.message(0).unwrap().datagrams().count();
            }
            handled + left >= SENT
        };
        wait_until_or(take, || {
            format!("round {round}: of {SENT} datagrams {handled} were handled, others lost")
        });
        assert_eq!(handled + left, SENT, "round {round}");
        assert_eq!((seen.sent, seen.datagrams), (seen.handled, seen.handled), "round {round}");
        for index in round..seen.sent as usize {
            assert_eq!(receive(&client).0, format!("b{index}").into_bytes(), "round {round}");
        }
    }
}

/// A handler that fails takes its worker along, and nothing else: nothing is received any more, the port is free.
pub(crate) fn a_handler_that_panics_leaves_nothing_behind(kind: Kind) {
    for _ in 0..20 {
        let options = udp::Options {
            reuse_port: false,
            packet_info: false,
            gro: true,
            receive_buffer: 1 << 20,
            send_buffer: 0,
        };
        let socket = Socket::open(own_address(), &options).unwrap();
        let address = socket.local();
        let options = Options { slots: 8, slot_len: 65_536, gso: true };
        let (engine, stopper) = Engine::open(kind, vec![socket], options).unwrap();
        let thread = std::thread::spawn(move || engine.run(&mut Failing(10)).map(drop));
        let client = client("127.0.0.1:0");
        wait_until("the worker goes on, or its port is not free", || {
            (0..20).for_each(|_| assert_eq!(client.send_to(b"something", address).unwrap(), 9));
            UdpSocket::bind(address).is_ok()
        });
        assert!(thread.join().is_err(), "the handler did not fail");
        drop(stopper);
    }
}

/// Answers so many datagrams, then panics.
struct Failing(u32);

impl Handler for Failing {
    type Label = ();

    fn begin_batch(&mut self) {}

    fn handle(&mut self, arrival: Arrival<'_>) -> Action<()> {
        let Some(left) = self.0.checked_sub(1) else {
            // As a panic, without its message in the output of the tests.
            std::panic::resume_unwind(Box::new("as this test wants it"));
        };
        self.0 = left;
        Action::InPlace { to: arrival.source, label: () }
    }

    fn sent(&mut self, _: Sent<()>) {}

    fn end_batch(&mut self, _: Batch) {}
}

/// The port of sockets that came back and were closed can be had at once.
pub(crate) fn a_stopped_workers_port_is_free(kind: Kind) {
    for _ in 0..20 {
        let worker = Running::start(kind, &[&own_address().to_string()], true);
        let address: SocketAddr = worker.addresses[0];
        let client = client("127.0.0.1:0");
        client.send_to(b"back", address).unwrap();
        receive(&client);
        let (_, sockets) = worker.finish();
        assert!(UdpSocket::bind(address).is_err(), "the sockets that came back are closed");
        drop(sockets);
        drop(UdpSocket::bind(address).unwrap());
    }
}
