//! Conversations and their ways: reflected both ways or one way, made direct where both NATs allow it, and back again.
//!
//! * What the endpoints say by `status` must be what captured datagrams show.
//! * A text counts as delivered when the other program has printed it: once, and in order.

use crate::datagrams::daemon::Path;
use crate::people::member::{Member, Way};
use crate::people::site::{Plan, Site};
use crate::people::talk::Packet;
use crate::{OnPath, Test, test};
use harness::wait_until;
use lab::Capture;
use nat::{Behaviour, Filtering, Mapping};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

pub(crate) fn tests(path: Path) -> Vec<Test> {
    let tests: [(&str, OnPath); 4] = [
        ("two_way_reflected", two_way_reflected),
        ("one_way_reflected", one_way_reflected),
        ("upgrade_to_direct", upgrade_to_direct),
        ("direct_path_cut", direct_path_cut),
    ];
    tests.map(|(name, run)| test(format!("{path}::session::call::{name}"), move || run(path))).into()
}

fn two_way_reflected(path: Path) {
    let mut site = Site::new(Plan::of(path));
    let [alice, bob] = site.pair(SYMMETRIC, SYMMETRIC);
    let reflected = Way::Reflected(site.reflector());
    assert_eq!(exchange(&alice, &bob), [false, false], "sent directly");
    assert_eq!([alice.way_to("bob"), bob.way_to("alice")], [reflected.clone(), reflected]);
    assert_eq!(alice.buddy("bob")["why"], "no-direct-path");
}

/// Alice can send to Bob's contact, but knows of no port from which his answers would come directly.
fn one_way_reflected(path: Path) {
    let mut site = Site::new(Plan::of(path));
    let [alice, bob] = site.pair(PORT_RESTRICTED, Behaviour::nat(Mapping::Apdm, Filtering::Eif));
    assert_eq!(exchange(&alice, &bob), [true, false], "sent directly");
    assert!(alice.way_to("bob").is_direct());
    assert_eq!(bob.way_to("alice"), Way::Reflected(site.reflector()));
}

fn upgrade_to_direct(path: Path) {
    let mut site = Site::new(Plan::of(path));
    let [alice, bob] = site.pair(PORT_RESTRICTED, PORT_RESTRICTED);
    assert_eq!(alice.way_to("bob"), Way::Reflected(site.reflector()));
    assert_eq!(alice.buddy("bob")["why"], "not-yet-sought");
    become_direct(&alice, &bob);
    assert_eq!(alice.buddy("bob")["why"], "proven");
    assert_eq!(exchange(&alice, &bob), [true, true], "sent directly");
}

/// No text is lost when the direct path dies in the middle of a conversation; it goes on through the reflector.
fn direct_path_cut(path: Path) {
    let mut site = Site::new(Plan::of(path));
    let [alice, bob] = site.pair(PORT_RESTRICTED, PORT_RESTRICTED);
    become_direct(&alice, &bob);
    let reflected = Way::Reflected(site.reflector());
    let sent = while_talking(&alice, &bob, |talk| {
        talk.goes_on(3);
        cut(&site, &alice, &bob);
        alice.wait_until("the way through the reflector", |it| it.way_to("bob") == reflected);
        bob.wait_until("the way through the reflector", |it| it.way_to("alice") == reflected);
        talk.goes_on(3);
    });
    assert!(sent > 5, "the cut met {sent} texts only");
    assert_eq!(exchange(&alice, &bob), [false, false], "sent directly");
}

/// Starts a conversation, and waits until both talk directly.
pub(crate) fn become_direct(alice: &Member, bob: &Member) {
    alice.send("bob", "let us talk");
    alice.wait_until("a direct path to bob", |it| it.way_to("bob").is_direct());
    bob.wait_until("a direct path to alice", |it| it.way_to("alice").is_direct());
}

/// Cuts whatever goes directly between two people.
pub(crate) fn cut(site: &Site, alice: &Member, bob: &Member) {
    let external = |member: &Member| -> Ipv4Addr { member.nat.as_ref().unwrap().external() };
    site.lab.cut(external(alice), external(bob)).unwrap();
}

/// A text each way; whether the first packet that carried it left directly.
fn exchange(alice: &Member, bob: &Member) -> [bool; 2] {
    [(alice, bob), (bob, alice)].map(|(from, to)| sends_directly(from, to))
}

/// Sends a text of a length that nothing else has; whether the packet that carried it first left directly.
pub(crate) fn sends_directly(from: &Member, to: &Member) -> bool {
    let cable: Capture = from.host.link().near.capture().unwrap();
    let words = "x".repeat(MARKED);
    let before = to.said(&words);
    from.send(&to.name, &words);
    to.hears_times(&words, before + 1);
    let packets = Packet::all(&cable.datagrams().unwrap());
    let carries = |packet: &&Packet| {
        let length = packet.bytes.len();
        packet.outgoing && packet.peer() == to.external() && (MARKED..MARKED + 100).contains(&length)
    };
    packets.iter().find(carries).expect("the text left").is_direct()
}

/// One text after the other goes from Alice to Bob while `work` is done; how many. All arrive, once, in order.
pub(crate) fn while_talking(alice: &Member, bob: &Member, work: impl FnOnce(&Talk)) -> usize {
    let talk = Talk::default();
    thread::scope(|scope| {
        let talking = scope.spawn(|| {
            while !talk.over.load(Ordering::Relaxed) {
                alice.send("bob", &format!("text {}.", talk.sent.load(Ordering::Relaxed)));
                talk.sent.fetch_add(1, Ordering::Relaxed);
                thread::sleep(PAUSE);
            }
        });
        // Also when `work` fails, so that the test ends.
        let ends = Ends(&talk.over);
        work(&talk);
        drop(ends);
        talking.join().unwrap();
    });
    let sent = talk.sent.into_inner();
    bob.wait_until("the last text", |bob| bob.lines("alice says: text ").len() >= sent);
    let lines = bob.lines("alice says: text ");
    let expected: Vec<String> = (0..sent).map(|n| format!("alice says: text {n}.")).collect();
    assert_eq!(lines, expected);
    sent
}

/// Texts from Alice to Bob, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Talk {
    sent: AtomicUsize,
    over: AtomicBool,
}

impl Talk {
    /// Waits until so many more texts have been delivered.
    pub(crate) fn goes_on(&self, more: usize) {
        let delivered = || self.sent.load(Ordering::Relaxed);
        let before = delivered();
        wait_until("the talk does not go on", || delivered() >= before + more);
    }
}

/// Raises a flag when it goes.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(crate) const SYMMETRIC: Behaviour = Behaviour::nat(Mapping::Apdm, Filtering::Apdf);
pub(crate) const PORT_RESTRICTED: Behaviour = Behaviour::nat(Mapping::Eim, Filtering::Apdf);
/// Bytes of a text that is found again by its length.
const MARKED: usize = 700;
const PAUSE: Duration = Duration::from_millis(50);
