//! Two namespaces joined by a veth pair, the reflector's and the endpoints'.

use harness::{Missing, PATIENCE};
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::OnceLock;

/// The two namespaces. The calling thread is in the reflector's, and so are programs that it starts.
#[derive(Debug)]
pub(crate) struct Spaces {
    peer: File,
}

impl Spaces {
    /// The reflector has .1 of 45.1.0.0/24 and ::1 of 2a01:1::/64, endpoints have .2 and .3, ::2 and ::3.
    pub(crate) fn new() -> Self {
        let (reflector, peer) = (space(), space());
        setns(&reflector, CloneFlags::CLONE_NEWNET).unwrap();
        let spaces = Self { peer };
        ip("link set lo up");
        spaces.join();
        spaces
    }

    /// Makes the veth pair, with the addresses of both ends.
    pub(crate) fn join(&self) {
        let peer = format!("/proc/{}/fd/{}", std::process::id(), self.peer.as_raw_fd());
        ip(&format!("link add r0 type veth peer name p0 netns {peer}"));
        ip("addr add 45.1.0.1/24 dev r0");
        ip("addr add 2a01:1::1/64 dev r0 nodad");
        self.at_peer(|| {
            ip("link set lo up");
            for last in [2, 3] {
                ip(&format!("addr add 45.1.0.{last}/24 dev p0"));
                ip(&format!("addr add 2a01:1::{last}/64 dev p0 nodad"));
            }
            // Else what sockets send here would carry half a checksum, which the program cannot finish.
            run("ethtool", &["-K", "p0", "tx", "off"]);
            // A veth takes no frame of the other end's XDP_TX without a program of its own.
            ip(&format!("link set dev p0 xdpdrv obj {PASS_OBJECT} sec xdp"));
            ip("link set p0 up");
        });
        ip("link set r0 up");
    }

    /// Does `work` in the endpoints' namespace.
    pub(crate) fn at_peer<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| {
                setns(&self.peer, CloneFlags::CLONE_NEWNET).unwrap();
                work()
            });
            worker.join().unwrap()
        })
    }

    /// An endpoint's socket.
    pub(crate) fn socket(&self, address: &str) -> UdpSocket {
        let socket = self.at_peer(|| UdpSocket::bind(address).unwrap());
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// Tells the kernel who the endpoints are, as it would learn from traffic.
    pub(crate) fn introduce(&self) {
        let mac = self.at_peer(|| ip("-o link show p0"));
        let mac = mac.split("link/ether ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        for address in ["45.1.0.2", "45.1.0.3", "2a01:1::2", "2a01:1::3"] {
            ip(&format!("neigh replace {address} lladdr {mac} dev r0 nud permanent"));
        }
    }
}

/// Does `work` on a thread of its own, which sees, with the programs that it starts, a BPF file system of its own.
pub(crate) fn apart(work: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            run("mount", &["--make-rprivate", "/"]);
            run("mount", &["-t", "bpf", "bpf", BPF_FOLDER]);
            work();
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

/// Why there can be no such namespaces here.
pub(crate) fn missing() -> Option<Missing> {
    static MISSING: OnceLock<Option<Missing>> = OnceLock::new();
    let programs = [("ip", "iproute2"), ("ethtool", "ethtool"), ("mount", "mount")];
    let look = || {
        let lacking = Missing::root("network namespaces and XDP").or_else(|| Missing::programs(&programs));
        lacking.or_else(|| {
            let tried = std::thread::spawn(try_spaces).join();
            let tried = tried.unwrap_or_else(|_| Err(String::from("the attempt at a link failed")));
            tried.err().map(Missing::feature)
        })
    };
    MISSING.get_or_init(look).clone()
}

/// Makes, in namespaces that go with the thread, what the tests are made of.
fn try_spaces() -> Result<(), String> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
        .map_err(|error| format!("needs a kernel and a container that allow namespaces: {error}"))?;
    let words = "link add r0 type veth peer name p0";
    let output = Command::new("ip").args(words.split(' ')).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let lacking = || format!("needs a kernel with veth interfaces: `ip {words}`: {}", said.trim());
    output.status.success().then_some(()).ok_or_else(lacking)?;
    let loaded = engine::xdp::Xdp::load("r0", &engine::xdp::Config::new());
    loaded.map_err(|error| error.to_string())?;
    let mounted = std::path::Path::new(BPF_FOLDER).is_dir();
    mounted.then_some(()).ok_or_else(|| format!("needs the folder {BPF_FOLDER}, which sysfs has"))
}

/// Runs a command of ip(8) in the namespace of the calling thread, and gives what it printed.
pub(crate) fn ip(command: &str) -> String {
    run("ip", &command.split(' ').collect::<Vec<_>>())
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Sends, and gives what comes back.
pub(crate) fn ask(socket: &UdpSocket, reflector: SocketAddr, datagram: &[u8]) -> Vec<u8> {
    socket.send_to(datagram, reflector).unwrap();
    receive(socket, reflector)
}

/// The next datagram, which must be the reflector's.
pub(crate) fn receive(socket: &UdpSocket, reflector: SocketAddr) -> Vec<u8> {
    let mut buffer = [0; 2_048];
    let (len, source) = loop {
        match socket.recv_from(&mut buffer) {
            // A wait with a time limit is not taken up again after a stop or a freeze of the process (signal(7)).
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => break outcome.expect("nothing came"),
        }
    };
    assert_eq!(source, reflector);
    buffer[..len].to_vec()
}

fn space() -> File {
    let made = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        File::open("/proc/thread-self/ns/net").unwrap()
    });
    made.join().unwrap()
}

/// Where a BPF file system is mounted.
const BPF_FOLDER: &str = "/sys/fs/bpf";
const PASS_OBJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../lab/bpf/pass.bpf.o");
