//! Which engine runs, and what is said where io_uring may not: the daemon under a seccomp filter, as in a container.

use crate::rig::daemon::{Folder, Reflector, program};
use crate::rig::protocol::Key;
use crate::rig::traffic::Endpoint;
use harness::{Missing, Signal, wait_until};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use std::process::{Command, Output, Stdio};

/// Runs `act` on a thread that may not set up io_uring; neither may the processes that it starts.
fn without_io_uring<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    let rules = [(SYS_IO_URING_SETUP, Vec::new())].into();
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(EPERM), arch).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            apply_filter(&program).unwrap();
            act()
        });
        thread.join().unwrap()
    })
}

/// What a command says with a good ring and these arguments.
fn output(command: &str, arguments: &[&str]) -> Output {
    let folder = Folder::new("reflector-test");
    folder.write("ring.toml", &Key::new(1, 1).toml());
    let mut program = program();
    program.current_dir(folder.path()).args([command, "--keys", "ring.toml", "--listen", "127.0.0.1:0"]);
    program.args(arguments).output().unwrap()
}

pub(crate) fn where_io_uring_is_forbidden_auto_takes_epoll_and_says_why_in_one_line() {
    let reflector = without_io_uring(|| Reflector::start(&[]));
    assert_eq!(reflector.ready["engine"], "epoll");
    assert_eq!(reflector.metrics().label("reflector_build_info", "engine"), "epoll");
    let log = reflector.log();
    let said: Vec<&str> = log.lines().filter(|line| line.contains("io_uring")).collect();
    assert_eq!(said.len(), 1, "{log}");
    assert!(said[0].contains("WARN") && said[0].contains("seccomp"), "{}", said[0]);
    Endpoint::new("127.0.0.1:0", &reflector).fence();
}

pub(crate) fn where_io_uring_is_forbidden_a_demand_for_it_is_refused_with_78() {
    for flags in [&["--engine", "uring"][..], &["--engine", "uring", "--uring-sqpoll", "on"]] {
        for command in ["run", "check"] {
            let output = without_io_uring(|| output(command, flags));
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!((output.status.code(), said.lines().count()), (Some(78), 1), "{said}");
            let words = ["--engine uring", "seccomp profile that allows io_uring_setup", "--engine auto"];
            assert!(words.iter().all(|word| said.contains(word)), "{said}");
        }
    }
}

/// A reflector of eight workers that may lock so much memory.
fn limited(locked_bytes: u64) -> Reflector {
    // A user who may lock without limit (CAP_IPC_LOCK) gives that up; one without that right cannot, and need not.
    let dropped = ["setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock"];
    let has_limit = Command::new(dropped[0]).args(&dropped[1..]).arg("true").stderr(Stdio::null()).status();
    let wrapper = if has_limit.is_ok_and(|status| status.success()) { &dropped[..] } else { &[] };
    let mut command = Command::new("prlimit");
    command.arg(format!("--memlock={locked_bytes}")).args(wrapper).arg(program().get_program());
    let flags = ["--listen", "127.0.0.1:0", "--workers", "8", "--allow-destination", "127.0.0.0/8"];
    Reflector::start_by(command, Folder::new("reflector-test"), &flags)
}

/// Why a limit of locked memory cannot be tried here. Kernels from 5.12 to 6.13 count no ring against it.
pub(crate) fn no_limit_of_locked_memory() -> Option<Missing> {
    Missing::programs(&[("prlimit", "util-linux"), ("setpriv", "util-linux")]).or_else(|| {
        let reflector = limited(LOCKED_BYTES[0]);
        Endpoint::new("127.0.0.1:0", &reflector).fence();
        let unlimited = reflector.ready["engine"] == "uring";
        unlimited
            .then(|| Missing::feature("needs a kernel that counts the rings of io_uring as locked memory"))
    })
}

pub(crate) fn where_memory_may_not_be_locked_auto_takes_epoll_before_a_worker_fails() {
    for locked_bytes in LOCKED_BYTES {
        let reflector = limited(locked_bytes);
        assert_eq!(reflector.ready["engine"], "epoll", "{locked_bytes}");
        assert!(reflector.log().contains("ulimit -l"), "{}", reflector.log());
        Endpoint::new("127.0.0.1:0", &reflector).fence();
    }
    // Of an ordinary user's limit, other tests may hold a part for a while.
    wait_until("io_uring is not taken", || limited(4 << 20).ready["engine"] == "uring");
}

pub(crate) fn check_says_which_engine_would_run_and_why() {
    let says = |output: Output, words: &[&str]| {
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert!(words.iter().all(|word| text.contains(word)), "{words:?} are not in:\n{text}");
    };
    for name in ["epoll", "mio"] {
        says(output("check", &["--engine", name]), &["engine epoll (as asked for)"]);
    }
    let forbidden =
        ["engine epoll (io_uring is forbidden here", "to mend: the engine is epoll", "or --engine epoll"];
    says(without_io_uring(|| output("check", &[])), &forbidden);
}

pub(crate) fn auto_takes_what_measured_best() {
    // Of an ordinary user's limit of locked memory, other tests may hold a part for a while.
    let mut text = String::new();
    let is_taken = || {
        text = String::from_utf8(output("check", &["--workers", "1"]).stdout).unwrap();
        text.contains("engine uring (it measured best and may run here)")
    };
    wait_until("`check` does not say that io_uring is taken", is_taken);
    assert!(!text.contains("to mend: the engine"), "{text}");
    wait_until("io_uring is not taken", || Reflector::start(&[]).ready["engine"] == "uring");
}

pub(crate) fn a_thread_of_the_kernel_serves_as_well() {
    let mut reflector = Reflector::start(&["--engine", "uring", "--uring-sqpoll", "on"]);
    assert_eq!(reflector.ready["engine"], "uring");
    let (alice, bob) = (Endpoint::new("127.0.0.1:0", &reflector), Endpoint::new("127.0.0.2:0", &reflector));
    alice.exchange(&bob, &reflector.key, 20, 32);
    // What became of a send may be known a little after it has arrived.
    let page = reflector.metrics_when(|page| page.relayed() == 640 && page.missing() == 0);
    assert_eq!(page.received(), 640);
    reflector.signal(Signal::SIGTERM);
    assert_eq!(reflector.exit_code(), Some(0));
    assert_eq!(reflector.wait_for_line("stopped")["relayed"], 640);
}

/// Too little for eight workers.
const LOCKED_BYTES: [u64; 3] = [16 << 10, 64 << 10, 256 << 10];
const SYS_IO_URING_SETUP: i64 = nix::libc::SYS_io_uring_setup;
const EPERM: u32 = nix::libc::EPERM.cast_unsigned();
