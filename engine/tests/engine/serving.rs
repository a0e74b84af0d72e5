//! Datagrams in and out: every family, wildcard listeners, sizes, conditions, errors.

use crate::rig::{Running, client, nothing_for, own_address, receive};
use engine::socket::kind::Kind;
use harness::{wait_until, wait_until_or};
use std::net::SocketAddr;

pub(crate) fn a_datagram_comes_back_from_the_address_that_was_called(kind: Kind) {
    for (listen, local) in [("127.0.0.1:0", "127.0.0.1:0"), ("[::1]:0", "[::1]:0")] {
        let worker = Running::start(kind, &[listen], true);
        let client = client(local);
        client.send_to(b"back", worker.addresses[0]).unwrap();
        assert_eq!(receive(&client), (b"back".to_vec(), worker.addresses[0]));
        let (seen, _) = worker.finish();
        assert_eq!((seen.handled, seen.sent, seen.sent_bytes), (1, 1, 4));
    }
}

pub(crate) fn a_wildcard_listener_answers_from_the_address_that_was_called(kind: Kind) {
    let worker = Running::start(kind, &["0.0.0.0:0"], true);
    let port = worker.addresses[0].port();
    let client = client("127.0.0.1:0");
    for host in [[127, 0, 0, 1], [127, 1, 2, 3], [127, 200, 0, 9]] {
        let called = SocketAddr::from((host, port));
        client.send_to(b"back", called).unwrap();
        assert_eq!(receive(&client).1, called);
    }
    let (seen, _) = worker.finish();
    assert!(seen.locals.iter().all(Option::is_some));
}

pub(crate) fn a_datagram_crosses_families_through_the_partner_socket(kind: Kind) {
    let worker = Running::start(kind, &["127.0.0.1:0", "[::1]:0"], true);
    let (four, six) = (client("127.0.0.1:0"), client("[::1]:0"));
    four.send_to(format!("t{};", six.local_addr().unwrap()).as_bytes(), worker.addresses[0]).unwrap();
    assert_eq!(receive(&six).1, worker.addresses[1]);
    six.send_to(format!("t{};", four.local_addr().unwrap()).as_bytes(), worker.addresses[1]).unwrap();
    assert_eq!(receive(&four).1, worker.addresses[0]);
    worker.finish();
}

pub(crate) fn without_a_partner_a_datagram_to_the_other_family_is_an_error_and_no_more(kind: Kind) {
    let worker = Running::start(kind, &["127.0.0.1:0"], true);
    let client = client("127.0.0.1:0");
    client.send_to(b"t[::1]:4000;", worker.addresses[0]).unwrap();
    client.send_to(b"back", worker.addresses[0]).unwrap();
    assert_eq!(receive(&client).0, b"back");
    let (seen, _) = worker.finish();
    assert_eq!((seen.handled, seen.sent, seen.failed.len()), (2, 1, 1));
}

pub(crate) fn a_longer_answer_leaves_from_the_scratch(kind: Kind) {
    let worker = Running::start(kind, &["127.0.0.1:0"], true);
    let client = client("127.0.0.1:0");
    for byte in [b'x', b'y', b'z'] {
        client.send_to(&[b's', byte], worker.addresses[0]).unwrap();
    }
    for byte in [b'x', b'y', b'z'] {
        assert_eq!(receive(&client).0, vec![byte; 100]);
    }
    worker.finish();
}

pub(crate) fn t15_every_length_comes_back_whole(kind: Kind) {
    let worker = Running::start(kind, &["127.0.0.1:0"], true);
    let client = client("127.0.0.1:0");
    let lengths = (1..300u32).chain((300..65_507).step_by(997)).chain(65_500..=65_507);
    for len in lengths {
        let datagram: Vec<u8> = std::iter::once(b'b').chain((1..len).map(|place| place as u8)).collect();
        client.send_to(&datagram, worker.addresses[0]).unwrap();
        assert_eq!(receive(&client).0, datagram, "{len} bytes");
    }
    worker.finish();
}

pub(crate) fn t15_what_the_buffer_cuts_says_so(kind: Kind) {
    let worker = Running::start(kind, &["127.0.0.1:0"], false);
    let client = client("127.0.0.1:0");
    for len in [2_047, 2_048, 2_049, 65_507] {
        client.send_to(&vec![b'd'; len], worker.addresses[0]).unwrap();
    }
    client.send_to(b"back", worker.addresses[0]).unwrap();
    receive(&client);
    let (seen, _) = worker.finish();
    assert_eq!((seen.handled, seen.cut, seen.control_cut), (5, 2, 0));
}

pub(crate) fn t15_a_million_empty_datagrams_are_a_million_datagrams(kind: Kind) {
    const EMPTY: u64 = 1_000_000;
    // Fewer than fill the receive buffer that an ordinary user gets; an empty datagram takes nearly a kilobyte of it.
    const IN_FLIGHT: u64 = 200;
    let worker = Running::start(kind, &["127.0.0.1:0"], true);
    let client = client("127.0.0.1:0");
    for index in 1..=EMPTY {
        client.send_to(b"", worker.addresses[0]).unwrap();
        if index % IN_FLIGHT == 0 {
            client.send_to(b"back", worker.addresses[0]).unwrap();
            assert_eq!(receive(&client).0, b"back");
        }
    }
    let (seen, _) = worker.finish();
    assert_eq!(seen.handled, EMPTY + EMPTY / IN_FLIGHT);
    assert_eq!(seen.datagrams, seen.handled);
}

pub(crate) fn t13_dead_ports_cost_nothing_but_themselves(kind: Kind) {
    let worker = Running::start(kind, &["127.0.0.1:0"], true);
    let alive = client("127.0.0.1:0");
    // Ports that nothing is given: one that was just free might be another test's by the time of the sends.
    let dead: Vec<SocketAddr> = (0..8).map(|_| own_address()).collect();
    for round in 0..2_000 {
        let to = dead[round % dead.len()];
        alive.send_to(format!("t{to};").as_bytes(), worker.addresses[0]).unwrap();
        alive.send_to(b"back", worker.addresses[0]).unwrap();
        assert_eq!(receive(&alive).0, b"back");
    }
    let (seen, _) = worker.finish();
    assert_eq!(seen.sent + seen.failed.len() as u64, 4_000);
}

pub(crate) fn the_kernel_says_what_a_full_queue_cost(kind: Kind) {
    let worker = Running::with_buffer(kind, &["127.0.0.1:0"], false, 8_192);
    let client = client("127.0.0.1:0");
    let mut sent = 0;
    for _ in 0..20 {
        // While the worker waits, the queue is full long before the end of the burst.
        for datagram in std::iter::once(&b"wait"[..]).chain([&[b'd'; 1_000][..]; 1_000]) {
            client.send_to(datagram, worker.addresses[0]).unwrap();
            sent += 1;
        }
        worker.go_on();
        // What is lost is told with the next datagram that finds room.
        let mut known = 0;
        let all_known = || {
            let before = std::mem::replace(&mut known, worker.known());
            if before == known && known < sent {
                client.send_to(b"drop", worker.addresses[0]).unwrap();
                sent += 1;
            }
            known == sent
        };
        wait_until_or(all_known, || String::from("not every datagram was handled or told as lost"));
    }
    let (seen, _) = worker.finish();
    assert!(seen.overflows > 0);
    assert_eq!(seen.handled + seen.overflows, sent);
}

pub(crate) fn a_stopped_worker_gives_its_sockets_back_with_what_they_queued(kind: Kind) {
    let worker = Running::start(kind, &["127.0.0.1:0"], true);
    let address = worker.addresses[0];
    let (_, sockets) = worker.finish();
    assert_eq!(sockets.len(), 1);
    let client = client("127.0.0.1:0");
    client.send_to(b"queued", address).unwrap();
    let mut inbound = engine::socket::inbound::Inbound::new(4, 2_048);
    wait_until("what was sent is not in the queue", || inbound.receive(&sockets[0]).unwrap() == 1);
    assert_eq!(inbound.receive(&sockets[0]).unwrap(), 0);
    nothing_for(&client);
}

pub(crate) fn a_stopper_that_is_dropped_at_once_has_stopped_its_worker(kind: Kind) {
    for _ in 0..200 {
        // `finish` drops the stopper before it joins the worker.
        Running::start(kind, &["127.0.0.1:0"], false).finish();
    }
}
