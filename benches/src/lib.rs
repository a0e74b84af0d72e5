//! What the benchmarks share: a ring, two endpoints, and datagrams for every verdict.
//!
//! * Addresses are public ones, so that the policy runs its whole course; nothing is sent to them.

#![forbid(unsafe_code)]

use std::net::SocketAddr;
use wire::{HEADER_LEN, KeyRing, TransportAddress, mint};

/// The ring of the benchmarks; a secret that nobody else uses.
///
/// # Panics
/// Never: the secret is neither of the two refused ones.
pub fn ring() -> KeyRing {
    match KeyRing::new(&[(3, *b"benchmark secret"), (7, *b"another secret!!")]) {
        Ok(ring) => ring,
        Err(error) => unreachable!("{error}"),
    }
}

/// A SEND from `from` to `to` with `payload` bytes behind the header, good until `expires` (unix seconds).
///
/// # Panics
/// For an address that no header can name.
pub fn send(ring: &KeyRing, from: SocketAddr, to: SocketAddr, expires: u32, payload: usize) -> Vec<u8> {
    let address = TransportAddress::from_socket;
    let header =
        address(from).zip(address(to)).and_then(|(from, to)| mint::send_header(ring, 0, expires, from, to));
    let mut datagram = vec![0x5a; HEADER_LEN + payload];
    match (header, datagram.first_chunk_mut()) {
        (Some(header), Some(bytes)) => header.write(bytes),
        _ => unreachable!("benchmarks use addresses that a header can name"),
    }
    datagram
}

/// The sender, IPv4.
pub fn alice() -> SocketAddr {
    SocketAddr::from(([64, 21, 136, 210], 5_000))
}

/// The destination, IPv4.
pub fn bob() -> SocketAddr {
    SocketAddr::from(([130, 96, 36, 205], 6_000))
}

/// Now, unix seconds.
pub const NOW: u32 = 1_800_000_000;
/// The payload of the reference datagram of 200 bytes.
pub const PAYLOAD: usize = 168;
