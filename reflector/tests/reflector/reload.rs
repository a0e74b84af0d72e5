//! SIGHUP: lists, rates and ring follow as a whole, or nothing does.

use crate::rig::daemon::{Folder, Reflector};
use crate::rig::protocol::{Key, now_s};
use crate::rig::traffic::Endpoint;

fn start(config: &str) -> Reflector {
    let folder = Folder::new("reflector-test");
    folder.write("config.toml", config);
    let flags =
        ["--config", "{folder}/config.toml", "--listen", "127.0.0.1:0", "--workers", "2", "--steer", "hash"];
    Reflector::start_in(folder, &flags)
}

const OPEN: &str = "allow-destination = \"127.0.0.0/8\"\n";

pub(crate) fn deny_lists_follow_a_reload() {
    let reflector = start(OPEN);
    let key = reflector.key;
    let (alice, bob) = (Endpoint::new("127.40.0.1:0", &reflector), Endpoint::new("127.41.0.1:0", &reflector));
    alice.exchange(&bob, &key, 1, 1);
    let denied = |reason: &str| {
        alice.send(&key.send(alice.address, bob.address, b"x"));
        let before = reflector.metrics_when(|page| page.missing() == 0 && page.dropped(reason) > 0);
        bob.assert_silence();
        before.dropped(reason)
    };
    reflector.folder.write("config.toml", &format!("{OPEN}deny-source = [\"127.40.0.0/16\"]\n"));
    reflector.reload("success");
    assert_eq!(denied("denied"), 1);
    reflector.folder.write("config.toml", &format!("{OPEN}deny-destination = \"127.41.0.0/16\"\n"));
    reflector.reload("success");
    assert_eq!(denied("destination"), 1);
    reflector.folder.write("config.toml", &format!("{OPEN}[class.0]\nrate = \"8bps\"\n"));
    reflector.reload("success");
    alice.exchange(&bob, &key, 1, 1);
    assert_eq!(denied("rate"), 1);
    reflector.folder.write("config.toml", OPEN);
    reflector.reload("success");
    alice.exchange(&bob, &key, 1, 10);
    assert_eq!(reflector.metrics().sum("reflector_reloads_total", &[("outcome", "success")]), 4);
}

pub(crate) fn a_refused_reload_changes_nothing_and_says_why() {
    let mut reflector = start(OPEN);
    let key = reflector.key;
    let (alice, bob) = (Endpoint::new("127.0.0.1:0", &reflector), Endpoint::new("127.0.0.2:0", &reflector));
    let fingerprint = reflector.ready["ring"].as_str().unwrap().to_owned();
    let good = Key::new(9, 9).toml();
    for (ring, config) in [
        ("", OPEN),
        ("[[key]]\nid = 1\nsecret = \"00\"\n", OPEN),
        // A good ring does not take effect beside a bad policy.
        (good.as_str(), "allow-destination = \"127.0.0.0/99\"\n"),
        (good.as_str(), "unknown = 1\n"),
    ] {
        reflector.folder.write("ring.toml", ring);
        reflector.folder.write("config.toml", config);
        reflector.reload("failure");
        alice.exchange(&bob, &key, 1, 4);
        let page = reflector.metrics();
        assert_eq!(page.label("reflector_ring_info", "fingerprint"), fingerprint);
    }
    let line = reflector.wait_for_line("reload refused; the old ring and policy stay in force");
    assert!(line["reason"].as_str().unwrap().contains("ring.toml:1: the ring holds no key"), "{line}");
    for words in
        ["ring.toml:3", "config.toml:1: allow-destination = 127.0.0.0/99", "config.toml:1: unknown is no key"]
    {
        reflector.wait_for_words(words);
    }
    assert_eq!(reflector.metrics().sum("reflector_reloads_total", &[("outcome", "success")]), 0);
}

pub(crate) fn what_needs_a_restart_is_named_and_stays() {
    let mut reflector = start(OPEN);
    let before = now_s();
    reflector
        .folder
        .write("config.toml", &format!("{OPEN}max-datagram = 100\ndrain-below = 5\nprobe-budget = 9\n"));
    reflector.reload("success");
    let line = reflector.wait_for_line("changed settings wait for a restart");
    assert_eq!(line["settings"], "max-datagram,drain-below");
    let (alice, bob) = (Endpoint::new("127.0.0.1:0", &reflector), Endpoint::new("127.0.0.2:0", &reflector));
    alice.send(&reflector.key.send(alice.address, bob.address, &[1; 200]));
    assert_eq!(bob.receive().len(), 232);
    let settings = reflector.get("/config").1;
    let config: serde_json::Value = serde_json::from_str(&settings).unwrap();
    let value = |key: &str| {
        config["settings"].as_array().unwrap().iter().find(|it| it["key"] == key).unwrap()["value"].clone()
    };
    assert_eq!([value("max-datagram"), value("drain-below"), value("probe-budget")], ["1472", "100", "9"]);
    assert!(reflector.metrics().sum("reflector_ring_reload_timestamp_seconds", &[]) >= u64::from(before));
}
