//! The workers' threads: each one's engine, processor and end.
//!
//! * Engines are open before the first thread starts; a thread that cannot settle on its processor serves nothing.
//! * A thread ends once, and says why: asked to stop, failed, or panicked.

use crate::rules::shared::Shared;
use crate::run::status::WorkerView;
use crate::run::worker::Worker;
use crate::stun::answer::Stun;
use engine::host::affinity;
use engine::socket::epoll;
use engine::socket::kind::{Engine, Kind};
use engine::socket::stop::Stopper;
use engine::socket::udp::Socket;
use program::failure::Failure;
use program::process;
use program::random;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::mpsc::UnboundedSender;
use wire::siphash::SipKey;

/// Workers whose engines are open, not yet running.
pub struct Waiting {
    engines: Vec<Post>,
    stun: Option<Stun>,
}

/// The place of one worker.
struct Post {
    engine: Engine,
    /// What wakes the engine to stop.
    stopper: Stopper,
    /// The processor that its thread runs on.
    cpu: usize,
}

impl Waiting {
    /// Opens an engine for each worker, on its own sockets and for its own processor.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn new(
        kind: Kind,
        options: epoll::Options,
        sockets: Vec<Vec<Socket>>,
        cpus: Vec<usize>,
        stun: Option<Stun>,
    ) -> Result<Self, Failure> {
        let open = |(sockets, cpu)| {
            let (engine, stopper) = Engine::open(kind, sockets, options)?;
            Ok(Post { engine, stopper, cpu })
        };
        let engines = sockets.into_iter().zip(cpus).map(open).collect::<std::io::Result<_>>()?;
        Ok(Self { engines, stun })
    }

    /// Starts a thread for each worker and waits until all of them serve or have ended.
    ///
    /// # Errors
    /// A thread that the kernel refuses, no randomness.
    pub fn start(
        self,
        shared: &Arc<Shared>,
        views: &Arc<[WorkerView]>,
        ended: &UnboundedSender<Ended>,
    ) -> Result<Crew, Failure> {
        let mut crew = Crew { stoppers: Vec::new(), threads: Vec::new(), running: 0 };
        let (running, started) = std::sync::mpsc::channel();
        for (id, post) in self.engines.into_iter().enumerate() {
            let Some(view) = views.get(id) else { continue };
            let worker =
                Worker::new(Arc::clone(shared), Arc::clone(&view.cells), SipKey::new(random::bytes()?));
            let worker = worker.with_stun(self.stun.clone());
            let Post { engine, stopper, cpu } = post;
            let (views, ended, running) = (Arc::clone(views), ended.clone(), running.clone());
            let thread = std::thread::Builder::new().name(format!("worker-{id}")).spawn(move || {
                let run = AssertUnwindSafe(|| {
                    settle(&views, id, cpu)?;
                    // The count of running workers is complete once every thread has sent this or ended.
                    let _ = running.send(());
                    drop(running);
                    serve(engine, worker)
                });
                let outcome = std::panic::catch_unwind(run);
                let outcome = outcome.unwrap_or_else(|_| Err(String::from("it panicked")));
                // Nobody listens any more when the process is about to end anyway.
                let _ = ended.send(Ended { worker: id, outcome });
            })?;
            crew.stoppers.push(stopper);
            crew.threads.push(thread);
        }
        drop(running);
        crew.running = started.iter().count();
        Ok(crew)
    }
}

/// A worker's thread has ended.
#[derive(Debug)]
pub struct Ended {
    /// Which.
    pub worker: usize,
    /// Why, unless it was stopped.
    pub outcome: Result<(), String>,
}

impl Ended {
    /// The failure that ends the process because of it.
    pub fn failure(self) -> Failure {
        let why = self.outcome.err().unwrap_or_else(|| String::from("it stopped without being asked"));
        Failure::Runtime(format!("worker {} ended: {}", self.worker, why))
    }
}

/// Running workers.
pub struct Crew {
    stoppers: Vec<Stopper>,
    threads: Vec<JoinHandle<()>>,
    running: usize,
}

impl Crew {
    /// How many workers came as far as serving.
    pub fn running(&self) -> usize {
        self.running
    }

    /// Stops every worker and waits for its thread.
    pub fn stop(self) {
        for stopper in &self.stoppers {
            if let Err(error) = stopper.stop() {
                tracing::warn!(%error, "a worker could not be woken to stop");
                return;
            }
        }
        for thread in self.threads {
            // Its outcome was sent as `Ended`; a panic was caught before.
            let _ = thread.join();
        }
    }
}

/// Puts the calling thread on its processor, and its id where others find it.
fn settle(views: &[WorkerView], id: usize, cpu: usize) -> Result<(), String> {
    affinity::pin(&[cpu]).map_err(|error| format!("it cannot run on CPU {cpu}: {error}"))?;
    if let (Some(view), Some(thread)) = (views.get(id), process::thread_id()) {
        // Set once: a worker has one thread.
        let _ = view.thread.set(thread);
    }
    Ok(())
}

fn serve(engine: Engine, mut worker: Worker) -> Result<(), String> {
    // The sockets come back open and live until the process ends: closing one would renumber its group.
    engine.run(&mut worker).map(std::mem::forget).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::rates::Limits;
    use crate::rules::shared::Rules;
    use crate::run::daemon::{engine_options, socket_options};
    use std::net::SocketAddr;
    use wire::{KeyRing, Policy};

    #[test]
    fn a_worker_that_cannot_run_is_a_failure_that_names_it() {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let socket = Socket::open(loopback, &socket_options(loopback, 0)).unwrap();
        let granted = socket.granted();
        let views: Arc<[WorkerView]> = Arc::new([WorkerView::default()]);
        let (engine, stopper) =
            Engine::open(Kind::Epoll, vec![socket], engine_options(1_472, granted)).unwrap();
        let ring = KeyRing::new(&[(1, [1; 16])]).unwrap();
        let rules = Rules { ring, policy: Policy::default(), limits: Limits::new(1) };
        let shared = Arc::new(Shared::new(rules, 0));
        let (ended, mut endings) = tokio::sync::mpsc::unbounded_channel();
        // No machine has a CPU of this number.
        let waiting = Waiting { engines: vec![Post { engine, stopper, cpu: usize::MAX }], stun: None };
        let crew = waiting.start(&shared, &views, &ended).unwrap();
        assert_eq!(crew.running(), 0);
        let failure = endings.blocking_recv().unwrap().failure();
        assert_eq!(failure.code(), 1);
        assert!(failure.to_string().starts_with("worker 0 ended: it cannot run on CPU"), "{failure}");
        crew.stop();
    }
}
