//! A reflector and an access server on loopback, for what only running programs show.

use harness::{Folder, Running, Sibling, sibling};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

/// Both servers, and a folder with their files.
pub(crate) struct Site {
    pub(crate) folder: Folder,
    pub(crate) reflector: Daemon,
    pub(crate) access: Daemon,
}

/// A running server.
pub(crate) struct Daemon {
    _running: Running,
    pub(crate) listen: String,
    pub(crate) admin: String,
}

impl Site {
    pub(crate) fn start(name: &str) -> Self {
        let folder = Folder::new(name);
        folder.write("master.toml", &said(&folder, Sibling::Access, &["keygen"]));
        folder
            .write("ring.toml", &said(&folder, Sibling::Access, &["ring", "lo1", "--master", "master.toml"]));
        let reflector = Daemon::start(
            &folder,
            Sibling::Reflector,
            &["--keys", "ring.toml", "--workers", "1", "--stun", "binding", "--engine", "epoll"],
        );
        let lo1 = format!("lo1={}", reflector.listen);
        let access = Daemon::start(
            &folder,
            Sibling::Access,
            &["--master", "master.toml", "--store", "store.redb", "--reflector", &lo1],
        );
        Self { folder, reflector, access }
    }
}

impl Daemon {
    fn start(folder: &Folder, program: Sibling, flags: &[&str]) -> Self {
        let mut command = command(folder, program);
        command.args(["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json"]);
        command.args(["--allow-destination", "127.0.0.0/8"]).args(flags);
        let mut running = Running::start(&mut command);
        running.wait_for("\"message\":\"ready\"");
        let log = running.stderr();
        let line = log.lines().find(|line| line.contains("\"message\":\"ready\"")).unwrap();
        let ready: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| ready[key].as_str().unwrap().to_owned();
        Self { listen: text("listen"), admin: text("admin"), _running: running }
    }

    /// The body of a page of the admin server.
    pub(crate) fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.admin).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }
}

/// A program that runs in the folder, without settings from the environment.
pub(crate) fn command(folder: &Folder, program: Sibling) -> Command {
    let mut command = Command::new(sibling(program));
    command.env_clear().current_dir(folder.path()).stdin(Stdio::null());
    command
}

/// What a command that succeeds prints.
pub(crate) fn said(folder: &Folder, program: Sibling, arguments: &[&str]) -> String {
    let output = command(folder, program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
