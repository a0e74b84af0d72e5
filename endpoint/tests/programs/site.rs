//! A site of real programs on loopback: an access server and two reflectors, at free ports.
//!
//! * Everything that was started is ended, and every file removed, when the site is dropped.
//! * Names, passwords and keys are the site's own, so any number can run side by side.

use crate::folder::{Folder, PASSWORD, Running, text};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A site with two enrolled devices, host0 and host1, that are buddies.
pub(crate) struct Site {
    pub(crate) folder: Folder,
    pub(crate) access: Option<Running>,
    access_at: SocketAddr,
    reflectors: Vec<(Running, SocketAddr)>,
}

/// The programs that are not this crate's.
#[derive(Clone)]
pub(crate) struct Programs {
    reflector: PathBuf,
    access: PathBuf,
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
    /// Starts everything and enrols; leases end after two seconds without refresh.
    pub(crate) fn start(programs: &Programs, name: &str) -> Self {
        let folder = Folder::new(name);
        let mut site =
            Self { folder, access: None, access_at: ([127, 0, 0, 1], 0).into(), reflectors: Vec::new() };
        let master = site.done(Command::new(&programs.access).arg("keygen"), "");
        site.write("master.toml", &master);
        for name in ["lo1", "lo2"] {
            let mut ring = Command::new(&programs.access);
            ring.args(["ring", name, "--master"]).arg(site.path("master.toml"));
            let ring = site.done(&mut ring, "");
            site.write(&format!("{name}.toml"), &ring);
            site.start_reflector(programs, name);
        }
        site.start_access(programs);
        for host in 0..2 {
            let account = format!("host{host}");
            site.administer(programs, &["account", "add", &account], PASSWORD);
        }
        site.administer(programs, &["buddy", "add", "host0", "host1"], "");
        let url = site.url();
        for host in 0..2 {
            let output = site.folder.enrol(host, &url);
            assert!(output.status.success(), "{}", text(&output.stderr));
        }
        site
    }

    /// Starts the access server, again at the port that it had before.
    pub(crate) fn start_access(&mut self, programs: &Programs) {
        let mut command = Command::new(&programs.access);
        command.env_clear().args(["run", "--allow-destination", "127.0.0.0/8", "--lease", "2s"]);
        command.args(["--listen", &self.access_at.to_string(), "--admin", "127.0.0.1:0"]);
        command.arg("--master").arg(self.path("master.toml")).arg("--store").arg(self.path("store.redb"));
        for (name, (_, address)) in ["lo1", "lo2"].iter().zip(&self.reflectors) {
            command.args(["--reflector", &format!("{name}={address}")]);
        }
        let running = Running::start(command, self.path("access.log"));
        self.access_at = ready_at(&running);
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

    fn start_reflector(&mut self, programs: &Programs, name: &str) {
        let mut command = Command::new(&programs.reflector);
        command.env_clear().args([
            "run",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "--workers",
            "1",
        ]);
        command.args(["--allow-destination", "127.0.0.0/8", "--engine", "mio"]);
        command.arg("--keys").arg(self.path(&format!("{name}.toml")));
        let running = Running::start(command, self.path(&format!("{name}.log")));
        let address = ready_at(&running);
        self.reflectors.push((running, address));
    }

    fn administer(&self, programs: &Programs, words: &[&str], input: &str) {
        let mut command = Command::new(&programs.access);
        command.env_clear().args(words).arg("--store").arg(self.path("store.redb"));
        self.done(&mut command, input);
    }

    /// Runs a command to its good end; what it wrote.
    fn done(&self, command: &mut Command, input: &str) -> String {
        let given = self.path("input");
        std::fs::write(&given, input).unwrap();
        let output = command.stdin(Stdio::from(std::fs::File::open(given).unwrap())).output().unwrap();
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
fn ready_at(running: &Running) -> SocketAddr {
    running.wait_for("INFO ready listen=\"");
    let said = running.said();
    let address = said.split("ready listen=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    address.parse().unwrap()
}
