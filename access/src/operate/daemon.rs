//! The daemon: opens everything, starts the server's threads, and hands over to the control loop.
//!
//! ```text
//! main thread: control, admin, signals, leases     server threads: connections, prober, operator's socket, deliveries
//!                 app: registry, rules, fleet, counters      <- both
//! ```
//!
//! * Nothing is started before everything is open: a failure leaves nothing half running.

use crate::accounts::budget::{Budgets, Changes};
use crate::accounts::challenge::Challenges;
use crate::accounts::gate::PasswordGate;
use crate::accounts::places::Places;
use crate::accounts::registry::Registry;
use crate::app::App;
use crate::config::Config;
use crate::counters::Counters;
use crate::fleet::{Fleet, Reflector};
use crate::http::api;
use crate::http::server::Server;
use crate::mint::audit::Audit;
use crate::now::SharedClock;
use crate::operate::control::Control;
use crate::operate::deliver;
use crate::operate::operator;
use crate::operate::prober::Prober;
use crate::rules::Rules;
use crate::settings::SETTINGS;
use crate::store::{Store, StoreError};
use arc_swap::{ArcSwap, ArcSwapOption};
use engine::host::clock::Clock;
use program::admin::server;
use program::admin::status::Status;
use program::failure::Failure;
use program::log::Gate;
use program::random;
use program::settings::layers::Layers;
use program::tls;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};
use wire::siphash::SipKey;

/// Runs until a signal or a failure ends it.
///
/// # Errors
/// Whatever could not be opened, a part that ended, SIGINT.
pub fn run(layers: Layers, config: Config, gate: Arc<Gate>) -> Result<(), Failure> {
    let clock = Clock::start();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let app = open_app(&config, &clock, cpus)?;
    let certificate = config
        .tls
        .as_ref()
        .map(|(cert, key)| tls::read(("--tls-cert", cert), ("--tls-key", key)))
        .transpose()?;
    let listeners =
        config.listen.iter().map(|it| server::bind("listen", *it)).collect::<Result<Vec<_>, _>>()?;
    let admin = server::bind("admin", config.admin)?;
    let operator = operator::listen(&config.store.control)?;
    let threads = config.threads.unwrap_or(cpus);
    let serving = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    let controlling = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopping) = watch::channel(false);
    let server = Server {
        router: api::router(Arc::clone(&app)),
        tls: Arc::new(ArcSwapOption::new(certificate)),
        places: Arc::new(Semaphore::new(config.max_connections)),
        patience: config.request_timeout,
        stop: stopping,
        counters: app.counters.clone(),
    };
    let control = Control {
        layers,
        gate,
        status: Arc::new(Status::default()),
        app: Arc::clone(&app),
        clock,
        tls: Arc::clone(&server.tls),
        places: Arc::clone(&server.places),
        listening: listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?,
        stop,
        config,
    };
    start(&serving, &app, &control.config, (listeners, operator), &server)?;
    drop(server);
    warn(&control.config);
    let control_path = control.config.store.control.clone();
    let outcome = controlling.block_on(control.run(admin));
    // Connections that still talk after the drain end with their threads.
    serving.shutdown_background();
    // One that cannot be removed is replaced at the next start.
    let _ = std::fs::remove_file(control_path);
    outcome
}

fn open_app(config: &Config, clock: &Clock, cpus: usize) -> Result<Arc<App>, Failure> {
    let rules = Rules::read(config)?;
    let path = config.store.store.display();
    let refuse = |error: StoreError| match error {
        StoreError::Held => Failure::Config(format!(
            "--store {path}: another process holds it; one server runs on a store, and `account` reaches it by --control"
        )),
        other => Failure::Config(format!("--store {path}: {other}")),
    };
    let clock = Arc::new(SharedClock::new(clock));
    let store = Store::open(&config.store.store).map_err(refuse)?;
    let registry = Registry::load(store, clock.now()).map_err(refuse)?;
    let registry = Arc::new(registry);
    // Which hosts and keys there are is known from the first moment on.
    registry.outbox().keep(&deliver::hosts(&rules));
    let forgotten = registry.forget(&rules.key_prints, clock.now());
    forgotten.map_err(|refusal| Failure::Config(format!("--store {path}: {refusal}")))?;
    Ok(Arc::new(App {
        places: Places::start(Arc::clone(&registry), Arc::clone(&clock))?,
        changes: Mutex::new(Changes::new(SipKey::new(random::bytes()?))),
        registry,
        rules: ArcSwap::from_pointee(rules),
        fleet: Fleet::default(),
        clock,
        challenges: Challenges::new()?,
        budgets: Mutex::new(Budgets::new(SipKey::new(random::bytes()?))),
        passwords: PasswordGate::new(cpus),
        audit: Audit::open(config.audit.clone())?,
        counters: Counters::new(),
    }))
}

fn start(
    serving: &Runtime,
    app: &Arc<App>,
    config: &Config,
    (listeners, operator): (Vec<TcpListener>, UnixListener),
    server: &Server,
) -> Result<(), Failure> {
    let _entered = serving.enter();
    let operator = tokio::net::UnixListener::from_std(operator)?;
    let prober = serving.block_on(Prober::open())?;
    for listener in listeners {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        serving.spawn(server.clone().run(listener));
    }
    serving.spawn(operator::serve(operator, Arc::clone(app)));
    serving.spawn(deliver::run(Arc::clone(app)));
    let (app, interval) = (Arc::clone(app), config.probe_interval);
    serving.spawn(async move {
        if let Err(failure) = prober.run(app, interval).await {
            tracing::error!(%failure, "reflectors are probed no more; all are offered as they were");
        }
    });
    Ok(())
}

/// What is not wrong and should still be known.
fn warn(config: &Config) {
    for variable in SETTINGS.unknown_variables(std::env::vars().map(|(name, _)| name)) {
        tracing::warn!(variable, "no setting of this program; `reflector-access run --help` lists them");
    }
    let secrets = [
        Some(&config.master),
        config.service_credentials.as_ref(),
        config.admin_token.as_ref(),
        config.tls.as_ref().map(|(_, key)| key),
    ];
    for path in secrets.into_iter().flatten() {
        let mode = std::fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
        if mode & 0o077 != 0 {
            let mend = format!("chmod 600 {}", path.display());
            tracing::warn!(%mend, "{} can be read by others", path.display());
        }
    }
    let told = |it: &Reflector| {
        config.admin_token.is_some() && config.admins.iter().any(|at| at.reflector == it.name)
    };
    let untold: Vec<&str> =
        config.reflectors.iter().filter(|it| !told(it)).map(|it| it.name.as_str()).collect();
    if !untold.is_empty() {
        tracing::warn!(
            reflectors = untold.join(","),
            "rights cannot be taken back there: give --reflector-admin NAME=URL for each host, and --reflector-admin-token"
        );
    }
    if config.reflectors.is_empty() {
        tracing::warn!("no --reflector is given; devices log in, and nothing is minted for anybody");
    }
}
