//! Which 32 bytes to send to a peer with: the profile's header, or the one that the peer's last message came with.
//!
//! * A header under the key of the newest profile beats one under any other key.
//! * Among equals the one received last with an authenticated, unreplayed payload, never the largest `expires`.
//! * After [`SILENCE_US`] without hearing the peer through its reflector, the profile's.
//! * What has expired by the own clock, or names an address that the peer has left, is the last resort, so that an hour
//!   without access server ends no conversation.

use std::net::SocketAddr;
use wire::{Header, Kind, TransportAddress};

/// A header and the reflector that takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ready {
    /// The reflector's transport address.
    pub(crate) via: SocketAddr,
    /// A SEND or SEALED_SEND header.
    pub(crate) header: Header,
}

impl Ready {
    /// The way back of what came under a DATA or SEALED_DATA header: the same bytes but the first.
    pub(crate) fn back(via: SocketAddr, data: Header) -> Self {
        let is_sealed = data.kind == Kind::SealedData as u8;
        let kind = if is_sealed { Kind::SealedSend } else { Kind::Send } as u8;
        Self { via, header: Header { kind, ..data } }
    }

    /// Whether only the reflector can read where it leads.
    pub(crate) fn is_sealed(&self) -> bool {
        self.header.kind == Kind::SealedSend as u8
    }
}

/// The headers that lead to one peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Headers {
    /// The newest profile's, the best reflector first.
    profile: Vec<Ready>,
    /// The last one that came with a message, and when.
    received: Option<(Ready, u64)>,
}

impl Headers {
    /// Takes the newest profile's headers, in its order.
    pub(crate) fn set_profile(&mut self, headers: Vec<Ready>) {
        self.profile = headers;
    }

    /// Takes the DATA header of a message that was authenticated and fresh.
    pub(crate) fn receive(&mut self, via: SocketAddr, data: Header, now_us: u64) {
        self.received = Some((Ready::back(via, data), now_us));
    }

    /// Forgets every header that shows where it leads: the own address or the peer's is hidden from now on.
    pub(crate) fn keep_sealed(&mut self) {
        self.profile.retain(Ready::is_sealed);
        self.received = self.received.filter(|(ready, _)| ready.is_sealed());
    }

    /// The header to send with now. `lives` says of a reflector whether it answers, and `is_left` of an address whether
    /// the peer has left it.
    pub(crate) fn choose(
        &self,
        now_us: u64,
        lives: impl Fn(SocketAddr) -> bool,
        is_left: impl Fn(TransportAddress) -> bool,
    ) -> Option<Ready> {
        let now_s = now_us / 1_000_000;
        // What is sealed cannot be compared with any address.
        let leads_on = |ready: &Ready| ready.is_sealed() || !is_left(ready.header.peer);
        let good = |ready: &Ready| u64::from(ready.header.expires) >= now_s && leads_on(ready);
        let lively = self.profile.iter().find(|ready| lives(ready.via));
        let profile = lively.or(self.profile.first());
        let Some((received, at_us)) = &self.received else { return profile.copied() };
        let Some(profile) = profile else { return Some(*received) };
        if !lives(received.via) && lives(profile.via) {
            return Some(*profile);
        }
        if good(profile) != good(received) {
            return Some(if good(received) { *received } else { *profile });
        }
        // Reflectors have keys of their own: only at one and the same does another key tell of a rotation.
        let newest = self.profile.iter().find(|ready| ready.via == received.via);
        let same_key = newest.is_none_or(|newest| key_of(newest) == key_of(received)) || !good(profile);
        let heard = now_us.saturating_sub(*at_us) < SILENCE_US || !good(profile);
        Some(if same_key && heard { *received } else { *profile })
    }

    /// Whether any header leads there.
    pub(crate) fn is_empty(&self) -> bool {
        self.profile.is_empty() && self.received.is_none()
    }

    /// Forgets what was received: the own address towards the reflectors has changed, and the tags name the old one.
    pub(crate) fn forget_received(&mut self) {
        self.received = None;
    }
}

fn key_of(ready: &Ready) -> u8 {
    ready.header.class_key & 0x0f
}

/// So long without hearing, the received header may lead to where the peer no longer is.
pub(crate) const SILENCE_US: u64 = 2_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_US: u64 = 1_000_000_000_000;

    fn header(key: u8, expires_in_s: i64, peer: &str) -> Header {
        let expires = i64::try_from(NOW_US / 1_000_000).unwrap() + expires_in_s;
        Header {
            kind: Kind::Data as u8,
            class_key: key,
            expires: u32::try_from(expires).unwrap(),
            peer: TransportAddress::from_socket(peer.parse().unwrap()).unwrap(),
            tag: u64::from(key) << 32 | u64::try_from(expires).unwrap(),
        }
    }

    fn ready(key: u8, expires_in_s: i64) -> Ready {
        let header = Header { kind: Kind::Send as u8, ..header(key, expires_in_s, "192.0.2.1:4000") };
        Ready { via: "198.51.100.1:3478".parse().unwrap(), header }
    }

    fn choice(headers: &Headers, now_us: u64) -> Header {
        headers.choose(now_us, |_| true, |_| false).unwrap().header
    }

    fn with(profile: Ready, key: u8, expires_in_s: i64) -> Headers {
        let mut headers = Headers::default();
        headers.set_profile(vec![profile]);
        headers.receive(profile.via, header(key, expires_in_s, "192.0.2.1:4000"), NOW_US);
        headers
    }

    #[test]
    fn the_newest_profiles_key_comes_first_then_the_last_received() {
        let other_key = with(ready(3, 100), 2, 500);
        assert_eq!(choice(&other_key, NOW_US), ready(3, 100).header);
        let same_key = with(ready(3, 300), 3, 100);
        assert_eq!(choice(&same_key, NOW_US), ready(3, 100).header, "not the largest expires");
        assert_eq!(
            choice(&same_key, NOW_US + SILENCE_US),
            ready(3, 300).header,
            "after silence the profile's"
        );
    }

    #[test]
    fn what_came_through_another_reflector_shows_the_way_back() {
        let mut headers = with(ready(3, 100), 3, 200);
        let other = "198.51.100.2:3478".parse().unwrap();
        headers.receive(other, header(5, 150, "192.0.2.1:4000"), NOW_US);
        assert_eq!(headers.choose(NOW_US, |_| true, |_| false).unwrap().via, other);
        assert_ne!(headers.choose(NOW_US + SILENCE_US, |_| true, |_| false).unwrap().via, other);
    }

    #[test]
    fn what_has_expired_or_was_left_is_the_last_resort() {
        let renewed = with(ready(3, -1), 3, 200);
        assert_eq!(choice(&renewed, NOW_US + 60_000_000), ready(3, 200).header);
        let rotated = with(ready(2, -1), 3, 200);
        assert_eq!(choice(&rotated, NOW_US), ready(3, 200).header);
        let stale = with(ready(3, 200), 3, -1);
        assert_eq!(choice(&stale, NOW_US), ready(3, 200).header);
        let moved = with(ready(3, 300), 3, 200);
        let mut elsewhere = moved.clone();
        elsewhere.receive(ready(3, 0).via, header(3, 200, "192.0.2.9:4000"), NOW_US);
        let old = ready(3, 0).header.peer;
        let chosen = elsewhere.choose(NOW_US + SILENCE_US, |_| true, |address| address == old).unwrap();
        assert_eq!(chosen.header.peer, header(3, 0, "192.0.2.9:4000").peer);
    }

    #[test]
    fn a_reflector_that_does_not_answer_is_avoided() {
        let second = Ready { via: "203.0.113.1:3478".parse().unwrap(), ..ready(7, 300) };
        let mut headers = with(ready(3, 300), 3, 100);
        headers.set_profile(vec![ready(3, 300), second]);
        let chosen = headers.choose(NOW_US, |via| via == second.via, |_| false).unwrap();
        assert_eq!(chosen, second);
        assert!(
            Headers::default().is_empty() && Headers::default().choose(NOW_US, |_| true, |_| false).is_none()
        );
    }
}
