//! The one form of a transport address, and the words for the reasons.

use crate::oracle::written;
use crate::random::Random;
use std::net::{Ipv4Addr, SocketAddr};
use wire::{Reason, TransportAddress};

#[test]
fn every_socket_address_comes_back_and_is_written_as_the_document_says() {
    let mut random = Random::new(80);
    for _ in 0..20_000 {
        let ip: Ipv4Addr = random.u32().into();
        for socket in [SocketAddr::from((ip, random.u16())), random.public_v6()] {
            let address = TransportAddress::from_socket(socket).unwrap();
            assert_eq!(address.to_socket(), socket);
            assert_eq!(address.ip(), socket.ip());
            assert_eq!(address.is_ipv4(), socket.is_ipv4());
            assert_eq!((address.address.to_be_bytes(), address.port.to_be_bytes()), written(socket));
        }
        let spelled = SocketAddr::from((ip.to_ipv6_mapped(), random.u16()));
        assert_eq!(TransportAddress::from_socket(spelled), None, "{spelled}");
    }
}

#[test]
fn the_order_is_that_of_the_bytes_then_of_the_port() {
    let mut random = Random::new(81);
    for _ in 0..20_000 {
        let a = random.public();
        let b = if random.u8() < 64 { SocketAddr::new(a.ip(), random.u16()) } else { random.public() };
        let order = |x, y| TransportAddress::from_socket(x).cmp(&TransportAddress::from_socket(y));
        assert_eq!(order(a, b), written(a).cmp(&written(b)), "{a} {b}");
    }
}

#[test]
fn the_reasons_are_the_documents_words_in_the_order_of_the_checks() {
    let words = Reason::ALL.map(Reason::as_str);
    assert_eq!(
        words.join(" "),
        "truncated denied short oversize kind source key expired lifetime destination tag revoked rate"
    );
    assert!(Reason::ALL.iter().all(|reason| reason.to_string() == reason.as_str()));
}
