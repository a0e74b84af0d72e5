//! Budgets seen from outside: what leaves within a time is bounded, and others are not touched.

use crate::rig::daemon::{Folder, Reflector};
use crate::rig::protocol::{now_s, probe};
use crate::rig::traffic::{Endpoint, settled};
use engine::socket::kind::Kind;
use std::time::Instant;

pub(crate) fn a_prefix_gets_its_budget_of_answers_and_no_more(kind: Kind) {
    let reflector = Reflector::start_on(kind, &["--probe-budget", "50"]);
    let (a, neighbour) =
        (Endpoint::new("127.20.0.1:0", &reflector), Endpoint::new("127.20.0.2:0", &reflector));
    let other = Endpoint::new("127.20.1.1:0", &reflector);
    let begun = Instant::now();
    for _ in 0..60 {
        a.send(&probe(b"a"));
        neighbour.send(&probe(b"b"));
    }
    let page = settled(&reflector, &[&a, &neighbour]);
    let most = 50.0 + 50.0 * begun.elapsed().as_secs_f64() + 1.0;
    assert!(page.observed() >= 50 && page.observed() as f64 <= most, "{} of at most {most}", page.observed());
    assert_eq!(page.observed() + page.dropped("rate"), 120);
    other.fence();
}

pub(crate) fn a_class_gets_its_rate_per_source_and_an_answer_spends_the_askers_class(kind: Kind) {
    let folder = Folder::new("reflector-test");
    folder.write("config.toml", "[class.2]\nrate = \"80kbps\"\n");
    let reflector = Reflector::start_in(
        folder,
        &[
            "--config",
            "{folder}/config.toml",
            "--listen",
            "127.0.0.1:0",
            "--workers",
            "1",
            "--allow-destination",
            "127.0.0.0/8",
            "--engine",
            kind.as_str(),
        ],
    );
    let (alice, bob) = (Endpoint::new("127.30.0.1:0", &reflector), Endpoint::new("127.30.0.2:0", &reflector));
    let header = |class: u8, from: &Endpoint, to: &Endpoint| {
        [&reflector.key.send_header(class, now_s() + 300, from.address, to.address)[..], &[0; 468]].concat()
    };
    let begun = Instant::now();
    for _ in 0..100 {
        alice.send(&header(2, &alice, &bob));
    }
    let page = settled(&reflector, &[&alice]);
    // 10,000 bytes per second and as many at once are 20 datagrams of 500 bytes, and one more.
    let most = 20.0 + 20.0 * begun.elapsed().as_secs_f64() + 1.0;
    assert!(page.relayed() >= 20 && page.relayed() as f64 <= most, "{} of at most {most}", page.relayed());
    let (before, begun) = (page.relayed(), Instant::now());
    for _ in 0..50 {
        alice.send(&header(3, &alice, &bob)); // Not limited.
        bob.send(&header(2, &bob, &alice)); // The same class, as an answer has it, but another source.
    }
    let page = settled(&reflector, &[&alice, &bob]);
    // Alice's 50 left whole, and Bob has a rate of his own.
    let answers = page.relayed() - before - 50;
    let most = 20.0 + 20.0 * begun.elapsed().as_secs_f64() + 1.0;
    assert!(answers >= 20 && answers as f64 <= most, "{answers} of at most {most}");
    assert_eq!(page.dropped("rate"), 200 - page.relayed());
}
