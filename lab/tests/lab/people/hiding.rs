//! People who hide their addresses, and rights that are taken back while they are used.
//!
//! * What two who hide could learn of each other is searched for in everything: packets, status, and what programs say.
//! * A disabled account is cut off wherever it has rights, even at an address that it has left and an accomplice keeps alive.

use crate::busy::{Watch, bounded};
use crate::datagrams::daemon::Path;
use crate::datagrams::endpoint::{Endpoint, answer, capability};
use crate::people::absence::{HOUR, hour};
use crate::people::calls::{PORT_RESTRICTED, while_talking};
use crate::people::member::{Member, Way};
use crate::people::site::{Plan, Site};
use crate::{OnPath, Test, test};
use lab::programs::program::Signal;
use lab::{Capture, Host};
use nat::Behaviour;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use wire::{HEADER_LEN, Kind};

pub(crate) fn tests(path: Path) -> Vec<Test> {
    let tests: [(&str, OnPath); 2] = [("two_hidden", two_hidden), ("disabled", disabled)];
    tests.map(|(name, run)| test(format!("{path}::session::hiding::{name}"), move || run(path))).into()
}

/// Two who hide talk through renewals and the death of the reflector in use, and learn nothing of each other.
fn two_hidden(path: Path) {
    let mut site = Site::new(Plan { reflectors: 2, ..hour(path) });
    let mut pair = site.people([("alice", PORT_RESTRICTED), ("bob", PORT_RESTRICTED)], &[(0, 1)]);
    pair.iter().for_each(|member| site.access.hide(&member.name));
    let cables: Vec<Capture> = pair.iter().map(|it| it.host.link().near.capture().unwrap()).collect();
    pair.iter_mut().for_each(Member::up);
    let [alice, bob] = &pair;
    alice.hears("bob is online");
    bob.hears("alice is online");
    bob.send("alice", "hello");
    alice.wait_until("a sealed way to bob", |it| matches!(it.way_to("bob"), Way::Sealed(_)));
    let sent = while_talking(alice, bob, |talk| {
        thread::sleep(HOUR);
        talk.goes_on(1);
        let Way::Sealed(in_use) = alice.way_to("bob") else { panic!("{}", alice.account()) };
        let place = site.reflectors.iter().position(|it| it.ipv4 == in_use).unwrap();
        site.reflectors[place].program().signal(Signal::Kill).unwrap();
        alice.wait_until("the other reflector", |it| match it.way_to("bob") {
            Way::Sealed(now) => now != in_use,
            _ => false,
        });
        talk.goes_on(3);
    });
    assert!(sent > 10, "{sent} texts only");
    bob.send("alice", "well met");
    for ((it, other), cable) in [(alice, bob), (bob, alice)].into_iter().zip(&cables) {
        let line = it.buddy(&other.name);
        assert_eq!(
            (&line["path"], &line["why"], &line["nat"]),
            (&"sealed".into(), &"hidden".into(), &().into())
        );
        knows_nothing_of(it, other, cable);
    }
}

/// Asserts that the address of `other` stands in nothing that `it` was given, and that what it sent and took was sealed.
fn knows_nothing_of(it: &Member, other: &Member, cable: &Capture) {
    let IpAddr::V4(address) = other.external() else { panic!("IPv4 only") };
    let text = address.to_string();
    let (status, words) = (it.status().to_string(), it.words());
    assert!(!status.contains(&text) && !words.contains(&text), "{text} in {status}\n{words}");
    let frames = cable.frames().unwrap();
    assert!(frames.len() > 100, "{} frames were captured only", frames.len());
    let needles = [address.octets(), address.to_bits().to_le_bytes()];
    for frame in &frames {
        let found = frame.what.windows(4).any(|window| needles.iter().any(|needle| window == needle));
        assert!(!found, "{text} in {:02x?}", frame.what);
    }
    // The control: its own address is found in what the reflector told it.
    let IpAddr::V4(own) = it.external() else { panic!("IPv4 only") };
    assert!(frames.iter().any(|frame| frame.what.windows(4).any(|window| window == own.octets())));
    let kinds =
        cable.datagrams().unwrap().into_iter().filter_map(|seen| Some((*seen.what.payload.first()?, seen)));
    for (kind, seen) in kinds {
        let plain = [Kind::Send as u8, Kind::Data as u8, Kind::Peer as u8].contains(&kind);
        assert!(!plain || seen.what.payload.len() < HEADER_LEN, "kind {kind} to {}", seen.what.destination);
    }
}

/// Mallory's account is disabled while a peer of hers keeps a conversation alive with an address that she has left.
fn disabled(path: Path) {
    bounded("from `account disable` to the last datagram relayed", Duration::from_secs(1), || {
        let mut site = Site::new(Plan { revokes: true, ..Plan::of(path) });
        let mut people = site.people([("mallory", Behaviour::Open), ("bob", PORT_RESTRICTED)], &[(0, 1)]);
        let [mallory, _] = &mut people;
        mallory.up();
        mallory.hears("logged in as mallory");
        let (_, left) = mallory.contacts()[0];
        let left = left.unwrap();
        mallory.down();
        // The address is recorded; she goes to another, and an accomplice stays at the old one.
        mallory.up();
        mallory.hears("logged in as mallory");
        let accomplice = Endpoint::new(&mallory.host, left.port());
        let colluder = Endpoint::new(&people_host(&mut site), 5000);
        let took = cut_after(&site, &accomplice, &colluder);
        (took, Watch::start())
    });
}

/// A host of somebody without an account.
fn people_host(site: &mut Site) -> Host {
    site.lab.host("colluder").unwrap()
}

/// Two talk through the reflector, each renewing the other's right; how long they do after the account is disabled.
fn cut_after(site: &Site, accomplice: &Endpoint, colluder: &Endpoint) -> Duration {
    let (reflector, ring) = (site.reflector(), site.reflectors[0].ring());
    let [from, to] = [accomplice, colluder].map(|it| it.contact(reflector, &ring));
    let (over, last, rounds) = (AtomicBool::new(false), Mutex::new(Instant::now()), Mutex::new(0_u32));
    let first = capability(&ring, from, to, 400);
    let mut disabled_at = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            colluder.echo_while(
                || !over.load(Ordering::Relaxed),
                |kind| if kind == Kind::Data as u8 { Kind::Send as u8 } else { kind },
            );
        });
        scope.spawn(|| {
            let mut header = first;
            accomplice.wait_at_most(Duration::from_millis(50));
            while !over.load(Ordering::Relaxed) {
                accomplice.send(reflector, &header, b"still here");
                if let Some(received) = accomplice.receive() {
                    // It came back: the right to send is renewed.
                    header = answer(&received.header);
                    *last.lock().unwrap() = Instant::now();
                    *rounds.lock().unwrap() += 1;
                }
                thread::sleep(Duration::from_millis(5));
            }
        });
        let so_far = || *rounds.lock().unwrap();
        harness::wait_until("they do not talk", || so_far() > 20);
        disabled_at = Instant::now();
        site.access.disable("mallory");
        let settled = || last.lock().unwrap().elapsed() > Duration::from_secs(2);
        harness::wait_until("their conversation goes on", settled);
        over.store(true, Ordering::Relaxed);
    });
    last.into_inner().unwrap().saturating_duration_since(disabled_at)
}
