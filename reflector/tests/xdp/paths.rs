//! Which path serves what: the program at the driver, or the sockets behind it.

use crate::daemon::Reflector;
use crate::page::Page;
use crate::protocol::{DATA, OBSERVED, peer, probe};
use crate::spaces::{Spaces, ask, ip, receive};
use std::net::{SocketAddr, UdpSocket};

/// A reflector of both families on the interface, in this mode.
pub(crate) fn start(flags: &[&str]) -> Reflector {
    let common = ["--listen", "45.1.0.1:3478,[2a01:1::1]:3478", "--workers", "1", "--xdp", "r0"];
    Reflector::start_bare(&[&common, flags].concat())
}

pub(crate) fn count(page: &Page, name: &str, path: &str) -> u64 {
    page.sum(&format!("reflector_{name}_datagrams_total"), &[("path", path)])
}

fn assert_observed(socket: &UdpSocket, reflector: SocketAddr) {
    let question = probe(b"sixteen bytes...");
    let answer = ask(socket, reflector, &question);
    assert_eq!((answer[0], answer.len()), (OBSERVED, question.len()));
    assert_eq!(peer(&answer), socket.local_addr().unwrap());
}

fn assert_relayed(reflector: &Reflector, from: &UdpSocket, to: &UdpSocket, payload: &[u8]) {
    let [a, b] = [from, to].map(|socket| socket.local_addr().unwrap());
    let of =
        |socket: SocketAddr| *reflector.listen.iter().find(|it| it.is_ipv4() == socket.is_ipv4()).unwrap();
    from.send_to(&reflector.key.send(a, b, payload), of(a)).unwrap();
    let data = receive(to, of(b));
    assert_eq!((data[0], peer(&data), &data[32..]), (DATA, a, payload));
}

pub(crate) fn at_the_driver() {
    let spaces = Spaces::new();
    spaces.introduce();
    served_at_the_driver(&spaces, &start(&[]));
}

pub(crate) fn generic() {
    let spaces = Spaces::new();
    spaces.introduce();
    served_at_the_driver(&spaces, &start(&["--xdp-mode", "generic"]));
}

fn served_at_the_driver(spaces: &Spaces, reflector: &Reflector) {
    assert_eq!(reflector.ready["xdp"], "r0");
    for (one, other) in [("45.1.0.2:5001", "45.1.0.3:5002"), ("[2a01:1::2]:5001", "[2a01:1::3]:5002")] {
        let (one, other) = (spaces.socket(one), spaces.socket(other));
        let address = reflector.listen.iter().find(|it| it.is_ipv4() == one.local_addr().unwrap().is_ipv4());
        let address = *address.unwrap();
        assert_observed(&one, address);
        assert_relayed(reflector, &one, &other, b"to the other");
        assert_relayed(reflector, &other, &one, &[7; 1_200]);
        one.send_to(&[0xff; 40], address).unwrap();
    }
    let page = reflector.metrics_when(|page| count(page, "dropped", "xdp") == 2);
    let served = ["received", "observed", "relayed", "passed"].map(|name| count(&page, name, "xdp"));
    assert_eq!(served, [8, 2, 4, 0]);
    assert_eq!(page.sum("reflector_dropped_datagrams_total", &[("path", "xdp"), ("reason", "kind")]), 2);
    assert_eq!(count(&page, "received", "socket"), 0);
    assert_eq!(page.sum("reflector_key_datagrams_total", &[("key", "7")]), 4);
    let bytes = |name: &str| page.sum(&format!("reflector_{name}_bytes_total"), &[("path", "xdp")]);
    assert_eq!(bytes("received"), bytes("observed") + bytes("relayed") + bytes("dropped"));
    assert_eq!(page.sum("reflector_xdp_errors_total", &[]), 0);
    assert_eq!(page.sum("reflector_xdp_interfaces", &[]), 1);
}

/// Cross-family and fragments go up and come out right.
pub(crate) fn passed() {
    let spaces = Spaces::new();
    spaces.introduce();
    let reflector = start(&[]);
    let (four, other) = (spaces.socket("45.1.0.2:5001"), spaces.socket("45.1.0.3:5002"));
    let six = spaces.socket("[2a01:1::2]:5001");
    assert_relayed(&reflector, &four, &six, b"from four to six");
    assert_relayed(&reflector, &six, &four, b"from six to four");
    let page = reflector.metrics_when(|page| count(page, "relayed", "socket") == 2);
    assert_eq!([count(&page, "received", "xdp"), count(&page, "passed", "xdp")], [2, 2]);
    // A smaller MTU of the route cuts at the sender what the link would take whole.
    spaces.at_peer(|| ip("route add 45.1.0.1/32 dev p0 mtu 900"));
    assert_relayed(&reflector, &four, &other, &[5; 1_400]);
    let page = reflector.metrics_when(|page| count(page, "relayed", "socket") == 3);
    assert_eq!(count(&page, "relayed", "xdp"), 0);
    // What passed arrives at the sockets; fragments come up beside it, uncounted.
    assert_eq!(count(&page, "received", "socket"), count(&page, "passed", "xdp") + 1);
}

/// Until the kernel has resolved the gateway its datagrams pass; a second later they no longer do.
pub(crate) fn gateway() {
    let spaces = Spaces::new();
    spaces.at_peer(|| ip("addr add 45.9.9.9/32 dev p0"));
    ip("route add default via 45.1.0.2");
    let mut reflector = start(&[]);
    let far = spaces.socket("45.9.9.9:5001");
    reflector.wait_for_line("waiting for the kernel to resolve gateways");
    let address = reflector.address();
    assert_observed(&far, address);
    let page = reflector.metrics_when(|page| count(page, "observed", "socket") == 1);
    assert_eq!([count(&page, "passed", "xdp"), count(&page, "observed", "xdp")], [1, 0]);
    let page = reflector.metrics_when(|page| {
        assert_observed(&far, address);
        count(page, "observed", "xdp") > 0
    });
    assert_eq!(count(&page, "dropped", "xdp"), 0);
    // The gateway has gone elsewhere: what the daemon knew of it no longer holds, and the kernel is asked again.
    ip("neigh replace 45.1.0.2 lladdr 02:00:00:00:00:99 dev r0 nud permanent");
    let before = count(&reflector.metrics(), "passed", "xdp");
    reflector.metrics_when(|page| {
        far.send_to(&probe(b""), address).unwrap();
        count(page, "passed", "xdp") > before
    });
}
