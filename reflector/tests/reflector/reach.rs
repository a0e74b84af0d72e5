//! Where datagrams can go, and from which address they come.

use crate::rig::daemon::Reflector;
use crate::rig::protocol::{DATA, OBSERVED, SEND, peer, probe};
use crate::rig::traffic::{Endpoint, own_address, receive_from, settled};
use engine::socket::kind::Kind;
use std::net::{SocketAddr, UdpSocket};

pub(crate) fn ipv4_and_ipv6_endpoints_reach_each_other(kind: Kind) {
    let reflector = Reflector::start_on(kind, &["--listen", "[::1]:0"]);
    let (four, six) = (Endpoint::new("127.0.0.1:0", &reflector), Endpoint::new("[::1]:0", &reflector));
    four.send(&reflector.key.send(four.address, six.address, b"from IPv4"));
    let mut data = six.receive();
    assert_eq!((data[0], peer(&data), &data[32..]), (DATA, four.address, &b"from IPv4"[..]));
    data[0] = SEND;
    six.send(&data);
    let back = four.receive();
    assert_eq!((back[0], peer(&back), &back[32..]), (DATA, six.address, &b"from IPv4"[..]));
}

pub(crate) fn without_a_socket_of_its_family_a_destination_is_refused(kind: Kind) {
    let reflector = Reflector::start_on(kind, &[]);
    let four = Endpoint::new("127.0.0.1:0", &reflector);
    four.send(&reflector.key.send(four.address, "[::1]:4000".parse().unwrap(), b"x"));
    four.fence();
    assert_eq!(settled(&reflector, &[&four]).dropped("destination"), 1);
}

pub(crate) fn a_wildcard_listener_answers_from_the_address_that_was_called(kind: Kind) {
    let flags =
        ["--listen", "0.0.0.0:0,[::]:0", "--workers", "1", "--allow-destination", "127.0.0.0/8,::1/128"];
    let reflector = Reflector::start_bare_on(kind, &flags);
    let at = |ip: &str, port: u16| SocketAddr::new(ip.parse().unwrap(), port);
    let (four, six) = (reflector.listen[0].port(), reflector.listen[1].port());
    for (local, called) in [
        ("127.0.0.1:0", at("127.0.0.1", four)),
        ("127.0.0.1:0", at("127.5.5.5", four)),
        ("127.8.8.8:0", at("127.5.5.6", four)),
        ("[::1]:0", at("::1", six)),
    ] {
        let socket = UdpSocket::bind(local).unwrap();
        let own = socket.local_addr().unwrap();
        socket.set_read_timeout(Some(crate::rig::daemon::PATIENCE)).unwrap();
        let mut buffer = [0; 2_048];
        socket.send_to(&probe(b"x"), called).unwrap();
        let (length, from) = receive_from(&socket, &mut buffer);
        assert_eq!((length, from, buffer[0], peer(&buffer)), (33, called, OBSERVED, own));
        let relayed = UdpSocket::bind(local).unwrap();
        let to = relayed.local_addr().unwrap();
        relayed.set_read_timeout(Some(crate::rig::daemon::PATIENCE)).unwrap();
        socket.send_to(&reflector.key.send(own, to, b"y"), called).unwrap();
        assert_eq!(receive_from(&relayed, &mut buffer), (33, called), "a relayed one likewise");
    }
    // That port on every local address is the reflector itself.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .send_to(
            &reflector.key.send(socket.local_addr().unwrap(), at("127.0.0.1", four), b""),
            at("127.0.0.1", four),
        )
        .unwrap();
    reflector.metrics_when(|page| page.missing() == 0 && page.dropped("destination") == 1);
}

pub(crate) fn t5_the_reflector_does_not_send_to_itself(kind: Kind) {
    let reflector = Reflector::start_on(kind, &["--listen", "[::1]:0", "--advertise", "127.4.4.4:4444"]);
    let (four, six) = (Endpoint::new("127.0.0.1:0", &reflector), Endpoint::new("[::1]:0", &reflector));
    let own: Vec<SocketAddr> =
        reflector.listen.iter().copied().chain(["127.4.4.4:4444".parse().unwrap()]).collect();
    for to in &own {
        four.send(&reflector.key.send(four.address, *to, b"loop"));
        six.send(&reflector.key.send(six.address, *to, b"loop"));
    }
    let page = settled(&reflector, &[&four, &six]);
    assert_eq!((page.dropped("destination"), page.relayed()), (6, 0));
}

pub(crate) fn t22_the_admin_server_cannot_be_reached_through_the_relay(kind: Kind) {
    let closed = Reflector::start_bare_on(kind, &["--listen", "127.0.0.1:0,[::1]:0", "--workers", "1"]);
    let four = Endpoint::new("127.0.0.1:0", &closed);
    let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    let port = closed.admin.port();
    let spellings = [
        "127.0.0.1",
        "127.0.0.2",
        "::1",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "2002:7f00:1::",
    ];
    for ip in spellings {
        let to = SocketAddr::new(ip.parse().unwrap(), port);
        four.send(&closed.key.send(four.address, to, request));
    }
    let page = settled(&closed, &[&four]);
    assert_eq!(page.dropped("destination"), spellings.len() as u64, "loopback is not opened");

    // With loopback opened the datagram leaves, but the server does not speak UDP.
    // Its port is none that the kernel hands out, so no other test has a UDP socket there.
    let admin = own_address(kind, 93).to_string();
    let open = Reflector::start_on(kind, &["--admin", &admin]);
    let four = Endpoint::new("127.0.0.1:0", &open);
    for _ in 0..100 {
        four.send(&open.key.send(four.address, open.admin, request));
    }
    four.fence();
    four.assert_silence();
    assert_eq!(settled(&open, &[&four]).relayed(), 100);
    let admin = UdpSocket::bind(open.admin).expect("no UDP socket is at the admin server's port");
    drop(admin);
}
