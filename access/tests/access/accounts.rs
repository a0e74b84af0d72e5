//! `account` and `buddy`, with the server running and without it.

use crate::client::Client;
use crate::person::{Person, device_request, fresh};
use crate::server::{PASSWORD_HASH, Server, assert_done, output_of, program};
use ed25519_dalek::SigningKey;
use harness::Folder;
use std::process::Output;

/// Runs the program on a store that nobody holds.
fn alone(folder: &Folder, arguments: &[&str], input: &str) -> Output {
    let mut command = program();
    command.current_dir(folder.path()).env("REFLECTOR_ACCESS_STORE", "access.redb").args(arguments);
    output_of(command, input)
}

fn refused(output: &Output, code: i32, words: &[&str]) {
    let line = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{line}");
    assert!(line.ends_with('\n') && line.lines().count() == 1, "not one line:\n{line}");
    assert!(words.iter().all(|word| line.contains(word)), "{words:?} are not in: {line}");
    assert!(output.stdout.is_empty());
}

fn enrols(client: &Client, name: &str, password: &str) -> bool {
    let key = SigningKey::from_bytes(&fresh());
    client.post("/v1/devices", &device_request(name, password, &key)).status == 200
}

#[test]
fn accounts_are_the_same_with_and_without_a_server() {
    let folder = Folder::new("access-test");
    assert_done(&alone(&folder, &["account", "add", "alice"], "alices password\n"));
    let made = assert_done(&alone(&folder, &["account", "add", "bob", "--generate"], ""));
    assert_eq!(made.trim().len(), 24, "{made}");
    assert_done(&alone(&folder, &["buddy", "add", "alice", "bob"], ""));
    let server = Server::start_in(folder, &[]);
    let client = server.client();
    assert!(enrols(&client, "alice", "alices password") && enrols(&client, "bob", made.trim()));
    assert_done(&server.command_with(&["account", "password", "alice"], "another one\n"));
    assert!(!enrols(&client, "alice", "alices password") && enrols(&client, "alice", "another one"));
    assert_done(&server.command_with(&["account", "add", "carol"], "carols password"));
    assert_done(&server.command(&["buddy", "remove", "bob", "alice"]));
    assert_done(&server.command(&["account", "disable", "carol"]));
    server.add_accounts(&["dave"]);
    let _online = Person::login_at(&server, "dave", &[]);
    let list = assert_done(&server.command(&["account", "list"]));
    let rows: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["ACCOUNT", "STATE", "DEVICES", "ONLINE"]);
    assert_eq!(rows[1], ["alice", "enabled", "2", "0"]);
    assert_eq!(rows[3], ["carol", "disabled", "0", "0"]);
    assert_eq!(rows[4], ["dave", "enabled", "1", "1"]);
    assert_done(&server.command(&["buddy", "add", "alice", "dave"]));
    let folder = server.kill();
    let list = assert_done(&alone(&folder, &["buddy", "list", "alice"], ""));
    assert_eq!(list.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>(), ["dave", "agreed"]);
    assert_eq!(assert_done(&alone(&folder, &["buddy", "list", "bob"], "")).lines().count(), 1);
}

#[test]
fn what_is_wrong_is_said_in_one_line_wherever_the_accounts_are() {
    let server = Server::start(&[]);
    server.add_accounts(&["alice", "bob"]);
    let folder = Folder::new("access-test");
    std::fs::copy(server.folder.file("accounts.jsonl"), folder.file("accounts.jsonl")).unwrap();
    assert_done(&alone(&folder, &["account", "import", "accounts.jsonl"], ""));
    let cases: &[(&[&str], &str, i32, &[&str])] = &[
        (&["account", "add", "alice"], "long enough\n", 1, &["alice already", "account password"]),
        (&["account", "add", "carol"], "short\n", 2, &["8 to 256 bytes", "--generate"]),
        (&["account", "add", "carol"], "", 2, &["8 to 256 bytes"]),
        (&["account", "add", "Carol"], "long enough\n", 2, &["Carol:", "a-z"]),
        (&["account", "disable", "nobody"], "", 1, &["no account nobody", "account list"]),
        (&["account", "password", "nobody"], "long enough\n", 1, &["no account nobody"]),
        (&["buddy", "add", "alice", "alice"], "", 1, &["its own buddy"]),
        (&["buddy", "add", "alice", "nobody"], "", 1, &["no account nobody"]),
        (&["buddy", "list", "nobody"], "", 1, &["no account nobody"]),
        (&["account", "import", "missing.jsonl"], "", 2, &["missing.jsonl", "No such file"]),
        (&["account"], "", 2, &["account"]),
        (&["account", "remove", "alice"], "", 2, &["remove"]),
    ];
    for (arguments, input, code, words) in cases {
        refused(&server.command_with(arguments, input), *code, words);
        refused(&alone(&folder, arguments, input), *code, words);
    }
    let gone = server.command(&["account", "list", "--control", "nowhere.sock"]);
    refused(&gone, 1, &["another process holds it", "nowhere.sock", "--control"]);
    let second = output_of(
        {
            let mut command = program();
            command.current_dir(server.folder.path());
            command.args([
                "run",
                "--master",
                "master.toml",
                "--store",
                "access.redb",
                "--admin",
                "127.0.0.1:0",
            ]);
            command.args(["--listen", "127.0.0.1:0", "--log-format", "json"]);
            command
        },
        "",
    );
    refused(&second, 78, &["--store access.redb", "another process holds it"]);
}

#[test]
fn an_import_names_the_line_that_is_wrong_and_what_was_done_before() {
    let folder = Folder::new("access-test");
    let hash = |name: &str| format!("{{\"account\":\"{name}\",\"hash\":\"{PASSWORD_HASH}\"}}\n");
    let good: String = (0..1_500).map(|number| hash(&format!("user{number}"))).collect();
    for (line, words) in [
        ("{\"account\":\"x\"}", "users.jsonl:1502: expected"),
        ("{\"account\":\"x\",\"password\":\"secret1\",\"hash\":\"y\"}", "users.jsonl:1502: expected"),
        ("{\"account\":\"x\",\"password\":\"short\"}", "users.jsonl:1502: a password has 8"),
        ("{\"account\":\"x\",\"hash\":\"$2b$12$secret\"}", "users.jsonl:1502: expected a PHC string"),
        ("{\"account\":\"X\",\"password\":\"secret secret\"}", "users.jsonl:1502: expected"),
        ("user", "users.jsonl:1502: expected"),
    ] {
        folder.write("users.jsonl", &format!("{good}\n{line}\n"));
        let output = alone(&folder, &["account", "import", "users.jsonl"], "");
        refused(&output, 2, &[words, "1000 accounts were added before"]);
        assert!(!String::from_utf8_lossy(&output.stderr).contains("secret"), "a password was shown");
        std::fs::remove_file(folder.file("access.redb")).unwrap();
    }
    folder.write(
        "users.jsonl",
        &format!("{good}\n{}", "{\"account\":\"typed\",\"password\":\"typed password\"}"),
    );
    assert_eq!(
        assert_done(&alone(&folder, &["account", "import", "users.jsonl"], "")),
        "1501 accounts added\n"
    );
    let again = alone(&folder, &["account", "import", "users.jsonl"], "");
    refused(&again, 1, &["up to line 1000", "user0 already", "0 accounts were added before"]);
    let server = Server::start_in(folder, &[]);
    assert!(enrols(&server.client(), "typed", "typed password"));
}

#[test]
fn only_the_owner_may_read_what_is_stored() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::start(&[]);
    for name in ["access.redb", "access.redb.sock", "access.redb.audit.jsonl"] {
        let mode = std::fs::metadata(server.folder.file(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}
