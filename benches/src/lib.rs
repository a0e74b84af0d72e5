//! What the benchmarks share: a ring, two endpoints, and datagrams for every verdict.
//!
//! * Addresses are public ones, so that the policy runs its whole course; nothing is sent to them.

#![forbid(unsafe_code)]

use std::net::{Ipv4Addr, SocketAddr};
use wire::revoked::{MOST_REVOKED, MOST_REVOKED_PAIRS, RevokedTable, Subject};
use wire::{Form, HEADER_LEN, KeyRing, TransportAddress, mint};

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
    of_form(Form::Plain, ring, from, to, expires, payload)
}

/// The same as a SEALED_SEND.
///
/// # Panics
/// As [`send`].
pub fn sealed(ring: &KeyRing, from: SocketAddr, to: SocketAddr, expires: u32, payload: usize) -> Vec<u8> {
    of_form(Form::Sealed, ring, from, to, expires, payload)
}

fn of_form(
    form: Form,
    ring: &KeyRing,
    from: SocketAddr,
    to: SocketAddr,
    expires: u32,
    payload: usize,
) -> Vec<u8> {
    let address = TransportAddress::from_socket;
    let header = address(from)
        .zip(address(to))
        .and_then(|(from, to)| mint::send_header(ring, form, 0, expires, from, to));
    let mut datagram = vec![0x5a; HEADER_LEN + payload];
    match (header, datagram.first_chunk_mut()) {
        (Some(header), Some(bytes)) => header.write(bytes),
        _ => unreachable!("benchmarks use addresses that a header can name"),
    }
    datagram
}

/// A table of revocations in which nothing more fits, none of it about anybody here.
///
/// # Panics
/// Never: half of it are pairs, and the hash is keyed with numbers under which no bucket overflows.
pub fn full_table() -> RevokedTable {
    let mut table = RevokedTable::new(SEED);
    let address = |number: usize| {
        let host = u32::try_from(number).unwrap_or_default();
        let socket = SocketAddr::from((Ipv4Addr::from(0x2d00_0000 + host), 4_000));
        TransportAddress::from_socket(socket).unwrap_or_default()
    };
    for number in 0..MOST_REVOKED {
        let (one, other) = (address(2 * number), address(2 * number + 1));
        let subject =
            if number < MOST_REVOKED_PAIRS { Subject::pair(one, other) } else { Subject::Address(one) };
        if let Err(full) = table.insert(&subject) {
            unreachable!("entry {number}: {full}");
        }
    }
    table
}

/// The sender, IPv4.
pub fn alice() -> SocketAddr {
    SocketAddr::from(([64, 21, 136, 210], 5_000))
}

/// The destination, IPv4.
pub fn bob() -> SocketAddr {
    SocketAddr::from(([130, 96, 36, 205], 6_000))
}

/// What the hashes of a table of revocations start from.
pub const SEED: [u64; 4] =
    [0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb, 0xd6e8_feb8_6659_fd93];
/// Now, unix seconds.
pub const NOW: u32 = 1_800_000_000;
/// The payload of the reference datagram of 200 bytes.
pub const PAYLOAD: usize = 168;
