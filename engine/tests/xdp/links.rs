//! Pairs of veth interfaces, each pair in a network namespace of its own, and folders of BPF file systems.
//!
//! * A test runs on a thread of its own, in namespaces that go with that thread and those that it started.
//! * Nobody else speaks on such a link: no address is made on it, and no other program knows the namespace.

use harness::{Folder, Missing};
use nix::sched::{CloneFlags, unshare};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;

/// Does `work` on a thread of its own, in a network namespace and a mount namespace of its own.
pub(crate) fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Why there can be no such links here.
pub(crate) fn missing() -> Option<Missing> {
    static MISSING: OnceLock<Option<Missing>> = OnceLock::new();
    let try_one = || -> Result<(), String> {
        let flags = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS;
        unshare(flags).map_err(|error| format!("needs a container that allows namespaces: {error}"))?;
        let words = "link add one type veth peer name other";
        let output = run("ip", words);
        let said = String::from_utf8_lossy(&output.stderr);
        let refused = || format!("needs a kernel with veth interfaces: `ip {words}`: {}", said.trim());
        output.status.success().then_some(()).ok_or_else(refused)
    };
    let look = || {
        Missing::programs(&[("ip", "iproute2"), ("mount", "mount")]).or_else(|| {
            let tried = std::thread::scope(|scope| scope.spawn(try_one).join());
            tried
                .unwrap_or_else(|_| Err(String::from("the attempt at a link failed")))
                .err()
                .map(Missing::feature)
        })
    };
    MISSING.get_or_init(look).clone()
}

/// Makes a pair of veth interfaces.
pub(crate) fn pair(one: &str, other: &str) {
    ip(&format!("link add {one} type veth peer name {other}"));
}

/// Runs a command of ip(8) and returns what it printed.
pub(crate) fn ip(words: &str) -> String {
    let output = run("ip", words);
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// As [`apart`], with a folder of a BPF file system that only these threads see.
pub(crate) fn apart_with_pins<T: Send>(work: impl FnOnce(&Path) -> T + Send) -> T {
    let folder = Folder::new("engine-pins");
    let path = folder.path();
    apart(|| {
        for words in ["--make-rprivate /", &format!("-t bpf bpf {}", path.display())] {
            let output = run("mount", words);
            assert!(output.status.success(), "mount {words}: {}", String::from_utf8_lossy(&output.stderr));
        }
        work(path)
    })
}

fn run(program: &str, words: &str) -> Output {
    Command::new(program).args(words.split(' ')).output().unwrap()
}
