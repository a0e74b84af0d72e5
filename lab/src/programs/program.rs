//! One program that was started, with what it says and where it runs.
//!
//! * Runs on the processors named, from its first instruction: a child inherits its parent's set.
//! * Its standard error, and its standard output if that is wanted, is read to the end by a thread, so that it never
//!   blocks; the last lines are kept.
//! * Ended when dropped, by its own id: SIGTERM, and SIGKILL after a grace. It is reaped here and nowhere else, so the id
//!   is its own as long as this value lives.

use anyhow::{Context, bail};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::fmt::Display;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A program that was started.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    status: Option<ExitStatus>,
    said: Arc<Mutex<VecDeque<String>>>,
    /// Behind a lock only so that the value can be shared; nobody waits for it.
    lines: Mutex<Receiver<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Program {
    /// Starts it in a process group of its own, so that an interrupt at the keyboard reaches only its starter.
    ///
    /// # Errors
    /// No such program, or processors that may not be used.
    pub fn start(start: &Start) -> anyhow::Result<Self> {
        let name = start.binary.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut command = Command::new(&start.binary);
        command.args(&start.arguments).process_group(0);
        // What the caller has set for itself, e.g. REFLECTOR_KEYS, must not configure what is measured.
        let own = std::env::vars_os().map(|(name, _)| name);
        own.filter(|name| name.to_string_lossy().starts_with("REFLECTOR_")).for_each(|name| {
            command.env_remove(name);
        });
        let stdout = if start.hears_stdout { Stdio::piped() } else { Stdio::null() };
        command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
        let mut child = spawn_on(&mut command, &start.cpus)
            .with_context(|| format!("cannot start {}", start.binary.display()))?;
        let said = Arc::new(Mutex::new(VecDeque::new()));
        let (sender, lines) = channel();
        let (stderr, stdout) = (child.stderr.take().map(boxed), child.stdout.take().map(boxed));
        let readers = stderr.into_iter().chain(stdout).map(|pipe| {
            let (said, sender) = (Arc::clone(&said), sender.clone());
            thread::spawn(move || read_lines(pipe, &said, &sender))
        });
        let readers = readers.collect();
        Ok(Self { name, child, status: None, said, lines: Mutex::new(lines), readers })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the first line on standard error that `wanted` takes.
    ///
    /// # Errors
    /// It ended, or said nothing of the kind in time; with its last lines.
    pub fn wait_for<T>(
        &mut self,
        patience: Duration,
        wanted: impl Fn(&str) -> Option<T>,
    ) -> anyhow::Result<T> {
        let until = Instant::now() + patience;
        loop {
            let lines = self.lines.get_mut().unwrap_or_else(PoisonError::into_inner);
            match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some(found) = wanted(&line) {
                        return Ok(found);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.wait(SILENT)?;
                    bail!("{} ended ({}) before it was ready{}", self.name, ending(status), self.last_words())
                }
                Err(RecvTimeoutError::Timeout) => {
                    bail!("{} was not ready within {} s{}", self.name, patience.as_secs(), self.last_words())
                }
            }
        }
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// What waitpid(2) says.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.child.try_wait().with_context(|| format!("cannot wait for {}", self.name))?;
            if self.status.is_some() {
                self.join();
            }
        }
        Ok(self.status)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It still runs after `patience`.
    pub fn wait(&mut self, patience: Duration) -> anyhow::Result<ExitStatus> {
        let until = Instant::now() + patience;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if Instant::now() >= until {
                bail!("{} still runs after {} s{}", self.name, patience.as_secs(), self.last_words());
            }
            thread::sleep(POLL);
        }
    }

    /// Sends it a signal; to one that has ended, nothing.
    ///
    /// # Errors
    /// The signal cannot be sent.
    pub fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        let id = Pid::from_raw(self.id().try_into().context("a process id that is no pid_t")?);
        kill(id, signal.of_kernel())
            .with_context(|| format!("cannot send {} to {} ({id})", signal.of_kernel(), self.name))
    }

    /// Its last lines on standard error, behind a colon and on lines of their own; empty if it said nothing.
    pub fn last_words(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let last = said.iter().skip(said.len().saturating_sub(SHOWN_LINES));
        let lines: String = last.map(|line| format!("\n  {line}")).collect();
        if lines.is_empty() { lines } else { format!("; it said last:{lines}") }
    }

    /// Everything kept of what it said, oldest line first.
    pub fn said(&self) -> Vec<String> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Takes in what it said before it ended; a grandchild that holds the pipe open is not waited for.
    fn join(&mut self) {
        let until = Instant::now() + GRACE;
        for reader in self.readers.drain(..) {
            while !reader.is_finished() && Instant::now() < until {
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // A stopped process takes SIGTERM only when it goes on.
        let asked = self.signal(Signal::Terminate).and_then(|()| self.signal(Signal::Continue));
        if asked.and_then(|()| self.wait(GRACE)).is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// What to start, and how.
#[derive(Clone, Debug)]
pub struct Start {
    binary: PathBuf,
    arguments: Vec<String>,
    cpus: Vec<usize>,
    hears_stdout: bool,
}

impl Start {
    /// The program at this path, without arguments, on any processor.
    pub fn new(binary: &Path) -> Self {
        Self { binary: binary.to_owned(), arguments: Vec::new(), cpus: Vec::new(), hears_stdout: false }
    }

    /// Adds an argument.
    pub fn arg(&mut self, argument: impl Display) -> &mut Self {
        self.arguments.push(argument.to_string());
        self
    }

    /// Adds an option and its value.
    pub fn option(&mut self, name: &str, value: impl Display) -> &mut Self {
        self.arg(name).arg(value)
    }

    /// Keeps it on these processors; none: wherever the caller may run.
    pub fn on(&mut self, cpus: &[usize]) -> &mut Self {
        self.cpus = cpus.to_vec();
        self
    }

    /// Has its standard output read as well, line by line, as if it were standard error.
    pub fn hear_stdout(&mut self) -> &mut Self {
        self.hears_stdout = true;
        self
    }

    /// The command line as a person would type it: the program by its name, the processors by taskset(1).
    pub fn shown(&self) -> String {
        let pinned = if self.cpus.is_empty() {
            String::new()
        } else {
            let cpus: Vec<String> = self.cpus.iter().map(usize::to_string).collect();
            format!("taskset -c {} ", cpus.join(","))
        };
        let name = self.binary.file_name().unwrap_or_default().to_string_lossy();
        let arguments: String =
            self.arguments.iter().map(|argument| format!(" {}", quoted(argument))).collect();
        format!("{pinned}{name}{arguments}")
    }
}

/// The signals that runs need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: end in order.
    Terminate,
    /// SIGINT: as from the keyboard.
    Interrupt,
    /// SIGHUP: reload.
    Reload,
    /// SIGSTOP: stand still.
    Stop,
    /// SIGCONT: go on.
    Continue,
    /// SIGKILL: end now.
    Kill,
}

impl Signal {
    fn of_kernel(self) -> nix::sys::signal::Signal {
        use nix::sys::signal::Signal as Kernel;
        match self {
            Self::Terminate => Kernel::SIGTERM,
            Self::Interrupt => Kernel::SIGINT,
            Self::Reload => Kernel::SIGHUP,
            Self::Stop => Kernel::SIGSTOP,
            Self::Continue => Kernel::SIGCONT,
            Self::Kill => Kernel::SIGKILL,
        }
    }
}

/// How a program ended, in words: `exit code 1`, `signal 9`.
pub fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown cause".to_owned(),
    }
}

/// Starts a child on some processors by standing on them for as long as that takes.
fn spawn_on(command: &mut Command, cpus: &[usize]) -> anyhow::Result<Child> {
    if cpus.is_empty() {
        return Ok(command.spawn()?);
    }
    let before = engine::host::affinity::allowed().context("cannot read this thread's processors")?;
    engine::host::affinity::pin(cpus).with_context(|| format!("cannot run on processors {cpus:?}"))?;
    let child = command.spawn();
    let restored = engine::host::affinity::pin(&before);
    let child = child?;
    restored.context("cannot go back to this thread's processors")?;
    Ok(child)
}

fn boxed(pipe: impl Read + Send + 'static) -> Box<dyn Read + Send> {
    Box::new(pipe)
}

fn read_lines(stderr: impl Read, said: &Mutex<VecDeque<String>>, sender: &Sender<String>) {
    let mut stderr = BufReader::new(stderr);
    let mut line = Vec::new();
    // Bytes, not text: one character that is no UTF-8 must not end the reading.
    while stderr.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        line.clear();
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() == KEPT_LINES {
            said.pop_front();
        }
        said.push_back(text.clone());
        drop(said);
        let _ = sender.send(text); // Nobody may be waiting any more.
    }
}

/// An argument as a shell takes it.
fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=%@+[]".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', r"'\''"))
    }
}

/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(3);
/// How long a program that has closed its pipes may take to end; only one that goes on without them takes so long.
const SILENT: Duration = Duration::from_secs(60);
/// How often an end is looked for.
const POLL: Duration = Duration::from_millis(5);
/// Lines of standard error that are kept.
const KEPT_LINES: usize = 1_000;
/// Lines of it that an error shows.
const SHOWN_LINES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    /// Only a hang lasts so long.
    const PATIENCE: Duration = Duration::from_secs(120);

    /// A shell that takes SIGHUP even if the tests were started with it ignored, as nohup(1) does.
    fn shell(script: &str) -> Program {
        let mut start = Start::new(Path::new("/usr/bin/env"));
        start.arg("--default-signal").arg("/bin/sh").arg("-c").arg(script);
        Program::start(&start).unwrap()
    }

    #[test]
    fn last_words_and_ending_are_told() {
        let mut program = shell("echo one >&2; echo ready 7 >&2; echo 'no \u{fffd} room' >&2; exit 3");
        let ready = |line: &str| line.strip_prefix("ready ")?.parse::<u32>().ok();
        assert_eq!(program.wait_for(PATIENCE, ready).unwrap(), 7);
        let error = program.wait_for(PATIENCE, ready).unwrap_err().to_string();
        assert!(error.contains("exit code 3") && error.contains("room"), "{error}");
        assert_eq!(program.said().len(), 3);
    }

    #[test]
    fn standard_output_is_heard_when_that_is_wanted() {
        for (hears, lines) in [(false, 1), (true, 2)] {
            let mut start = Start::new(Path::new("/bin/sh"));
            start.arg("-c").arg("echo data; echo talk >&2");
            if hears {
                start.hear_stdout();
            }
            let mut program = Program::start(&start).unwrap();
            program.wait(PATIENCE).unwrap();
            assert_eq!(program.said().len(), lines, "{:?}", program.said());
        }
    }

    #[test]
    fn signals_reach_it_and_dropping_ends_it() {
        let mut program = shell("trap 'echo reloaded >&2' HUP; echo up >&2; while :; do sleep 0.01; done");
        program.wait_for(PATIENCE, |line| (line == "up").then_some(())).unwrap();
        program.signal(Signal::Reload).unwrap();
        program.wait_for(PATIENCE, |line| (line == "reloaded").then_some(())).unwrap();
        assert!(program.ended().unwrap().is_none());
        let proc = PathBuf::from(format!("/proc/{}", program.id()));
        assert!(proc.exists());
        program.signal(Signal::Stop).unwrap();
        drop(program);
        assert!(!proc.exists());
    }

    #[test]
    fn it_runs_where_it_is_put() {
        let before = engine::host::affinity::allowed().unwrap();
        let last = *before.last().unwrap();
        let mut start = Start::new(Path::new("/bin/sh"));
        start.arg("-c").arg("grep Cpus_allowed_list /proc/self/status >&2").on(&[last]);
        let mut program = Program::start(&start).unwrap();
        let list = |line: &str| line.strip_prefix("Cpus_allowed_list:").map(|list| list.trim().to_owned());
        assert_eq!(program.wait_for(PATIENCE, list).unwrap(), last.to_string());
        assert_eq!(engine::host::affinity::allowed().unwrap(), before);
        assert!(start.shown().starts_with(&format!("taskset -c {last} sh -c '")), "{}", start.shown());
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Program::start(&Start::new(Path::new("/nonexistent/reflector"))).unwrap_err();
        assert!(format!("{error:#}").contains("/nonexistent/reflector"));
    }
}
