//! A process that a test started: killed and reaped when the value is dropped, also when the test fails.

use crate::wait::wait_until_or;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use nix::sys::signal::Signal;

/// The process, with everything it has said so far.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Said,
    stderr: Said,
    farewell: Option<Signal>,
}

impl Running {
    /// Starts a command. Standard output and standard error are read to the end by threads of their own, so the process
    /// never blocks on a full pipe. Standard input is empty.
    ///
    /// # Panics
    /// The command cannot be started.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null());
        Self::start_with_input(command)
    }

    /// Starts a command whose standard input the caller has set.
    ///
    /// # Panics
    /// The command cannot be started.
    #[track_caller]
    #[expect(clippy::panic, reason = "a test whose program does not start has failed")]
    pub fn start_with_input(command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let (stdout, stderr) = (Said::of(child.stdout.take()), Said::of(child.stderr.take()));
        Self { child, stdout, stderr, farewell: None }
    }

    /// Lets the process end in order when the value is dropped, by this signal: for programs that have children of their
    /// own, which would outlive a kill. One that does not end in time is killed.
    #[must_use]
    pub fn ended_by(mut self, signal: Signal) -> Self {
        self.farewell = Some(signal);
        self
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The process itself, for its standard input.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Everything on standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Everything on standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until standard error contains `words`.
    ///
    /// # Panics
    /// The process ended without saying them, or said nothing of the kind in time.
    #[track_caller]
    pub fn wait_for(&mut self, words: &str) {
        wait_until_or(
            || self.stderr.text().contains(words) || self.has_ended(),
            || format!("`{words}` did not come"),
        );
        let said = self.stderr();
        assert!(said.contains(words), "it ended without saying `{words}`:\n{said}");
    }

    /// Whether the process has ended. If it has, everything it said has been read.
    ///
    /// # Panics
    /// waitpid(2) failed.
    #[expect(clippy::expect_used, reason = "a child can be waited for")]
    pub fn has_ended(&mut self) -> bool {
        let ended = self.child.try_wait().expect("a child can be waited for").is_some();
        if ended {
            self.stdout.finish();
            self.stderr.finish();
        }
        ended
    }

    /// Waits for the process to end and returns how it ended.
    ///
    /// # Panics
    /// It does not end in time.
    #[track_caller]
    #[expect(clippy::expect_used, reason = "a child can be waited for")]
    pub fn wait(&mut self) -> ExitStatus {
        let id = self.id();
        wait_until_or(
            || self.child.try_wait().expect("a child can be waited for").is_some(),
            || format!("process {id} does not end"),
        );
        self.has_ended();
        self.child.wait().expect("a child can be waited for")
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// The process has ended and been reaped, or the kernel refuses.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        send(self.id(), signal);
    }

    /// Kills the process, as a crash would, and waits for its end.
    pub fn kill(&mut self) {
        let _ = self.child.kill(); // It may have ended already, which is what some tests want.
        let _ = self.child.wait();
        self.stdout.finish();
        self.stderr.finish();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(signal) = self.farewell {
            let deadline = Instant::now() + FAREWELL;
            let id = i32::try_from(self.id()).map(Pid::from_raw);
            // It has not been waited for yet, so the id is still its own.
            let is_asked =
                matches!(self.child.try_wait(), Ok(None)) && id.is_ok_and(|id| kill(id, signal).is_ok());
            while is_asked && matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a child of this process that has not been waited for yet.
///
/// # Panics
/// There is no such process, or the kernel refuses.
#[track_caller]
#[expect(clippy::panic, clippy::expect_used, reason = "a test that cannot signal its child has failed")]
pub fn send(id: u32, signal: Signal) {
    let id = i32::try_from(id).expect("process ids are positive and fit");
    kill(Pid::from_raw(id), signal).unwrap_or_else(|error| panic!("cannot send {signal} to {id}: {error}"));
}

/// What came through one pipe so far.
#[derive(Debug)]
struct Said {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Said {
    fn of(pipe: Option<impl Read + Send + 'static>) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let reader = pipe.map(|pipe| {
            let text = Arc::clone(&text);
            std::thread::spawn(move || read(pipe, &text))
        });
        Self { text, reader }
    }

    fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads what is left, unless a grandchild holds the pipe open.
    fn finish(&mut self) {
        let deadline = Instant::now() + GRACE;
        if let Some(reader) = self.reader.take() {
            while !reader.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

/// Reads lines as bytes, because one that is not UTF-8 must not end the reading.
fn read(pipe: impl Read, text: &Mutex<String>) {
    let (mut pipe, mut line) = (BufReader::new(pipe), Vec::new());
    while pipe.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        *text.lock().unwrap_or_else(PoisonError::into_inner) += &String::from_utf8_lossy(&line);
        line.clear();
    }
}

/// How long a process that is to end in order may take for it.
const FAREWELL: Duration = Duration::from_secs(60);
/// How long a pipe that a grandchild keeps open is still read after the child's end.
const GRACE: Duration = Duration::from_secs(3);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::path::Path;

    fn shell(script: &str) -> Running {
        Running::start(Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn what_it_says_is_heard_and_signals_reach_it() {
        let mut running = shell("trap 'echo bye; exit 7' TERM; echo up >&2; while :; do sleep 0.01; done");
        running.wait_for("up\n");
        running.signal(Signal::SIGTERM);
        assert_eq!(running.wait().code(), Some(7));
        assert_eq!((running.stdout().as_str(), running.stderr().as_str()), ("bye\n", "up\n"));
    }

    #[test]
    fn a_failing_test_leaves_no_process_behind() {
        let failed = std::panic::catch_unwind(|| {
            let running = shell("echo up >&2; exec sleep 100");
            std::panic::panic_any(running.id());
        });
        let id = *failed.unwrap_err().downcast::<u32>().unwrap();
        assert!(!Path::new(&format!("/proc/{id}")).exists());
    }

    #[test]
    fn one_with_children_of_its_own_ends_in_order() {
        let mut running = shell("trap 'kill $!; wait; exit' TERM; sleep 1000 & echo $! up >&2; wait");
        running.wait_for(" up\n");
        let child = running.stderr().split(' ').next().unwrap().to_owned();
        drop(running.ended_by(Signal::SIGTERM));
        assert!(!Path::new(&format!("/proc/{child}")).exists());
    }

    #[test]
    #[should_panic(expected = "it ended without saying `ready`:\nno room\n")]
    fn one_that_ends_too_early_says_why() {
        shell("echo no room >&2").wait_for("ready");
    }
}
