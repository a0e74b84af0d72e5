//! What turns a core into an endpoint on a network: sockets, the clock, the access server, and whoever waits for events.
//!
//! * One task for each endpoint; the application calls the core under a lock that nobody holds across an await.
//! * Every call takes out at once what the core has to send, so a datagram leaves in the call that sent it.
//! * Queues are bounded; what the application does not fetch pushes out the oldest.

use crate::access_client::AccessClient;
use crate::behaviour::discover;
use crate::clock::Clock;
use crate::device::Device;
use crate::error::Error;
use crate::socket::{Buffers, Sockets};
use nat::Behaviour;
use peer::{Core, Event, PeerId, Request};
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use wire::json::login::{LoginAnswer, Session};
use wire::json::problem::ProblemKind;

/// What the task and the application share.
pub(crate) struct Driver {
    state: Mutex<State>,
    /// The task should look again.
    wake: Notify,
    /// A queue has grown, or the state has changed that somebody waits for.
    pub(crate) changed: Notify,
    clock: Clock,
    /// The application may call from threads that know no runtime.
    runtime: Handle,
    pub(crate) device: Device,
    pub(crate) client: AccessClient,
}

/// Everything behind the lock.
pub(crate) struct State {
    pub(crate) core: Core,
    sockets: Arc<Sockets>,
    pub(crate) session: Option<Session>,
    pub(crate) logged_in: bool,
    /// Why the access server was last not asked with success.
    pub(crate) failure: Option<Error>,
    pub(crate) left: bool,
    /// When the task will look again.
    deadline_us: Option<u64>,
    pub(crate) events: VecDeque<Event>,
    pub(crate) datagrams: VecDeque<(PeerId, Vec<u8>)>,
    /// Peers whose datagrams somebody fetches apart.
    pub(crate) inboxes: HashMap<PeerId, Inbox>,
    external: Option<IpAddr>,
}

/// Datagrams of one peer, fetched apart.
#[derive(Default)]
pub(crate) struct Inbox {
    pub(crate) datagrams: VecDeque<Vec<u8>>,
    wakers: Vec<std::task::Waker>,
}

impl Inbox {
    /// Has a task woken when the next datagram comes.
    pub(crate) fn wait(&mut self, context: &std::task::Context<'_>) {
        if !self.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            self.wakers.push(context.waker().clone());
        }
    }
}

impl Driver {
    /// Starts the task.
    pub(crate) fn start(
        device: Device,
        client: AccessClient,
        core: Core,
        sockets: Sockets,
        clock: Clock,
    ) -> Arc<Self> {
        let state = State {
            core,
            sockets: Arc::new(sockets),
            session: None,
            logged_in: false,
            failure: None,
            left: false,
            deadline_us: None,
            events: VecDeque::new(),
            datagrams: VecDeque::new(),
            inboxes: HashMap::new(),
            external: None,
        };
        let (wake, changed) = (Notify::new(), Notify::new());
        let runtime = Handle::current();
        let driver =
            Arc::new(Self { state: Mutex::new(state), wake, changed, clock, runtime, device, client });
        driver.with(|_, _| ());
        driver.runtime.spawn(Arc::clone(&driver).run());
        driver.find_behaviour();
        driver
    }

    /// Calls the core with the time, and takes out what comes of it.
    pub(crate) fn with<A>(self: &Arc<Self>, call: impl FnOnce(&mut Core, u64) -> A) -> A {
        let mut state = self.lock();
        let now_us = self.clock.now_us();
        let answer = call(&mut state.core, now_us);
        self.flush(&mut state, now_us);
        answer
    }

    /// The state, for a look.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the task.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.left = true;
        state.inboxes.values_mut().flat_map(|inbox| inbox.wakers.drain(..)).for_each(std::task::Waker::wake);
        drop(state);
        self.wake.notify_one();
        self.changed.notify_waiters();
    }

    async fn run(self: Arc<Self>) {
        let mut buffers = Buffers::new();
        let mut interfaces = tokio::time::interval(INTERFACES_PAUSE);
        loop {
            let (sockets, deadline_us) = {
                let mut state = self.lock();
                if state.left {
                    return;
                }
                state.deadline_us = state.core.poll_timeout(self.clock.now_us());
                (Arc::clone(&state.sockets), state.deadline_us)
            };
            let at = deadline_us.map_or_else(
                || tokio::time::Instant::now() + IDLE,
                |at_us| tokio::time::Instant::from_std(self.clock.instant(at_us)),
            );
            tokio::select! {
                () = sockets.readable() => self.receive(&sockets, &mut buffers),
                () = tokio::time::sleep_until(at) => self.with(Core::handle_timeout),
                () = self.wake.notified() => {}
                _ = interfaces.tick() => {
                    let hosts = sockets.hosts();
                    self.with(|core, now_us| core.handle_own_addresses(hosts, now_us));
                }
            }
        }
    }

    fn receive(self: &Arc<Self>, sockets: &Sockets, buffers: &mut Buffers) {
        let mut state = self.lock();
        let now_us = self.clock.now_us();
        sockets.receive(buffers, |source, datagram| state.core.handle_datagram(source, datagram, now_us));
        self.flush(&mut state, now_us);
    }

    /// Sends what there is to send, hands out what happened.
    fn flush(self: &Arc<Self>, state: &mut State, now_us: u64) {
        let mut grown = false;
        loop {
            if let Some(transmit) = state.core.poll_transmit() {
                state.sockets.send(transmit.destination, &transmit.bytes);
            } else if let Some(event) = state.core.poll_event() {
                grown |= self.react(state, event, now_us);
            } else {
                break;
            }
        }
        if grown {
            self.changed.notify_waiters();
        }
        let due_us = state.core.poll_timeout(now_us);
        if due_us.is_some_and(|due_us| state.deadline_us.is_none_or(|deadline_us| due_us < deadline_us)) {
            self.wake.notify_one();
        }
    }

    /// Does what an event asks for; true if the application can fetch something new.
    fn react(self: &Arc<Self>, state: &mut State, event: Event, now_us: u64) -> bool {
        match event {
            Event::Request(request) => {
                self.runtime.spawn(Arc::clone(self).ask(request, state.session));
                return false;
            }
            Event::Rebind => {
                let _context = self.runtime.enter();
                // Without a new socket the old one may still serve.
                if let Ok(sockets) = Sockets::open() {
                    let hosts = sockets.hosts();
                    state.sockets = Arc::new(sockets);
                    state.core.handle_rebound(hosts, now_us);
                    self.wake.notify_one();
                }
                return false;
            }
            Event::Datagram { peer, bytes } => return state.take_in(peer, bytes),
            Event::Contact { address } => {
                if state.external.replace(address.ip()).is_some_and(|before| before != address.ip()) {
                    self.find_behaviour();
                }
                state.push(Event::Contact { address });
            }
            Event::LoggedIn => {
                (state.logged_in, state.failure) = (true, None);
                state.push(Event::LoggedIn);
            }
            event => state.push(event),
        }
        true
    }

    /// Asks the access server, and tells the core what it said.
    async fn ask(self: Arc<Self>, request: Request, session: Option<Session>) {
        let answer = match request {
            Request::Login { nat, contacts } => self.client.login(&self.device, nat, contacts).await,
            Request::Refresh(refresh) => match session {
                Some(session) => self.client.refresh(session, &refresh).await,
                None => return self.with(Core::handle_lost_session),
            },
            Request::Logout => {
                if let Some(session) = session {
                    // Whether or not the server hears it, the lease ends.
                    self.client.logout(session).await.ok();
                }
                return;
            }
        };
        match answer {
            Ok(answer) => self.take_answer(answer),
            Err(error) => {
                let lost = matches!(&error, Error::Refused(it) if it.kind() == Some(ProblemKind::Session));
                self.lock().failure = Some(error);
                self.with(if lost { Core::handle_lost_session } else { Core::handle_failure });
            }
        }
    }

    fn take_answer(self: &Arc<Self>, answer: LoginAnswer) {
        self.lock().session = Some(answer.session);
        self.with(|core, now_us| core.handle_login(answer, now_us));
    }

    /// Finds out in the background what NAT we are behind.
    fn find_behaviour(self: &Arc<Self>) {
        if self.device.nat.is_none() {
            self.runtime.spawn(Arc::clone(self).learn_behaviour());
        }
    }

    /// Finds the behaviour and tells the core.
    async fn learn_behaviour(self: Arc<Self>) {
        let found = discover(&self.device.reflectors).await.filter(|findings| findings.whole);
        let behaviour = match found {
            Some(findings) => findings.behaviour,
            None => self.guess_behaviour().await,
        };
        self.with(|core, now_us| core.handle_behaviour(behaviour, now_us));
    }

    /// What two reflectors show, once they have answered.
    async fn guess_behaviour(self: &Arc<Self>) -> Behaviour {
        for _ in 0..GUESS_TRIES {
            if self.with(|core, now_us| core.is_settled(now_us)) {
                break;
            }
            tokio::time::sleep(GUESS_PAUSE).await;
        }
        self.with(|core, _| core.guess_behaviour())
    }
}

impl State {
    fn push(&mut self, event: Event) {
        if self.events.len() >= MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Puts a datagram where it is fetched; true if anybody may fetch it.
    fn take_in(&mut self, peer: PeerId, bytes: Vec<u8>) -> bool {
        if let Some(inbox) = self.inboxes.get_mut(&peer) {
            if inbox.datagrams.len() >= MAX_DATAGRAMS {
                inbox.datagrams.pop_front();
            }
            inbox.datagrams.push_back(bytes);
            inbox.wakers.drain(..).for_each(std::task::Waker::wake);
            return false;
        }
        if self.datagrams.len() >= MAX_DATAGRAMS {
            self.datagrams.pop_front();
        }
        self.datagrams.push_back((peer, bytes));
        true
    }
}

const MAX_EVENTS: usize = 4096;
const MAX_DATAGRAMS: usize = 4096;
const IDLE: Duration = Duration::from_secs(3600);
/// How often the own interfaces are looked at: a changed address is to be repaired within a second.
const INTERFACES_PAUSE: Duration = Duration::from_millis(500);
const GUESS_TRIES: u32 = 60;
const GUESS_PAUSE: Duration = Duration::from_millis(50);
