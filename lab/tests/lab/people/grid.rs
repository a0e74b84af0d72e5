//! Every pair of NAT behaviours that the lab can make: first message, answer, and paths after punching, as real endpoints
//! take them, equal to what the crate `nat` says.
//!
//! * Seven behaviours, two hosts of each: one calls, one is called, so that each pair meets once and nobody has sent to the
//!   other before. All are online at once.
//! * The caller comes online later; its notice is the first message. What decides is which way the first packet took;
//!   repetitions go both ways.

use crate::busy::{Bad, Watch, judged};
use crate::datagrams::daemon::Path;
use crate::people::calls::sends_directly;
use crate::people::member::Member;
use crate::people::site::{Plan, Site};
use crate::people::talk::Packet;
use crate::{Test, test};
use harness::PATIENCE;
use lab::Capture;
use nat::{Behaviour, Mapping, Route};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) fn tests(path: Path) -> Vec<Test> {
    vec![test(format!("{path}::session::grid"), move || grid(path))]
}

fn grid(path: Path) {
    judged("the grid", || look_at_all(path));
}

fn look_at_all(path: Path) -> Result<(), Bad> {
    let (mut site, watch) = (Site::new(Plan::of(path)), Watch::start());
    let [callers, called] = people(&mut site)?;
    let pairs = || callers.iter().flat_map(|a| called.iter().map(move |b| (a, b)));
    let mut wrong = Vec::new();
    for (a, b) in pairs() {
        let (first, answer) = (a.first_to(b), a.answer_of(b));
        check(&mut wrong, "first message", a, b, first, nat::route(a.member.behaviour, b.member.behaviour));
        check(&mut wrong, "answer", a, b, answer, nat::answer(a.member.behaviour, b.member.behaviour));
    }
    thread::scope(|scope| {
        for a in &callers {
            let called = &called;
            scope.spawn(move || called.iter().for_each(|b| a.member.send(&b.member.name, "let us talk")));
        }
    });
    let punched = Instant::now();
    // A path that must not come may be late, so all are looked at again when none can come any more.
    let settled = |pair: &(&Party, &Party)| {
        let (a, b) = pair;
        let expected = nat::after_punch(a.member.behaviour, b.member.behaviour);
        (a.route_to(b), b.route_to(a)) == (Some(expected.0), Some(expected.1))
    };
    while !(pairs().all(|pair| settled(&pair)) || punched.elapsed() > PATIENCE) {
        thread::sleep(Duration::from_millis(500));
    }
    thread::sleep(PUNCHING.saturating_sub(punched.elapsed()));
    for (a, b) in pairs() {
        let (there, back) = nat::after_punch(a.member.behaviour, b.member.behaviour);
        for (from, to, route) in [(a, b, there), (b, a, back)] {
            check(&mut wrong, "status after punching", from, to, from.route_to(to), route);
            let left = route_of(sends_directly(&from.member, &to.member));
            check(&mut wrong, "way after punching", from, to, Some(left), route);
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(watch.bad(format!("{} of {} are wrong:\n{}", wrong.len(), 6 * 49, wrong.join("\n"))))
}

/// A host of one behaviour, and what passed its cable while all came online.
struct Party {
    member: Member,
    packets: Vec<Packet>,
}

/// Seven callers and seven who are called, all online.
fn people(site: &mut Site) -> Result<[Vec<Party>; 2], Bad> {
    let behaviours: Vec<Behaviour> = Behaviour::ALL.into_iter().filter(can_be_made).collect();
    let named = |kind: &str| -> Vec<String> { (0..behaviours.len()).map(|n| format!("{kind}{n}")).collect() };
    let (callers, called) = (named("caller"), named("called"));
    let all: Vec<&str> = callers.iter().chain(&called).map(String::as_str).collect();
    site.access.add_accounts(&all);
    callers.iter().for_each(|a| called.iter().for_each(|b| site.access.befriend(a, b)));
    let mut make = |names: &[String]| -> Vec<Member> {
        let both = names.iter().zip(&behaviours);
        let member = |(name, behaviour): (&String, &Behaviour)| {
            let member = Member::new(&mut site.lab, name, *behaviour, Duration::ZERO);
            member.enrol(&site.access);
            member
        };
        both.map(member).collect()
    };
    let (mut callers, mut called) = (make(&callers), make(&called));
    let watch = Watch::start();
    called.iter_mut().for_each(Member::up);
    called.iter().for_each(|member| member.hears("logged in as"));
    let cables: Vec<Capture> =
        callers.iter().map(|member| member.host.link().near.capture().unwrap()).collect();
    callers.iter_mut().for_each(Member::up);
    for (a, b) in callers.iter().flat_map(|a| called.iter().map(move |b| (a, b))) {
        a.hears(&format!("{} is online", b.name));
        b.hears(&format!("{} is online", a.name));
    }
    // The last answers may still be on their way.
    thread::sleep(Duration::from_millis(500));
    if let Some(wrong) = callers.iter().chain(&called).find(|member| !member.knows_its_nat()) {
        return Err(watch.bad(format!(
            "{} is not behind {}: {}",
            wrong.name,
            wrong.behaviour,
            wrong.account()
        )));
    }
    let packets = cables.iter().map(|cable| Packet::all(&cable.datagrams().unwrap()));
    let party = |(member, packets): (Member, Vec<Packet>)| Party { member, packets };
    let callers = callers.into_iter().zip(packets).map(party).collect();
    Ok([callers, called.into_iter().zip(std::iter::repeat(Vec::new())).map(party).collect()])
}

impl Party {
    /// The way of the first message to somebody.
    fn first_to(&self, other: &Self) -> Option<Route> {
        let mut sent = self.with(other).filter(|packet| packet.outgoing && packet.is_init());
        sent.next().map(|packet| route_of(packet.is_direct()))
    }

    /// The way of the answer to it.
    fn answer_of(&self, other: &Self) -> Option<Route> {
        let mut came = self.with(other).filter(|packet| !packet.outgoing && packet.is_response());
        came.next().map(|packet| route_of(packet.is_direct()))
    }

    /// The way to somebody, as `status` says it.
    fn route_to(&self, other: &Self) -> Option<Route> {
        let way = self.member.way_to(&other.member.name);
        (way.is_direct() || way.is_reflected()).then(|| route_of(way.is_direct()))
    }

    fn with(&self, other: &Self) -> impl Iterator<Item = &Packet> {
        let external = other.member.external();
        self.packets.iter().filter(move |packet| packet.peer() == external)
    }
}

fn check(wrong: &mut Vec<String>, what: &str, a: &Party, b: &Party, found: Option<Route>, expected: Route) {
    if found != Some(expected) {
        wrong.push(format!(
            "{what}, {} to {}: {found:?}, not {expected:?}",
            a.member.behaviour, b.member.behaviour
        ));
    }
}

fn route_of(direct: bool) -> Route {
    if direct { Route::Direct } else { Route::Reflect }
}

/// nftables has no address-dependent mapping.
fn can_be_made(behaviour: &Behaviour) -> bool {
    !matches!(behaviour, Behaviour::Nat { mapping: Mapping::Adm, .. })
}

/// In this time an endpoint has challenged every address as often as it does in quick succession.
const PUNCHING: Duration = Duration::from_secs(8);
