//! Attaching: native and generic on a veth, pinned and re-adopted, and refusals in words.

use crate::links::{apart, apart_with_pins, ip, pair};
use crate::vectors::served;
use engine::xdp::{Mode, Xdp, XdpError, detach_pinned};
use std::path::Path;

fn shows(word: &str) -> bool {
    ip("link show one").contains(word)
}

fn make_pair() {
    pair("one", "other");
    ip("link set one up");
}

pub(crate) fn and_detach() {
    apart(attached_and_detached);
}

fn attached_and_detached() {
    make_pair();
    for (mode, word) in [(Mode::Native, " xdp "), (Mode::Generic, " xdpgeneric ")] {
        let mut xdp = Xdp::load("one", &served()).unwrap();
        assert!(!shows(word), "loaded is not attached");
        xdp.attach(mode, None).unwrap();
        assert!(shows(word));
        xdp.detach().unwrap();
        assert!(!shows(word));
        let mut dropped = Xdp::load("one", &served()).unwrap();
        dropped.attach(mode, None).unwrap();
        drop(dropped);
        assert!(!shows(word), "without a pin it goes with its process");
    }
}

pub(crate) fn pinned() {
    apart_with_pins(pinned_in);
}

fn pinned_in(pins: &Path) {
    make_pair();
    assert!(Xdp::adopt("one", Mode::Native, pins, &served()).unwrap().is_none());
    let mut first = Xdp::load("one", &served()).unwrap();
    first.attach(Mode::Native, Some(pins)).unwrap();
    drop(first);
    assert!(shows(" xdp "), "pinned, it stays");
    let second = Xdp::adopt("one", Mode::Native, pins, &served()).unwrap().unwrap();
    drop(second);
    assert!(shows(" xdp "), "adopted, it stays pinned");
    let mut third = Xdp::load("one", &served()).unwrap();
    third.attach(Mode::Native, Some(pins)).unwrap();
    let mut other = Xdp::load("one", &served()).unwrap();
    assert!(matches!(other.attach(Mode::Native, None), Err(XdpError::Occupied(_))));
    third.detach().unwrap();
    assert!(!shows("xdp"));
    other.attach(Mode::Generic, Some(pins)).unwrap();
    drop(other);
    let mut native = Xdp::load("one", &served()).unwrap();
    native.attach(Mode::Native, Some(pins)).unwrap();
    assert!(shows(" xdp ") && !shows("xdpgeneric"), "the other mode gives way");
    drop(native);
    assert!(detach_pinned("one", pins).unwrap());
    assert!(!shows("xdp") && !detach_pinned("one", pins).unwrap());
    let mut last = Xdp::load("one", &served()).unwrap();
    last.attach(Mode::Native, Some(pins)).unwrap();
    drop(last);
    ip("link del one");
    pair("one", "other");
    let mut again = Xdp::load("one", &served()).unwrap();
    again.attach(Mode::Native, Some(pins)).unwrap();
    assert!(shows(" xdp "), "an interface of the same name is another one");
    again.detach().unwrap();
}

pub(crate) fn refusals() {
    apart(refused);
}

fn refused() {
    make_pair();
    let said = |error: XdpError| error.to_string();
    let error = Xdp::load("no-such-if", &served()).unwrap_err();
    assert!(said(error).contains("ip link"));
    let mut native = Xdp::load("lo", &served()).unwrap();
    let error = native.attach(Mode::Native, None).unwrap_err();
    assert!(matches!(error, XdpError::NoNative(_)), "{error}");
    assert!(said(error).contains("--xdp-mode generic"));
    let mut xdp = Xdp::load("one", &served()).unwrap();
    let error = xdp.attach(Mode::Native, Some(Path::new("/nowhere"))).unwrap_err();
    assert!(matches!(error, XdpError::NotBpfFolder(_)), "{error}");
    assert!(!shows("xdp"), "what cannot be pinned is not left attached");
    let error = xdp.attach(Mode::Native, Some(Path::new("/tmp"))).unwrap_err();
    assert!(matches!(error, XdpError::NotBpfFolder(_)), "{error}");
    ip("link set other mtu 9000");
    ip("link set one mtu 9000");
    let mut large = Xdp::load("one", &served()).unwrap();
    let error = large.attach(Mode::Native, None).unwrap_err();
    assert!(matches!(error, XdpError::Unfit { mtu: 9000, .. }), "{error}");
}
