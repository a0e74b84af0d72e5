//! The control loop: signals, the clock, ends of leases, the drain, and the admin server beside them.
//!
//! * One thread; no request waits for anything here.
//! * SIGHUP reloads all or nothing, SIGTERM drains and ends with 0, a second SIGTERM ends the drain, SIGINT ends with 130.

use crate::app::App;
use crate::config::Config;
use crate::operate::admin;
use crate::operate::metrics::Metrics;
use crate::rules::Rules;
use crate::settings::SETTINGS;
use arc_swap::{ArcSwap, ArcSwapOption};
use engine::host::clock;
use engine::host::clock::Clock;
use program::admin::server::Server;
use program::admin::status::{ClockAlarm, Status};
use program::failure::Failure;
use program::log::Gate;
use program::settings::layers::Layers;
use program::systemd;
use program::tls;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::time::MissedTickBehavior;
use tokio_rustls::rustls::ServerConfig;

/// What the loop works with.
#[derive(Debug)]
pub struct Control {
    /// Where the configuration is read from.
    pub layers: Layers,
    /// What is in force.
    pub config: Config,
    /// The gate of log lines.
    pub gate: Arc<Gate>,
    /// What the admin server shows.
    pub status: Arc<Status>,
    /// The server's parts.
    pub app: Arc<App>,
    /// The clock.
    pub clock: Clock,
    /// The certificate in force.
    pub tls: Arc<ArcSwapOption<ServerConfig>>,
    /// A permit for each connection.
    pub places: Arc<Semaphore>,
    /// Real addresses of the listeners.
    pub listening: Vec<SocketAddr>,
    /// Set to true, it stops the listeners.
    pub stop: watch::Sender<bool>,
}

impl Control {
    /// Runs until a signal or a failure.
    ///
    /// # Errors
    /// An admin server that ended, SIGINT.
    pub async fn run(mut self, admin: std::net::TcpListener) -> Result<(), Failure> {
        let mut reload = signal(SignalKind::hangup())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let admin_address = admin.local_addr()?;
        let shown = Arc::new(ArcSwap::from_pointee(self.config.clone()));
        let metrics = Metrics {
            app: Arc::clone(&self.app),
            status: Arc::clone(&self.status),
            gate: Arc::clone(&self.gate),
        };
        let pages = admin::pages(metrics, Arc::clone(&shown), self.listening.clone());
        let mut server = Server::start(admin, pages, None)?;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut state = State::default();
        self.announce(admin_address);
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    self.each_tick(&mut state);
                    if state.drain_ends.is_some_and(|ends| self.is_drained(ends)) {
                        break;
                    }
                }
                _ = reload.recv() => self.reload(&shown),
                _ = terminate.recv() => {
                    if state.drain_ends.is_some() {
                        break;
                    }
                    state.drain_ends = Some(self.begin_drain());
                }
                _ = interrupt.recv() => return Err(Failure::Interrupted),
                failure = server.ended() => return Err(failure),
            }
        }
        self.app.audit.flush().await;
        self.gate.report(state.swallowed_said);
        self.gate.disarm();
        tracing::info!("stopped");
        Ok(())
    }

    /// Everything runs: says so to whoever started this, and to the log in one line that programs read.
    fn announce(&self, admin: SocketAddr) {
        self.status.set_ready(true);
        systemd::ready();
        let listen: Vec<String> = self.listening.iter().map(ToString::to_string).collect();
        let counts = self.app.registry.directory().counts();
        tracing::info!(
            listen = listen.join(","),
            admin = %admin,
            tls = self.config.tls.is_some(),
            reflectors = self.config.reflectors.len(),
            accounts = counts.accounts,
            devices = counts.devices,
            control = %self.config.store.control.display(),
            version = env!("CARGO_PKG_VERSION"),
            "ready"
        );
        self.gate.arm();
    }

    fn each_tick(&mut self, state: &mut State) {
        let grace_s = self.app.rules.load().terms.grace_s();
        let ended = self.app.registry.presence().sweep(self.app.clock.now(), grace_s);
        self.app.counters.leases_ended.inc_by(ended as u64);
        state.ticks += 1;
        if state.ticks.is_multiple_of(TICKS_PER_S) {
            self.clock.read(clock::realtime_ns(), clock::boot_ns());
            self.app.clock.set(&self.clock);
            self.status.set_disagreement_ns(self.clock.disagreement_ns());
            if (state.ticks / TICKS_PER_S).is_multiple_of(FORGET_EVERY_S) {
                self.forget();
            }
            state.swallowed_said = self.gate.report(state.swallowed_said);
            let disagreement_ns = self.clock.disagreement_ns();
            if state.clock_alarm.is_due(disagreement_ns, state.ticks / TICKS_PER_S) {
                let disagreement_ms = disagreement_ns / 1_000_000;
                tracing::warn!(
                    disagreement_ms,
                    "the system clock jumped; tickets are judged by a clock that follows backwards by 1 s per minute"
                );
            }
        }
    }

    /// Drops what matters no more from the store, on a thread that may wait.
    fn forget(&self) {
        let app = Arc::clone(&self.app);
        drop(tokio::task::spawn_blocking(move || {
            let prints = app.rules.load().key_prints.clone();
            if let Err(error) = app.registry.forget(&prints, app.clock.now()) {
                tracing::warn!(%error, "the store cannot be tidied; it is tried again");
            }
        }));
    }

    fn reload(&mut self, shown: &ArcSwap<Config>) {
        systemd::reloading();
        match self.read_again() {
            Ok(Fresh { config, rules, certificate }) => {
                let waiting = self.config.written.fixed_differences(&config.written, &SETTINGS);
                let reflectors = rules.reflectors.len();
                self.config = merged(&self.config, config);
                shown.store(Arc::new(self.config.clone()));
                self.app.fleet.keep(&rules.reflectors);
                self.app.rules.store(Arc::new(rules));
                self.app.registry.presence().touch_all();
                self.forget();
                if certificate.is_some() {
                    self.tls.store(certificate);
                }
                self.app.counters.note_reload(true);
                tracing::info!(reflectors, "reloaded");
                if !waiting.is_empty() {
                    tracing::warn!(settings = waiting.join(","), "changed settings wait for a restart");
                }
            }
            Err(failure) => {
                self.app.counters.note_reload(false);
                tracing::error!(reason = %failure, "reload refused; everything stays as it was");
            }
        }
        systemd::ready();
    }

    /// What a reload brings.
    fn read_again(&self) -> Result<Fresh, Failure> {
        let config = Config::read(&self.layers)?;
        let rules = Rules::read(&config)?;
        // Whether there is TLS at all needs a restart; which certificate does not.
        let files = self.config.tls.as_ref();
        let certificate =
            files.map(|(cert, key)| tls::read(("--tls-cert", cert), ("--tls-key", key))).transpose()?;
        Ok(Fresh { config, rules, certificate })
    }

    fn begin_drain(&self) -> Instant {
        self.status.set_ready(false);
        systemd::stopping();
        // Nobody listens any more when every connection has ended already.
        let _ = self.stop.send(true);
        tracing::info!(timeout_s = self.config.drain_timeout.as_secs(), "draining");
        Instant::now() + self.config.drain_timeout
    }

    fn is_drained(&self, ends: Instant) -> bool {
        self.places.available_permits() >= self.config.max_connections || Instant::now() >= ends
    }
}

/// What a reload brings.
struct Fresh {
    config: Config,
    rules: Rules,
    /// None without TLS.
    certificate: Option<Arc<ServerConfig>>,
}

/// What the loop remembers between its turns.
#[derive(Debug, Default)]
struct State {
    ticks: u64,
    clock_alarm: ClockAlarm,
    swallowed_said: u64,
    drain_ends: Option<Instant>,
}

/// The running configuration with everything taken from `fresh` that follows a reload.
fn merged(running: &Config, fresh: Config) -> Config {
    Config {
        master: fresh.master,
        reflectors: fresh.reflectors,
        drained: fresh.drained,
        admins: fresh.admins,
        admin_token: fresh.admin_token,
        admin_ca: fresh.admin_ca,
        server_names: fresh.server_names,
        service_credentials: fresh.service_credentials,
        policy: fresh.policy,
        terms: fresh.terms,
        written: running.written.merged(fresh.written, &SETTINGS),
        ..running.clone()
    }
}

/// How often ends of leases are looked for; they show at once, and versions tell of them by the next of these.
const TICK: Duration = Duration::from_millis(200);
const TICKS_PER_S: u64 = 5;
/// How often the store is tidied.
const FORGET_EVERY_S: u64 = 60;
