//! What is typed wrong: one line that names it and says what would be right, and nothing started.

use crate::rig::daemon::{Folder, Reflector, program, program_at};
use harness::wait_until;
use nix::unistd::geteuid;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

const RING: &str = "[[key]]\nid = 1\nsecret = \"0102030405060708090a0b0c0d0e0f10\"\n";

/// Asserts an exit code, one line on stderr that has these words, and nothing on stdout.
fn assert_refused(output: &Output, code: i32, words: &[&str]) {
    let line = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{line}");
    assert!(line.ends_with('\n') && line.lines().count() == 1, "not one line:\n{line}");
    assert!(words.iter().all(|word| line.contains(word)), "{words:?} are not in: {line}");
    assert!(output.stdout.is_empty());
}

/// A run with a good ring, a free port and these arguments, which must be refused.
fn run_with(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = program();
    command.current_dir(folder.path()).args(["run", "--admin", "127.0.0.1:0"]).args(arguments);
    command
}

pub(crate) fn a_malformed_flag_is_named_with_what_would_be_right() {
    let folder = Folder::new("reflector-test");
    folder.write("ring.toml", RING);
    let cases: &[(&[&str], &[&str])] = &[
        (&["--listen", "127.0.0.1"], &["--listen 127.0.0.1:", "ADDR:PORT"]),
        (&["--listen", "localhost:3478"], &["--listen localhost:3478", "not a name"]),
        (&["--listen", "224.0.0.1:3478"], &["--listen 224.0.0.1:3478", "unicast"]),
        (&["--listen", "[::ffff:1.2.3.4]:3478"], &["--listen", "IPv4 written as IPv4"]),
        (&["--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0"], &["--listen", "at most one IPv4"]),
        (&["--listen", "127.0.0.1:0", "--advertise", "0.0.0.0:1"], &["--advertise", "the world sends to"]),
        (&["--listen", "127.0.0.1:0", "--advertise", "[2a00::1]:1"], &["--advertise", "same family"]),
        (&["--listen", "127.0.0.1:0", "--engine", "poll"], &["--engine poll", "auto, epoll or uring"]),
        (&["--listen", "127.0.0.1:0", "--uring-sqpoll", "yes"], &["--uring-sqpoll yes", "on or off"]),
        (&["--listen", "127.0.0.1:0", "--uring-sqpoll"], &["--uring-sqpoll on", "--engine uring beside it"]),
        (&["--listen", "127.0.0.1:0", "--workers", "0"], &["--workers 0", "1 to 256"]),
        (&["--listen", "127.0.0.1:0", "--workers", "4KiB"], &["--workers 4KiB", "auto"]),
        (&["--listen", "127.0.0.1:0", "--steer", "round"], &["--steer round", "cpu or hash"]),
        (
            &["--listen", "127.0.0.1:0", "--allow-destination", "10.0.0.1/8"],
            &["--allow-destination", "10.0.0.0/8"],
        ),
        (&["--listen", "127.0.0.1:0", "--deny-destination", "10/8"], &["--deny-destination 10/8", "CIDR"]),
        (&["--listen", "127.0.0.1:0", "--deny-source", "10.0.0.0/33"], &["--deny-source", "33 bits"]),
        (&["--listen", "127.0.0.1:0", "--probe-budget", "0"], &["--probe-budget 0", "per second"]),
        (
            &["--listen", "127.0.0.1:0", "--answer-lifetime", "541s"],
            &["--answer-lifetime 541s", "10s to 540s"],
        ),
        (&["--listen", "127.0.0.1:0", "--answer-lifetime", "300"], &["--answer-lifetime 300", "seconds"]),
        (&["--listen", "127.0.0.1:0", "--ticket-lifetime", "9s"], &["--ticket-lifetime 9s", "10s to 120s"]),
        (&["--listen", "127.0.0.1:0", "--max-datagram", "63"], &["--max-datagram 63", "64 to 65507"]),
        (&["--listen", "127.0.0.1:0", "--max-datagram", "65508"], &["--max-datagram", "65507"]),
        (&["--listen", "127.0.0.1:0", "--drain-timeout", "2h"], &["--drain-timeout 2h", "1h"]),
        (&["--listen", "127.0.0.1:0", "--drain-below", "few"], &["--drain-below few"]),
        (&["--listen", "127.0.0.1:0", "--receive-buffer", "4Mi"], &["--receive-buffer 4Mi", "4MiB"]),
        (&["--listen", "127.0.0.1:0", "--xdp", "eth/0"], &["--xdp eth/0", "name of an interface"]),
        (&["--listen", "127.0.0.1:0", "--xdp", "sixteen-bytes-xx"], &["--xdp sixteen-bytes-xx"]),
        (&["--listen", "127.0.0.1:0", "--xdp", "eth0,eth0"], &["--xdp eth0", "each interface once"]),
        (&["--listen", "127.0.0.1:0", "--xdp-mode", "fast"], &["--xdp-mode fast", "native or generic"]),
        (&["--listen", "127.0.0.1:0", "--xdp-nexthop", "guess"], &["--xdp-nexthop guess", "neighbour"]),
        (&["--listen", "127.0.0.1:0", "--xdp-pin", "pins"], &["--xdp-pin pins", "absolute path"]),
        (&["--listen", "127.0.0.1:0", "--log-format", "xml"], &["--log-format xml", "text or json"]),
        (&["--listen", "127.0.0.1:0", "--log-format", "a\nb"], &["--log-format a\\nb"]),
        (&["--listen", "127.0.0.1:0", "--listn", "x"], &["--listn", "--listen"]),
        (&["--listen"], &["--listen", "value is required"]),
        (&["--listen", "127.0.0.1:0", "--stun", "on"], &["--stun on", "off, binding or behaviour"]),
        (&["--listen", "127.0.0.1:0", "stray"], &["stray"]),
    ];
    for (arguments, words) in cases {
        let output = run_with(&folder, &["--keys", "ring.toml"]).args(*arguments).output().unwrap();
        assert_refused(&output, 2, words);
    }
    let output =
        run_with(&folder, &["--listen", "127.0.0.1:0", "--keys", "ring.toml", "--admin", "9464"]).output();
    assert_refused(&output.unwrap(), 2, &["--admin"]);
}

pub(crate) fn a_malformed_variable_is_named() {
    let folder = Folder::new("reflector-test");
    folder.write("ring.toml", RING);
    let cases = [
        ("REFLECTOR_LISTEN", "nowhere", "REFLECTOR_LISTEN=nowhere"),
        ("REFLECTOR_WORKERS", "many", "REFLECTOR_WORKERS=many"),
        ("REFLECTOR_DENY_SOURCE", "10.0.0.0/8,x", "REFLECTOR_DENY_SOURCE=x"),
        ("REFLECTOR_LOG_FORMAT", "", "REFLECTOR_LOG_FORMAT="),
        ("REFLECTOR_CONFIG", "missing.toml", "missing.toml"),
    ];
    for (variable, value, words) in cases {
        let output = run_with(&folder, &["--keys", "ring.toml"]).env(variable, value).output().unwrap();
        assert_refused(&output, 78, &[words]);
    }
}

pub(crate) fn a_malformed_file_is_named_with_its_line() {
    let folder = Folder::new("reflector-test");
    folder.write("ring.toml", RING);
    let cases = [
        ("listen = \"127.0.0.1:0\"\nworker = 2\n", "config.toml:2: worker is no key"),
        ("\nlisten = 3478\n", "config.toml:2: listen = 3478: expected ADDR:PORT"),
        ("listen = [\"127.0.0.1:0\", \"x\"]\n", "config.toml:1: listen = x"),
        ("steer = true\n", "config.toml:1: steer is boolean"),
        ("workers = [1]\n", "config.toml:1: workers is array"),
        ("a = = b\n", "config.toml:1:"),
        ("keys = \"a\"\nkeys = \"b\"\n", "config.toml:2: duplicate key"),
        ("class = 1\n", "config.toml:1: a class is written as"),
        ("[class.16]\nrate = \"5Mbps\"\n", "config.toml:1: class 16 is outside 0..=15"),
        ("[class.1]\nburst = 1\n", "config.toml:2: burst is no key of a class"),
        ("[class.1]\nrate = \"5\"\n", "config.toml:2: rate = 5: expected a rate"),
        ("[class.1]\n", "config.toml:1: a class is written as"),
        ("config = \"other.toml\"\n", "config.toml:1: config is no key"),
    ];
    for (text, words) in cases {
        folder.write("config.toml", text);
        let output = run_with(&folder, &["--keys", "ring.toml", "--config", "config.toml"]).output().unwrap();
        assert_refused(&output, 78, &[words]);
    }
    for path in ["missing.toml", "."] {
        let output = run_with(&folder, &["--keys", "ring.toml", "--config", path]).output().unwrap();
        assert_refused(&output, 78, &["--config", path]);
    }
}

pub(crate) fn a_malformed_ring_is_named_with_its_line_and_never_shown() {
    let folder = Folder::new("reflector-test");
    let secret = "0102030405060708090a0b0c0d0e0f10";
    let key = |id: &str, secret: &str| format!("[[key]]\nid = {id}\nsecret = \"{secret}\"\n");
    let cases = [
        (String::new(), "ring.toml:1: the ring holds no key"),
        (key("16", secret), "ring.toml:2: key id 16 is outside 0..=15"),
        (key("-1", secret), "ring.toml:2: key id -1"),
        (key("1", secret) + &key("1", secret), "ring.toml:5: key id 1 stands twice"),
        (key("1", &secret[2..]), "ring.toml:3: the secret of key 1 has 30 characters"),
        (key("1", &"0".repeat(32)), "ring.toml:3: the secret is all zeros"),
        (
            key("1", "00112233445566778899aabbccddeeff"),
            "ring.toml:3: the secret is the documentation's example",
        ),
        (key("1", secret) + "extra = 1\n", "ring.toml:4:"),
        (format!("secret = {secret}"), "ring.toml:1:"),
    ];
    for (text, words) in cases {
        folder.write("ring.toml", &text);
        let output = run_with(&folder, &["--keys", "ring.toml", "--listen", "127.0.0.1:0"]).output().unwrap();
        assert_refused(&output, 78, &[words]);
        assert!(!String::from_utf8_lossy(&output.stderr).contains(&secret[2..]), "a secret was shown");
    }
    let output = run_with(&folder, &["--keys", "missing.toml", "--listen", "127.0.0.1:0"]).output().unwrap();
    assert_refused(&output, 78, &["--keys missing.toml", "No such file"]);
    let output = run_with(&folder, &["--listen", "127.0.0.1:0"]).output().unwrap();
    assert_refused(&output, 78, &["keys is not set", "reflector keygen"]);
    folder.write("ring.toml", RING);
    let output = run_with(&folder, &["--keys", "ring.toml"]).output().unwrap();
    assert_refused(&output, 78, &["listen is not set", "--listen 0.0.0.0:3478"]);
}

pub(crate) fn an_address_that_cannot_be_had_is_named() {
    let folder = Folder::new("reflector-test");
    folder.write("ring.toml", RING);
    let holder = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let refused = |listen: &str, admin: &str, words: &[&str]| {
        let arguments = ["--keys", "ring.toml", "--listen", listen, "--log-format", "json"];
        let mut command = program();
        let output =
            command.current_dir(folder.path()).arg("run").args(arguments).args(["--admin", admin]).output();
        assert_refused(&output.unwrap(), 78, words);
    };
    refused(&taken, "127.0.0.1:0", &[&taken, "in use", "\"exit_code\":78"]);
    refused("192.0.2.77:4000", "127.0.0.1:0", &["192.0.2.77:4000", "no interface"]);
    refused("127.0.0.1:0", "192.0.2.77:9464", &["--admin 192.0.2.77:9464"]);
    drop(holder);
    let reflector = Reflector::start(&[]);
    refused(&reflector.address().to_string(), "127.0.0.1:0", &["in use"]);
    refused("127.0.0.1:0", &reflector.admin.to_string(), &["--admin", "in use"]);
}

pub(crate) fn a_ring_that_may_not_be_read_is_named() {
    let folder = Folder::new("reflector-test");
    let ring = folder.write("ring.toml", RING);
    std::fs::set_permissions(&ring, PermissionsExt::from_mode(0o000)).unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let copy = folder.file("reflector");
    std::fs::copy(env!("CARGO_BIN_EXE_reflector"), &copy).unwrap();
    std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = program_at(&copy);
    // Root may read everything, so it becomes nobody first.
    if geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    command.args(["run", "--listen", "127.0.0.1:0", "--keys"]).arg(&ring);
    let mut output = command.output();
    // A process that another test was starting meanwhile may hold the copy open for writing until it runs its program.
    wait_until("the copy stays busy", || {
        let busy = output.as_ref().is_err_and(|error| error.kind() == ErrorKind::ExecutableFileBusy);
        if busy {
            output = command.output();
        }
        !busy
    });
    let output = output.unwrap();
    assert_refused(&output, 78, &["ring.toml", "Permission denied"]);
}

pub(crate) fn flags_win_over_variables_over_the_file_over_defaults() {
    let folder = Folder::new("reflector-test");
    folder.write("ring.toml", RING);
    folder.write(
        "config.toml",
        "listen = [\"127.0.0.1:0\", \"[::1]:0\"]\nprobe-budget = 1\ndrain-below = 2\nworkers = 3\n[class.2]\nrate = \"1Mbps\"\n",
    );
    let mut command = program();
    command.current_dir(folder.path()).args(["check", "--keys", "ring.toml", "--probe-budget", "10"]);
    command
        .env("REFLECTOR_CONFIG", "config.toml")
        .env("REFLECTOR_PROBE_BUDGET", "20")
        .env("REFLECTOR_DRAIN_BELOW", "30");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    for (key, value, origin) in [
        ("probe-budget", "10", "flag"),
        ("drain-below", "30", "environment"),
        ("workers", "3", "config.toml:4"),
        ("listen", "[::1]:0", "config.toml:1"),
        ("class.2.rate", "1Mbps", "config.toml:6"),
        ("max-datagram", "1472", "default"),
    ] {
        let words = [key, value, origin];
        let found = text.lines().any(|line| line.split_whitespace().eq(words));
        assert!(found, "{words:?} is not in:\n{text}");
    }
}

pub(crate) fn check_names_what_to_mend_and_the_command() {
    let folder = Folder::new("reflector-test");
    folder.write("ring.toml", RING);
    std::fs::set_permissions(folder.file("ring.toml"), PermissionsExt::from_mode(0o644)).unwrap();
    let check = |arguments: &[&str]| {
        let mut command = program();
        command
            .current_dir(folder.path())
            .envs([("REFLECTOR_LISTN", "x"), ("REFLECTOR_ACCESS_LISTEN", "y")])
            .args(["check", "--keys", "ring.toml"])
            .args(arguments)
            .output()
            .unwrap()
    };
    let output =
        check(&["--listen", "0.0.0.0:3478,[::]:3478", "--admin", "0.0.0.0:9464", "--workers", "200"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for words in [
        "chmod o= \"ring.toml\"",
        "the admin server at 0.0.0.0:9464",
        "the variable REFLECTOR_LISTN is no setting",
        "200 workers on",
        "by the other family",
    ] {
        assert!(text.contains(words), "{words:?} is not in:\n{text}");
    }
    assert_refused(
        &check(&["--listen", "192.0.2.77:3478"]),
        78,
        &["--listen 192.0.2.77:3478", "no interface"],
    );
    let corners = ["--listen", "127.88.9.1:3478", "--stun", "behaviour"];
    let text = String::from_utf8(check(&corners).stdout).unwrap();
    assert!(text.contains("by: --stun-alternate"), "{text}");
    let other = ["--stun-alternate", "127.88.9.2:3479"];
    let text = String::from_utf8(check(&[&corners[..], &other].concat()).stdout).unwrap();
    assert!(text.contains("127.88.9.2:3479") && !text.contains("by: --stun-alternate"), "{text}");
    let elsewhere = [&corners[..], &["--stun-alternate", "192.0.2.77:3479"]].concat();
    assert_refused(&check(&elsewhere), 78, &["--stun-alternate 192.0.2.77:3479", "no interface"]);
    std::fs::set_permissions(folder.file("ring.toml"), PermissionsExt::from_mode(0o640)).unwrap();
    let text = String::from_utf8(check(&["--listen", "127.0.0.1:3478"]).stdout).unwrap();
    assert!(!text.contains("chmod"), "{text}");
}

pub(crate) fn keygen_prints_rings_that_run_accepts_and_no_two_alike() {
    let ring = |id: &str| {
        let output = program().args(["keygen", "--id", id]).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty());
        String::from_utf8(output.stdout).unwrap()
    };
    let (a, b) = (ring("9"), ring("9"));
    assert!(a != b && a.contains("id = 9"));
    assert_eq!(wire::ring_file::parse(&a).unwrap().minting().get(), 9);
    assert_refused(&program().args(["keygen", "--id", "16"]).output().unwrap(), 2, &["16", "--id"]);
}

pub(crate) fn probe_measures_and_says_why_nothing_answers() {
    let probe = |arguments: &[&str]| program().arg("probe").args(arguments).output().unwrap();
    let reflector = Reflector::start(&[]);
    let address = reflector.address().to_string();
    let output = probe(&[&address, "--count", "3", "--timeout", "60s"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    for words in ["observed address   127.0.0.1:", "3 of 3", "median", "ticket expires"] {
        assert!(text.contains(words), "{words:?} is not in:\n{text}");
    }
    let closed = Reflector::start_bare(&["--listen", "127.0.0.1:0"]);
    let closed = closed.address().to_string();
    let output = probe(&[&closed, "--count", "1", "--timeout", "100ms"]);
    assert_refused(&output, 1, &[&closed, "this is why", "--allow-destination 127.0.0.1"]);
    // Nobody listens at a port below 1024 of this address.
    let output = probe(&["127.13.13.13:1", "--count", "1", "--timeout", "60s"]);
    assert_refused(&output, 1, &["127.13.13.13:1", "nothing listens there"]);
    assert_refused(&probe(&["nowhere"]), 2, &["nowhere", "ADDR:PORT"]);
    assert_refused(&probe(&["127.0.0.1:1", "--timeout", "0s"]), 2, &["--timeout 0s", "1ms to 60s"]);
    assert_refused(&probe(&["127.0.0.1:1", "--count", "0"]), 2, &["0", "--count"]);
}

pub(crate) fn help_and_version_are_data() {
    for (arguments, words) in [
        (&["--version"][..], "reflector 0."),
        (&["--help"], "Exit codes"),
        (&["run", "--help"], "REFLECTOR_DENY_SOURCE"),
        (&["explain", "--help"], "--source"),
    ] {
        let output = program().args(arguments).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty());
        assert!(String::from_utf8(output.stdout).unwrap().contains(words));
    }
    assert_refused(&program().output().unwrap(), 2, &["command"]);
}
