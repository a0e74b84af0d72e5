//! The sending of one worker: one call of the kernel that lasts the whole run, on one processor.
//!
//! ```text
//! run: this processor -> worker of it -> BPF_PROG_TEST_RUN, live frames ... the program says that it is done
//!                                                   ^-- signal, by a thread that waits for that -- EINTR
//! ```
//!
//! * The kernel ends such a call after 2^32 turns or by a signal. A run is shorter than the former, so the latter ends it:
//!   SIGURG to this very thread, to a handler that does nothing, again and again until the thread is out of the call.
//! * Every other signal waits until the run is over, or is taken by another thread.
//! * The thread's processors and signals are afterwards as they were.
//!
//! Source: Documentation/bpf/bpf_prog_run.rst, tgkill(2), signal(7).

#![allow(unsafe_code)]

use super::counts::Counted;
use super::layout::{CONTROL_END, CONTROL_WORKERS, MAX_CPUS};
use super::memory::Memory;
use super::pace::{BATCH, DONE, TURNS};
use crate::host::affinity;
use crate::host::clock;
use crate::xdp::bpf_call;
use crate::xdp::error::XdpError;
use crate::xdp::run;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Relaxed, Release},
};
use std::thread;
use std::time::Duration;

/// The sending of one worker.
#[derive(Debug)]
pub struct Transmitter {
    pub(crate) program: OwnedFd,
    pub(crate) shared: Arc<Shared>,
    pub(crate) worker: usize,
    /// The interface that frames leave by.
    pub(crate) interface: u32,
    /// What the kernel's frames begin as.
    pub(crate) template: Vec<u8>,
}

impl Transmitter {
    /// Sends on the calling thread's processor until everything that was due before the end has left.
    ///
    /// # Errors
    /// The kernel's refusal to run the program, a processor on which another worker sends.
    pub fn run(self) -> Result<(), XdpError> {
        let station = Station::take(&self.shared, self.worker)?;
        let quiet = Quiet::begin()?;
        let thread = ThreadId::own();
        let out = AtomicBool::new(false);
        let result = thread::scope(|scope| {
            let waker = thread::Builder::new().name("waker".to_owned());
            let wake = || self.wake_when_done(station.cpu, thread, &out);
            waker
                .spawn_scoped(scope, wake)
                .map_err(|error| XdpError::kernel("start the thread that ends the run", error))?;
            let result = self.send();
            out.store(true, Release);
            result
        });
        drop(quiet);
        drop(station);
        result
    }

    /// Runs the program until it says that it is done: once, unless the kernel's turns do not suffice.
    fn send(&self) -> Result<(), XdpError> {
        let context = run::context(self.template.len(), self.interface);
        while !self.is_done() {
            // The program tells from its turns where the kernel's batches end.
            self.shared.counted.workers.set(self.worker, TURNS, &[0]);
            let program = self.program.as_fd();
            match bpf_call::run_live(program, &self.template, &context, u32::MAX, BATCH) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(XdpError::kernel("send by the program", error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes the thread out of its call once the program says that it is done.
    fn wake_when_done(&self, cpu: usize, thread: ThreadId, out: &AtomicBool) {
        // Elsewhere, if there is an elsewhere: the worker needs its processor.
        let others: Vec<usize> = (0..MAX_CPUS).filter(|other| *other != cpu).collect();
        let _alone = affinity::pin(&others);
        while !out.load(Acquire) {
            let end_ns = self.shared.controls.get(0, CONTROL_END);
            let now_ns = clock::since_boot_ns();
            let left = Duration::from_nanos(end_ns.saturating_sub(now_ns));
            if self.is_done() {
                thread.wake();
            }
            thread::sleep(left.clamp(SHORT_SLEEP, LONG_SLEEP));
        }
    }

    fn is_done(&self) -> bool {
        self.shared.counted.workers.get(self.worker, DONE) != 0
    }
}

/// What the thread that controls a run and those that send have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) controls: Memory,
    pub(crate) counted: Counted,
    /// Whether each worker is sending.
    pub(crate) running: Vec<AtomicBool>,
}

/// A processor on which one worker sends.
pub(crate) struct Station<'a> {
    shared: &'a Shared,
    worker: usize,
    cpu: usize,
    allowed: Vec<usize>,
}

impl Station<'_> {
    /// Keeps the calling thread on its processor and says whose it is.
    pub(crate) fn take(shared: &Shared, worker: usize) -> Result<Station<'_>, XdpError> {
        let refused = |error| XdpError::kernel("keep a worker on its processor", error);
        let allowed = affinity::allowed().map_err(refused)?;
        // SAFETY: no arguments, nothing that could be violated.
        let cpu = unsafe { libc::sched_getcpu() };
        let cpu = usize::try_from(cpu).ok().filter(|cpu| *cpu < MAX_CPUS);
        let cpu = cpu.ok_or(XdpError::Value("the generator sends on the processors 0 to 1023"))?;
        let name = worker as u64 + 1;
        let place = shared.controls.value(0).get(CONTROL_WORKERS + cpu);
        if place.is_none_or(|it| it.compare_exchange(0, name, Relaxed, Relaxed).is_err()) {
            return Err(XdpError::Value(
                "another worker sends on this processor; pin each to one of its own",
            ));
        }
        let station = Station { shared, worker, cpu, allowed };
        affinity::pin(&[cpu]).map_err(refused)?;
        if let Some(running) = shared.running.get(worker) {
            running.store(true, Release);
        }
        Ok(station)
    }
}

impl Drop for Station<'_> {
    fn drop(&mut self) {
        if let Some(running) = self.shared.running.get(self.worker) {
            running.store(false, Release);
        }
        self.shared.controls.set(0, CONTROL_WORKERS + self.cpu, &[0]);
        let _kept = affinity::pin(&self.allowed);
    }
}

/// The thread's signals while it sends: none but the one that ends the run.
struct Quiet {
    before: libc::sigset_t,
}

impl Quiet {
    fn begin() -> Result<Self, XdpError> {
        handle()?;
        let mut all_others = empty_set();
        // SAFETY: a live set for the call to fill.
        unsafe { libc::sigfillset(&raw mut all_others) };
        // SAFETY: a live set and a signal that exists.
        unsafe { libc::sigdelset(&raw mut all_others, SIGNAL) };
        let mut before = empty_set();
        // SAFETY: both sets are live; the first is read, the second written.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all_others, &raw mut before) };
        Ok(Self { before })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // SAFETY: the set is live and was this thread's; the old one is not asked for.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, std::ptr::null_mut()) };
    }
}

/// A thread of this process, as the kernel numbers it.
#[derive(Clone, Copy)]
struct ThreadId {
    process: libc::pid_t,
    thread: libc::pid_t,
}

impl ThreadId {
    fn own() -> Self {
        // SAFETY: no arguments, nothing that could be violated.
        let thread = unsafe { libc::gettid() };
        Self { process: std::process::id().cast_signed(), thread }
    }

    /// Ends a call that the thread is in; nothing happens to one that is in none.
    fn wake(self) {
        // SAFETY: numbers alone; the thread lives, because it waits for the caller's to end.
        unsafe { libc::syscall(libc::SYS_tgkill, self.process, self.thread, SIGNAL) };
    }
}

/// Gives the signal a handler that does nothing, unless it has one: ignored, it would not end a call.
fn handle() -> Result<(), XdpError> {
    let refused = || XdpError::kernel("handle a signal", io::Error::last_os_error());
    // SAFETY: all-zero bytes are a value of this struct: the default handler, an empty mask, no flags.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: `action` is live for the call to set; no new action is given.
    if unsafe { libc::sigaction(SIGNAL, std::ptr::null(), &raw mut action) } < 0 {
        return Err(refused());
    }
    if action.sa_sigaction != libc::SIG_DFL && action.sa_sigaction != libc::SIG_IGN {
        return Ok(());
    }
    action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
    // SAFETY: `action` is live, and names a function of the signature that its flags (none) ask for.
    let result = unsafe { libc::sigaction(SIGNAL, &raw const action, std::ptr::null_mut()) };
    if result < 0 { Err(refused()) } else { Ok(()) }
}

extern "C" fn nothing(_signal: libc::c_int) {}

fn empty_set() -> libc::sigset_t {
    // SAFETY: a signal set is an array of integers, for which zero is a value: no signal.
    unsafe { std::mem::zeroed() }
}

/// Ignored by default, so that one that comes late harms nobody.
const SIGNAL: libc::c_int = libc::SIGURG;
const SHORT_SLEEP: Duration = Duration::from_millis(1);
/// So often it looks whether the end was moved.
const LONG_SLEEP: Duration = Duration::from_millis(200);
