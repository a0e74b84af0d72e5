//! Attaching: native and generic on a veth, pinned and re-adopted, and refusals in words.

use crate::vectors::served;
use engine::xdp::{Mode, Xdp, XdpError, detach_pinned};
use std::path::{Path, PathBuf};
use std::process::{self, Command};

/// A pair of veth interfaces that goes when it goes.
struct Pair {
    name: String,
}

impl Pair {
    fn new(letter: char) -> Pair {
        let pair = Pair { name: format!("x{letter}{}", process::id()) };
        let peer = format!("y{letter}{}", process::id());
        ip(&["link", "add", &pair.name, "type", "veth", "peer", "name", &peer]);
        ip(&["link", "set", &pair.name, "up"]);
        pair
    }

    fn shows(&self, word: &str) -> bool {
        let output = Command::new("ip").args(["link", "show", &self.name]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).contains(word)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _gone = Command::new("ip").args(["link", "del", &self.name]).status();
    }
}

fn ip(arguments: &[&str]) {
    assert!(Command::new("ip").args(arguments).status().unwrap().success(), "ip {arguments:?}");
}

/// A folder of a BPF file system, mounted if none is.
struct Pins(PathBuf);

impl Pins {
    fn new() -> Pins {
        let root = Path::new("/sys/fs/bpf");
        if !std::fs::read_to_string("/proc/mounts").unwrap().contains(" /sys/fs/bpf bpf ") {
            let done = Command::new("mount").args(["-t", "bpf", "bpf", "/sys/fs/bpf"]).status().unwrap();
            assert!(done.success(), "a BPF file system can be mounted");
        }
        let folder = root.join(format!("engine-test-{}", process::id()));
        std::fs::create_dir(&folder).unwrap();
        Pins(folder)
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn and_detach() {
    let pair = Pair::new('a');
    for (mode, word) in [(Mode::Native, " xdp "), (Mode::Generic, " xdpgeneric ")] {
        let mut xdp = Xdp::load(&pair.name, &served()).unwrap();
        assert!(!pair.shows(word), "loaded is not attached");
        xdp.attach(mode, None).unwrap();
        assert!(pair.shows(word));
        xdp.detach().unwrap();
        assert!(!pair.shows(word));
        let mut dropped = Xdp::load(&pair.name, &served()).unwrap();
        dropped.attach(mode, None).unwrap();
        drop(dropped);
        assert!(!pair.shows(word), "without a pin it goes with its process");
    }
}

pub(crate) fn pinned() {
    let (pair, pins) = (Pair::new('p'), Pins::new());
    assert!(Xdp::adopt(&pair.name, Mode::Native, &pins.0, &served()).unwrap().is_none());
    let mut first = Xdp::load(&pair.name, &served()).unwrap();
    first.attach(Mode::Native, Some(&pins.0)).unwrap();
    drop(first);
    assert!(pair.shows(" xdp "), "pinned, it stays");
    let second = Xdp::adopt(&pair.name, Mode::Native, &pins.0, &served()).unwrap().unwrap();
    drop(second);
    assert!(pair.shows(" xdp "), "adopted, it stays pinned");
    let mut third = Xdp::load(&pair.name, &served()).unwrap();
    third.attach(Mode::Native, Some(&pins.0)).unwrap();
    let mut other = Xdp::load(&pair.name, &served()).unwrap();
    assert!(matches!(other.attach(Mode::Native, None), Err(XdpError::Occupied(_))));
    third.detach().unwrap();
    assert!(!pair.shows("xdp"));
    other.attach(Mode::Generic, Some(&pins.0)).unwrap();
    drop(other);
    let mut native = Xdp::load(&pair.name, &served()).unwrap();
    native.attach(Mode::Native, Some(&pins.0)).unwrap();
    assert!(pair.shows(" xdp ") && !pair.shows("xdpgeneric"), "the other mode gives way");
    drop(native);
    assert!(detach_pinned(&pair.name, &pins.0).unwrap());
    assert!(!pair.shows("xdp") && !detach_pinned(&pair.name, &pins.0).unwrap());
    let mut last = Xdp::load(&pair.name, &served()).unwrap();
    last.attach(Mode::Native, Some(&pins.0)).unwrap();
    drop(last);
    ip(&["link", "del", &pair.name]);
    ip(&["link", "add", &pair.name, "type", "veth", "peer", "name", &format!("z{}", process::id())]);
    let mut anew = Xdp::load(&pair.name, &served()).unwrap();
    anew.attach(Mode::Native, Some(&pins.0)).unwrap();
    assert!(pair.shows(" xdp "), "an interface of the same name is another one");
    anew.detach().unwrap();
}

pub(crate) fn refusals() {
    let pair = Pair::new('r');
    let said = |error: XdpError| error.to_string();
    let error = Xdp::load("no-such-if", &served()).unwrap_err();
    assert!(said(error).contains("ip link"));
    let mut native = Xdp::load("lo", &served()).unwrap();
    let error = native.attach(Mode::Native, None).unwrap_err();
    assert!(matches!(error, XdpError::NoNative(_)), "{error}");
    assert!(said(error).contains("--xdp-mode generic"));
    let mut xdp = Xdp::load(&pair.name, &served()).unwrap();
    let error = xdp.attach(Mode::Native, Some(Path::new("/nowhere"))).unwrap_err();
    assert!(matches!(error, XdpError::NotBpfFolder(_)), "{error}");
    assert!(!pair.shows("xdp"), "what cannot be pinned is not left attached");
    let error = xdp.attach(Mode::Native, Some(Path::new("/tmp"))).unwrap_err();
    assert!(matches!(error, XdpError::NotBpfFolder(_)), "{error}");
    ip(&["link", "set", &format!("yr{}", process::id()), "mtu", "9000"]);
    ip(&["link", "set", &pair.name, "mtu", "9000"]);
    let mut large = Xdp::load(&pair.name, &served()).unwrap();
    let error = large.attach(Mode::Native, None).unwrap_err();
    assert!(matches!(error, XdpError::Unfit { mtu: 9000, .. }), "{error}");
}
