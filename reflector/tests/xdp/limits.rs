//! What the program cannot hold, and what cannot have a program.

use crate::daemon::{Folder, program};
use crate::protocol::Key;
use crate::spaces::{Spaces, ip};

pub(crate) fn too_much() {
    let _spaces = Spaces::new();
    let folder = Folder::new("reflector-test");
    let ring = folder.write("ring.toml", &Key::new(7, 7).toml());
    let run = |flags: &[&str]| {
        let mut command = program();
        command.args(["run", "--listen", "45.1.0.1:0", "--admin", "127.0.0.1:0", "--workers", "1", "--keys"]);
        let output = command.arg(&ring).args(flags).output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), log.lines().last().unwrap_or_default().to_owned())
    };
    let blocks = |number: u8| (0..number).map(|n| format!("10.{n}.0.0/16")).collect::<Vec<_>>().join(",");
    let (code, line) = run(&["--xdp", "r0", "--allow-destination", &blocks(33)]);
    assert!(
        code == Some(78) && line.contains("--xdp r0") && line.contains("33") && line.contains("32"),
        "{line}"
    );
    let (code, line) = run(&["--xdp", "r0", "--deny-source", &blocks(65)]);
    assert!(code == Some(78) && line.contains("65") && line.contains("64"), "{line}");
    let (code, line) = run(&["--xdp", "none0"]);
    assert!(code == Some(78) && line.contains("--xdp none0") && line.contains("r0"), "{line}");
    let (code, line) = run(&["--xdp", "r0", "--xdp-pin", "/tmp"]);
    assert!(code == Some(78) && line.contains("/tmp") && line.contains("mount -t bpf"), "{line}");
    for network in 0..17 {
        // Every second /16 by another way, so that none can be left out.
        ip(&format!("route add 46.{}.0.0/16 dev r0", 2 * network));
    }
    let (code, line) = run(&["--xdp", "r0"]);
    assert!(code == Some(78) && line.contains("routes") && line.contains("16"), "{line}");
    assert!(!ip("link show r0").contains("xdp"), "nothing is left on the interface");
}
