//! STUN seen from outside, by a codec and sockets that know nothing of the reflector's.
//!
//! * T4 with STUN: every answer is weighed against its request; what is refused gets nothing at all.
//! * T5 with STUN: what the reflector answers, it takes from nobody.
//! * Ports below those that the kernel hands out, on addresses of their own, so that all four corners are free.

use crate::rig::daemon::{Folder, PATIENCE, Reflector, program};
use crate::rig::protocol::probe;
use crate::rig::stun_message::{Answer, Attribute, message, request};
use crate::rig::traffic::{Endpoint, receive_from, settled};
use engine::socket::kind::Kind;
use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;
use stun_codec::MessageClass;
use stun_codec::rfc5389::attributes::Software;
use stun_codec::rfc5780::attributes::{ChangeRequest, ResponsePort};

/// A client that weighs what it gets.
struct Client {
    socket: UdpSocket,
    address: SocketAddr,
    asked: u8,
}

impl Client {
    fn new(address: &str) -> Self {
        let socket = UdpSocket::bind(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let address = socket.local_addr().unwrap();
        Self { socket, address, asked: 0 }
    }

    /// Asks, and gives the answer with where it came from; it weighs at most `most` times what was sent.
    fn ask(
        &mut self,
        to: SocketAddr,
        attributes: Vec<Attribute>,
        fingerprint: bool,
        most: f64,
    ) -> (Answer, SocketAddr) {
        self.asked += 1;
        let transaction = [self.asked; 12];
        let (answer, from) = self.exchange(to, &request(transaction, attributes, fingerprint), most);
        assert_eq!((answer.transaction, answer.fingerprint), (transaction, fingerprint));
        (answer, from)
    }

    fn exchange(&self, to: SocketAddr, request: &[u8], most: f64) -> (Answer, SocketAddr) {
        self.send(request, to);
        let (answer, from) = self.receive();
        let factor = answer.len() as f64 / request.len() as f64;
        assert!(factor <= most + 1e-9, "{} bytes for {}", answer.len(), request.len());
        (Answer::read(&answer), from)
    }

    fn send(&self, datagram: &[u8], to: SocketAddr) {
        assert_eq!(self.socket.send_to(datagram, to).unwrap(), datagram.len());
    }

    fn receive(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = [0; 2_048];
        let (length, from) = receive_from(&self.socket, &mut buffer);
        (buffer[..length].to_vec(), from)
    }
}

/// All four corners, on addresses that no other test has.
fn corners(kind: Kind, net: u8, flags: &[&str]) -> (Reflector, [SocketAddr; 4]) {
    let at = |host: u8, port: u16| SocketAddr::from(([127, 88, net, host], port));
    // The other engine, and other runs of these tests on the same machine, have other ports.
    let first = if kind == Kind::Epoll { 20_000 } else { 25_000 };
    let port = first + 2 * u16::try_from(std::process::id() % 2_500).unwrap();
    let corners = [at(1, port), at(1, port + 1), at(2, port), at(2, port + 1)];
    let (listen, alternate) = (corners[0].to_string(), corners[3].to_string());
    let common = ["--listen", &listen, "--stun", "behaviour", "--stun-alternate", &alternate];
    let open = ["--workers", "1", "--allow-destination", "127.0.0.0/8"];
    (Reflector::start_bare_on(kind, &[&common, &open[..], flags].concat()), corners)
}

pub(crate) fn binding_says_what_is_seen_and_nothing_more(kind: Kind) {
    let flags = ["--listen", "[::1]:0", "--stun", "binding"];
    let reflector = Reflector::start_on(kind, &flags);
    let mut heaviest = 0.0_f64;
    for (address, to) in [("127.0.0.1:0", reflector.listen[0]), ("[::1]:0", reflector.listen[1])] {
        let mut client = Client::new(address);
        for fingerprint in [false, true] {
            let software = Software::new("somebody's client".to_owned()).unwrap();
            for attributes in [vec![], vec![software.into()]] {
                let (answer, from) = client.ask(to, attributes, fingerprint, BINDING_FACTOR);
                let expected = Answer {
                    transaction: answer.transaction,
                    xor_mapped: Some(client.address),
                    mapped: None,
                    origin: None,
                    other: None,
                    fingerprint,
                    error: None,
                };
                assert_eq!((answer, from), (expected, to));
            }
        }
        let bare = request([9; 12], vec![], false);
        client.send(&bare, to);
        heaviest = heaviest.max(client.receive().0.len() as f64 / bare.len() as f64);
        // What RFC 5780 adds is not understood here.
        for (attribute, kind) in [(change(true, true), 3), (ResponsePort::new(9).into(), 0x27)] {
            let (answer, _) = client.ask(to, vec![attribute], false, BINDING_FACTOR);
            assert_eq!(answer.error, Some((420, vec![kind])));
        }
    }
    assert!((heaviest - BINDING_FACTOR).abs() < 1e-9, "the stated factor is not reached: {heaviest}");
    let page = reflector.metrics_when(|page| page.stun("answered") == 14 && page.missing() == 0);
    assert_eq!([page.stun("received"), page.stun("dropped"), page.stun("unsent")], [14, 0, 0]);
    assert_eq!(page.sum("reflector_stun_answered_datagrams_total", &[("answer", "error")]), 4);
}

pub(crate) fn each_corner_answers_for_every_other(kind: Kind) {
    let (reflector, corners) = corners(kind, 1, &[]);
    let mut client = Client::new("127.88.1.9:0");
    for (place, to) in corners.into_iter().enumerate() {
        for (ip, port) in [(false, false), (false, true), (true, false), (true, true)] {
            for fingerprint in [false, true] {
                let (answer, from) = client.ask(to, vec![change(ip, port)], fingerprint, BEHAVIOUR_FACTOR);
                let expected = corners[place ^ usize::from(port) ^ usize::from(ip) << 1];
                assert_eq!((from, answer.origin), (expected, Some(expected)), "{to}: {ip}, {port}");
                assert_eq!(answer.other, Some(corners[place ^ 3]));
                assert_eq!((answer.mapped, answer.xor_mapped), (Some(client.address), Some(client.address)));
            }
        }
        let (answer, from) = client.ask(to, vec![], false, BEHAVIOUR_FACTOR);
        assert_eq!((from, answer.origin, answer.error), (to, Some(to), None));
        // PADDING and RESPONSE-PORT are refused wherever they are asked for.
        let (answer, from) = client.ask(to, vec![ResponsePort::new(9).into(), change(true, true)], true, 2.0);
        assert_eq!((from, answer.error), (to, Some((420, vec![0x27]))));
        let padding = [&request([5; 12], vec![], false)[..], &[0, 0x26, 0, 4, 0, 0, 0, 0]].concat();
        let (answer, _) = client.exchange(to, &with_length(padding), 2.0);
        assert_eq!(answer.error, Some((420, vec![0x26])));
    }
    let page = reflector.metrics_when(|page| page.missing() == 0 && page.stun("answered") == 4 * 11);
    assert_eq!((page.received(), page.stun("received"), page.stun("dropped")), (44, 44, 0));
    assert_eq!(reflector.ready["stun"], "behaviour");
    assert_eq!(reflector.listen, corners[..1], "only what relays is called a listening address");
}

pub(crate) fn without_a_second_address_a_change_is_rejected(kind: Kind) {
    let reflector = Reflector::start_on(kind, &["--stun", "behaviour"]);
    let mut client = Client::new("127.0.0.1:0");
    let to = reflector.address();
    let (answer, from) = client.ask(to, vec![], false, BEHAVIOUR_FACTOR);
    assert_eq!((from, answer.origin, answer.other), (to, Some(to), None));
    assert_eq!(answer.mapped, Some(client.address));
    let (answer, _) = client.ask(to, vec![change(false, false)], false, 2.0);
    assert_eq!(answer.error, Some((420, vec![3])));
    // A wildcard socket names the address that was called.
    let wildcard = Reflector::start_bare_on(
        kind,
        &["--listen", "0.0.0.0:0", "--stun", "behaviour", "--allow-destination", "127.0.0.0/8"],
    );
    let called = SocketAddr::from(([127, 88, 2, 7], wildcard.address().port()));
    let (answer, from) = client.ask(called, vec![], false, BEHAVIOUR_FACTOR);
    assert_eq!((from, answer.origin), (called, Some(called)));
}

pub(crate) fn nothing_but_requests_is_answered(kind: Kind) {
    let (reflector, corners) = corners(kind, 3, &["--deny-source", "127.88.66.0/24"]);
    let bare = request([1; 12], vec![], false);
    let signed = request([1; 12], vec![], true);
    let altered = |at: usize, bits: u8| {
        let mut other = signed.clone();
        other[at] ^= bits;
        other
    };
    let of_class = |class| message(class, [2; 12], vec![], true);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("kind", of_class(MessageClass::Indication)),
        ("kind", of_class(MessageClass::SuccessResponse)),
        ("kind", of_class(MessageClass::ErrorResponse)),
        ("kind", altered(1, 0x02)),
        ("malformed", altered(3, 0x04)),
        ("malformed", bare[..19].to_vec()),
        ("malformed", bare[..8].to_vec()),
        ("malformed", [&bare[..], &[0; 4]].concat()),
        ("malformed", with_length([&bare[..], &[0, 0x26, 0, 5, 0, 0, 0, 0]].concat())),
        ("malformed", with_length([&signed[..], &[0x80, 0x22, 0, 0]].concat())),
        ("fingerprint", altered(8, 0x01)),
        ("fingerprint", altered(27, 0x80)),
        ("oversize", with_length([&bare[..], &[0x80, 0x22, 0x05, 0xac], &[0; 1_452]].concat())),
    ];
    let client = Client::new("127.88.3.9:0");
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let net = if kind == Kind::Epoll { 89 } else { 90 };
    let others = [Client::new(&format!("127.{net}.{high}.{low}:11211")), Client::new("127.88.66.1:0")];
    for to in corners {
        cases.iter().for_each(|(_, datagram)| client.send(datagram, to));
        others.iter().for_each(|other| other.send(&bare, to));
    }
    // On an address for STUN alone everything is STUN's: the reflector's own protocol, and the STUN of RFC 3489.
    let mut without_cookie = bare.clone();
    without_cookie[4] ^= 1;
    for datagram in [probe(b""), without_cookie.clone(), Vec::new()] {
        corners[1..].iter().for_each(|to| client.send(&datagram, *to));
    }
    let sent = 4 * (cases.len() as u64 + 2) + 9;
    let page = reflector.metrics_when(|page| page.received() == sent && page.missing() == 0);
    let dropped = |reason| page.sum("reflector_stun_dropped_datagrams_total", &[("reason", reason)]);
    for reason in ["kind", "malformed", "fingerprint", "oversize"] {
        let expected = 4 * cases.iter().filter(|(it, _)| *it == reason).count() as u64;
        assert_eq!(dropped(reason), expected + if reason == "malformed" { 9 } else { 0 }, "{reason}");
    }
    assert_eq!((dropped("source"), dropped("rate"), page.dropped("denied")), (4, 0, 4));
    assert_eq!([page.stun("received"), page.stun("answered"), page.stun("unsent")], [sent - 4, 0, 0]);
    assert_silent(&client);
    others.iter().for_each(assert_silent);
    // And where it listens, what is not STUN is the reflector's own as ever.
    client.send(&without_cookie, corners[0]);
    client.socket.send_to(&probe(b"still"), corners[0]).unwrap();
    assert_eq!(client.receive().0[32..], *b"still");
}

pub(crate) fn t5_what_is_answered_is_taken_from_nobody(kind: Kind) {
    let (reflector, corners) = corners(kind, 4, &[]);
    let client = Client::new("127.88.4.9:0");
    let requests = [
        request([1; 12], vec![], false),
        request([1; 12], vec![change(true, true)], true),
        request([1; 12], vec![ResponsePort::new(1).into()], true),
    ];
    let mut emitted = Vec::new();
    for request in &requests {
        for to in corners {
            client.send(request, to);
            emitted.push(client.receive().0);
        }
    }
    for datagram in &emitted {
        corners.iter().for_each(|to| client.send(datagram, *to));
    }
    // Its own corners are among the sources that it refuses; nobody else can have them here.
    let all = 12 + 48;
    let page = reflector.metrics_when(|page| page.received() == all && page.missing() == 0);
    assert_eq!((page.stun("answered"), page.stun("dropped")), (12, 48));
    assert_silent(&client);
    let own = serde_json::from_str::<serde_json::Value>(&reflector.get("/config").1).unwrap();
    let own: Vec<&str> =
        own["own_addresses"].as_array().unwrap().iter().filter_map(|it| it.as_str()).collect();
    assert!(corners.iter().all(|corner| own.contains(&corner.to_string().as_str())), "{own:?}");
}

pub(crate) fn a_crowd_is_answered_each_its_own(kind: Kind) {
    let (reflector, corners) = corners(kind, 5, &[]);
    let client = Client::new("127.88.5.9:0");
    let (mut waiting, rounds, window) = (Vec::new(), 40_u8, 25_u8);
    for round in 0..rounds {
        for number in 0..window {
            let mut transaction = [round; 12];
            transaction[11] = number;
            let flags = (number & 1 != 0, number & 2 != 0);
            let request = request(transaction, vec![change(flags.0, flags.1)], number % 3 == 0);
            client.socket.send_to(&request, corners[usize::from(number % 4)]).unwrap();
            waiting.push((
                transaction,
                usize::from(number % 4) ^ usize::from(flags.1) ^ usize::from(flags.0) << 1,
            ));
        }
        while !waiting.is_empty() {
            let (answer, from) = client.receive();
            let answer = Answer::read(&answer);
            let place = waiting.iter().position(|(it, _)| *it == answer.transaction).expect("asked for");
            let (_, corner) = waiting.swap_remove(place);
            assert_eq!((answer.xor_mapped, from), (Some(client.address), corners[corner]));
        }
    }
    let asked = u64::from(rounds) * u64::from(window);
    let page = reflector.metrics_when(|page| page.stun("answered") == asked && page.missing() == 0);
    assert_eq!(page.received(), asked);
}

pub(crate) fn a_prefix_gets_its_budget_apart_from_probes(kind: Kind) {
    let reflector = Reflector::start_on(kind, &["--stun", "binding", "--probe-budget", "20"]);
    let (a, neighbour) =
        (Endpoint::new("127.21.0.1:0", &reflector), Endpoint::new("127.21.0.2:0", &reflector));
    let begun = Instant::now();
    for number in 0..40 {
        a.send(&request([number; 12], vec![], false));
        neighbour.send(&request([number; 12], vec![], false));
    }
    let page = settled(&reflector, &[&a, &neighbour]);
    let most = 20.0 + 20.0 * begun.elapsed().as_secs_f64() + 1.0;
    let answered = page.stun("answered");
    assert!(answered >= 20 && answered as f64 <= most, "{answered} of at most {most}");
    let refused = page.sum("reflector_stun_dropped_datagrams_total", &[("reason", "rate")]);
    assert_eq!(answered + refused, 80);
    // Another prefix has its own, and a PROBE of the same prefix its own as well.
    let other = Client::new("127.21.1.1:0");
    other.exchange(reflector.address(), &request([1; 12], vec![], false), BINDING_FACTOR);
    let fresh = Endpoint::new("127.21.0.3:0", &reflector);
    fresh.fence();
}

pub(crate) fn off_it_is_junk_like_any_other(kind: Kind) {
    let reflector = Reflector::start_on(kind, &[]);
    let alice = Endpoint::new("127.0.0.1:0", &reflector);
    alice.send(&request([1; 12], vec![], false));
    alice.send(&request([1; 12], vec![Software::new("a client".to_owned()).unwrap().into()], true));
    alice.fence();
    let page = settled(&reflector, &[&alice]);
    assert_eq!([page.dropped("short"), page.dropped("kind"), page.stun("received")], [1, 1, 0]);
    alice.assert_silence();
}

pub(crate) fn an_alternate_that_cannot_be_one_is_refused() {
    let folder = Folder::new("reflector-test");
    folder.write("ring.toml", "[[key]]\nid = 1\nsecret = \"0102030405060708090a0b0c0d0e0f10\"\n");
    let refused = |flags: &[&str], words: &str| {
        let mut command = program();
        command.current_dir(folder.path()).args(["run", "--keys", "ring.toml", "--admin", "127.0.0.1:0"]);
        let output = command.args(flags).output().unwrap();
        let line = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && line.contains(words), "{flags:?}: {line}");
    };
    let listen = ["--listen", "127.88.6.1:20000", "--stun", "behaviour", "--stun-alternate"];
    for (alternate, words) in [
        ("127.88.6.2", "expected ADDR:PORT"),
        ("127.88.6.2:0", "a port that is not 0"),
        ("0.0.0.0:20001", "one unicast address"),
        ("[::ffff:1.2.3.4]:20001", "IPv4 written as IPv4"),
        ("127.88.6.1:20001", "another address and another port"),
        ("127.88.6.2:20000", "another address and another port"),
        ("[::1]:20001", "a --listen of the same family"),
        ("127.88.6.2:20001,127.88.6.3:20001", "at most one IPv4"),
    ] {
        refused(&[&listen[..], &[alternate]].concat(), words);
    }
    let alternate = ["--stun-alternate", "127.88.6.2:20001"];
    let with = |flags: &[&'static str]| [flags, &alternate].concat();
    refused(&with(&["--listen", "127.88.6.1:20000", "--stun", "binding"]), "--stun behaviour beside it");
    refused(&with(&["--listen", "127.88.6.1:20000"]), "--stun behaviour beside it");
    refused(&with(&["--listen", "0.0.0.0:20000", "--stun", "behaviour"]), "--listen with one address");
    let advertised = ["--listen", "127.88.6.1:20000", "--stun", "behaviour", "--advertise", "8.8.8.8:4000"];
    refused(&with(&advertised), "no --advertise of its family");
}

fn change(ip: bool, port: bool) -> Attribute {
    ChangeRequest::new(ip, port).into()
}

/// The message with the length that it has.
fn with_length(mut message: Vec<u8>) -> Vec<u8> {
    let length = u16::try_from(message.len() - 20).unwrap();
    message[2..4].copy_from_slice(&length.to_be_bytes());
    message
}

fn assert_silent(client: &Client) {
    client.socket.set_nonblocking(true).unwrap();
    client.socket.recv_from(&mut [0; 64]).expect_err("something came");
    client.socket.set_nonblocking(false).unwrap();
}

/// What docs/wire.md states.
const BINDING_FACTOR: f64 = 2.2;
const BEHAVIOUR_FACTOR: f64 = 5.8;
