//! What a lab needs of the machine: root, three programs, and a kernel that allows namespaces.

use super::namespace::Namespace;
use std::process::{Command, Stdio};

/// What a lab needs and this process lacks, in words and with what to do; `None` when tests can run.
pub fn missing() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("needs root, for network namespaces; run the tests as root".to_owned());
    }
    let absent = |program: &str| {
        let status = Command::new(program).arg(version_flag(program)).stdin(Stdio::null()).output();
        !status.is_ok_and(|output| output.status.success())
    };
    let absent: Vec<_> = PROGRAMS.iter().filter(|(program, _)| absent(program)).collect();
    if !absent.is_empty() {
        let (programs, packages): (Vec<&str>, Vec<&str>) = absent.into_iter().copied().unzip();
        return Some(format!(
            "needs {}; `apt-get install {}` helps",
            programs.join(", "),
            packages.join(" ")
        ));
    }
    let refused = Namespace::new("trial").err()?;
    Some(format!("needs a kernel and a container that allow network namespaces: {refused}"))
}

fn version_flag(program: &str) -> &'static str {
    if program == "ip" { "-V" } else { "--version" }
}

/// The programs that a lab needs, each with the Debian package that brings it.
pub const PROGRAMS: [(&str, &str); 3] = [("ip", "iproute2"), ("nft", "nftables"), ("ethtool", "ethtool")];
