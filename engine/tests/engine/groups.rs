//! SO_REUSEPORT groups: who may join, and which worker gets what.

use crate::rig::client;
use engine::host::affinity;
use engine::socket::inbound::Inbound;
use engine::socket::steer;
use engine::socket::udp::{Options, Socket, open_group};
use harness::wait_until;
use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddr};

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
    let (four, port) = (client("127.0.0.1:0"), six.local().port());
    four.send_to(b"x", SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
    // What comes behind it is all that comes.
    let sender = client("[::1]:0");
    sender.send_to(b"six", SocketAddr::from((Ipv6Addr::LOCALHOST, port))).unwrap();
    let mut inbound = Inbound::new(4, 2_048);
    wait_until("the datagram over IPv6 did not come", || inbound.receive(&six).unwrap() == 1);
    assert_eq!(inbound.message(0).unwrap().source, sender.local_addr().unwrap());
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
        let mut counts = vec![0; group.len()];
        wait_until("32 datagrams did not come", || {
            for (count, socket) in counts.iter_mut().zip(&group) {
                *count += Inbound::new(64, 2_048).receive(socket).unwrap();
            }
            counts.iter().sum::<usize>() >= 32
        });
        let expected: Vec<usize> =
            (0..group.len()).map(|place| if place == index { 32 } else { 0 }).collect();
        assert_eq!(counts, expected, "sent on cpu {cpu}");
    }
}
