//! T25: whatever was acknowledged is there after a kill -9, however often that happens in the midst of writes.
//!
//! * `ACCESS_KILLS=200 cargo test -p access --test access durability` is the long run.

use crate::client::Client;
use crate::person::Person;
use crate::server::{PASSWORD_HASH, Server, assert_done};
use harness::{PATIENCE, wait_until};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

#[test]
fn t25_no_acknowledged_write_is_lost_by_kill_9() {
    let kills: u64 = std::env::var("ACCESS_KILLS").map_or(20, |text| text.parse().unwrap());
    let mut server = Server::start(&[]);
    let mut rounds: Vec<Round> = Vec::new();
    for number in 0..kills {
        server.add_accounts(&[&format!("writer{number}")]);
        let mut writer = Person::enrol(&server, &format!("writer{number}"));
        writer.login(&[]).good();
        let (client, session) = (server.client(), writer.session.clone());
        let (tell, told) = channel();
        let folder = std::thread::scope(|scope| {
            let asks = scope.spawn(move || ask_until_it_dies(&client, &session, &tell));
            // Another moment each time, in the midst of writes.
            wait_for_acknowledged(&told, 2 + 7 * (number % 9));
            std::thread::sleep(Duration::from_micros(370 * (number % 7)));
            let folder = server.kill();
            let (asked, ended) = asks.join().unwrap();
            rounds.push(Round { writer, asked, ended });
            folder
        });
        server = Server::start_in(folder, &[]);
        rounds.last_mut().unwrap().check(&server);
    }
    let written: usize = rounds.iter().map(|round| round.asked.len() + round.ended.len()).sum();
    assert!(written > rounds.len(), "the control: {written} writes were acknowledged");
    rounds.iter_mut().for_each(|round| round.check(&server));
    assert_done(&server.command(&["account", "list"]));
}

#[test]
fn t25_an_account_that_was_added_is_there_after_a_kill_of_the_command_that_adds_more() {
    let server = Server::start(&[]);
    let row = |name: String| format!("{{\"account\":\"{name}\",\"hash\":\"{PASSWORD_HASH}\"}}\n");
    let many: String = (0..20_000).map(|number| row(format!("many{number}"))).collect();
    server.folder.write("many.jsonl", &many);
    server.add_accounts(&["first"]);
    let folder = std::thread::scope(|scope| {
        let path = server.folder.path().to_owned();
        let import = scope.spawn(move || {
            let mut command = crate::server::program();
            command.current_dir(path).args(["account", "import", "--store", "access.redb", "many.jsonl"]);
            crate::server::output_of(command, "")
        });
        // The first of many pieces is in, and the next is on its way.
        wait_until("no account is added", || server.metrics().sum("reflector_access_accounts", &[]) > 1);
        let folder = server.kill();
        import.join().unwrap();
        folder
    });
    let server = Server::start_in(folder, &[]);
    let list = assert_done(&server.command(&["account", "list"]));
    let added = list.lines().filter(|line| line.starts_with("many")).count();
    assert!(list.contains("first ") && added % 1_000 == 0, "{added} of them: pieces are whole or not there");
    assert!(added >= 1_000, "what was seen is there");
}

/// What one round got acknowledged.
struct Round {
    writer: Person,
    asked: Vec<String>,
    ended: Vec<String>,
}

impl Round {
    fn check(&mut self, server: &Server) {
        self.writer.client = server.client();
        self.writer.login(&[]).good();
        let buddies: Vec<String> =
            self.writer.profile().buddies.iter().map(|it| it.account.to_string()).collect();
        let lost: Vec<_> = self.asked.iter().filter(|name| !buddies.contains(name)).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        let back: Vec<_> = self.ended.iter().filter(|name| buddies.contains(name)).collect();
        assert!(back.is_empty(), "ended and back: {back:?}");
    }
}

/// Waits until so many writes are acknowledged, or no more will be.
fn wait_for_acknowledged(told: &Receiver<()>, writes: u64) {
    for _ in 0..writes {
        if told.recv_timeout(PATIENCE).is_err() {
            return;
        }
    }
}

/// Asks one account after the other, and ends every third again; tells of each write that is acknowledged, and returns
/// what was acknowledged and stands.
fn ask_until_it_dies(client: &Client, session: &str, tell: &Sender<()>) -> (Vec<String>, Vec<String>) {
    let (mut asked, mut ended) = (Vec::new(), Vec::new());
    for number in 0..500 {
        let name = format!("somebody{number}");
        let path = format!("/v1/buddies/{name}");
        if client.try_status("PUT", &path, session) != Some(200) {
            break;
        }
        if number % 3 != 0 {
            asked.push(name);
            let _ = tell.send(()); // Nobody listens any more once enough has been told.
            continue;
        }
        match client.try_status("DELETE", &path, session) {
            Some(204) => {
                ended.push(name);
                let _ = tell.send(());
            }
            // It may have been done and not said: it stands in neither list.
            _ => break,
        }
    }
    (asked, ended)
}
