//! What changes under a running conversation: a mapping, an own address, a reflector that dies.
//!
//! * How long a repair took is read from captured datagrams: from the change to the first packet of the other that came
//!   in again. The bounds are those that the endpoint promises.

use crate::busy::{Watch, bounded};
use crate::datagrams::daemon::Path;
use crate::people::calls::{PORT_RESTRICTED, SYMMETRIC, become_direct, while_talking};
use crate::people::member::{Member, Way};
use crate::people::site::{Plan, Site};
use crate::people::talk::Packet;
use crate::{OnPath, Test, test};
use lab::Seen;
use lab::network::frame::Datagram;
use lab::programs::program::Signal;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

pub(crate) fn tests(path: Path) -> Vec<Test> {
    let tests: [(&str, OnPath); 4] = [
        ("mapping_while_reflected", |path| bounded("a mapping", MAPPING, || mapping(path, false))),
        ("mapping_while_direct", |path| bounded("a mapping", MAPPING, || mapping(path, true))),
        ("own_address", |path| bounded("an own address", OWN_ADDRESS, || own_address(path))),
        ("reflector_dies", |path| bounded("a dead reflector", REFLECTOR, || reflector_dies(path))),
    ];
    tests.map(|(name, run)| test(format!("{path}::session::change::{name}"), move || run(path))).into()
}

/// Alice's NAT forgets her mapping and gives her another port; within a keepalive interval and a second Bob reaches her.
fn mapping(path: Path, direct: bool) -> (Duration, Watch) {
    let mut site = Site::new(Plan { access_flags: &["--keepalive", "2s"], ..Plan::of(path) });
    let [alice, bob] = site.pair(PORT_RESTRICTED, if direct { PORT_RESTRICTED } else { SYMMETRIC });
    if direct {
        become_direct(&alice, &bob);
    } else {
        bob.send("alice", "let us talk");
    }
    let before = alice.contacts();
    let took = repair(&alice, &bob, false, || alice.nat.as_ref().unwrap().remap(REMAPPED).unwrap());
    // She may hear him again before she has asked the reflector where it sees her now.
    alice.wait_until("her new port", |it| it.contacts()[0].1.is_some_and(|seen| seen.port() == REMAPPED));
    assert_ne!(before, alice.contacts());
    if direct {
        alice.wait_until("a direct path again", |it| it.way_to("bob").is_direct());
    }
    took
}

fn own_address(path: Path) -> (Duration, Watch) {
    let mut site = Site::new(Plan::of(path));
    let [alice, bob] = site.pair(PORT_RESTRICTED, SYMMETRIC);
    bob.send("alice", "let us talk");
    let [a, b, c, _] = alice.host.ipv4().octets();
    let (old, near) = (alice.host.ipv4(), alice.host.link().near.interface());
    let change = format!(
        "addr del {old}/24 dev {near}
        addr add {a}.{b}.{c}.77/24 dev {near}
        route add default via {a}.{b}.{c}.1"
    );
    repair(&alice, &bob, true, || drop(alice.host.namespace().ip(&change).unwrap()))
}

/// How long it takes, under a watch, from `change` until something of Bob's comes to Alice again, at another address of her host if it
/// has `moved`; she is sent a text meanwhile.
fn repair(alice: &Member, bob: &Member, moved: bool, change: impl FnOnce()) -> (Duration, Watch) {
    std::thread::sleep(Duration::from_millis(300));
    let cable = alice.host.link().near.capture().unwrap();
    let watch = Watch::start();
    change();
    let changed = SystemTime::now();
    bob.send("alice", "are you still there?");
    alice.hears("bob says: are you still there?");
    let bobs = |packet: &Packet| !packet.outgoing && packet.peer() == bob.external();
    let seen = cable.datagrams().unwrap();
    let left = IpAddr::from(alice.host.ipv4());
    let here = |seen: &&Seen<Datagram>| !moved || seen.what.destination.ip() != left;
    let later = seen.iter().filter(|seen| seen.time > changed).filter(here);
    let mut again = later.filter(|seen| Packet::read(seen).is_some_and(|packet| bobs(&packet)));
    let again = again.next().expect("something of Bob's").time;
    (again.duration_since(changed).unwrap(), watch)
}

/// The reflector of a conversation is killed; it goes on through the other within three seconds, and no text is lost.
fn reflector_dies(path: Path) -> (Duration, Watch) {
    let mut site = Site::new(Plan { reflectors: 2, ..Plan::of(path) });
    let [alice, bob] = site.pair(SYMMETRIC, SYMMETRIC);
    alice.send("bob", "let us talk");
    let Way::Reflected(first) = alice.way_to("bob") else { panic!("not reflected") };
    let dying = site.reflectors.iter().position(|it| it.ipv4 == first).unwrap();
    let second = site.reflectors[1 - dying].ipv4;
    let cable = bob.host.link().near.capture().unwrap();
    let (mut killed, mut watch) = (SystemTime::now(), Watch::start());
    let sent = while_talking(&alice, &bob, |talk| {
        talk.goes_on(2);
        (killed, watch) = (SystemTime::now(), Watch::start());
        site.reflectors[dying].program().signal(Signal::Kill).unwrap();
        alice.wait_until("the other reflector", |it| it.way_to("bob") == Way::Reflected(second));
        talk.goes_on(2);
    });
    assert!(sent > 3, "{sent}");
    let seen = cable.datagrams().unwrap();
    let through_second = |packet: &Packet| !packet.outgoing && packet.carrier.reflector() == Some(second);
    let later = seen.iter().filter(|seen| seen.time > killed);
    let mut again = later.filter(|seen| Packet::read(seen).is_some_and(|packet| through_second(&packet)));
    let again = again.next().expect("something through the other").time;
    (again.duration_since(killed).unwrap(), watch)
}

/// An external port that no mapping had before.
const REMAPPED: u16 = 40_077;
/// A keepalive interval and a second.
const MAPPING: Duration = Duration::from_secs(2 + 1);
const OWN_ADDRESS: Duration = Duration::from_secs(1);
const REFLECTOR: Duration = Duration::from_secs(3);
