//! The control loop: signals, the clock, the host's addresses, the drain, and the admin server beside them.
//!
//! * One thread; nothing here is ever waited for by a worker.
//! * SIGHUP reloads, SIGTERM drains and ends with 0, a second SIGTERM ends the drain, SIGINT ends with 130.
//! * A worker that ends by itself ends the process: half a reflector would lose half of the datagrams.

use crate::config::Config;
use crate::counters::Event;
use crate::fast_path::config::Basis;
use crate::fast_path::programs;
use crate::fast_path::programs::FastPath;
use crate::rules::shared::{Retired, Rules, Shared, Surroundings};
use crate::run::admin;
use crate::run::crew::Ended;
use crate::run::metrics::Metrics;
use crate::run::reload::Reload;
use crate::run::revoke::Desk;
use crate::run::status::{Reloads, WorkerView};
use arc_swap::ArcSwap;
use engine::host::addresses::Addresses;
use engine::host::clock;
use engine::host::clock::Clock;
use engine::host::netlink::Follower;
use engine::socket::udp::Granted;
use program::admin::server::Server;
use program::admin::status::{ClockAlarm, Status};
use program::failure::Failure;
use program::log::Gate;
use program::settings::layers::Layers;
use program::systemd;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::MissedTickBehavior;
use tokio_rustls::rustls::ServerConfig;
use wire::Revoked;

/// What the loop works with.
#[derive(Debug)]
pub struct Control {
    /// Where the configuration is read from.
    pub layers: Layers,
    /// What is in force.
    pub config: Config,
    /// The gate of log lines.
    pub gate: Arc<Gate>,
    /// What the admin server shows of every daemon.
    pub status: Arc<Status>,
    /// How reloads went.
    pub reloads: Arc<Reloads>,
    /// What workers read.
    pub shared: Arc<Shared>,
    /// What workers count.
    pub views: Arc<[WorkerView]>,
    /// Real addresses of the sockets, those that speak STUN only behind the others.
    pub listening: Vec<SocketAddr>,
    /// Addresses of this host when they were last asked for.
    pub host: Addresses,
    /// What has been taken back.
    pub revoked: Revoked,
    /// Who takes it back, if somebody may.
    pub desk: Option<Arc<Desk>>,
    /// The certificate of the admin server.
    pub certificate: Option<Arc<ServerConfig>>,
    /// What every socket got.
    pub granted: Granted,
    /// The name of the engine that runs.
    pub engine: &'static str,
    /// The clock.
    pub clock: Clock,
    /// The programs in front of the sockets.
    pub fast_path: Arc<Mutex<FastPath>>,
}

impl Control {
    /// Runs until a signal or a failure.
    ///
    /// # Errors
    /// A worker that ended, an admin server that ended, SIGINT.
    pub async fn run(
        &mut self,
        admin: std::net::TcpListener,
        mut endings: UnboundedReceiver<Ended>,
    ) -> Result<(), Failure> {
        let mut reload = signal(SignalKind::hangup())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let admin_address = admin.local_addr()?;
        let config = Arc::new(ArcSwap::from_pointee(self.config.clone()));
        let pages = admin::pages(self.metrics(), Arc::clone(&config), self.listening.clone());
        let mut server = Server::start(admin, pages, self.certificate.clone())?;
        // Heard of from now on; what changed since the addresses were read shows at the first look.
        let mut state = State { follower: Follower::open().ok(), ..State::default() };
        let mut second = tokio::time::interval(SECOND);
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.announce(admin_address);
        loop {
            tokio::select! {
                _ = second.tick() => {
                    self.each_second(&mut state);
                    if state.drain.as_mut().is_some_and(|drain| drain.is_over(self.received(), &self.config)) {
                        break;
                    }
                }
                _ = reload.recv() => self.reload(&mut state, &config),
                _ = terminate.recv() => {
                    if state.drain.is_some() || self.config.drain_timeout.is_zero() {
                        break;
                    }
                    state.drain = Some(self.begin_drain());
                    second.reset();
                }
                _ = interrupt.recv() => return Err(Failure::Interrupted),
                Some(ended) = endings.recv() => return Err(ended.failure()),
                failure = server.ended() => return Err(failure),
            }
        }
        self.gate.report(state.swallowed_said);
        Ok(())
    }

    /// The last line, once no worker runs any more: what was served.
    pub fn farewell(&self) {
        self.gate.disarm();
        let figures = programs::lock(&self.fast_path).figures();
        let mut counts = figures.counts;
        self.views.iter().for_each(|view| counts.sum(&view.cells.read()));
        tracing::info!(
            received = counts.datagrams(Event::Received).saturating_sub(figures.passed_datagrams),
            relayed = counts.datagrams(Event::Relayed),
            observed = counts.datagrams(Event::Observed),
            dropped = counts.dropped(),
            send_errors = counts.unsent(),
            passed = figures.passed_datagrams,
            stun = counts.stun(),
            "stopped"
        );
    }

    /// Takes the programs off after a stop. After a failure those that are pinned stay, for whoever is started next.
    pub fn leave_fast_path(&self, outcome: &Result<(), Failure>) {
        let stays = self.config.fast_path.pin.is_some();
        if matches!(outcome, Ok(()) | Err(Failure::Interrupted)) || !stays {
            programs::lock(&self.fast_path).detach();
        }
    }

    /// Datagrams received so far on either path; what the program passed arrived once.
    fn received(&self) -> u64 {
        let figures = programs::lock(&self.fast_path).figures();
        let sockets: u64 = self.views.iter().map(|view| view.cells.read().datagrams(Event::Received)).sum();
        let answered = figures.counts.datagrams(Event::Received).saturating_sub(figures.passed_datagrams);
        sockets.saturating_add(answered)
    }

    fn metrics(&self) -> Metrics {
        Metrics {
            engine: self.engine,
            shared: Arc::clone(&self.shared),
            status: Arc::clone(&self.status),
            reloads: Arc::clone(&self.reloads),
            gate: Arc::clone(&self.gate),
            workers: Arc::clone(&self.views),
            fast_path: Arc::clone(&self.fast_path),
            desk: self.desk.clone(),
        }
    }

    /// Everything runs: says so to whoever started this, and to the log in one line that programs read.
    fn announce(&self, admin: SocketAddr) {
        self.status.set_ready(true);
        systemd::ready();
        let rules = self.shared.rules().load();
        let all: Vec<String> = self.listening.iter().map(ToString::to_string).collect();
        let (listen, stun_only) = all.split_at(self.config.listen.len().min(all.len()));
        tracing::info!(
            listen = listen.join(","),
            admin = %admin,
            workers = self.views.len(),
            engine = self.engine,
            steer = self.config.steer.as_str(),
            receive_buffer_bytes = self.granted.receive_buffer,
            gro = self.granted.gro,
            gso = self.granted.gso,
            xdp = programs::lock(&self.fast_path).interfaces(),
            stun = self.config.stun.mode.as_str(),
            stun_only = stun_only.join(","),
            ring = format!("{:016x}", rules.ring.fingerprint()),
            minting_key = rules.ring.minting().get(),
            version = env!("CARGO_PKG_VERSION"),
            "ready"
        );
        self.gate.arm();
    }

    fn each_second(&mut self, state: &mut State) {
        state.seconds += 1;
        self.clock.read(clock::realtime_ns(), clock::boot_ns());
        self.shared.set_offset_ns(self.clock.offset_ns());
        let disagreement_ns = self.clock.disagreement_ns();
        self.status.set_disagreement_ns(disagreement_ns);
        if state.clock_alarm.is_due(disagreement_ns, state.seconds) {
            tracing::warn!(
                disagreement_ms = disagreement_ns / 1_000_000,
                "the system clock jumped; capabilities are judged by a clock that follows backwards by 1 s per minute"
            );
        }
        let every_s = if state.follower.is_some() { HOST_EVERY_S } else { UNTOLD_EVERY_S };
        let told = state.follower.as_ref().is_some_and(Follower::changed);
        if told || state.seconds.is_multiple_of(every_s) {
            self.refresh_host(state);
        }
        let offset_ns = self.clock.offset_ns();
        self.with_fast_path(|fast_path, basis| fast_path.each_second(basis, offset_ns));
        if let Some(desk) = &self.desk {
            desk.each_second();
        }
        state.retired.free();
        state.swallowed_said = self.gate.report(state.swallowed_said);
    }

    /// What the policy refuses as the host's own follows the kernel's tables.
    fn refresh_host(&mut self, state: &mut State) {
        match Addresses::read() {
            Ok(host) => self.host = host,
            Err(error) => {
                tracing::warn!(%error, "the host's addresses cannot be listed; those known stay in force");
                return;
            }
        }
        let running = self.shared.rules().load_full();
        let rules = Rules::new(&self.config, running.ring.clone(), &self.around());
        if !rules.same_as(&running) {
            state.retired.replace(&self.shared, rules);
            let offset_ns = self.clock.offset_ns();
            self.with_fast_path(|fast_path, basis| fast_path.follow_host(basis, offset_ns));
            tracing::info!(addresses = self.host.delivered.len(), "the host's addresses changed");
        }
    }

    /// Does something to the fast path by the rules in force.
    fn with_fast_path(&self, step: impl FnOnce(&mut FastPath, &Basis<'_>)) {
        let rules = self.shared.rules().load_full();
        let basis = Basis { config: &self.config, rules: &rules, around: self.around() };
        step(&mut programs::lock(&self.fast_path), &basis);
    }

    fn around(&self) -> Surroundings<'_> {
        Surroundings { listening: &self.listening, host: &self.host, revoked: &self.revoked }
    }

    /// What a reload brings, in force in front of the sockets already.
    fn read_again(&self) -> Result<Reload, Failure> {
        let reload = Reload::read(&self.layers, &self.config, &self.around())?;
        let (config, rules) = (&reload.config, &reload.rules);
        let basis = Basis { config, rules, around: self.around() };
        programs::lock(&self.fast_path).reload(&basis)?;
        Ok(reload)
    }

    fn reload(&mut self, state: &mut State, shown: &ArcSwap<Config>) {
        systemd::reloading();
        match self.read_again() {
            Ok(Reload { config, rules, waiting }) => {
                let ring = format!("{:016x}", rules.ring.fingerprint());
                let minting_key = rules.ring.minting().get();
                state.retired.replace(&self.shared, rules);
                shown.store(Arc::new(config.clone()));
                self.config = config;
                self.reloads.note(Some(clock::unix_s(self.clock.offset_ns(), clock::boot_ns())));
                tracing::info!(ring, minting_key, "reloaded");
                if !waiting.is_empty() {
                    tracing::warn!(settings = waiting.join(","), "changed settings wait for a restart");
                }
            }
            Err(failure) => {
                self.reloads.note(None);
                tracing::error!(reason = %failure, "reload refused; the old ring and policy stay in force");
            }
        }
        systemd::ready();
    }

    fn begin_drain(&self) -> Drain {
        self.status.set_ready(false);
        systemd::stopping();
        let (timeout, below) = (self.config.drain_timeout, self.config.drain_below);
        tracing::info!(timeout_s = timeout.as_secs(), below, "draining");
        let now = Instant::now();
        Drain { ends_at: now + timeout, looked_at: now, received: self.received() }
    }
}

/// What the loop remembers between its turns.
#[derive(Debug, Default)]
struct State {
    retired: Retired,
    drain: Option<Drain>,
    seconds: u64,
    clock_alarm: ClockAlarm,
    swallowed_said: u64,
    /// Hears of changes to the host's addresses, where netlink is there to be heard.
    follower: Option<Follower>,
}

/// A drain that has begun.
#[derive(Debug)]
struct Drain {
    ends_at: Instant,
    looked_at: Instant,
    received: u64,
}

impl Drain {
    /// Looks again, a second later: over when time is up or traffic has gone elsewhere.
    fn is_over(&mut self, received: u64, config: &Config) -> bool {
        let now = Instant::now();
        let elapsed_ms = u64::try_from((now - self.looked_at).as_millis()).unwrap_or(u64::MAX);
        if elapsed_ms < 500 {
            return false;
        }
        let datagrams = received.saturating_sub(self.received);
        let few = datagrams.saturating_mul(1_000) < config.drain_below.saturating_mul(elapsed_ms);
        (self.looked_at, self.received) = (now, received);
        few || now >= self.ends_at
    }
}

const SECOND: Duration = Duration::from_secs(1);
/// How often the host's addresses are asked for if nobody says that they changed, s.
const HOST_EVERY_S: u64 = 60;
/// The same where nobody can say so, s.
const UNTOLD_EVERY_S: u64 = 5;
