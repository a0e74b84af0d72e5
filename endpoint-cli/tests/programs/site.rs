//! A site of real programs on loopback: an access server and two reflectors, at free ports.
//!
//! * Everything that was started is ended, and every file removed, when the site is dropped.
//! * Names, passwords and keys are the site's own, so any number can run side by side.

use crate::folder::{Folder, PASSWORD, Running, finished, text};
use harness::{Sibling, sibling};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

/// A site with two enrolled devices, host0 and host1, that are buddies.
pub(crate) struct Site {
    pub(crate) access: Option<Running>,
    access_at: SocketAddr,
    flags: Vec<String>,
    reflectors: Vec<(Running, SocketAddr)>,
    // Goes last, when nobody writes into it any more.
    pub(crate) folder: Folder,
}

impl Site {
    /// Starts everything and enrols; the flags are the access server's.
    pub(crate) fn start(name: &str, flags: &[&str]) -> Self {
        let mut site = Self {
            access: None,
            access_at: own_address(),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            reflectors: Vec::new(),
            folder: Folder::new(name),
        };
        let master = site.done(Command::new(sibling(Sibling::Access)).arg("keygen"), "");
        site.write("master.toml", &master);
        for name in ["lo1", "lo2"] {
            let mut ring = Command::new(sibling(Sibling::Access));
            ring.args(["ring", name, "--master"]).arg(site.path("master.toml"));
            let ring = site.done(&mut ring, "");
            site.write(&format!("{name}.toml"), &ring);
            site.start_reflector(name);
        }
        site.start_access();
        for host in 0..2 {
            let account = format!("host{host}");
            site.administer(&["account", "add", &account], PASSWORD);
        }
        site.administer(&["buddy", "add", "host0", "host1"], "");
        let url = site.url();
        for host in 0..2 {
            let output = site.folder.enrol(host, &url);
            assert!(output.status.success(), "{}", text(&output.stderr));
        }
        site
    }

    /// Starts the access server, again at the port that it had before.
    pub(crate) fn start_access(&mut self) {
        let mut command = Command::new(sibling(Sibling::Access));
        command.env_clear().args(["run", "--allow-destination", "127.0.0.0/8"]).args(&self.flags);
        command.args(["--listen", &self.access_at.to_string(), "--admin", "127.0.0.1:0"]);
        command.arg("--master").arg(self.path("master.toml")).arg("--store").arg(self.path("store.redb"));
        for (name, (_, address)) in ["lo1", "lo2"].iter().zip(&self.reflectors) {
            command.args(["--reflector", &format!("{name}={address}")]);
        }
        let mut running = Running::start(&mut command);
        self.access_at = ready_at(&mut running);
        self.access = Some(running);
    }

    /// Ends the access server as a crash does.
    pub(crate) fn kill_access(&mut self) {
        self.access = None;
    }

    /// Ends the first reflector as a crash does; its address.
    pub(crate) fn kill_reflector(&mut self) -> SocketAddr {
        self.reflectors.remove(0).1
    }

    /// The addresses of the reflectors that run.
    pub(crate) fn reflectors(&self) -> Vec<SocketAddr> {
        self.reflectors.iter().map(|(_, address)| *address).collect()
    }

    fn url(&self) -> String {
        format!("http://{}", self.access_at)
    }

    fn start_reflector(&mut self, name: &str) {
        let mut command = Command::new(sibling(Sibling::Reflector));
        command.env_clear().args([
            "run",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "--workers",
            "1",
        ]);
        command.args(["--allow-destination", "127.0.0.0/8", "--engine", "epoll"]);
        command.arg("--keys").arg(self.path(&format!("{name}.toml")));
        let mut running = Running::start(&mut command);
        let address = ready_at(&mut running);
        self.reflectors.push((running, address));
    }

    fn administer(&self, words: &[&str], input: &str) {
        let mut command = Command::new(sibling(Sibling::Access));
        command.env_clear().args(words).arg("--store").arg(self.path("store.redb"));
        self.done(&mut command, input);
    }

    /// Runs a command to its good end; what it wrote.
    fn done(&self, command: &mut Command, input: &str) -> String {
        let given = self.path("input");
        std::fs::write(&given, input).unwrap();
        command.stdin(Stdio::from(std::fs::File::open(given).unwrap()));
        let output = finished(harness::Running::start_with_input(command));
        assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.file(0).with_file_name(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }
}

/// Where a daemon listens, once it is ready.
fn ready_at(running: &mut Running) -> SocketAddr {
    running.wait_for("INFO ready listen=\"");
    let said = running.said();
    let address = said.split("ready listen=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    address.parse().unwrap()
}

/// A loopback address that no other site has, and no port yet: whatever else runs here, an access server that was killed
/// gets its port again.
fn own_address() -> SocketAddr {
    static NUMBER: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    SocketAddr::from(([127, NUMBER.fetch_add(1, Ordering::Relaxed), high, low], 0))
}
