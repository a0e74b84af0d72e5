//! Which way datagrams to a peer take, and how large they may be.
//!
//! * The way at rest is what the grid of NAT behaviours says (`nat::route`), except behind a shared external address,
//!   where reflecting always works and hairpinning may not.
//! * Where either side hides its address, there is one way: through a reflector, under a sealed header.
//! * Read only; nothing here changes a machine.

use crate::event::Path;
use crate::message::packet::OVERHEAD;
use crate::own::Own;
use crate::paths::headers::Ready;
use crate::paths::search::BASE;
use crate::paths::way::Way;
use crate::peer::Peer;
use nat::Route;
use std::net::SocketAddr;
use wire::HEADER_LEN;

impl Peer {
    /// Whether either side hides its address from the other.
    pub(crate) fn is_sealed(&self, own: &Own) -> bool {
        own.hides || self.whereabouts.is_hidden()
    }

    /// The header to send with now.
    pub(crate) fn ready(&self, own: &Own, now_us: u64) -> Option<Ready> {
        self.headers.choose(
            now_us,
            |via| own.reflector_lives(via),
            |address| self.whereabouts.has_left(address),
        )
    }

    /// The same, unless it leads to where the peer no longer is.
    pub(crate) fn fresh(&self, own: &Own, now_us: u64) -> Option<Ready> {
        let leads_on = |ready: &Ready| ready.is_sealed() || !self.whereabouts.has_left(ready.header.peer);
        self.ready(own, now_us).filter(leads_on)
    }

    /// The way that the grid says, before anything is proven.
    pub(crate) fn way_at_rest(&self, own: &Own, now_us: u64) -> Option<Way> {
        let fresh = self.fresh(own, now_us).map(Way::Reflected);
        if self.is_sealed(own) {
            return fresh.filter(|way| way.is_sealed());
        }
        let met = self.whereabouts.met_at().map(Way::Direct);
        let around = fresh.or(met).or_else(|| self.ready(own, now_us).map(Way::Reflected));
        let family = |it: &&SocketAddr| own.reflexive.iter().any(|own| own.is_ipv4() == it.is_ipv4());
        let Some(contact) = self.whereabouts.named().iter().find(family).copied() else { return around };
        let direct = nat::route(own.behaviour(), self.behaviour()) == Route::Direct
            && !self.whereabouts.shares_external(own)
            && !self.direct.is_failing(contact);
        if direct { Some(Way::Direct(contact)) } else { around.or(Some(Way::Direct(contact))) }
    }

    /// The way of the application's datagrams now.
    pub(crate) fn way(&self, own: &Own, now_us: u64) -> Option<Way> {
        let direct = self.direct.chosen().filter(|_| !self.is_sealed(own));
        direct.map(Way::Direct).or_else(|| self.way_at_rest(own, now_us))
    }

    /// The same, as the application is told it.
    pub(crate) fn path(&self, own: &Own, now_us: u64) -> Path {
        match self.way(own, now_us) {
            Some(Way::Direct(address)) => Path::Direct(address),
            Some(Way::Reflected(ready)) => Path::Reflected(ready.via),
            None => Path::Unknown,
        }
    }

    /// Bytes of the largest datagram that every way in use carries, so that none is lost when the way changes.
    pub(crate) fn max_datagram_size(&self) -> usize {
        let reflected = self.reflected_search.size().saturating_sub(HEADER_LEN);
        let reflected = if self.headers.is_empty() { usize::MAX } else { reflected };
        let direct = self.direct.size().unwrap_or(usize::MAX);
        let size = reflected.min(direct);
        (if size == usize::MAX { BASE } else { size }).saturating_sub(OVERHEAD)
    }

    /// Whether the sizes of all ways in use are known, so that [`Peer::max_datagram_size`] grows no more on them.
    pub(crate) fn knows_sizes(&self) -> bool {
        let has_headers = !self.headers.is_empty();
        let reflected = !has_headers || self.reflected_search.is_done() || self.whereabouts.is_hidden();
        self.sessions.is_open() && reflected && self.direct.is_searched().unwrap_or(has_headers)
    }

    /// Whether the reflector in use, or the peer behind it, is spoken to over IPv6.
    pub(crate) fn reflects_over_ipv6(&self, own: &Own, now_us: u64) -> bool {
        // The family of an address shows also under a seal.
        self.ready(own, now_us).is_some_and(|ready| ready.via.is_ipv6() || !ready.header.peer.is_ipv4())
    }
}
