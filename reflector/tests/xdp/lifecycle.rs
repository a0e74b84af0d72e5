//! Reload, crash, restart, stop: what holds at the driver while the daemon changes or is away.

use crate::daemon::{Folder, Reflector, program};
use crate::paths::{count, start};
use crate::protocol::{DATA, Key, OBSERVED, now_s, probe};
use crate::spaces::{Spaces, ask, ip, receive};
use harness::{PATIENCE, Signal, wait_until};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

pub(crate) fn reload() {
    let spaces = Spaces::new();
    spaces.introduce();
    let reflector = start(&[]);
    let (one, other) = (spaces.socket("45.1.0.2:5001"), spaces.socket("45.1.0.3:5002"));
    let [a, b] = [&one, &other].map(|socket| socket.local_addr().unwrap());
    let fresh = Key::new(9, 9);
    one.send_to(&fresh.send(a, b, b"early"), reflector.address()).unwrap();
    reflector.metrics_when(|page| {
        page.sum("reflector_dropped_datagrams_total", &[("path", "xdp"), ("reason", "key")]) == 1
    });
    reflector.folder.write("ring.toml", &fresh.toml());
    reflector.reload("success");
    one.send_to(&fresh.send(a, b, b"in time"), reflector.address()).unwrap();
    assert_eq!(&receive(&other, reflector.address())[32..], b"in time");
    one.send_to(&reflector.key.send(a, b, b"late"), reflector.address()).unwrap();
    let page = reflector.metrics_when(|page| {
        page.sum("reflector_dropped_datagrams_total", &[("path", "xdp"), ("reason", "key")]) == 2
    });
    assert_eq!([count(&page, "relayed", "xdp"), count(&page, "received", "socket")], [1, 0]);
    reflector.folder.write("ring.toml", "nonsense");
    reflector.reload("failure");
    one.send_to(&fresh.send(a, b, b"still"), reflector.address()).unwrap();
    assert_eq!(&receive(&other, reflector.address())[32..], b"still");
}

/// What the program cannot hold changes nothing, on neither path.
pub(crate) fn reload_refused() {
    let spaces = Spaces::new();
    spaces.introduce();
    let folder = Folder::new("reflector-test");
    let denying = |number: u8| {
        let blocks: Vec<String> = (0..number).map(|n| format!("\"46.{n}.0.0/16\"")).collect();
        format!("deny-source = [{}, \"45.1.0.3/32\"]\n", blocks.join(", "))
    };
    folder.write("reflector.toml", "");
    let config = folder.file("reflector.toml").display().to_string();
    let flags = ["--listen", "45.1.0.1:3478", "--workers", "1", "--xdp", "r0", "--config", &config];
    let mut reflector = Reflector::start_in(folder, &flags);
    let closed = spaces.socket("45.1.0.3:5001");
    reflector.folder.write("reflector.toml", &denying(64));
    reflector.reload("failure");
    let line = reflector.wait_for_line("reload refused; the old ring and policy stay in force");
    assert!(line["reason"].as_str().unwrap().contains("65"), "{line}");
    assert_eq!(ask(&closed, reflector.address(), &probe(b""))[0], OBSERVED);
    reflector.folder.write("reflector.toml", &denying(63));
    reflector.reload("success");
    closed.send_to(&probe(b""), reflector.address()).unwrap();
    let page = reflector.metrics_when(|page| count(page, "dropped", "xdp") == 1);
    assert_eq!([page.dropped("denied"), count(&page, "observed", "xdp")], [1, 1]);
}

/// An interface that goes takes its program along; one that comes back by that name gets a new one.
pub(crate) fn interface_comes_back() {
    let spaces = Spaces::new();
    spaces.introduce();
    let reflector = start(&[]);
    let one = spaces.socket("45.1.0.2:5001");
    assert_eq!(ask(&one, reflector.address(), &probe(b""))[0], OBSERVED);
    ip("link del r0");
    reflector.metrics_when(|page| page.sum("reflector_xdp_interfaces", &[]) == 0);
    spaces.join();
    spaces.introduce();
    reflector.metrics_when(|page| page.sum("reflector_xdp_interfaces", &[]) == 1);
    let one = spaces.socket("45.1.0.2:5003");
    reflector.metrics_when(|page| {
        assert_eq!(ask(&one, reflector.address(), &probe(b""))[0], OBSERVED);
        count(page, "observed", "xdp") >= 2
    });
}

/// A wildcard listener's new address is refused as destination on either path, which the daemon must learn by itself.
pub(crate) fn new_address() {
    let spaces = Spaces::new();
    spaces.introduce();
    let flags = ["--listen", "0.0.0.0:3478", "--workers", "1", "--xdp", "r0"];
    let mut reflector = Reflector::start_bare(&flags);
    let address = SocketAddr::from(([45, 1, 0, 1], 3_478));
    let one = spaces.socket("45.1.0.2:5001");
    let from = one.local_addr().unwrap();
    let own = SocketAddr::from(([45, 1, 0, 77], 3_478));
    ip("addr add 45.1.0.77/24 dev r0");
    reflector.wait_for_line("the host's addresses changed");
    assert_eq!(ask(&one, own, &probe(b""))[0], OBSERVED);
    one.send_to(&reflector.key.send(from, own, b"to itself"), address).unwrap();
    let page = reflector.metrics_when(|page| count(page, "dropped", "xdp") == 1);
    assert_eq!(page.dropped("destination"), 1);
    assert_eq!([count(&page, "observed", "xdp"), count(&page, "received", "socket")], [1, 0]);
}

/// T22: a service at an address of a prefix that is local as a whole hears nothing, unless a block opens the prefix.
pub(crate) fn whole_prefix() {
    for (fast_path, opened) in [(true, false), (false, false), (true, true), (false, true)] {
        let spaces = Spaces::new();
        spaces.introduce();
        ip("route add local 45.9.0.0/24 dev lo");
        ip("-6 route add local 2a01:9::/64 dev lo");
        let mut flags = vec!["--listen", "45.1.0.1:3478", "--listen", "[2a01:1::1]:3478", "--workers", "1"];
        if fast_path {
            flags.extend(["--xdp", "r0"]);
        }
        if opened {
            flags.extend(["--allow-destination", "45.9.0.0/24", "--allow-destination", "2a01:9::/64"]);
        }
        let reflector = Reflector::start_bare(&flags);
        spaces.at_peer(|| ip("addr add 2a01:9::7/128 dev p0 nodad"));
        let ends = [
            ("45.1.0.2:5001", "45.1.0.1:3478", "45.9.0.7:5005"),
            ("[2a01:1::2]:5001", "[2a01:1::1]:3478", "[2a01:9::7]:5005"),
        ];
        for (number, (sender, listener, service)) in (1..).zip(ends) {
            let (sender, listener): (_, SocketAddr) = (spaces.socket(sender), listener.parse().unwrap());
            let (from, to): (_, SocketAddr) = (sender.local_addr().unwrap(), service.parse().unwrap());
            let any = if to.is_ipv4() { "0.0.0.0:5005" } else { "[::]:5005" };
            let service = UdpSocket::bind(any).unwrap();
            service.set_read_timeout(Some(PATIENCE)).unwrap();
            sender.send_to(&reflector.key.send(from, to, b"knock"), listener).unwrap();
            // The PROBE is forged: its source is the service's own address. (Over IPv4 the kernel itself drops such a
            // datagram as a martian.)
            let forger = to.is_ipv6().then(|| spaces.socket(&to.to_string()));
            if let Some(forger) = &forger {
                forger.send_to(&probe(b""), listener).unwrap();
            }
            if opened {
                let kinds: BTreeSet<u8> =
                    (0..1 + u8::from(forger.is_some())).map(|_| receive(&service, listener)[0]).collect();
                assert_eq!(kinds, [Some(DATA), forger.map(|_| OBSERVED)].into_iter().flatten().collect());
            } else {
                reflector.metrics_when(|page| {
                    page.dropped("destination") == number && page.dropped("source") == number - 1
                });
                service.set_nonblocking(true).unwrap();
                let heard = service.recv(&mut [0; 64]).map_err(|error| error.kind());
                assert_eq!(heard, Err(ErrorKind::WouldBlock), "xdp {fast_path}, {to}");
            }
        }
    }
}

/// `check` names the networks whose hosts may trust this one, and what closes them.
pub(crate) fn connected() {
    let _spaces = Spaces::new();
    let folder = Folder::new("reflector-test");
    folder.write("ring.toml", &Key::new(7, 7).toml());
    let check = |more: &[&str]| {
        let mut command = program();
        command.current_dir(folder.path()).args([
            "check",
            "--keys",
            "ring.toml",
            "--listen",
            "45.1.0.1:3478",
        ]);
        let output = command.args(more).output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let said = check(&[]);
    for block in ["45.1.0.0/24", "2a01:1::/64"] {
        assert!(said.contains(&format!("{block} is on the link of r0, and its hosts may trust")), "{said}");
        assert!(said.contains(&format!("--deny-destination {block}, unless endpoints are there")), "{said}");
    }
    let said = check(&["--deny-destination", "45.1.0.0/24", "--deny-destination", "2a01:1::/64"]);
    assert!(!said.contains("on the link of"), "{said}");
}

/// T17 and T18 of the fast path: the program forwards on while nobody is there.
pub(crate) fn killed_and_restarted() {
    let spaces = Spaces::new();
    spaces.introduce();
    let mut reflector = start(&["--xdp-pin", PINS]);
    let (one, other) = (spaces.socket("45.1.0.2:5001"), spaces.socket("45.1.0.3:5002"));
    let (from, to, address) = (one.local_addr().unwrap(), other.local_addr().unwrap(), reflector.address());
    let header = reflector.key.send_header(0, now_s() + 300, from, to);
    let (over, relayed) = (AtomicBool::new(false), AtomicU32::new(0));
    let mut again = std::thread::scope(|scope| {
        let traffic = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let first = relayed.load(Ordering::Relaxed);
                let numbers: Vec<u32> = (first..first + WINDOW).collect();
                for number in &numbers {
                    one.send_to(&[&header[..], &number.to_be_bytes()].concat(), address).unwrap();
                }
                // Each is waited for, so a socket's full buffer cannot be taken for a loss of the program's.
                let mut received: Vec<u32> =
                    numbers.iter().map(|_| number_of(&receive(&other, address))).collect();
                received.sort_unstable();
                assert_eq!(received, numbers);
                relayed.store(first + WINDOW, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let _over = Over(&over);
        let reached = |number: u32| {
            let come = || relayed.load(Ordering::Relaxed) >= number || traffic.is_finished();
            wait_until("the traffic stands still", come);
            assert!(!traffic.is_finished(), "a datagram was lost");
        };
        reached(500);
        reflector.signal(Signal::SIGKILL);
        reflector.exit_code();
        reached(relayed.load(Ordering::Relaxed) + 500);
        // The kernel takes down what a killed process had under way in its own time.
        wait_until("the port stays in use", || UdpSocket::bind(address).is_ok());
        let mut again = start(&["--xdp-pin", PINS]);
        assert_eq!(again.wait_for_line("xdp attached")["adopted"], true);
        reached(relayed.load(Ordering::Relaxed) + 500);
        again
    });
    let page = again.metrics();
    assert!(count(&page, "relayed", "xdp") >= 500);
    assert_eq!(count(&page, "received", "socket"), 0);
    again.signal(Signal::SIGTERM);
    assert_eq!(again.exit_code(), Some(0));
    assert_eq!(pinned(), [""; 0]);
}

/// The number that a datagram of the traffic carries.
fn number_of(data: &[u8]) -> u32 {
    assert_eq!((data.len(), data[0]), (36, DATA));
    u32::from_be_bytes(data[32..].try_into().unwrap())
}

pub(crate) fn stop() {
    let spaces = Spaces::new();
    spaces.introduce();
    let mut reflector = start(&["--drain-below", "0", "--drain-timeout", "1h"]);
    assert!(ip("link show r0").contains("prog/xdp"));
    let one = spaces.socket("45.1.0.2:5001");
    reflector.signal(Signal::SIGTERM);
    reflector.wait_for_line("draining");
    // A drain serves on, by both paths.
    assert_eq!(ask(&one, reflector.address(), &probe(b""))[0], OBSERVED);
    assert_eq!(count(&reflector.metrics(), "observed", "xdp"), 1);
    reflector.signal(Signal::SIGTERM);
    assert_eq!(reflector.exit_code(), Some(0));
    let stopped = reflector.wait_for_line("stopped");
    assert_eq!([&stopped["received"], &stopped["observed"], &stopped["passed"]], [1, 1, 0]);
    assert!(!ip("link show r0").contains("prog/xdp"));
}

pub(crate) fn status_and_detach() {
    let _spaces = Spaces::new();
    let xdp = |what: &str, flags: &[&str]| {
        let output = program().args(["xdp", what]).args(flags).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    assert_eq!(xdp("status", &[]), (Some(0), String::from("no interface has an XDP program\n")));
    let mut reflector = start(&["--xdp-pin", PINS]);
    reflector.signal(Signal::SIGKILL);
    reflector.exit_code();
    let (code, text) = xdp("status", &["--xdp-pin", PINS]);
    let words = ["r0: program ", "the reflector's", "native", "pinned: r0-native"];
    assert!(code == Some(0) && words.iter().all(|word| text.contains(word)), "{text}");
    assert_eq!(xdp("detach", &[]).0, Some(2), "without a folder there is nothing to go by");
    assert_eq!(xdp("detach", &["--xdp-pin", PINS]), (Some(0), String::from("r0: detached\n")));
    assert!(!ip("link show r0").contains("prog/xdp"));
    assert_eq!(pinned(), [""; 0]);
    let (code, text) = xdp("detach", &["--xdp", "r0", "--xdp-pin", PINS]);
    assert!(code == Some(1) && text.contains("nothing is pinned for r0"), "{text}");
    let (code, text) = xdp("status", &["--xdp", "none0"]);
    assert!(code == Some(78) && text.contains("--xdp none0: no such interface"), "{text}");
}

/// Ends the traffic, also when the test fails, so that the scope can end.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What is pinned.
fn pinned() -> Vec<String> {
    let entries = std::fs::read_dir(PINS).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// A folder of pins, which is the daemon's to make; it goes with the test's BPF file system.
const PINS: &str = "/sys/fs/bpf/reflector";
/// Datagrams of the traffic that are under way at once.
const WINDOW: u32 = 16;
