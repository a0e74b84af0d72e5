//! A site of real programs on loopback: an access server and two reflectors, at free ports, in a folder of their own.
//!
//! * Everything that was started is ended, and every file removed, when the site is dropped, also by a failed test.
//! * Names and keys are the site's own, so any number can run side by side.

use loadgen::presence_report::PresenceReport;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The programs that are not this crate's.
pub(crate) struct Programs {
    reflector: PathBuf,
    access: PathBuf,
}

/// A site.
pub(crate) struct Site {
    folder: PathBuf,
    running: Vec<Child>,
    reflectors: Vec<(SocketAddr, SocketAddr)>,
    access: SocketAddr,
    access_admin: SocketAddr,
}

impl Programs {
    /// The programs beside this test; what is missing otherwise.
    pub(crate) fn find() -> Result<Self, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        // The test lies in `deps` of the folder that programs are built in.
        let folder = own.parent().and_then(|deps| deps.parent()).ok_or("this test lies in no folder")?;
        let program = |name: &str| {
            let path = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
            let missing = || format!("no {}; `cargo build -p reflector -p access` makes it", path.display());
            if path.is_file() { Ok(path) } else { Err(missing()) }
        };
        Ok(Self { reflector: program("reflector")?, access: program("reflector-access")? })
    }
}

impl Site {
    /// Starts everything; whether the access server accepts contacts on loopback is to choose.
    pub(crate) fn start(programs: &Programs, accepts: bool) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("presence-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let nowhere: SocketAddr = ([127, 0, 0, 1], 0).into();
        let mut site = Self {
            folder,
            running: Vec::new(),
            reflectors: Vec::new(),
            access: nowhere,
            access_admin: nowhere,
        };
        let made = |command: &mut Command| {
            let output = command.env_clear().output().unwrap();
            assert!(output.status.success(), "{command:?}: {}", said(&output.stderr));
            output.stdout
        };
        let master = site.folder.join("master.toml");
        std::fs::write(&master, made(Command::new(&programs.access).arg("keygen"))).unwrap();
        for name in NAMES {
            let ring = site.folder.join(format!("{name}.toml"));
            let mut derive = Command::new(&programs.access);
            std::fs::write(&ring, made(derive.args(["ring", name, "--master"]).arg(&master))).unwrap();
            let mut command = Command::new(&programs.reflector);
            command.args(["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--workers", "1"]);
            command.args(["--engine", "mio", "--allow-destination", "127.0.0.0/8", "--keys"]).arg(&ring);
            let places = site.launch(command, name);
            site.reflectors.push(places);
        }
        let mut command = Command::new(&programs.access);
        command.args(["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        if accepts {
            command.args(["--allow-destination", "127.0.0.0/8"]);
        }
        command.arg("--master").arg(&master).arg("--store").arg(site.folder.join("store.redb"));
        for (name, (address, _)) in NAMES.iter().zip(&site.reflectors) {
            command.args(["--reflector", &format!("{name}={address}")]);
        }
        (site.access, site.access_admin) = site.launch(command, "access");
        site
    }

    /// `reflector-loadgen presence` with these flags, the site's own before them.
    pub(crate) fn command(&self, flags: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reflector-loadgen"));
        command.env_clear().arg("presence").stdin(Stdio::null());
        // What a test gives itself takes the place of what the site would give.
        if !flags.contains(&"--access") {
            command.args(["--access", &format!("http://{}", self.access)]);
        }
        if !flags.contains(&"--control") {
            command.arg("--control").arg(self.folder.join("store.redb.sock"));
        }
        command.arg("--json").arg(self.folder.join("report.json")).args(flags);
        command
    }

    /// The same, to its end: exit code and report.
    pub(crate) fn finish(&self, flags: &[&str]) -> (i32, PresenceReport) {
        let output = self.command(flags).output().unwrap();
        let table = said(&output.stdout);
        assert!(table.starts_with("access ") && table.contains("\nvalidity"), "{}", said(&output.stderr));
        (output.status.code().unwrap(), self.report())
    }

    /// The report that was written last.
    pub(crate) fn report(&self) -> PresenceReport {
        serde_json::from_slice(&std::fs::read(self.folder.join("report.json")).unwrap()).unwrap()
    }

    /// Where the files of this site are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends both reflectors, as a power cut would.
    pub(crate) fn end_reflectors(&mut self) {
        end(&mut self.running[..NAMES.len()]);
    }

    /// Ends the access server in the same way.
    pub(crate) fn end_access(&mut self) {
        end(&mut self.running[NAMES.len()..]);
    }

    /// Where the metrics of the reflectors are.
    pub(crate) fn metrics(&self) -> Vec<String> {
        self.reflectors.iter().map(|(_, admin)| format!("http://{admin}/metrics")).collect()
    }

    /// Waits until so many logins were answered.
    pub(crate) fn wait_for_logins(&self, count: u64) {
        let metrics = format!("http://{}/metrics", self.access_admin);
        let logins = || {
            let text = ureq::get(&metrics).call().unwrap().body_mut().read_to_string().unwrap();
            let head = "reflector_access_requests_total{call=\"login\",status=\"2xx\"} ";
            let count = text.lines().find_map(|line| line.strip_prefix(head));
            count.unwrap_or_else(|| panic!("no logins in {text}")).parse::<u64>().unwrap()
        };
        wait(|| logins() >= count, "nobody logs in");
    }

    /// Starts a daemon; where it listens, and its admin listener.
    fn launch(&mut self, mut command: Command, name: &str) -> (SocketAddr, SocketAddr) {
        let path = self.folder.join(format!("{name}.log"));
        let log = std::fs::File::create(&path).unwrap();
        command.env_clear().stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.running.push(command.spawn().unwrap());
        let read = || std::fs::read_to_string(&path).unwrap();
        let value = |key: &str| {
            let text = read();
            let line = text.lines().find(|line| line.contains("INFO ready "))?;
            let rest = line.split(&format!("{key}=")).nth(1)?.trim_start_matches('"');
            rest.split(['"', ' ']).next()?.parse().ok()
        };
        wait(
            || value("listen").is_some() && value("admin").is_some(),
            &format!("{name} does not start: {}", read()),
        );
        (value("listen").unwrap(), value("admin").unwrap())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        end(&mut self.running);
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

fn end(running: &mut [Child]) {
    for child in running {
        child.kill().ok();
        child.wait().ok();
    }
}

/// What a program wrote.
pub(crate) fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn wait(done: impl Fn() -> bool, complaint: &str) {
    let end = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < end, "{complaint}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

const NAMES: [&str; 2] = ["lo1", "lo2"];
