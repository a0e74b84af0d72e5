//! What is typed: rings and headers printed, and one line for whatever is wrong.

use crate::server::{assert_done, output_of, program};
use crate::tickets::{MASTER, Tickets, unix_s};
use access::settings::SETTINGS;
use harness::Folder;
use serde_json::Value;
use std::process::Output;

fn run(folder: &Folder, arguments: &[&str]) -> Output {
    let mut command = program();
    command.current_dir(folder.path()).args(arguments);
    output_of(command, "")
}

fn refused(output: &Output, code: i32, words: &[&str]) {
    let line = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{line}");
    assert!(line.ends_with('\n') && line.lines().count() == 1, "not one line:\n{line}");
    assert!(words.iter().all(|word| line.contains(word)), "{words:?} are not in: {line}");
    assert!(output.stdout.is_empty());
}

#[test]
fn the_ring_of_the_documentation_comes_out_and_no_server_runs_on_it() {
    let folder = Folder::new("access-test");
    let secret: String = (0..32).map(|byte| format!("{byte:02x}")).collect();
    folder.write("master.toml", &format!("[[key]]\nid = 3\nsecret = \"{secret}\"\n"));
    let ring = assert_done(&run(&folder, &["ring", "fra1", "--master", "master.toml"]));
    assert_eq!(ring, "[[key]]\nid = 3\nsecret = \"fae4e90370bca93c6461b14ca1b35615\"\n");
    let server = ["run", "--master", "master.toml", "--store", "x.redb", "--listen", "127.0.0.1:0"];
    let server = [server.as_slice(), &["--admin", "127.0.0.1:0"]].concat();
    refused(&run(&folder, &server), 78, &["master.toml", "documentation's example", "keygen"]);
}

#[test]
fn a_fresh_master_makes_rings_that_reflectors_read() {
    let folder = Folder::new("access-test");
    let (one, two) =
        (assert_done(&run(&folder, &["keygen", "--id", "7"])), assert_done(&run(&folder, &["keygen"])));
    assert_ne!(one, two);
    folder.write("master.toml", &format!("{one}{two}"));
    let ring = assert_done(&run(&folder, &["ring", "a-1", "--master", "master.toml"]));
    let ring = wire::ring_file::parse(&ring).unwrap();
    assert_eq!((ring.minting().get(), ring.ids().count()), (7, 2));
}

#[test]
fn minted_headers_relay_between_addresses_and_tickets() {
    let folder = Folder::new("access-test");
    folder.write("master.toml", MASTER);
    let tickets = Tickets::of(MASTER);
    let ticket = tickets.ticket("fra1", "9.9.9.9:5000", 100).to_string();
    let common = ["--master", "master.toml", "--capability-lifetime", "60s"];
    let mint = |arguments: &[&str]| run(&folder, &[["mint"].as_slice(), &common, arguments].concat());
    let before = unix_s();
    let answer: Value =
        serde_json::from_str(&assert_done(&mint(&["fra1", "8.8.8.8:4000", &ticket, "--class", "2"])))
            .unwrap();
    let header = |at: usize| answer["headers"][at].as_str().unwrap();
    assert_eq!(tickets.relays("fra1", header(0), "8.8.8.8:4000"), Some("9.9.9.9:5000".parse().unwrap()));
    assert_eq!(tickets.relays("fra1", header(1), "9.9.9.9:5000"), Some("8.8.8.8:4000".parse().unwrap()));
    assert!(
        (before + 60..=unix_s() + 60).contains(&u32::try_from(answer["expires"].as_u64().unwrap()).unwrap())
    );
    for (arguments, words) in [
        (["ams1", "8.8.8.8:4000", ticket.as_str()], ["not made by this reflector", "show the ticket"]),
        (["fra1", "8.8.8.8:80", "9.9.9.9:5000"], ["8.8.8.8:80", "ports start at 1024"]),
        (["fra1", "10.0.0.1:4000", "9.9.9.9:5000"], ["10.0.0.1:4000", "--allow-destination"]),
        (["fra1", "8.8.8.8:4000", "8.8.8.8:4000"], ["one address", "name two"]),
        (["fra1", "host:4000", "9.9.9.9:5000"], ["host:4000", "43 characters"]),
        (["FRA1", "8.8.8.8:4000", "9.9.9.9:5000"], ["FRA1", "a-z"]),
    ] {
        refused(&mint(&arguments), 2, &words);
    }
    let opened = mint(&["fra1", "10.0.0.1:4000", "9.9.9.9:5000", "--allow-destination", "10.0.0.0/8"]);
    assert_done(&opened);
    let other = mint(&["fra1", "8.8.8.8:4000", "9.9.9.9:5000", "--reflector", "ams1=1.2.3.4:3478"]);
    refused(&other, 2, &["fra1", "configured"]);
}

#[test]
fn a_malformed_flag_is_named_with_what_would_be_right() {
    let folder = Folder::new("access-test");
    folder.write("master.toml", MASTER);
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&["--listen", "127.0.0.1"], 2, &["--listen 127.0.0.1:", "ADDR:PORT"]),
        (&["--listen", "192.0.2.1:80"], 2, &["--listen 192.0.2.1:80", "--tls-cert", "--plaintext any"]),
        (&["--listen", "0.0.0.0:0", "--plaintext", "any"], 2, &["--listen", "--server-name"]),
        (&["--server-name", "https://a/"], 2, &["--server-name", "the host"]),
        (&["--plaintext", "yes"], 2, &["--plaintext yes", "loopback or any"]),
        (&["--tls-cert", "a.pem"], 2, &["--tls-cert", "--tls-key"]),
        (&["--reflector", "fra1"], 2, &["--reflector", "NAME=ADDR:PORT"]),
        (&["--reflector", "a=1.2.3.4:5000,1.2.3.5:5000"], 2, &["one transport address per family"]),
        (
            &["--reflector", "a=1.2.3.4:5000", "--reflector", "b=1.2.3.4:5000"],
            2,
            &["b=1.2.3.4:5000", "one name"],
        ),
        (&["--reflector", "a=1.2.3.4:5000", "--drain", "b"], 2, &["--drain b", "NAME"]),
        (
            &["--reflector", "a=1.2.3.4:5000", "--reflector-admin", "b=1.2.3.4:9"],
            2,
            &["--reflector-admin", "NAME"],
        ),
        (&["--reflector", "a=1.2.3.4:5000", "--reflector-admin", "a"], 2, &["NAME=URL"]),
        (&["--allow-destination", "10/8"], 2, &["--allow-destination 10/8", "CIDR"]),
        (&["--class", "16"], 2, &["--class 16", "0 to 15"]),
        (&["--capability-lifetime", "541s"], 2, &["--capability-lifetime 541s", "10s to 540s"]),
        (&["--lease", "1s"], 2, &["--lease 1s", "2s to 3600s"]),
        (&["--keepalive", "61s"], 2, &["--keepalive 61s", "1s to 60s"]),
        (&["--probe-interval", "1"], 2, &["--probe-interval 1", "100ms to 60s"]),
        (&["--audit-size", "1KiB"], 2, &["--audit-size 1KiB", "64KiB"]),
        (&["--audit-files", "0"], 2, &["--audit-files 0"]),
        (&["--threads", "0"], 2, &["--threads 0", "auto"]),
        (&["--max-connections", "0"], 2, &["--max-connections 0"]),
        (&["--request-timeout", "1ms"], 2, &["--request-timeout 1ms", "100ms"]),
        (&["--drain-timeout", "2h"], 2, &["--drain-timeout 2h", "1h"]),
        (&["--log-format", "xml"], 2, &["--log-format xml", "text or json"]),
        (&["--lsten", "x"], 2, &["--lsten", "--listen"]),
        (&["--tls-cert", "a.pem", "--tls-key", "b.pem"], 78, &["--tls-cert a.pem"]),
        (&["--service-credentials", "none"], 78, &["--service-credentials none", "No such file"]),
        (&["--control", "no/folder/x.sock"], 78, &["--control no/folder/x.sock", "folder"]),
        (&["--audit", "no/folder/audit"], 78, &["--audit no/folder/audit"]),
        (&["--config", "missing.toml"], 78, &["--config missing.toml"]),
    ];
    let common = ["run", "--master", "master.toml", "--store", "a.redb", "--admin", "127.0.0.1:0"];
    for (arguments, code, words) in cases {
        let listen: &[&str] =
            if arguments.contains(&"--listen") { &[] } else { &["--listen", "127.0.0.1:0"] };
        let output = run(&folder, &[&common, listen, &["--log-format=json"], arguments].concat());
        // A flag given twice is another refusal, and the format of the log is only for those that come later.
        let plain = if arguments.contains(&"--log-format") {
            run(&folder, &[&common, listen, arguments].concat())
        } else {
            output
        };
        refused(&plain, *code, words);
    }
    refused(&run(&folder, &["run", "--store", "a.redb"]), 78, &["master is not set", "keygen"]);
    refused(&run(&folder, &["run", "--master", "master.toml"]), 78, &["store is not set"]);
}

#[test]
fn a_token_is_not_sent_over_a_public_network() {
    let folder = Folder::new("access-test");
    folder.write("master.toml", MASTER);
    let line = "run --master master.toml --store a.redb --listen 127.0.0.1:0 --reflector a=1.2.3.4:5000 \
                --reflector-admin a=http://1.2.3.4:9 --reflector-admin-token t";
    let words = ["http://1.2.3.4:9", "public network", "https"];
    refused(&run(&folder, &line.split_whitespace().collect::<Vec<_>>()), 2, &words);
}

#[test]
fn variables_and_the_file_are_read_and_wrong_ones_named() {
    let folder = Folder::new("access-test");
    folder.write("master.toml", MASTER);
    for (variable, value, words) in [
        ("REFLECTOR_ACCESS_LEASE", "1", "REFLECTOR_ACCESS_LEASE=1"),
        ("REFLECTOR_ACCESS_REFLECTOR", "a=1.2.3.4:1,b", "REFLECTOR_ACCESS_REFLECTOR"),
        ("REFLECTOR_ACCESS_CONFIG", "missing.toml", "missing.toml"),
    ] {
        let mut command = program();
        command.current_dir(folder.path()).env(variable, value);
        command.args(["run", "--master", "master.toml", "--store", "a.redb"]);
        refused(&output_of(command, ""), 78, &[words]);
    }
    for (text, words) in [
        ("lease = \"1\"\n", "config.toml:1: lease = 1"),
        ("\nleases = \"1s\"\n", "config.toml:2: leases is no key"),
        ("reflector = [\"a=1.2.3.4:5000,[2a00::1]:5000\", \"b\"]\n", "config.toml:1: reflector"),
        ("threads = true\n", "config.toml:1: threads is boolean"),
    ] {
        folder.write("config.toml", text);
        let output =
            run(&folder, &["run", "--config", "config.toml", "--master", "master.toml", "--store", "a.redb"]);
        refused(&output, 78, &[words]);
    }
}

#[test]
fn help_names_every_setting_and_the_exit_codes() {
    let folder = Folder::new("access-test");
    let help = assert_done(&run(&folder, &["run", "--help"]));
    for setting in SETTINGS.all {
        assert!(help.contains(&format!("--{}", setting.key)), "{}", setting.key);
        let variable = SETTINGS.variable(setting.key);
        assert!(help.contains(&variable), "{variable}");
    }
    let help = assert_done(&run(&folder, &["--help"]));
    for word in ["run", "keygen", "ring", "mint", "account", "buddy", "Exit codes"] {
        assert!(help.contains(word), "{word}");
    }
}
