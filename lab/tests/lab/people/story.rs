//! The story of the method, step by step: three people behind three different NATs log in, see each other, tell each other
//! that they are online, one through the reflector and one directly, and notice when one goes.
//!
//! * Which way a notice took is read from captured datagrams, and who was asked from the access server's own counters.

use crate::busy::{Bad, Watch, bounded, judged};
use crate::datagrams::daemon::Path;
use crate::people::member::{Member, text};
use crate::people::site::{Plan, Site};
use crate::people::talk::{Carrier, Packet};
use crate::{Test, test};
use lab::network::frame::Datagram;
use lab::{Capture, Seen};
use nat::{Behaviour, Filtering, Mapping};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

pub(crate) fn tests(path: Path) -> Vec<Test> {
    vec![
        test(format!("{path}::session::story"), move || story(path)),
        test(format!("{path}::session::online_within_a_second"), move || {
            bounded("from `up` to online at all buddies", Duration::from_secs(1), || comes_online(path));
        }),
    ]
}

/// Alice, Bob and Carol, each with a capture of the cable between NAT and Internet.
struct Scene {
    site: Site,
    people: [Member; 3],
    cables: [Capture; 3],
}

fn story(path: Path) {
    judged("the story", || {
        let mut scene = Scene::new(path);
        scene.behaviours_are_discovered()?;
        scene.alice_comes_online()?;
        scene.bob_goes_offline();
        Ok(())
    });
}

impl Scene {
    fn new(path: Path) -> Self {
        let mut site = Site::new(Plan::of(path));
        let people = [
            ("alice", Behaviour::nat(Mapping::Eim, Filtering::Adf)),
            ("bob", Behaviour::nat(Mapping::Apdm, Filtering::Apdf)),
            ("carol", Behaviour::nat(Mapping::Eim, Filtering::Eif)),
        ];
        let people = site.people(people, &[(0, 1), (0, 2)]);
        let cable = |member: &Member| member.nat.as_ref().unwrap().link().near.capture().unwrap();
        let cables = people.each_ref().map(cable);
        Self { site, people, cables }
    }

    /// Step 1, by the command that people have for it; `up` finds the same by itself.
    fn behaviours_are_discovered(&mut self) -> Result<(), Bad> {
        let words = [("eim", "adf"), ("apdm", "apdf"), ("eim", "eif")];
        for (member, (mapping, filtering)) in self.people.iter().zip(words) {
            let watch = Watch::start();
            let said = text(&member.command(&["nat"]).stdout);
            let row = |name: &str, value: &str| {
                said.lines().any(|line| line.starts_with(name) && line.contains(&format!(" {value}, ")))
            };
            // An answer that comes too late does not count.
            if !row("mapping", mapping) || !row("filtering", filtering) {
                return Err(watch.bad(format!("{}: {said}", member.name)));
            }
            assert!(said.contains(&member.external().to_string()), "{}: {said}", member.name);
        }
        Ok(())
    }

    /// Steps 2 to 4.
    fn alice_comes_online(&mut self) -> Result<(), Bad> {
        let [alice, bob, carol] = &mut self.people;
        let watch = Watch::start();
        bob.up();
        carol.up();
        bob.hears("logged in as bob");
        carol.hears("logged in as carol");
        if !bob.knows_its_nat() || !carol.knows_its_nat() {
            return Err(watch.bad("Bob or Carol has misjudged the NAT"));
        }
        let contact_of = |member: &Member| contact(member, self.site.reflectors[0].ipv4);
        let (bobs, carols) = (contact_of(bob), contact_of(carol));
        let before = self.site.access.asked();
        self.cables.iter().for_each(|cable| drop(cable.datagrams().unwrap()));
        let watch = Watch::start();
        alice.up();
        bob.hears("alice is online");
        carol.hears("alice is online");
        alice.hears("bob is online");
        alice.hears("carol is online");
        assert_eq!(alice.said("logged in as alice"), 1);
        if !alice.knows_its_nat() {
            return Err(watch.bad("Alice has misjudged the NAT"));
        }
        let asked = since(&before, &self.site.access.asked());
        assert_eq!(asked, of(&[("challenge", 1), ("login", 1)]), "nobody asked but Alice, once");

        let [of_alice, of_bob, of_carol] =
            self.cables.each_ref().map(|cable| Packet::all(&cable.datagrams().unwrap()));
        let notices = of_alice.iter().filter(|packet| packet.outgoing && packet.is_init()).count();
        if notices > 2 {
            return Err(watch.bad("an answer came so late that the notice was repeated, both ways"));
        }
        let reflector = self.site.reflector();
        // To Bob one datagram, through the reflector, the same bytes that left Alice.
        let to_bob = sent_to(&of_alice, bobs);
        assert_eq!(to_bob.carrier, Carrier::Send { reflector, peer: bobs });
        let alices = contact(&self.people[0], reflector);
        let at_bob = first_in(&of_bob);
        assert_eq!(at_bob.carrier, Carrier::Data { reflector, peer: alices });
        assert!(to_bob.is_init() && at_bob.bytes == to_bob.bytes, "the first is the notice, unchanged");
        let direct = |packet: &&Packet| packet.is_direct() && packet.peer() == alices.ip();
        assert_eq!(
            of_bob.iter().find(direct),
            None,
            "nothing of Alice came to Bob but through the reflector"
        );
        // To Carol one datagram, directly, though she never called Alice.
        let to_carol = sent_to(&of_alice, carols);
        assert_eq!(to_carol.carrier, Carrier::Direct { source: alices, destination: carols });
        let at_carol = first_in(&of_carol);
        assert_eq!((at_carol.carrier, &at_carol.bytes), (to_carol.carrier, &to_carol.bytes));
        assert!(at_carol.is_init());
        let reflected = |packet: &&Packet| !packet.is_direct();
        assert_eq!(of_carol.iter().find(reflected), None, "Carol needed no reflector");

        let [alice, bob, carol] = &self.people;
        assert!(alice.way_to("bob").is_reflected() && alice.way_to("carol").is_direct());
        assert!(bob.sees("alice") && carol.sees("alice") && alice.sees("bob") && alice.sees("carol"));
        Ok(())
    }

    /// Step 5.
    fn bob_goes_offline(&mut self) {
        let before = self.site.access.asked();
        self.cables.iter().for_each(|cable| drop(cable.datagrams().unwrap()));
        let [alice, bob, carol] = &mut self.people;
        bob.down();
        alice.hears("bob is offline");
        assert!(!alice.sees("bob") && alice.sees("carol") && carol.sees("alice"));
        let asked = since(&before, &self.site.access.asked());
        assert_eq!(asked, of(&[("logout", 1)]), "nobody asked but Bob, who logged out");
        let of_alice = Packet::all(&self.cables[0].datagrams().unwrap());
        let farewell = first_in(&of_alice);
        assert!(matches!(farewell.carrier, Carrier::Data { .. }), "{farewell:?}");
        let called_back = of_alice.iter().find(|packet| packet.outgoing && packet.is_init());
        assert_eq!(called_back, None, "a farewell is not answered");
    }
}

/// From `up` to the notice at every buddy, with twenty milliseconds on each person's cable.
fn comes_online(path: Path) -> (Duration, Watch) {
    let mut site = Site::new(Plan { delay: Duration::from_millis(20), ..Plan::of(path) });
    let people = [
        ("alice", Behaviour::nat(Mapping::Eim, Filtering::Apdf)),
        ("bob", Behaviour::nat(Mapping::Apdm, Filtering::Apdf)),
        ("carol", Behaviour::nat(Mapping::Eim, Filtering::Eif)),
        ("dave", Behaviour::Open),
        ("erin", Behaviour::nat(Mapping::Eim, Filtering::Apdf)),
    ];
    let [mut alice, mut buddies @ ..] = site.people(people, &[(0, 1), (0, 2), (0, 3), (0, 4)]);
    buddies.iter_mut().for_each(Member::up);
    buddies.iter().for_each(|buddy| buddy.hears("logged in as"));
    let cables = buddies.each_ref().map(|buddy| buddy.host.link().near.capture().unwrap());
    let (started, watch) = (SystemTime::now(), Watch::start());
    alice.up();
    let external = alice.external();
    let mut last = Duration::ZERO;
    for (buddy, cable) in buddies.iter().zip(&cables) {
        harness::wait_until_or(
            || buddy.said("alice is online") > 0,
            || format!("{}: {}\nalice: {}", buddy.name, buddy.account(), alice.account()),
        );
        let seen = cable.datagrams().unwrap();
        let notice = |seen: &&Seen<Datagram>| {
            let packet = Packet::read(seen);
            packet.is_some_and(|it| !it.outgoing && it.is_init() && it.peer() == external)
        };
        let first = seen.iter().find(notice).expect("the notice came in").time;
        last = last.max(first.duration_since(started).unwrap());
    }
    (last, watch)
}

/// Where a reflector sees somebody.
pub(crate) fn contact(member: &Member, reflector: SocketAddr) -> SocketAddr {
    let contacts = member.contacts();
    let found = contacts.iter().find(|(address, _)| *address == reflector);
    found.and_then(|(_, observed)| *observed).expect("a contact at this reflector")
}

/// The first packet to somebody among those that left; there must be one.
fn sent_to(packets: &[Packet], contact: SocketAddr) -> &Packet {
    let mut sent = packets.iter().filter(|packet| packet.outgoing && packet.peer() == contact.ip());
    sent.next().expect("a packet left")
}

/// The first packet that came in.
fn first_in(packets: &[Packet]) -> &Packet {
    packets.iter().find(|packet| !packet.outgoing).expect("a packet came in")
}

/// What was asked between two looks.
fn since(before: &BTreeMap<String, u64>, now: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let grown = now.iter().map(|(call, n)| (call.clone(), n - before.get(call).unwrap_or(&0)));
    grown.filter(|(_, n)| *n > 0).collect()
}

fn of(calls: &[(&str, u64)]) -> BTreeMap<String, u64> {
    calls.iter().map(|&(call, n)| (call.to_owned(), n)).collect()
}
