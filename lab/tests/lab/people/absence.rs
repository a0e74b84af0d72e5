//! Who is away: a buddy that was killed, an access server, a key that was retired; and a notice that comes too late.
//!
//! * An hour is made of seconds: what the servers hand out lives for ten of them instead of three hundred, so that within
//!   a test all of it ends more than once, as it would in an hour.

use crate::busy::{Bad, Watch, judged};
use crate::datagrams::daemon::{Path, eventually};
use crate::people::calls::{PORT_RESTRICTED, SYMMETRIC, become_direct, cut, while_talking};
use crate::people::member::{Member, Way};
use crate::people::site::{Plan, Site};
use crate::people::talk::Packet;
use crate::{OnPath, Test, test};
use lab::network::frame::Datagram;
use lab::{Capture, Seen};
use std::thread;
use std::time::{Duration, Instant};
use wire::ring::KeyId;
use wire::{Header, Kind};

pub(crate) fn tests(path: Path) -> Vec<Test> {
    let tests: [(&str, OnPath); 5] = [
        ("killed_buddy", killed_buddy),
        ("overtaken_notice", overtaken_notice),
        ("access_server_while_reflected", access_server_while_reflected),
        ("access_server_while_direct", access_server_while_direct),
        ("retired_key", retired_key),
    ];
    tests.map(|(name, run)| test(format!("{path}::session::away::{name}"), move || run(path))).into()
}

/// Who says nothing any more is offline in the server's view when its lease ends, and then in others'.
fn killed_buddy(path: Path) {
    judged("a killed buddy", || {
        let mut site = Site::new(Plan { access_flags: &["--lease", "3s"], ..Plan::of(path) });
        let [alice, mut bob] = site.pair(SYMMETRIC, PORT_RESTRICTED);
        let ended = || site.access.count("reflector_access_ended_leases_total", &[]);
        let (before, watch) = (ended(), Watch::start());
        bob.kill();
        // Nobody has told her, unless half of the lease was over before she was asked.
        let sees = alice.sees("bob");
        alice.hears("bob is offline");
        assert!(!alice.sees("bob"));
        // It shows at once, and is counted by the server's next look.
        eventually("the end of his lease is counted", || ended() > before);
        let ended = ended() - before;
        if !sees || ended != 1 {
            return Err(watch.bad(format!("she saw him: {sees}; {ended} leases have ended")));
        }
        bob.up();
        alice.hears_times("bob is online", 2);
        Ok(())
    });
}

/// Alice's online notice is delivered behind her offline notice, which was sent later: she stays offline.
fn overtaken_notice(path: Path) {
    let mut site = Site::new(Plan::of(path));
    let mut people = site.people([("alice", SYMMETRIC), ("bob", SYMMETRIC)], &[(0, 1)]);
    let [alice, bob] = &mut people;
    bob.up();
    bob.hears("logged in as bob");
    // What goes from the reflector to Bob waits here.
    let reflector = site.reflectors[0].host.link().far.clone();
    for overtaken in [false, true] {
        let cable = reflector.capture().unwrap();
        let core = site.reflectors[0].host.ipv4();
        site.lab.cut(core, bob.nat.as_ref().unwrap().external()).unwrap();
        alice.up();
        alice.hears("bob is online");
        let online = held_back(&cable, bob);
        alice.down();
        let offline = held_back(&cable, bob);
        site.lab.mend().unwrap();
        let at_bob = bob.host.link().near.capture().unwrap();
        let deliver = |frame: &[u8]| site.reflectors[0].host.link().near.inject(frame).unwrap();
        let (times, order) = (bob.said("alice is online"), [&online, &offline]);
        if overtaken {
            order.into_iter().rev().for_each(|frame| deliver(frame));
            thread::sleep(QUIET);
            assert_eq!(bob.said("alice is online"), times, "an old notice was believed");
        } else {
            deliver(order[0]);
            bob.hears("alice is online");
            deliver(order[1]);
            bob.hears("alice is offline");
        }
        assert!(!bob.sees("alice"));
        let seen = Packet::all(&at_bob.datagrams().unwrap());
        let came = seen.iter().filter(|packet| !packet.outgoing && packet.is_init()).count();
        let answered = seen.iter().any(|packet| packet.outgoing && packet.is_response());
        assert_eq!((came, answered), (2, !overtaken), "both came, and only a timely one is answered");
    }
}

/// The last first message of a handshake that left the reflector for Bob, as a frame; there must be one.
fn held_back(cable: &Capture, bob: &Member) -> Vec<u8> {
    let mut found = None;
    eventually("a first message for Bob leaves the reflector", || {
        let frames = cable.frames().unwrap();
        let is_wanted = |frame: &Seen<Vec<u8>>| {
            let what = Datagram::read(&frame.what)?;
            let seen = Seen { time: frame.time, outgoing: frame.outgoing, what };
            let to_bob = seen.what.destination.ip() == bob.external();
            Packet::read(&seen).filter(|packet| packet.is_init() && to_bob)
        };
        let mut wanted = frames.into_iter().filter(|frame| is_wanted(frame).is_some());
        found = wanted.next_back().map(|frame| frame.what).or(found.take());
        found.is_some()
    });
    found.unwrap()
}

/// A reflected call goes on, and renews its own headers, while nobody hands out new ones.
fn access_server_while_reflected(path: Path) {
    let mut site = Site::new(hour(path));
    let [alice, bob] = site.pair(SYMMETRIC, SYMMETRIC);
    alice.send("bob", "let us talk");
    site.access.kill();
    let sent = while_talking(&alice, &bob, |talk| {
        thread::sleep(HOUR);
        talk.goes_on(1);
    });
    assert!(sent > 0);
    bob.send("alice", "still here");
    let reflected = Way::Reflected(site.reflector());
    assert_eq!([alice.way_to("bob"), bob.way_to("alice")], [reflected.clone(), reflected]);
    // Both log in again by themselves, and nobody was thought to be away meanwhile.
    site.relaunch_access();
    let sessions = || site.access.count("reflector_access_sessions", &[]);
    alice.wait_until("both logged in again", |_| sessions() == 2);
    assert_eq!([&alice, &bob].map(|it| it.said("is offline")), [0, 0]);
}

/// The same with a direct call whose path is cut within that hour: the way through the reflector was kept alive.
fn access_server_while_direct(path: Path) {
    judged("a direct call without an access server", || stays_direct(path));
}

fn stays_direct(path: Path) -> Result<(), Bad> {
    let (mut site, watch) = (Site::new(hour(path)), Watch::start());
    let [alice, bob] = site.pair(PORT_RESTRICTED, PORT_RESTRICTED);
    become_direct(&alice, &bob);
    site.access.kill();
    let killed = Instant::now();
    let mut sees = true;
    while sees && killed.elapsed() < HOUR {
        thread::sleep(Duration::from_millis(500));
        sees = alice.sees("bob");
    }
    let way = alice.way_to("bob");
    if !sees || !way.is_direct() {
        return Err(watch.bad(format!("she sees him: {sees}, {way:?}")));
    }
    let reflected = Way::Reflected(site.reflector());
    while_talking(&alice, &bob, |_| {
        cut(&site, &alice, &bob);
        alice.wait_until("the way through the reflector", |it| it.way_to("bob") == reflected);
        bob.wait_until("the way through the reflector", |it| it.way_to("alice") == reflected);
    });
    assert_eq!([&alice, &bob].map(|it| it.said("is offline")), [0, 0], "somebody was thought to be away");
    Ok(())
}

/// A key comes, mints and goes at the access server and at the reflector while a call runs; no datagram is refused.
fn retired_key(path: Path) {
    let mut site = Site::new(Plan { access_flags: &["--lease", "4s"], ..Plan::of(path) });
    let [alice, bob] = site.pair(SYMMETRIC, SYMMETRIC);
    alice.send("bob", "let us talk");
    let sent = while_talking(&alice, &bob, |talk| {
        // Known to the reflector first, then minted with, and known alone when nothing of the old one is left.
        let old = site.access.master();
        let new = site.access.fresh_key(2);
        site.access.replace_master(&format!("{new}\n{old}"));
        let ring = site.access.ring("r1");
        site.reflectors[0].replace_ring(&ring);
        site.access.reload();
        thread::sleep(REFRESHED);
        [&alice, &bob].into_iter().for_each(|member| sends_under(2, member));
        site.access.replace_master(&new);
        let ring = site.access.ring("r1");
        site.reflectors[0].replace_ring(&ring);
        site.access.reload();
        thread::sleep(REFRESHED);
        talk.goes_on(5);
    });
    assert!(sent > 10, "{sent}");
    bob.send("alice", "still here");
    assert_eq!(site.reflectors[0].metric("reflector_dropped_datagrams_total", &[]), 0, "refused");
}

/// Waits until somebody sends through a reflector under this key, and no longer under another one.
fn sends_under(key: u8, member: &Member) {
    let cable = member.host.link().near.capture().unwrap();
    let mut in_a_row = 0;
    eventually("only the new key is used", || {
        for seen in cable.datagrams().unwrap().iter().filter(|seen| seen.outgoing) {
            let Some(head) = seen.what.payload.first_chunk() else { continue };
            let header = Header::read(head);
            if header.kind == Kind::Send as u8 {
                in_a_row = if KeyId::of_header(header.class_key).get() == key { in_a_row + 1 } else { 0 };
            }
        }
        in_a_row >= 5
    });
}

/// Lifetimes thirty times shorter than usual.
pub(crate) fn hour(path: Path) -> Plan {
    let access_flags = &["--lease", "4s", "--capability-lifetime", "10s", "--keepalive", "1s"];
    let reflector_flags = &["--answer-lifetime", "10s", "--ticket-lifetime", "10s"];
    Plan { access_flags, reflector_flags, ..Plan::of(path) }
}

/// Longer than anything lives that was handed out before, twice.
pub(crate) const HOUR: Duration = Duration::from_secs(24);
/// Longer than a lease of four seconds takes to be renewed.
const REFRESHED: Duration = Duration::from_secs(4);
/// How long silence must last to be believed.
const QUIET: Duration = Duration::from_millis(500);
