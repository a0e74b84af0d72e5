//! Tickets as reflectors make them, and what reflectors would do with a header.

use access::mint::master::Master;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};
use wire::header::{HEADER_LEN, Header, Kind};
use wire::json::header::HeaderJson;
use wire::{Block, BlockSet, KeyRing, Policy, TransportAddress, Verdict, tag};

/// The rings of a master.
#[derive(Clone, Debug)]
pub(crate) struct Tickets {
    master: Master,
}

impl Tickets {
    pub(crate) fn of(master: &str) -> Self {
        Self { master: Master::parse(master).unwrap() }
    }

    /// The ring of a reflector.
    pub(crate) fn ring(&self, reflector: &str) -> KeyRing {
        self.master.ring(&reflector.parse().unwrap()).unwrap()
    }

    /// A ticket that ends in so many seconds.
    pub(crate) fn ticket(&self, reflector: &str, address: &str, left_s: i64) -> HeaderJson {
        let ring = self.ring(reflector);
        let expires = u32::try_from(i64::from(unix_s()) + left_s).unwrap();
        let (peer, class_key) = (address_of(address), ring.minting().get());
        let tag = tag::ticket(ring.get(ring.minting()).unwrap(), class_key, expires, peer);
        HeaderJson::from(Header { kind: Kind::Observed as u8, class_key, expires, peer, tag })
    }

    /// Where a reflector sends a datagram with this header that comes from this address; none: nowhere.
    pub(crate) fn relays(&self, reflector: &str, header: &str, from: &str) -> Option<SocketAddr> {
        let header: HeaderJson = header.parse().unwrap();
        let mut datagram = header.0.0.to_vec();
        datagram.extend(b"hello");
        assert!([Kind::Send as u8, Kind::SealedSend as u8].contains(&header.header().kind));
        assert_eq!(datagram.len(), HEADER_LEN + 5);
        let block: Block = "127.0.0.0/8".parse().unwrap();
        let policy = Policy { allow_destination: BlockSet::new(&[block]), ..Policy::default() };
        match wire::decide(&mut datagram, from.parse().unwrap(), unix_s(), &self.ring(reflector), &policy) {
            Verdict::Relay { to, .. } => Some(to),
            _ => None,
        }
    }
}

/// An address as headers have it.
pub(crate) fn address_of(text: &str) -> TransportAddress {
    TransportAddress::from_socket(text.parse().unwrap()).unwrap()
}

/// Unix seconds now.
pub(crate) fn unix_s() -> u32 {
    u32::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// The master of every test that does not bring its own.
pub(crate) const MASTER: &str =
    "[[key]]\nid = 3\nsecret = \"7777777777777777777777777777777777777777777777777777777777777777\"\n";
