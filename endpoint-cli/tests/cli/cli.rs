//! The program as people run it: enrol, up, status, send, tunnel; its output and its exit codes.

use crate::folder::{Folder, output_of, text};
use crate::site::Site;
use harness::{Signal, wait_until};
use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

/// A site with two enrolled devices; it lives as long as the runtime.
fn enrolled(name: &str) -> (tokio::runtime::Runtime, Site, Folder) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let site = runtime.block_on(Site::start());
    let folder = Folder::new(name);
    for host in 0..2 {
        let output = folder.enrol(host, &site.url);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(text(&output.stdout).contains("is a device of host"));
    }
    (runtime, site, folder)
}

#[test]
fn enrol_writes_a_private_file_once() {
    let (_runtime, site, folder) = enrolled("enrol");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder.file(0)), 0o600);
    }
    let before = std::fs::read(folder.file(0)).unwrap();
    let again = folder.enrol(0, &site.url);
    assert_eq!(again.status.code(), Some(78));
    assert!(text(&again.stderr).contains("exists already"));
    assert_eq!(std::fs::read(folder.file(0)).unwrap(), before);
    let account = ["enrol", "--access", &site.url, "--account", "host7"];
    let wrong = output_of(folder.program(7, &account).env("REFLECTOR_ENDPOINT_PASSWORD", "guess"));
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).contains("Account or password is wrong"), "{}", text(&wrong.stderr));
    assert!(!folder.file(7).exists(), "no file for nobody");
}

#[test]
fn wrong_usage_and_missing_files_have_exit_codes_of_their_own() {
    let folder = Folder::new("usage");
    assert_eq!(folder.run(0, &["fly"]).status.code(), Some(2));
    assert_eq!(folder.run(0, &["up"]).status.code(), Some(78));
    assert!(text(&folder.run(0, &["status"]).stderr).contains("enrol"));
    let help = folder.run(0, &["--help"]);
    assert!(help.status.success() && text(&help.stdout).contains("tunnel"));
}

#[test]
fn up_answers_status_and_send_and_says_who_comes_and_goes() {
    let (_runtime, _site, folder) = enrolled("up");
    let mut bob = folder.start(1, &["up"]);
    bob.wait_for("logged in as host1");
    let mut alice = folder.start(0, &["up"]);
    alice.wait_for("host1 is online");
    bob.wait_for("host0 is online");
    let second = folder.run(0, &["up"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).contains("runs already"));

    let sent = folder.run(0, &["send", "host1", "hello\u{1b}[31m bob"]);
    assert!(sent.status.success(), "{}", text(&sent.stderr));
    bob.wait_for("host0 says: hello\u{fffd}[31m bob");
    let nobody = folder.run(0, &["send", "eve", "hello"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(text(&nobody.stderr).contains("`eve` is no buddy"));
    let status = text(&folder.run(0, &["status"]).stdout);
    assert!(status.contains("host0, behind apdm/apdf") && status.contains("online"), "{status}");
    let json: serde_json::Value =
        serde_json::from_slice(&folder.run(0, &["status", "host1", "--json"]).stdout).unwrap();
    assert_eq!(json["buddies"][0]["account"], "host1");
    assert_eq!(json["buddies"][0]["online"], true);

    bob.signal(Signal::SIGINT);
    alice.wait_for("host1 is offline");
    // Without `up`, a command is an endpoint of its own for as long as it takes.
    assert_eq!(bob.wait().code(), Some(130));
    let sent = folder.run(1, &["send", "host0", "back for a moment"]);
    assert!(sent.status.success(), "{}", text(&sent.stderr));
    alice.wait_for("host1 says: back for a moment");
}

#[test]
fn a_tunnel_carries_datagrams_both_ways_and_refuses_what_cannot_fit() {
    let (_runtime, _site, folder) = enrolled("tunnel");
    // The program at bob's end, and the address that alice's program is told.
    let service = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = service.local_addr().unwrap().to_string();
    let mut bob = folder.start(1, &["tunnel", "--peer", "host0", "--to", &to]);
    bob.wait_for("waiting for host0");
    let start = ["tunnel", "--peer", "host1", "--local", "127.0.0.1:0", "--largest", "1395"];
    let mut alice = folder.start(0, &start);
    alice.wait_for("carrying what is sent to");
    bob.wait_for("carrying what is sent to");
    let said = alice.said();
    assert!(said.contains("WireGuard: MTU = 1360"), "{said}");
    let (_, local) = said.split_once("carrying what is sent to ").unwrap();

    let program = UdpSocket::bind("127.0.0.1:0").unwrap();
    program.connect(local.lines().next().unwrap()).unwrap();
    // A service that sends everything back.
    std::thread::spawn(move || {
        let mut buffer = [0; 2000];
        while let Ok((length, from)) = service.recv_from(&mut buffer) {
            let _ = service.send_to(&buffer[..length], from); // What is lost is sent again below.
        }
    });
    for size in [1, 100, 1300, 1395] {
        come_back(&program, &vec![7; size]);
    }
    program.send(&[7; 1600]).unwrap();
    alice.wait_for("so far): 1600 bytes are too many");
}

/// Sends a datagram until it comes back as it was: a tunnel may lose one.
fn come_back(program: &UdpSocket, datagram: &[u8]) {
    program.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut buffer = [0; 2000];
    wait_until("nothing comes back", || {
        program.send(datagram).unwrap();
        // What was late, and of another size, is passed over.
        let mut received = std::iter::from_fn(|| {
            let length = program.recv(&mut buffer).ok()?;
            Some(buffer[..length].to_vec())
        });
        received.any(|it| it == datagram)
    });
}

#[test]
fn a_tunnel_that_cannot_carry_what_it_should_does_not_start() {
    let (_runtime, _site, folder) = enrolled("largest");
    let mut bob = folder.start(1, &["up"]);
    bob.wait_for("logged in");
    let refused =
        folder.run(0, &["tunnel", "--peer", "host1", "--local", "127.0.0.1:0", "--largest", "1450"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("not 1450"), "{}", text(&refused.stderr));
}
