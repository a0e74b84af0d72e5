//! The endpoint as applications use it: log in, look at the profile, send, receive.
//!
//! * Cheap to clone; the endpoint leaves when the last clone is dropped, or at once by [`Endpoint::leave`].
//! * `recv` gives datagrams, `event` everything else; each is given to one caller only.

use crate::access_client::AccessClient;
use crate::clock::Clock;
use crate::device::{Device, random_secret};
use crate::driver::{Driver, State};
use crate::error::Error;
use crate::socket::Sockets;
use nat::Behaviour;
use peer::{ContactReport, Core, Event, Path, PeerId, PeerReport, PublicKey, Settings};
use std::sync::Arc;
use std::time::Duration;
use wire::json::login::OfferedReflector;
use wire::json::name::AccountName;
use wire::json::profile::Profile;

/// An endpoint on the network.
#[derive(Clone)]
pub struct Endpoint {
    guard: Arc<Guard>,
}

/// Ends the endpoint with its last clone.
struct Guard(Arc<Driver>);

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.0.lock().left {
            self.0.with(Core::leave);
            self.0.end();
        }
    }
}

impl Endpoint {
    /// Starts an endpoint, which logs in and keeps trying to; within a tokio runtime.
    ///
    /// # Errors
    /// The device's access server is none, no socket can be had, or no reflector is known.
    pub fn start(device: Device) -> Result<Self, Error> {
        let client = AccessClient::new(&device.access, device.ca.as_deref())?;
        if device.reflectors.is_empty() {
            return Err(Error::NoReflector);
        }
        let behaviour = device.nat.as_deref().map(str::parse).transpose()?;
        let (clock, sockets) = (Clock::start(), Sockets::open()?);
        let settings = Settings {
            noise_secret: device.noise_secret.0,
            seed: random_secret()?,
            reflectors: device.reflectors.clone(),
            behaviour,
            hosts: sockets.hosts(),
            families: sockets.families(),
            has_account: true,
            incarnation: 0,
        };
        let core = Core::new(settings, clock.now_us());
        Ok(Self { guard: Arc::new(Guard(Driver::start(device, client, core, sockets, clock))) })
    }

    /// Starts an endpoint and waits until it is logged in.
    ///
    /// # Errors
    /// As [`Endpoint::start`]; the access server refuses or does not answer; no reflector answers.
    pub async fn login(device: Device) -> Result<Self, Error> {
        let addresses: Vec<String> =
            device.reflectors.iter().flat_map(|it| &it.addresses).map(ToString::to_string).collect();
        let endpoint = Self::start(device)?;
        let logged_in = endpoint.wait(|state| {
            let failed = state.failure.take().map(Err);
            failed.or(state.logged_in.then_some(Ok(())))
        });
        match tokio::time::timeout(LOGIN_PATIENCE, logged_in).await {
            Ok(result) => result??,
            Err(_) => return Err(Error::NoContact { addresses: addresses.join(", ") }),
        }
        Ok(endpoint)
    }

    /// The profile as it is now, every notice applied; nothing before the first login.
    #[must_use]
    pub fn profile(&self) -> Option<Profile> {
        self.driver().with(|core, _| core.profile())
    }

    /// The device of a buddy that is there, or was there last.
    ///
    /// # Errors
    /// There is no agreed buddy of that name.
    pub fn peer(&self, account: &str) -> Result<Peer, Error> {
        let wrong = || Error::NoBuddy { name: account.to_owned() };
        let name: AccountName = account.parse().map_err(|_| wrong())?;
        let id = self.driver().with(|core, _| core.peers_of(&name).first().copied()).ok_or_else(wrong)?;
        Ok(self.peer_by_id(id))
    }

    /// The peer of an event.
    #[must_use]
    pub fn peer_by_id(&self, id: PeerId) -> Peer {
        Peer { endpoint: self.clone(), id }
    }

    /// The next datagram that a peer sent, unless its datagrams are fetched apart.
    ///
    /// # Errors
    /// The endpoint has left.
    pub async fn recv(&self) -> Result<(Peer, Vec<u8>), Error> {
        let (id, bytes) = self.wait(|state| state.datagrams.pop_front()).await?;
        Ok((self.peer_by_id(id), bytes))
    }

    /// The next thing that happened, datagrams excepted.
    ///
    /// # Errors
    /// The endpoint has left.
    pub async fn event(&self) -> Result<Event, Error> {
        self.wait(|state| state.events.pop_front()).await
    }

    /// Asks for a friendship, or agrees to one.
    ///
    /// # Errors
    /// The access server does not answer, or refuses.
    pub async fn ask_buddy(&self, account: &AccountName) -> Result<(), Error> {
        let session = self.driver().lock().session.ok_or(Error::Left)?;
        self.driver().client.ask_buddy(session, account).await?;
        self.refresh();
        Ok(())
    }

    /// Ends a friendship.
    ///
    /// # Errors
    /// The access server does not answer, or refuses.
    pub async fn end_buddy(&self, account: &AccountName) -> Result<(), Error> {
        let session = self.driver().lock().session.ok_or(Error::Left)?;
        self.driver().client.end_buddy(session, account).await?;
        self.refresh();
        Ok(())
    }

    /// Hides this device's address from its buddies, or shows it. Who hides is reached through a reflector only, and takes
    /// new local ports; what buddies could send to the old ones is refused from then on.
    ///
    /// # Errors
    /// The access server does not answer, or refuses.
    pub async fn hide_address(&self, hide: bool) -> Result<(), Error> {
        let session = self.driver().lock().session.ok_or(Error::Left)?;
        self.driver().client.hide_address(session, hide).await?;
        self.refresh();
        Ok(())
    }

    /// Whether this device's address is hidden from its buddies, by itself or with its account.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.driver().with(|core, _| core.hides())
    }

    /// Asks the access server for a fresh profile.
    pub fn refresh(&self) {
        self.driver().with(Core::refresh);
    }

    /// The own contacts.
    #[must_use]
    pub fn contacts(&self) -> Vec<ContactReport> {
        self.driver().with(|core, _| core.contacts())
    }

    /// The reflectors that the access server offers.
    #[must_use]
    pub fn reflectors(&self) -> Vec<OfferedReflector> {
        self.driver().with(|core, _| core.reflectors().to_vec())
    }

    /// The own NAT's behaviour, as it is believed.
    #[must_use]
    pub fn behaviour(&self) -> Behaviour {
        self.driver().with(|core, _| core.behaviour())
    }

    /// Why the access server could last not be asked, if it could not.
    #[must_use]
    pub fn access_failure(&self) -> Option<String> {
        self.driver().lock().failure.as_ref().map(ToString::to_string)
    }

    /// Tells buddies and the access server that we leave.
    pub async fn leave(self) {
        let driver = Arc::clone(self.driver());
        // Taken first, so that the core's own farewell does not log out twice.
        let session = driver.lock().session.take();
        driver.with(Core::leave);
        if let Some(session) = session {
            // The lease ends also without.
            tokio::time::timeout(LOGOUT_PATIENCE, driver.client.logout(session)).await.ok();
        }
        driver.end();
    }

    /// All that is known of the device with this X25519 key.
    #[must_use]
    pub fn report_of(&self, key: PublicKey) -> Option<PeerReport> {
        self.driver().with(|core, now_us| core.report(core.peer_by_key(&key)?, now_us))
    }

    pub(crate) fn driver(&self) -> &Arc<Driver> {
        &self.guard.0
    }

    /// Waits until the state gives something.
    async fn wait<A>(&self, mut take: impl FnMut(&mut State) -> Option<A>) -> Result<A, Error> {
        loop {
            let changed = self.driver().changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let mut state = self.driver().lock();
                if let Some(taken) = take(&mut state) {
                    return Ok(taken);
                }
                if state.left {
                    return Err(Error::Left);
                }
            }
            changed.await;
        }
    }
}

/// A device to talk to.
#[derive(Clone)]
pub struct Peer {
    pub(crate) endpoint: Endpoint,
    pub(crate) id: PeerId,
}

impl Peer {
    /// Sends a datagram, unreliably, directly or reflected.
    ///
    /// # Errors
    /// It is longer than [`Peer::max_datagram_size`], the peer is gone from the profile, or too many wait.
    pub fn send(&self, datagram: &[u8]) -> Result<(), Error> {
        self.endpoint.driver().with(|core, now_us| core.send(self.id, datagram, now_us)).map_err(Error::from)
    }

    /// Sends a message that is repeated until acknowledged; an [`Event::Delivery`] with the number returned says how it
    /// went.
    ///
    /// # Errors
    /// It is longer than [`crate::MESSAGE_MAX`], the peer is gone from the profile, or too many wait.
    pub fn send_message(&self, message: &[u8]) -> Result<u64, Error> {
        let send = |core: &mut Core, now_us| core.send_message(self.id, message, now_us);
        self.endpoint.driver().with(send).map_err(Error::from)
    }

    /// Begins a conversation without a word: agrees on a session, seeks a direct path, searches for sizes.
    ///
    /// # Errors
    /// The peer is gone from the profile.
    pub fn begin(&self) -> Result<(), Error> {
        self.endpoint.driver().with(|core, now_us| core.begin(self.id, now_us)).map_err(Error::from)
    }

    /// From now on the peer's datagrams are fetched here, apart from everybody else's.
    #[must_use]
    pub fn datagrams(&self) -> Datagrams {
        self.endpoint.driver().lock().inboxes.entry(self.id).or_default();
        Datagrams(self.clone())
    }

    /// The way that datagrams take now.
    #[must_use]
    pub fn path(&self) -> Path {
        self.endpoint.driver().with(|core, now_us| core.path(self.id, now_us))
    }

    /// Bytes of the largest datagram that reaches the peer on every path in use; grows while sizes are searched.
    #[must_use]
    pub fn max_datagram_size(&self) -> usize {
        self.endpoint.driver().with(|core, _| core.max_datagram_size(self.id)).unwrap_or(0)
    }

    /// Whether the sizes of all ways in use are known, so that [`Peer::max_datagram_size`] grows no more on them.
    #[must_use]
    pub fn knows_sizes(&self) -> bool {
        self.endpoint.driver().with(|core, _| core.knows_sizes(self.id))
    }

    /// Whether the peer is there.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.endpoint.driver().with(|core, _| core.is_online(self.id))
    }

    /// Whose device it is.
    #[must_use]
    pub fn account(&self) -> Option<AccountName> {
        self.endpoint.driver().with(|core, _| core.buddy_of(self.id)).map(|(account, _)| account)
    }

    /// All that is known of it.
    #[must_use]
    pub fn report(&self) -> Option<PeerReport> {
        self.endpoint.driver().with(|core, now_us| core.report(self.id, now_us))
    }

    /// Its number in events.
    #[must_use]
    pub fn id(&self) -> PeerId {
        self.id
    }
}

/// The datagrams of one peer, fetched apart.
pub struct Datagrams(Peer);

impl Datagrams {
    /// Waits until there are some, and takes all of them. A call that is given up takes nothing.
    pub async fn recv(&self) -> Vec<Vec<u8>> {
        std::future::poll_fn(|context| {
            let mut state = self.0.endpoint.driver().lock();
            let inbox = state.inboxes.entry(self.0.id).or_default();
            if inbox.datagrams.is_empty() {
                inbox.wait(context);
                return std::task::Poll::Pending;
            }
            std::task::Poll::Ready(inbox.datagrams.drain(..).collect())
        })
        .await
    }
}

/// A login with STUN, slow links and one reflector replaced takes less.
const LOGIN_PATIENCE: Duration = Duration::from_secs(20);
const LOGOUT_PATIENCE: Duration = Duration::from_secs(2);
