//! The ticket that a PROBE may carry: its sender's last one, from this very reflector.
//!
//! * Neither the decision nor the answer depends on it. It is looked at only once the budget of the sender's prefix is
//!   spent: who was here before then has a budget of its own, and neighbours cannot use it up.

use crate::address::TransportAddress;
use crate::header::{HEADER_LEN, Header, Kind};
use crate::policy::TICKET_LIFETIME_S;
use crate::ring::{KeyId, KeyRing};
use crate::tag;
use core::net::SocketAddr;

/// The header of a PROBE that shows what `observed` brought, the OBSERVED before it; of a first one all but the kind is
/// zeros.
pub fn probe(observed: Option<&Header>) -> Header {
    let (class_key, expires, tag) = observed.map_or((0, 0, 0), |it| (it.class_key, it.expires, it.tag));
    let peer = TransportAddress { address: 0, port: 0 };
    Header { kind: Kind::Probe as u8, class_key, expires, peer, tag }
}

/// Bytes 1, 4..8 and 24..32 of a PROBE, which are those of an OBSERVED if its sender has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastTicket {
    class_key: u8,
    expires: u32,
    tag: u64,
}

impl LastTicket {
    /// What a PROBE carries; `None` for what is shorter than a header. (An answer is written over it.)
    #[inline]
    pub fn of_probe(datagram: &[u8]) -> Option<Self> {
        let Header { class_key, expires, tag, .. } = Header::read(datagram.first_chunk::<HEADER_LEN>()?);
        Some(Self { class_key, expires, tag })
    }

    /// Whether it proves that `source` received here not long before `now` (unix seconds).
    pub fn proves(&self, source: SocketAddr, now: u32, ring: &KeyRing) -> bool {
        let left_s = i64::from(self.expires) - i64::from(now);
        if self.class_key >= 16 || !(0..=i64::from(TICKET_LIFETIME_S)).contains(&left_s) {
            return false;
        }
        let (key, source) =
            (ring.get(KeyId::of_header(self.class_key)), TransportAddress::from_socket(source));
        key.zip(source).is_some_and(|(key, source)| {
            tag::equal(tag::ticket(key, self.class_key, self.expires, source), self.tag)
        })
    }
}
