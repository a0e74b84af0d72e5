//! A reflector as a process of its own, with a folder of its own.
//!
//! * Ready when it says so; ended by its id when the value goes out of scope, whatever the test does.

use crate::page::Page;
use crate::protocol::Key;
use engine::kind::Kind;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

/// A running reflector.
#[derive(Debug)]
pub(crate) struct Reflector {
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    pub(crate) folder: Folder,
    pub(crate) key: Key,
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) admin: SocketAddr,
    pub(crate) ready: serde_json::Value,
}

impl Reflector {
    /// One that serves 127.0.0.1, with loopback opened and one worker, and these flags besides.
    pub(crate) fn start(flags: &[&str]) -> Reflector {
        let common =
            ["--listen", "127.0.0.1:0", "--workers", "1", "--allow-destination", "127.0.0.0/8,::1/128"];
        Reflector::start_bare(&[&common, flags].concat())
    }

    /// As [`Reflector::start`], on this engine.
    pub(crate) fn start_on(kind: Kind, flags: &[&str]) -> Reflector {
        Reflector::start(&[flags, &["--engine", kind.as_str()]].concat())
    }

    /// As [`Reflector::start_bare`], on this engine.
    pub(crate) fn start_bare_on(kind: Kind, flags: &[&str]) -> Reflector {
        Reflector::start_bare(&[flags, &["--engine", kind.as_str()]].concat())
    }

    /// One with these flags and nothing besides keys, admin port and log form.
    pub(crate) fn start_bare(flags: &[&str]) -> Reflector {
        Reflector::start_in(Folder::new(), flags)
    }

    /// One whose folder is there already; `{folder}` in a flag is its path.
    pub(crate) fn start_in(folder: Folder, flags: &[&str]) -> Reflector {
        Reflector::start_by(program(), folder, flags)
    }

    /// One that this command starts.
    pub(crate) fn start_by(mut command: Command, folder: Folder, flags: &[&str]) -> Reflector {
        let key = Key::new(7, 7);
        folder.write("ring.toml", &key.toml());
        let path = folder.path.display().to_string();
        command.args(["run", "--admin", "127.0.0.1:0", "--log-format", "json", "--keys"]);
        command.arg(folder.path.join("ring.toml"));
        command.args(flags.iter().map(|flag| flag.replace("{folder}", &path)));
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let writer = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                *writer.lock().unwrap() += &(line + "\n");
            }
        });
        let mut reflector = Reflector {
            child,
            log,
            reader: Some(reader),
            folder,
            key,
            listen: Vec::new(),
            admin: SocketAddr::from(([127, 0, 0, 1], 0)),
            ready: serde_json::Value::Null,
        };
        let ready = reflector.wait_for_line("ready");
        let text = |field: &str| ready[field].as_str().unwrap().to_owned();
        reflector.listen = text("listen").split(',').map(|it| it.parse().unwrap()).collect();
        reflector.admin = text("admin").parse().unwrap();
        reflector.ready = ready;
        reflector
    }

    /// The first address that it serves.
    pub(crate) fn address(&self) -> SocketAddr {
        self.listen[0]
    }

    /// Everything logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// The first log line with this message, waited for.
    pub(crate) fn wait_for_line(&mut self, message: &str) -> serde_json::Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ended = self.child.try_wait().unwrap().is_some();
            if let Some(reader) = self.reader.take_if(|_| ended) {
                reader.join().unwrap();
            }
            let log = self.log();
            let mut lines =
                log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            if let Some(line) = lines.find(|line| line["message"] == message) {
                return line;
            }
            assert!(!ended && Instant::now() < deadline, "no line {message:?} came; the log:\n{log}");
            sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal by name, e.g. `HUP`.
    pub(crate) fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
    }

    /// Waits for the end and returns the exit code.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end; the log:\n{}", self.log());
            sleep(Duration::from_millis(5));
        }
    }

    /// Status and body of an admin page.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: reflector\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// The metrics now.
    pub(crate) fn metrics(&self) -> Page {
        let (status, body) = self.get("/metrics");
        assert_eq!(status, 200);
        Page::new(&body)
    }

    /// The metrics once `met` holds.
    pub(crate) fn metrics_when(&self, met: impl Fn(&Page) -> bool) -> Page {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let page = self.metrics();
            if met(&page) {
                return page;
            }
            assert!(Instant::now() < deadline, "the condition is not met:\n{page:?}");
            sleep(Duration::from_millis(2));
        }
    }

    /// Reloads and waits until it is done; `outcome` is `success` or `failure`.
    pub(crate) fn reload(&self, outcome: &str) {
        let done = |page: &Page| page.sum("reflector_reloads_total", &[("outcome", outcome)]);
        let before = done(&self.metrics());
        self.signal("HUP");
        self.metrics_when(|page| done(page) > before);
    }
}

impl Drop for Reflector {
    fn drop(&mut self) {
        // It may have ended by itself, which is what some tests want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder for one test, removed with it.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
}

impl Folder {
    pub(crate) fn new() -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("reflector-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder { path }
    }

    /// Writes a file so that a reader sees all of it or the one before.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let (path, fresh) = (self.path.join(name), self.path.join(format!("{name}.new")));
        std::fs::write(&fresh, text).unwrap();
        std::fs::rename(&fresh, &path).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed stays in the system's folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// The program, in an environment without settings.
pub(crate) fn program() -> Command {
    program_at(Path::new(env!("CARGO_BIN_EXE_reflector")))
}

/// A copy of the program, likewise.
pub(crate) fn program_at(path: &Path) -> Command {
    let mut command = Command::new(path);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("REFLECTOR_"))
    {
        command.env_remove(name);
    }
    command
}

/// How long to wait for what must come: far beyond what a busy machine needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
