//! Each NAT behaves as named, seen by plain sockets on both sides of it.
//!
//! * Mapping: the external address and port that three remote transport addresses see.
//! * Filtering: who gets in after the inside has called one of them; the one called always does, after all the others,
//!   so that silence is not mistaken for a delay.
//! * Behaviours as in RFC 4787, sections 4.1 and 5.

use crate::{Test, test};
use harness::{PATIENCE, wait_until};
use lab::{Host, Lab, NatBox};
use nat::{Filtering, Mapping};
use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

pub(crate) fn tests() -> Vec<Test> {
    let behaviours = [Mapping::Eim, Mapping::Apdm].map(|mapping| {
        [Filtering::Eif, Filtering::Adf, Filtering::Apdf].map(|filtering| (mapping, filtering))
    });
    let behaves = behaviours.into_iter().flatten().map(|(mapping, filtering)| {
        test(format!("nat::{mapping}::{filtering}"), move || behaves(mapping, filtering))
    });
    let others = [
        test("nat::adm_is_not_offered", adm_is_not_offered),
        test("nat::shared_external_port", shared_external_port),
        test("nat::timeout::eim_apdf", || times_out(Filtering::Apdf)),
        test("nat::timeout::eim_eif", || times_out(Filtering::Eif)),
    ];
    behaves.chain(others).collect()
}

/// A NAT with a host behind it, and two remotes.
struct Scene {
    lab: Lab,
    nat: NatBox,
    inside: Host,
    remotes: [Host; 2],
}

impl Scene {
    fn new(mapping: Mapping, filtering: Filtering, lifetime_s: u32) -> Self {
        let mut lab = Lab::new().unwrap();
        let mut nat = lab.nat("nat", mapping, filtering, lifetime_s).unwrap();
        let inside = lab.inside(&mut nat, "inside").unwrap();
        let remotes = ["remote1", "remote2"].map(|name| lab.host(name).unwrap());
        Self { lab, nat, inside, remotes }
    }
}

fn behaves(mapping: Mapping, filtering: Filtering) {
    let scene = Scene::new(mapping, filtering, 30);
    let [one, two] = &scene.remotes;
    let inside = socket(&scene.inside, 5000);
    let called = socket(one, 6000);
    let (same_address, stranger) = (socket(one, 6001), socket(two, 6000));

    // Filtering first: only `called` has been called so far.
    let external = seen_by(&called, &inside);
    assert_eq!(external.ip(), scene.nat.external(), "the source is not the NAT's address");
    send(&stranger, "stranger", external);
    send(&same_address, "same address", external);
    send(&called, "called", external);
    let entered = texts_until(&inside, "called");
    let expected: &[&str] = match filtering {
        Filtering::Eif => &["stranger", "same address", "called"],
        Filtering::Adf => &["same address", "called"],
        Filtering::Apdf => &["called"],
    };
    assert_eq!(entered, expected, "who gets in through {mapping}/{filtering}");

    // Those that got in can be answered: from the very address that it called, or by a mapping of its own.
    let visitors = [("stranger", &stranger), ("same address", &same_address)];
    for (name, visitor) in visitors.into_iter().filter(|(name, _)| expected.contains(name)) {
        send(&inside, "answer", visitor.local_addr().unwrap());
        let (words, from) = receive(visitor).expect("an answer");
        assert_eq!((words.as_str(), from.ip()), ("answer", external.ip()), "to the {name}");
        let same_port = from == external;
        assert_eq!(same_port, mapping == Mapping::Eim, "to the {name} from {from}, called at {external}");
    }

    // Two, because the kernel may by chance take one port twice.
    let seen = [5001, 5002].map(|port| {
        let fresh = socket(&scene.inside, port);
        let seen: BTreeSet<SocketAddr> =
            [&called, &same_address, &stranger].iter().map(|remote| seen_by(remote, &fresh)).collect();
        let again = seen_by(&called, &fresh);
        assert!(seen.contains(&again), "the mapping did not last: {again} is none of {seen:?}");
        seen
    });
    let most = if mapping == Mapping::Eim { 1 } else { 3 };
    assert_eq!(
        seen.iter().map(BTreeSet::len).max(),
        Some(most),
        "external addresses through {mapping}: {seen:?}"
    );
}

fn adm_is_not_offered() {
    let error = Lab::new().unwrap().nat("nat", Mapping::Adm, Filtering::Eif, 30).unwrap_err();
    assert!(error.to_string().contains("ADM"), "{error}");
}

/// What makes one ring per reflector address necessary: two inside hosts are one external transport address, each
/// towards its own remote.
fn shared_external_port() {
    let mut scene = Scene::new(Mapping::Eim, Filtering::Apdf, 30);
    let second = scene.lab.inside(&mut scene.nat, "second").unwrap();
    let [one, two] = scene.remotes.each_ref().map(|host| socket(host, 6000));
    let (first, second) = (socket(&scene.inside, 5000), socket(&second, 5000));
    let (external_first, external_second) = (seen_by(&one, &first), seen_by(&two, &second));
    assert_eq!(external_first, external_second, "the kernel no longer shares external ports");
    send(&one, "to the first", external_first);
    send(&two, "to the second", external_second);
    assert_eq!(texts_until(&first, "to the first"), ["to the first"]);
    assert_eq!(texts_until(&second, "to the second"), ["to the second"]);
}

/// What a call opens stays open while calls go on, and closes after the lifetime without one.
fn times_out(filtering: Filtering) {
    let scene = Scene::new(Mapping::Eim, filtering, LIFETIME_S);
    let remotes = scene.remotes.each_ref().map(|host| socket(host, 6000));
    let inside = socket(&scene.inside, 5000);
    let external = seen_by(&remotes[0], &inside);
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(800));
        assert_eq!(seen_by(&remotes[0], &inside), external);
    }
    // A machine may be so busy that the lifetime is over before the datagram comes; then it says nothing.
    wait_until("the machine is too busy for this test", || {
        let called = Instant::now();
        assert_eq!(seen_by(&remotes[0], &inside), external);
        send(&remotes[0], "in time", external);
        called.elapsed() < Duration::from_secs(LIFETIME_S.into()) / 2
    });
    assert!(texts_until(&inside, "in time").iter().all(|text| text == "in time"));
    std::thread::sleep(Duration::from_millis(3_500));
    for remote in &remotes {
        send(remote, "too late", external);
    }
    inside.set_read_timeout(Some(QUIET)).unwrap();
    assert_eq!(receive(&inside), None, "the NAT kept its door open beyond the lifetime");
    // The door was closed, not the road: a new call opens it again.
    let external = seen_by(&remotes[0], &inside);
    send(&remotes[0], "called again", external);
    assert_eq!(texts_until(&inside, "called again"), ["called again"]);
}

pub(crate) fn socket(host: &Host, port: u16) -> UdpSocket {
    let socket = host.udp(host.ipv4(), port).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

pub(crate) fn send(from: &UdpSocket, text: &str, to: SocketAddr) {
    assert_eq!(from.send_to(text.as_bytes(), to).unwrap(), text.len());
}

pub(crate) fn receive(at: &UdpSocket) -> Option<(String, SocketAddr)> {
    let mut buffer = [0; 2048];
    let (length, source) = at.recv_from(&mut buffer).ok()?;
    Some((String::from_utf8(buffer[..length].to_vec()).unwrap(), source))
}

/// The transport address that `remote` sees when `inside` calls it.
pub(crate) fn seen_by(remote: &UdpSocket, inside: &UdpSocket) -> SocketAddr {
    send(inside, "who am I?", remote.local_addr().unwrap());
    let (text, source) = receive(remote).expect("the call from inside did not arrive");
    assert_eq!(text, "who am I?");
    source
}

/// What arrives up to the text `last`, and a moment longer, sorted by nothing but time.
fn texts_until(at: &UdpSocket, last: &str) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some((text, _)) = receive(at) {
        if text == last {
            at.set_read_timeout(Some(QUIET)).unwrap();
        }
        texts.push(text);
    }
    at.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(texts.iter().any(|text| text == last), "{last:?} did not arrive, only {texts:?}");
    texts
}

/// Lifetime of what the NAT opens, where a test waits for its end.
const LIFETIME_S: u32 = 2;
/// How long silence must last to be believed.
pub(crate) const QUIET: Duration = Duration::from_millis(150);
