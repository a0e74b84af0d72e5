//! SO_REUSEPORT groups: who may join, and which worker gets what.

use crate::rig::client;
use engine::inbound::Inbound;
use engine::socket::{Options, Socket, open_group};
use engine::{affinity, steer};
use std::io::ErrorKind;
use std::net::SocketAddr;

const OPTIONS: Options =
    Options { reuse_port: true, packet_info: false, gro: true, receive_buffer: 1 << 20, send_buffer: 0 };

pub(crate) fn a_group_shares_one_port() {
    let group = open_group("127.0.0.1:0".parse().unwrap(), 4, &OPTIONS).unwrap();
    assert_eq!(group.len(), 4);
    assert!(group.iter().all(|socket| socket.local() == group[0].local() && socket.local().port() != 0));
}

pub(crate) fn t12_a_port_in_use_is_refused_even_to_the_same_user() {
    let first = open_group("127.0.0.1:0".parse().unwrap(), 2, &OPTIONS).unwrap();
    let error = open_group(first[0].local(), 2, &OPTIONS).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    let port = first[0].local().port().to_string();
    assert!(error.to_string().contains("in use") && error.to_string().contains(&port), "{error}");
}

pub(crate) fn an_address_that_no_interface_has_is_refused_with_its_name() {
    let error = Socket::open("192.0.2.77:4000".parse().unwrap(), &OPTIONS).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    assert!(error.to_string().contains("192.0.2.77:4000"), "{error}");
}

pub(crate) fn ipv6_sockets_take_ipv6_only() {
    let six = Socket::open("[::]:0".parse().unwrap(), &OPTIONS).unwrap();
    let client = client("127.0.0.1:0");
    client.send_to(b"x", SocketAddr::from(([127, 0, 0, 1], six.local().port()))).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert_eq!(Inbound::new(1, 2_048).receive(&six).unwrap(), 0);
}

pub(crate) fn steering_by_cpu_serves_a_datagram_where_it_arrived() {
    let cpus = affinity::allowed().unwrap();
    let group = open_group("127.0.0.1:0".parse().unwrap(), cpus.len(), &OPTIONS).unwrap();
    steer::by_cpu(&group, &cpus).unwrap();
    let to = group[0].local();
    for (index, cpu) in cpus.iter().copied().enumerate() {
        // On loopback a datagram arrives on its sender's processor.
        std::thread::spawn(move || {
            affinity::pin(&[cpu]).unwrap();
            // A source each: by hash they would spread over the group.
            (0..32).for_each(|_| assert_eq!(client("127.0.0.1:0").send_to(b"x", to).unwrap(), 1));
        })
        .join()
        .unwrap();
        let counts: Vec<usize> =
            group.iter().map(|socket| Inbound::new(64, 2_048).receive(socket).unwrap()).collect();
        let expected: Vec<usize> =
            (0..group.len()).map(|place| if place == index { 32 } else { 0 }).collect();
        assert_eq!(counts, expected, "sent on cpu {cpu}");
    }
}
